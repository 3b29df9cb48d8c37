"""Content → Images: what the registry holds is what the resources say.

The registry is asked and never believed beyond what it holds: a notification only says where to
look. Facts (digest, platforms, size, ID, arch, creatTime) follow the content; what people wrote is
theirs, which `metadata.managedFields` tells.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.imagehub import names
from sealoshub.imagehub.controller import kinds
from sealoshub.imagehub.controller.conditions import condition
from sealoshub.imagehub.controller.world import remove
from sealoshub.imagehub.image import image_from
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sealoshub.imagehub.controller.kinds import Picture
    from sealoshub.imagehub.controller.world import World
    from sealoshub.kube import Object

# Whose facts are those of a push: ours, and those of `sealoshub push` (cli/describe.py).
_FACTUAL: Final = frozenset({kinds.FIELD_MANAGER, "sealoshub-push"})

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


class Registry(Protocol):
    """What the controller needs of a registry; `sealoshub.hub.content` implements it.

    Every method may raise SealosHubError: then it is asked again later.
    """

    def repositories(self) -> Iterable[str]:
        """Yield the name of every repository."""

    def tags(self, path: str) -> Iterable[str]:
        """Yield the tags of `org/repo`; none if there is no such repository."""

    def digest_of(self, path: str, target: str) -> str | None:
        """Return the digest that a tag or digest names; None if it names nothing."""

    def describe(self, path: str, digest: str) -> Facts | None:
        """Return what a manifest says; None if it is not there."""

    def delete(self, path: str) -> None:
        """Delete every tag and manifest of `org/repo`."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a registry held of one repository when it was asked last.

    Args:
        tags: The digest that each tag names.
        digests: Of Images, whether the registry has each of them.
    """

    tags: Mapping[str, str]
    digests: Mapping[str, bool]

    def has(self, image: Picture) -> bool | None:
        """Tell whether the registry has *image*; None if that was not asked."""
        if not image.digest:
            return image.tag in self.tags
        return self.digests.get(image.digest)


def presence(image: Picture, held: Held | None) -> dict[str, Any] | None:
    """Return the Present condition of *image*; None as long as nobody knows."""
    found = None if held is None else held.has(image)
    if held is None or found is None:
        for item in image.status.get("conditions") or ():
            if item.get("type") == "Present":  # as it was
                words = {key: item.get(key, "") for key in ("reason", "message")}
                return condition("Present", good=item.get("status") == "True", **words)
        return None
    if not found:
        what = image.digest or f"tag {image.tag}"
        message = f"the registry has no {what} in {image.path}"
        return condition("Present", good=False, reason="NotInRegistry", message=message)
    now = held.tags.get(image.tag)
    if now is None or (image.digest and now != image.digest):
        message = f"the tag names {now} now" if now else "the tag is gone"
        return condition("Present", good=True, reason="TagMoved", message=message)
    return condition("Present", good=True, reason="InRegistry")


def reconcile(world: World, registry: Registry, path: str) -> Iterator[tuple[str, str]]:
    """Ask the registry for *path* and make its Images true; yield the keys that it concerns.

    However many tags there are, only what is new, moved or gone is written.

    Raises:
        SealosHubError: Something is not possible now; the caller tries again later.
    """
    try:
        organization = world.organizations.get(names.split_repository(path).organization)
    except InvalidInputError:
        return  # no name of a repository of a hub
    # Read before the registry is asked: what is noted later is looked at later.
    notes = world.notes.find(path)
    images = [image for image in world.images.find(path) if not image.deleting]
    held = _ask(registry, path, images)
    if held.tags or images:
        world.held[path] = held
    else:
        world.held.pop(path, None)
    written: set[str] = set()
    if organization is not None and "deletionTimestamp" not in organization["metadata"]:
        written = {
            tag
            for tag, digest in held.tags.items()
            if _keep(world, registry, f"{path}:{tag}", digest, images)
        }
    for image in images:
        if image.tag not in held.tags:
            _forget(world, image)
    yield ("Repository", path)
    for image in images:
        # What was written comes back as a change of its own.
        if image.tag not in written and not _says(image, presence(image, held)):
            yield ("Image", image.object_name)
    for note in notes:
        _remove_note(world, note)


def _remove_note(world: World, note: Object) -> None:
    """Remove what led here, unless it was noted again since it was read."""
    meta = note["metadata"]
    with contextlib.suppress(NotFoundError, ConflictError):
        world.cluster.delete(
            "Lease",
            str(meta["name"]),
            names.HUB_NAMESPACE,
            uid=meta["uid"],
            resource_version=meta["resourceVersion"],
        )


def _ask(registry: Registry, path: str, images: Sequence[Picture]) -> Held:
    tags: dict[str, str] = {}
    for tag in registry.tags(path):
        digest = registry.digest_of(path, tag)
        if digest is not None:
            tags[tag] = digest
    digests = dict.fromkeys(tags.values(), True)
    for digest in {image.digest for image in images if image.digest} - set(digests):
        digests[digest] = registry.digest_of(path, digest) is not None
    return Held(tags, digests)


def _keep(
    world: World, registry: Registry, name: str, digest: str, images: Sequence[Picture]
) -> bool:
    """Make the Image of one tag say what the tag names; tell whether it did not."""
    same = sorted(
        (image for image in images if image.spec_name == name),
        key=lambda image: image.is_canonical,
    )
    known = same[-1] if same else None
    if known is not None and known.digest == digest:
        return False
    facts = registry.describe(name.partition(":")[0], digest)
    if facts is None:
        return False  # gone again
    manifest = image_from(
        name,
        digest,
        facts.platforms,
        size=facts.size,
        image_id=facts.image_id or None,
        created=facts.created or None,
    )
    if known is not None:
        manifest["metadata"]["name"] = known.object_name
    try:
        current = world.cluster.get("Image", str(manifest["metadata"]["name"]))
    except NotFoundError:
        pass
    else:
        written = _written_by_people(current)
        if "digest" in written:
            return False  # whoever pinned it wants this one; Present says whether it is there
        spec = {key: value for key, value in manifest["spec"].items() if key not in written}
        detail = (spec.get("detail") or {}).items()
        spec["detail"] = {key: value for key, value in detail if f"detail.{key}" not in written}
        manifest["spec"] = {"name": name, **spec}
    try:
        world.cluster.apply(manifest, force=True)
    except InvalidInputError as exc:
        _log.warning("there is no Image of %s: %s", name, exc.message)
        return False
    return True


def _forget(world: World, image: Picture) -> None:
    """Remove an Image whose tag is gone, if nobody but the controller has said anything in it."""
    with contextlib.suppress(NotFoundError):
        current = world.cluster.get("Image", image.object_name)
        managers = {
            entry.get("manager")
            for entry in current["metadata"].get("managedFields") or ()
            if "f:spec" in (entry.get("fieldsV1") or {})
        }
        if managers == {kinds.FIELD_MANAGER}:
            remove(world.cluster, current)


def _written_by_people(current: Object) -> set[str]:
    """Return the fields of `spec`, and `detail.…`, that somebody wrote by hand."""
    found: set[str] = set()
    for entry in current["metadata"].get("managedFields") or ():
        if entry.get("manager") in _FACTUAL:
            continue
        spec = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        found |= {key.removeprefix("f:") for key in spec}
        found |= {f"detail.{key.removeprefix('f:')}" for key in spec.get("f:detail") or ()}
    return found - {"detail", "name"}


def _says(image: Picture, wanted: Mapping[str, Any] | None) -> bool:
    """Tell whether the status of *image* has the condition *wanted*."""
    if wanted is None:
        return True
    conditions = image.status.get("conditions") or ()
    return any(wanted.items() <= item.items() for item in conditions)
