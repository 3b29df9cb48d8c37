"""The columns of `sealoshub get`: what of each kind is worth a look."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from sealoshub.amount import size_text
from sealoshub.cli.output import age

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealoshub.kube import Object

SHORT_DIGEST: Final = len("sha256:") + 12  # as docker shows them


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        title: Its head.
        cell: From an object to its text; empty if there is none.
        wide: Only where wide tables are wanted.
        prose: A narrow terminal may cut it.
    """

    title: str
    cell: Callable[[Object], str]
    wide: bool = False
    prose: bool = False


def name_of(obj: Object) -> str:
    """Return the name that people know *obj* by: `spec.name`, or else the resource's."""
    spec, meta = obj.get("spec") or {}, obj.get("metadata") or {}
    return str(spec.get("name") or meta.get("name") or "")


def _at(*path: str) -> Callable[[Object], str]:
    """Return a function that reads the field at *path*."""

    def read(obj: Object) -> str:
        return _text(_value(obj, path))

    return read


def _value(obj: Object, path: tuple[str, ...]) -> Any:  # noqa: ANN401  # a field of a Kubernetes object
    found: Any = obj
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _age(obj: Object) -> str:
    return age(_value(obj, ("metadata", "creationTimestamp")))


def _ready(obj: Object) -> str:
    if _value(obj, ("metadata", "deletionTimestamp")):
        return "deleting"
    for condition in _value(obj, ("status", "conditions")) or ():
        if isinstance(condition, dict) and condition.get("type") == "Ready":
            good = condition.get("status") == "True"
            return "yes" if good else _text(condition.get("reason")) or "no"
    return "pending"


def _used(obj: Object) -> str:
    count = _value(obj, ("status", "usage", "size"))
    return size_text(count) if isinstance(count, int) else ""


def _quota(obj: Object) -> str:
    if not _value(obj, ("spec", "quota")):
        return ""
    for condition in _value(obj, ("status", "conditions")) or ():
        if isinstance(condition, dict) and condition.get("type") == "WithinQuota":
            over = "over: " if condition.get("status") == "False" else ""
            return f"{over}{_text(condition.get('message'))}"
    return ""


def _visibility(obj: Object) -> str:
    # The default of the original: false.
    return "private" if _value(obj, ("spec", "isPrivate")) else "public"


def _default_visibility(obj: Object) -> str:
    return _text(_value(obj, ("spec", "defaultVisibility"))) or "private"


def _members(obj: Object) -> str:
    return str(len(_value(obj, ("spec", "members")) or ()))


def image_size(obj: Object) -> str:
    """Return the size of an image for a person."""
    count = _value(obj, ("spec", "detail", "size"))
    return size_text(count) if isinstance(count, int) else ""


def _short_digest(obj: Object) -> str:
    return _text(_value(obj, ("spec", "digest")))[:SHORT_DIGEST]


def _code(obj: Object) -> str:
    code = _value(obj, ("status", "code"))
    words = ("not run", "done", "pending", "failed")  # as the CRD has them
    return words[code] if isinstance(code, int) and 0 <= code < len(words) else _text(code)


keywords: Final = _at("spec", "detail", "keywords")
description: Final = _at("spec", "detail", "description")

_NAME: Final = Column("NAME", name_of)
_AGE: Final = Column("AGE", _age)
_CREATOR: Final = Column("CREATOR", _at("spec", "creator"), wide=True)
_RESOURCE: Final = Column("RESOURCE", _at("metadata", "name"), wide=True)

TABLES: Final[Mapping[str, tuple[Column, ...]]] = MappingProxyType(
    {
        "Organization": (
            _NAME,
            Column("VISIBILITY", _default_visibility),
            Column("REPOS", _at("status", "repoCount")),
            Column("READY", _ready),
            _AGE,
            _CREATOR,
            Column("MEMBERS", _members, wide=True),
            Column("SIZE", _used, wide=True),
            Column("QUOTA", _quota, wide=True),
            Column("TITLE", _at("spec", "displayName"), wide=True, prose=True),
        ),
        "Repository": (
            _NAME,
            Column("VISIBILITY", _visibility),
            Column("TAGS", _at("status", "tagCount")),
            Column("LATEST", _at("status", "latestTag", "name")),
            _AGE,
            _CREATOR,
            _RESOURCE,
        ),
        "Image": (
            _NAME,
            Column("DIGEST", _short_digest),
            Column("SIZE", image_size),
            _AGE,
            Column("PLATFORMS", _at("spec", "platforms"), wide=True),
            _CREATOR,
            _RESOURCE,
            Column("DESCRIPTION", description, wide=True, prose=True),
        ),
        "DataPack": (
            _NAME,
            Column("TYPE", _at("spec", "type")),
            Column("STATE", _code),
            Column("KEPT", _at("spec", "expireTime")),
            _AGE,
            _CREATOR,
            Column("IMAGES", _at("spec", "names"), wide=True, prose=True),
        ),
    }
)
