"""Logging in to a registry, and what can be done with the login afterwards.

Nothing here stores anything. A login counts only when the registry itself accepted what the token
server gave, and when the token server would not have given the same to anybody.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Final, Literal

from sealoshub.errors import AuthenticationError, UnavailableError
from sealoshub.registry import auth, failure, hubapi
from sealoshub.registry.auth import Credential
from sealoshub.registry.status import Status
from sealoshub.secret import Secret
from sealoshub.value import Value

if TYPE_CHECKING:
    from sealoshub.registry.auth import Token
    from sealoshub.registry.client import Client

_SELF: Final = "/v1/logins/self"  # ours: the login whose refresh token is sent
_WHOAMI: Final = "/v1/whoami"


class LoginResult(Value):
    """What a login brought.

    Args:
        account: The user name to store beside the secret; never with a colon.
        refresh_token: What to store instead of the secret; None if the server gives none.
        anonymous: The registry asks nobody for a login: nothing was checked.
        scheme: How the registry authenticates.
        subject: Whose the token says it is, unverified; None if it does not say.
    """

    account: str
    refresh_token: Secret | None
    anonymous: bool
    scheme: Literal["none", "basic", "bearer"]
    subject: str | None = None


def login(client: Client, account: str, secret: Secret, *, exchange: bool = True) -> LoginResult:
    """Log in and prove it: `GET /v2/` with what came of it must be answered with 200.

    Args:
        client: Of the registry; its own credential is not used.
        account: The full user name.
        secret: Password, token or kubeconfig.
        exchange: Ask for a refresh token.

    Raises:
        AuthenticationError: The credential was refused, or was not looked at.
        UnavailableError: No registry, no token server, or they do not trust each other.
    """
    base = client.ping()
    name = auth.colonless(account)
    if base.challenge is None:
        return LoginResult(name, None, anonymous=True, scheme="none")
    credential = Credential(account, secret)
    if base.challenge.scheme == "basic":
        _prove(client, auth.basic(credential), account)
        return LoginResult(name, None, anonymous=False, scheme="basic")
    token = client.retry.run(lambda: client.exchange(credential, offline=exchange))
    answer = client.retry.run(lambda: client.probe(Secret(f"Bearer {token.value.reveal()}")))
    if answer.status != Status.OK:
        said = failure.words(answer)
        raise UnavailableError(
            f"{client.host} does not accept the token that its own token server gave"
            + (f": {said}" if said else ""),
            code="TOKEN_REFUSED",
            hint="The registry's keys, issuer, service or clock do not fit its token server; tell"
            " the operator.",
        )
    if not _is_personal(client, account, token):
        raise AuthenticationError(
            f"{client.host} did not look at the credential of {account}: it gives anybody a token",
            hint="There is nothing to log in to; public images need no login.",
        )
    refresh = token.refresh_token if exchange else None
    return LoginResult(
        name, refresh, anonymous=False, scheme="bearer", subject=token.subject() or None
    )


def revoke(client: Client) -> bool:
    """End the login whose refresh token the client holds, at the hub.

    Returns:
        True if it is over (also if it was before); False if this server knows no such thing.

    Raises:
        UnavailableError: The server cannot be reached or cannot serve now.
    """
    answer = hubapi.ask(client, "DELETE", _SELF)
    if answer is None:
        return False
    if answer.status in failure.TRANSIENT:
        raise failure.from_answer(answer)
    return answer.status in {200, 202, 204, 401}


def whoami(client: Client) -> dict[str, object] | None:
    """Return what the hub says about the client's login; None if this server knows no such thing.

    Raises:
        AuthenticationError: The hub does not accept the login any more.
        UnavailableError: The server cannot be reached or cannot serve now.
    """
    answer = hubapi.ask(client, "GET", _WHOAMI)
    if answer is None:
        return None
    if answer.status in failure.TRANSIENT or answer.status == Status.UNAUTHORIZED:
        raise failure.from_answer(answer)
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return document if answer.status == Status.OK and isinstance(document, dict) else None


def _prove(client: Client, authorization: Secret, account: str) -> None:
    answer = client.retry.run(lambda: client.probe(authorization))
    if answer.status != Status.OK:
        said = failure.words(answer)
        raise AuthenticationError(
            f"{client.host} refused the credential of {account}" + (f": {said}" if said else ""),
            hint="Check the user name and the password.",
        )


def _is_personal(client: Client, account: str, token: Token) -> bool:
    """Tell whether the credential made a difference to the token server."""
    subject = token.subject()
    if subject is not None:
        return subject != ""
    # The token does not say: would a password that nobody has do as well?
    wrong = Credential(account, Secret(secrets.token_urlsafe(24)))
    try:
        client.retry.run(lambda: client.exchange(wrong, offline=False))
    except AuthenticationError:
        return True
    return False
