"""The one retry policy: which failures, how long between them, how long altogether.

The transport repeats nothing and no step has a loop of its own. A library's loop was not usable:
the wait must end at once when the user presses Ctrl-C, and tests inject it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from sealoshub.registry.failure import TransientError
from sealoshub.value import Value

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

T = TypeVar("T")

BUDGET: Final = 600.0  # seconds in which one step may be tried; long enough for a restart
INITIAL: Final = 0.5  # seconds: upper bound of the first wait, doubled each time
LONGEST: Final = 30.0  # seconds: upper bound of any wait that the server did not ask for


def _uniform(low: float, high: float) -> float:
    import random  # noqa: PLC0415  # 4 ms, for those who wait

    return random.uniform(low, high)  # noqa: S311  # it spreads clients, it hides nothing


def _silent(_text: str) -> None:
    """Say nothing."""


class Retry(Value):
    """Run steps again when they fail for a passing reason.

    Args:
        budget: Seconds from the first failure of a step to the start of its last try; counted anew
            when the step got on in between.
        sleep: Waits the given seconds; None waits really, and no longer than until *stop* is set.
        clock: A monotonic clock, in seconds.
        jitter: Draws a number between its two arguments ("full jitter": from 0 to the bound).
        on_note: Told once per wait what failed and how long the wait is.
    """

    budget: float = BUDGET
    sleep: Callable[[float], None] | None = None
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[float, float], float] = _uniform
    on_note: Callable[[str], None] = _silent

    def run(
        self,
        step: Callable[[], T],
        stop: threading.Event | None = None,
        progress: Callable[[], int] = lambda: 0,
    ) -> T:
        """Call *step* until it returns, fails for good, or the budget is spent.

        Args:
            step: What to do, safe to be done again.
            stop: Set by another thread when nobody wants the result any more.
            progress: A number that grows when the step gets on although it fails in the end: an
                upload of hours may break more often than the budget allows.

        Raises:
            SealosHubError: What the last try raised.
        """
        reached = progress()
        deadline: float | None = None
        attempt = 0
        while True:
            try:
                return step()
            except TransientError as exc:
                if deadline is None or progress() > reached:
                    reached, deadline, attempt = progress(), self.clock() + self.budget, 0
                delay = self.delay(attempt, exc.retry_after)
                if self.clock() + delay > deadline:
                    raise
                if stop is not None and stop.is_set():
                    raise
                self.on_note(f"{exc.message}; trying again in {delay:.1f} s")
                self._wait(delay, stop)
                if stop is not None and stop.is_set():
                    raise
                attempt += 1

    def _wait(self, seconds: float, stop: threading.Event | None) -> None:
        if self.sleep is not None:
            self.sleep(seconds)
        elif stop is not None:
            stop.wait(seconds)
        else:
            time.sleep(seconds)

    def delay(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds to wait after failure number *attempt* (counted from 0).

        A `Retry-After` of the server wins, however long; the budget decides whether it is waited.
        """
        if retry_after is not None:
            return retry_after
        bound = min(LONGEST, INITIAL * 2.0 ** min(attempt, 10))  # 2**10 is past the bound
        return self.jitter(0.0, bound)
