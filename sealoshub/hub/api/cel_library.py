"""Functions of CEL: the language's own and those that Kubernetes adds.

Kubernetes' libraries: https://kubernetes.io/docs/reference/using-api/cel/#cel-community-libraries.
Regular expressions are RE2, by celpy, as in Kubernetes: `$` is the end of the text and nothing
backtracks.
"""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import base64
import datetime as dt
import itertools
import json
import math
import operator
import re
from typing import TYPE_CHECKING, Any, Final

import celpy.evaluation

from sealoshub.hub.api.cel_values import (
    NOTHING,
    CelError,
    CelType,
    Host,
    Optional,
    add,
    comparison,
    equal,
    is_number,
    member,
    no_overload,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_DURATION: Final = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_LESS: Final = comparison("_<_", operator.lt)


def matches(text: str, pattern: str) -> bool:
    """Tell whether the RE2 *pattern* is found in *text*.

    Raises:
        CelError: The pattern is no RE2.
    """
    found = celpy.evaluation.function_matches(text, pattern)
    if isinstance(found, Exception):
        raise CelError(f"error parsing regexp: {pattern}")
    return bool(found)


def size(value: Any) -> int:
    """Return the number of characters, bytes, items or entries."""
    if isinstance(value, (str, bytes, list, dict)):
        return len(value)
    raise no_overload("size")


def to_string(value: Any) -> str:  # noqa: PLR0911  # one line per type
    """Return `string(value)`."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case bytes():
            return value.decode()
        case int():
            return str(value)
        case float():
            return format(value, "g") if value != int(value) else str(int(value))
        case dt.datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case dt.timedelta():
            return f"{value.total_seconds():g}s"
        case _:
            raise no_overload("string")


def to_int(value: Any) -> int:
    """Return `int(value)`."""
    if isinstance(value, dt.datetime):
        return int(value.timestamp())
    if is_number(value) or isinstance(value, str):
        try:
            return int(value)
        except (ValueError, OverflowError):
            raise CelError(f"type conversion error from {value!r} to 'int'") from None
    raise no_overload("int")


def to_double(value: Any) -> float:
    """Return `double(value)`."""
    if is_number(value) or isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise CelError(f"type conversion error from {value!r} to 'double'") from None
    raise no_overload("double")


def to_bool(value: Any) -> bool:
    """Return `bool(value)`."""
    if isinstance(value, bool):
        return value
    if value in {"true", "True", "TRUE", "t", "1"}:
        return True
    if value in {"false", "False", "FALSE", "f", "0"}:
        return False
    raise no_overload("bool")


def timestamp(value: Any) -> dt.datetime:
    """Return `timestamp(value)` of an RFC 3339 text."""
    if isinstance(value, dt.datetime):
        return value
    try:
        return dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise CelError(f"type conversion error from {value!r} to 'timestamp'") from None


def duration(value: Any) -> dt.timedelta:
    """Return `duration(value)` of a text as Go writes it, `1h30m`."""
    if isinstance(value, dt.timedelta):
        return value
    if not isinstance(value, str):
        raise no_overload("duration")
    sign = -1 if value.startswith("-") else 1
    text = value.lstrip("+-")
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise CelError(f"time: invalid duration {json.dumps(value)}")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return dt.timedelta(seconds=sign * seconds)


def _format(text: str, arguments: list[Any]) -> str:
    """Return `text.format(arguments)`: `%s`, `%d`, `%f`, `%e`, `%x`, `%b`, `%o`, `%%`."""
    rest = list(arguments)

    def one(found: re.Match[str]) -> str:
        precision, verb = found.groups()
        if verb == "%":
            return "%"
        if not rest:
            raise CelError("index out of bounds")
        value = rest.pop(0)
        if verb == "s":
            return _shown(value)
        if verb == "d" and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if verb in "fe" and is_number(value):
            return format(float(value), f"{precision or '.6'}{verb}")
        if verb in "xXob" and isinstance(value, int):
            return format(value, verb)
        raise CelError(f"error during formatting: %{verb} does not take {type_name(value)}")

    return re.sub(r"%(\.\d+)?([a-zA-Z%])", one, text)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_shown(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_shown(k)}: {_shown(value[k])}' for k in sorted(value))}}}"
    return "null" if value is None else to_string(value)


def _join(items: list[Any], separator: str = "") -> str:
    if not all(isinstance(one, str) for one in items):
        raise no_overload("join")
    return separator.join(items)


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if separator == "":
        return list(text)
    return text.split(separator, limit - 1 if limit > 0 else -1)


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    return text.replace(old, new, limit)


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= stop <= len(text):
        raise CelError(f"index out of range: {start if start > stop or start < 0 else stop}")
    return text[start:stop]


def _char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise CelError(f"index out of range: {at}")
    return text[at : at + 1]


def _index_of(target: str | list[Any], item: Any, start: int = 0) -> int:
    if isinstance(target, str):
        return target.find(item, start)
    return next((at for at, one in enumerate(target) if equal(one, item)), -1)


def _last_index_of(target: str | list[Any], item: Any) -> int:
    if isinstance(target, str):
        return target.rfind(item)
    return next((at for at in reversed(range(len(target))) if equal(target[at], item)), -1)


def _is_sorted(items: list[Any]) -> bool:
    return not any(_LESS(right, left) for left, right in itertools.pairwise(items))


def _extreme(items: list[Any], *, largest: bool) -> Any:
    if not items:
        raise CelError("max called on empty list" if largest else "min called on empty list")
    best = items[0]
    for one in items[1:]:
        if _LESS(best, one) if largest else _LESS(one, best):
            best = one
    return best


def _sum(items: list[Any]) -> Any:
    total: Any = items[0] if items else 0
    for one in items[1:]:
        total = add(total, one)
    return total


def _distinct(items: list[Any]) -> list[Any]:
    kept: list[Any] = []
    for one in items:
        if not member(one, kept):
            kept.append(one)
    return kept


def _all_in(left: list[Any], right: list[Any]) -> bool:
    return all(member(one, right) for one in left)


def _greatest(*values: Any) -> Any:
    return _extreme(list(values[0] if isinstance(values[0], list) else values), largest=True)


def _least(*values: Any) -> Any:
    return _extreme(list(values[0] if isinstance(values[0], list) else values), largest=False)


def _escape_key(text: str) -> str:
    """Escape one part of a JSON pointer (RFC 6901, section 3)."""
    return text.replace("~", "~0").replace("/", "~1")


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "bool": to_bool,
    "bytes": lambda value: value.encode() if isinstance(value, str) else value,
    "double": to_double,
    "duration": duration,
    "dyn": lambda value: value,
    "int": to_int,
    "matches": matches,
    "size": size,
    "string": to_string,
    "timestamp": timestamp,
    "type": lambda value: CelType(type_name(value)),
    "uint": to_int,
    "base64.encode": lambda value: base64.b64encode(value).decode(),
    "base64.decode": base64.b64decode,
    "jsonpatch.escapeKey": _escape_key,
    "math.abs": abs,
    "math.ceil": lambda value: float(math.ceil(value)),
    "math.floor": lambda value: float(math.floor(value)),
    "math.greatest": _greatest,
    "math.least": _least,
    "optional.none": lambda: NOTHING,
    "optional.of": lambda value: Optional(present=True, value=value),
    "optional.ofNonZeroValue": lambda value: (
        Optional(present=True, value=value) if value else NOTHING
    ),
    "sets.contains": lambda left, right: _all_in(right, left),
    "sets.equivalent": lambda left, right: _all_in(left, right) and _all_in(right, left),
    "sets.intersects": lambda left, right: any(member(one, right) for one in left),
}
NAMESPACES: Final = frozenset(name.split(".")[0] for name in FUNCTIONS if "." in name)

_STRING: Final[Mapping[str, Callable[..., Any]]] = {
    "charAt": _char_at,
    "contains": lambda text, part: part in text,
    "endsWith": str.endswith,
    "find": lambda text, pattern: next(iter(_find(text, pattern)), ""),
    "findAll": lambda text, pattern, limit=-1: _find(text, pattern, limit),
    "format": _format,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "lowerAscii": lambda text: re.sub("[A-Z]+", lambda found: found[0].lower(), text),
    "matches": matches,
    "replace": _replace,
    "reverse": lambda text: text[::-1],
    "size": size,
    "split": _split,
    "startsWith": str.startswith,
    "substring": _substring,
    "trim": str.strip,
    "upperAscii": lambda text: re.sub("[a-z]+", lambda found: found[0].upper(), text),
}
_LIST: Final[Mapping[str, Callable[..., Any]]] = {
    "distinct": _distinct,
    "indexOf": _index_of,
    "isSorted": _is_sorted,
    "join": _join,
    "lastIndexOf": _last_index_of,
    "max": lambda items: _extreme(items, largest=True),
    "min": lambda items: _extreme(items, largest=False),
    "reverse": lambda items: items[::-1],
    "size": size,
    "sum": _sum,
}
_TIME: Final[Mapping[str, Callable[..., Any]]] = {
    "getFullYear": lambda time: time.year,
    "getMonth": lambda time: time.month - 1,
    "getDate": lambda time: time.day,
    "getDayOfMonth": lambda time: time.day - 1,
    "getHours": lambda time: time.hour,
    "getMinutes": lambda time: time.minute,
    "getSeconds": lambda time: time.second,
}
_SPAN: Final[Mapping[str, Callable[..., Any]]] = {
    "getHours": lambda span: int(span.total_seconds() // 3600),
    "getMinutes": lambda span: int(span.total_seconds() // 60),
    "getSeconds": lambda span: int(span.total_seconds()),
    "getMilliseconds": lambda span: int(span.total_seconds() * 1000),
}
_OTHER: Final[Mapping[str, Callable[..., Any]]] = {"size": size}


def _find(text: str, pattern: str, limit: int = -1) -> list[str]:
    try:
        found = [one[0] for one in re.finditer(pattern, text)]
    except re.error:
        raise CelError(f"error parsing regexp: {pattern}") from None
    return found if limit < 0 else found[:limit]


def call_function(name: str, arguments: Sequence[Any]) -> Any:
    """Call a global function.

    Raises:
        CelError: It does not take such arguments.
    """
    try:
        return FUNCTIONS[name](*arguments)
    except (TypeError, AttributeError, ValueError):
        raise no_overload(name) from None


def call_method(target: Any, name: str, arguments: Sequence[Any]) -> Any:
    """Call a method of a value.

    Raises:
        CelError: There is no such method, or it does not take such arguments.
    """
    table = _OTHER
    if isinstance(target, str):
        table = _STRING
    elif isinstance(target, list):
        table = _LIST
    elif isinstance(target, dt.datetime):
        table = _TIME
    elif isinstance(target, dt.timedelta):
        table = _SPAN
    elif isinstance(target, Host):
        return target.call(name, arguments)
    method = table.get(name)
    if method is None:
        raise no_overload(name)
    try:
        return method(target, *arguments)
    except (TypeError, AttributeError, ValueError):
        raise no_overload(name) from None
