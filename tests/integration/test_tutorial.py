"""The tutorial does what it says: its commands are run, and its output is what they print.

It runs with the embedded API alone, because that is what the page is about: on a cluster `hub up`
makes no first user, and people come as ServiceAccounts, so that nearly every line would be another.
Which registry it is nobody sees; the one that `hub up` builds by itself is that of the page.
What the commands do on the other combinations is the matter of `test_way_through.py`.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.integration.servers.process import free_port
from tests.real_servers import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.people import Person

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
SECONDS: Final = 200.0  # of the longest command, `hub up`
LEFT_OUT: Final = "..."
PORTS: Final = {"5000": "--registry-port", "5001": "--auth-port", "5002": "--api-port"}
# What is different each time, in the order of their replacement.
VOLATILE: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?( UTC|Z)?"), "TIME"),
    (re.compile(r"shp_[\w-]{43}"), "TOKEN"),
    (re.compile(r"sha256:[0-9a-f]{12,64}"), "DIGEST"),
    (re.compile(r"\b[0-9a-f]{12,}\b"), "ID"),
    (re.compile(r"/home/alice/\.local/share|/home/alice|/run/user/1000"), "FOLDER"),
    (re.compile(r"\b\d+(\.\d+)? ?(ms|s|m|h|d|seconds?|minutes?|hours?|days?)\b"), "SPAN"),
    (re.compile(r"\b\d+(\.\d+)? ?(B|KiB)"), "SIZE"),
    (re.compile(r"localhost is .*"), "localhost is ADDRESS"),
    (re.compile(r" +"), " "),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the page.

    Args:
        line: Its line in the page, counted from 1.
        command: What is typed.
        output: The lines that follow it.
    """

    line: int
    command: str
    output: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code, as a comment behind the command says, else 0."""
        found = re.search(r"# exit code (\d+)$", self.command)
        return int(found[1]) if found else 0


def read(page: str) -> tuple[dict[str, str], list[Step]]:
    """Return the files that the page tells to save, and its commands."""
    files: dict[str, str] = {}
    steps: list[Step] = []
    for found in re.finditer(r"^```(console|python)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        before = page[: found.start()]
        if found[1] == "python":
            files[re.findall(r"Save this as `([\w.]+)`", before)[-1]] = found[2]
            continue
        for number, line in enumerate(found[2].splitlines(), before.count("\n") + 2):
            if line.startswith("$ "):
                steps.append(Step(number, line.removeprefix("$ ")))
            else:
                steps[-1].output.append(line)
    return files, steps


class Shell:
    """A bash that goes on from one command to the next, in the home folder of somebody."""

    def __init__(self, who: Person) -> None:
        env = {key: value for key, value in who.env().items() if key != "KUBECONFIG"}
        self._home = who.home
        self._ports = {port: str(free_port()) for port in PORTS}
        self._flags = " ".join(f"{PORTS[port]} {ours}" for port, ours in self._ports.items())
        self._env = env

    def save(self, name: str, text: str) -> None:
        """Write a file into the folder where the commands run."""
        (self._home / name).write_text(text)

    def run(self, command: str) -> tuple[int, str]:
        """Return the exit code and what was printed, with the ports and folders of the page."""
        state = self._home / "tmp" / "exported"
        for port, ours in self._ports.items():
            command = command.replace(f"localhost:{port}", f"localhost:{ours}")
        command = command.replace("sealoshub hub up", f"sealoshub hub up {self._flags}")
        # What one command exports, the next one has.
        script = f"[ -e {state} ] && . {state}\n{command}\ncode=$?\nexport -p > {state}\nexit $code"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._home,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        shown = done.stdout.replace(str(self._home / "run"), "/run/user/1000")
        shown = shown.replace(str(self._home), "/home/alice")
        for port, ours in self._ports.items():
            shown = shown.replace(f"localhost:{ours}", f"localhost:{port}")
        return done.returncode, shown


def normal(lines: list[str]) -> list[str]:
    """Return *lines* without what is different each time."""
    kept = []
    for line in lines:
        text = line.rstrip()
        for pattern, name in VOLATILE:
            text = pattern.sub(name, text)
        kept.append(text)
    return kept


def same(expected: list[str], printed: list[str]) -> bool:
    """Say whether *printed* is what the page shows; `...` there is any number of lines."""
    lines = (".*" if line == LEFT_OUT else re.escape(line) + "\n" for line in normal(expected))
    text = "".join(f"{line}\n" for line in normal(printed))
    return re.fullmatch("".join(lines), text, re.DOTALL) is not None


@pytest.fixture
def shell(new_person: Callable[[str, Path | None], Person]) -> Iterator[Shell]:
    """Be a newcomer; the hub is stopped in the end, whatever happens."""
    need("registry")
    need("skopeo")
    newcomer = Shell(new_person("newcomer", None))
    yield newcomer
    newcomer.run("sealoshub hub down")


def test_the_tutorial_does_what_it_says(shell: Shell) -> None:
    """Every command of the tutorial ends with the code and prints the lines that stand there."""
    files, steps = read(PAGE.read_text())
    for name, text in files.items():
        shell.save(name, text)
    for step in steps:
        code, printed = shell.run(step.command)
        place = f"{PAGE.name}:{step.line}: {step.command}\n{printed}"
        assert code == step.code, f"exit code {code}: {place}"
        assert same(step.output, printed.splitlines()), f"other output: {place}"
