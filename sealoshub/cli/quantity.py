"""Sizes and durations as people write them on the command line: `10M`, `1.5GiB`, `30s`, `1h30m`."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sealoshub.errors import UsageError
from sealoshub.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

# Nine digits of each part: enough for everything, and nothing that overflows a float.
_NUMBER: Final = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_SIZE: Final = pattern(rf"({_NUMBER})\s*([KMGT]?)(I?B)?", re.IGNORECASE | re.ASCII)
_ONE: Final = rf"({_NUMBER})(ms|[smhdw])"
_PART: Final = pattern(_ONE, re.ASCII)
_DURATION: Final = pattern(rf"(?:{_ONE})+", re.ASCII)
_SECONDS: Final[Mapping[str, float]] = MappingProxyType(
    {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
)


def parse_size(text: str) -> int:
    """Read a number of bytes, at least one.

    `K`, `M`, `G`, `T` are powers of 1024, as in curl, wget and docker, and so are `KiB` and its
    kin; `KB` and its kin are powers of 1000. Letter case does not matter.

    Raises:
        UsageError: It is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise _no_size(text)
    base = 1000 if found[2] and (found[3] or "").upper() == "B" else 1024
    size = int(float(found[1]) * base ** " KMGT".index(found[2].upper() or " "))
    if size < 1 or (found[3] and found[3].upper() == "IB" and not found[2]):
        raise _no_size(text)
    return size


def parse_duration(text: str) -> float:
    """Read a time such as `30s`, `10m`, `1h30m`; return seconds.

    A bare number is refused, because half of all programs take it for seconds and the other half
    for minutes; `0` alone has one meaning.

    Raises:
        UsageError: It is no time.
    """
    text = text.strip()
    if text == "0":
        return 0.0
    if _DURATION.fullmatch(text) is None:
        raise UsageError(f"{text[:80]!r} is not a time", hint="Write 30s, 10m or 1h30m.")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def _no_size(text: str) -> UsageError:
    return UsageError(
        f"{text[:80]!r} is not a size", hint="Write bytes, or a number with K, M or G: 512K, 10M."
    )
