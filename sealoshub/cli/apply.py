"""`sealoshub apply`: make the hub's resources what the files say (server-side apply)."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sealoshub.cli import creator, options, session, waiting
from sealoshub.cli.output import Format, Output, print_line
from sealoshub.errors import InvalidInputError, NotFoundError, UsageError
from sealoshub.imagehub.names import CONTROLLER
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from sealoshub.imagehub.documents import Document
    from sealoshub.kube import ApplyResult, Object
    from sealoshub.kube.cluster import Cluster

app = typer.Typer(add_completion=False, rich_markup_mode=None)

MAX_INPUT: Final = 16 << 20  # bytes of one file; etcd takes 1.5 MiB for an object
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})  # what kubectl reads in a directory


class DryRun(StrEnum):
    """How far a dry run goes."""

    CLIENT = "client"
    SERVER = "server"


@app.command()
def apply(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Files, directories, or - for standard input."),
    ] = None,
    *,
    filename: Annotated[
        list[str] | None,
        typer.Option("--filename", "-f", metavar="FILE", help="The same, as kubectl writes it."),
    ] = None,
    dry_run: Annotated[
        DryRun | None,
        typer.Option("--dry-run", help="Only check: here (client), or on the server too."),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option("--wait", metavar="TIME", help="Wait so long (30s, 5m) until all is ready."),
    ] = None,
    force_conflicts: Annotated[
        bool, typer.Option("--force-conflicts", help="Take over fields that others own.")
    ] = False,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Apply organizations, repositories, images and data packs.

    Every document is checked before the first is sent; the faults of all are shown together.

    Example: sealoshub apply -f organization.yaml --wait 30s

    Example: sealoshub get images team/app -o yaml | sealoshub apply --dry-run server -
    """
    out = Output("apply", format_, quiet=quiet, verbose=verbose)
    names = [*(files or []), *(filename or [])]
    if not names:
        raise UsageError("what shall be applied?", hint="Name a file, a directory, or - .")
    patience = None if wait is None else waiting.seconds_of(wait)
    documents = read_documents(names)
    done: list[dict[str, object]] = []
    if dry_run is DryRun.CLIENT:
        for document in documents:
            _tell(out, done, document.obj, "valid (client dry run)")
    else:
        server_only = dry_run is DryRun.SERVER
        with session.user_cluster(kubeconfig, context, out) as cluster:
            fill = creator.filler(cluster)
            for document in documents:
                obj = fill(document.obj)
                result = _apply(cluster, obj, force=force_conflicts, dry_run=server_only)
                suffix = " (server dry run)" if server_only else ""
                _tell(out, done, result.obj, f"{result.outcome}{suffix}")
            if patience is not None and not server_only:
                waiting.until_ready(
                    cluster, [document.obj for document in documents], patience, out
                )
    out.result(None, {"objects": done})


def _apply(cluster: Cluster, obj: Object, *, force: bool, dry_run: bool) -> ApplyResult:
    """Apply *obj*; a value that only the controller chose gives way to a person's."""
    try:
        return cluster.apply(obj, force=force, dry_run=dry_run)
    except ConflictError as exc:
        if exc.managers == {CONTROLLER}:
            return cluster.apply(obj, force=True, dry_run=dry_run)
        exc.hint = exc.hint or "Leave these fields away, or take them over: --force-conflicts."
        raise


def read_documents(names: list[str]) -> list[Document]:
    """Read and check every document of *names*, files and directories in the order given.

    Raises:
        InvalidInputError: Some are wrong; the message lists every fault with file and line.
        NotFoundError: A file is missing.
    """
    from sealoshub.imagehub import documents  # noqa: PLC0415  # yaml: 20 ms

    found: list[Document] = []
    faults: list[str] = []
    for name in names:
        for path in _expand(name):
            text = _read(path)
            try:
                found += documents.parse(text, "standard input" if path is None else str(path))
            except InvalidInputError as exc:
                faults.append(exc.message)
    if faults:
        raise InvalidInputError("\n".join(faults), hint="Nothing was applied.")
    if not found:
        raise InvalidInputError(f"there is no document in {', '.join(names)}")
    return found


def _expand(name: str) -> list[Path | None]:
    """List the files that *name* means; None is standard input."""
    if name == "-":
        return [None]
    path = Path(name)
    if not path.is_dir():
        return [path]
    inside = sorted(entry for entry in path.iterdir() if entry.suffix in _SUFFIXES)
    if not inside:
        raise NotFoundError(f"there is no .yaml, .yml or .json file in {path}")
    return [*inside]


def _read(path: Path | None) -> str:
    what = "standard input" if path is None else str(path)
    try:
        if path is None:
            content = sys.stdin.buffer.read(MAX_INPUT + 1)
        else:
            with path.open("rb") as stream:
                content = stream.read(MAX_INPUT + 1)
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no file {what}") from exc
    except OSError as exc:
        raise InvalidInputError(f"{what} cannot be read: {exc.strerror}") from exc
    if len(content) > MAX_INPUT:
        raise InvalidInputError(f"{what} is larger than {MAX_INPUT >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{what} is not UTF-8") from None


def _tell(out: Output, done: list[dict[str, object]], obj: dict[str, Any], outcome: str) -> None:
    """Print the line of one object as kubectl prints it, at once."""
    name = obj["metadata"]["name"]
    done.append({"kind": obj["kind"], "name": name, "outcome": outcome})
    if out.format is Format.TEXT:
        print_line(f"{waiting.label(obj)} {outcome}")
