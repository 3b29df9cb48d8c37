"""A real program that is told to end leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE: Final = 60.0  # seconds after which something that must happen has not
BUILDAH: Final = """#!/bin/sh
for folder in "$TMPDIR"/sealoshub-*; do echo part > "$folder/image.part"; done
echo $$ > "$MARK"
exec sleep 600
"""


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait until something has happened."""
    deadline = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    """The copy out of a storage is removed, the program that made it ended, and a line is said."""
    programs, temporary, mark = (tmp_path / name for name in ("bin", "tmp", "mark"))
    programs.mkdir()
    temporary.mkdir()
    (programs / "buildah").write_text(BUILDAH)
    (programs / "buildah").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "TMPDIR": str(temporary),
        "MARK": str(mark),
    }
    words = ["push", "containers-storage:app:v1", "localhost:1/team/app:v1"]
    # With default signals: what runs in the background begins with SIGINT ignored.
    process = subprocess.Popen(
        ["env", "--default-signal", sys.executable, "-m", "sealoshub", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: mark.exists() and bool(mark.read_text()))
        assert list(temporary.glob("sealoshub-*/image.part"))
        process.send_signal(number)
        out, said = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 128 + number
    assert out == ""
    assert said.count("\n") == 1
    assert said.startswith("error: ")
    assert not list(temporary.iterdir())
    wait_for(lambda: not Path(f"/proc/{mark.read_text().strip()}").exists())
