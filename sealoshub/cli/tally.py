"""How far a push or a pull is, how fast, and how long it will take: the sums, not the show."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from sealoshub.registry.push_events import BlobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.registry.push_events import BlobProgress, Compressing

FINISHED: Final = frozenset({BlobState.EXISTS, BlobState.MOUNTED, BlobState.DONE})
# Those of which no byte has to go through the network.
SPARED: Final = frozenset({BlobState.EXISTS, BlobState.MOUNTED})

WINDOW: Final = 10.0  # seconds that the rate is measured over: it follows a line that gets slower
SAMPLE_EVERY: Final = 0.25  # seconds between two measurements
FIRST_RATE: Final = 0.5  # seconds before which a rate is a guess


class _Blob:
    """How far one blob is."""

    __slots__ = ("done", "state")

    def __init__(self) -> None:
        self.done = 0
        self.state: BlobState | None = None


class Tally:
    """The sums of one push or pull.

    It is a class because every event changes them.

    Args:
        total: Bytes of all blobs.
        clock: Monotonic, in seconds.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total  # bytes that have to go, as far as is known
        self.moved = 0  # bytes that went, those of broken tries included
        self.finished = 0  # blobs that went
        self.spared = dict.fromkeys(sorted(SPARED), 0)  # blobs that had not to
        self._blobs: dict[str, _Blob] = {}
        self._clock = clock
        self._begin = clock()
        self._samples = deque([(self._begin, 0)])

    @property
    def done(self) -> int:
        """Bytes of the total that are there."""
        return sum(blob.done for blob in self._blobs.values())

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock() - self._begin

    def compressing(self, event: Compressing) -> None:
        """Take note of a layer that is compressed first: what goes is what it becomes."""
        if event.blob_size is not None:
            self.total += event.blob_size - event.total

    def blob(self, event: BlobProgress) -> None:
        """Take note of what became of a blob."""
        known = self._blobs.setdefault(event.digest.text, _Blob())
        if known.state in FINISHED:
            return
        known.state = event.state
        if event.state in SPARED:
            self.total -= event.total
            self.spared[event.state] += 1
            known.done = 0
        else:
            done = event.total if event.state is BlobState.DONE else event.done
            # What was resumed lies there from an earlier time: it makes this one no faster.
            self.moved += 0 if event.state is BlobState.RESUMED else max(0, done - known.done)
            self.finished += event.state is BlobState.DONE
            known.done = done
        self._sample()

    def rate(self) -> float | None:
        """Return bytes per second of the last seconds; None as long as that is a guess."""
        since, moved = self._samples[0]
        seconds = self._clock() - since
        return (self.moved - moved) / seconds if seconds >= FIRST_RATE else None

    def left(self) -> float | None:
        """Return how many seconds it will take at this rate; None if nobody knows."""
        rate = self.rate()
        return (self.total - self.done) / rate if rate else None

    def _sample(self) -> None:
        now = self._clock()
        if now - self._samples[-1][0] >= SAMPLE_EVERY:
            self._samples.append((now, self.moved))
        while len(self._samples) > 1 and now - self._samples[1][0] >= WINDOW:
            self._samples.popleft()
