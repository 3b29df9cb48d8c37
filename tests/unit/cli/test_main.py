"""Claims about the program as a whole: errors, exit codes, formats, start-up."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from sealoshub import __version__, errors
from sealoshub.cli import main, output
from sealoshub.cli.commands import COMMANDS
from sealoshub.cli.tree import app
from sealoshub.errors import DeniedError, SealosHubError
from tests.images import oci_layout
from tests.unit.registry.fake_registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Program

ROOT = Path(__file__).parents[3]

HEAVY = (
    "kubernetes httpx rich keyring yaml filelock cryptography pydantic typer._adapters "
    "asyncio email http http.client importlib.metadata logging socket sqlite3 ssl xml"
)
OURS = (
    "sealoshub sealoshub.errors sealoshub.cli sealoshub.cli.main sealoshub.cli.output "
    "sealoshub.cli.tree sealoshub.cli.group sealoshub.cli.commands sealoshub.value "
    "sealoshub.pattern sealoshub.cli.ending"
)


def _raise(error: BaseException) -> Callable[[], object]:
    def run() -> object:
        raise error

    return run


def test_version(program: Program) -> None:
    """--version prints name and version, with and without the short cut."""
    assert program("--version").stdout == f"sealoshub {__version__}\n"
    done = subprocess.run(
        [sys.executable, "-m", "sealoshub", "--version"], capture_output=True, check=True
    )
    assert done.stdout.decode() == f"sealoshub {__version__}\n"


def test_help_lists_every_command(program: Program) -> None:
    """Without arguments the program shows its commands on standard output."""
    for arguments in ([], ["--help"], ["-h"]):
        result = program(*arguments)
        assert result.exit_code == 0
        for name in COMMANDS:
            assert re.search(rf"^  {name} ", result.stdout, re.MULTILINE)


def test_every_line_of_the_list_is_the_command_s_own() -> None:
    """--help says of each command the first sentence of that command's help, and hides none."""
    commands = getattr(typer.main.get_command(app), "commands")  # noqa: B009  # typer keeps its group class private
    assert {name: entry.line for name, entry in COMMANDS.items()} == {
        name: command.get_short_help_str(sys.maxsize) for name, command in commands.items()
    }
    assert [name for name, command in commands.items() if command.hidden] == []


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["login"], "login [OPTIONS] HOST"),
        (["logout"], "logout [OPTIONS] [HOST]"),
        (["push"], "push [OPTIONS] [SOURCE] REF"),
        (["apply"], "apply [OPTIONS] [FILE]..."),
        (["search"], "search [OPTIONS] WORD..."),
        (["org", "create"], "org create [OPTIONS] ORG"),
        (["get"], "get [OPTIONS] orgs|repos|images|datapacks [NAME]"),
    ],
)
def test_usage_reads_as_a_manual_page(program: Program, arguments: list[str], usage: str) -> None:
    """What is needed stands bare, what may be left out in brackets; no Python type is shown."""
    shown = program(*arguments, "--help").stdout
    assert shown.startswith(f"Usage: sealoshub {usage}\n")
    assert "<str>" not in shown
    assert "list[" not in shown


def test_the_lines_of_a_group_are_whole(program: Program) -> None:
    """What a command below another one does is not cut in the middle of a word."""
    for group in ("org", "repo", "token", "hub"):
        listed = program(group, "--help").stdout.partition("Commands:")[2]
        assert listed.strip()
        assert "..." not in listed
        alone = program(group)
        assert (alone.exit_code, alone.stdout) == (2, "")
        assert alone.stderr.count("\n") > 5


def _loaded(arguments: list[str]) -> set[str]:
    """Run the program in an interpreter of its own and return what it imported."""
    code = (
        "import sys\n"
        "from sealoshub.cli.main import main\n"
        f"sys.argv = ['sealoshub', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return set(done.stdout.decode().splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["no-such-command"],
        ["login", "--help"],
        ["push", "--help"],
        ["org", "share", "--help"],
        ["hub", "user", "add", "--help"],
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported_early(arguments: list[str]) -> None:
    """Help and version import no heavy library, nor what is slow in the standard one."""
    assert _loaded(arguments) & set(HEAVY.split()) == set()


def test_a_push_without_a_terminal_draws_nothing(tmp_path: Path) -> None:
    """A script's push imports neither rich nor the client of Kubernetes that it does not use."""
    layout = oci_layout(tmp_path / "layout")
    with FakeRegistry() as registry:
        words = ["push", str(layout.path), f"{registry.host}/team/app:v1", "--cr-option", "no"]
        loaded = _loaded(words)
        assert registry.count("PUT", "/manifests/v1") == 1
    assert loaded & {"rich", "kubernetes", "httpx", "pydantic", "yaml", "keyring"} == set()


def test_the_list_of_commands_imports_no_command() -> None:
    """--help of the program is answered from the table."""
    ours = {name for name in _loaded(["--help"]) if name.partition(".")[0] == "sealoshub"}
    assert ours == set(OURS.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-command"], "No such command 'no-such-command'"),
        (["logn"], "Did you mean 'login'"),
        (["login"], "Missing argument 'HOST'"),
        (["get"], "Missing argument 'orgs|repos|images|datapacks'. Choose from: orgs, repos, im"),
        (["get", "x"], "Invalid value for 'orgs|repos|images|datapacks': 'x' is not one of 'orgs'"),
        (["login", "h.x", "--no-such-option"], "No such option: --no-such-option"),
        (["login", "h.x", "-o", "xml"], "Invalid value for '--output'"),
    ],
)
def test_usage_errors(program: Program, arguments: list[str], message: str) -> None:
    """A wrong command line ends with 2, one line, and where help is."""
    result = program(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert re.search(r"hint: See sealoshub.* --help\.", result.stderr)


def test_usage_error_as_json(program: Program) -> None:
    """Even a wrong command line answers in JSON if that was asked for."""
    result = program("login", "-o", "json")
    assert result.exit_code == 2
    body = json.loads(result.stdout)
    assert (body["version"], body["command"], body["status"]) == (1, "login", "error")
    assert body["errors"][0]["code"] == "USAGE"


def test_every_error_has_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Every class of the error tree ends with its own documented code."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, SealosHubError):
            assert main.boundary(_raise(kind("it failed", hint="do that")), []) == kind.exit_code
            assert capsys.readouterr().err == "error: it failed\nhint: do that\n"


def test_error_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON of a failure is the documented one."""
    main.boundary(_raise(DeniedError("no", hint="ask")), ["push", "a", "h/o/r:t", "--output=json"])
    assert json.loads(capsys.readouterr().out) == {
        "version": 1,
        "command": "push",
        "status": "error",
        "exit_code": 4,
        "data": None,
        "errors": [{"code": "DENIED", "message": "no", "hint": "ask"}],
    }


def test_a_defect_shows_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception is one line without its text, and a traceback only on demand."""
    assert main.boundary(_raise(RuntimeError("s3cret")), []) == 1
    shown = capsys.readouterr().err
    assert "internal error: RuntimeError at test_main.py" in shown
    assert "s3cret" not in shown
    assert "Traceback" not in shown
    monkeypatch.setenv("SEALOSHUB_DEBUG", "1")
    main.boundary(_raise(RuntimeError("x")), [])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_interrupted(capsys: pytest.CaptureFixture[str], error: BaseException) -> None:
    """Ctrl-C ends with 130 and one word."""
    assert main.boundary(_raise(error), []) == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert main.boundary(lambda: 130, []) == 130


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGTERM, 143, "TERMINATED"), (signal.SIGHUP, 129, "HANGUP")],
)
def test_ended_by_a_signal(
    capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int, word: str
) -> None:
    """SIGTERM and SIGHUP clear up as Ctrl-C does, once, and end with a code and a line."""
    done: list[str] = []

    def run() -> None:
        try:
            signal.raise_signal(number)
            done.append("went on")
        finally:
            signal.raise_signal(number)  # whoever is impatient does not disturb the clearing up
            done.append("cleared up")

    assert main.boundary(run, ["push", "-ojson"]) == code
    said = capsys.readouterr()
    assert done == ["cleared up"]
    assert said.err.startswith(f"error: ended by {number.name}")
    assert said.err.count("\n") == 1
    assert json.loads(said.out)["errors"][0]["code"] == word
    assert signal.getsignal(number) == signal.SIG_DFL


def test_a_terminal_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fails after a signal, because nobody reads any more, is no defect."""

    def run() -> None:
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            raise OSError(errno.EIO, "the terminal")

    def gone(_message: str, _hint: str | None) -> None:
        raise OSError(errno.EIO, "the terminal")

    monkeypatch.setattr("sealoshub.cli.output.show_error", gone)
    assert main.boundary(run, []) == 129
    assert capsys.readouterr().err == ""


def test_signals_that_are_not_ours() -> None:
    """A signal that is ignored (`nohup`) or taken by a command stays so."""

    def taken(*_: object) -> None:
        """Do nothing."""

    def take() -> None:
        signal.signal(signal.SIGHUP, taken)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main.boundary(lambda: signal.raise_signal(signal.SIGHUP), []) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert main.boundary(take, []) == 0
        assert signal.getsignal(signal.SIGHUP) == taken
    finally:
        signal.signal(signal.SIGHUP, before)


def test_typer_s_word_for_a_signal() -> None:
    """Typer makes 130 of everything that is like Ctrl-C; the code is still that of the signal."""

    def run() -> int:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        return 130

    assert main.boundary(run, []) == 143


def test_a_reader_that_goes_away() -> None:
    """A closed pipe behind us is no error message."""
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -m sealoshub completion bash | head -n 1; echo ${{PIPESTATUS[0]}}",
        ],
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert done.stdout.splitlines()[0].startswith(b"# Made by")


@pytest.mark.parametrize(
    ("arguments", "command", "format_"),
    [
        ([], "", "text"),
        (["push", "a", "b"], "push", "text"),
        (["-o", "json", "push"], "push", "json"),
        (["push", "-ojson"], "push", "json"),
        (["push", "--output"], "push", "text"),
        (["push", "--", "-o", "json"], "push", "text"),
        (["hub", "up", "-o", "json"], "hub up", "json"),
        (["hub", "user", "add", "x"], "hub user add", "text"),
    ],
)
def test_what_was_asked_for(arguments: list[str], command: str, format_: str) -> None:
    """Command and format are found on command lines that may be wrong."""
    assert main.asked_command(arguments) == command
    assert main.asked_format(arguments) == format_


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain äöü\n\tx", "plain äöü\n\tx"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("a\x08\x07b\x7f\x9b", "ab"),
        ("a\r\nb\rc", "a\nbc"),
        ("\u202eevil\u202c", "evil"),
    ],
)
def test_control_characters_are_removed(text: str, shown: str) -> None:
    """What a server says cannot move the cursor or turn the text around."""
    assert output.clean(text) == shown


def test_no_colour_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets no escape sequences."""
    output.show_error("m", "h")
    assert "\x1b" not in capsys.readouterr().err


def test_exit_codes_are_documented() -> None:
    """docs/reference/exit-codes.md lists exactly the codes of the error tree."""
    text = (ROOT / "docs/reference/exit-codes.md").read_text()
    documented = {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, SealosHubError)
    ]
    assert documented == {0, 129, 130, 143} | {kind.exit_code for kind in kinds}
    for kind in kinds:
        assert f"`{kind.code}`" in text, kind


def test_every_command_has_help() -> None:
    """Every command and every option says what it is for."""

    def check(command: object, path: str) -> None:
        assert getattr(command, "help", None), path
        for parameter in getattr(command, "params", []):
            assert getattr(parameter, "help", None), f"{path} {parameter.opts}"
        for name, child in getattr(command, "commands", {}).items():
            if not child.hidden:
                check(child, f"{path} {name}")

    check(typer.main.get_command(app), "sealoshub")
