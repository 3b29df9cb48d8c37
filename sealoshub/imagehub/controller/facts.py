"""Images say what their tags name, and people's words stay theirs.

Facts (digest, platforms, size, ID, arch, creatTime) follow the content; what people wrote is told
by `metadata.managedFields`.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.imagehub.controller import kinds, repository
from sealoshub.imagehub.controller.world import remove
from sealoshub.imagehub.image import image_from
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sealoshub.imagehub.controller.kinds import Picture
    from sealoshub.imagehub.controller.world import World
    from sealoshub.kube import Object

    Describe = Callable[[str], "Facts | None"]  # by digest; asks for each of them once

# Whose facts are those of a push: ours, and those of `sealoshub push` (cli/describe.py).
OURS: Final = frozenset({kinds.FIELD_MANAGER})
FACTUAL: Final = OURS | {"sealoshub-push"}

_log = logging.getLogger("sealoshub.controller")


class Facts(Protocol):
    """What a manifest says about an image."""

    @property
    def platforms(self) -> Sequence[str]:
        """`os/architecture[/variant]` of each manifest."""

    @property
    def size(self) -> int:
        """Bytes of the whole image."""

    @property
    def image_id(self) -> str:
        """Digest of the configuration, or empty."""

    @property
    def created(self) -> str:
        """When it was built, or empty."""


@dataclass(frozen=True, slots=True)
class New:
    """A tag as the registry has it, and the user who pushed it, if that is known."""

    name: str
    digest: str
    creator: str

    @property
    def tag(self) -> str:
        """The tag alone."""
        return self.name.rpartition(":")[2]


def keep_all(  # noqa: PLR0913, PLR0917  # what `content` knows
    world: World,
    describe: Describe,
    organization: Object,
    path: str,
    news: Iterable[New],
    images: Mapping[str, Sequence[Picture]],
) -> set[str]:
    """Make the Images of *path* say what their tags name; return the tags of those that did not.

    The list of tags in the status of the Repository is large where there are many. It is written
    once, when all of them are: whoever calls this sees to it that the Repository is looked at.
    """
    world.joining.add(path)
    try:
        return {
            new.tag
            for new in news
            if _keep(world, describe, organization, new, images.get(new.tag, []))
        }
    finally:
        world.joining.discard(path)


def _keep(
    world: World, describe: Describe, organization: Object, new: New, same: Sequence[Picture]
) -> bool:
    """Make the Image of one tag say what the tag names; tell whether it did not."""
    known = same[-1] if same else None
    if known is not None and known.digest == new.digest:
        return False
    path = new.name.partition(":")[0]
    facts = describe(new.digest)
    if facts is None:
        return False  # gone again
    manifest = image_from(
        new.name,
        new.digest,
        facts.platforms,
        size=facts.size,
        image_id=facts.image_id or None,
        created=facts.created or None,
    )
    try:
        if known is None:
            # Before the Image, which then has all that it needs when it is looked at.
            repository.ensure(world, path, organization, new.creator)
            if _create(world, manifest, new.creator):
                return True
        else:
            manifest["metadata"]["name"] = known.object_name
        return _update(world, manifest)
    except InvalidInputError as exc:
        _log.warning("there is no Image of %s: %s", new.name, exc.message)
        return False


def _create(world: World, manifest: Object, creator: str) -> bool:
    """Make an Image that nobody has made yet; False if somebody has."""
    spec = {**manifest["spec"], "creator": creator} if creator else manifest["spec"]
    try:
        world.images.learn(world.cluster.apply_blind({**manifest, "spec": spec}))
    except ConflictError:
        return False
    return True


def _update(world: World, manifest: Object) -> bool:
    """Make the facts of an Image those of *manifest*; tell whether they were not."""
    current = world.cluster.get("Image", str(manifest["metadata"]["name"]))
    written = _written_by_people(current)
    if "digest" in written:
        return False  # whoever pinned it wants this one; Present says whether it is there
    facts = manifest["spec"]
    if creator := (current.get("spec") or {}).get("creator"):
        facts = {**facts, "creator": creator}  # an apply that leaves out what it owns removes it
    spec = {key: value for key, value in facts.items() if key not in written}
    detail = (spec.get("detail") or {}).items()
    spec["detail"] = {key: value for key, value in detail if f"detail.{key}" not in written}
    wanted = {**manifest, "spec": {**spec, "name": facts["name"]}}
    world.images.learn(world.cluster.apply_blind(wanted, force=True))
    return True


def forget(world: World, image: Picture, managers: frozenset[str]) -> None:
    """Remove an Image whose tag is gone, if nobody but *managers* has said anything in it."""
    with contextlib.suppress(NotFoundError):
        current = world.cluster.get("Image", image.object_name)
        found = {
            entry.get("manager")
            for entry in current["metadata"].get("managedFields") or ()
            if "f:spec" in (entry.get("fieldsV1") or {})
        }
        if found and found <= managers:
            remove(world.cluster, current)


def _written_by_people(current: Object) -> set[str]:
    """Return the fields of `spec`, and `detail.…`, that somebody wrote by hand."""
    found: set[str] = set()
    for entry in current["metadata"].get("managedFields") or ():
        if entry.get("manager") in FACTUAL:
            continue
        spec = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        found |= {key.removeprefix("f:") for key in spec}
        found |= {f"detail.{key.removeprefix('f:')}" for key in spec.get("f:detail") or ()}
    return found - {"detail", "name"}
