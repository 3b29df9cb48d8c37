"""wrk, a load generator in C, and what a process used meanwhile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS: Final = 2
_SCHEDULED: Final = 2  # CPUCLOCK_SCHED of the kernel
_UNITS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Load:
    """What came back: answers, those that were not 2xx or 3xx, and latencies in milliseconds."""

    answers: int
    refused: int
    seconds: float
    p50: float
    p99: float


def program() -> str:
    """Return the path of wrk, or skip the benchmark."""
    found = shutil.which("wrk")
    if found is None:
        pytest.skip("there is no wrk: apt-get install wrk")
    return found


def load(
    url: str,
    connections: int,
    headers: Mapping[str, str],
    script: Path | None = None,
    seconds: int = SECONDS,
) -> Load:
    """Ask *url* on so many connections.

    Args:
        url: What to ask.
        connections: How many at once, from one thread.
        headers: Sent with every request.
        script: Lua that makes the requests.
        seconds: For how long.
    """
    command = [program(), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    if script is not None:
        command += ["-s", str(script)]
    text = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", text)
    assert found is not None, text
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(
        answers=int(found[1]),
        refused=int(refused[1]) if refused else 0,
        seconds=float(found[2]) * _UNITS[found[3]] / 1000,
        p50=_latency(text, "50"),
        p99=_latency(text, "99"),
    )


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used, in user and in kernel mode.

    In nanoseconds of the clock that Linux gives every process (`clock_getcpuclockid`), because
    /proc counts in hundredths of a second.
    """
    return time.clock_gettime((~pid << 3) | _SCHEDULED)


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _latency(text: str, percent: str) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)\s*$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1]) * _UNITS[found[2]]
