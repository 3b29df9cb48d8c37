"""The text format of Prometheus."""

from __future__ import annotations

import pytest

from sealoshub import exposition
from sealoshub.exposition import Family


def test_a_family_is_introduced() -> None:
    """Help and type stand before the samples."""
    assert exposition.head("a_total", Family("counter", "Things.", ("kind",))) == [
        "# HELP a_total Things.",
        "# TYPE a_total counter",
    ]


@pytest.mark.parametrize(
    ("value", "labels", "expected"),
    [
        (3.0, {}, "a 3"),
        (123_456_789.0, {}, "a 123456789"),
        (0.5, {}, "a 0.500"),
        (1, {"kind": "Image", "verb": "patch"}, 'a{kind="Image",verb="patch"} 1'),
        (1, {"kind": 'back\\slash "quote"\nline'}, r'a{kind="back\\slash \"quote\"\nline"} 1'),
    ],
)
def test_a_sample(value: float, labels: dict[str, str], expected: str) -> None:
    """No digit of a large number is lost, and no label ends early."""
    assert exposition.sample("a", value, labels) == expected


def test_a_histogram_is_cumulative() -> None:
    """Each bucket counts what the smaller ones do, and the last is the count of all."""
    assert exposition.histogram("a", (0.1, 1.0), (2, 0, 3), 9.5, {"kind": "Image"}) == [
        'a_bucket{kind="Image",le="0.1"} 2',
        'a_bucket{kind="Image",le="1.0"} 2',
        'a_bucket{kind="Image",le="+Inf"} 5',
        'a_sum{kind="Image"} 9.500000',
        'a_count{kind="Image"} 5',
    ]


def test_what_this_process_uses() -> None:
    """Some CPU time, and some megabytes."""
    assert exposition.cpu_seconds() > 0
    assert exposition.resident_bytes() > 1_000_000
