"""Command lines that are read without typer mean what typer reads in them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.cli import declared, plain
from sealoshub.cli.commands import COMMANDS
from sealoshub.cli.parameters import ease
from sealoshub.cli.pull import pull
from sealoshub.cli.push import push

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FUNCTIONS: Final[dict[str, Callable[..., object]]] = {"pull": pull, "push": push}

# Words that are in order, words that are not, and words that are something else in another place.
WORDS: Final = (
    *("--tag", "--jobs", "--platform", "--all-platforms", "--cr-option", "--compression"),
    *("--output", "-o", "--quiet", "-q", "--verbose", "-v", "--authfile", "--digestfile", "-k"),
    *("--plain-http", "--limit-rate", "--format", "--dry-run", "--trust-realm", "--ca-file"),
    *("v1", "no", "gzip", "json", "oci", "4", "64", "65", "0", "-1", "linux/amd64", "./image.tar"),
    *("/nowhere/file", "/etc", "5M", "localhost:5000/team/app:v1", "oci:x:v1", "", " ", "-", "--"),
    *("--output=json", "--jobs=3", "--jobs=", "--quiet=1", "-qv", "-ojson", "-o=json", "--out"),
    *("--help", "-h", "--no-quiet", "--unknown", "NO", "\u0663", "--tag=--x", "--tag=a=b"),
)


def by_typer(function: Callable[..., object]) -> Callable[[Sequence[str]], object]:
    """Return what reads a command line as typer does: arguments, or the class of its error."""

    def capture(**given: object) -> dict[str, object]:
        return given

    known = declared.for_typer(function)
    capture.__signature__ = inspect.signature(known)  # type: ignore[attr-defined]  # as inspect wants it
    capture.__annotations__ = known.__annotations__
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(capture)
    command: Any = typer.main.get_command(app)
    ease(command)

    def read(words: Sequence[str]) -> object:
        try:
            return command.main(list(words), "x", standalone_mode=False)
        except typer.TyperException as exc:
            return type(exc)

    return read


READ: Final = {name: by_typer(function) for name, function in FUNCTIONS.items()}


def by_us(name: str, words: Sequence[str]) -> dict[str, object] | None:
    """Return all arguments that the command gets without typer; None if typer is to be asked."""
    function = FUNCTIONS[name]
    call: Any = plain.read(COMMANDS[name], words)
    if call is None:
        return None
    bound = inspect.signature(function).bind(**call.keywords)
    bound.apply_defaults()
    return dict(bound.arguments)


def test_every_command_is_tested() -> None:
    """Whatever is declared without typer is compared with typer here."""
    assert {name for name, entry in COMMANDS.items() if entry.is_function} == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(words=st.lists(st.sampled_from(WORDS), max_size=7))
def test_the_same(name: str, words: list[str]) -> None:
    """What is read without typer is what typer reads; the rest is left to typer."""
    ours = by_us(name, words)
    if ours is not None:
        assert READ[name](words) == ours


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("push", ["a.tar", "localhost:5000/a/b:v1"]),
        ("push", ["localhost:5000/a/b:v1"]),
        ("push", []),
        ("push", ["--cr-option", "no", "oci:x:v1", "localhost:5000/a/b"]),
        ("push", ["a", "b", "--tag", "1", "--tag=2", "-q", "--jobs", "64", "--output=json"]),
        ("push", ["a", "b", "--authfile", "/nowhere/x", "--limit-rate", "5M", "--dry-run"]),
        ("pull", ["localhost:5000/a/b", "x.tar", "--format", "oci", "-o", "ndjson"]),
    ],
)
def test_the_usual_ones_need_no_typer(name: str, words: list[str]) -> None:
    """What scripts write is read without typer, to the same end."""
    ours = by_us(name, words)
    assert ours is not None
    assert READ[name](words) == ours


@pytest.mark.parametrize(
    "words",
    [
        ["push", "--help"],
        ["push", "a", "-h"],
        ["pull"],
        ["pull", "only-one"],
        ["pull", "a", "b", "c"],
        ["push", "a", "b", "--jobs", "65"],
        ["push", "a", "b", "--jobs"],
        ["push", "a", "b", "--tag", "-x"],
        ["push", "a", "b", "--unknown"],
        ["push", "--", "a", "b"],
        ["push", "-qv", "a", "b"],
        ["push", "a", "b", "--cr-option", "perhaps"],
    ],
)
def test_typer_has_the_last_word(words: list[str]) -> None:
    """What is wrong, or not plain, or another command's, is typer's to judge."""
    assert plain.read(COMMANDS[words[0]], words[1:]) is None


def test_rules() -> None:
    """What is taken for typer's own default is that."""
    option: Any = typer.Option()
    assert {name: getattr(option, name) for name in plain.RULES} == dict(plain.RULES)
