"""How long the program takes to begin: what every line of a CI script pays."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RUNS: Final = 15
SEALOSHUB: Final = str(Path(sys.executable).with_name("sealoshub"))
HELPER: Final = str(Path(sys.executable).with_name("docker-credential-sealoshub"))
STORED: Final = b'{"ServerURL": "localhost:5000", "Username": "alice", "Secret": "wonder"}'
COMMANDS: Final = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "sealoshub --version": [SEALOSHUB, "--version"],
    "sealoshub --help": [SEALOSHUB, "--help"],
    "sealoshub push --help": [SEALOSHUB, "push", "--help"],
    "docker-credential-sealoshub get": [HELPER, "get"],
}


def test_startup(publish: Callable[[str, Sequence[dict[str, Any]]], None]) -> None:
    """Measure each command in turn, round after round, against a bare interpreter."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    # As installed: with compiled modules, which a machine may forbid Python to write.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([HELPER, "store"], env=env, input=STORED, check=True)
    for _ in range(RUNS + 1):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(
                command, env=env, input=b"localhost:5000", stdout=subprocess.DEVNULL, check=True
            )
            taken[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values[1:]) for name, values in taken.items()}
    bare = medians["python -c pass"]
    rows = [
        {
            "command": f"`{name}`",
            "median ms": round(value * 1000),
            "ratio to bare Python": round(value / bare, 1),
        }
        for name, value in medians.items()
    ]
    publish("startup", rows)
