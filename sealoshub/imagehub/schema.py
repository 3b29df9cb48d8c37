"""Check an object against the structural schema of its CRD, so that a fault has a line number.

The API server decides; this finds what can be found before anything is sent. Schemas are those of
the CRD manifests (OpenAPI 3.0 as `apiextensions.k8s.io/v1` allows it); CEL rules are not run here.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sealoshub.imagehub.install import CRDS, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]
Fault = tuple[Path, str]

_TYPES: Final[Mapping[str, tuple[str, type | tuple[type, ...]]]] = {
    "object": ("an object", dict),
    "array": ("a list", list),
    "string": ("a string", str),
    "integer": ("a whole number", int),
    "number": ("a number", (int, float)),
    "boolean": ("true or false", bool),
}


@lru_cache(maxsize=8)  # one entry for each kind; the files of the package do not change
def schema_of(kind: str) -> Mapping[str, Any]:
    """Return the schema of *kind*.

    Raises:
        KeyError: The hub has no such kind.
    """
    for name in CRDS:
        for crd in load(name):
            if crd["spec"]["names"]["kind"] == kind:
                schema: Mapping[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
                return schema
    raise KeyError(kind)


def faults(schema: Mapping[str, Any], value: object, path: Path = ()) -> Iterator[Fault]:
    """Yield where *value* breaks *schema*, and how.

    A null is taken for an absent field, as the API server does where null is not allowed.
    """
    wanted = str(schema.get("type"))
    if value is None:
        return
    if wanted in _TYPES:
        words, kinds = _TYPES[wanted]
        if not isinstance(value, kinds) or (wanted != "boolean" and isinstance(value, bool)):
            yield path, f"must be {words}, and is {_name_of(value)}"
            return
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        yield path, f"must be one of {', '.join(map(str, allowed))}"
    if isinstance(value, str):
        yield from _string(schema, value, path)
    elif isinstance(value, list):
        yield from _array(schema, value, path)
    elif isinstance(value, dict):
        yield from _object(schema, value, path)
    elif isinstance(value, (int, float)) and value < schema.get("minimum", value):
        yield path, f"must be at least {schema['minimum']}"


def _string(schema: Mapping[str, Any], value: str, path: Path) -> Iterator[Fault]:
    if len(value) < schema.get("minLength", 0):
        yield path, "must not be empty"
    elif len(value) > schema.get("maxLength", len(value)):
        yield path, f"must not be longer than {schema['maxLength']} characters"
    elif "pattern" in schema and not re.search(schema["pattern"], value):
        yield path, f"{value[:80]!r} is malformed: {_meaning(schema)}"
    elif schema.get("format") == "date-time" and not _is_time(value):
        yield path, f"{value[:80]!r} is not a time as in 2026-01-31T12:00:00Z"


def _array(schema: Mapping[str, Any], value: list[object], path: Path) -> Iterator[Fault]:
    if len(value) > schema.get("maxItems", len(value)):
        yield path, f"must not have more than {schema['maxItems']} items"
        return
    items = schema.get("items", {})
    for index, item in enumerate(value):
        yield from faults(items, item, (*path, index))
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys:
        return
    seen: set[tuple[str, ...]] = set()
    for index, item in enumerate(value):
        if isinstance(item, dict):
            key = tuple(str(item.get(name) or "") for name in keys)
            if key in seen:
                yield (*path, index), f"{' '.join(filter(None, key))} is there twice"
            seen.add(key)


def _object(schema: Mapping[str, Any], value: dict[Any, object], path: Path) -> Iterator[Fault]:
    properties = schema.get("properties", {})
    extra = schema.get("additionalProperties")
    keeps = schema.get("x-kubernetes-preserve-unknown-fields") is True or not properties
    for name in schema.get("required", ()):
        if value.get(name) is None:
            yield path, f"{name} is missing"
    for name, item in value.items():
        if name in properties:
            yield from faults(properties[name], item, (*path, name))
        elif isinstance(extra, dict):
            yield from faults(extra, item, (*path, name))
        elif not keeps:
            known = ", ".join(sorted(properties))
            yield (*path, name), f"there is no such field; there are {known}"


def _name_of(value: object) -> str:
    # bool before int, of which it is a subclass
    for kind in ("boolean", "object", "array", "string", "integer", "number"):
        words, kinds = _TYPES[kind]
        if isinstance(value, kinds):
            return words
    return type(value).__name__


def _meaning(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description") or f"it must match {schema['pattern']}")


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
