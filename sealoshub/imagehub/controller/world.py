"""What the controller sees, a local copy of each kind, and the few kinds of writes it does."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealoshub.errors import NotFoundError
from sealoshub.imagehub import names
from sealoshub.imagehub.controller import kinds
from sealoshub.imagehub.controller.informer import Informer
from sealoshub.imagehub.controller.metrics import Metrics
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from sealoshub.imagehub.controller.content import Registry
    from sealoshub.imagehub.controller.held import Held
    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster


@dataclass(frozen=True, slots=True)
class World:
    """The cluster, the registry and the copies. Reads come from the copies and may be a moment old.

    Being old does no harm: the change that a copy has not seen yet brings its key back.
    """

    cluster: Cluster
    organizations: Informer[Object]
    repositories: Informer[Object]  # index: organisation
    images: Informer[kinds.Picture]  # index: org/repo
    namespaces: Informer[Object]
    roles: Informer[Object]  # index: organisation
    bindings: Informer[Object]  # index: organisation
    logins: Informer[Object]
    datapacks: Informer[Object]
    notes: Informer[Object]  # Leases that say that content changed; index: org/repo
    now: Callable[[], datetime]
    registry: Registry | None = None
    # What the registry was seen to hold, by org/repo; a copy like the others, made by asking.
    held: dict[str, Held] = field(default_factory=dict)
    # What came of the rules for the tags of `org/repo`, by the type of the condition that says so.
    findings: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    # What is to be asked about all of: `org/repo`.
    swept: set[str] = field(default_factory=set)
    # How often a push was looked for in vain, by the UID of its note.
    early: dict[str, int] = field(default_factory=dict)
    # `org/repo` of which Images are being written; the list of its tags is written after them.
    joining: set[str] = field(default_factory=set)
    metrics: Metrics = field(default_factory=Metrics)

    def informers(self) -> tuple[Informer[Any], ...]:
        """Return every copy."""
        return (
            self.organizations,
            self.repositories,
            self.images,
            self.namespaces,
            self.roles,
            self.bindings,
            self.logins,
            self.datapacks,
            self.notes,
        )

    def moment(self) -> str:
        """Return the time as conditions have it."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def repository(self, path: str) -> Object | None:
        """Return the Repository of *path*, and nothing that only pretends to be it."""
        found = self.repositories.get(names.object_name(path))
        return found if found is not None and kinds.spec_path(found) == path else None

    def remember(self, path: str, held: Held | None) -> None:
        """Keep what the registry holds of *path*; None if there is nothing to keep."""
        if held is None:
            self.held.pop(path, None)
        else:
            self.held[path] = held

    def asks_about(self, image: kinds.Picture) -> bool:
        """Tell whether the registry has yet to be asked whether it has *image*."""
        if self.registry is None or not image.path or image.deleting:
            return False
        held = self.held.get(image.path)
        return held is None or held.has(image) is None

    def grants(self, organization: str, path: str | None) -> list[Object]:
        """Return our bindings for the organisation (*path* None) or for one repository."""
        found = self.bindings.find(organization)
        return [obj for obj in found if kinds.path_of_grant(obj) == path]

    def repository_roles(self, organization: str, path: str) -> list[Object]:
        """Return our Roles for one repository."""
        found = self.roles.find(organization)
        return [obj for obj in found if kinds.path_of_grant(obj) == path]


def open_world(
    cluster: Cluster,
    now: Callable[[], datetime],
    registry: Registry | None = None,
    metrics: Metrics | None = None,
) -> World:
    """Return the world of *cluster* and *registry*; its informers do not run yet."""
    return World(
        cluster=cluster,
        organizations=_whole(cluster, "Organization"),
        repositories=_whole(cluster, "Repository", index=_organization_in_name),
        images=Informer(
            cluster, "Image", keep=kinds.picture, index=lambda image: image.path or None
        ),
        namespaces=_whole(cluster, "Namespace", label_selector=kinds.OURS),
        roles=_whole(
            cluster,
            "Role",
            index=kinds.organization_of,
            label_selector=kinds.OURS,
        ),
        bindings=_whole(
            cluster,
            "RoleBinding",
            index=kinds.organization_of,
            label_selector=kinds.OURS,
        ),
        logins=_whole(cluster, "Login", namespace=names.HUB_NAMESPACE),
        datapacks=_whole(cluster, "DataPack"),
        notes=_whole(
            cluster,
            "Lease",
            index=kinds.path_of_grant,
            namespace=names.HUB_NAMESPACE,
            label_selector=kinds.CONTENT_CHANGED,
        ),
        now=now,
        registry=registry,
        metrics=metrics or Metrics(),
    )


def _organization_in_name(obj: Object) -> str:
    return str(obj["metadata"]["name"]).partition(".")[0]


def _whole(
    cluster: Cluster,
    kind: str,
    **options: Any,  # noqa: ANN401  # those of Informer
) -> Informer[Object]:
    """Return a copy of whole objects, each as JSON: tens of thousands of dictionaries are a lot."""
    return Informer(
        cluster, kind, keep=kinds.whole, pack=kinds.packed, unpack=kinds.unpacked, **options
    )


def make_true(
    cluster: Cluster, have: Iterable[Object], wanted: Iterable[Object], field: str
) -> None:
    """Create, change and delete objects of one kind until *have* is *wanted*.

    Nothing is written that is right already: to the API server a write that changes nothing costs
    as much as any.

    Args:
        cluster: Where.
        have: Those of ours that are there.
        wanted: Those that should be.
        field: The field that is compared, besides `roleRef` and annotations: `subjects` or `rules`.
    """
    left = {str(obj["metadata"]["name"]): obj for obj in have}
    for obj in wanted:
        current = left.pop(str(obj["metadata"]["name"]), None)
        if current is None:
            current = _created(cluster, obj)
        if current is not None:
            _correct(cluster, current, obj, field)
    for obj in left.values():
        remove(cluster, obj)


def remove(cluster: Cluster, obj: Object) -> None:
    """Delete exactly this object; it is fine if it is gone, or another by now."""
    meta = obj["metadata"]
    with contextlib.suppress(NotFoundError, ConflictError):
        cluster.delete(
            str(obj["kind"]), str(meta["name"]), meta.get("namespace"), uid=meta.get("uid")
        )


def write_status(
    cluster: Cluster,
    obj: Object,
    patch: Mapping[str, Any] | None,
    copy: Informer[Any] | None = None,
) -> None:
    """Write what `conditions.status_patch` found; it is fine if the object is gone.

    Args:
        cluster: Where.
        obj: What; kind and name are enough.
        patch: None to write nothing.
        copy: Learns of it at once.
    """
    if patch is not None:
        with contextlib.suppress(NotFoundError):
            new = cluster.patch_status(str(obj["kind"]), str(obj["metadata"]["name"]), patch)
            if copy is not None:
                copy.learn(new)


def _created(cluster: Cluster, obj: Object) -> Object | None:
    """Create *obj*; return what is there instead if something is."""
    try:
        cluster.create(obj)
    except ConflictError as exc:
        if exc.reason != "AlreadyExists":
            raise
        meta = obj["metadata"]
        return cluster.get(str(obj["kind"]), str(meta["name"]), meta.get("namespace"))
    return None


def _correct(cluster: Cluster, current: Object, wanted: Object, field: str) -> None:
    meta = wanted["metadata"]
    if current.get("roleRef") != wanted.get("roleRef"):  # which cannot be changed
        remove(cluster, current)
        cluster.create(wanted)
        return
    there = current["metadata"]
    marks = {
        name: meta[name]
        for name in ("labels", "annotations")
        if name in meta and not meta[name].items() <= (there.get(name) or {}).items()
    }
    changes: Object = {"metadata": marks} if marks else {}
    if (current.get(field) or []) != wanted[field]:
        changes[field] = wanted[field]
    if changes:
        cluster.patch(str(wanted["kind"]), str(meta["name"]), changes, meta.get("namespace"))
