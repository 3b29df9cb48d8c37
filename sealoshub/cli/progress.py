"""How a push or a pull is watched: bars on a terminal, lines in a log, JSON lines for a program."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

from sealoshub.amount import size_text
from sealoshub.cli import output
from sealoshub.cli.tally import FINISHED, Tally
from sealoshub.registry.pull_events import ManifestPulled, PullResult, PullStarted
from sealoshub.registry.push_events import (
    BlobProgress,
    BlobState,
    Compressing,
    ManifestPushed,
    PushResult,
    Started,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.cli.bars import Bars
    from sealoshub.reference import Digest
    from sealoshub.registry.pull_events import PullEvent
    from sealoshub.registry.push_events import Event

TOTAL_EVERY: Final = 10.0  # seconds between two total lines in a log
UPLOADING_EVERY: Final = 0.5  # seconds between two JSON lines about the same running blob
DRAWN_EVERY: Final = 0.1  # seconds between two moves of the same bar

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
        self._tally = Tally(0, clock)
        self._last = clock()

    def __call__(self, event: Event | PullEvent) -> None:
        """Print the line that *event* is worth, if any."""
        match event:
            case Started() | PullStarted():
                self._tally = Tally(event.size, self._clock)
                self._say(_header(event))
            case Compressing():
                self._tally.compressing(event)
                if event.blob is not None and event.blob_size is not None:
                    became = f"{_short(event.blob)}, {size_text(event.blob_size)}"
                    self._say(f"{_short(event.diff_id)}  compressed  to {became}")
                self._say_total()
            case BlobProgress():
                self._tally.blob(event)
                if event.state in FINISHED:
                    self._say(f"{_short(event.digest)}  {event.state}  {size_text(event.total)}")
                self._say_total()
            case ManifestPushed():
                state = "exists" if event.existed else "pushed"
                self._say(f"{_short(event.digest)}  {state}  manifest {event.tag or ''}".rstrip())
            case ManifestPulled():
                self._say(f"{_short(event.digest)}  pulled  manifest")

    def close(self) -> None:
        """Do nothing; the last line has been printed."""

    def applied(self, name: str, outcome: str) -> None:
        """Print one line."""
        self._say(f"image.imagehub.sealos.io/{name} {outcome}")

    def _say_total(self) -> None:
        tally, now = self._tally, self._clock()
        if now - self._last < TOTAL_EVERY or tally.done >= tally.total:
            return
        self._last = now
        self._say(f"{_of(tally.done, tally.total)}{_speed(tally, 'about {} left')}")


class OnTerminal:
    """Bars, as long as blobs are under way, and a line about all of it in the end.

    Args:
        say: Takes a line.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._clock = clock
        self._tally = Tally(0, clock)
        self._bars: Bars | None = None
        self._drawn: dict[str, float] = {}
        self._summary = ""

    def __call__(self, event: Event | PullEvent) -> None:
        """Move the bar that *event* is about."""
        match event:
            case Started() | PullStarted():
                from sealoshub.cli.bars import Bars  # noqa: PLC0415  # rich: 60 ms

                self._tally = Tally(event.size, self._clock)
                self._say(_header(event))
                self._bars = Bars(event.size)
                self._bars.start()
            case Compressing() if self._bars is not None:
                self._tally.compressing(event)
                self._draw(event.diff_id, event.done, event.total, "compressing", event.blob)
            case BlobProgress() if self._bars is not None:
                self._tally.blob(event)
                over = event.state in FINISHED or None
                self._draw(event.digest, event.done, event.total, "", over)
            case PushResult() | PullResult():
                self._summary = _summary(self._tally, is_push=isinstance(event, PushResult))

    def close(self) -> None:
        """Remove the bars; say what was done, if it was done."""
        if self._bars is not None:
            self._bars.close()
        if self._summary:
            self._say(self._summary)

    def applied(self, name: str, outcome: str) -> None:
        """Print one line."""
        self._say(f"image.imagehub.sealos.io/{name} {outcome}")

    def _draw(self, digest: Digest, done: int, total: int, what: str, over: object | None) -> None:
        """Move the bar of *digest*, or remove it if it is *over*."""
        bars, now, key = self._bars, self._clock(), digest.text
        if bars is None or (over is None and now - self._drawn.get(key, -1.0) < DRAWN_EVERY):
            return
        self._drawn[key] = now
        write = _percent if bars.is_narrow else _of
        if over is not None:
            bars.remove(key)
        else:
            note = f"{what} {write(done, total)}".strip()
            bars.update(key, _short(digest), done, total, note)
        tally = self._tally
        amount = write(tally.done, tally.total) + _speed(tally, "{}")
        bars.update_all(tally.done, tally.total, amount)


class JsonLines:
    """One JSON object per event on standard output.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, tuple[BlobState | str, float]] = {}

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
            case Compressing():
                self._compress(event)
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
        if not self._is_due(event.digest, event.state):
            return
        self._print(
            "blob",
            digest=event.digest.text,
            media_type=event.media_type,
            state=event.state.value,
            bytes=event.done,
            total=event.total,
        )

    def _compress(self, event: Compressing) -> None:
        if not self._is_due(event.diff_id, "compressing" if event.blob is None else "compressed"):
            return
        self._print(
            "compress",
            diff_id=event.diff_id.text,
            bytes=event.done,
            total=event.total,
            digest=event.blob.text if event.blob is not None else None,
            size=event.blob_size,
        )

    def _is_due(self, digest: Digest, state: BlobState | str) -> bool:
        """Tell whether something is new: the state, or a number that has not been told lately."""
        now = self._clock()
        before, last = self._last.get(digest.text, (None, 0.0))
        if before == state and now - last < UPLOADING_EVERY:
            return False
        self._last[digest.text] = (state, now)
        return True

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


def _header(event: Started | PullStarted) -> str:
    verb = "pushing" if isinstance(event, Started) else "pulling"
    return f"{verb} {event.reference}: {_blobs(event.blobs)}, {size_text(event.size)}"


def _summary(tally: Tally, *, is_push: bool) -> str:
    """Return one line about a push or a pull that is done."""
    words = {BlobState.EXISTS: "there", BlobState.MOUNTED: "mounted"}
    spared = ", ".join(
        f"{_blobs(count)} {'was' if count == 1 else 'were'} {words[state]}"
        for state, count in tally.spared.items()
        if count
    )
    if not tally.finished:
        return f"nothing to {'send' if is_push else 'fetch'}: {spared or 'there are no blobs'}"
    moved = f"{_blobs(tally.finished)}, {size_text(tally.moved)}"
    speed = f"{size_text(tally.moved / max(tally.seconds, 0.001))}/s"
    tail = f"; {spared}" if spared else ""
    return f"{'sent' if is_push else 'fetched'} {moved} in {tally.seconds:.1f} s, {speed}{tail}"


def _blobs(count: int) -> str:
    return f"{count} blob{'' if count == 1 else 's'}"


def _of(done: int, total: int) -> str:
    return f"{size_text(done)} of {size_text(total)}"


def _percent(done: int, total: int) -> str:
    return f"{100 * done // total if total else 100} %"


def _speed(tally: Tally, remaining: str) -> str:
    rate, left = tally.rate(), tally.left()
    if not rate or left is None:
        return ""
    return f", {size_text(rate)}/s, {remaining.format(output.clock(left))}"


def _short(digest: Digest) -> str:
    return digest.text[:_SHORT]
