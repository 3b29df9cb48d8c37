"""Validation of an object by its schema, in the words of kube-openapi and apiextensions.

On updates a value that did not change is not judged again ("ratcheting", KEP-4008), so that a
stricter schema does not lock old objects.
"""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api import cel_library
from sealoshub.hub.api.cel_values import CelError, equal, is_number
from sealoshub.hub.api.status import Cause, go_value, invalid_value, required, unsupported

if TYPE_CHECKING:
    from sealoshub.hub.api.schema import Schema

MISSING: Final = object()
# Faults that leave nothing for the rules in CEL to judge.
BLOCKING: Final = frozenset(
    {
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
_INTEGERS: Final = {"int32": range(-(2**31), 2**31), "int64": range(-(2**63), 2**63)}


def validate(schema: Schema, value: Any, old: Any = MISSING, path: str = "") -> list[Cause]:
    """Return the faults of *value*.

    Args:
        schema: What it should be.
        value: The object or a part of it.
        old: The same part before the change; `MISSING` if there was none.
        path: Where it stands, `spec.members[0]`.
    """
    if old is not MISSING and equal(value, old):
        return []
    faults = _type(schema, value, path)
    if faults:
        return faults
    if value is None:
        return []
    faults = _limits(schema, value, path)
    if isinstance(value, dict):
        faults += _object(schema, value, old, path)
    elif isinstance(value, list):
        faults += _array(schema, value, old, path)
    return faults + _alternatives(schema, value, path)


def child_path(path: str, name: str, *, is_map: bool = False) -> str:
    """Return the path of a field, or of an entry of a map."""
    if is_map:
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else name


def correlations(schema: Schema, old: Any) -> dict[tuple[str, ...], Any]:
    """Return the items of the list *old* by what identifies them; nothing for other lists."""
    if schema.list_type != "map" or not isinstance(old, list):
        return {}
    return {item_key(schema, one): one for one in old if isinstance(one, dict)}


def former(schema: Schema, known: dict[tuple[str, ...], Any], item: Any) -> Any:
    """Return *item*'s former self out of `correlations`, or `MISSING`."""
    if not known or not isinstance(item, dict):
        return MISSING
    return known.get(item_key(schema, item), MISSING)


def item_key(schema: Schema, item: dict[str, Any]) -> tuple[str, ...]:
    """Return what identifies an item of a `map` list, defaults included."""
    keys = []
    for name in schema.map_keys:
        known = schema.items.properties.get(name) if schema.items is not None else None
        default = known.default if known is not None and known.has_default else None
        value = item.get(name, default)
        keys.append(f'"{value}' if isinstance(value, str) else json.dumps(value, sort_keys=True))
    return tuple(keys)


def type_of(value: Any) -> str:  # noqa: PLR0911  # one line per type
    """Return the name of a JSON value's type as JSON Schema has it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _type(schema: Schema, value: Any, path: str) -> list[Cause]:
    actual = type_of(value)
    if (value is None and schema.nullable) or (not schema.type and not schema.int_or_string):
        return []
    if schema.int_or_string:
        return [] if actual in {"integer", "string"} else [_wrong(path, "integer,string", actual)]
    if actual == schema.type or (schema.type == "number" and actual == "integer"):
        return []
    if schema.type == "integer" and isinstance(value, float) and value.is_integer():
        return []
    return [_wrong(path, schema.type, actual)]


def _wrong(path: str, wanted: str, actual: str) -> Cause:
    text = f"{path} in body must be of type {wanted}: {json.dumps(actual)}"
    return Cause("FieldValueTypeInvalid", f"Invalid value: {json.dumps(actual)}: {text}", path)


def _limits(schema: Schema, value: Any, path: str) -> list[Cause]:
    limits = schema.limits
    faults: list[Cause] = []
    if not limits:
        return faults
    if "enum" in limits and not any(equal(value, one) for one in limits["enum"]):
        faults.append(unsupported(path, value, [_plain(one) for one in limits["enum"]]))
    if isinstance(value, str):
        faults += _text(limits, value, path)
    elif is_number(value):
        faults += _number(limits, value, path)
    elif isinstance(value, list):
        faults += _count(limits, ("minItems", "maxItems", "items"), value, path)
        if limits.get("uniqueItems") and any(
            equal(one, two) for at, one in enumerate(value) for two in value[:at]
        ):
            faults.append(
                invalid_value(path, value, f"{path} in body shouldn't contain duplicates")
            )
    elif isinstance(value, dict):
        faults += _count(limits, ("minProperties", "maxProperties", "properties"), value, path)
    return faults


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text(limits: dict[str, Any], value: str, path: str) -> list[Cause]:
    faults: list[Cause] = []
    longest = limits.get("maxLength")
    if longest is not None and len(value) > longest:
        unit = "byte" if longest == 1 else "bytes"
        faults.append(
            Cause("FieldValueTooLong", f"Too long: may not be more than {longest} {unit}", path)
        )
    shortest = limits.get("minLength")
    if shortest is not None and len(value) < shortest:
        text = f"{path} in body should be at least {shortest} chars long"
        faults.append(invalid_value(path, value, text))
    pattern = limits.get("pattern")
    if pattern is not None and not faults and not _fits(value, pattern):
        text = f"{path} in body should match '{pattern}'"
        faults.append(invalid_value(path, value, text))
    if limits.get("format") == "date-time" and not _is_time(value):
        text = f"{path} in body must be of type date-time: {json.dumps(value)}"
        shown = f"Invalid value: {json.dumps(value)}: {text}"
        faults.append(Cause("FieldValueTypeInvalid", shown, path))
    return faults


def _fits(value: str, pattern: str) -> bool:
    try:
        return cel_library.matches(value, pattern)
    except CelError:
        return False


def _is_time(value: str) -> bool:
    try:
        dt.datetime.fromisoformat(value)
    except ValueError:
        return False
    return "T" in value or "t" in value


def _number(limits: dict[str, Any], value: float, path: str) -> list[Cause]:
    faults: list[Cause] = []
    least, most = limits.get("minimum"), limits.get("maximum")
    above, below = limits.get("exclusiveMinimum"), limits.get("exclusiveMaximum")
    if least is not None and (value < least or (above and value == least)):
        word = "greater than" if above else "greater than or equal to"
        faults.append(
            invalid_value(path, value, f"{path} in body should be {word} {go_value(least)}")
        )
    if most is not None and (value > most or (below and value == most)):
        word = "less than" if below else "less than or equal to"
        faults.append(
            invalid_value(path, value, f"{path} in body should be {word} {go_value(most)}")
        )
    factor = limits.get("multipleOf")
    if factor and value % factor:
        text = f"{path} in body should be a multiple of {go_value(factor)}"
        faults.append(invalid_value(path, value, text))
    allowed = _INTEGERS.get(limits.get("format", ""))
    if allowed is not None and int(value) not in allowed:
        kind = limits["format"]
        text = f"Checked value must be of type integer with format {kind} in body"
        faults.append(invalid_value(path, value, text))
    return faults


def _count(
    limits: dict[str, Any], words: tuple[str, str, str], value: Any, path: str
) -> list[Cause]:
    least, most, noun = limits.get(words[0]), limits.get(words[1]), words[2]
    if least is not None and len(value) < least:
        text = f"{path} in body should have at least {least} {noun}"
        return [invalid_value(path, len(value) if noun == "items" else value, text)]
    if most is not None and len(value) > most:
        unit = "item" if most == 1 else "items"
        text = f"Too many: {len(value)}: must have at most {most} {unit}"
        return [Cause("FieldValueTooMany", text, path)]
    return []


def _object(schema: Schema, value: dict[str, Any], old: Any, path: str) -> list[Cause]:
    faults = [
        required(child_path(path, name)) for name in sorted(schema.required) if name not in value
    ]
    for name, item in value.items():
        child = schema.child(name)
        if child is not None and not path and name == "metadata":
            faults += _names(child, item)
        elif child is not None:
            before = old.get(name, MISSING) if isinstance(old, dict) else MISSING
            faults += validate(child, item, before, child_path(path, name))
    return faults


def _names(schema: Schema, metadata: dict[str, Any]) -> list[Cause]:
    """Return the faults of the only two fields of metadata that a CRD can restrict."""
    faults: list[Cause] = []
    for name in ("name", "generateName"):
        child = schema.properties.get(name)
        if child is not None and child.limits and name in metadata:
            faults += validate(child, metadata[name], MISSING, f"metadata.{name}")
    return faults


def _array(schema: Schema, value: list[Any], old: Any, path: str) -> list[Cause]:
    faults: list[Cause] = []
    if schema.items is not None:
        known = correlations(schema, old)
        for at, item in enumerate(value):
            before = former(schema, known, item)
            faults += validate(schema.items, item, before, f"{path}[{at}]")
    seen: set[Any] = set()
    for at, item in enumerate(value):
        if schema.list_type == "set":
            key: Any = json.dumps(item, sort_keys=True)
            shown: Any = item
        elif schema.list_type == "map" and isinstance(item, dict):
            key = item_key(schema, item)
            shown = {name: item.get(name) for name in schema.map_keys}
        else:
            break
        if key in seen:
            text = f"Duplicate value: {go_value(shown)}"
            faults.append(Cause("FieldValueDuplicate", text, f"{path}[{at}]"))
        seen.add(key)
    return faults


def _alternatives(schema: Schema, value: Any, path: str) -> list[Cause]:
    faults: list[Cause] = []
    for one in schema.alternatives.get("allOf", ()):
        faults += validate(one, value, MISSING, path)
    some = schema.alternatives.get("anyOf")
    if some and not schema.int_or_string and not any(_good(one, value, path) for one in some):
        text = f"{path} in body must validate at least one schema (anyOf)"
        faults.append(invalid_value(path, "", text))
    exact = schema.alternatives.get("oneOf")
    if exact and sum(_good(one, value, path) for one in exact) != 1:
        text = f"{path} in body must validate one and only one schema (oneOf)"
        faults.append(invalid_value(path, "", text))
    refused = schema.alternatives.get("not")
    if refused and _good(refused[0], value, path):
        text = f"{path} in body must not validate the schema (not)"
        faults.append(invalid_value(path, "", text))
    return faults


def _good(schema: Schema, value: Any, path: str) -> bool:
    return not validate(schema, value, MISSING, path)
