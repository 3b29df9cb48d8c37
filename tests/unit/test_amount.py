"""Amounts for people."""

from __future__ import annotations

import pytest

from sealoshub.amount import size_text


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (27_360_512, "26.1 MiB"),
        (3 << 30, "3.0 GiB"),
        (5 << 40, "5.0 TiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_sizes_are_for_people(count: int, expected: str) -> None:
    """Powers of 1024 with one digit behind the point."""
    assert size_text(count) == expected


def test_a_rate_is_no_whole_number() -> None:
    """Of bytes by the second nobody wants to see a part."""
    assert size_text(7.6) == "8 B"
