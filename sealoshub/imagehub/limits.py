"""Limits that resources set: how much an organisation may hold, which tags stay and which go.

Pure functions over plain values, because the controller enforces them, the token server refuses by
them and the command line shows what they would do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from math import ceil
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

# As the CRDs have them.
MAX_PATTERNS: Final = 32
PATTERN: Final = r"[A-Za-z0-9_.*-]{1,128}"
QUANTITY: Final = r"[0-9]{1,15}([.][0-9]{1,3})?([KMGTPE]i|[kMGTPE])?"
DURATION: Final = r"([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,9}s)?"

_UNITS: Final[Mapping[str, int]] = MappingProxyType(
    {"": 1}
    | {letter: 1000 ** (power + 1) for power, letter in enumerate("kMGTPE")}
    | {f"{letter}i": 1024 ** (power + 1) for power, letter in enumerate("KMGTPE")}
)
_PATTERN: Final = re.compile(PATTERN, re.ASCII)
_QUANTITY: Final = re.compile(QUANTITY, re.ASCII)
_DURATION: Final = re.compile(DURATION, re.ASCII)
# What clients attach to a manifest under a tag made of its digest: signatures (cosign), and the
# list of referrers of registries without a referrers API (distribution specification 1.1).
_ATTACHED: Final = re.compile(r"(sha256|sha512)-([0-9a-f]{64}|[0-9a-f]{128})([.][a-z]+)?")


@dataclass(frozen=True, slots=True)
class Usage:
    """What an organisation holds.

    Args:
        repositories: Repository resources.
        tags: Of all its repositories.
        size: Bytes of all distinct images; a layer of two images counts twice.
    """

    repositories: int = 0
    tags: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """How much an organisation may hold; None is without limit.

    Args:
        repositories: As in :class:`Usage`.
        tags: As in :class:`Usage`.
        size: Bytes.
        size_text: As it was written.
    """

    repositories: int | None = None
    tags: int | None = None
    size: int | None = None
    size_text: str = ""

    @classmethod
    def read(cls, spec: Mapping[str, Any]) -> Self:
        """Read `spec.quota` of an Organization; what is malformed sets no limit."""
        found = spec.get("quota")
        if not isinstance(found, dict):
            return cls()
        counts = _count(found.get("repositories")), _count(found.get("tags"))
        text = found.get("size")
        if isinstance(text, str) and _QUANTITY.fullmatch(text):
            return cls(*counts, quantity(text), text)
        return cls(*counts)

    @property
    def is_set(self) -> bool:
        """Whether anything is limited."""
        return any(limit is not None for limit in (self.repositories, self.tags, self.size))

    def excess(self, usage: Usage) -> list[str]:
        """Return what is over its limit, in words: `size 10.4Gi of 10Gi`.

        A limit of 0 tags or 0 bytes is passed by nothing at all, so that it stops every push.
        """
        return [
            f"{name} {words}"
            for name, words, used, limit in self._parts(usage)
            if used > limit or (limit == 0 and name != "repositories")
        ]

    def shown(self, usage: Usage) -> str:
        """Return how much of each limit is used, in words."""
        return ", ".join(f"{name} {words}" for name, words, _, _ in self._parts(usage))

    def takes_no_repository(self, usage: Usage) -> bool:
        """Tell whether one more repository would be too many."""
        return self.repositories is not None and usage.repositories >= self.repositories

    def _parts(self, usage: Usage) -> list[tuple[str, str, int, int]]:
        """Return name, `used of limit` in words, and both as numbers, of each limit that is set."""
        found = []
        if self.size is not None:
            words = f"{size_words(usage.size)} of {self.size_text}"
            found.append(("size", words, usage.size, self.size))
        for name, used, limit in (
            ("tags", usage.tags, self.tags),
            ("repositories", usage.repositories, self.repositories),
        ):
            if limit is not None:
                found.append((name, f"{used} of {limit}", used, limit))
        return found


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of a repository.

    Args:
        name: Of the tag.
        digest: What it names.
        since: Since when it names it, with a time zone.
    """

    name: str
    digest: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Retention:
    """Which tags of a repository are deleted.

    Args:
        keep_last: So many of the newest stay; at least 1.
        older_than: Only what is older goes; None: any age.
        keep_tags: Patterns; what matches one stays, and does not count among the newest.
    """

    keep_last: int = 1
    older_than: timedelta | None = None
    keep_tags: tuple[str, ...] = ()

    @classmethod
    def read(cls, spec: Mapping[str, Any]) -> Self | None:
        """Read `spec.retention` of a Repository; None if it deletes nothing.

        What is malformed deletes nothing either: a rule that is not understood must not.
        """
        found = spec.get("retention")
        if not isinstance(found, dict) or not found.keys() & {"keepLast", "olderThan"}:
            return None
        last = _count(found.get("keepLast", 1))
        if last is None or last < 1:
            return None
        age = None
        if "olderThan" in found:
            try:
                age = duration(str(found["olderThan"]))
            except InvalidInputError:
                return None
        return cls(last, age, patterns(found.get("keepTags")))

    def due(self, tags: Iterable[Tag], immutable: Sequence[str], now: datetime) -> list[Tag]:
        """Return the tags that are to be deleted, the oldest first.

        A signature and what else is attached to a manifest is no image: it does not count, and
        goes only with the last tag of that manifest.

        Args:
            tags: All of the repository.
            immutable: Patterns of tags that never change, and are never deleted by a rule.
            now: The time.
        """
        images: list[Tag] = []
        attached: list[Tag] = []
        for tag in tags:
            (attached if is_attached(tag.name) else images).append(tag)
        kept = (*self.keep_tags, *immutable)
        free = [tag for tag in images if not matches_any(kept, tag.name)]
        free.sort(key=lambda tag: (tag.since, tag.name), reverse=True)
        gone = [
            tag
            for tag in free[self.keep_last :]
            if self.older_than is None or now - tag.since > self.older_than
        ]
        names = {tag.name for tag in gone}
        left = {tag.digest for tag in images if tag.name not in names}
        lost = {tag.digest for tag in gone} - left
        gone += [
            tag
            for tag in attached
            if _subject(tag.name) in lost and not matches_any(kept, tag.name)
        ]
        return sorted(gone, key=lambda tag: (tag.since, tag.name))


def quantity(text: str) -> int:
    """Return the bytes of a Kubernetes quantity: `10Gi`, `500M`, `1.5Ti`; rounded up.

    Raises:
        InvalidInputError: It is none.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise InvalidInputError(
            f"{text[:40]!r} is not a size",
            hint="Write it as Kubernetes does: 500Mi, 10Gi, 1.5Ti.",
        )
    unit = found[2] or ""
    return ceil(Fraction(text.removesuffix(unit)) * _UNITS[unit])


def size_words(size: int) -> str:
    """Return bytes as a quantity with at most one decimal, rounded up: `10.4Gi`."""
    value, unit = Fraction(size), ""
    for letter in "KMGTPE":
        if value < 1024:  # noqa: PLR2004  # the base of these units
            break
        value, unit = value / 1024, f"{letter}i"
    tenths = ceil(value * 10)
    whole, rest = divmod(tenths, 10)
    return f"{whole}.{rest}{unit}" if rest else f"{whole}{unit}"


def duration(text: str) -> timedelta:
    """Return how long `720h`, `1h30m` or `90s` is.

    Raises:
        InvalidInputError: It is no such time, or none at all.
    """
    found = _DURATION.fullmatch(text)
    seconds = 0
    if found is not None:
        parts = ((part or "0s")[:-1] for part in found.groups())
        seconds = sum(int(n) * unit for n, unit in zip(parts, (3600, 60, 1), strict=True))
    if not seconds:
        raise InvalidInputError(
            f"{text[:40]!r} is not a time", hint="Write hours, minutes and seconds: 720h, 1h30m."
        )
    return timedelta(seconds=seconds)


def patterns(value: object) -> tuple[str, ...]:
    """Read a list of patterns of a resource; what is none is left out."""
    if not isinstance(value, list):
        return ()
    return tuple(one for one in value if isinstance(one, str) and is_pattern(one))


def is_pattern(text: str) -> bool:
    """Tell whether *text* may be a pattern for tags."""
    return _PATTERN.fullmatch(text) is not None


def matches(pattern: str, tag: str) -> bool:
    """Tell whether *tag* is what *pattern* says; `*` is any run of characters, also an empty one.

    Every part between two stars is looked for once, as far left as possible. A regular expression
    would try all combinations, and who writes the pattern is not who pays for that.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return tag == pattern
    last = rest.pop()
    if len(tag) < len(first) + len(last) or not (tag.startswith(first) and tag.endswith(last)):
        return False
    at, end = len(first), len(tag) - len(last)
    for part in rest:
        found = tag.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def matches_any(found: Iterable[str], tag: str) -> bool:
    """Tell whether *tag* is what one of the patterns says."""
    return any(matches(pattern, tag) for pattern in found)


def is_attached(tag: str) -> bool:
    """Tell whether a tag is a signature's or the like, and no image's own."""
    return _ATTACHED.fullmatch(tag) is not None


def _subject(tag: str) -> str:
    """Return the digest in the name of an attached tag."""
    return ":".join(tag.partition(".")[0].split("-", 1))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
