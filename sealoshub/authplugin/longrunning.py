"""A program that runs as long as the token server and answers questions, a line of JSON each.

Many questions may be under way at once, and answers come in any order: `id` tells which is which.
A program that ends, is silent or speaks nonsense is started again, later and later, and whoever is
waiting for it learns that it could not be found out.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import math
import os
import signal
from typing import TYPE_CHECKING, Final

from sealoshub.authplugin import Unavailable

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Mapping, Sequence

VERSION: Final = 1  # of the protocol
MAX_LINE: Final = 256 * 1024  # bytes of one answer; a user in 10,000 groups fits
FIRST_PAUSE: Final = 0.1  # seconds until the first restart; doubled until LONGEST_PAUSE
LONGEST_PAUSE: Final = 30.0
STOP_SECONDS: Final = 2.0  # between the end of its input and SIGKILL
SHOWN: Final = 500  # characters of a line of its standard error

_log = logging.getLogger(__name__)


class BrokenProgramError(Exception):
    """The program did something after which nothing that it says can be trusted."""


class LongRunning:
    """One program, its questions under way, and its restarts.

    It is a class because process, pending questions and the time of the next start belong together.

    Args:
        command: Path of the program and its arguments.
        env: Its whole environment.
        seconds: How long one question may take, with waiting for its turn.
        concurrency: Questions under way at once.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        seconds: float,
        concurrency: int,
        clock: Callable[[], float],
    ) -> None:
        self._command = tuple(command)
        self._env = dict(env)
        self._seconds = seconds
        self._turns = asyncio.Semaphore(concurrency)
        self._clock = clock
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Mapping[str, object]]] = {}
        self._process: Process | None = None
        self._running = asyncio.Event()
        self._writing = asyncio.Lock()
        self._heard = float("-inf")  # when it last answered anything
        self._start_at = float("-inf")
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the program, and again whenever it ends."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End its input, which tells it to end, and kill it if it does not."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def unready(self) -> str | None:
        """Return why questions would fail now; None if the program runs."""
        return None if self._process is not None else f"{self._name} does not run"

    async def ask(self, question: Mapping[str, object]) -> Mapping[str, object]:
        """Return the program's answer to *question*.

        Raises:
            Unavailable: It does not run, does not answer in time, or its answer is nonsense.
        """
        wait = self._start_at - self._clock()
        if self._process is None and wait > self._seconds:
            raise Unavailable(f"{self._name} does not run", retry_after=math.ceil(wait))
        number = next(self._numbers)
        asked = self._clock()
        answer: asyncio.Future[Mapping[str, object]] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._seconds), self._turns:
                await self._running.wait()
                asked = self._clock()
                self._pending[number] = answer
                await self._send({"version": VERSION, "id": number, **question})
                return await answer
        except TimeoutError:
            if number in self._pending and self._heard < asked:
                _log.warning("%s is silent and is started again", self._name)
                self._kill()
            raise Unavailable(f"{self._name} did not answer in time") from None
        finally:
            self._pending.pop(number, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen, even if it came while the question was being written
            answer.cancel()

    # ------------------------------------------------------------------ talking
    async def _send(self, question: Mapping[str, object]) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise Unavailable(f"{self._name} does not run")
        async with self._writing:  # a program that does not read holds up whoever writes
            process.stdin.write(json.dumps(question).encode("ascii") + b"\n")
            with contextlib.suppress(ConnectionError):  # its end is noticed by the reader
                await process.stdin.drain()

    async def _listen(self, stdout: asyncio.StreamReader) -> None:
        """Hand out answers until the program ends.

        Raises:
            BrokenProgramError: A line is no answer.
        """
        while True:
            try:
                line = await stdout.readline()
            except ValueError:  # asyncio's word for longer than its limit
                raise BrokenProgramError(f"a line of more than {MAX_LINE} bytes") from None
            if not line:
                return
            try:
                answer = json.loads(line)
            except (ValueError, RecursionError):
                # Its text is not shown: a program that echoes would show a password.
                raise BrokenProgramError("a line that is no JSON") from None
            number = answer.get("id") if isinstance(answer, dict) else None
            if not isinstance(number, int):
                raise BrokenProgramError("an answer without the id of a question")
            self._heard = self._clock()
            self._failures = 0
            waiting = self._pending.get(number)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    async def _log_errors(self, stderr: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stderr.readline()
            except ValueError:
                continue  # asyncio threw away what was longer than its limit
            if not line:
                return
            text = line.decode("utf-8", "replace").strip()[:SHOWN]
            _log.info("%s: %s", self._name, "".join(c if c.isprintable() else "?" for c in text))

    # ------------------------------------------------------------------ running
    async def _run(self) -> None:
        while True:
            try:
                await self._run_once()
                reason = "ended"
            except BrokenProgramError as exc:
                reason = f"sent {exc}"
            except OSError as exc:
                reason = f"cannot be started: {exc.strerror}"
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures, 16))
            self._failures += 1
            self._start_at = self._clock() + pause
            _log.warning("%s %s; started again in %.1f s", self._name, reason, pause)
            await asyncio.sleep(pause)

    async def _run_once(self) -> None:
        """Run the program until it ends, is silent, or breaks the protocol."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._env,
            limit=MAX_LINE,
            start_new_session=True,  # its children end with it
        )
        assert process.stdout is not None  # noqa: S101  # for the type checker: both are pipes
        assert process.stderr is not None  # noqa: S101  # as above
        errors = asyncio.get_running_loop().create_task(self._log_errors(process.stderr))
        self._process = process
        self._running.set()
        try:
            await self._listen(process.stdout)
        finally:
            self._process = None
            self._running.clear()
            self._fail_all()
            await self._end(process)
            errors.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await errors

    async def _end(self, process: Process) -> None:
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            _log.warning("%s does not end and is killed", self._name)
        finally:
            _signal(process, signal.SIGKILL)
            # A process that left the group may keep the pipes open, which is not waited for.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()

    def _fail_all(self) -> None:
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(Unavailable(f"{self._name} ended before it answered"))

    def _kill(self) -> None:
        if self._process is not None:
            _signal(self._process, signal.SIGKILL)

    @property
    def _name(self) -> str:
        return os.path.basename(self._command[0])  # noqa: PTH119  # a name, not a path


def _signal(process: Process, number: signal.Signals) -> None:
    """Send a signal to the program and its children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
