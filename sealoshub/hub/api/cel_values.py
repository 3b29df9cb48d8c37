"""Values of CEL and what its operators do with them.

CEL's values are plain Python values here, but CEL is stricter: a boolean is no number, an int and
a string are never added, and equality of different types is false rather than an error.
"""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INT_RANGE: Final = range(-(2**63), 2**63)


class CelError(Exception):
    """An expression cannot be evaluated; the text is worded as cel-go does."""


class CelSyntaxError(Exception):
    """An expression cannot be compiled."""


@runtime_checkable
class Host(Protocol):
    """An object of ours inside an expression: `authorizer`, `variables`, an optional value."""

    def select(self, name: str) -> Any:
        """Return the field *name* or raise :class:`CelError`."""

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Call the method *name* or raise :class:`CelError`."""


@dataclass(frozen=True, slots=True)
class CelType:
    """A type as a value: `type(x) == int`."""

    name: str


@dataclass(frozen=True, slots=True)
class Optional:
    """An optional value of CEL: `a.?b.orValue(c)`."""

    present: bool
    value: Any = None

    def select(self, name: str) -> Any:
        """Select inside of the value; nothing stays nothing."""
        return self if not self.present else optional_field(self.value, name)

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Offer `hasValue`, `value`, `orValue` and `or`."""
        match name, arguments:
            case "hasValue", []:
                return self.present
            case "value", []:
                if not self.present:
                    raise CelError("optional.none() dereference")
                return self.value
            case "orValue", [other]:
                return self.value if self.present else other
            case "or", [other]:
                return self if self.present else other
            case _:
                raise no_overload(name)


NOTHING: Final = Optional(present=False)


def no_overload(name: str) -> CelError:
    """Return the error of an operator or function that does not take such arguments."""
    return CelError(f"no such overload: {name}")


def type_name(value: Any) -> str:  # noqa: C901, PLR0911, PLR0912  # one line per type of the language
    """Return the name of a value's type."""
    match value:
        case None:
            return "null_type"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "double"
        case str():
            return "string"
        case bytes():
            return "bytes"
        case list():
            return "list"
        case dict():
            return "map"
        case CelType():
            return "type"
        case Optional():
            return "optional_type"
        case dt.datetime():
            return "google.protobuf.Timestamp"
        case dt.timedelta():
            return "google.protobuf.Duration"
        case _:
            return type(value).__name__


def is_number(value: Any) -> bool:
    """Tell whether *value* is an int or a double."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    """Compare as CEL does: numbers by value, everything else within its type only."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[k], right[k]) for k in left)
    if isinstance(left, Optional) and isinstance(right, Optional):
        return left.present == right.present and equal(left.value, right.value)
    return type(left) is type(right) and bool(left == right)


def member(item: Any, container: Any) -> bool:
    """Return `item in container`."""
    if isinstance(container, list):
        return any(equal(item, one) for one in container)
    if isinstance(container, dict):
        return not isinstance(item, (list, dict)) and item in container
    raise no_overload("@in")


def comparison(name: str, test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Return an ordering operator that refuses what has no order."""

    def compare(left: Any, right: Any) -> bool:
        if is_number(left) and is_number(right):
            return test(left, right)
        ordered = (bool, str, bytes, dt.datetime, dt.timedelta)
        if type(left) is type(right) and isinstance(left, ordered):
            return test(left, right)
        raise no_overload(name)

    return compare


def add(left: Any, right: Any) -> Any:
    """Return `left + right`."""
    if isinstance(left, (str, bytes, list)) and type(left) is type(right):
        return left + right  # type: ignore[operator]  # both are of the same type
    times = (dt.datetime, dt.timedelta)
    if isinstance(left, times) and isinstance(right, times):
        if isinstance(left, dt.datetime) and isinstance(right, dt.datetime):
            raise no_overload("_+_")
        return left + right  # type: ignore[operator]  # two points in time are refused above
    return arithmetic("_+_", lambda a, b: a + b)(left, right)


def subtract(left: Any, right: Any) -> Any:
    """Return `left - right`."""
    if isinstance(right, dt.timedelta) and isinstance(left, (dt.datetime, dt.timedelta)):
        return left - right
    if isinstance(left, dt.datetime) and isinstance(right, dt.datetime):
        return left - right
    return arithmetic("_-_", lambda a, b: a - b)(left, right)


def arithmetic(name: str, work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return an operator on two ints or two doubles."""

    def calculate(left: Any, right: Any) -> Any:
        if not is_number(left) or type(left) is not type(right):
            raise no_overload(name)
        try:
            result = work(left, right)
        except ZeroDivisionError:
            raise CelError("modulus by zero" if name == "_%_" else "division by zero") from None
        if isinstance(result, int) and result not in INT_RANGE:
            raise CelError("integer overflow")
        return result

    return calculate


def divide(left: Any, right: Any) -> Any:
    """Divide; ints are cut towards zero as in Go."""
    if isinstance(left, float):
        return left / right if right else float("inf") if left > 0 else float("-inf")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def modulo(left: int, right: int) -> int:
    """Return the remainder with the sign of *left*, as in Go."""
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def field(value: Any, name: str, plain: str) -> Any:
    """Return `value.name`.

    Args:
        value: A map or an object of ours.
        name: The field as it is written.
        plain: The same without Kubernetes' escapes (`__namespace__` is `namespace`).
    """
    if isinstance(value, dict):
        if name in value:
            return value[name]
        if plain in value:
            return value[plain]
        raise CelError(f"no such key: {name}")
    if isinstance(value, Host):
        return value.select(name)
    raise no_overload(f"{type_name(value)}.{name}")


def index(value: Any, key: Any) -> Any:
    """Return `value[key]`."""
    if isinstance(value, dict):
        if not isinstance(key, (list, dict)) and key in value:
            return value[key]
        raise CelError(f"no such key: {key}")
    if isinstance(value, list):
        if isinstance(key, bool) or not isinstance(key, int):
            raise no_overload("_[_]")
        if 0 <= key < len(value):
            return value[key]
        raise CelError(f"index out of bounds: {key}")
    raise no_overload("_[_]")


def present(value: Any, name: str, plain: str) -> bool:
    """Return `has(value.name)`."""
    if isinstance(value, dict):
        return name in value or plain in value
    if isinstance(value, Optional):
        return value.present and present(value.value, name, plain)
    if isinstance(value, Host):
        value.select(name)
        return True
    raise no_overload("has")


def optional_field(value: Any, key: Any) -> Optional:
    """Return `value.?key` or `value[?key]`."""
    inner = value
    if isinstance(value, Optional):
        if not value.present:
            return NOTHING
        inner = value.value
    if isinstance(inner, dict):
        if key in inner:
            return Optional(present=True, value=inner[key])
        plain = unescape(key) if isinstance(key, str) else key
        return Optional(present=True, value=inner[plain]) if plain in inner else NOTHING
    if isinstance(inner, list) and isinstance(key, int) and not isinstance(key, bool):
        return Optional(present=True, value=inner[key]) if 0 <= key < len(inner) else NOTHING
    raise no_overload("_?._")


_ESCAPES: Final = (("__dot__", "."), ("__dash__", "-"), ("__slash__", "/"))


def unescape(name: str) -> str:
    """Undo the escapes with which schemas' field names are written in CEL.

    See "Accessible property names" in the CEL documentation of Kubernetes.
    """
    if "__" not in name:
        return name
    if name.startswith("__") and name.endswith("__") and name[2:-2].isalpha():
        return name[2:-2]
    for escape, character in _ESCAPES:
        name = name.replace(escape, character)
    return name.replace("__underscores__", "__")
