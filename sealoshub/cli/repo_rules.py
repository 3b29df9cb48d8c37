"""`sealoshub repo immutable` and `repo retention`: the rules for the tags of a repository."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sealoshub.cli import named, options, quantity, session
from sealoshub.cli.output import Format, Output, age
from sealoshub.errors import DeniedError, InvalidInputError, UsageError
from sealoshub.imagehub import limits
from sealoshub.imagehub.limits import Retention, Tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealoshub.cli.named import Place
    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster

app = typer.Typer(add_completion=False, rich_markup_mode=None)

KIND: Final = "Repository"
SHORT_DIGEST: Final = len("sha256:") + 12  # as `sealoshub get` shows them
_HOURS: Final = re.compile(limits.DURATION)

NameArgument = Annotated[
    str, typer.Argument(metavar="ORG/REPO", help="The repository; with or without the hub's host.")
]
NoneOption = Annotated[bool, typer.Option("--none", help="Take the rule away.")]


@app.command()
def immutable(
    name: NameArgument,
    patterns: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATTERN]...", help="Tags; * is any run of characters: 'v*'."),
    ] = None,
    *,
    none: NoneOption = False,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Show or set which tags of a repository never name another image.

    sealoshub push refuses to move such a tag. What another client moves the hub puts back within
    seconds.

    Example: sealoshub repo immutable team/app 'v*' stable
    """
    out = Output("repo immutable", format_, quiet=quiet, verbose=verbose)
    place = named.repository(name)
    wanted = _patterns(patterns or [])
    if wanted and none:
        raise UsageError("--none and patterns exclude each other")
    with session.user_cluster(kubeconfig, context, out) as cluster:
        found = named.get(cluster, KIND, place.named.path)
        outcome = None
        if wanted or none:
            found, outcome = _set(cluster, place, found, {"immutableTags": wanted or None})
    now = list((found.get("spec") or {}).get("immutableTags") or ())
    said = _said(found, "TagsImmutable") if now and outcome != "changed" else ""
    if said:
        out.note(said)
    if not now:
        out.note(f"every tag of {place.named.path} may name another image")
    out.table(
        ["PATTERN"],
        [[pattern] for pattern in now],
        {"name": place.named.path, "immutable_tags": now, "outcome": outcome, "last": said or None},
    )


@app.command()
def retention(
    name: NameArgument,
    *,
    keep_last: Annotated[
        int | None,
        typer.Option("--keep-last", metavar="N", min=1, help="So many of the newest tags stay."),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="TIME", help="Only older tags go: 720h, 30d."),
    ] = None,
    keep_tag: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-tag", metavar="PATTERN", help="These stay and do not count; repeatable."
        ),
    ] = None,
    none: NoneOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be deleted, and change nothing.")
    ] = False,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Show or set which tags of a repository are deleted by themselves, and list those due now.

    Tags that are not among the newest go and, if an age is given, only when they are older than
    it. A tag is as old as its image has had that name in the hub.

    Example: sealoshub repo retention team/app --keep-last 10 --older-than 30d --keep-tag 'v*'
    """
    out = Output("repo retention", format_, quiet=quiet, verbose=verbose)
    place = named.repository(name)
    rule = _rule(keep_last, older_than, keep_tag or [])
    if rule is not None and none:
        raise UsageError("--none and a rule exclude each other")
    if dry_run and rule is None:
        raise UsageError("--dry-run needs a rule to try: --keep-last or --older-than")
    with session.user_cluster(kubeconfig, context, out) as cluster:
        found = named.get(cluster, KIND, place.named.path)
        images = _images(cluster, place)
        outcome = "tried" if dry_run else None
        if not dry_run and (rule is not None or none):
            # A merge patch: what the old rule said and the new one does not has to go.
            old = dict.fromkeys((found.get("spec") or {}).get("retention") or ())
            changes = None if rule is None else old | rule
            found, outcome = _set(cluster, place, found, {"retention": changes}, rule)
    spec = {**(found.get("spec") or {}), **({"retention": rule} if dry_run else {})}
    due = _due(spec, images)
    shown = spec.get("retention")
    if not shown:
        out.note(f"no tag of {place.named.path} is deleted by itself")
    elif not due:
        out.note(f"no tag of {place.named.path} is due")
    elif said := _said(found, "RetentionApplied"):
        out.note(said)
    out.table(
        ["TAG", "DIGEST", "AGE"],
        [[tag.name, tag.digest[:SHORT_DIGEST], age(tag.since.isoformat())] for tag in due],
        {
            "name": place.named.path,
            "retention": shown or None,
            "outcome": outcome,
            "due": [
                {"tag": tag.name, "digest": tag.digest, "since": tag.since.isoformat()}
                for tag in due
            ],
        },
    )


def _set(
    cluster: Cluster,
    place: Place,
    found: Object,
    changes: Mapping[str, Any],
    wanted: object = None,
) -> tuple[Object, str]:
    """Change a rule unless it is that already; return the repository and what became of it.

    Args:
        cluster: Where it is.
        place: The repository.
        found: As it is.
        changes: One field of the spec, as a merge patch.
        wanted: The field as it should be, if that is not what the patch says.
    """
    ((field, value),) = changes.items()
    if ((found.get("spec") or {}).get(field) or None) == (wanted or value):
        return found, "unchanged"
    try:
        changed = cluster.patch(KIND, str(found["metadata"]["name"]), {"spec": dict(changes)})
    except DeniedError as exc:
        named.denied_in(exc, cluster, place.named.organization)
    return changed, "changed"


def _images(cluster: Cluster, place: Place) -> list[Object]:
    from sealoshub.cli import repo  # noqa: PLC0415  # which has this module's commands

    return repo.images_of(cluster, place.named.path)


def _due(spec: Mapping[str, Any], images: Iterable[Object]) -> list[Tag]:
    """Return the tags that the rule in *spec* would delete now."""
    rule = Retention.read(spec)
    if rule is None:
        return []
    tags: dict[str, Tag] = {}
    for image in images:
        name = str(image["spec"]["name"]).partition(":")[2]
        was = (image.get("status") or {}).get("tag") or {}
        try:
            since = datetime.fromisoformat(str(was["since"]))
        except (KeyError, ValueError):
            continue  # the registry does not have it, or nobody has looked yet
        tags[name] = Tag(name, str(was.get("digest") or ""), since)
    return rule.due(tags.values(), limits.patterns(spec.get("immutableTags")), datetime.now(UTC))


def _said(repository: Object, kind: str) -> str:
    """Return what the hub last did by a rule; empty if nothing."""
    for condition in (repository.get("status") or {}).get("conditions") or ():
        if condition.get("type") == kind:
            return str(condition.get("message") or "")
    return ""


def _patterns(found: Sequence[str]) -> list[str]:
    """Check the patterns, and return each once.

    Raises:
        InvalidInputError: One is none, or there are too many.
    """
    for text in found:
        if not limits.is_pattern(text):
            raise InvalidInputError(
                f"{text[:140]!r} is not a pattern for tags",
                hint="Letters, digits and . _ - as in a tag, and * for any run of them.",
            )
    unique = list(dict.fromkeys(found))
    if len(unique) > limits.MAX_PATTERNS:
        raise InvalidInputError(f"more than {limits.MAX_PATTERNS} patterns")
    return unique


def _rule(
    keep_last: int | None, older_than: str | None, keep_tags: Sequence[str]
) -> dict[str, Any] | None:
    """Return `spec.retention`; None if the command line has none.

    Raises:
        UsageError: Patterns alone, which delete nothing.
    """
    rule: dict[str, Any] = {}
    if keep_last is not None:
        rule["keepLast"] = keep_last
    if older_than is not None:
        rule["olderThan"] = _hours(older_than)
    if not rule:
        if keep_tags:
            raise UsageError("--keep-tag alone deletes nothing: add --keep-last or --older-than")
        return None
    if kept := _patterns(keep_tags):
        rule["keepTags"] = kept
    return rule


def _hours(text: str) -> str:
    """Return a time as the resource has it, which knows no days."""
    if text and _HOURS.fullmatch(text):
        limits.duration(text)
        return text
    seconds = round(quantity.parse_duration(text))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    written = "".join(f"{number}{unit}" for number, unit in parts if number)
    if timedelta(seconds=seconds, minutes=minutes, hours=hours) <= timedelta(0):
        raise UsageError("--older-than must be longer than nothing")
    limits.duration(written)
    return written
