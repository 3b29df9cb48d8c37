"""What the controller keeps of each kind, and the objects of its own that it writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from sys import intern
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import InvalidInputError
from sealoshub.imagehub import names
from sealoshub.imagehub.controller.shown import shown
from sealoshub.imagehub.rights import CLUSTER_ROLE_OF, VERBS_OF_ROLE, Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealoshub.imagehub.subjects import Subject
    from sealoshub.kube import Object

FIELD_MANAGER: Final = names.CONTROLLER
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OURS: Final = f"{MANAGED_BY}={FIELD_MANAGER}"  # selector
# An annotation, because the name of a repository can be longer than a label.
REPOSITORY_NOTE: Final = names.REPOSITORY_NOTE
# A Lease by which the token server says that a registry told of a change (authserver/events.py).
CONTENT_CHANGED: Final = f"{names.CONTENT_LABEL}=changed"  # selector
ORGANIZATION_UID_NOTE: Final = f"{names.GROUP}/organization-uid"
_CONDITION: Final = (
    "type",
    "status",
    "reason",
    "message",
    "observedGeneration",
    "lastTransitionTime",
)
_NO_CHANGES: Final[Mapping[str, str | None]] = MappingProxyType({})  # one for all
_RBAC: Final = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Picture:
    """What is kept of an Image: little, because there are many and their docs are long.

    Args:
        object_name: `metadata.name`.
        path: `org/repo`; empty if `spec.name` is missing or malformed.
        tag: The tag.
        size: Bytes, or None.
        created: When it was built, else when the resource was made; RFC 3339.
        digest: Or an empty string.
        creator: Kubernetes user name, or an empty string.
        relabel: The labels to change, which mostly are none; None removes one.
        generation: `metadata.generation`.
        said: The status, as values without their names.
        deleting: Whether it is on its way out.
        seen: Digest, size and time of `status.tag`; None without it.
    """

    object_name: str
    path: str
    tag: str
    size: int | None
    created: str
    digest: str
    creator: str
    relabel: Mapping[str, str | None]
    generation: int | None
    said: tuple[tuple[object, ...], ...]
    deleting: bool
    seen: tuple[str, int | None, str] | None = None

    @property
    def spec_name(self) -> str:
        """`org/repo:tag`."""
        return f"{self.path}:{self.tag}"

    @property
    def status(self) -> dict[str, Any]:
        """The status of the resource: its conditions, and what its tag names."""
        if not self.said:
            return {}
        (observed,), *conditions = self.said
        tag = None if self.seen is None else _tag_status(self.seen)
        return {
            **({} if tag is None else {"tag": tag, "shown": shown(tag)}),
            "observedGeneration": observed,
            "conditions": [
                {
                    name: value
                    for name, value in zip(_CONDITION, item, strict=True)
                    if value is not None
                }
                for item in conditions
            ],
        }

    @property
    def is_canonical(self) -> bool:
        """Whether its name is the one that the rules derive, and not the folded one."""
        return self.object_name == names.object_name(self.spec_name)


def picture(obj: Object) -> Picture:
    """Return what is kept of an Image."""
    meta, spec = obj["metadata"], obj.get("spec") or {}
    detail = spec.get("detail") or {}
    # Most strings of a hundred thousand images are those of another image.
    path, _, tag = (intern(part) for part in str(spec.get("name") or "").partition(":"))
    size = detail.get("size")
    return Picture(
        object_name=meta["name"],
        path=path if tag else "",
        tag=tag,
        size=size if isinstance(size, int) else None,
        created=intern(str(detail.get("creatTime") or meta.get("creationTimestamp") or "")),
        digest=intern(str(spec.get("digest") or "")),
        creator=intern(str(spec.get("creator") or "")),
        relabel=_label_changes(
            f"{path}:{tag}",
            [str(word) for word in detail.get("keywords") or ()],
            meta.get("labels") or {},
        ),
        generation=meta.get("generation"),
        said=_said(obj.get("status") or {}),
        deleting="deletionTimestamp" in meta,
        seen=_seen((obj.get("status") or {}).get("tag")),
    )


def _label_changes(
    name: str, keywords: Sequence[str], labels: Mapping[str, str]
) -> Mapping[str, str | None]:
    try:
        wanted = names.labels_for(name, keywords)
    except InvalidInputError:
        return _NO_CHANGES  # an object older than the rules
    changes: dict[str, str | None] = {
        key: value for key, value in wanted.items() if labels.get(key) != value
    }
    for key in labels:
        if key.startswith(names.KEYWORD_LABEL) and key not in wanted:
            changes[key] = None
    return changes or _NO_CHANGES


def _said(status: Mapping[str, Any]) -> tuple[tuple[object, ...], ...]:
    """Return the values of a status; its conditions are some of the same few strings."""
    conditions = status.get("conditions") or ()
    if not status:
        return ()
    values = ((item.get(name) for name in _CONDITION) for item in conditions)
    shared = [
        tuple(intern(value) if isinstance(value, str) else value for value in item)
        for item in values
    ]
    return ((status.get("observedGeneration"),), *shared)


def _seen(tag: object) -> tuple[str, int | None, str] | None:
    """Return `status.tag` as values without their names."""
    if not isinstance(tag, dict) or not tag.get("digest"):
        return None
    size = tag.get("size")
    since = intern(str(tag.get("since") or ""))
    return intern(str(tag["digest"])), size if isinstance(size, int) else None, since


def _tag_status(seen: tuple[str, int | None, str]) -> dict[str, Any]:
    digest, size, since = seen
    return {"digest": digest, "since": since} | ({} if size is None else {"size": size})


def whole(obj: Object) -> Object:
    """Return the object without `managedFields`, which is most of a small one."""
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}


def packed(obj: Object) -> bytes:
    """Return an object as JSON: a tenth of what its dictionaries take."""
    return json.dumps(obj, separators=(",", ":")).encode()


def unpacked(text: bytes) -> Object:
    """Return the object that `packed` made *text* of."""
    found: Object = json.loads(text)
    return found


def organization_of(obj: Object) -> str | None:
    """Return the organisation that an object of ours is labelled with."""
    label = (obj["metadata"].get("labels") or {}).get(names.ORGANIZATION_LABEL)
    return str(label) if label else None


def spec_path(obj: Object) -> str:
    """Return `org/repo` of a Repository; empty if it has no name."""
    return str((obj.get("spec") or {}).get("name") or "")


def path_of_grant(obj: Object) -> str | None:
    """Return `org/repo` that a Role or RoleBinding of ours is for; None: the whole organisation."""
    note = (obj["metadata"].get("annotations") or {}).get(REPOSITORY_NOTE)
    return str(note) if note else None


def target_of(note: Object) -> str:
    """Return what changed: a tag, the digest of what was deleted, or empty for anything."""
    return str((note["metadata"].get("annotations") or {}).get(names.TARGET_NOTE) or "")


def actor_of(note: Object) -> str:
    """Return the user who pushed; empty if nobody knows."""
    return str((note["metadata"].get("annotations") or {}).get(names.ACTOR_NOTE) or "")


def digest_of(note: Object) -> str:
    """Return the digest that was pushed; empty if it was no push."""
    return str((note["metadata"].get("annotations") or {}).get(names.DIGEST_NOTE) or "")


def namespace(organization: Object) -> Object:
    """Return the namespace of *organization*."""
    meta = organization["metadata"]
    name = str(meta["name"])
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": names.organization_namespace(name),
            "labels": {names.ORGANIZATION_LABEL: name, MANAGED_BY: FIELD_MANAGER},
            "annotations": {ORGANIZATION_UID_NOTE: str(meta["uid"])},
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": "Organization",
                    "name": name,
                    "uid": str(meta["uid"]),
                }
            ],
        },
    }


def organization_binding(name: str, role: Role, subjects: Sequence[Subject]) -> Object:
    """Return the RoleBinding of one role in the organisation *name*."""
    return _binding(
        _meta(name, CLUSTER_ROLE_OF[role]), "ClusterRole", CLUSTER_ROLE_OF[role], subjects
    )


def repository_grants(path: str, role: Role, subjects: Sequence[Subject]) -> tuple[Object, Object]:
    """Return the Role of one role in the repository *path*, and its RoleBinding."""
    organization, _, repository = path.partition("/")
    meta = _meta(organization, f"imagehub:{role}:{repository}", path)
    rule = {
        "apiGroups": [names.GROUP],
        "resources": ["repositories"],
        "resourceNames": [repository],
        "verbs": [str(verb) for verb in VERBS_OF_ROLE[role]],
    }
    allowed = {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": meta, "rules": [rule]}
    return allowed, _binding(meta, "Role", str(meta["name"]), subjects)


def _meta(organization: str, name: str, path: str | None = None) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": name,
        "namespace": names.organization_namespace(organization),
        "labels": {names.ORGANIZATION_LABEL: organization, MANAGED_BY: FIELD_MANAGER},
    }
    if path is not None:
        meta["annotations"] = {REPOSITORY_NOTE: path}
    return meta


def _binding(meta: Mapping[str, Any], kind: str, role: str, subjects: Sequence[Subject]) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": dict(meta),
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
        "subjects": [subject.manifest() for subject in subjects],
    }
