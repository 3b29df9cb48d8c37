"""Patterns that are compiled late do what patterns do."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from sealoshub.pattern import pattern


def test_the_same() -> None:
    """Every method and attribute is that of the compiled pattern."""
    late = pattern(r"(a)(?P<rest>b*)", re.IGNORECASE)
    early = re.compile(r"(a)(?P<rest>b*)", re.IGNORECASE)
    found = late.fullmatch("ABB")
    assert found is not None
    assert found.groups() == ("A", "BB")
    assert late.sub("-", "xabx") == early.sub("-", "xabx")
    assert late.pattern == early.pattern
    assert late.flags == early.flags
    assert late.groupindex == early.groupindex
    assert pattern(rb"\d+").findall(b"1 22") == [b"1", b"22"]


def test_late() -> None:
    """A mistake shows when the pattern is used, and again when it is used again."""
    wrong = pattern("(")
    for _ in range(2):
        with pytest.raises(re.error):
            wrong.match("")


def test_threads() -> None:
    """Whoever comes first compiles it; the others do no harm."""
    late = pattern(r"[a-z]+")
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(late.fullmatch, ["abc"] * 100))
