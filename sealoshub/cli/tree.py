"""The command tree. A command's module is imported when the command is used, not before."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sealoshub import __version__
from sealoshub.cli import main
from sealoshub.cli.commands import COMMANDS, Entry
from sealoshub.cli.group import Group

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Lazy(MutableMapping[str, Any]):
    """The commands by name, each imported when it is first looked at.

    It is a mapping because that is what a `TyperGroup` keeps its commands in.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  # typer keeps its command class private
        if name not in self._loaded:
            from sealoshub.cli.parameters import ease  # noqa: PLC0415  # not for --help
            from sealoshub.cli.usage import simplify  # noqa: PLC0415  # as above

            entry = COMMANDS[name]
            command = _load(entry)
            command.name = name
            ease(command)
            simplify(command)
            if entry.usage is not None:
                command.collect_usage_pieces = lambda _ctx: ["[OPTIONS]", entry.usage]
            self._loaded[name] = command
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:  # noqa: ANN401  # as above
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _load(entry: Entry) -> Any:  # noqa: ANN401  # as above
    from sealoshub.cli import declared  # noqa: PLC0415  # not for --help

    found = getattr(importlib.import_module(entry.module), entry.name)
    if entry.is_function:
        function, found = found, typer.Typer(add_completion=False, rich_markup_mode=None)
        found.command()(function)
    declared.tell_typer(found)
    is_group = found.registered_groups or len(found.registered_commands) > 1
    # get_group, unlike get_command, does not add typer's own completion options.
    return (typer.main.get_group if is_group else typer.main.get_command)(found)


class Commands(Group):
    """The group of all commands: lazy, and with the error boundary around every call."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401  # typer's own arguments
        super().__init__(**attributes)
        self.commands = _Lazy()

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002  # typer's private types and signature
        """List the commands from the table; typer would import each to ask it for its line."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in COMMANDS.items()])

    def main(  # typer's signature
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,  # noqa: ARG002  # `python -m` and tests are the same program
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002, FBT001, FBT002  # typer's signature
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002  # typer's signature
        **extra: Any,  # noqa: ANN401  # typer's signature
    ) -> Any:  # noqa: ANN401  # typer's signature
        """Run within the boundary and exit; tests meet the same boundary as users."""
        arguments = sys.argv[1:] if args is None else list(args)

        def run() -> object:
            return super(Commands, self).main(
                arguments,
                "sealoshub",
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )

        sys.exit(main.boundary(run, arguments))


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  # typer's signature of a callback
    if wanted:
        typer.echo(f"sealoshub {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def sealoshub(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001  # handled by its callback
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Log in to an image hub with a kubeconfig, push, and describe what was pushed."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
