"""Sets of fields: who owns what of an object, and what differs between two of them.

The rules are those of sigs.k8s.io/structured-merge-diff. A field is a path of elements as FieldsV1
writes them: `f:NAME` for a field, `k:{"name":"x"}` for an item of a `map` list, `v:"x"` for an item
of a `set`.
"""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api.cel_values import equal
from sealoshub.hub.api.validation import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealoshub.hub.api.schema import Schema

Path = tuple[str, ...]
Fields = frozenset[Path]
NONE: Final[Fields] = frozenset()
# What nobody owns: fieldmanager.stripMeta in k8s.io/apimachinery.
_STRIPPED: Final[Fields] = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                "clusterName",
                "creationTimestamp",
                "generation",
                "managedFields",
                "name",
                "namespace",
                "resourceVersion",
                "selfLink",
                "uid",
            )
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two objects.

    Args:
        added: Fields of the second only.
        modified: Fields of both with different values.
        removed: Fields of the first only.
    """

    added: Fields
    modified: Fields
    removed: Fields


def fields_of(schema: Schema, value: dict[str, Any]) -> Fields:
    """Return the fields that an applied configuration claims."""
    found: set[Path] = set()
    _collect(schema, value, (), found)
    return frozenset(found) - {()}


def compare(schema: Schema, old: Any, new: Any) -> Difference:
    """Return what differs between two objects."""
    sets: tuple[set[Path], set[Path], set[Path]] = (set(), set(), set())
    _compare(schema, old, new, (), sets)
    return Difference(*(frozenset(one) for one in sets))


def strip(fields: Fields) -> Fields:
    """Leave out what nobody owns."""
    return fields - _STRIPPED


def without(fields: Fields, roots: Iterable[str]) -> Fields:
    """Leave out everything below the top-level fields *roots*."""
    names = {f"f:{name}" for name in roots}
    return frozenset(path for path in fields if path[0] not in names)


def parents(fields: Fields) -> Fields:
    """Add the named fields above each field."""
    found = set(fields)
    for path in fields:
        for end in range(1, len(path)):
            if path[end - 1].startswith("f:"):
                found.add(path[:end])
    return frozenset(found)


def to_fields_v1(fields: Fields) -> dict[str, Any]:
    """Write a set as `fieldsV1`."""
    root: dict[str, Any] = {}
    for path in sorted(fields):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    _drop_dots(root)
    return root


def from_fields_v1(root: dict[str, Any]) -> Fields:
    """Read a set from `fieldsV1`."""
    found: set[Path] = set()

    def walk(node: dict[str, Any], path: Path) -> None:
        if path and (not node or "." in node):
            found.add(path)
        for element, below in node.items():
            if element != "." and isinstance(below, dict):
                walk(below, (*path, element))

    walk(root, ())
    return frozenset(found)


def show(path: Path) -> str:
    """Write a path as conflicts do: `.spec.members[name="x"].role`."""
    text = ""
    for element in path:
        kind, rest = element[:2], element[2:]
        if kind == "f:":
            text += f".{rest}"
        elif kind == "k:":
            keys = json.loads(rest)
            inner = ",".join(f"{name}={json.dumps(keys[name])}" for name in sorted(keys))
            text += f"[{inner}]"
        elif kind == "v:":
            text += f"[={rest}]"
        else:
            text += f"[{rest}]"
    return text


def element_of(schema: Schema, item: Any, at: int) -> str:
    """Return the path element of an item of a list."""
    if schema.list_type == "set":
        return f"v:{json.dumps(item, sort_keys=True, separators=(',', ':'))}"
    if schema.list_type == "map" and isinstance(item, dict):
        keys: dict[str, Any] = {}
        for name in schema.map_keys:
            known = schema.items.properties.get(name) if schema.items is not None else None
            if name in item:
                keys[name] = item[name]
            elif known is not None and known.has_default:
                keys[name] = known.default
        return f"k:{json.dumps(keys, sort_keys=True, separators=(',', ':'))}"
    return f"i:{at}"


def is_leaf(schema: Schema, value: Any) -> bool:
    """Tell whether a value is owned as a whole."""
    if isinstance(value, dict):
        return schema.atomic
    if isinstance(value, list):
        return schema.list_type == "atomic"
    return True


def _collect(schema: Schema, value: Any, path: Path, found: set[Path]) -> None:
    if is_leaf(schema, value):
        found.add(path)
    elif isinstance(value, dict):
        for name, item in value.items():
            child = schema.child(name)
            below = (*path, f"f:{name}")
            if item is None or item == {} or name not in schema.properties:
                found.add(below)
            if child is not None and item is not None:
                _collect(child, item, below, found)
    elif schema.items is not None:
        for at, item in enumerate(value):
            below = (*path, element_of(schema, item, at))
            found.add(below)
            if isinstance(item, (dict, list)):
                _collect(schema.items, item, below, found)


def _compare(
    schema: Schema, old: Any, new: Any, path: Path, sets: tuple[set[Path], set[Path], set[Path]]
) -> None:
    added, modified, removed = sets
    one = old if old is not MISSING else new
    other = new if new is not MISSING else old
    same_kind = type(one) is type(other) and isinstance(one, (dict, list))
    if same_kind and not is_leaf(schema, one) and (one or other):
        if isinstance(one, dict):
            names = list(dict.fromkeys([*_part(old, {}), *_part(new, {})]))
            for name in names:
                child = schema.child(name)
                if child is not None:
                    before, after = _part(old, {}), _part(new, {})
                    _compare(
                        child,
                        before.get(name, MISSING),
                        after.get(name, MISSING),
                        (*path, f"f:{name}"),
                        sets,
                    )
        elif schema.items is not None:
            left, right = _items(schema, _part(old, [])), _items(schema, _part(new, []))
            for element in dict.fromkeys([*left, *right]):
                _compare(
                    schema.items,
                    left.get(element, MISSING),
                    right.get(element, MISSING),
                    (*path, element),
                    sets,
                )
    elif old is not MISSING and new is not MISSING and not equal(old, new) and path:
        modified.add(path)
    if path and old is MISSING:
        added.add(path)
    elif path and new is MISSING:
        removed.add(path)


def _part(value: Any, empty: Any) -> Any:
    return empty if value is MISSING or value is None else value


def _items(schema: Schema, values: list[Any]) -> dict[str, Any]:
    return {element_of(schema, item, at): item for at, item in enumerate(values)}


def _drop_dots(node: dict[str, Any]) -> None:
    """A leaf is written `{}`; only what has fields below keeps its `.`."""
    if len(node) == 1 and "." in node:
        del node["."]
    for name, below in node.items():
        if name != ".":
            _drop_dots(below)
