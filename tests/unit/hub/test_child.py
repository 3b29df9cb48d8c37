"""One supervised process: restart, back-off, giving up, stopping."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import SealosHubError
from sealoshub.hub.child import LAST_DELAY, MOST_RESTARTS, Child, Part, last_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEADLINE = 60.0  # seconds; the machine may be busy


def wait_for(condition: Callable[[], bool]) -> None:
    """Poll *condition* until it holds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.01)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    """Return a function that makes a child running a line of Python; all end with the test."""
    made: list[Child] = []

    def child(code: str) -> Child:
        part = Part("part", (sys.executable, "-c", code), dict(os.environ), lambda: None)
        made.append(Child(part, tmp_path / "part.log"))
        return made[-1]

    yield child
    for one in made:
        one.terminate()
        one.reap()


def test_a_part_that_dies_is_started_again_after_a_delay(make: Callable[[str], Child]) -> None:
    """A dead process waits for its delay and then runs again."""
    child = make("raise SystemExit(3)")
    child.start()
    wait_for(lambda: child.exit_code() == 3)
    now = child.started + 1
    assert child.poll(now)
    assert child.pid is None
    assert not child.poll(now + 0.1)
    assert child.poll(now + 0.6)
    assert child.restarts == 1


def test_the_delay_doubles_and_is_bounded(make: Callable[[str], Child]) -> None:
    """Each death in a row waits twice as long as the one before, up to the cap."""
    child = make("raise SystemExit(1)")
    delays = []
    for _ in range(MOST_RESTARTS):
        child.start()
        wait_for(lambda: child.exit_code() is not None)
        now = child.started + 1
        child.poll(now)
        assert child.resume_at is not None
        delays.append(child.resume_at - now)
    assert [round(delay, 3) for delay in delays] == [0.5, 1, 2, 4, 8]
    assert max(delays) <= LAST_DELAY


def test_a_part_that_keeps_dying_is_given_up_with_its_last_lines(
    make: Callable[[str], Child],
) -> None:
    """After too many deaths in a row the error shows what the part said last."""
    child = make("import sys; print('no space left'); sys.exit(1)")
    child.restarts = MOST_RESTARTS
    child.start()
    wait_for(lambda: child.exit_code() is not None)
    with pytest.raises(SealosHubError, match="no space left") as caught:
        child.poll(child.started + 1)
    assert str(child.log) in str(caught.value.hint)


def test_a_long_life_forgives_earlier_deaths(make: Callable[[str], Child]) -> None:
    """A death after a minute of life counts as the first one."""
    child = make("pass")
    child.restarts = MOST_RESTARTS
    child.start()
    wait_for(lambda: child.exit_code() is not None)
    child.poll(child.started + 61)
    assert child.restarts == 1


def test_a_part_that_ignores_sigterm_is_killed(
    make: Callable[[str], Child], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Stopping ends even a process that does not want to."""
    monkeypatch.setattr("sealoshub.hub.child.STOP_PATIENCE", 0.2)
    ready = tmp_path / "ready"
    child = make(
        "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f" pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    child.start()
    wait_for(ready.exists)
    child.terminate()
    child.reap()
    assert child.exit_code() == -9


def test_a_program_that_is_not_there_says_so_in_its_log(tmp_path: Path) -> None:
    """The process ends at once, and the failure shows the path."""
    child = Child(Part("registry", ("/nowhere/registry",), {}, lambda: None), tmp_path / "log")
    child.start()
    wait_for(lambda: child.exit_code() == 1)
    assert "cannot run /nowhere/registry: No such file" in child.failure("ended").message


def test_a_part_that_does_not_answer_is_in_trouble(tmp_path: Path) -> None:
    """A probe tells of a change, once, and a process that is not there is not asked."""
    answers: list[str | None] = ["connection refused", "connection refused", None]
    code = "import time; time.sleep(60)"
    part = Part("api", (sys.executable, "-c", code), dict(os.environ), lambda: answers.pop(0))
    child = Child(part, tmp_path / "log")
    assert not child.probe()
    child.start()
    try:
        assert [child.probe() for _ in range(3)] == [True, False, True]
    finally:
        child.terminate()
        child.reap()
    assert child.trouble == ""


def test_last_lines_are_few_and_printable(tmp_path: Path) -> None:
    """Only the tail of a log is shown, without escape sequences."""
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n" for n in range(100)) + "\x1b[31mred\x1b[0m\n\n")
    assert last_lines(log, 2) == ["line 99", "[31mred[0m"]
    assert last_lines(tmp_path / "none") == []
