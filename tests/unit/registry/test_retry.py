"""The one retry policy, on a clock that only its own waits move."""

from __future__ import annotations

import random
import threading

import pytest

from sealoshub.errors import DeniedError, UnavailableError
from sealoshub.registry.failure import TransientError
from sealoshub.registry.retry import BUDGET, INITIAL, LONGEST, Retry


class Failing:
    """A step that fails a number of times."""

    def __init__(self, times: int, retry_after: float | None = None) -> None:
        self.calls = 0
        self._times = times
        self._retry_after = retry_after

    def __call__(self) -> str:
        """Fail, or return `done`."""
        self.calls += 1
        if self.calls <= self._times:
            raise TransientError("busy", retry_after=self._retry_after)
        return "done"


def policy(naps: list[float], budget: float = BUDGET) -> Retry:
    """Make a policy without randomness."""
    return Retry(
        budget=budget, sleep=naps.append, clock=lambda: sum(naps), jitter=lambda _low, high: high
    )


def test_waits() -> None:
    """The waits double from half a second to the cap."""
    naps: list[float] = []
    assert policy(naps).run(Failing(8)) == "done"
    assert naps == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_full_jitter() -> None:
    """Each wait is drawn between nothing and its bound."""
    retry = Retry(jitter=random.Random(1).uniform)  # noqa: S311  # no secret
    for attempt in range(200):
        bound = min(LONGEST, INITIAL * 2 ** min(attempt, 10))
        assert 0 <= retry.delay(attempt, None) <= bound


def test_budget() -> None:
    """The last error is raised when the next wait would end behind the budget."""
    naps: list[float] = []
    step = Failing(10**6)
    with pytest.raises(UnavailableError, match="busy"):
        policy(naps, budget=20.0).run(step)
    assert naps == [0.5, 1, 2, 4, 8]
    assert step.calls == 6


def test_no_budget() -> None:
    """A budget of nothing is one try."""
    step = Failing(1)
    with pytest.raises(UnavailableError):
        policy([], budget=0.0).run(step)
    assert step.calls == 1


def test_retry_after_within_the_budget() -> None:
    """The server's wish wins over cap and jitter, but not over the budget."""
    naps: list[float] = []
    assert policy(naps).run(Failing(1, retry_after=90.0)) == "done"
    assert naps == [90.0]
    with pytest.raises(UnavailableError):
        policy([]).run(Failing(1, retry_after=BUDGET + 1))


def test_other_errors_pass() -> None:
    """What does not pass by waiting is not waited for."""
    naps: list[float] = []

    def step() -> None:
        raise DeniedError("no")

    with pytest.raises(DeniedError):
        policy(naps).run(step)
    assert naps == []


def test_progress_renews_the_budget() -> None:
    """A step that got on before it failed has the whole budget again, and short waits."""
    naps: list[float] = []
    step = Failing(30)
    assert policy(naps, budget=2.0).run(step, progress=lambda: step.calls) == "done"
    assert naps == [0.5] * 30


def test_stop_ends_the_waiting() -> None:
    """Who is stopped while waiting does not try again."""
    stop = threading.Event()
    stop.set()
    step = Failing(5)
    with pytest.raises(UnavailableError):
        Retry(jitter=lambda _low, high: high).run(step, stop)
    assert step.calls == 1


def test_each_wait_is_told() -> None:
    """One note per wait: what failed, and how long it takes."""
    notes: list[str] = []
    retry = Retry(sleep=lambda _s: None, jitter=lambda _low, high: high, on_note=notes.append)
    retry.run(Failing(2))
    assert notes == ["busy; trying again in 0.5 s", "busy; trying again in 1.0 s"]
