"""Content → Images: what the registry holds is what the resources say.

The registry is asked and never believed beyond what it holds: a notification says where to look,
and who pushed. What follows for an Image is in :mod:`sealoshub.imagehub.controller.facts`.

What is asked of the registry is as little as what changed: a push is about one tag, however many
there are. All of a repository is asked about by the sweep, and the first time.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import cache, partial
from sys import intern
from typing import TYPE_CHECKING, Final, Protocol

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.imagehub import names
from sealoshub.imagehub.controller import kinds, record, tagrules
from sealoshub.imagehub.controller.conditions import MAX_LISTED
from sealoshub.imagehub.controller.facts import FACTUAL, OURS, New, forget, keep_all
from sealoshub.imagehub.controller.held import NONE, Held, presence, says
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sealoshub.imagehub.controller.facts import Describe, Facts
    from sealoshub.imagehub.controller.kinds import Picture
    from sealoshub.imagehub.controller.world import World
    from sealoshub.kube import Object

AGAIN: Final = "again"  # the kind of a key that is no object's: look at this repository once more
LOOKS: Final = 12  # for a push that is not there yet; the last one after a good two seconds


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

    def point(self, path: str, tag: str, digest: str) -> bool:
        """Let a tag name a manifest again; False if it is not there any more."""

    def remove(self, path: str, tag: str) -> bool:
        """Take a tag away; False if this registry only deletes whole manifests."""

    def remove_manifest(self, path: str, digest: str) -> None:
        """Delete a manifest and every tag that names it."""

    def listed(self, path: str, digest: str) -> Sequence[str]:
        """Return the digests that an index lists; none for an image. NotFoundError without it."""

    def slowly(self, wait: Callable[[], None]) -> AbstractContextManager[None]:
        """Call *wait* before each request that this thread sends inside of the block."""


def reconcile(world: World, registry: Registry, path: str) -> Iterator[tuple[str, str]]:
    """Ask the registry for *path* and make its Images true; yield the keys that it concerns.

    However many tags there are, only what is new, moved or gone is written.

    Raises:
        SealosHubError: Something is not possible now; the caller tries again later.
    """
    is_swept = path in world.swept
    world.swept.discard(path)
    try:
        yield from _reconcile(world, registry, path, everything=is_swept)
    except BaseException:
        world.swept.add(path)  # half of it may be done; look at all of it the next time
        raise


def _reconcile(
    world: World, registry: Registry, path: str, *, everything: bool
) -> Iterator[tuple[str, str]]:
    try:
        organization = _living(world, path)
    except InvalidInputError:
        return  # no name of a repository of a hub
    # Read before the registry is asked: what is noted later is looked at later.
    notes = world.notes.find(path)
    images = _by_tag(image for image in world.images.find(path) if not image.deleting)
    before = world.held.get(path)
    tags = None if everything else _changed_tags(before, notes, images)
    held = _ask(registry, path, images, tags, before)
    asked = held.tags.keys() | images.keys() if tags is None else tags
    creators = {kinds.target_of(note): kinds.actor_of(note) for note in notes}
    # Before anything is remembered of what the registry holds.
    ruled, expired = tagrules.enforce(world, registry, path, held.tags, asked, images, creators)
    asked = asked | expired
    held = replace(held, tags=ruled)
    describe: Describe = cache(partial(registry.describe, path))
    if organization is not None:
        held = replace(held, sizes=_sizes(describe, held, asked, images, before))
    world.remember(path, held if held.tags or images else None)
    written: set[str] = set()
    if organization is not None:
        news = [
            New(f"{path}:{tag}", held.tags[tag], creators.get(tag, ""))
            for tag in sorted(asked & held.tags.keys())
        ]
        written = keep_all(world, describe, organization, path, news, images)
    yield from _above(path, held)
    wrong: set[str] = set()
    for image in (image for tag in asked for image in images.get(tag, ())):
        if image.tag not in held.tags:
            # What a rule deletes it deletes for good, whichever client pushed it.
            forget(world, image, FACTUAL if image.tag in expired else OURS)
        # What was written comes back as a change of its own.
        if image.tag not in written and not _is_right(image, held):
            wrong.add(image.tag)
            yield ("Image", image.object_name)
    if everything:
        world.metrics.differed(len(written | wrong))
    yield from _put_away(world, path, notes, held)


def _put_away(
    world: World, path: str, notes: Sequence[Object], held: Held
) -> Iterator[tuple[str, str]]:
    """Remove the notes that led here, but for those of pushes that are not to be seen yet."""
    for note in notes:
        if _is_early(world, note, held):
            yield (AGAIN, path)
        else:
            _remove_note(world, note)


def _is_early(world: World, note: Object, held: Held) -> bool:
    """Tell whether a registry told of a push before it wrote the tag, which it does after that.

    Somebody may have pushed or deleted since: so it is looked for a few times only.
    """
    uid = str(note["metadata"]["uid"])
    digest = kinds.digest_of(note)
    count = world.early.pop(uid, 0)
    if not digest or held.tags.get(kinds.target_of(note)) == digest:
        return False
    if count >= LOOKS:
        world.metrics.noted("dropped")
        return False
    world.early[uid] = count + 1
    return True


def _above(path: str, held: Held) -> Iterator[tuple[str, str]]:
    """Yield the keys of what holds the tags of *path*."""
    yield ("Repository", path)
    if len(held.tags) > MAX_LISTED:
        # Its status does not show every change, and what is shown leads to the organisation.
        yield ("Organization", path.partition("/")[0])


def _is_right(image: Picture, held: Held) -> bool:
    return says(image, presence(image, held)) and record.is_right(image, held)


def _sizes(
    describe: Describe,
    held: Held,
    asked: Iterable[str],
    images: Mapping[str, Sequence[Picture]],
    before: Held | None,
) -> dict[str, int]:
    """Return the bytes of what tags name, as far as their Images do not remember them."""
    sizes: dict[str, int] = {}
    for tag in held.tags.keys() & asked:
        digest = held.tags[tag]
        was = record.recorded(images.get(tag, ()))
        if was is not None and was.digest == digest and was.size is not None:
            continue
        if digest not in sizes and (facts := describe(digest)) is not None:
            sizes[digest] = facts.size
    if before is not None and before.sizes:
        still = set(held.tags.values())
        sizes |= {at: size for at, size in before.sizes.items() if at in still}
    return sizes


def _living(world: World, path: str) -> Object | None:
    """Return the organisation of *path*; None without one, and for one that is being deleted.

    Raises:
        InvalidInputError: It is no name of a repository.
    """
    found = world.organizations.get(names.split_repository(path).organization)
    return None if found is None or "deletionTimestamp" in found["metadata"] else found


def _by_tag(images: Iterable[Picture]) -> dict[str, list[Picture]]:
    """Return the Images of each tag; the one that counts is the last."""
    found: dict[str, list[Picture]] = {}
    for image in sorted(images, key=lambda image: image.is_canonical):
        found.setdefault(image.tag, []).append(image)
    return found


def _changed_tags(
    held: Held | None, notes: Sequence[Object], images: Mapping[str, Sequence[Picture]]
) -> set[str] | None:
    """Return the tags that have to be asked about; None for all that there are."""
    targets = {kinds.target_of(note) for note in notes}
    if held is None or "" in targets:
        return None
    changed = {target for target in targets if ":" not in target}
    if digests := targets - changed:
        changed |= {tag for tag, digest in held.tags.items() if digest in digests}
    for tag, same in images.items():
        if any(image.digest in digests or held.has(image) is None for image in same):
            changed.add(tag)
    return changed


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
        world.notes.forget(note)


def _ask(
    registry: Registry,
    path: str,
    images: Mapping[str, Sequence[Picture]],
    only: set[str] | None,
    before: Held | None,
) -> Held:
    """Ask what the registry holds of *path*: of the tags *only*, or all."""
    tags: dict[str, str] = {}
    others: dict[str, bool] = {}
    if only is not None and before is not None:
        tags |= before.tags
        others |= before.others
    for tag in registry.tags(path) if only is None else only:
        digest = registry.digest_of(path, tag)
        if digest is None:
            tags.pop(tag, None)
        else:
            tags[intern(tag)] = intern(digest)
    for tag in images if only is None else only:
        for image in images.get(tag, ()):
            if image.digest and image.digest != tags.get(tag):
                others[image.digest] = registry.digest_of(path, image.digest) is not None
    return Held(tags, others or NONE)
