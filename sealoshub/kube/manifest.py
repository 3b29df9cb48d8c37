"""What can be said about an object without asking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.kube import Object

_BOOKKEEPING: Final = frozenset({"managedFields", "resourceVersion", "generation"})


def key_of(manifest: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Return kind, name and namespace of *manifest*.

    Raises:
        InvalidInputError: It has no kind or no name.
    """
    kind = manifest.get("kind")
    meta = manifest.get("metadata") or {}
    if not isinstance(kind, str) or not isinstance(meta.get("name"), str):
        raise InvalidInputError("a manifest needs kind and metadata.name")
    return kind, meta["name"], meta.get("namespace")


def label_of(kind: str, name: str, namespace: str | None) -> str:
    """Return what an object is called in a message."""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def content_of(obj: Object) -> Object:
    """Return what an apply can change; a controller writes the rest at any moment."""
    meta = {key: item for key, item in obj["metadata"].items() if key not in _BOOKKEEPING}
    return {**obj, "metadata": meta, "status": None}


def without_managed_fields(manifest: Mapping[str, Any]) -> Object:
    """Drop what an apply must not carry, so that an object just read can be applied."""
    meta = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return {**manifest, "metadata": meta}
