"""What a sealoshub token server knows beside tokens: personal tokens, logins, explanations.

The questions go to the origin of the realm, which the handshake has found acceptable, with the
client's own credential. A registry with another token server does not know them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, urlencode

from sealoshub.errors import (
    AuthenticationError,
    DeniedError,
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.registry import auth, failure
from sealoshub.registry.status import Status
from sealoshub.registry.wire import Request
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealoshub.registry.client import Client
    from sealoshub.registry.failure import Answer

MAX_ANSWER: Final = 4 * 1024 * 1024  # bytes; thousands of logins
_LOGINS: Final = "/v1/logins"
_EXPLAIN: Final = "/v1/explain"
_ORGANIZATIONS: Final = "/v1/organizations"
_NOWHERE: Final = frozenset({Status.NOT_FOUND, Status.METHOD_NOT_ALLOWED})


@dataclass(frozen=True, slots=True)
class Login:
    """A login or personal token, as the hub shows it to its owner.

    Args:
        id: What it is revoked by; no secret.
        type: `refresh` or `personal`.
        name: Its owner's name for it.
        scopes: What it is limited to; None for whatever its owner may.
        created: Begin, as the hub wrote it (RFC 3339).
        last_used: Last use that was written down.
        expires: When it ends if it is not used again.
        client: What made it.
        address: Where it was made.
        current: Whether it is the one that asks.
    """

    id: str
    type: str
    name: str
    scopes: tuple[str, ...] | None
    created: str
    last_used: str
    expires: str
    client: str
    address: str
    current: bool

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """Read one entry of the hub's answer; what is missing is empty."""
        words = {
            field: failure.clean(str(value.get(key) or ""))
            for field, key in (
                ("id", "id"),
                ("type", "type"),
                ("name", "name"),
                ("created", "created"),
                ("last_used", "lastUsed"),
                ("expires", "expires"),
                ("client", "client"),
                ("address", "address"),
            )
        }
        scopes = value.get("scopes")
        limits = tuple(map(str, scopes)) if isinstance(scopes, list) else None
        return cls(**words, scopes=limits, current=value.get("current") is True)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether somebody may, and why.

    Args:
        user: Whose right it is.
        allowed: Whether he may.
        reason: The rule that says so, or what is missing.
        owners: Who could grant it, as RBAC names them; empty if the hub does not tell.
        limited: The scopes of the personal token that asks forbid it.
        full: He has the right, and the organisation has no room by its quota.
        immutable: The tag that was asked about never names another image once it is there.
    """

    user: str
    allowed: bool
    reason: str
    owners: tuple[str, ...] = ()
    limited: bool = False
    full: bool = False
    immutable: bool = False


def create_token(
    client: Client, name: str, seconds: int, scopes: Sequence[str]
) -> tuple[Secret, Login]:
    """Make a personal token; the only moment in which it is known.

    Args:
        client: Of the registry, with a login that is no personal token.
        name: Its owner's name for it.
        seconds: Its life.
        scopes: What it is limited to; empty for whatever its owner may.

    Raises:
        AuthenticationError: The hub does not accept the login any more.
        DeniedError: The login is itself a personal token.
        InvalidInputError: The hub refuses the name, the life or a scope, or knows no such tokens.
        UnavailableError: The server cannot be reached or cannot serve now.
    """
    body: dict[str, object] = {"name": name, "seconds": seconds}
    if scopes:
        body["scopes"] = list(scopes)
    where = client.retry.run(client.realm)
    if where is not None and where.service:
        body["service"] = where.service
    answer = _answered(client, "POST", _LOGINS, "personal tokens", body=body)
    token, login = answer.get("token"), answer.get("login")
    if not isinstance(token, str) or not token or not isinstance(login, dict):
        raise UnavailableError(f"{client.host} answered without a token")
    return Secret(token), Login.read(login)


def list_logins(client: Client) -> list[Login]:
    """Return one's own logins and personal tokens, newest first.

    Raises:
        AuthenticationError: The hub does not accept the login any more.
        NotFoundError: The server keeps no logins.
        UnavailableError: The server cannot be reached or cannot serve now.
    """
    found = _answered(client, "GET", _LOGINS, "a list of logins").get("logins")
    entries = found if isinstance(found, list) else []
    return [Login.read(entry) for entry in entries if isinstance(entry, dict)]


def revoke_login(client: Client, login_id: str) -> None:
    """End one of one's own logins or personal tokens.

    Raises:
        AuthenticationError: The hub does not accept the login, or it is a personal token.
        NotFoundError: There is none of that id.
        UnavailableError: The server cannot be reached or cannot serve now.
    """
    path = f"{_LOGINS}/{quote(login_id, safe='')}"
    _answered(client, "DELETE", path, f"a login {login_id}")


def organizations(client: Client) -> list[tuple[str, str]] | None:
    """Return the name of each organisation one has a role in, and the strongest role there.

    Returns:
        None if the hub does not tell it to this login, which is limited to some scopes.

    Raises:
        AuthenticationError: The hub does not accept the login any more.
        NotFoundError: The server knows no organisations.
        UnavailableError: The server cannot be reached or cannot serve now.
    """
    found = _answered(client, "GET", _ORGANIZATIONS, "organizations").get("organizations")
    if not isinstance(found, list):
        return None
    return [
        (failure.clean(str(entry.get("name") or "")), failure.clean(str(entry.get("role") or "")))
        for entry in found
        if isinstance(entry, dict)
    ]


def explain(  # noqa: PLR0913  # the parts of one question
    client: Client,
    action: str,
    repository: str,
    user: str | None,
    groups: Sequence[str],
    *,
    tag: str | None = None,
) -> Explanation:
    """Ask whether somebody may *action* on *repository*.

    Args:
        client: Of the registry, with a login.
        action: `pull`, `push` or `delete`.
        repository: `org/repo`.
        user: Whose right it is; None for one's own.
        groups: Further groups of *user*.
        tag: Of the repository, if it is about one.

    Raises:
        AuthenticationError: The hub does not accept the login any more.
        DeniedError: One may not ask for *user*.
        InvalidInputError: The hub does not understand the question.
        UnavailableError: The server cannot be reached or cannot serve now.
    """
    query = [("verb", action), ("repository", repository)]
    if user is not None:
        query += [("as", user), *(("group", group) for group in groups)]
    if tag is not None:
        query.append(("tag", tag))
    path = f"{_EXPLAIN}?{urlencode(query)}"
    found = _answered(client, "GET", path, "explanations")
    owners = found.get("owners")
    return Explanation(
        failure.clean(str(found.get("user") or "")),
        found.get("allowed") is True,
        failure.clean(str(found.get("reason") or "")),
        tuple(failure.clean(str(owner)) for owner in owners) if isinstance(owners, list) else (),
        limited=found.get("limited") is True,
        full=found.get("full") is True,
        immutable=found.get("immutable") is True,
    )


def ask(
    client: Client, method: str, path: str, body: Mapping[str, object] | None = None
) -> Answer | None:
    """Send a question of our own to the token server's origin, as the client's login.

    Returns:
        Its answer, whatever it is; None if there is no token server or no login.

    Raises:
        UnavailableError: The server cannot be reached.
    """
    credential = client.credential
    where = client.retry.run(client.realm)
    if where is None or credential is None:
        return None
    authorization = (
        Secret(f"Bearer {credential.secret.reveal()}")
        if credential.is_refresh_token
        else auth.basic(credential)
    )
    # The realm's query belongs to its token endpoint.
    url = where.url.with_target(path)
    headers = {"Accept": "application/json"}
    content = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        content = json.dumps(body).encode()
    request = Request(method, url, headers, content, MAX_ANSWER)
    if method == "POST":  # an answer that was lost may have made a token that nobody knows
        return client.wire.send(request, authorization)
    return client.retry.run(lambda: client.wire.send(request, authorization))


def _answered(
    client: Client, method: str, path: str, what: str, body: Mapping[str, object] | None = None
) -> Mapping[str, Any]:
    """Return the JSON of a success; empty for one without a body."""
    answer = ask(client, method, path, body)
    if answer is None:
        if client.credential is None:
            raise AuthenticationError(
                f"not logged in to {client.host}",
                hint=f"Log in with `sealoshub login {client.host}`.",
            )
        raise _not_ours(client.host, what)
    if answer.status == Status.NO_CONTENT:
        return {}
    if answer.status not in {Status.OK, Status.CREATED}:
        raise _failure(client.host, answer, what)
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _not_ours(client.host, what)
    return found


def _failure(host: str, answer: Answer, what: str) -> SealosHubError:
    said = failure.words(answer).partition(": ")[2]  # behind the code
    if answer.status in _NOWHERE:
        if "NOT_FOUND" in answer.codes():
            return NotFoundError(f"{host} has no {what.removeprefix('a ')}")
        return _not_ours(host, what)
    if answer.status == Status.BAD_REQUEST and said:
        return InvalidInputError(said)
    error = failure.from_answer(answer)
    if said and isinstance(error, AuthenticationError | DeniedError):
        return type(error)(said, code=error.code)
    return error


def _not_ours(host: str, what: str) -> NotFoundError:
    return NotFoundError(
        f"the token server of {host} does not know {what}",
        hint="It is no sealoshub hub, or an older one.",
    )
