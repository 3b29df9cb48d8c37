r"""Read bodies in Kubernetes' protobuf: kubectl's typed commands send nothing else.

    "k8s\x00" + runtime.Unknown{typeMeta, raw}

The answer is JSON, which those clients accept. The messages are described by `protobuf.json`.
https://protobuf.dev/programming-guides/encoding/
"""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
import struct
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api.status import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1"
_UNKNOWN: Final = "io.k8s.apimachinery.pkg.runtime.Unknown"
_TIMES: Final = frozenset({f"{_META}.Time", f"{_META}.MicroTime"})
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_LONGEST_VARINT: Final = 70  # bits
_DEEPEST: Final = 100  # levels
# Go writes these numbers even if they are not set, and its JSON leaves a zero out.
_NOT_ZERO: Final = frozenset({"generation"})
_PACKAGES: Final = {
    "": "core",
    "admissionregistration.k8s.io": "admissionregistration",
    "authentication.k8s.io": "authentication",
    "authorization.k8s.io": "authorization",
    "coordination.k8s.io": "coordination",
    "rbac.authorization.k8s.io": "rbac",
}
_Messages = dict[str, dict[str, list[str]]]


def parse(raw: bytes) -> dict[str, Any]:
    """Return the object that a protobuf body holds, as JSON has it.

    Raises:
        ApiError: 400 if the body is malformed or of a kind that is not served in this form.
    """
    if not raw.startswith(_MAGIC):
        raise bad_request("provided data does not appear to be a protobuf message")
    try:
        envelope = _message(_UNKNOWN, raw[len(_MAGIC) :], 0)
        head = envelope.get("typeMeta", {})
        version, kind = head.get("apiVersion", ""), head.get("kind", "")
        name = _name(version, kind)
        body = _message(name, base64.b64decode(envelope.get("raw", "")), 0)
    except (IndexError, ValueError, struct.error) as exc:
        raise bad_request(f"error decoding the body: invalid protobuf: {exc}") from exc
    return {"apiVersion": version, "kind": kind, **body}


def _name(version: str, kind: str) -> str:
    group = version.rpartition("/")[0]
    for name in (f"io.k8s.api.{_PACKAGES.get(group, group)}.v1.{kind}", f"{_META}.{kind}"):
        if name in _messages():
            return name
    raise bad_request(f'no kind "{kind}" is registered for version "{version}" in protobuf')


@functools.cache
def _messages() -> _Messages:
    text = resources.files(__package__).joinpath("protobuf.json").read_text("utf-8")
    loaded: _Messages = json.loads(text)
    return loaded


def _message(name: str, data: bytes, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    fields: Mapping[str, list[str]] = _messages()[name]
    made: dict[str, Any] = {}
    for number, value in _pieces(data):
        known = fields.get(str(number))
        if known is None:
            continue  # of a newer version
        field, kind, cardinality = known
        if cardinality == "map":
            key, item = _entry(kind, value, depth)
            made.setdefault(field, {})[key] = item
        elif cardinality == "many":
            made.setdefault(field, []).append(_value(kind, value, depth))
        else:
            item = _value(kind, value, depth)
            # Go writes every field that is no pointer; JSON omits the empty ones.
            if item not in ("", None) and not (item == 0 and field in _NOT_ZERO):
                made[field] = item
    return made


def _entry(kind: str, value: Any, depth: int) -> tuple[str, Any]:
    parts = dict(_pieces(value))
    empty: Any = b""
    return _text(parts.get(1, b"")), _value(kind, parts.get(2, empty), depth)


def _value(kind: str, value: Any, depth: int) -> Any:  # noqa: PLR0911  # one line per type
    if kind in {"int32", "int64"}:
        return value - (1 << 64) if value >= 1 << 63 else value
    if kind == "bool":
        return bool(value)
    if kind == "double":
        return struct.unpack("<d", value)[0]
    if not isinstance(value, bytes):
        raise ValueError(f"a field of type {kind} has another one")  # noqa: TRY004  # malformed data
    if kind == "string":
        return _text(value)
    if kind == "bytes":
        return base64.b64encode(value).decode("ascii")
    if kind in _TIMES:
        return _time(value, micro=kind.endswith("MicroTime"))
    made = _message(kind, value, depth + 1)
    if kind.endswith(".FieldsV1"):
        return json.loads(base64.b64decode(made.get("Raw", "e30=")))
    if kind.endswith(".ExtraValue"):
        return made.get("items", [])
    return made


def _text(value: bytes) -> str:
    return value.decode("utf-8")


def _time(value: bytes, *, micro: bool) -> str | None:
    parts = dict(_pieces(value))
    seconds = int(parts.get(1, 0))
    if seconds >= 1 << 63:
        return None  # Go's zero time lies before 1970
    if not parts:
        return None
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    if micro:
        fraction = int(parts.get(2, 0)) // 1000
        return moment.strftime(f"%Y-%m-%dT%H:%M:%S.{fraction:06}Z")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _pieces(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the numbers and raw values of a message's fields."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in {_DOUBLE, _FLOAT}:
            size = 8 if kind == _DOUBLE else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > len(data):
            raise ValueError("unexpected end")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # the bit that says "more follows"
            return value, at
        shift += 7
        if shift > _LONGEST_VARINT:
            raise ValueError("a number is too long")
