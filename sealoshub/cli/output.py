"""What people and programs get to see: results on standard output, the rest on standard error."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TextIO

from sealoshub.pattern import pattern
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sealoshub.errors import SealosHubError

ENVELOPE_VERSION: Final = 1
GAP: Final = 2  # columns of a terminal between two columns of a table
PROSE: Final = 10  # columns of a terminal that free text gets at least

# Everything that moves a cursor, changes a colour or the direction of writing: C0 except newline
# and tab, DEL, C1, and the bidirectional controls. Servers choose the texts that are shown.
_ESCAPE: Final = pattern(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL: Final = pattern("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Format(StrEnum):
    """How the result is printed."""

    TEXT = "text"
    JSON = "json"


class StreamFormat(StrEnum):
    """How the result of what takes long is printed."""

    TEXT = "text"
    JSON = "json"
    NDJSON = "ndjson"


class Output(Value):
    """How one command speaks.

    Args:
        command: Its name, as in the JSON envelope.
        format: Of the result.
        quiet: No notes and no progress.
        verbose: Details too.
    """

    command: str
    format: Format = Format.TEXT
    quiet: bool = False
    verbose: bool = False

    def note(self, text: str) -> None:
        """Tell the user something beside the result."""
        if not self.quiet:
            _write(sys.stderr, clean(text))

    def detail(self, text: str) -> None:
        """Tell what only somebody who asked for details wants to know."""
        if self.verbose and not self.quiet:
            _write(sys.stderr, clean(text))

    def result(self, text: str | None, data: Mapping[str, object]) -> None:
        """Print the result.

        Args:
            text: For a person; None if there is nothing to say but the notes.
            data: For a program.
        """
        if self.format is Format.JSON:
            _write(sys.stdout, envelope(self.command, data))
        elif text is not None:
            _write(sys.stdout, clean(text))

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        data: Mapping[str, object],
        *,
        prose: Sequence[str] = (),
    ) -> None:
        """Print a result that has rows.

        Args:
            head: Titles of the columns.
            rows: As many cells as there are titles.
            data: For a program.
            prose: Titles of columns that a narrow terminal may cut; all others are always whole,
                so that a name can be copied.
        """
        if self.format is Format.JSON:
            _write(sys.stdout, envelope(self.command, data))
        elif rows and is_terminal(sys.stdout):
            import shutil  # noqa: PLC0415  # with all compressions: 3 ms

            width = shutil.get_terminal_size().columns
            _write(sys.stdout, _for_terminal(head, rows, prose, width))
        elif rows:
            _write(sys.stdout, aligned(head, rows))


def envelope(command: str, data: Mapping[str, object]) -> str:
    """Return the JSON of a success."""
    return json.dumps(
        {
            "version": ENVELOPE_VERSION,
            "command": command,
            "status": "ok",
            "exit_code": 0,
            "data": data,
            "errors": [],
        }
    )


def error_envelope(command: str, error: SealosHubError) -> str:
    """Return the JSON of a failure."""
    return json.dumps(
        {
            "version": ENVELOPE_VERSION,
            "command": command,
            "status": "error",
            "exit_code": error.exit_code,
            "data": getattr(error, "data", None),
            "errors": [{"code": error.code, "message": error.message, "hint": error.hint}],
        }
    )


def show_error(message: str, hint: str | None) -> None:
    """Print a failure for a person."""
    _write(sys.stderr, f"{paint('error:', '31')} {clean(message)}")
    if hint:
        _write(sys.stderr, f"{paint('hint:', '36')} {clean(hint)}")


def print_line(text: str) -> None:
    """Print one line of the result as it is."""
    _write(sys.stdout, text)


def clean(text: str) -> str:
    """Remove what would do more on a terminal than show."""
    return _CONTROL.sub("", _ESCAPE.sub("", text.replace("\r\n", "\n")))


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns of equal width, two spaces between them, each row on one line.

    What `awk` and a person can read alike; an empty cell is a dash, so that columns can be counted.
    """
    lines = [list(head), *([one_line(cell) or "-" for cell in row] for row in rows)]
    widths = [max(map(cells, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        (" " * GAP)
        .join(cell + " " * (width - cells(cell)) for cell, width in zip(line, widths, strict=True))
        .rstrip()
        for line in lines
    )


def one_line(text: str) -> str:
    """Return *text* without line breaks and whatever else a terminal would do something with."""
    return " ".join(clean(text).split())


def cells(text: str) -> int:
    """Return how many columns of a terminal *text* takes: two for a wide letter (UAX #11)."""
    import unicodedata  # noqa: PLC0415  # its tables are large

    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def age(stamp: object, now: datetime | None = None) -> str:
    """Write how old an RFC 3339 *stamp* is, as kubectl does: `5s`, `3m`, `12d`; or nothing."""
    from datetime import UTC, datetime  # noqa: PLC0415  # 2 ms

    try:
        since = datetime.fromisoformat(str(stamp))
    except ValueError:
        return ""
    seconds = int(((now or datetime.now(UTC)) - since.astimezone(UTC)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"


def paint(text: str, colour: str) -> str:
    """Colour *text* (an SGR number) if standard error is a terminal that wants colours."""
    return f"\x1b[{colour}m{text}\x1b[0m" if wants_colour(sys.stderr) else text


def wants_colour(stream: TextIO) -> bool:
    """Tell whether *stream* is a terminal and colours are not switched off (no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and not _is_dumb()


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person sits behind *stream*; a closed one has nobody."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def moment(when: datetime) -> str:
    """Write a time for a person: local, to the minute."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M %Z")


def remaining(when: datetime, now: datetime | None = None) -> str:
    """Write how long it is until *when*: `89 days`, `3 hours`, `10 minutes`, `over`."""
    from datetime import UTC, datetime  # noqa: PLC0415  # 2 ms

    seconds = (when - (now or datetime.now(UTC))).total_seconds()
    if seconds <= 0:
        return "over"
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def clock(seconds: float) -> str:
    """Write how long something takes, as a clock does: `0:07`, `12:34`, `1:00:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _is_dumb() -> bool:
    return os.environ.get("TERM") == "dumb"


def _write(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


def _for_terminal(
    head: Sequence[str], rows: Sequence[Sequence[str]], prose: Sequence[str], width: int
) -> str:
    """Return a table that is at most *width* wide, or else a paragraph for each row.

    What may be cut gets what the other columns leave; if they leave too little, nothing is folded
    into unreadable columns, but every field has a line of its own, which a terminal can wrap.
    """
    lines = [[one_line(cell) or "-" for cell in row] for row in rows]
    widths = [max(map(cells, column)) for column in zip(head, *lines, strict=True)]
    taken = sum(
        width_ + GAP for title, width_ in zip(head, widths, strict=True) if title not in prose
    )
    room = (width + GAP - taken) // max(1, len(prose)) - GAP
    if room < (PROSE if prose else -GAP):
        label = max(map(cells, head)) + 1
        fields = [
            "\n".join(
                f"{title + ':':<{label}} {cell}" for title, cell in zip(head, line, strict=True)
            )
            for line in lines
        ]
        return "\n\n".join(fields)
    short = [
        [
            _cut(cell, room) if title in prose else cell
            for title, cell in zip(head, line, strict=True)
        ]
        for line in lines
    ]
    first, _, rest = aligned(head, short).partition("\n")
    return (f"\x1b[1m{first}\x1b[0m" if wants_colour(sys.stdout) else first) + f"\n{rest}"


def _cut(text: str, width: int) -> str:
    """Return as much of *text* as fits into *width* columns of a terminal."""
    if cells(text) <= width:
        return text
    used, kept = 1, []  # the ellipsis
    for char in text:
        used += cells(char)
        if used > width:
            break
        kept.append(char)
    return f"{''.join(kept)}…"
