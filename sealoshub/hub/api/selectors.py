"""Label and field selectors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api import metadata
from sealoshub.hub.api.status import bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.hub.api.resources import Resource

_PART: Final = re.compile(r"[^,(]*(?:\([^)]*\))?[^,(]*")
_SET: Final = re.compile(r"([^\s!=<>,()]+)\s+(in|notin)\s*\(([^)]*)\)")
_EQUAL: Final = re.compile(r"([^\s!=<>,()]+)\s*(==|!=|=)\s*([^\s!=<>,()]*)")
_NUMBER: Final = re.compile(r"([^\s!=<>,()]+)\s*([<>])\s*([0-9]+)")
_EXISTS: Final = re.compile(r"(!?)\s*([^\s!=<>,()]+)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition: `key in (values)`.

    Args:
        key: Label key or field path.
        operator: `in`, `notin`, `exists`, `missing`, `>` or `<`.
        values: What is compared.
    """

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, values: Mapping[str, str]) -> bool:
        """Tell whether *values* satisfy it."""
        value = values.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "missing":
                return value is None
            case _:
                if value is None or not value.isdecimal():
                    return False
                more = int(value) > int(self.values[0])
                less = int(value) < int(self.values[0])
                return more if self.operator == ">" else less


@dataclass(frozen=True, slots=True)
class Selector:
    """What of a resource is asked for.

    Args:
        labels: Conditions on labels.
        fields: Conditions on fields.
        selectable: JSON paths of the fields that this resource offers.
    """

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()
    selectable: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, body: dict[str, Any]) -> bool:
        """Tell whether an object satisfies all conditions."""
        if self.labels:
            labels = body["metadata"].get("labels") or {}
            if not all(one.holds(labels) for one in self.labels):
                return False
        if self.fields:
            values = {
                "metadata.name": body["metadata"]["name"],
                "metadata.namespace": body["metadata"].get("namespace", ""),
            }
            for path in self.selectable:
                values[path.removeprefix(".")] = _text(body, path)
            return all(one.holds(values) for one in self.fields)
        return True


def parse(resource: Resource, labels: str, fields: str) -> Selector:
    """Read the parameters `labelSelector` and `fieldSelector`.

    Raises:
        ApiError: 400 if one is malformed or names a field that cannot be selected.
    """
    known = {"metadata.name", "metadata.namespace"}
    known |= {path.removeprefix(".") for path in resource.selectable}
    conditions = _fields(fields)
    for one in conditions:
        if one.key not in known:
            raise bad_request(f"field label not supported: {one.key}")
    return Selector(_labels(labels), conditions, resource.selectable)


def _labels(text: str) -> tuple[Requirement, ...]:
    found: list[Requirement] = []
    for part in _split(text):
        made = _label(part)
        faults = metadata.label_key(made.key)
        if made.operator in {"in", "notin"}:
            faults += [fault for value in made.values for fault in metadata.label_value(value)]
        if faults:
            raise bad_request(f"unable to parse requirement: {faults[0]}")
        found.append(made)
    return tuple(found)


def _split(text: str) -> list[str]:
    if not text.strip():
        return []
    parts = [part.strip() for part in _PART.findall(text)]
    return [part for part in parts if part]


def _label(part: str) -> Requirement:
    if found := _SET.fullmatch(part):
        values = tuple(value.strip() for value in found[3].split(","))
        return Requirement(found[1], found[2], values)
    if found := _EQUAL.fullmatch(part):
        return Requirement(found[1], "notin" if found[2] == "!=" else "in", (found[3],))
    if found := _NUMBER.fullmatch(part):
        return Requirement(found[1], found[2], (found[3],))
    if found := _EXISTS.fullmatch(part):
        return Requirement(found[2], "missing" if found[1] else "exists")
    raise bad_request(f"unable to parse requirement: found '{part}'")


def _fields(text: str) -> tuple[Requirement, ...]:
    found: list[Requirement] = []
    for part in text.split(","):
        if not part:
            continue
        for operator in ("!=", "==", "="):
            left, hit, right = part.partition(operator)
            if hit:
                found.append(Requirement(left, "notin" if operator == "!=" else "in", (right,)))
                break
        else:
            raise bad_request(f'invalid selector: "{text}"; can\'t understand "{part}"')
    return tuple(found)


def _text(body: dict[str, Any], path: str) -> str:
    value: Any = body
    for name in path.strip(".").split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
