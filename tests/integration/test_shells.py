"""The completion scripts in the real shells: bash, zsh and fish."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path
from typing import Final

import pytest

from sealoshub.cli.completion import Shell
from tests.real_servers import need

COMMITTED = Path(__file__).parents[2] / "completions"
PATIENCE: Final = 60.0  # seconds; it takes one, the machine may be busy
READY: Final = "ready> "
# Shells without anybody's settings, and what they read before they are ready.
INTERACTIVE: Final = {
    Shell.BASH: (("bash", "--norc", "--noprofile", "-i"), "bind 'set bell-style none'"),
    Shell.ZSH: (("zsh", "-f", "-i"), "unsetopt beep; autoload -Uz compinit; compinit -D -u"),
}


def _shell(name: Shell) -> str:
    """Return the shell's program; bash is everywhere, for it runs this repository's CI."""
    return "bash" if name is Shell.BASH else str(need(name))


@pytest.mark.parametrize("name", list(INTERACTIVE))
def test_tab_completes_at_the_prompt_of_the_shell(name: Shell, tmp_path: Path) -> None:
    """The Tab key at a real terminal, in the shell itself with nothing replaced."""
    _shell(name)
    (tmp_path / "a_picture.tar").touch()
    command, settings = INTERACTIVE[name]
    keys = {
        "sealoshub logi\t": "sealoshub login ",
        "sealoshub hub dow\t": "sealoshub hub down ",
        "sealoshub login h.x --compat dock\t": "--compat docker ",
        "sealoshub login --password-s\t": "--password-stdin ",
        "sealoshub push a_pi\t": "sealoshub push a_picture.tar ",
    }
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb", "LANG": "C.UTF-8"},
        start_new_session=True,
    )
    os.close(slave)
    try:
        # The prompt is put together by the shell, so that the echo of this line is none.
        start = f"{settings}; source '{COMMITTED}/sealoshub.{name}'; PS1='rea''dy> '"
        os.write(master, f"{start}\n".encode())
        _read_until(master, READY)
        for typed, wanted in keys.items():
            os.write(master, typed.encode())
            _read_until(master, wanted)
            os.write(master, b"\x15\n")  # Ctrl-U: nothing is run
            _read_until(master, READY)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def _read_until(terminal: int, text: str) -> None:
    shown, deadline = "", time.monotonic() + PATIENCE
    while text not in shown:
        assert time.monotonic() < deadline, f"no {text!r} in {shown!r}"
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 1 << 12).decode(errors="replace")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sealoshub log", {"login", "logout"}),
        ("sealoshub hub user a", {"add"}),
        ("sealoshub login h.x --compat ", {"all", "containers", "docker"}),
        ("sealoshub completion z", {"zsh"}),
    ],
)
def test_fish(line: str, expected: set[str]) -> None:
    """Fish itself says what it would offer."""
    program = f"source '{COMMITTED}/sealoshub.fish'; complete --do-complete '{line}'"
    done = subprocess.run(
        [_shell(Shell.FISH), "--no-config", "-c", program],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stderr == ""
    assert {offer.partition("\t")[0] for offer in done.stdout.splitlines()} == expected


@pytest.mark.parametrize(
    ("name", "flags"), [(Shell.BASH, ["-n"]), (Shell.ZSH, ["-f", "-n"]), (Shell.FISH, ["-n"])]
)
def test_the_shell_can_read_its_script(name: Shell, flags: list[str]) -> None:
    """There is no syntax error in it."""
    file = COMMITTED / f"sealoshub.{name}"
    done = subprocess.run([_shell(name), *flags, str(file)], capture_output=True, check=True)
    assert done.stderr == b""
