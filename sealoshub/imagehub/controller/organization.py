"""Organization → its namespace, its role bindings, its status; and its end."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from sealoshub.errors import NotFoundError, SealosHubError, UnavailableError
from sealoshub.imagehub import names, subjects
from sealoshub.imagehub.controller import kinds, quota
from sealoshub.imagehub.controller.conditions import MAX_LISTED, condition, status_patch
from sealoshub.imagehub.controller.world import make_true, remove, write_status
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealoshub.imagehub.controller.content import Registry
    from sealoshub.imagehub.controller.kinds import Picture
    from sealoshub.imagehub.controller.world import World
    from sealoshub.imagehub.subjects import Roster
    from sealoshub.kube import Object


def desired_bindings(name: str, roster: Roster) -> list[Object]:
    """Return the RoleBindings of the organisation *name*, one for each role that is held."""
    return [
        kinds.organization_binding(name, role, found) for role, found in roster.subjects.items()
    ]


def reconcile(world: World, name: str) -> None:
    """Make the organisation *name* true, or clean up after it.

    Raises:
        SealosHubError: Something is not possible now; the caller tries again later.
    """
    organization = world.organizations.get(name)
    if organization is None:
        _clean_up(world, name)
    elif "deletionTimestamp" in organization["metadata"]:
        _end(world, organization)
    else:
        _keep(world, organization)


def _keep(world: World, organization: Object) -> None:
    meta = organization["metadata"]
    name = str(meta["name"])
    if names.FINALIZER not in (meta.get("finalizers") or ()):
        # Before there is anything to clean up.
        _set_finalizers(world, organization, [*(meta.get("finalizers") or ()), names.FINALIZER])
    trouble = _ensure_namespace(world, organization)
    if trouble is not None:
        _write(world, organization, trouble)
        raise UnavailableError(str(trouble["message"]))
    roster = subjects.of_organization(organization.get("spec") or {})
    make_true(world.cluster, world.grants(name, None), desired_bindings(name, roster), "subjects")
    ready = condition("Ready", good=True, reason="BindingsInPlace")
    _write(world, organization, ready, roster)


def _ensure_namespace(world: World, organization: Object) -> dict[str, Any] | None:
    """Make the namespace; a condition says why there cannot be one."""
    wanted = kinds.namespace(organization)
    meta = wanted["metadata"]
    name = str(meta["name"])
    found = world.namespaces.get(name)
    if found is None:
        try:
            world.cluster.create(wanted)
        except ConflictError as exc:
            if exc.reason != "AlreadyExists":
                raise
            found = world.cluster.get("Namespace", name)
        else:
            return None
    there = found["metadata"]
    if kinds.organization_of(found) != organization["metadata"]["name"]:
        message = f"the namespace {name} is there and not of this hub"
        return condition("Ready", good=False, reason="NamespaceConflict", message=message)
    if "deletionTimestamp" in there:
        message = f"the namespace {name} of an earlier organisation is still being removed"
        return condition("Ready", good=False, reason="NamespaceTerminating", message=message)
    # An organisation that was deleted and made again has another UID, and an owner that is gone
    # would take the namespace along.
    changes = {
        field: meta[field]
        for field in ("annotations", "ownerReferences")
        if not _includes(there.get(field), meta[field])
    }
    if changes:
        world.cluster.patch("Namespace", name, {"metadata": changes})
    return None


def _includes(have: object, wanted: object) -> bool:
    if isinstance(have, dict) and isinstance(wanted, dict):
        return wanted.items() <= have.items()
    return have == wanted


def _write(
    world: World,
    organization: Object,
    ready: Mapping[str, Any],
    roster: Roster | None = None,
) -> None:
    name = str(organization["metadata"]["name"])
    paths = sorted(filter(None, map(kinds.spec_path, world.repositories.find(name))))
    used = quota.usage(world, paths)
    wanted = {
        "name": name,
        "namespace": names.organization_namespace(name),
        "repos": paths[:MAX_LISTED],
        "repoCount": len(paths),
        "usage": quota.status(used),
    }
    found = [ready]
    if within := quota.within(organization, used):
        found.append(within)
    if roster is not None:
        found.append(
            condition(
                "MembersValid",
                good=not roster.refused,
                reason="Refused" if roster.refused else "AllValid",
                message="; ".join(roster.refused)[:4096],
            )
        )
    patch = status_patch(organization, wanted, found, world.moment())
    write_status(world.cluster, organization, patch, world.organizations)


def _end(world: World, organization: Object) -> None:
    meta = organization["metadata"]
    name = str(meta["name"])
    if names.FINALIZER not in (meta.get("finalizers") or ()):
        return
    repositories = world.repositories.find(name)
    prefix = f"{name}/"
    images = [image for image in world.images.all() if image.path.startswith(prefix)]
    forced = (meta.get("annotations") or {}).get(names.FORCE_DELETE) == "true"
    if not forced and (what := _what_is_left(world, prefix, repositories, images)):
        message = f"it still has {what}; delete them, or annotate it {names.FORCE_DELETE}=true"
        refusal = condition("Ready", good=False, reason="HasRepositories", message=message)
        _write(world, organization, refusal)
        return
    if repositories or images:
        for image in images:
            with contextlib.suppress(NotFoundError):
                world.cluster.delete("Image", image.object_name)
        for repository in repositories:
            remove(world.cluster, repository)
        # The organisation is looked at again when the last of them is gone.
        return
    _clean_up(world, name)
    # After the rights, so that nobody gets a token for it any more; before the name is free.
    _delete_content(world, organization, prefix)
    left = [item for item in meta["finalizers"] if item != names.FINALIZER]
    with contextlib.suppress(NotFoundError):
        _set_finalizers(world, organization, left)


def _what_is_left(
    world: World, prefix: str, repositories: Sequence[Object], images: Sequence[Picture]
) -> str:
    """Return what an organisation still holds, in words; empty if nothing."""
    if repositories or images:
        return f"{len(repositories)} repositories and {len(images)} images"
    if world.registry is None:
        return ""
    tagged = [path for path in _paths(world.registry, prefix) if any(world.registry.tags(path))]
    return f"content in {', '.join(tagged[:10])}" if tagged else ""


def _paths(registry: Registry, prefix: str) -> list[str]:
    return [path for path in registry.repositories() if path.startswith(prefix)]


def _delete_content(world: World, organization: Object, prefix: str) -> None:
    """Delete what the registry holds, so that the next organisation of the name cannot pull it.

    Raises:
        SealosHubError: The registry does not delete it; the name stays taken, and Ready says why.
    """
    if world.registry is None:
        return
    try:
        for path in _paths(world.registry, prefix):
            world.registry.delete(path)
    except SealosHubError as exc:
        message = f"the name stays taken while the registry holds its content: {exc.message}"
        remains = condition("Ready", good=False, reason="ContentRemains", message=message)
        _write(world, organization, remains)
        raise


def _clean_up(world: World, name: str) -> None:
    """Remove everything of ours that the organisation *name* had.

    The bindings go first and by themselves: emptying a namespace takes its time, and rights that
    outlive their organisation would be those of the next one of that name.
    """
    for obj in [*world.bindings.find(name), *world.roles.find(name)]:
        remove(world.cluster, obj)
    namespace = world.namespaces.get(names.organization_namespace(name))
    if namespace is not None and kinds.organization_of(namespace) == name:
        remove(world.cluster, namespace)


def _set_finalizers(world: World, organization: Object, finalizers: list[str]) -> None:
    # With the resourceVersion: a merge patch replaces the whole list.
    meta = organization["metadata"]
    changes = {"finalizers": finalizers, "resourceVersion": meta["resourceVersion"]}
    world.cluster.patch("Organization", str(meta["name"]), {"metadata": changes})
