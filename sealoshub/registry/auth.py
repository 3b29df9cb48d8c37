"""Tokens: the Docker and OAuth 2 token handshake, and the one cache of what it gave.

`token_flow` is the protocol: it yields requests, is sent answers and returns a token, so that it
can be tested without a socket. Specification: distribution's `spec/auth/token` and
`spec/auth/oauth`.
"""

from __future__ import annotations

import json
import threading
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlencode

from sealoshub.errors import AuthenticationError, UnavailableError
from sealoshub.pattern import pattern
from sealoshub.registry import failure
from sealoshub.registry.status import Status
from sealoshub.secret import Secret
from sealoshub.value import Value, field

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from sealoshub.registry.failure import Answer
    from sealoshub.registry.realm import Realm
    from sealoshub.registry.url import Url

CLIENT_ID: Final = "sealoshub"
MAX_TOKEN_BODY: Final = 128 * 1024  # bytes of a token answer; the largest known are below 32 KiB
# nginx takes 8 KiB header lines; Basic of a kubeconfig is longer (Azure/acr#797).
MAX_BASIC: Final = 6 * 1024
SHORTEST_LIFE: Final = 60  # seconds: the specification's default and minimum
RENEW_AT: Final = 0.8  # part of its life after which a token is fetched again

_GET_INSTEAD: Final = frozenset({400, 401, 404, 405})  # ACR, Artifactory, GCR, and servers without
_POST_INSTEAD: Final = frozenset({400, 414, 431})  # header or URL too long for a proxy

_NO_POST: Final = frozenset({404, 405})  # the server has only GET

_VISIBLE: Final = pattern(r"[!-~]+")

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class Credential(Value):
    """What a person logs in to a registry with.

    Args:
        account: The user's name at the registry.
        secret: Password, bearer token, personal token or refresh token.
        is_refresh_token: The secret is to be exchanged with `grant_type=refresh_token`.
        source: Where it comes from, for messages: a file, a helper; empty if it was just given.
    """

    account: str
    secret: Secret
    is_refresh_token: bool = False
    source: str = ""

    def __str__(self) -> str:
        """Who this is, for messages."""
        return f"{self.account} in {self.source}" if self.source else self.account


class TokenRequest(Value):
    """One request to a token server.

    Args:
        method: GET with everything in the URL, or POST with a form.
        url: Where to.
        form: Fields of a POST.
        authorization: Value of the `Authorization` header, or None.
    """

    method: Literal["GET", "POST"]
    url: Url
    form: Mapping[str, Secret] = field(default_factory=dict)
    authorization: Secret | None = None


class Token(Value):
    """An access token.

    Args:
        value: The token.
        seconds: Its life from reception.
        refresh_token: What a later token can be had with; None if the server gave none.
        method: The method that worked.
    """

    value: Secret
    seconds: int
    refresh_token: Secret | None
    method: Literal["GET", "POST"]

    def claims(self) -> Mapping[str, object]:
        """Return what the token says if it is a JWT, unverified: for diagnosis only."""
        parts = self.value.reveal().split(".")
        if len(parts) != 3:  # noqa: PLR2004  # header, claims, signature
            return _NOTHING
        import base64  # noqa: PLC0415  # for those who have a token

        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (ValueError, RecursionError):
            return _NOTHING
        return claims if isinstance(claims, dict) else _NOTHING

    def subject(self) -> str | None:
        """Return whose token it says it is; empty for nobody's, None if it does not say."""
        subject = self.claims().get("sub")
        if not isinstance(subject, str):
            return None
        return "" if subject == "system:anonymous" else subject

    def lacks(self, scopes: tuple[str, ...]) -> bool:
        """Tell whether the token says that it grants less than *scopes*."""
        access = self.claims().get("access")
        if not isinstance(access, list):
            return False
        granted = {
            (str(entry.get("type")), str(entry.get("name")), str(action))
            for entry in access
            if isinstance(entry, dict)
            for action in entry.get("actions") or ()
        }
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            if any((kind, name, action) not in granted for action in actions.split(",")):
                return True
        return False


def basic(credential: Credential) -> Secret:
    """Return the `Basic` header value of *credential* (RFC 7617).

    A colon cannot be in the user name of Basic authentication: of a name such as
    `system:serviceaccount:ns:name` only the last part is sent.
    """
    import base64  # noqa: PLC0415  # for those who have a password

    pair = f"{colonless(credential.account)}:{credential.secret.reveal()}"
    return Secret("Basic " + base64.b64encode(pair.encode()).decode("ascii"))


def colonless(account: str) -> str:
    """Return the part of *account* that can stand before the colon of `name:password`."""
    return account.rpartition(":")[2]


def token_flow(
    realm: Realm,
    scopes: tuple[str, ...],
    credential: Credential | None,
    *,
    offline: bool = False,
) -> Generator[TokenRequest, Answer, Token]:
    """Ask *realm* for a token.

    Args:
        realm: The token server.
        scopes: `repository:NAME:pull,push`, the one that matters most first.
        credential: Who asks; None asks anonymously.
        offline: Ask for a refresh token as well (at login).

    Yields:
        Requests; each wants its answer sent in, 3xx included.

    Returns:
        The token.

    Raises:
        AuthenticationError: The server refused the credential.
        TransientError: It could not serve now.
        UnavailableError: It answers, but not as a token server.
    """
    if credential is None:
        answer = yield _get(realm, scopes, None, offline=False)
        return _read(answer, "GET", credential)
    by_post = offline or credential.is_refresh_token or len(basic(credential).reveal()) > MAX_BASIC
    if by_post:
        answer = yield _post(realm, scopes, credential, offline=offline)
        if answer.status in _GET_INSTEAD or (_is_ok(answer) and _token_of(answer) is None):
            other = yield _get(realm, scopes, credential, offline=offline)
            # Two refusals: the one that looked at the credential is the one to tell.
            if _is_ok(other) or other.status == Status.UNAUTHORIZED or answer.status in _NO_POST:
                return _read(other, "GET", credential)
        return _read(answer, "POST", credential)
    answer = yield _get(realm, scopes, credential, offline=offline)
    if answer.status in _POST_INSTEAD:
        other = yield _post(realm, scopes, credential, offline=offline)
        if other.status not in _NO_POST:
            return _read(other, "POST", credential)
    return _read(answer, "GET", credential)


class Tokens:
    """The cache of access tokens of one client, safe for threads.

    It is a class because it is the one place that remembers: key is the set of scopes, one fetch at
    a time per key, renewed at 80 % of the life that is counted here from reception.

    Args:
        exchange: Sends one request to a token server and returns its answer.
        clock: Monotonic, in seconds; a laptop's wall clock jumps.
    """

    def __init__(
        self,
        exchange: Callable[[TokenRequest], Answer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[tuple[Realm, frozenset[str]], _Slot] = {}

    def get(
        self,
        realm: Realm,
        scopes: tuple[str, ...],
        credential: Credential | None,
        *,
        refused: Token | None = None,
    ) -> Token:
        """Return a token with at least a fifth of its life before it.

        Args:
            realm: Where to ask.
            scopes: What for.
            credential: Who asks.
            refused: A token from here that a registry refused, which is not given out again.

        Raises:
            SealosHubError: As :func:`token_flow`.
        """
        key = (realm, frozenset(scopes))
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
        with slot.lock:
            if slot.token is None or slot.token is refused or self._clock() >= slot.renew_at:
                asked = self._clock()
                slot.token = self.fetch(token_flow(realm, scopes, credential))
                slot.renew_at = asked + RENEW_AT * slot.token.seconds
            return slot.token

    def fetch(self, flow: Generator[TokenRequest, Answer, Token]) -> Token:
        """Drive one *flow* to its token, without the cache."""
        request = next(flow)
        while True:
            answer = self._exchange(request)
            try:
                request = flow.send(answer)
            except StopIteration as stop:
                token: Token = stop.value
                return token


class _Slot:
    """The token for one wish; whoever holds the lock may change it."""

    __slots__ = ("lock", "renew_at", "token")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.token: Token | None = None
        self.renew_at = 0.0


def _get(
    realm: Realm, scopes: tuple[str, ...], credential: Credential | None, *, offline: bool
) -> TokenRequest:
    url = realm.url
    query = [("service", realm.service)] if realm.service else []
    query += [("scope", scope) for scope in scopes]
    query.append(("client_id", CLIENT_ID))
    if credential is not None:
        query.append(("account", colonless(credential.account)))
    if offline:
        query.append(("offline_token", "true"))
    # What the registry put into the realm's query stays (GitLab, Artifactory).
    authorization = basic(credential) if credential is not None else None
    return TokenRequest("GET", url.add_query(urlencode(query)), authorization=authorization)


def _post(
    realm: Realm, scopes: tuple[str, ...], credential: Credential, *, offline: bool
) -> TokenRequest:
    form = {"client_id": Secret(CLIENT_ID)}
    if realm.service:
        form["service"] = Secret(realm.service)
    if scopes:
        form["scope"] = Secret(" ".join(scopes))
    if credential.is_refresh_token:
        form |= {"grant_type": Secret("refresh_token"), "refresh_token": credential.secret}
    else:
        form |= {
            "grant_type": Secret("password"),
            "username": Secret(credential.account),
            "password": credential.secret,
        }
    if offline:
        form["access_type"] = Secret("offline")
    return TokenRequest("POST", realm.url, form)


def _is_ok(answer: Answer) -> bool:
    return answer.status == Status.OK


def _token_of(answer: Answer) -> dict[str, object] | None:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    value = document.get("token") or document.get("access_token")
    # It becomes a header line: nothing but visible ASCII, or it could write another line.
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        return None
    return {**document, "token": value}


def _read(answer: Answer, method: Literal["GET", "POST"], credential: Credential | None) -> Token:
    server = failure.public_url(answer.url)
    if not _is_ok(answer):
        refused = answer.status in {401, 403} or "invalid_grant" in answer.codes()
        if refused and answer.status not in failure.TRANSIENT:
            said = failure.words(answer)
            who = f"the credential of {credential}" if credential else "an anonymous request"
            where = answer.url.netloc
            raise AuthenticationError(
                f"{where} refused {who}" + (f": {said}" if said else ""),
                hint="Log in again with `sealoshub login`.",
            )
        error = failure.from_answer(answer)
        if isinstance(error, UnavailableError):
            raise error
        raise UnavailableError(
            error.message, code=error.code, hint="The token server does not serve this client."
        )
    document = _token_of(answer)
    if document is None:
        raise UnavailableError(
            f"{server} answered without a token",
            hint="The registry's realm points to something that is no token server.",
        )
    refresh = document.get("refresh_token") or document.get("identity_token")
    return Token(
        Secret(str(document["token"])),
        _seconds(document.get("expires_in")),
        Secret(refresh) if isinstance(refresh, str) and refresh else None,
        method,
    )


def _seconds(value: object) -> int:
    # Some servers send a string; `issued_at` is ignored, it is another machine's clock.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return SHORTEST_LIFE
    try:
        return max(SHORTEST_LIFE, min(int(float(value)), 10**9))
    except (ValueError, OverflowError):
        return SHORTEST_LIFE
