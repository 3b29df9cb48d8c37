"""`sealoshub explain`: may somebody pull, push or delete, by which rule, and if not whom to ask."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sealoshub.cli import options, refusal, session
from sealoshub.cli.output import Format, Output
from sealoshub.errors import DeniedError, UsageError
from sealoshub.reference import Reference

if TYPE_CHECKING:
    from sealoshub.registry.hubapi import Explanation

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Action(StrEnum):
    """What somebody wants to do."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"


class NotAllowedError(DeniedError):
    """He may not.

    Args:
        message: Who may not do what, and why.
        hint: Whom to ask.
        data: The explanation, for the JSON answer.
    """

    def __init__(self, message: str, hint: str, data: dict[str, object]) -> None:
        super().__init__(message, hint=hint)
        self.data = data


@app.command()
def explain(
    action: Annotated[Action, typer.Argument(help="What is to be done.")],
    reference: Annotated[str, typer.Argument(metavar="REF", help="Where: host/org/repo.")],
    *,
    user: Annotated[
        str | None,
        typer.Option("--as", metavar="USER", help="Ask for somebody else; for owners only."),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--as-group", metavar="GROUP", help="A group of that user; repeatable."),
    ] = None,
    authfile: options.AuthfileOption = None,
    plain_http: options.PlainHttpOption = False,
    ca_file: options.CaFileOption = None,
    insecure: options.InsecureOption = False,
    trust_realm: options.TrustRealmOption = False,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Say whether you may pull, push or delete, and which rule says so; else whom to ask.

    Ends with 0 if it is allowed and with 4 if it is not.

    Example: sealoshub explain push hub.example.com/team/app --as bob
    """
    from sealoshub.registry import hubapi  # noqa: PLC0415  # not for --help

    out = Output("explain", format_, quiet=quiet, verbose=verbose)
    if group and user is None:
        raise UsageError("--as-group makes no sense without --as")
    target = Reference.parse(reference)
    places = options.credential_places(authfile)
    stored = session.required_for(target.host, target.repository, places, out)
    tls = session.Tls(plain_http, ca_file, insecure, trust_realm)
    with session.registry_client(target.host, stored, tls, out, retry_seconds=20) as client:
        tag = target.tag if action is Action.PUSH else None
        found = hubapi.explain(client, action, target.repository, user, group or [], tag=tag)
    place = f"{target.host}/{target.repository}"
    data: dict[str, object] = {
        "user": found.user,
        "action": str(action),
        "repository": place,
        "allowed": found.allowed,
        "reason": found.reason,
        "owners": list(found.owners),
        "over_quota": found.full,
        "immutable_tag": found.immutable,
    }
    wish = _wish(action, place)
    if user is not None and not group and ":" not in user:
        out.note("only the API server knows the groups of a user; --as-group adds them")
    if not found.allowed:
        way = refusal.ROOM if found.full else _way(found)
        raise NotAllowedError(f"{found.user} may not {wish}: {found.reason}", way, data)
    if found.immutable:
        out.note(f"once it is there, the tag {target.tag} never names another image")
    out.result(f"{found.user} may {wish}: {found.reason or 'the hub does not say why'}", data)


def _wish(action: Action, place: str) -> str:
    return {
        Action.PULL: f"pull from {place}",
        Action.PUSH: f"push to {place}",
        Action.DELETE: f"delete content of {place}",
    }[action]


def _way(found: Explanation) -> str:
    if found.limited:
        return "Log in with `sealoshub login`, or make a token with a wider --scope."
    if found.owners:
        return f"An owner can grant it: {', '.join(found.owners)}."
    return "Ask an owner of the organization; the hub does not tell who that is."
