"""One speed for everything that a push sends: `--limit-rate`.

A bucket that every sender pours from before it sends. It is reservation, not polling: whoever comes
takes the next free place on the time line and waits until it is reached, so that all connections
together keep the rate and none of them starves.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds' worth of bytes that may go at once after a pause: small enough to be no burst that a
# line notices, large enough that a late wake-up of the machine costs no speed.
BURST: Final = 0.25
MAX_PIECE: Final = 256 * 1024  # bytes sent between two looks at the clock
MIN_PIECE: Final = 1024  # bytes; below it a slow rate would be all overhead


class Throttle:
    """Keeps what all threads send together at a rate.

    It is a class because the threads share its time line.

    Args:
        rate: Bytes per second, at least one.
        clock: Monotonic, in seconds.
        sleep: Waits that many seconds; None waits really, and no longer than until *stop* is set.
    """

    def __init__(
        self,
        rate: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free = clock() - BURST  # when the next byte may go

    @property
    def piece(self) -> int:
        """Bytes to ask for at once: an eighth of a second's worth, within sensible bounds."""
        return max(MIN_PIECE, min(MAX_PIECE, self.rate // 8))

    def take(self, count: int, stop: threading.Event) -> None:
        """Wait until *count* further bytes may be sent, or *stop* is set."""
        with self._lock:
            now = self._clock()
            start = max(self._free, now - BURST)
            self._free = start + count / self.rate
            wait = self._free - now
        if wait <= 0:
            return
        if self._sleep is not None:
            self._sleep(wait)
        else:
            stop.wait(wait)
