"""Quotas, tags that never change, and tags that are deleted: the rules, without a cluster."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sealoshub.errors import InvalidInputError
from sealoshub.imagehub import limits
from sealoshub.imagehub.limits import Quota, Retention, Tag, Usage

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TAGS = some.text("ab.-", min_size=1, max_size=12)
PATTERNS = some.text("ab.-*", min_size=1, max_size=8)


def tag(name: str, days: int, digest: str = "") -> Tag:
    """Return a tag that got its digest so many days ago."""
    return Tag(name, digest or f"sha256:{name}", NOW - timedelta(days=days))


# ---------------------------------------------------------------------------------- patterns
@given(PATTERNS, TAGS)
def test_a_star_is_any_run(pattern: str, name: str) -> None:
    """The rule is that of the regular expression in which each star is `.*`."""
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None
    assert limits.matches(pattern, name) is expected


@given(TAGS)
def test_every_tag_is_its_own_pattern(name: str) -> None:
    """And matches what begins, ends or goes on with it."""
    for pattern in (name, "*", f"{name}*", f"*{name}", f"*{name}*", f"{name[0]}*"):
        assert limits.matches(pattern, name)


def test_a_nasty_pattern_takes_no_time() -> None:
    """Sixty stars and a tag that nearly matches: a regular expression would not come back."""
    began = time.process_time()
    assert not limits.matches("*a" * 60 + "*b*c", "a" * 127 + "b")
    assert time.process_time() - began < 1


# ---------------------------------------------------------------------------------- quantities
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1", 1),
        ("1k", 1000),
        ("1Ki", 1024),
        ("10Gi", 10 * 1024**3),
        ("1.5Ti", 3 * 1024**4 // 2),
        ("500M", 500_000_000),
        ("0.001", 1),
        ("2E", 2 * 10**18),
    ],
)
def test_a_size_as_kubernetes_writes_it(text: str, expected: int) -> None:
    """Powers of 1024 have an i; parts of a byte are rounded up."""
    assert limits.quantity(text) == expected


@pytest.mark.parametrize("text", ["", "Gi", "-1", "1K", "1 Gi", "1e3", "10GB", "1.2345Gi", "٣Gi"])
def test_other_sizes_are_refused(text: str) -> None:
    """The error says how to write one."""
    with pytest.raises(InvalidInputError, match="size"):
        limits.quantity(text)


@given(some.integers(min_value=0, max_value=2**70))
def test_a_size_in_words_is_never_less(size: int) -> None:
    """At most one decimal, so it may be a little more: who is over his quota sees it."""
    words = limits.size_words(size)
    said = limits.quantity(words)
    assert size <= said <= size * 1.1 + 1
    assert len(words) <= 10


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0"), (1023, "1023"), (1024, "1Ki"), (11_000_000_000, "10.3Gi")]
)
def test_words_for_sizes(size: int, words: str) -> None:
    """As in the message of a condition."""
    assert limits.size_words(size) == words


@pytest.mark.parametrize(
    ("text", "hours"), [("720h", 720.0), ("1h30m", 1.5), ("90s", 0.025), ("1h0m36s", 1.01)]
)
def test_a_time(text: str, hours: float) -> None:
    """As Go writes durations, without days and without parts of a second."""
    assert limits.duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "0", "0h", "30d", "1.5h", "-1h", "h", "1m1h", "9999999h"])
def test_other_times_are_refused(text: str) -> None:
    """No age at all would delete everything."""
    with pytest.raises(InvalidInputError, match="time"):
        limits.duration(text)


# ---------------------------------------------------------------------------------- quotas
@pytest.mark.parametrize(
    ("quota", "usage", "expected"),
    [
        ({}, Usage(9, 9, 9), []),
        ({"tags": 3}, Usage(tags=3), []),
        ({"tags": 3}, Usage(tags=4), ["tags 4 of 3"]),
        ({"tags": 0}, Usage(), ["tags 0 of 0"]),
        ({"size": "0"}, Usage(), ["size 0 of 0"]),
        ({"repositories": 0}, Usage(), []),
        ({"repositories": 1}, Usage(repositories=2), ["repositories 2 of 1"]),
        ({"size": "10Gi"}, Usage(size=11 * 10**9), ["size 10.3Gi of 10Gi"]),
        ({"size": "10Gi"}, Usage(size=10 * 1024**3 + 1), ["size 10.1Gi of 10Gi"]),
        (
            {"size": "1Ki", "tags": 1, "repositories": 5},
            Usage(1, 2, 2048),
            ["size 2Ki of 1Ki", "tags 2 of 1"],
        ),
        ({"size": "lots", "tags": -1, "repositories": True}, Usage(9, 9, 9), []),
        (None, Usage(9, 9, 9), []),
    ],
)
def test_what_is_over_a_quota(quota: object, usage: Usage, expected: list[str]) -> None:
    """In words; what is malformed sets no limit."""
    assert Quota.read({"quota": quota}).excess(usage) == expected


@pytest.mark.parametrize(("used", "full"), [(0, False), (1, False), (2, True), (3, True)])
def test_one_more_repository(used: int, *, full: bool) -> None:
    """A quota of two takes two."""
    quota = Quota.read({"quota": {"repositories": 2}})
    assert quota.takes_no_repository(Usage(repositories=used)) is full
    assert not Quota().takes_no_repository(Usage(repositories=used))


# ---------------------------------------------------------------------------------- retention
OLD = [tag("a", 50), tag("b", 40), tag("c", 30), tag("d", 2), tag("e", 1)]


@pytest.mark.parametrize(
    ("rule", "immutable", "expected"),
    [
        ({"keepLast": 2}, [], ["a", "b", "c"]),
        ({"keepLast": 9}, [], []),
        ({"olderThan": "720h"}, [], ["a", "b"]),
        ({"olderThan": "1h"}, [], ["a", "b", "c", "d"]),  # never the last one
        ({"keepLast": 4, "olderThan": "720h"}, [], ["a"]),
        ({"keepLast": 1, "keepTags": ["a", "e"]}, [], ["b", "c"]),
        ({"keepLast": 1, "keepTags": ["*"]}, [], []),
        ({"keepLast": 1}, ["a", "b*"], ["c", "d"]),
        ({}, [], []),
        ({"keepTags": ["a"]}, [], []),
        ({"keepLast": 0}, [], []),
        ({"keepLast": 1, "olderThan": "soon"}, [], []),
        (None, [], []),
    ],
)
def test_what_is_due(rule: Any, immutable: list[str], expected: list[str]) -> None:  # noqa: ANN401  # a spec
    """Not among the newest, old enough, and protected by no pattern; else nothing."""
    found = Retention.read({"retention": rule})
    due = [] if found is None else [each.name for each in found.due(OLD, immutable, NOW)]
    assert due == expected


def test_a_signature_goes_with_the_last_tag_of_its_image() -> None:
    """It never counts as an image, and stays while another tag names what it signs."""
    old, new = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    tags = [
        tag("a", 9, old),
        tag("b", 8, new),
        tag("c", 7, new),
        tag(f"sha256-{'1' * 64}.sig", 1, "sha256:s1"),
        tag(f"sha256-{'2' * 64}.sig", 1, "sha256:s2"),
        tag(f"sha256-{'3' * 64}", 99, "sha256:s3"),
    ]
    due = Retention(keep_last=1).due(tags, (), NOW)
    assert [each.name for each in due] == ["a", "b", f"sha256-{'1' * 64}.sig"]


@given(
    some.dictionaries(TAGS, some.integers(min_value=0, max_value=60), max_size=12),
    some.integers(min_value=1, max_value=5),
    some.one_of(some.none(), some.integers(min_value=1, max_value=40)),
    some.lists(PATTERNS, max_size=2),
    some.lists(PATTERNS, max_size=2),
)
def test_what_stays(
    ages: dict[str, int], last: int, days: int | None, kept: list[str], immutable: list[str]
) -> None:
    """Nothing protected, young or among the newest goes, and something always stays."""
    rule = Retention(last, None if days is None else timedelta(days=days), tuple(kept))
    tags = [tag(name, age) for name, age in ages.items()]
    due = rule.due(tags, immutable, NOW)
    names = {each.name for each in due}
    assert not any(limits.matches_any([*kept, *immutable], name) for name in names)
    assert days is None or all(ages[name] > days for name in names)
    free = [each for each in tags if not limits.matches_any([*kept, *immutable], each.name)]
    assert len([each for each in free if each.name not in names]) >= min(last, len(free))
    youngest_gone = min((ages[name] for name in names), default=None)
    if youngest_gone is not None:
        newer = [each for each in free if ages[each.name] <= youngest_gone]
        assert len(newer) > last
    assert [each.since for each in due] == sorted(each.since for each in due)
