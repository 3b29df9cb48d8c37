"""One supervised process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealoshub.errors import SealosHubError
from sealoshub.hub.paths import PRIVATE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FIRST_DELAY: Final = 0.5  # seconds before the first restart
LAST_DELAY: Final = 30.0  # seconds; the delay doubles up to here
CALM: Final = 60.0  # seconds of life after which a part's earlier deaths are forgotten
MOST_RESTARTS: Final = 5  # deaths in a row after which the hub gives up
STOP_PATIENCE: Final = 10.0  # seconds between SIGTERM and SIGKILL
LOG_LIMIT: Final = 8 * 1024 * 1024  # bytes; a longer log is cut when its part starts
LAST_LINES: Final = 12  # lines of a log that an error shows

# Runs before the part, in its process: the kernel ends it when the supervisor is killed (Linux,
# prctl(2), PR_SET_PDEATHSIG). A `preexec_fn` would do the same, but is unsafe beside threads.
_EXEC: Final = """\
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the supervisor is gone")
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as exc:
    sys.exit(f"cannot run {sys.argv[2]}: {exc.strerror}")
"""


@dataclass(frozen=True, slots=True)
class Part:
    """What to run and how to know that it is well.

    Args:
        name: Short name, also that of the log file.
        command: Program and arguments; never a secret among them.
        env: The process's whole environment.
        ready: A probe that answers at once: None when healthy, else what is wrong.
        url: Where it listens, for `hub status`; empty if nowhere.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    ready: Callable[[], str | None]
    url: str = ""


@dataclass(slots=True)
class Child:
    """A part and its process. Mutable, because its business is to change."""

    part: Part
    log: Path
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    started: float = 0.0
    resume_at: float | None = None
    trouble: str = ""

    def start(self) -> None:
        """Start the process, its output appended to the log."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        with os.fdopen(descriptor, "ab") as output:
            self.process = subprocess.Popen(  # noqa: S603  # the commands are our own
                [sys.executable, "-ISc", _EXEC, str(os.getpid()), *self.part.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.part.env),
                start_new_session=True,  # Ctrl-C reaches the supervisor, which stops in order
            )
        self.started = time.monotonic()
        self.resume_at = None

    def poll(self, now: float) -> bool:
        """Restart the process if it died and its delay is over.

        Args:
            now: Monotonic time in seconds.

        Returns:
            Whether something changed.

        Raises:
            SealosHubError: It died too often; the message carries its last lines.
        """
        if self.resume_at is not None:
            if now < self.resume_at:
                return False
            self.start()
            return True
        if self.process is None or self.process.poll() is None:
            return False
        if now - self.started > CALM:
            self.restarts = 0
        self.restarts += 1
        if self.restarts > MOST_RESTARTS:
            raise self.failure(f"died {self.restarts} times in a row")
        self.resume_at = now + min(LAST_DELAY, FIRST_DELAY * 2 ** (self.restarts - 1))
        self.trouble = f"ended with exit code {self.exit_code()}, is restarted"
        return True

    def probe(self) -> bool:
        """Ask a running process whether it is well; return whether the answer is another one."""
        if self.pid is None:
            return False
        before, self.trouble = self.trouble, self.part.ready() or ""
        return bool(before) != bool(self.trouble)

    def failure(self, what: str) -> SealosHubError:
        """Return an error that says *what* happened to the part, with its last lines."""
        lines = last_lines(self.log)
        shown = "".join(f"\n    {line}" for line in lines) or " (it logged nothing)"
        return SealosHubError(
            f"the {self.part.name} {what}; its last lines:{shown}", hint=f"Whole log: {self.log}"
        )

    def exit_code(self) -> int | None:
        """Return the code that the process ended with; None while it runs."""
        return None if self.process is None else self.process.poll()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        running = self.process is not None and self.process.poll() is None
        return self.process.pid if running and self.process is not None else None

    def terminate(self) -> None:
        """Ask the process to end."""
        if self.pid is not None and self.process is not None:
            self.process.terminate()

    def reap(self) -> None:
        """Wait for the process to end; kill it when it takes too long."""
        if self.process is None:
            return
        try:
            self.process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def last_lines(log: Path, most: int = LAST_LINES) -> list[str]:
    """Return the last lines of *log*, at most *most*, without control characters."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16384))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    clean = ("".join(c for c in line if c.isprintable()) for line in text.splitlines())
    return [line for line in clean if line][-most:]
