"""One real server as a child of the tests: started, waited for, and always stopped."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

START_SECONDS: Final = 90.0  # generous: two cores may be busy with the other worker
STOP_SECONDS: Final = 10.0  # between SIGTERM and SIGKILL
WAIT_SECONDS: Final = 90.0  # for what takes one, if nobody says otherwise; as generous
POLL_SECONDS: Final = 0.05
LAST_LINES: Final = 20  # of the log, in the error of a server that does not start
# Below the range from which Linux takes the ports of outgoing connections (32768 to 60999), so
# that no client of the other worker grabs the port between its choice and the server's bind.
PORTS: Final = range(20000, 32000)

# Runs before the server, in its process: the kernel kills it when the tests die (prctl(2)), even
# by SIGKILL. A `preexec_fn` would do the same, but is unsafe beside threads (Python 3.12 warns).
_EXEC: Final = """\
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the tests are gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Server:
    """A running server; a context manager that stops it.

    Args:
        command: Path of the program and its arguments.
        log: File that receives its output.
        env: Its whole environment.
    """

    def __init__(self, command: Sequence[str | Path], log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        self._name = str(command[0]).rsplit("/", 1)[-1]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-ISc", _EXEC, str(os.getpid()), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the server
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id; also the id of its process group."""
        return self._process.pid

    def wait_ready(self, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until *ready* says so; stop the server and fail if it dies or takes too long."""
        try:
            wait_until(lambda: self._alive() and ready(), f"{self._name} to be ready", seconds)
        except BaseException:
            self.stop()
            raise

    def pause(self) -> None:
        """Let the server hang: it accepts connections and answers nothing."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """End :meth:`pause`."""
        os.killpg(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop the server and what it started; nothing happens if it is stopped already."""
        for number in (signal.SIGCONT, signal.SIGTERM):
            self._signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._signal(signal.SIGKILL)  # children that outlive it, too
        self._process.wait()

    def kill(self) -> None:
        """End the server as a crash would."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _alive(self) -> bool:
        code = self._process.poll()
        if code is None:
            return True
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        raise AssertionError("\n".join([f"{self._name} ended with {code}:", *lines]))


def wait_until(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Poll *condition* until it is true.

    Raises:
        AssertionError: It is not true after *seconds*; the message names *what*.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    """Return a TCP port that nothing on loopback uses now, and that nobody is given meanwhile."""
    for port in itertools.islice(_candidates(), 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port on loopback")


@functools.cache
def _candidates() -> Iterator[int]:
    """Return the ports that no other worker of pytest-xdist tries, each once in a long time.

    A server binds its port some seconds after it was chosen for it.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(PORTS[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))])
    random.SystemRandom().shuffle(ports)
    return itertools.cycle(ports)
