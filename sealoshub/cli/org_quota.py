"""`sealoshub org quota`: how much an organization holds, and how much it may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sealoshub.cli import named, options, session
from sealoshub.cli.output import Format, Output
from sealoshub.errors import DeniedError, UsageError
from sealoshub.imagehub import limits

if TYPE_CHECKING:
    from sealoshub.kube import Object

app = typer.Typer(add_completion=False, rich_markup_mode=None)

KIND: Final = "Organization"
NO_LIMIT: Final = "none"
MAX_COUNT: Final = 1_000_000_000  # as the CRD has it


@app.command()
def quota(
    name: Annotated[
        str,
        typer.Argument(metavar="ORG", help="The organization; with or without the hub's host."),
    ],
    *,
    repositories: Annotated[
        str | None,
        typer.Option("--repositories", metavar="N", help="At most so many repositories; or none."),
    ] = None,
    tags: Annotated[
        str | None,
        typer.Option("--tags", metavar="N", help="At most so many tags in all; or none."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="SIZE", help="At most so much, such as 10Gi; or none."),
    ] = None,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Show what an organization holds and may hold; an administrator of the hub can change that.

    Over its quota nobody pushes to it; pulling and deleting go on. A limit that is not named
    stays as it is.

    Example: sealoshub org quota team --size 10Gi --tags none
    """
    out = Output("org quota", format_, quiet=quiet, verbose=verbose)
    wanted = named.organization(name)
    changes: dict[str, Any] = {}
    for key, text in (("repositories", repositories), ("tags", tags)):
        if text is not None:
            changes[key] = _count(f"--{key}", text)
    if size is not None:
        changes["size"] = _size(size)
    with session.user_cluster(kubeconfig, context, out) as cluster:
        found = named.get(cluster, KIND, wanted)
        before = (found.get("spec") or {}).get("quota") or {}
        if any(before.get(key) != value for key, value in changes.items()):
            try:
                found = cluster.patch(KIND, wanted, {"spec": {"quota": changes}})
            except DeniedError as exc:
                exc.hint = "Ask an administrator of the hub: owners do not set their own quota."
                raise
            outcome = "changed"
        else:
            outcome = "unchanged"
    _show(out, wanted, found, outcome if changes else None)


def _show(out: Output, name: str, organization: Object, outcome: str | None) -> None:
    spec, status = organization.get("spec") or {}, organization.get("status") or {}
    limit = spec.get("quota") or {}
    usage = status.get("usage")
    used = usage if isinstance(usage, dict) else {}
    full = False
    for condition in status.get("conditions") or ():
        if condition.get("type") == "WithinQuota" and condition.get("status") == "False" and limit:
            full = True
            if outcome != "changed":
                out.note(f"nobody can push to {name}: {condition.get('message')}")
    if usage is None:
        out.note(f"the hub has not counted yet what {name} holds")
    held = used.get("size")
    rows = [
        [key, _text(used.get(key)), _text(limit.get(key), NO_LIMIT)]
        for key in ("repositories", "tags")
    ]
    words = limits.size_words(held) if isinstance(held, int) else "?"
    rows.append(["size", words, _text(limit.get("size"), NO_LIMIT)])
    out.table(
        ["LIMIT", "USED", "QUOTA"],
        rows,
        {
            "organization": name,
            "usage": usage,
            "quota": limit or None,
            "full": full,
            "outcome": outcome,
        },
    )


def _text(value: object, missing: str = "?") -> str:
    return missing if value is None else str(value)


def _count(option: str, text: str) -> int | None:
    if text == NO_LIMIT:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_COUNT:
        raise UsageError(f"{option}: {text[:40]!r} is not a number, and not {NO_LIMIT}")
    return int(text)


def _size(text: str) -> str | None:
    if text == NO_LIMIT:
        return None
    limits.quantity(text)
    return text
