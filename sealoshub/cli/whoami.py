"""`sealoshub whoami`: who the hub says this login is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Self

import typer

from sealoshub.cli import options, session
from sealoshub.cli.output import Format, Output, moment, remaining
from sealoshub.credentials import ledger
from sealoshub.kube import expiry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.credentials import StoredCredential

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


@app.command()
def whoami(
    host: Annotated[
        str | None,
        typer.Argument(metavar="[HOST]", help="The hub. Default: the one you are logged in to."),
    ] = None,
    *,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nobody; say what is stored here.")
    ] = False,
    authfile: options.AuthfileOption = None,
    plain_http: options.PlainHttpOption = False,
    ca_file: options.CaFileOption = None,
    insecure: options.InsecureOption = False,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Show as whom you are logged in, until when, and where the credential lies."""
    out = Output("whoami", format_, quiet=quiet, verbose=verbose)
    name = session.chosen_host(host)
    places = options.credential_places(authfile)
    stored = session.required_for(name, None, places, out)
    found = HubIdentity()
    if not offline:
        found = _ask(name, stored, session.Tls(plain_http, ca_file, insecure), out)
    known = _remembered(name)
    end = found.expires or (known.expires if known else None) or _own_end(stored)
    user = found.user or (known.account if known else "") or stored.account
    lines = [
        ("host", name),
        ("user", user),
        ("groups", ", ".join(found.groups)),
        ("account", stored.account or "(in the token)"),
        ("stored in", f"{stored.location}, key {stored.key}"),
        ("good until", f"{moment(end)} ({remaining(end)})" if end else "unknown"),
    ]
    text = "\n".join(f"{label + ':':<12}{value}" for label, value in lines if value)
    out.result(
        text,
        {
            "host": name,
            "user": user,
            "groups": list(found.groups),
            "account": stored.account,
            "location": stored.location,
            "key": stored.key,
            "refresh_token": stored.is_refresh_token,
            "expires": end.isoformat() if end else None,
            "verified": not offline,
        },
    )


def _ask(host: str, stored: StoredCredential, tls: session.Tls, out: Output) -> HubIdentity:
    """Ask the hub; one that has no such question is at least asked for a token.

    Raises:
        AuthenticationError: It does not accept the login.
        UnavailableError: It does not answer.
    """
    with session.registry_client(host, stored, tls, out, retry_seconds=20) as client:
        answer = client.whoami()
        if answer is not None:
            return HubIdentity.read(answer)
        out.note(f"{host} cannot say who you are; only that it accepts your login")
        return HubIdentity(user=_prove(host, stored, tls, out))


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


def _own_end(stored: StoredCredential) -> datetime | None:
    return None if stored.is_refresh_token else expiry.of_token(stored.secret.reveal())


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
