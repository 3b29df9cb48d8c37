"""`sealoshub whoami`: who the hub says this login is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, Self

import typer

from sealoshub.cli import options, session
from sealoshub.cli.output import Format, Output, moment, remaining
from sealoshub.credentials import ledger
from sealoshub.errors import (
    DeniedError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.credentials import StoredCredential
    from sealoshub.registry.client import Client

ACTIONS: Final = ("pull", "push", "delete")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class HubIdentity:
    """What a hub's `/v1/whoami` says, as far as it says it.

    Args:
        user: Kubernetes user name; empty if the hub does not say.
        groups: Kubernetes groups.
        expires: When the login ends.
    """

    user: str = ""
    groups: tuple[str, ...] = ()
    expires: datetime | None = None

    @classmethod
    def read(cls, answer: Mapping[str, object] | None) -> Self:
        """Read the hub's answer; whatever is missing or strange is left out."""
        if not answer:
            return cls()
        user = answer.get("user")
        fields = user if isinstance(user, dict) else answer
        name = user if isinstance(user, str) else fields.get("name", "")
        groups = fields.get("groups")
        return cls(
            name if isinstance(name, str) else "",
            tuple(map(str, groups)) if isinstance(groups, list) else (),
            _moment(answer.get("expires")),
        )


@dataclass(frozen=True, slots=True)
class Answers:
    """What a hub said about a login.

    Args:
        identity: Who it is.
        organizations: Name and role of each organization; None if the hub does not tell.
        rights: What may be done with the repository that was asked about; None if none was.
    """

    identity: HubIdentity
    organizations: tuple[tuple[str, str], ...] | None = None
    rights: Mapping[str, bool] | None = None


@app.command()
def whoami(
    host: Annotated[
        str | None,
        typer.Argument(metavar="HOST", help="The hub. Default: the one you are logged in to."),
    ] = None,
    *,
    repo: Annotated[
        str | None,
        typer.Option("--repo", metavar="ORG/REPO", help="Show what you may do there."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nobody; say what is stored here.")
    ] = False,
    authfile: options.AuthfileOption = None,
    plain_http: options.PlainHttpOption = False,
    ca_file: options.CaFileOption = None,
    insecure: options.InsecureOption = False,
    trust_realm: options.TrustRealmOption = False,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Show as whom you are logged in, until when, and where the credential lies.

    Also in which organizations you have a role, and with --repo what you may do there.

    Example: sealoshub whoami hub.example.com

    Example: sealoshub whoami --repo team/app
    """
    out = Output("whoami", format_, quiet=quiet, verbose=verbose)
    host, repository = _place(host, repo)
    if offline and repository is not None:
        raise UsageError("--repo asks the hub, and --offline nobody")
    name = session.chosen_host(host)
    places = options.credential_places(authfile)
    stored = session.required_for(name, repository, places, out, warn=False)
    found = Answers(HubIdentity())
    if not offline:
        tls = session.Tls(plain_http, ca_file, insecure, trust_realm)
        found = _ask(name, stored, repository, tls, out)
    known = _remembered(name)
    end = found.identity.expires or session.known_end(name, stored)
    user = found.identity.user or (known.account if known else "") or stored.account
    _correct(known, stored, found.identity.expires, out)
    may = None if found.rights is None else [action for action in ACTIONS if found.rights[action]]
    lines = [
        ("host", name),
        ("user", user),
        ("groups", ", ".join(found.identity.groups)),
        ("roles", ", ".join(f"{role} of {org}" for org, role in found.organizations or ())),
        ("rights", "" if may is None else f"{', '.join(may) or 'none'} on {repository}"),
        ("account", stored.account or "(in the token)"),
        ("stored in", f"{stored.location}, key {stored.key}"),
        ("good until", f"{moment(end)} ({remaining(end)})" if end else "unknown"),
    ]
    text = "\n".join(f"{label + ':':<12}{value}" for label, value in lines if value)
    organizations = found.organizations
    out.result(
        text,
        {
            "host": name,
            "user": user,
            "groups": list(found.identity.groups),
            "organizations": None
            if organizations is None
            else [{"name": org, "role": role} for org, role in organizations],
            "repository": None if found.rights is None else {"name": repository, **found.rights},
            "account": stored.account,
            "location": stored.location,
            "key": stored.key,
            "refresh_token": stored.is_refresh_token,
            "expires": end.isoformat() if end else None,
            "verified": not offline,
        },
    )
    session.warn_of_end(name, end, out, asked=found.identity.expires is not None)


def _place(host: str | None, repo: str | None) -> tuple[str | None, str | None]:
    """Return the host, which the repository may name too, and the repository without it.

    Raises:
        InvalidInputError: *repo* is no repository.
        UsageError: They name two hosts.
    """
    if repo is None:
        return host, None
    from sealoshub.cli import named  # noqa: PLC0415  # for few calls

    place = named.repository(repo)
    if None not in {host, place.host} and host != place.host:
        raise UsageError(f"{repo} is not at {host}", hint="Name the host once.")
    return host or place.host, place.named.path


def _ask(
    host: str, stored: StoredCredential, repository: str | None, tls: session.Tls, out: Output
) -> Answers:
    """Ask the hub; one that has no such question is at least asked for a token.

    Raises:
        AuthenticationError: It does not accept the login.
        NotFoundError: It knows no rights on *repository*, because it is no hub of ours.
        UnavailableError: It does not answer.
    """
    from sealoshub.registry import hubapi  # noqa: PLC0415  # not for --help

    with session.registry_client(host, stored, tls, out, retry_seconds=20) as client:
        answer = client.whoami()
        organizations = None if answer is None else _organizations(client, out)
        rights = (
            {
                action: hubapi.explain(client, action, repository, None, ()).allowed
                for action in ACTIONS
            }
            if repository is not None
            else None
        )
        if answer is not None:
            return Answers(HubIdentity.read(answer), organizations, rights)
        out.note(f"{host} cannot say who you are; only that it accepts your login")
        return Answers(HubIdentity(user=_prove(host, stored, tls, out)))


def _organizations(client: Client, out: Output) -> tuple[tuple[str, str], ...] | None:
    """Return organizations and roles; who one is can be shown without them."""
    from sealoshub.registry import hubapi  # noqa: PLC0415  # not for --help

    try:
        found = hubapi.organizations(client)
    except (DeniedError, NotFoundError, UnavailableError) as exc:
        out.note(f"in which organizations you have a role is not known: {exc.message}")
        return None
    return None if found is None else tuple(found)


def _correct(
    known: ledger.Login | None, stored: StoredCredential, end: datetime | None, out: Output
) -> None:
    """Write down when the login ends now, because every use may move that."""
    if known is None or end in {None, known.expires} or stored.location not in known.locations:
        return
    try:
        ledger.remember(session.ledger_file(), replace(known, expires=end))
    except InvalidInputError as exc:
        out.detail(exc.message)


def _prove(host: str, stored: StoredCredential, tls: session.Tls, out: Output) -> str:
    """Log in once more with what is stored; return the subject of the token, if it has one."""
    with session.registry_client(host, None, tls, out, retry_seconds=20) as client:
        if not stored.is_refresh_token:
            return client.login(stored.account, stored.secret, exchange=False).subject or ""
    with session.registry_client(host, stored, tls, out, retry_seconds=20) as client:
        if client.credential is None:
            return ""
        return client.exchange(client.credential, offline=False).subject() or ""


def _remembered(host: str) -> ledger.Login | None:
    logins = ledger.read(session.ledger_file())
    return next((login for login in logins if login.host == host), None)


def _moment(text: object) -> datetime | None:
    if isinstance(text, int | float) and not isinstance(text, bool):
        return datetime.fromtimestamp(text, UTC)
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
