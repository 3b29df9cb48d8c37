"""How a push or a pull is watched: bars on a terminal, lines in a log, JSON lines for a program."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

from sealoshub.cli import output
from sealoshub.registry.pull_events import ManifestPulled, PullStarted
from sealoshub.registry.push import BlobProgress, ManifestPushed, Started
from sealoshub.registry.transfer import BlobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.registry.pull_events import PullEvent
    from sealoshub.registry.push import Event

TOTAL_EVERY: Final = 10.0  # seconds between two total lines in a log
UPLOADING_EVERY: Final = 0.5  # seconds between two JSON lines about the same running blob

_FINISHED: Final = frozenset({BlobState.EXISTS, BlobState.MOUNTED, BlobState.DONE})
_SHORT: Final = 19  # characters of a digest that people compare: sha256: and twelve digits


class Watcher(Protocol):
    """Told every event of a push or a pull, then closed."""

    def __call__(self, event: Event | PullEvent) -> None:
        """Take one event; never called from two threads at once."""

    def close(self) -> None:
        """End the show, whatever has happened."""

    def applied(self, name: str, outcome: str) -> None:
        """Tell what became of an Image resource."""


class Silent:
    """Shows nothing."""

    def __call__(self, event: Event | PullEvent) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""

    def applied(self, name: str, outcome: str) -> None:
        """Show nothing."""


class Lines:
    """One line for each finished blob, one about everything from time to time.

    Args:
        say: Takes a line.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._clock = clock
        self._total = 0
        self._done: dict[str, int] = {}
        self._last = self._begin = clock()

    def __call__(self, event: Event | PullEvent) -> None:
        """Print the line that *event* is worth, if any."""
        match event:
            case Started() | PullStarted():
                self._total = event.size
                verb = "pushing" if isinstance(event, Started) else "pulling"
                self._say(
                    f"{verb} {event.reference}: {event.blobs} blobs, {output.size(event.size)}"
                )
            case BlobProgress():
                finished = event.state in _FINISHED
                self._done[event.digest.text] = event.total if finished else event.done
                if finished:
                    self._say(f"{_short(event)}  {event.state}  {output.size(event.total)}")
                elif self._clock() - self._last >= TOTAL_EVERY:
                    self._say(self._summary())
            case ManifestPushed():
                state = "exists" if event.existed else "pushed"
                self._say(
                    f"{event.digest.text[:_SHORT]}  {state}  manifest {event.tag or ''}".rstrip()
                )
            case ManifestPulled():
                self._say(f"{event.digest.text[:_SHORT]}  pulled  manifest")

    def close(self) -> None:
        """Do nothing; the last line has been printed."""

    def applied(self, name: str, outcome: str) -> None:
        """Print one line."""
        self._say(f"image.imagehub.sealos.io/{name} {outcome}")

    def _summary(self) -> str:
        self._last = self._clock()
        done = sum(self._done.values())
        rate = done / max(self._last - self._begin, 0.001)
        left = (self._total - done) / rate if rate else 0
        return (
            f"{output.size(done)} of {output.size(self._total)},"
            f" {output.size(rate)}/s, about {left:.0f} s left"
        )


class OnTerminal:
    """Bars, as long as blobs are under way.

    Args:
        say: Takes a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._bars: output.Bars | None = None

    def __call__(self, event: Event | PullEvent) -> None:
        """Move the bar that *event* is about."""
        match event:
            case Started() | PullStarted():
                self._bars = output.Bars(event.reference, event.size)
                self._bars.start()
            case BlobProgress() if self._bars is not None:
                self._bars.update(
                    event.digest.text,
                    _short(event),
                    event.done,
                    event.total,
                    finished=event.state in _FINISHED,
                )

    def close(self) -> None:
        """Remove the bars."""
        if self._bars is not None:
            self._bars.close()

    def applied(self, name: str, outcome: str) -> None:
        """Print one line."""
        self._say(f"image.imagehub.sealos.io/{name} {outcome}")


class JsonLines:
    """One JSON object per event on standard output.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, tuple[BlobState, float]] = {}

    def __call__(self, event: Event | PullEvent) -> None:
        """Print *event*."""
        match event:
            case Started() | PullStarted():
                self._print(
                    "start",
                    reference=event.reference,
                    blobs=event.blobs,
                    bytes=event.size,
                    manifests=event.manifests,
                )
            case BlobProgress():
                self._blob(event)
            case ManifestPushed():
                self._print(
                    "manifest",
                    digest=event.digest.text,
                    media_type=event.media_type,
                    bytes=event.size,
                    tag=event.tag,
                    existed=event.existed,
                )
            case ManifestPulled():
                self._print(
                    "manifest",
                    digest=event.digest.text,
                    media_type=event.media_type,
                    bytes=event.size,
                )
            case _:
                pass  # the result: printed by the command, with what became of the resource

    def close(self) -> None:
        """Do nothing; every line is complete."""

    def applied(self, name: str, outcome: str) -> None:
        """Print what became of an Image resource."""
        self._print("applied", kind="Image", name=name, outcome=outcome)

    def result(self, data: dict[str, object]) -> None:
        """Print the last line of a success."""
        self._print("result", status="ok", exit_code=0, **data)

    def _blob(self, event: BlobProgress) -> None:
        key, now = event.digest.text, self._clock()
        state, last = self._last.get(key, (None, 0.0))
        if state is event.state and now - last < UPLOADING_EVERY:
            return
        self._last[key] = (event.state, now)
        self._print(
            "blob",
            digest=key,
            media_type=event.media_type,
            state=event.state.value,
            bytes=event.done,
            total=event.total,
        )

    @staticmethod
    def _print(event: str, **fields: object) -> None:
        output.print_line(json.dumps({"event": event, **fields}))


def watcher(*, ndjson: bool, quiet: bool, say: Callable[[str], None]) -> Watcher:
    """Choose how a push or a pull is watched."""
    if ndjson:
        return JsonLines()
    if quiet:
        return Silent()
    return OnTerminal(say) if output.is_terminal(sys.stderr) else Lines(say)


def _short(event: BlobProgress) -> str:
    return event.digest.text[:_SHORT]
