"""A command that has commands below it, and what its `--help` costs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer.core import TyperOption


class Group(TyperGroup):
    """A group whose own `--help` costs nothing when a command below it is asked for.

    Typer validates every value but a flag's True or False with pydantic, whose import takes as
    long as the rest of the start. Its `--help` is None when it is not given, so that
    `sealoshub push --help` would load pydantic to look at the None of `sealoshub --help`.
    """

    def get_help_option(self, ctx: Any) -> TyperOption | None:  # noqa: ANN401  # typer's private type
        """Return typer's own option, which is False when it is not given."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002  # typer's private types and signature
        """List the commands with their whole first sentence; typer would cut it at 45 letters."""
        rows = [
            (name, command.get_short_help_str(sys.maxsize))
            for name, command in self.commands.items()
            if not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
