"""Which hub of this machine a `sealoshub hub …` command means: `--data`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sealoshub.errors import UsageError

if TYPE_CHECKING:
    from sealoshub.cli.output import Output
    from sealoshub.hub.paths import HubPaths

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="The hub's folder. Default: $XDG_DATA_HOME/sealoshub/hub."
    ),
]


def hub_paths(data: Path | None, out: Output | None = None) -> HubPaths:
    """Return the files of the hub in *data*, or of the default one, and tell *out* where they are.

    Raises:
        UsageError: There is something else at that place.
    """
    from sealoshub.hub.paths import HubPaths, default_data  # noqa: PLC0415  # heavy

    folder = absolute(data) or default_data(os.environ, Path.home())
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    if out is not None:
        out.detail(f"the hub's folder is {folder}")
    return HubPaths(folder)


def absolute(path: Path | None) -> Path | None:
    """Return *path* so that it means the same in the background, where the folder is another."""
    return None if path is None else Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  # keeps symlinks
