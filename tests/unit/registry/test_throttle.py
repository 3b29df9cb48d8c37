"""One speed for all senders, on a clock that only its own waits move."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.reference import Reference
from sealoshub.registry.push import push
from sealoshub.registry.source import open_image
from sealoshub.registry.throttle import BURST, MAX_PIECE, MIN_PIECE, Throttle
from tests.images import oci_layout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def throttle(rate: int, clock: Clock) -> Throttle:
    """Make a throttle on *clock*."""
    return Throttle(rate, clock=clock, sleep=clock.sleep)


@given(
    rate=st.integers(1, 10**9),
    takes=st.lists(
        st.tuples(st.integers(1, 10**6), st.floats(0, 100, allow_nan=False)), max_size=50
    ),
)
def test_never_faster(rate: int, takes: list[tuple[int, float]]) -> None:
    """However they come, no more bytes may go than rate times time, and one short burst."""
    clock = Clock()
    limit = throttle(rate, clock)
    began, gone = clock.now, 0
    for count, pause in takes:
        clock.now += pause
        limit.take(count, threading.Event())
        allowed = rate * (clock.now - began + BURST)
        assert gone <= allowed + 1e-3 * max(1.0, allowed)
        gone += count


def test_never_much_slower() -> None:
    """Who sends without a pause gets the rate."""
    clock = Clock()
    limit = throttle(1_000_000, clock)
    began = clock.now
    for _ in range(100):
        limit.take(100_000, threading.Event())
    assert clock.now - began == pytest.approx(10.0, abs=BURST + 0.1)


def test_together() -> None:
    """Two senders share the rate."""
    clock = Clock()
    limit = throttle(1000, clock)
    waits = []
    for _ in range(4):
        before = clock.now
        limit.take(1000, threading.Event())
        waits.append(round(clock.now - before, 2))
    assert waits == [0.75, 1.0, 1.0, 1.0]


def test_stop_ends_the_waiting() -> None:
    """Who is stopped does not wait for its turn."""
    limit = Throttle(1)
    stop = threading.Event()
    stop.set()
    limit.take(1_000_000, stop)
    limit.take(1, stop)


@given(st.integers(1, 10**12))
def test_piece(rate: int) -> None:
    """A piece is neither so large that it stutters nor so small that it is all overhead."""
    assert MIN_PIECE <= Throttle(rate).piece <= MAX_PIECE


def test_push_keeps_to_it(
    registry: FakeRegistry, connect: ClientMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte of every blob of a push is asked for, whichever thread sends it."""
    image = oci_layout(tmp_path / "image", layers=3, layer_bytes=100_000)
    taken: list[int] = []
    monkeypatch.setattr(Throttle, "take", lambda _self, count, _stop: taken.append(count))
    with open_image(str(image.path)) as source:
        push(
            connect(registry.host),
            source,
            Reference.parse(f"{registry.host}/o/app:v1"),
            limit_rate=80_000,
        )
    assert sum(taken) == image.size
    assert max(taken) == 10_000
    assert sorted(registry.blobs["o/app"]) == sorted(image.blobs)
