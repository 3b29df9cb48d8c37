"""How arguments read in `--help`: `HOST` and `[HOST]`, as in manual pages."""

from __future__ import annotations

from typing import Any


def simplify(command: Any) -> None:  # noqa: ANN401  # typer keeps its command classes private
    """Let the arguments of *command*, and of every command below it, read as people know them.

    Typer writes `{HOST}` for one that is needed, and `HOST <str>` in the list of arguments.
    """
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            _simplify(parameter)
    for below in getattr(command, "commands", {}).values():
        simplify(below)


def _simplify(argument: Any) -> None:  # noqa: ANN401  # as above
    kind = argument.display_type(None) or ""
    if argument.metavar is None and "|" in kind:
        argument.metavar = kind.strip("<>")  # the words to choose from say more than a name
    name = argument.display_name_raw
    more = "..." if argument.nargs != 1 else ""
    usage = f"{name}{more}" if argument.required else f"[{name}]{more}"
    argument.get_usage_pieces = lambda _ctx: [usage]
    if argument.metavar is not None:
        argument.display_type_rich = lambda **_: ""
