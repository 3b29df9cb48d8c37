"""`sealoshub search`: images by what they are called and what they say about themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sealoshub.cli import columns, options, session
from sealoshub.cli.get import items
from sealoshub.cli.output import Format, Output
from sealoshub.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealoshub.kube import Object

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def search(
    words: Annotated[
        list[str], typer.Argument(metavar="WORD", help="What must occur, each of them.")
    ],
    *,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Find images by name, keywords and description.

    Capitals do not matter. Images with a word in their name come first, then those with it among
    their keywords. Nothing found is no error: the list is empty.

    Example: sealoshub search mysql
    """
    out = Output("search", format_, quiet=quiet, verbose=verbose)
    wanted = [word.casefold() for word in words]
    if not all(word.strip() for word in wanted):
        raise UsageError("a word to search for must not be empty")
    with session.user_cluster(kubeconfig, context, out) as cluster:
        images = items(cluster, "Image")
    ranked = [
        (rank, columns.name_of(image), image) for image in images if (rank := _rank(image, wanted))
    ]
    found = [image for _, _, image in sorted(ranked, key=lambda entry: entry[:2])]
    if not found:
        out.note(f"no image has {' and '.join(map(repr, words))} in name, keywords or description")
    out.table(
        ["NAME", "SIZE", "KEYWORDS", "DESCRIPTION"],
        [
            [
                columns.name_of(image),
                columns.image_size(image),
                columns.keywords(image),
                columns.description(image),
            ]
            for image in found
        ],
        {"items": [_plain(image) for image in found]},
        prose=["DESCRIPTION"],
    )


def _rank(image: Object, words: Sequence[str]) -> int:
    """Tell where all *words* occur: 1 name, 2 keywords too, 3 description too, 0 nowhere."""
    text = ""
    places = (columns.name_of, columns.keywords, columns.description)
    for rank, place in enumerate(places, start=1):
        text += f"\n{place(image).casefold()}"
        if all(word in text for word in words):
            return rank
    return 0


def _plain(image: Object) -> dict[str, object]:
    spec = image.get("spec") or {}
    detail = spec.get("detail") or {}
    return {
        "name": columns.name_of(image),
        "digest": spec.get("digest"),
        "size": detail.get("size"),
        "keywords": detail.get("keywords") or [],
        "description": detail.get("description"),
        "platforms": spec.get("platforms") or [],
    }
