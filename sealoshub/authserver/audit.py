"""One line of JSON for every decision, written by a thread of its own.

A line never holds a credential, because none of its fields is one: who asked is named by the
identity that was proved, and a refused credential only by a digest that is keyed anew in every
process.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import queue
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TextIO

from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

QUEUED: Final = 50_000  # lines, some 20 MB; a disk that stands still costs lines, not the service
BATCH_SECONDS: Final = 0.05  # how long a line may wait for others
CHUNK: Final = 4096  # characters of one write; a pipe keeps so many together (PIPE_BUF)
STOP_SECONDS: Final = 5.0  # to write what is queued when the server stops

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))

_log = logging.getLogger(__name__)
_Line = tuple[float, str]


class Audit:
    """A queue and the thread that empties it.

    Args:
        target: A file, opened for appending and again when it was moved away; `-` for standard
            output; None to write nothing.
        lost: Is told of every line that is thrown away.

    Raises:
        InvalidInputError: The file cannot be opened.
    """

    def __init__(self, target: Path | str | None, lost: Callable[[], None] = lambda: None) -> None:
        self._tell_lost = lost
        self._target = target
        self._queue: queue.SimpleQueue[_Line | None] = queue.SimpleQueue()
        self._lost = 0
        self._closing = threading.Event()
        self._file: TextIO | None = self._open()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        if self._file is not None:
            self._thread.start()

    def write(self, when: float, fields: Mapping[str, object] | str) -> None:
        """Queue a line.

        Args:
            when: Wall-clock time in seconds since the epoch.
            fields: JSON values, without secrets; or the members of a JSON object as they are
                written, which is for the one line that is written all the time.
        """
        if self._file is None:
            return
        if self._queue.qsize() >= QUEUED:
            self._lost += 1
            self._tell_lost()
            return
        text = fields if isinstance(fields, str) else _ENCODER.encode(fields)[1:-1]
        self._queue.put((when, text))

    def close(self) -> None:
        """Write what is queued, and end."""
        if self._file is not None and self._thread.is_alive():
            self._closing.set()
            self._queue.put(None)
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while True:
            lines = [self._queue.get()]
            # To be woken for each line would cost the requests more than the lines do.
            self._closing.wait(BATCH_SECONDS)
            while len(lines) < QUEUED and not self._queue.empty():
                lines.append(self._queue.get())
            texts = [_format(line) for line in lines if line is not None]
            lost, self._lost = self._lost, 0
            if lost:
                texts.append(_format((datetime.now(UTC).timestamp(), f'"lost":{lost}')))
            self._write(texts)
            if None in lines:
                if self._file is not None and self._file is not sys.stdout:
                    self._file.close()
                return

    def _write(self, lines: list[str]) -> None:
        try:
            self._reopen()
            if self._file is None:
                return
            # Whole lines in each write, so that those of several workers do not mix.
            for text in _chunks(lines):
                self._file.write(text)
                self._file.flush()
        except (OSError, ValueError, InvalidInputError) as exc:
            _log.error("the audit log cannot be written: %s", exc)  # no traceback

    def _open(self) -> TextIO | None:
        if self._target is None:
            return None
        if self._target == "-":
            return sys.stdout
        try:
            descriptor = os.open(self._target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        except OSError as exc:
            raise InvalidInputError(
                f"cannot write the audit log {self._target}: {exc.strerror}"
            ) from exc
        return os.fdopen(descriptor, "w", encoding="utf-8")

    def _reopen(self) -> None:
        """Follow a rotation: the name belongs to another file now, or to none."""
        if self._file is None or self._file is sys.stdout or self._target is None:
            return
        try:
            now, ours = os.stat(self._target), os.fstat(self._file.fileno())  # noqa: PTH116  # as fstat
            moved = (now.st_dev, now.st_ino) != (ours.st_dev, ours.st_ino)
        except FileNotFoundError:
            moved = True
        if moved:
            self._file.close()
            self._file = self._open()


def _chunks(lines: list[str]) -> Iterator[str]:
    """Join *lines* to pieces of at most :data:`CHUNK` characters, or one line."""
    piece: list[str] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > CHUNK:
            yield "".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield "".join(piece)


def _format(line: _Line) -> str:
    when, fields = line
    second, milliseconds = divmod(int(when * 1000), 1000)
    return f'{{"time":"{_moment(second)}.{milliseconds:03}+00:00",{fields}}}\n'


@functools.lru_cache(maxsize=4)
def _moment(second: int) -> str:
    """Return the beginning of a time; many lines are of the same second."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
