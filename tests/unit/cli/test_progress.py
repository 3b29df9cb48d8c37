"""Claims about progress: the sums, the lines of a log, the events of a program, the bars."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.cli import output, progress
from sealoshub.cli.tally import Tally
from sealoshub.reference import Digest
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

    from sealoshub.registry.push_events import Event

STARTED = Started("h/o/r:[red]t", 3, 300, 1)
CURSOR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands."""
    return Clock()


def digest(name: str) -> Digest:
    """Return some digest for *name*."""
    return Digest.of(name.encode())


def short(name: str) -> str:
    """Return what is shown of it."""
    return digest(name).text[:19]


def blob(state: BlobState, done: int, name: str = "x", total: int = 100) -> BlobProgress:
    """Return the event that a blob got on."""
    return BlobProgress(digest(name), "t", state, done, total)


def result() -> PushResult:
    """Return the last event of a push."""
    return PushResult("h/o/r@x", digest("m"), "t", 309, ("t",), 200)


# ---------------------------------------------------------------- the sums


def test_what_is_there_need_not_go(clock: Clock) -> None:
    """Blobs that exist or are mounted leave the total, and make nothing faster."""
    tally = Tally(300, clock)
    tally.blob(blob(BlobState.EXISTS, 100, "a"))
    tally.blob(blob(BlobState.MOUNTED, 100, "b"))
    tally.blob(blob(BlobState.UPLOADING, 40, "c"))
    assert (tally.total, tally.done, tally.moved) == (100, 40, 40)
    assert tally.spared == {"exists": 1, "mounted": 1}


def test_the_rate_is_that_of_the_last_seconds(clock: Clock) -> None:
    """A line that gets slower is believed within ten seconds; before half a second nothing is."""
    tally = Tally(10_000, clock)
    tally.blob(blob(BlobState.UPLOADING, 1000, total=10_000))
    assert tally.rate() is None
    assert tally.left() is None
    clock.now += 1
    tally.blob(blob(BlobState.UPLOADING, 2000, total=10_000))
    assert tally.rate() == 2000
    assert tally.left() == 4
    for _ in range(20):
        clock.now += 1
        tally.blob(blob(BlobState.UPLOADING, 2000, total=10_000))
    assert tally.rate() == 0
    assert tally.left() is None


def test_a_try_that_begins_again(clock: Clock) -> None:
    """What is sent twice is not done twice; what an earlier push had sent did not go now."""
    tally = Tally(100, clock)
    for state, done in (("uploading", 60), ("uploading", 0), ("uploading", 30)):
        tally.blob(blob(BlobState(state), done))
    assert (tally.done, tally.moved) == (30, 90)
    tally.blob(blob(BlobState.RESUMED, 80))
    tally.blob(blob(BlobState.DONE, 100))
    tally.blob(blob(BlobState.UPLOADING, 0))  # too late to mean anything
    assert (tally.done, tally.moved, tally.finished) == (100, 110, 1)


def test_a_layer_that_is_compressed_counts_as_what_it_becomes(clock: Clock) -> None:
    """The total is right as soon as the compressed size is known."""
    tally = Tally(300, clock)
    tally.compressing(Compressing(digest("x"), 100, 200))
    assert tally.total == 300
    tally.compressing(Compressing(digest("x"), 200, 200, digest("y"), 50))
    assert tally.total == 150


# ---------------------------------------------------------------- a log


def test_lines_of_a_log(clock: Clock) -> None:
    """A log gets a line for each finished blob and a total every ten seconds, no more."""
    lines: list[str] = []
    watch = progress.Lines(lines.append, clock)
    watch(Started("h/o/r:t", 2, 200, 1))
    for second in range(1, 13):
        clock.now += 1
        watch(blob(BlobState.UPLOADING, second * 8))
    watch(blob(BlobState.DONE, 100))
    watch(blob(BlobState.EXISTS, 0, "y"))
    watch(ManifestPushed(digest("m"), "t", 9, "v1", existed=False))
    watch.close()
    assert lines == [
        "pushing h/o/r:t: 2 blobs, 200 B",
        "80 B of 200 B, 8 B/s, about 0:15 left",
        f"{short('x')}  done  100 B",
        f"{short('y')}  exists  100 B",
        f"{short('m')}  pushed  manifest v1",
    ]


def test_a_log_tells_of_compression(clock: Clock) -> None:
    """One line says what a layer became; a long compression is no silence."""
    lines: list[str] = []
    watch = progress.Lines(lines.append, clock)
    watch(Started("h/o/r:t", 1, 200, 1))
    clock.now += 11
    watch(Compressing(digest("x"), 100, 200))
    watch(Compressing(digest("x"), 200, 200, digest("y"), 50))
    assert lines[1:] == ["0 B of 200 B", f"{short('x')}  compressed  to {short('y')}, 50 B"]


# ---------------------------------------------------------------- a program


def events_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was printed."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_json_lines_are_not_a_flood(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    """A running blob is reported twice a second at most; every change of state at once."""
    watch = progress.JsonLines(clock)
    for step in range(100):
        watch(blob(BlobState.UPLOADING, step))
        watch(Compressing(digest("z"), step, 100))
        clock.now += 0.01
    watch(blob(BlobState.DONE, 100))
    watch(Compressing(digest("z"), 100, 100, digest("y"), 50))
    found = events_of(capsys)
    assert [event["bytes"] for event in found if event["event"] == "blob"] == [0, 50, 100]
    assert [
        (event["bytes"], event["digest"], event["size"])
        for event in found
        if event["event"] == "compress"
    ] == [(0, None, None), (50, None, None), (100, digest("y").text, 50)]


# ---------------------------------------------------------------- a terminal


class Screen(io.StringIO):
    """A terminal that remembers everything that was written to it."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Screen]:
    """Make standard error a terminal of so many columns."""

    def make(columns: int) -> Screen:
        screen = Screen()
        monkeypatch.setattr("sys.stderr", screen)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", "24")
        monkeypatch.setenv("TERM", "xterm-256color")
        return screen

    return make


def watched(clock: Clock, events: list[Event]) -> list[str]:
    """Watch *events* on the terminal; return the lines that stay."""
    said: list[str] = []
    watch = progress.OnTerminal(said.append, clock)
    for event in events:
        watch(event)
        clock.now += 1
    watch.close()
    return said


@pytest.mark.parametrize(("columns", "bars"), [(100, True), (80, True), (70, False), (40, False)])
def test_bars_fit_on_their_line(
    terminal: Callable[[int], Screen],
    capsys: pytest.CaptureFixture[str],
    clock: Clock,
    columns: int,
    *,
    bars: bool,
) -> None:
    """No line is longer than the terminal, a narrow one has numbers, and nothing is left behind."""
    screen = terminal(columns)
    large = 1023 << 20
    events: list[Event] = [
        Started("h/o/r:t", 3, 3 * large, 1),
        Compressing(digest("z"), large // 2, large),
        blob(BlobState.UPLOADING, large // 3, "x", large),
        blob(BlobState.UPLOADING, large // 2, "x", large),
        blob(BlobState.EXISTS, 0, "y", large),
        blob(BlobState.DONE, large, "x", large),
    ]
    assert watched(clock, events) == ["pushing h/o/r:t: 3 blobs, 3.0 GiB"]
    shown = screen.getvalue()
    assert ("━" in shown) is bars
    assert short("x") in shown
    assert "compressing" in shown
    lines = re.split(r"[\r\n]+", CURSOR.sub("", shown))
    assert max(map(output.cells, lines)) <= columns
    assert "…" not in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        (
            [blob(BlobState.DONE, 100), blob(BlobState.EXISTS, 0, "y")],
            "sent 1 blob, 100 B in 3.0 s, 33 B/s; 1 blob was there",
        ),
        ([blob(BlobState.DONE, 100)], "sent 1 blob, 100 B in 2.0 s, 50 B/s"),
        ([blob(BlobState.EXISTS, 0)], "nothing to send: 1 blob was there"),
        ([], "nothing to send: there are no blobs"),
        (
            [blob(BlobState.MOUNTED, 0, name) for name in "xy"] + [blob(BlobState.EXISTS, 0, "z")],
            "nothing to send: 1 blob was there, 2 blobs were mounted",
        ),
    ],
)
def test_a_line_stays_when_the_bars_are_gone(
    terminal: Callable[[int], Screen], clock: Clock, finished: list[Event], expected: str
) -> None:
    """It says what was sent; a push that failed has no such line."""
    terminal(100)
    assert watched(clock, [STARTED, *finished, result()])[-1] == expected
    assert len(watched(clock, [STARTED, *finished])) == 1


def test_a_note_while_bars_are_shown(terminal: Callable[[int], Screen], clock: Clock) -> None:
    """A retry is told above the bars, whole, and they go on below."""
    screen = terminal(100)
    watch = progress.OnTerminal(lambda _: None, clock)
    watch(STARTED)
    watch(blob(BlobState.UPLOADING, 10))
    output.Output("push").note("trying again in 2 s")
    watch(blob(BlobState.DONE, 100))
    watch.close()
    assert "trying again in 2 s" in CURSOR.sub("", screen.getvalue())


@pytest.mark.parametrize(
    ("is_terminal", "quiet", "ndjson", "kind"),
    [
        (True, False, False, progress.OnTerminal),
        (False, False, False, progress.Lines),
        (True, True, False, progress.Silent),
        (True, False, True, progress.JsonLines),
        (False, True, True, progress.JsonLines),
    ],
)
def test_who_watches(
    monkeypatch: pytest.MonkeyPatch,
    is_terminal: bool,  # noqa: FBT001  # a parameter of the table
    quiet: bool,  # noqa: FBT001  # as above
    ndjson: bool,  # noqa: FBT001  # as above
    kind: type,
) -> None:
    """Bars for a person, lines for a log, events for a program, nothing for who wants nothing."""
    monkeypatch.setattr(output, "is_terminal", lambda _: is_terminal)
    assert type(progress.watcher(ndjson=ndjson, quiet=quiet, say=print)) is kind


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.4, "0:00"), (7, "0:07"), (754, "12:34"), (3600, "1:00:00")]
)
def test_clock(seconds: float, expected: str) -> None:
    """Times are written as a clock shows them."""
    assert output.clock(seconds) == expected
