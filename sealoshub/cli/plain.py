"""Command lines that are understood without typer.

Which options a command has, and what they take, is what its function declares
(:mod:`sealoshub.cli.declared`); nothing is declared here. A command line is plain if every word of
it is an option of that command in full, its value, or an argument, and all values are plain as
well. Whatever else it is, a wrong one above all, is typer's, whose import takes 60 ms.
"""

from __future__ import annotations

import importlib
from functools import partial
from types import NoneType, SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from sealoshub.cli import declared, parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sealoshub.cli.commands import Entry

# What of a declaration is known here: a command that declares more than that is always typer's.
_KNOWN: Final = frozenset({"help", "metavar", "min", "max", "show_default"})
# typer's own defaults of what decides whether a value is plain.
RULES: Final = {
    "parser": None,
    "clamp": False,
    "case_sensitive": True,
    "min": None,
    "max": None,
    "exists": False,
    "file_okay": True,
    "dir_okay": True,
    "writable": False,
    "resolve_path": False,
    "allow_dash": False,
    "path_type": None,
}


class _NotPlainError(Exception):
    """The command line is for typer."""


def read(entry: Entry, words: Sequence[str]) -> Callable[[], object] | None:
    """Return the call that the command and *words* ask for; None if typer is to read them.

    Args:
        entry: A command that is a function.
        words: What stands behind it on the command line.
    """
    function: Callable[..., object] = getattr(importlib.import_module(entry.module), entry.name)
    try:
        return partial(function, **arguments(function, words))
    except _NotPlainError:
        return None


def arguments(function: Callable[..., object], words: Sequence[str]) -> dict[str, Any]:
    """Return the keyword arguments for *function* that *words* stand for.

    Raises:
        _NotPlainError: They are not plain.
    """
    hints = _hints(function)
    named, placed = _parameters(hints)
    given: dict[str, Any] = {}
    places = iter(placed)
    rest = iter(words)
    for word in rest:
        if word.startswith("-"):
            name, value = _option(word, rest, named, hints)
        else:
            name, value = next(places, ""), word
        if name not in hints:
            raise _NotPlainError
        kind, is_many = _kind(hints[name])
        found = _converted(value, kind, hints[name])
        given[name] = [*given.get(name, ()), found] if is_many else found
    if any(name not in given for name in hints if not _has_default(function, name)):
        raise _NotPlainError
    return given


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    """Return the types of the parameters.

    `typing.get_type_hints` compiles one after the other, which takes three times as long.
    """
    texts = {name: text for name, text in function.__annotations__.items() if name != "return"}
    if not texts:
        return {}
    kinds = eval(f"({','.join(texts.values())},)", function.__globals__)  # noqa: S307  # our own source
    return dict(zip(texts, kinds, strict=True))


def _parameters(hints: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return which parameter each option fills, and which ones the arguments fill in order."""
    named: dict[str, str] = {}
    placed = []
    for name, hint in hints.items():
        found = declared.of(hint)
        if found is None or not found.rules.keys() <= _KNOWN:
            raise _NotPlainError
        if isinstance(found, declared.Argument):
            placed.append(name)
        named |= dict.fromkeys(found.names, name)
    return named, placed


def _option(
    word: str, rest: Iterator[str], named: Mapping[str, str], hints: Mapping[str, Any]
) -> tuple[str, object]:
    """Return the parameter and the value of the option that *word* begins."""
    key, mark, value = word.partition("=")
    name = named.get(key)
    if name is None or (mark and not word.startswith("--")):
        raise _NotPlainError
    if _kind(hints[name])[0] is bool:
        if mark:
            raise _NotPlainError
        return name, True
    if not mark:
        value = next(rest, "")
    # A value that looks like an option may have been meant as one.
    if not value or value.startswith("-"):
        raise _NotPlainError
    return name, value


def _kind(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401  # any type
    """Return the type of one value, and whether there may be many."""
    kind = hint.__origin__
    if get_origin(kind) is UnionType:
        kinds = [each for each in get_args(kind) if each is not NoneType]
        if len(kinds) != 1:
            raise _NotPlainError
        kind = kinds[0]
    return (get_args(kind)[0], True) if get_origin(kind) is list else (kind, False)


def _converted(value: object, kind: Any, hint: Any) -> Any:  # noqa: ANN401  # any type
    found = declared.of(hint)
    rules = SimpleNamespace(**RULES | (found.rules if found is not None else {}))
    converted = parameters.plain(value, kind, rules)
    if not value or converted is parameters.UNKNOWN:
        raise _NotPlainError
    return converted


def _has_default(function: Any, name: str) -> bool:  # noqa: ANN401  # mypy knows no code of a Callable
    code = function.__code__
    if name in (function.__kwdefaults__ or {}):
        return True
    placed = code.co_varnames[: code.co_argcount]
    return name in placed[code.co_argcount - len(function.__defaults__ or ()) :]
