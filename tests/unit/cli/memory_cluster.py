"""A cluster in memory that keeps versions apart, as an API server does."""

from __future__ import annotations

import threading
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from sealoshub.errors import NotFoundError
from sealoshub.imagehub.names import API_VERSION, labels_for, object_name
from sealoshub.kube import ConflictError, UserInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.errors import SealosHubError
    from sealoshub.kube import Object


@dataclass
class MemoryCluster:
    """Stands for `sealoshub.kube.cluster.Cluster`.

    Args:
        refuses: Raised by every write.
        lags: How often somebody else changes an object between a read and its write.
        served: Whether the kinds are known.
    """

    refuses: SealosHubError | None = None
    lags: int = 0
    served: bool = True
    server: str = "https://dev:6443"
    deleted: list[str] = field(default_factory=list)
    writes: list[dict[str, Any]] = field(default_factory=list)
    _objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _version: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def add(self, kind: str, name: str, /, **spec: Any) -> Object:  # noqa: ANN401  # JSON
        """Store an object by its `spec.name`, with the labels that the controller gives."""
        labels = {} if kind in {"Organization", "DataPack"} else labels_for(name)
        manifest = {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {
                "name": object_name(name),
                "uid": f"uid-{name}",
                "labels": labels,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {"name": name, **spec},
        }
        return self._store(manifest)

    def whoami(self) -> UserInfo:
        """Say who it is."""
        return UserInfo("alice")

    def get(self, kind: str, name: str) -> Object:
        """Return what is stored."""
        if (kind, name) not in self._objects:
            raise NotFoundError(f"cannot read {kind} {name}: not found")
        return deepcopy(self._objects[kind, name])

    def look_up(self, kind: str, name: str) -> Object:
        """Return what is stored."""
        return self.get(kind, name)

    def list(self, kind: str, *, label_selector: str | None = None) -> list[Object]:
        """Return what is stored, with that label."""
        if not self.served:
            raise NotFoundError("the server could not find the requested resource")
        key, _, value = (label_selector or "").partition("=")
        return [
            deepcopy(obj)
            for (found, _), obj in self._objects.items()
            if found == kind and (not key or obj["metadata"]["labels"].get(key) == value)
        ]

    def create(self, manifest: Mapping[str, Any]) -> Object:
        """Store what is not there yet."""
        self._may()
        key = manifest["kind"], manifest["metadata"]["name"]
        if key in self._objects:
            raise ConflictError(f"{key[1]} already exists", reason="AlreadyExists")
        self.writes.append(dict(manifest))
        return self._store(manifest)

    def patch(self, kind: str, name: str, changes: Mapping[str, Any]) -> Object:
        """Merge, unless the object has got another version since it was read."""
        self._may()
        with self._lock:
            found = self.get(kind, name)
            wanted = changes.get("metadata", {}).get("resourceVersion")
            if self.lags:
                self.lags -= 1
                self._store(found)
                found = self.get(kind, name)
            if wanted not in {None, found["metadata"]["resourceVersion"]}:
                raise ConflictError("the object has been modified")
            self.writes.append(dict(changes))
            found["metadata"].setdefault("annotations", {}).update(
                changes.get("metadata", {}).get("annotations", {})
            )
            for part in ("spec", "status"):
                if part in changes:
                    found[part] = _merged(found.get(part), changes[part])
            return self._store(found)

    def delete(self, kind: str, name: str, *, uid: str | None = None) -> None:
        """Remove what has that UID."""
        self._may()
        assert self.get(kind, name)["metadata"]["uid"] == uid
        del self._objects[kind, name]
        self.deleted.append(f"{kind} {name}")

    def _may(self) -> None:
        if self.refuses is not None:
            raise self.refuses

    def _store(self, manifest: Mapping[str, Any]) -> Object:
        obj = deepcopy(dict(manifest))
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        self._objects[obj["kind"], obj["metadata"]["name"]] = obj
        return deepcopy(obj)


def _merged(old: Any, patch: Any) -> Any:  # noqa: ANN401  # JSON
    """Return *old* with a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value)
    return found
