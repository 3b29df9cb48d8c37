"""How much an organisation holds, and whether that is within its quota."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealoshub.imagehub.controller.conditions import condition
from sealoshub.imagehub.controller.record import recorded
from sealoshub.imagehub.limits import Quota, Usage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sealoshub.imagehub.controller.world import World
    from sealoshub.kube import Object


def usage(world: World, paths: Collection[str]) -> Usage:
    """Return what an organisation holds, as the registry told, or as the Images say without one.

    Each distinct image counts once. What two images share counts for both: how much that is only
    the registry knows, and it does not tell.

    Args:
        world: The copies.
        paths: Its repositories, `org/repo`.
    """
    tags = 0
    sizes: dict[str, int] = {}
    for path in paths:
        named, known = _content(world, path)
        tags += len(named)
        for digest in named.values():
            sizes[digest] = max(sizes.get(digest, 0), known.get(digest, 0))
    return Usage(len(paths), tags, sum(sizes.values()))


def _content(world: World, path: str) -> tuple[Mapping[str, str], Mapping[str, int]]:
    """Return the digest of each tag, and the size of each digest as far as it is known."""
    held = world.held.get(path)
    named: dict[str, str] = {}
    known: dict[str, int] = {}
    for image in world.images.find(path):
        if image.deleting:
            continue
        record = recorded((image,))
        if record is not None:
            digest, size = record.digest, record.size
        elif any(item["type"] == "Present" for item in image.status.get("conditions") or ()):
            continue  # the registry was asked, and has no such tag
        else:
            # Before it was asked. An image without a digest is one by its name.
            digest, size = image.digest or f"{path}:{image.tag}", image.size
        if record is not None or image.tag not in named:
            named[image.tag] = digest
        if size is not None:
            known.setdefault(digest, size)
    if held is None:
        return named, known
    return held.tags, {**known, **held.sizes}


def status(usage: Usage) -> dict[str, int]:
    """Return `status.usage`."""
    return {"repositories": usage.repositories, "tags": usage.tags, "size": usage.size}


def within(organization: Object, usage: Usage) -> dict[str, Any] | None:
    """Return the WithinQuota condition; None without a quota."""
    quota = Quota.read(organization.get("spec") or {})
    if not quota.is_set:
        return None
    if excess := quota.excess(usage):
        return condition(
            "WithinQuota", good=False, reason="QuotaExceeded", message=", ".join(excess)
        )
    return condition("WithinQuota", good=True, reason="RoomLeft", message=quota.shown(usage))
