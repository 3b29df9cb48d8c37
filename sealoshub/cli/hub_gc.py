"""`sealoshub hub gc`: free the space of what was deleted."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from sealoshub.amount import size_text
from sealoshub.cli import quantity
from sealoshub.cli.hub_data import DataOption, hub_paths
from sealoshub.cli.options import OutputOption, QuietOption, VerboseOption
from sealoshub.cli.output import Format, Output

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def gc(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
    untagged: Annotated[
        bool,
        typer.Option("--untagged", help="Delete images too that no tag leads to any more."),
    ] = False,
    idle: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Refuse if somebody uploaded something in the last so long."
        ),
    ] = "10m",
    data: DataOption = None,
    output: OutputOption = Format.TEXT,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Free the space of deleted images in the registry of this machine.

    The registry answers pulls meanwhile and refuses pushes; it starts again before and after that.
    What it would delete is compared with what the images need before anything is deleted. Images
    without a tag can be pulled by their digest, so they stay without --untagged.

    Example: sealoshub hub gc --dry-run
    """
    from sealoshub.hub import collection  # noqa: PLC0415  # heavy

    out = Output("hub gc", output, quiet, verbose)
    seconds = quantity.parse_duration(idle)
    done = collection.collect(
        hub_paths(data, out),
        untagged=untagged,
        dry_run=dry_run,
        idle=seconds,
        on_progress=out.note,
    )
    words = f"{'1 blob' if done.blobs == 1 else f'{done.blobs} blobs'}, {size_text(done.bytes)}"
    if done.manifests:
        images = "1 image" if done.manifests == 1 else f"{done.manifests} images"
        words += f", {images} without a tag"
    text = f"would delete {words}" if dry_run else f"deleted {words}"
    if not done.blobs and not done.manifests:
        text = "there is nothing to delete"
    out.result(text, dataclasses.asdict(done))
