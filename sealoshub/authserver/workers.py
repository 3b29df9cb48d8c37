"""Several processes on one set of sockets: they are made, replaced one by one, and ended.

The parent only watches. What the workers share is the listening sockets, so that a connection waits
for whoever is free and is lost with nobody, and the numbers of `/metrics`. Everything else each has
for itself: caches and the guard's counters (N workers allow N times as many wrong attempts); what
must be true everywhere (logins, their last use, revocation) lies in the API server.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealoshub.errors import SealosHubError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_SECONDS: Final = 30.0  # until a worker serves
CALM_SECONDS: Final = 10.0  # of life, after which a worker's death is an accident
MOST_DEATHS: Final = 5  # early ones in a row, after which it is given up
RESTART_DELAYS: Final = (0.0, 0.5, 1.0, 2.0, 4.0)  # seconds
LOOK_SECONDS: Final = 1.0

_log = logging.getLogger("sealoshub.authserver")


@dataclass(slots=True)
class _Worker:
    """A running worker: number, process, begin (monotonic seconds), row of the board."""

    number: int
    pid: int
    began: float
    row: int


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker gets from its parent.

    Args:
        row: Where it may count.
        ready: Descriptor that takes a byte when it serves.
        alive: Descriptor that becomes readable when the parent is gone.
    """

    row: int
    ready: int
    alive: int


class Workers:
    """Keep *count* workers running until SIGTERM or SIGINT; SIGHUP replaces them one by one.

    Args:
        count: How many.
        work: Runs one worker, in a process of its own.
        ended: Is told the row of every worker that ended.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[Post], None],
        ended: Callable[[int], None] = lambda _row: None,
    ) -> None:
        self._count = count
        self._work = work
        self._ended = ended
        self._missing: list[int] = []
        self._running: dict[int, _Worker] = {}
        self._stopping = False
        self._replace = False
        self._deaths = 0
        # The end that only the parent holds open; workers see it close.
        self._alive_read, self._alive_write = os.pipe()
        self._wake_read, self._wake_write = os.pipe()

    def run(self) -> None:
        """Return when every worker has ended.

        Raises:
            SealosHubError: A worker does not start, or workers keep dying.
        """
        with self._signals():
            try:
                for number in range(self._count):
                    self._start(number)
                while not self._stopping:
                    self._wait(LOOK_SECONDS)
                    self._revive()
                    if self._replace:
                        self._replace = False
                        self._renew()
            finally:
                self._stop()
                for descriptor in (
                    self._alive_read,
                    self._alive_write,
                    self._wake_read,
                    self._wake_write,
                ):
                    with contextlib.suppress(OSError):
                        os.close(descriptor)

    # ------------------------------------------------------------------ one worker
    def _start(self, number: int) -> None:
        """Start worker *number* and wait until it serves.

        Raises:
            SealosHubError: It does not.
        """
        taken = {worker.row for worker in self._running.values()}
        # A successor serves beside its predecessor for a while, so there are two rows for each.
        row = next(row for row in (number, number + self._count) if row not in taken)
        ready_read, ready_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._child(row, ready_read, ready_write)
        os.close(ready_write)
        self._running[pid] = _Worker(number, pid, time.monotonic(), row)
        try:
            self._await_ready(ready_read)
        except SealosHubError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._ended(self._running.pop(pid).row)
            raise
        finally:
            os.close(ready_read)

    def _child(self, row: int, ready_read: int, ready_write: int) -> None:
        code = 1
        try:
            for descriptor in (ready_read, self._alive_write, self._wake_read, self._wake_write):
                os.close(descriptor)
            signal.set_wakeup_fd(-1)
            for name in (signal.SIGTERM, signal.SIGINT):
                signal.signal(name, lambda *_: os._exit(0))  # until the worker has its own
            # Only the parent is told; a terminal tells everybody.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            self._work(Post(row, ready_write, self._alive_read))
            code = 0
        except SealosHubError as exc:
            _log.error("worker %d: %s", row, exc.message)  # no traceback
        except BaseException:  # noqa: BLE001  # this process ends here, whatever it was
            _log.exception("worker %d failed", row)
        finally:
            os._exit(code)

    def _await_ready(self, ready: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            readable, _, _ = select.select([ready, self._wake_read], [], [], LOOK_SECONDS)
            if ready in readable:
                if os.read(ready, 1):
                    return
                raise SealosHubError("a worker ended while it started; the log says why")
            self._drain_wakeups()
            if self._stopping:
                return
        raise SealosHubError(f"a worker does not serve after {START_SECONDS:g} s")

    # ------------------------------------------------------------------ all of them
    def _revive(self) -> None:
        """Replace what died.

        Raises:
            SealosHubError: Workers keep dying.
        """
        for worker in self._reap():
            calm = time.monotonic() - worker.began > CALM_SECONDS
            self._deaths = 0 if calm else self._deaths + 1
            self._missing.append(worker.number)
            _log.error("worker %d (process %d) died", worker.number, worker.pid)
        for number in list(self._missing):
            if self._deaths >= MOST_DEATHS:
                raise SealosHubError(f"workers died {self._deaths} times in a row")
            self._wait(RESTART_DELAYS[min(self._deaths, len(RESTART_DELAYS) - 1)])
            if self._stopping:
                return
            try:
                self._start(number)
            except SealosHubError as exc:
                self._deaths += 1
                _log.error("worker %d: %s", number, exc.message)  # no traceback
            else:
                self._missing.remove(number)

    def _renew(self) -> None:
        """Replace every worker: first its successor serves, then it is told to end."""
        _log.info("replacing %d workers", len(self._running))
        for worker in list(self._running.values()):
            if self._stopping or worker.pid not in self._running:
                continue
            try:
                self._start(worker.number)
            except SealosHubError as exc:
                _log.error("the workers that run are kept: %s", exc.message)  # no traceback
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGTERM)
            while worker.pid in self._running and not self._stopping:
                for ended in self._reap(worker.pid):
                    _log.info("worker %d is process %d no more", ended.number, ended.pid)
                self._wait(0.1)

    def _reap(self, *pids: int) -> Iterator[_Worker]:
        for pid in pids or tuple(self._running):
            found, _ = os.waitpid(pid, os.WNOHANG)
            if found:
                worker = self._running.pop(pid)
                self._ended(worker.row)
                yield worker

    def _stop(self) -> None:
        """End all at once; each answers what it has begun."""
        for pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for pid in tuple(self._running):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            self._ended(self._running.pop(pid).row)

    # ------------------------------------------------------------------ signals
    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            select.select([self._wake_read], [], [], seconds)
        self._drain_wakeups()

    def _drain_wakeups(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 256):
                pass

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Let signals set flags and end a wait; nothing is done inside a handler."""
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
        handlers = {
            signal.SIGTERM: self._on_stop,
            signal.SIGINT: self._on_stop,
            signal.SIGHUP: self._on_hangup,
            signal.SIGCHLD: lambda *_: None,
        }
        before = {name: signal.signal(name, handler) for name, handler in handlers.items()}
        wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for name, handler in before.items():
                signal.signal(name, handler)

    def _on_stop(self, *_: object) -> None:
        self._stopping = True

    def _on_hangup(self, *_: object) -> None:
        self._replace = True
