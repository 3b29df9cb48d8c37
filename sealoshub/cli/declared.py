"""Options and arguments of commands, declared without typer.

The import of typer takes longer than a push that has nothing to send. So what a command takes is
declared here in typer's words, and becomes typer's own when typer is there: for every command line
that :mod:`sealoshub.cli.plain` leaves to it, for help, completion and the reference.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

if TYPE_CHECKING:
    import typer


class Declared:
    """What `typer.Option` or `typer.Argument` will be made of.

    Args:
        names: `--long`, `-s`; of an option.
        rules: Everything else that typer takes.
    """

    __slots__ = ("names", "rules")

    def __init__(self, *names: str, **rules: Any) -> None:  # noqa: ANN401  # whatever typer takes
        self.names = names
        self.rules = rules


class Option(Declared):
    """A named value, or a flag."""

    __slots__ = ()


class Argument(Declared):
    """A value that is known by its place."""

    __slots__ = ()


def of(hint: object) -> Declared | None:
    """Return what a parameter is declared as; None if it is not declared in this way."""
    known = (each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Declared))
    return next(known, None)


def tell_typer(app: typer.Typer) -> None:
    """Let the functions of all commands of *app* declare their parameters to typer."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = for_typer(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            tell_typer(group.typer_instance)


def for_typer(function: Any) -> Any:  # noqa: ANN401  # mypy does not know what functions have
    """Return a function that does what *function* does, and declares its parameters to typer."""
    hints = get_type_hints(function, include_extras=True)
    if all(of(hint) is None for hint in hints.values()):
        return function
    made = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    made.__kwdefaults__, made.__doc__ = function.__kwdefaults__, function.__doc__
    made.__annotations__ = {name: _translated(hint) for name, hint in hints.items()}
    return made


def _translated(hint: Any) -> Any:  # noqa: ANN401  # any type
    import typer  # noqa: PLC0415  # see above

    declared = of(hint)
    if declared is None:
        return hint
    kind = typer.Option if isinstance(declared, Option) else typer.Argument
    return Annotated[hint.__origin__, kind(*declared.names, **declared.rules)]
