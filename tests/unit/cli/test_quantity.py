"""Sizes and durations on the command line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.cli.quantity import parse_duration, parse_size
from sealoshub.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("512", 512),
        ("100B", 100),
        ("1K", 1024),
        ("10M", 10 * 1024**2),
        ("10m", 10 * 1024**2),
        ("1.5G", 3 * 1024**3 // 2),
        ("2T", 2 * 1024**4),
        ("1KiB", 1024),
        ("4 MiB", 4 * 1024**2),
        ("1KB", 1000),
        ("100MB", 100_000_000),
        (" 5K ", 5 * 1024),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Letters are powers of 1024, and with a B alone behind them of 1000."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0K",
        "M",
        "-1",
        "+1",
        "1e6",
        "1,5M",
        "10P",
        "1iB",
        "1 0",
        "nan",
        "inf",
        "٣",
        "1" * 30,
    ],
)
def test_no_sizes(text: str) -> None:
    """Anything else is told, with an example."""
    with pytest.raises(UsageError, match="is not a size") as caught:
        parse_size(text)
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("30s", 30.0),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("2d", 172800.0),
        ("1w", 604800.0),
        ("500ms", 0.5),
        (" 5s ", 5.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Numbers with units, added up."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-5s", "10 m", "10M", "1m30", "1e3s", "infs", "٣s", "1y", "s10"]
)
def test_no_durations(text: str) -> None:
    """Anything else is told, with an example; a bare number above all."""
    with pytest.raises(UsageError, match="is not a time") as caught:
        parse_duration(text)
    assert caught.value.hint is not None


@given(st.integers(1, 10**9 - 1), st.sampled_from("KMGT"))
def test_size_and_unit(number: int, unit: str) -> None:
    """A whole number of a unit is exactly that many bytes."""
    assert parse_size(f"{number}{unit}") == number * 1024 ** (1 + "KMGT".index(unit))


@given(st.text())
def test_any_text(text: str) -> None:
    """No text ends in anything but a number or a usage error."""
    with contextlib.suppress(UsageError):
        assert parse_size(text) >= 1
    with contextlib.suppress(UsageError):
        assert 0.0 <= parse_duration(text) < float("inf")


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59))
def test_parts_add_up(hours: int, minutes: int, seconds: int) -> None:
    """`1h30m5s` is the sum of its parts."""
    expected = hours * 3600 + minutes * 60 + seconds
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == pytest.approx(expected)
