"""How fast a registry is swept, by a clock that a test moves."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sealoshub.imagehub.controller.pace import LONGEST, RATE, Pace
from sealoshub.imagehub.controller.queue import KeyQueue
from sealoshub.imagehub.controller.wiring import sweep
from sealoshub.imagehub.controller.work import look
from sealoshub.imagehub.controller.world import open_world
from tests.unit.imagehub.conftest import DEADLINE
from tests.unit.imagehub.test_content import V1, FakeContent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealoshub.imagehub.controller.wiring import Key
    from tests.unit.imagehub.conftest import People


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.is_over = False
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    def sleep(self, seconds: float) -> bool:
        """Let time pass, and something happen."""
        self.now += seconds
        self.meanwhile()
        return self.is_over


def most_in_a_second(times: Sequence[float]) -> int:
    """Return how many of *times* were in the busiest second."""
    return max(sum(start <= time < start + 1 for time in times) for start in times)


@pytest.mark.parametrize("rate", [0.5, 7.0, 50.0])
def test_so_many_turns_a_second(rate: float) -> None:
    """At every moment, and not on average; the first one comes at once."""
    clock = Clock()
    pace = Pace(rate, clock.sleep, clock)
    times = []
    for number in range(200):
        pace.wait()
        times.append(clock.now)
        if number == 100:
            clock.now += 10  # nobody asks for a while; that is no leave to hurry afterwards
    assert times[0] == 0
    assert most_in_a_second(times) <= rate + 1
    assert times[-1] == pytest.approx(199 / rate + 10, abs=1 / rate + 1e-6)


def test_no_limit() -> None:
    """A rate of 0 never waits."""
    clock = Clock()
    pace = Pace(0, clock.sleep, clock)
    assert [pace.wait() for _ in range(1000)] == [0.0] * 1000
    assert clock.now == 0


def test_whoever_is_in_a_hurry_does_not_wait() -> None:
    """Nor does he go on waiting when that begins, or at the end."""
    clock = Clock()
    pace = Pace(0.01, clock.sleep, clock)
    pace.wait()
    assert pace.wait(lambda: True) == 0.0
    assert pace.wait(lambda: clock.now >= 1.0) == pytest.approx(1.0, abs=LONGEST)
    clock.is_over = True
    assert pace.wait() == pytest.approx(LONGEST)


def swept(
    people: People, content: FakeContent, clock: Clock, looks: KeyQueue[str]
) -> tuple[list[float], int]:
    """Sweep *content*; return when each request was made, and how many repositories there were."""
    times: list[float] = []
    content.heard = lambda: times.append(clock.now)
    # Nothing of the cluster is read: there is no organisation, so nothing is written either.
    world = open_world(people.controller, lambda: datetime.now(UTC), content)
    pace = Pace(RATE, clock.sleep, clock)
    queue: KeyQueue[Key] = KeyQueue()
    looker = threading.Thread(target=look, args=(world, content, looks, queue, pace, True))
    looker.start()

    def turn() -> None:
        pace.wait()

    try:
        with content.slowly(turn):
            count = sweep(world, content, looks, threading.Event())
    finally:
        looks.close()
        looker.join(DEADLINE)
    assert world.metrics.count("sealoshub_controller_sweep_requests_total") == len(times) - 1
    return times, count


def test_a_sweep_asks_the_registry_so_many_times_a_second(people: People) -> None:
    """Thirty repositories of ten tags are 331 requests, and take six and a half seconds."""
    clock = Clock()
    tags = {f"t{number}": V1 for number in range(10)}
    content = FakeContent({f"paced/app{number}": tags for number in range(30)})
    times, count = swept(people, content, clock, KeyQueue())
    assert count == 30
    assert len(times) == 1 + 30 * (1 + 10)
    assert most_in_a_second(times) <= RATE + 1
    assert clock.now == pytest.approx(330 / RATE, abs=0.05)


def test_a_sweep_hurries_when_it_is_in_the_way_of_a_change(people: People) -> None:
    """A push to a repository of a thousand tags does not wait until all of them were asked about.

    Else it would for twenty seconds.
    """
    clock = Clock()
    looks: KeyQueue[str] = KeyQueue()
    content = FakeContent({"paced/large": {f"t{number}": V1 for number in range(1000)}})

    def push() -> None:
        if clock.now >= 1.0:
            looks.add("paced/large")

    clock.meanwhile = push
    times: list[float] = []
    content.heard = lambda: times.append(clock.now)
    world = open_world(people.controller, lambda: datetime.now(UTC), content)
    pace = Pace(RATE, clock.sleep, clock)
    world.swept.add("paced/large")
    looks.add_idle("paced/large")
    queue: KeyQueue[Key] = KeyQueue()
    looker = threading.Thread(target=look, args=(world, content, looks, queue, pace, True))
    looker.start()
    key = queue.get()
    assert key == ("Repository", "paced/large")
    looks.close()
    looker.join(DEADLINE)
    assert len(times) >= 1001
    assert clock.now == pytest.approx(1.0, abs=2 * LONGEST)
