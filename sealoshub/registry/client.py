"""One registry, spoken to as somebody: authentication and errors around single requests.

:meth:`Client.request` sends one request and answers a 401 once; :attr:`Client.retry` is what a
whole step is run by. The protocol's steps are functions in the modules beside this one.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlencode

from sealoshub.errors import AuthenticationError, DeniedError, SealosHubError, UnavailableError
from sealoshub.registry import auth, challenge, contact, failure, realm
from sealoshub.registry.contact import Base
from sealoshub.registry.retry import Retry
from sealoshub.registry.status import Status
from sealoshub.registry.transport import transport
from sealoshub.registry.wire import Request, Wire
from sealoshub.secret import Secret
from sealoshub.value import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType

    from sealoshub.registry.auth import Credential, Token, TokenRequest
    from sealoshub.registry.challenge import Challenge
    from sealoshub.registry.failure import Answer
    from sealoshub.registry.login import LoginResult
    from sealoshub.registry.realm import Realm
    from sealoshub.registry.transport import Body
    from sealoshub.registry.url import Url
    from sealoshub.registry.wire import Arriving

__all__ = ["Base", "Client"]

FIRST_CONTACT: Final = 15.0  # seconds in which a registry must be found


class Client:
    """A client of one registry host, safe for threads.

    It is a class because it owns connections, the token cache and what the first contact found.

    Args:
        host: `name[:port]` as the user wrote it.
        credential: Who asks; None asks anonymously.
        plain_http: True: HTTP. False: HTTPS. None: HTTPS, but for a loopback host HTTP if it does
            not speak TLS.
        ca_file: PEM file of a further authority.
        insecure_skip_tls_verify: Accept any certificate.
        trust_realm: Accept any token server that the registry names.
        on_note: Told about retries and warnings of the registry, one line each, no secrets.
        retry: The retry policy; its budget is what `--retry-budget` sets.
        before: Called before each request to the registry, by the thread that sends it.
        clock: Monotonic clock, in seconds.
        environment: Names the proxies.

    Raises:
        InvalidInputError: *ca_file* cannot be used.
    """

    def __init__(  # noqa: PLR0913  # one keyword per option of the command line
        self,
        host: str,
        credential: Credential | None = None,
        *,
        plain_http: bool | None = None,
        ca_file: str | None = None,
        insecure_skip_tls_verify: bool = False,
        trust_realm: bool = False,
        on_note: Callable[[str], None] | None = None,
        retry: Retry | None = None,
        before: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.host = host
        self.credential = credential
        note = on_note or (lambda _text: None)
        self.retry = replace(retry or Retry(), on_note=note)
        self._before = before
        self._plain_http = plain_http
        self._trust_realm = trust_realm
        http = transport(
            ca_file, insecure_skip_tls_verify=insecure_skip_tls_verify, environment=environment
        )
        self.wire = Wire(host, http, note)
        self._tokens = auth.Tokens(self._exchange, clock)
        self._base: Base | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; requests under way in other threads fail."""
        self.wire.close()

    def ping(self) -> Base:
        """Find the registry and learn how it wants to be authenticated to.

        A registry that was never there is given up soon: a wrong name or port is more likely than
        a restart, and nothing has been sent yet that could be lost.

        Raises:
            UnavailableError: It cannot be reached, or what answers is not a registry.
        """
        return replace(self.retry, budget=min(self.retry.budget, FIRST_CONTACT)).run(self.base)

    def base(self) -> Base:
        """Return what :meth:`ping` found; make the first contact, once, if there was none."""
        with self._lock:
            if self._base is None:
                self._base = contact.greet(self.wire, self._plain_http)
            return self._base

    def request(  # noqa: PLR0913  # one keyword per part of a request
        self,
        method: str,
        target: str | Url,
        *,
        expect: Collection[int],
        scopes: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        limit: int = failure.MAX_ERROR_BODY,
    ) -> Answer:
        """Send one request, and once more with a renewed token if the first was refused.

        Args:
            method: Of HTTP.
            target: A path, or a URL that a `Location` gave; only the registry's own origin is told
                who asks.
            expect: Statuses that are an answer and not an error.
            scopes: What the token must be good for, the most important first.
            headers: Further headers.
            body: What to send.
            limit: Bytes of the answer's body that are read.

        Raises:
            AuthenticationError: Nobody is logged in, or the credential was refused.
            DeniedError: The registry knows who asks and says no.
            TransientError: It may work later; run the whole step by :attr:`retry`.
            SealosHubError: Every other answer that is not expected.
        """
        request = Request(method, self._resolve(target), headers or {}, body, limit)
        with self._ask(request, expect, scopes) as arriving:
            return arriving.answer()

    def open(
        self,
        target: str | Url,
        *,
        expect: Collection[int] = (Status.OK, Status.PARTIAL_CONTENT),
        scopes: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Arriving:
        """GET content whose body is read piece by piece; use the answer in a `with` block.

        Args:
            target: As for :meth:`request`.
            expect: As for :meth:`request`.
            scopes: As for :meth:`request`.
            headers: `Range`, for example.

        Returns:
            The answer: `status`, `headers`, `url`, and `read(size)` until it returns nothing. A
            body that ends before its `Content-Length` raises TransientError.

        Raises:
            SealosHubError: As :meth:`request`.
        """
        request = Request("GET", self._resolve(target), headers or {})
        return self._ask(request, expect, scopes)

    def _resolve(self, target: str | Url) -> Url:
        base = self.base().url
        return self.wire.resolve(base, target) if isinstance(target, str) else target

    def _ask(self, request: Request, expect: Collection[int], scopes: tuple[str, ...]) -> Arriving:
        """Send *request* with a token; once more with a new one if the first was refused."""
        base = self.base()
        token = None
        is_foreign = realm.origin(request.url) != realm.origin(base.url)
        if is_foreign:
            arriving = self._send(request)
        else:
            token = self._token(base.challenge, scopes)
            authorization = self._authorization(base.challenge, token)
            arriving = self._send(request, authorization)
            if _is_refused(arriving, base):
                offered = challenge.choose(contact.challenges(arriving)) or base.challenge
                with arriving:
                    refusal = arriving.answer()
                token = self._token(offered, scopes or _scopes(offered), refused=token)
                authorization = self._authorization(offered, token)
                self._learn(base, offered)
                # A password that was refused is not sent a second time.
                if token is None and (authorization is None or base.challenge is not None):
                    raise self._explain(refusal, scopes, token)
                arriving = self._send(request, authorization)
        if arriving.status in expect:
            return arriving
        with arriving:
            answer = arriving.answer()
        if is_foreign:
            raise failure.from_answer(answer)
        raise self._explain(answer, scopes, token)

    def _send(self, request: Request, authorization: Secret | None = None) -> Arriving:
        self._before()
        return self.wire.open(request, authorization)

    # ------------------------------------------------------------------ the login

    def login(self, account: str, secret: Secret, *, exchange: bool = True) -> LoginResult:
        """Log in; see :func:`sealoshub.registry.login.login`."""
        from sealoshub.registry import login  # noqa: PLC0415  # not for a push

        return login.login(self, account, secret, exchange=exchange)

    def whoami(self) -> dict[str, object] | None:
        """Ask the hub who this is; see :func:`sealoshub.registry.login.whoami`."""
        from sealoshub.registry import login  # noqa: PLC0415  # not for a push

        return login.whoami(self)

    def revoke(self) -> bool:
        """End this login at the hub; see :func:`sealoshub.registry.login.revoke`."""
        from sealoshub.registry import login  # noqa: PLC0415  # not for a push

        return login.revoke(self)

    def realm(self) -> Realm | None:
        """Return the token server, checked; None if the registry names none.

        Raises:
            UnavailableError: As :meth:`ping`, or the realm is no place to send a password to.
        """
        return self._realm(self.base().challenge)

    def exchange(self, credential: Credential, *, offline: bool) -> Token:
        """Fetch a token for no scope, without the cache.

        Args:
            credential: Whose.
            offline: Ask for a refresh token too.

        Raises:
            AuthenticationError: The token server refused the credential.
            UnavailableError: There is no token server, or it does not serve.
        """
        where = self.realm()
        if where is None:
            raise UnavailableError(f"{self.host} has no token server")
        return self._tokens.fetch(auth.token_flow(where, (), credential, offline=offline))

    def probe(self, authorization: Secret) -> Answer:
        """Return the answer to `GET /v2/` with *authorization*: 200 or 401.

        Raises:
            UnavailableError: Anything else came back.
        """
        request = Request("GET", self.base().url.join("/v2/"))
        answer = self.wire.follow(request, authorization)
        if answer.status in {200, 401}:
            return answer
        raise failure.from_answer(answer)

    # ------------------------------------------------------------------ authentication

    def _realm(self, offered: Challenge | None) -> Realm | None:
        if offered is None or offered.scheme != "bearer":
            return None
        plain = bool(self._plain_http)
        return realm.accept(offered, self.base().url, plain_http=plain, trust=self._trust_realm)

    def _token(
        self, offered: Challenge | None, scopes: tuple[str, ...], *, refused: Token | None = None
    ) -> Token | None:
        where = self._realm(offered)
        if where is None:
            return None
        return self._tokens.get(where, scopes, self.credential, refused=refused)

    def _authorization(self, offered: Challenge | None, token: Token | None) -> Secret | None:
        if token is not None:
            return Secret(f"Bearer {token.value.reveal()}")
        if offered is not None and offered.scheme == "basic" and self.credential is not None:
            return auth.basic(self.credential)
        return None

    def _learn(self, base: Base, offered: Challenge | None) -> None:
        # Some registries let everybody ping and challenge only the real request.
        if base.challenge is None and offered is not None:
            with self._lock:
                self._base = replace(base, challenge=offered)

    def _exchange(self, request: TokenRequest) -> Answer:
        headers = {"Accept": "application/json"}
        body = None
        if request.method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            form = {name: value.reveal() for name, value in request.form.items()}
            body = urlencode(form).encode("ascii")
        sent = Request(request.method, request.url, headers, body, auth.MAX_TOKEN_BODY)
        answer = self.wire.send(sent, request.authorization)
        target = self.wire.redirect(answer)
        if target is not None and realm.origin(target) == realm.origin(request.url):
            # Within the token server (a missing slash); a password never leaves it.
            return self.wire.send(replace(sent, url=target), request.authorization)
        return answer

    # ------------------------------------------------------------------ errors

    def _explain(
        self, answer: Answer, scopes: tuple[str, ...], token: Token | None
    ) -> SealosHubError:
        if answer.status not in {401, 403}:
            return failure.from_answer(answer)
        said = failure.words(answer)
        tail = f": {said}" if said else ""
        wish = _wish(self.host, scopes)
        login = f"Log in with `sealoshub login {self.host}`."
        if self.credential is None:
            if answer.status == Status.UNAUTHORIZED:
                return AuthenticationError(f"{self.host} wants a login to {wish}{tail}", hint=login)
            return DeniedError(f"an anonymous user may not {wish}{tail}", hint=login)
        account = self.credential.account
        if answer.status == Status.UNAUTHORIZED and not _is_denial(answer, scopes, token):
            return AuthenticationError(
                f"{self.host} refused the login of {self.credential}{tail}",
                hint=f"Log in again with `sealoshub login {self.host}`.",
            )
        source = self.credential.source
        as_whom = f"; you asked with the login in {source}" if source else ""
        codes = [code for code in answer.codes() if code != "UNAUTHORIZED"]
        return DeniedError(
            f"{account} may not {wish}{tail}",
            hint=f"Ask an owner of the organization for the right{as_whom}.",
            code=failure.clean(codes[0], 80) if codes else None,
        )


def _is_refused(answer: Arriving, base: Base) -> bool:
    own = realm.origin(answer.url) == realm.origin(base.url)
    return own and answer.status == Status.UNAUTHORIZED


def _is_denial(answer: Answer, scopes: tuple[str, ...], token: Token | None) -> bool:
    """Tell whether this 401 means "not allowed".

    A token server gives 200 and fewer rights than asked; it is the registry that says no then, by
    401 `insufficient_scope`. If the token is nobody's, the credential was not accepted at all.
    """
    if token is None or token.subject() == "":
        return False
    offered = challenge.choose(contact.challenges(answer))
    insufficient = offered is not None and offered.error == "insufficient_scope"
    return insufficient or token.lacks(scopes)


def _scopes(offered: Challenge | None) -> tuple[str, ...]:
    return offered.scopes if offered is not None else ()


def _wish(host: str, scopes: tuple[str, ...]) -> str:
    if not scopes:
        return f"use {host}"
    name, _, actions = scopes[0].partition(":")[2].rpartition(":")
    verb = "push to" if "push" in actions else "delete from" if "delete" in actions else "pull from"
    return f"{verb} {host}/{name} (scope {scopes[0]})"
