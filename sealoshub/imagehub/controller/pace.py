"""How fast a sweep asks the registry: so many requests a second, one after the other.

A registry that is asked for everything that it holds as fast as it can answer has less time for
those who push and pull. What changed is not kept waiting: whoever asks because of that does not
come here, and a sweep that is in the way of a change hurries.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

RATE: Final = 50.0  # requests a second: 130,000 are sent within three quarters of an hour
LONGEST: Final = 0.05  # seconds until it is seen that somebody is in a hurry


class Pace:
    """Turns, of which there are so many a second. Threads may share it.

    Turns that nobody took are lost: after a pause there is no burst. It is a class because
    whoever waits has to know when the turn before his was.

    Args:
        rate: Turns a second; 0: as many as are asked for.
        sleep: Waits so many seconds and tells whether the end has come, as `Event.wait` does.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        rate: float,
        sleep: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._between = 1 / rate if rate else 0.0
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock()

    def wait(self, is_urgent: Callable[[], bool] = lambda: False) -> float:
        """Wait for the next turn; return the seconds that this took.

        Args:
            is_urgent: Asked again and again; True ends the wait.
        """
        if not self._between or is_urgent():
            return 0.0
        with self._lock:
            began = self._clock()
            turn = max(began, self._next)
            self._next = turn + self._between
        now = began
        while now < turn and not self._sleep(min(turn - now, LONGEST)) and not is_urgent():
            now = self._clock()
        return self._clock() - began
