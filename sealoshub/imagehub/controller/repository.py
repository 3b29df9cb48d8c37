"""Repository → the grants of its own members, its status; made when an image needs it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from sealoshub.errors import InvalidInputError
from sealoshub.imagehub import limits, names, subjects
from sealoshub.imagehub.controller import kinds, tagrules
from sealoshub.imagehub.controller.conditions import MAX_LISTED, condition, status_patch
from sealoshub.imagehub.controller.world import make_true, write_status
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sealoshub.imagehub.controller.held import Held
    from sealoshub.imagehub.controller.kinds import Picture
    from sealoshub.imagehub.controller.world import World
    from sealoshub.imagehub.subjects import Roster
    from sealoshub.kube import Object


def desired_repository(path: str, organization: Object, creator: str) -> Object:
    """Return the Repository that content brings into being.

    Its visibility is the organisation's default, its creator whoever pushed or made the first
    image, if that is known.
    """
    spec: dict[str, Any] = {
        "name": path,
        "isPrivate": (organization.get("spec") or {}).get("defaultVisibility") != "public",
    }
    if creator:
        spec["creator"] = creator
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Repository",
        "metadata": {"name": names.object_name(path), "labels": names.labels_for(path)},
        "spec": spec,
    }


def first_creator(images: Iterable[Picture]) -> str:
    """Return who made the oldest image; empty if nobody knows."""
    return next((image.creator for image in sorted(images, key=_age) if image.creator), "")


def ensure(world: World, path: str, organization: Object, creator: str) -> None:
    """Make the Repository *path* if there is none.

    Raises:
        SealosHubError: Not possible now.
    """
    if world.repository(path) is None:
        # Somebody else may have made it a moment ago; then the copy will have it soon.
        with contextlib.suppress(ConflictError):
            made = world.cluster.create(desired_repository(path, organization, creator))
            world.repositories.learn(made)


def desired_grants(path: str, roster: Roster) -> tuple[list[Object], list[Object]]:
    """Return the Roles and the RoleBindings of a repository's own members."""
    pairs = [kinds.repository_grants(path, role, found) for role, found in roster.subjects.items()]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def desired_tags(images: Iterable[Picture], held: Held | None = None) -> list[dict[str, Any]]:
    """Return the entries of `status.tags`, the newest first.

    Two Images may name one tag, because the original folded dashes; the canonical one counts.

    Args:
        images: Of the repository.
        held: What the registry has; then only its tags count, with the digests that it tells.
    """
    by_tag: dict[str, Picture] = {}
    for image in images:
        if held is not None and image.tag not in held.tags:
            continue
        if image.tag not in by_tag or image.is_canonical:
            by_tag[image.tag] = image
    ordered = sorted(by_tag.values(), key=_age, reverse=True)
    if held is None:
        return [_entry(image) for image in ordered]
    return [{**_entry(image), "digest": held.tags[image.tag]} for image in ordered]


def latest(tags: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the newest of *tags* that is an image's own, and no signature's; None without one.

    Args:
        tags: The newest first.
    """
    return next((tag for tag in tags if not limits.is_attached(tag["name"])), None)


def reconcile(world: World, path: str) -> None:
    """Make the repository *path* (`org/repo`) true.

    Raises:
        SealosHubError: Something is not possible now; the caller tries again later.
    """
    try:
        organization_name = names.split_repository(path).organization
    except InvalidInputError:
        return  # an object older than the rules; no right ever follows from it
    images = [image for image in world.images.find(path) if not image.deleting]
    repository = world.repository(path)
    organization = world.organizations.get(organization_name)
    alive = organization is not None and "deletionTimestamp" not in organization["metadata"]
    if repository is None and images and alive and organization is not None:
        ensure(world, path, organization, first_creator(images))
    roster = subjects.of_repository({})
    if repository is not None and alive and "deletionTimestamp" not in repository["metadata"]:
        roster = subjects.of_repository(repository.get("spec") or {})
    if alive and world.namespaces.get(names.organization_namespace(organization_name)) is not None:
        roles, bindings = desired_grants(path, roster)
        # Roles before bindings: a binding to nothing cannot be checked against escalation.
        make_true(world.cluster, world.repository_roles(organization_name, path), roles, "rules")
        make_true(world.cluster, world.grants(organization_name, path), bindings, "subjects")
    if repository is not None:
        _write(world, repository, path, images, roster)


def _write(
    world: World, repository: Object, path: str, images: Sequence[Picture], roster: Roster
) -> None:
    wanted: dict[str, Any] = {"name": path}
    is_listed = "tags" in (repository.get("status") or {})
    if not (is_listed and path in world.joining):  # else more of them come at once, then all are
        tags = desired_tags(images, world.held.get(path))
        wanted |= {
            "tags": tags[:MAX_LISTED],
            "tagCount": len(tags),
            "latestTag": latest(tags),
        }
    conditions = [
        condition("Ready", good=True, reason="GrantsInPlace"),
        condition(
            "MembersValid",
            good=not roster.refused,
            reason="Refused" if roster.refused else "AllValid",
            message="; ".join(roster.refused)[:4096],
        ),
        *tagrules.conditions(world, repository, path),
    ]
    patch = status_patch(repository, wanted, conditions, world.moment())
    write_status(world.cluster, repository, patch, world.repositories)


def _age(image: Picture) -> tuple[str, str]:
    return image.created, image.tag


def _entry(image: Picture) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": image.tag, "metaName": image.object_name}
    if image.size is not None:
        entry["size"] = image.size
    if image.created:
        entry["creatTime"] = image.created
    if image.digest:
        entry["digest"] = image.digest
    return entry
