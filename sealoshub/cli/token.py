"""`sealoshub token …`: personal tokens for scripts, and the list of one's own logins."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sealoshub.cli import options, output, session
from sealoshub.cli.group import Group
from sealoshub.cli.output import Format, Output
from sealoshub.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.registry.client import Client
    from sealoshub.registry.hubapi import Login

_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([smhdw])")
_UNIT: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_HEAD: Final = ("ID", "NAME", "TYPE", "CREATED", "EXPIRES", "LAST USED", "SCOPES")

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Personal tokens, and the logins that you have.",
)

HostArgument = Annotated[
    str | None,
    typer.Argument(metavar="HOST", help="The hub. Default: the one you are logged in to."),
]


@app.command()
def create(
    host: HostArgument = None,
    *,
    name: Annotated[
        str, typer.Option("--name", "-n", metavar="NAME", help="What you call it in the list.")
    ],
    ttl: Annotated[
        str, typer.Option("--ttl", metavar="TIME", help="How long it lives: 12h, 30d, 2w.")
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it may at most, such as repository:org/repo:pull; repeatable.",
        ),
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
    """Make a token for a script or a cluster, and print it: it is shown this once.

    It is a password in every client and may what you may, within its scopes.

    Example: sealoshub token create --name ci --ttl 30d --scope repository:team/*:pull
    """
    from sealoshub.registry import hubapi  # noqa: PLC0415  # not for --help

    out = Output("token create", format_, quiet=quiet, verbose=verbose)
    seconds = duration(ttl)
    tls = session.Tls(plain_http, ca_file, insecure, trust_realm)
    with _client(host, authfile, tls, out) as client:
        token, login = hubapi.create_token(client, name, seconds, scope or [])
        end = _moment(login.expires)
        out.note(
            f"personal token {login.name} for {client.host}"
            + (f", good until {output.moment(end)}" if end else "")
            + f"; revoke it with `sealoshub token revoke {login.id}`"
        )
        # The one place where a secret is the result.
        out.result(token.reveal(), {"token": token.reveal(), "host": client.host, **_data(login)})


@app.command("list")
def list_(
    host: HostArgument = None,
    *,
    authfile: options.AuthfileOption = None,
    plain_http: options.PlainHttpOption = False,
    ca_file: options.CaFileOption = None,
    insecure: options.InsecureOption = False,
    trust_realm: options.TrustRealmOption = False,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """List your personal tokens and logins; `this` is the one that asks.

    Example: sealoshub token list hub.example.com
    """
    from sealoshub.registry import hubapi  # noqa: PLC0415  # not for --help

    out = Output("token list", format_, quiet=quiet, verbose=verbose)
    tls = session.Tls(plain_http, ca_file, insecure, trust_realm)
    with _client(host, authfile, tls, out) as client:
        found = hubapi.list_logins(client)
        if not found:
            out.note(f"there is no login of yours at {client.host}")
        data = {"host": client.host, "logins": [_data(login) for login in found]}
        out.table(_HEAD, [_row(login) for login in found], data, prose=("SCOPES",))


@app.command()
def revoke(
    login_id: Annotated[str, typer.Argument(metavar="ID", help="As in the list.")],
    host: HostArgument = None,
    *,
    authfile: options.AuthfileOption = None,
    plain_http: options.PlainHttpOption = False,
    ca_file: options.CaFileOption = None,
    insecure: options.InsecureOption = False,
    trust_realm: options.TrustRealmOption = False,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """End a token or a login. Access tokens made with it end within five minutes.

    Example: sealoshub token revoke 06db32865782d36e729ccd87bd331359
    """
    from sealoshub.registry import hubapi  # noqa: PLC0415  # not for --help

    out = Output("token revoke", format_, quiet=quiet, verbose=verbose)
    if login_id.startswith(("shp_", "shr_")):
        raise UsageError(
            "this is the token itself; an ID is wanted", hint="See `sealoshub token list`."
        )
    tls = session.Tls(plain_http, ca_file, insecure, trust_realm)
    with _client(host, authfile, tls, out) as client:
        hubapi.revoke_login(client, login_id)
        out.note(f"revoked {login_id} at {client.host}")
        out.result(None, {"host": client.host, "id": login_id})


def duration(text: str) -> int:
    """Read a time such as `30d`; return seconds.

    Raises:
        UsageError: It is none.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is not a time", hint="Write 12h, 30d or 2w.")
    return int(found[1]) * _UNIT[found[2]]


def _client(host: str | None, authfile: Path | None, tls: session.Tls, out: Output) -> Client:
    name = session.chosen_host(host)
    stored = session.required_for(name, None, options.credential_places(authfile), out)
    return session.registry_client(name, stored, tls, out, retry_seconds=20)


def _data(login: Login) -> dict[str, object]:
    return {
        "id": login.id,
        "type": login.type,
        "name": login.name,
        "scopes": None if login.scopes is None else list(login.scopes),
        "created": login.created,
        "expires": login.expires,
        "last_used": login.last_used,
        "client": login.client,
        "address": login.address,
        "current": login.current,
    }


def _row(login: Login) -> tuple[str, ...]:
    kind = "token" if login.type == "personal" else "login"
    return (
        login.id,
        login.name or login.client.partition(" ")[0],
        f"{kind} (this)" if login.current else kind,
        _day(login.created),
        _day(login.expires),
        _day(login.last_used),
        "all" if login.scopes is None else " ".join(login.scopes),
    )


def _day(text: str) -> str:
    when = _moment(text)
    return when.astimezone().strftime("%Y-%m-%d %H:%M") if when else ""


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
