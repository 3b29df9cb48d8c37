"""`sealoshub logout`: forget the login here, and end it at the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sealoshub import credentials
from sealoshub.cli import options, session
from sealoshub.cli.output import Format, Output
from sealoshub.credentials import ledger
from sealoshub.errors import SealosHubError, UsageError

if TYPE_CHECKING:
    from sealoshub.credentials import Places, StoredCredential

app = typer.Typer(add_completion=False, rich_markup_mode=None)

REVOKE_SECONDS = 10.0  # a hub that is down must not keep anybody logged in here


@app.command()
def logout(
    host: Annotated[
        str | None,
        typer.Argument(metavar="HOST", help="The hub. Default: the one you are logged in to."),
    ] = None,
    *,
    all_: Annotated[
        bool, typer.Option("--all", help="Every hub that `sealoshub login` logged in to.")
    ] = False,
    keep_server_session: Annotated[
        bool, typer.Option("--keep-server-session", help="Forget the login here only.")
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
    """Log out: erase the credential wherever it was stored, and revoke it at the hub.

    A hub that cannot be reached does not keep the credential here; the login there then ends by
    itself.

    Example: sealoshub logout hub.example.com

    Example: sealoshub logout --all
    """
    out = Output("logout", format_, quiet=quiet, verbose=verbose)
    if all_ and host is not None:
        raise UsageError("--all and a host exclude each other")
    logins = {login.host: login for login in ledger.read(session.ledger_file())}
    hosts = list(logins) if all_ else [session.chosen_host(host)]
    if not hosts:
        out.note("there is no login to end")
    tls = session.Tls(plain_http, ca_file, insecure, trust_realm)
    done = []
    for name in hosts:
        places = _all_places(authfile, logins.get(name))
        held = _held(name, places, out)
        erased = [
            place
            for each in places
            for place in credentials.erase(name, places=each, on_note=out.note)
        ]
        revoked = not keep_server_session and any(_revoke(name, one, tls, out) for one in held)
        ledger.forget(session.ledger_file(), name)
        done.append({"host": name, "erased": erased, "revoked": revoked})
        _tell(out, name, erased, revoked=revoked)
    out.result(None, {"logouts": done})


def _tell(out: Output, host: str, erased: list[str], *, revoked: bool) -> None:
    if not erased:
        out.note(f"not logged in to {host}")
        return
    tail = "; the login is over at the hub too" if revoked else ""
    out.note(f"logged out of {host}: removed from {' and '.join(erased)}{tail}")


def _all_places(authfile: Path | None, login: ledger.Login | None) -> list[Places]:
    """List the places to erase from: the usual ones, and files that a login named itself."""
    usual = options.credential_places(authfile)
    if authfile is not None or login is None:
        return [usual]
    known = {str(file.path) for file in usual.files}
    others = [
        Path(location)
        for location in login.locations
        if location not in known and Path(location).is_absolute()
    ]
    return [usual, *(options.credential_places(path) for path in others)]


def _held(host: str, places: list[Places], out: Output) -> list[StoredCredential]:
    """List the refresh tokens that are about to be forgotten, each once."""
    found: dict[str, StoredCredential] = {}
    for each in places:
        try:
            stored = session.stored_for(host, None, each, out)
        except SealosHubError as exc:
            out.note(exc.message)
            continue
        if stored is not None and stored.is_refresh_token:
            found.setdefault(stored.secret.reveal(), stored)
    return list(found.values())


def _revoke(host: str, stored: StoredCredential, tls: session.Tls, out: Output) -> bool:
    """End the login at the hub, if the hub can be reached and knows how."""
    try:
        with session.registry_client(
            host, stored, tls, out, retry_seconds=REVOKE_SECONDS
        ) as client:
            return client.revoke()
    except SealosHubError as exc:
        out.note(f"{exc.message}; the login at the hub was not ended and ends by itself")
        return False
