"""`sealoshub hub keys …`: the keys that sign the tokens of a hub on this machine."""

from __future__ import annotations

import dataclasses

import typer

from sealoshub.cli.group import Group
from sealoshub.cli.hub_data import DataOption, hub_paths
from sealoshub.cli.options import OutputOption, QuietOption, VerboseOption
from sealoshub.cli.output import Format, Output

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Keys that sign tokens.",
)


@app.command("list")
def list_keys(
    *,
    data: DataOption = None,
    output: OutputOption = Format.TEXT,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """List the keys, and whether the registry knows them.

    Example: sealoshub hub keys list
    """
    from sealoshub.hub import keys  # noqa: PLC0415  # heavy

    out = Output("hub keys list", output, quiet, verbose)
    found = keys.rows(hub_paths(data, out))
    words = {True: "known", False: "not known yet", None: ""}
    lines = [f"{row.kid[:14]}  {row.state:<9}  {words[row.known]}".rstrip() for row in found]
    out.result("\n".join(lines), {"keys": [dataclasses.asdict(row) for row in found]})


@app.command()
def rotate(
    *,
    data: DataOption = None,
    output: OutputOption = Format.TEXT,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Let the next key sign. No request fails; tokens of the old key are good to their end.

    The registry is asked whether it accepts the new key; if it does not, the old one signs again.

    Example: sealoshub hub keys rotate
    """
    from sealoshub.hub import keys  # noqa: PLC0415  # heavy

    out = Output("hub keys rotate", output, quiet, verbose)
    done = keys.rotate(hub_paths(data, out), out.note)
    out.note(f"{done.before[:14]} signs no more, {done.after[:14]} does")
    out.result(done.after, dataclasses.asdict(done))
