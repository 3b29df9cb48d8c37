"""Claims about the completion scripts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sealoshub.cli.completion import Shell, script

COMMITTED = Path(__file__).parents[3] / "completions"


@pytest.mark.parametrize("shell", list(Shell))
def test_committed_scripts_are_current(shell: Shell) -> None:
    """completions/ holds what `sealoshub completion` prints (else run it again)."""
    assert (COMMITTED / f"sealoshub.{shell}").read_text() == script(shell)


def _complete(*words: str, directory: Path | None = None) -> list[str]:
    """Let bash complete the last word."""
    program = (
        f'source "{COMMITTED}/sealoshub.bash"\n'
        "compopt() { :; }\n"  # it is only allowed within a real completion
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sealoshub; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", program, "bash", *words], capture_output=True, check=True, cwd=directory
    )
    assert done.stderr == b""
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["log"], ["login", "logout"]),
        (["hub", "u"], ["up", "user"]),
        (["hub", "user", "a"], ["add"]),
        (["login", "--comp"], ["--compat"]),
        (["login", "--compat", ""], ["all", "containers", "docker"]),
        (["login", "h.x", "--compat", "=", "d"], ["docker"]),
        (["login", "h.x", "--compat", "="], ["all", "containers", "docker"]),
        (["push", "-o", "nd"], ["ndjson"]),
        (["completion", "z"], ["zsh"]),
        (["login", "--username", ""], [""]),
    ],
)
def test_bash(words: list[str], expected: list[str]) -> None:
    """Bash completes commands, subcommands, options and the values that there are few of."""
    assert _complete("sealoshub", *words) == expected


def test_bash_completes_files(tmp_path: Path) -> None:
    """Files are completed where files belong, spaces and all."""
    (tmp_path / "a file.tar").touch()
    assert _complete("sealoshub", "push", "a", directory=tmp_path) == ["a file.tar"]
    assert _complete("sealoshub", "login", "--token-file", "a", directory=tmp_path) == [
        "a file.tar"
    ]
