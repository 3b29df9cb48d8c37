"""`sealoshub login`: prove once who you are, keep a short credential."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from sealoshub import credentials
from sealoshub.cli import identity, options, output, session
from sealoshub.cli.output import Format, Output
from sealoshub.cli.whoami import HubIdentity
from sealoshub.credentials import Compat, Store, StoredCredential, ledger, vault
from sealoshub.errors import AuthenticationError, SealosHubError
from sealoshub.reference import parse_host

if TYPE_CHECKING:
    from datetime import datetime

    from sealoshub.cli.identity import Offer
    from sealoshub.registry.login import LoginResult

app = typer.Typer(add_completion=False, rich_markup_mode=None)

KUBECONFIG_NAMES = ("--kubeconfig", "-k")
PERSONAL = "shp_"  # of `token create`: short by itself, and never exchanged for another


class LoginCommand(TyperCommand):
    """A command whose `--kubeconfig` may stand without a value.

    Typer has no option with an optional value, so a bare one is completed before it is parsed.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # typer's private type
        """Complete a bare `--kubeconfig`, then parse as ever."""
        taking = {
            name
            for parameter in self.params
            if parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
            for name in parameter.opts
        }
        return super().parse_args(ctx, complete_kubeconfig(args, taking))


def complete_kubeconfig(args: list[str], taking: set[str]) -> list[str]:
    """Give every bare `--kubeconfig` and `-k` in *args* an empty value, which means the default.

    It is bare at the end, before another option, and if the word behind it is the only one that
    can be the host.

    Args:
        args: The command line behind `login`.
        taking: The options that take a value.
    """
    done: list[str] = []
    hosts = 0
    doubtful: int | None = None  # position in `done` of a value that may be the host
    position = 0
    while position < len(args):
        word = args[position]
        following = args[position + 1] if position + 1 < len(args) else None
        position += 1
        if word == "--":
            hosts += len(args) - position
            done += args[position - 1 :]
            break
        if word in KUBECONFIG_NAMES:
            if following is None or following.startswith("-"):
                done.append("--kubeconfig=")
            else:
                doubtful = len(done)
                done.append(f"--kubeconfig={following}")
                position += 1
        elif word in taking and following is not None:
            done += [word, following]
            position += 1
        else:
            hosts += not word.startswith("-")
            done.append(word)
    if hosts == 0 and doubtful is not None:
        value = done[doubtful].partition("=")[2]
        done[doubtful : doubtful + 1] = ["--kubeconfig=", value]
    return done


@app.command(cls=LoginCommand)
def login(
    host: Annotated[str, typer.Argument(metavar="HOST", help="The hub, name or name:port.")],
    *,
    kubeconfig: Annotated[
        str | None,
        typer.Option(
            "--kubeconfig",
            "-k",
            metavar="[FILE]",
            help="Log in with a kubeconfig. Bare: $KUBECONFIG, ~/.kube/config, or the pod's own.",
        ),
    ] = None,
    context: options.ContextOption = None,
    token: Annotated[
        str | None, typer.Option("--token", metavar="T", help="A token. Better: --token-file.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="A file with a token.")
    ] = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read a token from standard input.")
    ] = False,
    username: Annotated[
        str | None, typer.Option("--username", "-u", metavar="NAME", help="The account's name.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    authfile: options.AuthfileOption = None,
    compat: Annotated[
        Compat, typer.Option("--compat", help="Whose credential files are written.")
    ] = Compat.ALL,
    persist: Annotated[
        bool, typer.Option("--persist", help="Write the auth.json that survives a reboot.")
    ] = False,
    store: Annotated[
        Store | None,
        typer.Option(
            "--store",
            help="What keeps the secret: the credential file, a file behind our own credential"
            " helper, or the system keyring. Default: as before, or else the credential file.",
        ),
    ] = None,
    plain_http: options.PlainHttpOption = False,
    ca_file: options.CaFileOption = None,
    insecure: options.InsecureOption = False,
    trust_realm: options.TrustRealmOption = False,
    no_exchange: Annotated[
        bool,
        typer.Option("--no-exchange", help="Keep the credential itself, not a short one for it."),
    ] = False,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Log in to a hub; afterwards docker, podman, skopeo, crane, oras ... are logged in too.

    With a kubeconfig, only the current user's own credential is sent, once; what is stored is a
    short one that the hub gives for it. Nothing is stored unless the hub accepted it.

    Example: sealoshub login hub.example.com --kubeconfig

    Example: sealoshub login hub.example.com --token-file /var/run/secrets/token

    Example: echo "$PASSWORD" | sealoshub login hub.example.com -u ci --password-stdin
    """
    out = Output("login", format_, quiet=quiet, verbose=verbose)
    name = parse_host(host)
    places = options.credential_places(authfile, compat, persist=persist)
    credentials.require(name, store, places=places)
    choice = identity.Choice(
        kubeconfig, context, token, token_file, token_stdin, username, password_stdin
    )
    offer = identity.resolve(choice, out)
    tls = session.Tls(plain_http, ca_file, insecure, trust_realm)
    with session.registry_client(name, None, tls, out, retry_seconds=15) as client:
        try:
            result = client.login(offer.account, offer.secret, exchange=not no_exchange)
        except AuthenticationError as exc:
            # Nobody has called himself so: it is our word for "the hub shall say who I am".
            nobody = f"the credential of {identity.NOBODY_IN_PARTICULAR}"
            raise AuthenticationError(
                f"cannot log in to {name} with {offer.source}: {exc.message.replace(nobody, 'it')}",
                hint="Nothing was stored. Get a fresh credential of the hub's own cluster.",
            ) from exc
    if result.anonymous:
        raise AuthenticationError(
            f"{name} lets everybody in and checked nothing; nothing was stored",
            hint="No login is needed there.",
        )
    is_short = offer.secret.reveal().startswith(PERSONAL)
    if result.refresh_token is None and not no_exchange and not is_short:
        out.note(f"{name} gives no short credential for it, so the credential itself is stored")
    stored = _stored(result, offer, name)
    who, expires = _confirm(stored, offer, tls, out)
    if offer.account == identity.NOBODY_IN_PARTICULAR:
        stored = replace(stored, account=who.rpartition(":")[2])
    locations = credentials.save(
        name,
        stored.account,
        stored.secret,
        is_refresh_token=stored.is_refresh_token,
        places=places,
        store=store,
        on_note=out.note,
    )
    ledger.remember(session.ledger_file(), ledger.Login(name, who, expires, tuple(locations)))
    _tell(out, name, who, expires, stored, locations)


def _stored(result: LoginResult, offer: Offer, host: str) -> StoredCredential:
    token = result.refresh_token
    return StoredCredential(
        result.account, token or offer.secret, token is not None, "this login", host
    )


def _confirm(
    stored: StoredCredential, offer: Offer, tls: session.Tls, out: Output
) -> tuple[str, datetime | None]:
    """Ask the hub who we are now, and until when; a registry that cannot say is fine too."""
    end = None if stored.is_refresh_token else offer.expires
    try:
        with session.registry_client(stored.key, stored, tls, out, retry_seconds=5) as client:
            answer = client.whoami()
    except SealosHubError as exc:
        out.detail(f"{exc.message}; the login itself was accepted")
        answer = None
    found = HubIdentity.read(answer)
    return found.user or offer.account, found.expires or end


def _tell(  # noqa: PLR0917  # the parts of one sentence
    out: Output,
    host: str,
    who: str,
    expires: datetime | None,
    stored: StoredCredential,
    locations: list[str],
) -> None:
    # Behind our own helper, the files only name it.
    behind = len(locations) > 1 and locations[0].startswith(f"{vault.PROGRAM} (")
    files = locations[1:] if behind else locations
    places = " and ".join(files)
    if behind:
        places = f"{locations[0]}, which is named in {places}"
    if expires is not None:
        life = f"the login is good until {output.moment(expires)}"
    elif stored.is_refresh_token:
        life = "the hub did not say until when the login is good"
    else:
        life = "it is good as long as the credential itself"
    out.note(f"logged in to {host} as {who}; {life}; stored in {places}")
    if files and all(place.startswith("/run/") for place in files):
        out.note("/run is emptied at a reboot; --persist stores the login where it stays")
    out.result(
        None,
        {
            "host": host,
            "user": who,
            "account": stored.account,
            "expires": expires.isoformat() if expires else None,
            "refresh_token": stored.is_refresh_token,
            "locations": locations,
        },
    )
