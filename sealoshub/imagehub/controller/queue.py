"""A queue of keys: each at most once, never by two workers at a time, failures later and later.

It has two lanes: what just changed does not stand behind everything that is looked at to be sure.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")
Lane = Literal["changed", "idle", "later"]

FIRST_RETRY: Final = 0.05  # seconds; most failures are a conflict that is over at once
LAST_RETRY: Final = 60.0  # seconds; an API server that comes back is noticed within a minute


class KeyQueue(Generic[K]):
    """Hand out keys to workers.

    A key that is added while a worker has it is handed out again when the worker is done: no
    change is lost, and none is worked on twice at once. It is a class because the three sets that
    guarantee this must change together.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._ready: deque[K] = deque()
        self._idle: deque[K] = deque()  # may also hold keys that were taken or went to _ready
        # Whether it waits in _ready, or for the end of its worker to go there; else in _idle.
        self._waiting: dict[K, bool] = {}
        self._working: dict[K, bool] = {}  # whether it was taken as one that changed
        # When, a number, what, and whether it changed or is only looked at.
        self._later: list[tuple[float, int, K, bool]] = []
        self._count = 0  # keeps equal times in order without comparing keys
        self._failures: dict[K, int] = {}
        self._closed = False

    def add(self, key: K) -> None:
        """Hand out *key* soon."""
        with self._condition:
            self._add(key)

    def add_idle(self, key: K) -> None:
        """Hand out *key* when there is nothing else to do."""
        with self._condition:
            self._add_idle(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Hand out *key* in so many seconds."""
        with self._condition:
            self._put_off(key, seconds, soon=True)
            self._condition.notify()

    def get(self, *, idle: bool = True) -> K | None:
        """Wait for a key and take it; None once the queue is closed. `done` or `failed` ends it.

        Args:
            idle: Also one of `add_idle`. Workers that do not take them are there for what is new.
        """
        with self._condition:
            while True:
                if self._closed:
                    return None
                wait = self._move_due()
                key = self._take(self._ready, soon=True)
                if key is None and idle:
                    key = self._take(self._idle, soon=False)
                if key is not None:
                    self._working[key] = self._waiting.pop(key)
                    return key
                self._condition.wait(wait)

    def done(self, key: K) -> None:
        """Say that *key* is as it should be."""
        with self._condition:
            self._failures.pop(key, None)
            self._finish(key)

    def failed(self, key: K) -> float:
        """Say that *key* is not, and return in how many seconds it is handed out again.

        It goes back to where it came from.
        """
        with self._condition:
            count = self._failures.get(key, 0)
            self._failures[key] = count + 1
            seconds = min(FIRST_RETRY * 2.0 ** min(count, 32), LAST_RETRY)
            self._put_off(key, seconds, soon=self._working.get(key, True))
            self._finish(key)
            return seconds

    def close(self) -> None:
        """Let every `get` return None from now on."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def is_urgent(self, key: K) -> bool:
        """Tell whether *key*, which a worker has, changed, before it was taken or since."""
        with self._condition:
            return self._working.get(key, True) or self._waiting.get(key, False)

    def has_idle(self) -> bool:
        """Tell whether a key of `add_idle` waits, or a worker has one."""
        with self._condition:
            return not (all(self._waiting.values()) and all(self._working.values()))

    def depth(self, kind_of: Callable[[K], str]) -> Counter[tuple[Lane, str]]:
        """Count what waits by lane and kind: for a worker, or for its time (`later`)."""
        found: Counter[tuple[Lane, str]] = Counter()
        with self._condition:
            for key, soon in self._waiting.items():
                found["changed" if soon else "idle", kind_of(key)] += 1
            for _, _, key, _ in self._later:
                found["later", kind_of(key)] += 1
        return found

    def __len__(self) -> int:
        with self._condition:
            return len(self._waiting)

    def _put_off(self, key: K, seconds: float, *, soon: bool) -> None:
        self._count += 1
        heapq.heappush(self._later, (self._clock() + seconds, self._count, key, soon))

    def _add(self, key: K) -> None:
        if not self._waiting.get(key, False):
            self._waiting[key] = True
            self._queue(key)

    def _add_idle(self, key: K) -> None:
        if key not in self._waiting:
            self._waiting[key] = False
            self._queue(key)

    def _queue(self, key: K) -> None:
        """Put a key that waits where workers take it from, unless one has it."""
        if key in self._working:
            return
        if self._waiting[key]:
            self._ready.append(key)
            self._condition.notify()
        else:
            self._idle.append(key)
            self._condition.notify_all()  # the first to wake up might not take it

    def _take(self, lane: deque[K], *, soon: bool) -> K | None:
        while lane:
            key = lane.popleft()
            if self._waiting.get(key) is soon and key not in self._working:
                return key
        return None

    def _finish(self, key: K) -> None:
        self._working.pop(key, None)
        if key in self._waiting:
            self._queue(key)

    def _move_due(self) -> float | None:
        """Move the keys whose time has come; return how long the next one takes."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            _, _, key, soon = heapq.heappop(self._later)
            (self._add if soon else self._add_idle)(key)
        return self._later[0][0] - now if self._later else None
