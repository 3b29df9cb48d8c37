"""Values are converted as typer converts them, without its pydantic where they are plain."""

from __future__ import annotations

import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pytest
import typer

from sealoshub.cli.parameters import ease
from tests.images import oci_layout
from tests.unit.registry.fake_registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a small push must do without; each costs more than the requests of a second push.
FORBIDDEN = {
    *("pydantic", "pydantic_core", "httpx", "rich", "kubernetes", "keyring", "yaml", "filelock"),
    *("ssl", "asyncio", "http.client", "email.message", "tarfile", "logging", "typer"),
    *("dataclasses", "inspect", "subprocess", "tempfile", "shutil", "traceback", "platform"),
    *("socket", "selectors", "http", "base64"),
}

# A push hashes its manifests, and nothing else; a pull everything that arrives.
NOT_FOR_A_PUSH = {"hashlib", "_hashlib", "hmac"}


class Word(Enum):
    """One of two words."""

    ONE = "one"
    TWO = "two"


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def command(  # noqa: PLR0913  # one of each kind
    text: Annotated[str, typer.Argument()],
    *,
    number: Annotated[int | None, typer.Option(min=1, max=64)] = None,
    any_number: Annotated[int, typer.Option()] = 7,
    path: Annotated[Path | None, typer.Option()] = None,
    there: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    word: Annotated[Word, typer.Option()] = Word.ONE,
    maybe: Annotated[Word | None, typer.Option(case_sensitive=False)] = None,
    many: Annotated[list[str] | None, typer.Option()] = None,
    words: Annotated[list[Word] | None, typer.Option()] = None,
    share: Annotated[float, typer.Option()] = 0.5,
    flag: Annotated[bool, typer.Option("--flag/--no-flag")] = False,
) -> tuple[object, ...]:
    """Return what was given."""
    return (
        *(text, number, any_number, path, there, word, maybe, many, words, share, flag),
        *(type(value) for value in (number, path, word, many)),
    )


def outcome(arguments: list[str], *, eased: bool) -> object:
    """Return what the command returns, or the message of its error."""
    made: Any = typer.main.get_command(app)
    if eased:
        ease(made)
    try:
        return made.main(arguments, "x", standalone_mode=False)
    except typer.TyperException as exc:
        return exc.format_message()


@pytest.mark.parametrize(
    "arguments",
    [
        [""],
        ["x", "y"],
        [],
        ["x", "--number", "1"],
        ["x", "--number", "064"],
        ["x", "--number", "0"],
        ["x", "--number", "65"],
        ["x", "--number", "-3"],
        ["x", "--number", "+3"],
        ["x", "--number", " 3"],
        ["x", "--number", "1_0"],
        ["x", "--number", "3.0"],
        ["x", "--number", "\u0663"],
        ["x", "--number", ""],
        ["x", "--any-number", "9" * 30],
        ["x", "--path", "a/b"],
        ["x", "--path", ""],
        ["x", "--path", "/"],
        ["x", "--there", "/etc/passwd"],
        ["x", "--there", "/etc"],
        ["x", "--there", "/nowhere"],
        ["x", "--word", "two"],
        ["x", "--word", "TWO"],
        ["x", "--word", ""],
        ["x", "--maybe", "TWO"],
        ["x", "--maybe", "three"],
        ["x", "--many", "a", "--many", ""],
        ["x", "--words", "two", "--words", "one"],
        ["x", "--words", "three"],
        ["x", "--share", "0.25"],
        ["x", "--share", "x"],
        ["x", "--flag"],
        ["x", "--no-flag"],
        ["x", "--unknown"],
    ],
)
def test_as_typer_does(arguments: list[str]) -> None:
    """Every value becomes what it became before, and every error says the same."""
    assert outcome(arguments, eased=True) == outcome(arguments, eased=False)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry on this machine."""
    with FakeRegistry() as fake:
        yield fake


def test_a_push_imports_nothing_heavy(registry: FakeRegistry, tmp_path: Path) -> None:
    """A push to this machine, and a pull, load no library for what they do not do."""
    layout = oci_layout(tmp_path / "layout")
    reference = f"{registry.host}/o/r:v1"
    push = ["push", "--cr-option", "no", "--jobs", "2", "-o", "ndjson", f"oci:{layout.path}"]
    found = loaded([*push, reference], "sealoshub.registry.push")
    assert sorted(found & (FORBIDDEN | NOT_FOR_A_PUSH)) == []
    pull = ["pull", reference, f"oci:{tmp_path}/pulled"]
    assert sorted(loaded(pull, "sealoshub.registry.pull") & FORBIDDEN) == []


def loaded(words: list[str], certainly: str) -> set[str]:
    """Return the modules that the program has loaded at its end."""
    program = (
        "import atexit, sys;"
        "atexit.register(lambda: sys.stderr.write(' '.join(sys.modules)));"
        "from sealoshub.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=True,
    )
    found = set(done.stderr.rpartition("\n")[2].split())
    assert certainly in found
    return found
