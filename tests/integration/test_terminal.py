"""What somebody sees who sits at a real terminal, and what a program sees that does not."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.images import oci_layout
from tests.integration.people import SEALOSHUB
from tests.integration.test_way_through import ACCEPTED, organization, token_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.integration.hub import Hub
    from tests.integration.people import Person

PATIENCE: Final = 60.0  # seconds; more than anything takes on a machine that is busy
PROMPT: Final = "Password or token: "
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
INTERRUPTED: Final = 130


class Terminal:
    """A program with a pseudo-terminal of its own as keyboard, screen and controlling terminal.

    Args:
        process: The program, a session leader.
        master: The side of the terminal that we hold.
    """

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self._process = process
        self._master = master
        self.shown = ""

    def read_until(self, text: str) -> None:
        """Read the screen until *text* is on it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, f"no {text!r} in {self.shown!r}"
            assert self._read(), f"it ended without {text!r}: {self.shown!r}"

    def read_until_hidden(self) -> None:
        """Wait until the terminal does not echo any more."""
        deadline = time.monotonic() + PATIENCE
        while termios.tcgetattr(self._master)[3] & termios.ECHO:
            assert time.monotonic() < deadline, "the terminal still echoes"
            time.sleep(0.02)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def send_signal(self, number: signal.Signals) -> None:
        """Tell the program to end, as others do who do not sit here."""
        self._process.send_signal(number)

    def finish(self) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < deadline, f"it does not end: {self.shown!r}"
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 0.2)
        if not ready:
            return True
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # Linux: nobody holds the other side any more
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


@contextmanager
def terminal(
    who: Person, *arguments: str | Path, columns: int = 100, env: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Run `sealoshub` with *arguments* at a terminal of *columns*; it is killed at the end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    # setsid --ctty: only then does Ctrl-C reach the program, and /dev/tty is this terminal.
    # env --default-signal: what runs in the background, as CI may, begins with SIGINT ignored.
    process = subprocess.Popen(
        ["setsid", "--ctty", "env", "--default-signal=INT", SEALOSHUB, *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=who.home,
        env=who.env({"TERM": "xterm-256color", **(env or {})}),
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(master)


def test_the_password_is_asked_for_and_not_shown(hub: Hub, unique: str) -> None:
    """What is typed at the prompt is not echoed, and it logs in."""
    robot = hub.robot(f"robot-{unique}")
    token = token_of(robot)
    with terminal(robot, "login", hub.host, "-u", f"robot-{unique}") as screen:
        screen.read_until(PROMPT)
        screen.read_until_hidden()
        # A line that is longer than a terminal's 4095 characters would be cut; tokens are shorter.
        screen.type(f"{token}\n")
        assert screen.finish() == ACCEPTED, screen.shown
    assert token not in screen.shown
    assert token[:20] not in screen.shown
    assert f"logged in to {hub.host}" in screen.shown


def test_ctrl_c_at_the_prompt_is_no_traceback(hub: Hub, somebody: Person) -> None:
    """Nothing is stored, and the exit code is that of an interrupt."""
    with terminal(somebody, "login", hub.host, "-u", "alice") as screen:
        screen.read_until(PROMPT)
        screen.read_until_hidden()
        screen.type("\x03")
        assert screen.finish() == INTERRUPTED, screen.shown
    assert "Traceback" not in screen.shown
    assert not (somebody.home / ".docker" / "config.json").exists()


def test_without_a_terminal_nobody_is_asked(hub: Hub, somebody: Person) -> None:
    """A script gets an error that says what to add, even if it feeds lines to standard input."""
    done = somebody.run(
        "sealoshub", "login", hub.host, "-u", "alice", stdin="secret\n", expect=2, seconds=PATIENCE
    )
    assert PROMPT not in done.stdout + done.stderr
    assert "no terminal to ask at" in done.stderr
    assert "--password-stdin" in done.stderr


@pytest.mark.parametrize(
    ("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals_that_want_them(
    somebody: Person, env: dict[str, str], *, coloured: bool
) -> None:
    """An error is coloured on a terminal, not with NO_COLOR, not on a dumb one."""
    command = ("apply", "-f", "absent.yaml")
    with terminal(somebody, *command, env=env) as screen:
        assert screen.finish() != ACCEPTED
    assert "error:" in screen.shown
    assert bool(COLOUR.search(screen.shown)) is coloured
    piped = somebody.run("sealoshub", *command, env={"TERM": "xterm-256color", **env})
    assert "\x1b" not in piped.stdout + piped.stderr


@pytest.mark.parametrize("no_color", [False, True])
def test_a_push_shows_bars_on_a_terminal_and_lines_in_a_log(
    hub: Hub, unique: str, tmp_path: Path, *, no_color: bool
) -> None:
    """Bars move the cursor; a log gets plain lines; the result is the same line."""
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    image = oci_layout(tmp_path / "image")
    reference = f"{hub.host}/{unique}/app:v1"
    with terminal(
        alice, "push", image.path, reference, env={"NO_COLOR": "1"} if no_color else {}
    ) as screen:
        assert screen.finish() == ACCEPTED, screen.shown
    assert "━" in screen.shown
    assert "\x1b[?25l" in screen.shown  # the cursor is hidden ...
    assert "\x1b[?25h" in screen.shown  # ... and comes back
    assert f"{hub.host}/{unique}/app@{image.digest}\r\n" in screen.shown
    colours = re.findall(r"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|38;[0-9;]*)m", screen.shown)
    assert bool(colours) is not no_color

    done = alice.run("sealoshub", "push", image.path, f"{reference}-log", expect=ACCEPTED)
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stderr
    assert f"pushing {reference}-log: " in done.stderr
    assert done.stdout == f"{hub.host}/{unique}/app@{image.digest}\n"


def test_a_narrow_terminal_breaks_no_table(hub: Hub, unique: str, tmp_path: Path) -> None:
    """In 40 columns every name is still whole, and the bars stay on their line."""
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    image = oci_layout(tmp_path / "image")
    reference = f"{hub.host}/{unique}/app:v1"
    with terminal(alice, "push", image.path, reference, columns=40) as screen:
        assert screen.finish() == ACCEPTED, screen.shown
    commands = (("token", "list", hub.host), ("get", "images"), ("get", "orgs"))
    for command in commands:
        with terminal(alice, *command, columns=40) as screen:
            assert screen.finish() == ACCEPTED, screen.shown
        assert "…" not in screen.shown.replace("…\r\n", "")
        wanted = "ID" if command[0] == "token" else unique
        assert wanted in screen.shown
        for line in COLOUR.sub("", screen.shown).splitlines():
            label, found, value = line.partition(": ")
            # Longer than the screen is only a single word, which the terminal itself wraps.
            assert len(line) <= 40 or (found and " " not in value.strip()), line
            assert len(label) <= 40


def test_ctrl_c_during_a_push_ends_it_quietly(hub: Hub, unique: str, tmp_path: Path) -> None:
    """Exit code 130, the cursor is back, no traceback, no tag."""
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    image = oci_layout(tmp_path / "image", layers=4, layer_bytes=16 << 20)  # takes 8 s
    reference = f"{hub.host}/{unique}/app:v1"
    with terminal(alice, "push", image.path, reference, "--limit-rate", "8M") as screen:
        screen.read_until("\x1b[?25l")
        screen.type("\x03")
        assert screen.finish() == INTERRUPTED, screen.shown
    assert "Traceback" not in screen.shown
    assert "interrupted" in screen.shown
    assert screen.shown.rindex("\x1b[?25h") > screen.shown.rindex("\x1b[?25l")
    assert alice.run("crane", "digest", reference).returncode != ACCEPTED


@pytest.mark.parametrize("hub", ["embedded-registry-3"], indirect=True, scope="session")
def test_a_terminal_is_given_back_after_a_signal(hub: Hub, unique: str, tmp_path: Path) -> None:
    """After SIGTERM the cursor is back too, and one line says what has ended the push."""
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    image = oci_layout(tmp_path / "image", layers=4, layer_bytes=16 << 20)  # takes 8 s
    words = ("push", image.path, f"{hub.host}/{unique}/app:v1", "--limit-rate", "8M")
    with terminal(alice, *words) as screen:
        screen.read_until("\x1b[?25l")
        screen.send_signal(signal.SIGTERM)
        assert screen.finish() == 128 + signal.SIGTERM, screen.shown
    assert "Traceback" not in screen.shown
    assert screen.shown.count("ended by SIGTERM") == 1
    assert screen.shown.rindex("\x1b[?25h") > screen.shown.rindex("\x1b[?25l")
