"""`sealoshub get`: what there is in the hub, as a table or as it is."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sealoshub.cli import columns, named, options, private_names, session
from sealoshub.cli.output import Format, Output, clean, print_line
from sealoshub.errors import DeniedError, InvalidInputError, NotFoundError
from sealoshub.imagehub import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.imagehub.names import Named
    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster
    from sealoshub.kube.reader import Reader

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class What(StrEnum):
    """What can be listed."""

    ORGS = "orgs"
    REPOS = "repos"
    IMAGES = "images"
    DATAPACKS = "datapacks"


class Shape(StrEnum):
    """How a list is printed."""

    TEXT = "text"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


KIND_OF: Final[Mapping[What, str]] = {
    What.ORGS: "Organization",
    What.REPOS: "Repository",
    What.IMAGES: "Image",
    What.DATAPACKS: "DataPack",
}


@app.command()
def get(
    what: Annotated[What, typer.Argument(help="What to show.")],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="One of them; of repos and images also all of an org, or of an org/repo.",
        ),
    ] = None,
    *,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    shape: Annotated[
        Shape, typer.Option("--output", "-o", help="How the result is printed.")
    ] = Shape.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Show organizations, repositories, images or data packs.

    Names may be written with the hub's host. -o yaml prints what sealoshub apply reads.

    Example: sealoshub get images team/app -o wide
    """
    format_ = Format.JSON if shape is Shape.JSON else Format.TEXT
    out = Output("get", format_, quiet=quiet, verbose=verbose)
    wanted = None if name is None else _wanted(what, name)
    with session.user_cluster(kubeconfig, context, out) as cluster:
        found = _found(cluster, what, wanted)
    objects = [_bare(obj) for obj in sorted(found, key=columns.name_of)]
    if not objects:
        out.note(f"there are no {what}" + (f" in {name}" if name else ""))
    if shape is Shape.YAML:
        if objects:
            print_line(_yaml(objects))
        return
    table = columns.TABLES[KIND_OF[what]]
    chosen = [column for column in table if shape is Shape.WIDE or not column.wide]
    out.table(
        [column.title for column in chosen],
        [[column.cell(obj) for column in chosen] for obj in objects],
        {"items": objects},
        prose=[column.title for column in chosen if column.prose],
    )


def items(cluster: Reader, kind: str, label_selector: str | None = None) -> list[Object]:
    """Return every object of *kind*.

    Raises:
        NotFoundError: The cluster does not know the kind.
        DeniedError: The hub keeps its names private.
    """
    try:
        return cluster.list(kind, label_selector=label_selector)
    except DeniedError as exc:
        exc.hint = exc.hint or private_names.HINT
        raise
    except NotFoundError as exc:
        raise NotFoundError(
            f"{cluster.server} does not know the kind {kind} of {names.GROUP}",
            hint="Choose the hub's cluster with --kubeconfig or --context.",
        ) from exc


def _wanted(what: What, text: str) -> str | Named:
    """Read NAME: the name of an object, or the part of a name that several have.

    Raises:
        InvalidInputError: It cannot be the name of such a thing.
    """
    if what is What.DATAPACKS:
        return text
    if what is What.ORGS:
        return named.organization(text)
    _, rest = named.split_host(text)
    if "/" in rest:
        if "@" in rest:
            raise InvalidInputError(
                f"{rest[:300]!r} has a digest", hint="Resources are by tag: org/repo:tag."
            )
        if ":" not in rest:
            return names.split_repository(rest)
        if what is What.REPOS:
            named.repository(text)  # says that it is the name of an image
        return names.split_image(rest)
    if "." in rest:
        return rest  # the name of the resource, as kubectl has it
    return names.Named(named.organization(text))


def _found(cluster: Cluster, what: What, wanted: str | Named | None) -> list[Object]:
    kind = KIND_OF[what]
    if wanted is None:
        return items(cluster, kind)
    if isinstance(wanted, str):
        try:
            return [cluster.look_up(kind, wanted)]
        except DeniedError as exc:
            exc.hint = exc.hint or private_names.HINT
            raise
        except NotFoundError as exc:
            raise NotFoundError(
                f"there is no {kind.lower()} {wanted}",
                hint=f"`sealoshub get {what}` lists those that there are."
                " Is this kubeconfig one of the hub's cluster?",
            ) from exc
    if what is What.IMAGES and wanted.tag:
        return [_image(cluster, wanted)]
    if what is What.REPOS and wanted.repository:
        return [named.get(cluster, kind, wanted.path)]
    # The label only narrows the list; an object may be older than the labels of its controller.
    selector = f"{names.ORGANIZATION_LABEL}={wanted.organization}"
    start = f"{wanted.path}:" if wanted.repository else f"{wanted.organization}/"
    try:
        found = items(cluster, kind, selector)
    except DeniedError as exc:
        found = private_names.inside(cluster, kind, wanted, exc)
    inside = [obj for obj in found if columns.name_of(obj).startswith(start)]
    if not inside:
        # Something that is empty is told from something that is not there.
        which = ("Repository", wanted.path) if wanted.repository else ("Organization", str(wanted))
        named.get(cluster, *which)
    return inside


def _image(cluster: Cluster, wanted: Named) -> Object:
    """Return the image *wanted*, by the name it should have or the one the original gave."""
    try:
        return named.get(cluster, "Image", str(wanted))
    except NotFoundError:
        folded = names.folded_name(str(wanted))
        try:
            found = cluster.look_up("Image", folded)
        except (DeniedError, NotFoundError, InvalidInputError):
            found = {}
        if columns.name_of(found) == str(wanted):
            return found
        raise


def _bare(obj: Object) -> Object:
    """Return *obj* without the bookkeeping that is for machines and longer than all the rest."""
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": meta}


def _yaml(objects: list[Object]) -> str:
    import yaml  # noqa: PLC0415  # 20 ms, and only for this format

    text: str = yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True)
    return clean(text).rstrip("\n")
