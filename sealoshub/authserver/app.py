"""The ASGI application: the token route by hand, everything else by the framework.

Most requests are token requests, and a framework costs as much as signing does.
"""

from __future__ import annotations

import functools
import logging
import time
import traceback
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sealoshub.authplugin.cache import Cache, SecretKeys
from sealoshub.authserver import head, reply
from sealoshub.authserver.exchange import (
    Caller,
    Exchange,
    MustWaitError,
    Proved,
    as_unavailable,
)
from sealoshub.authserver.incoming import (
    MAX_BODY,
    ClientGoneError,
    Headers,
    client_address,
    read_body,
)
from sealoshub.authserver.request import (
    Login,
    Question,
    RequestRefusedError,
    agree,
    parse_authorization,
    parse_form,
    parse_query,
)
from sealoshub.errors import SealosHubError, UnavailableError

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

TOKEN_PATHS: Final = frozenset({"/token", "/token/", "/auth/token", "/auth/token/"})
_RAW_PATHS: Final = frozenset(path.encode() for path in TOKEN_PATHS)
MAX_QUERY: Final = 32 * 1024  # bytes; from 64 KiB on the HTTP parser gives up by itself
CACHED_QUERIES: Final = 4096  # the same questions come from every node; none of them is secret
CACHED_QUERY: Final = 1024  # bytes
SEEN: Final = 2048  # requests, some 1 kB each
SEEN_SECONDS: Final = 1.0  # how much longer than otherwise a credential may be believed

_log = logging.getLogger(__name__)


class App:
    """The token route, in front of *rest*.

    Args:
        exchange: Decides.
        rest: Serves every other path.
        realm: Of the challenge in a 401.
        trusted_proxies: Networks whose `X-Forwarded-For` is believed.
        count: Is told status and duration in seconds of every token answer.
    """

    def __init__(
        self,
        exchange: Exchange,
        rest: AsgiApp,
        *,
        realm: str = "sealoshub",
        trusted_proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = (),
        count: Callable[[int, float], None] = lambda _status, _seconds: None,
    ) -> None:
        self._exchange = exchange
        self._rest = rest
        self._realm = realm
        self._proxies = tuple(trusted_proxies)
        self._count = count
        self._keys = SecretKeys()
        self._seen: Cache[_Seen] = Cache(SEEN, time.monotonic)
        self._cached_query = functools.lru_cache(CACHED_QUERIES)(parse_query)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] not in TOKEN_PATHS:
            try:
                await self._rest(scope, receive, send)
            except Exception as exc:  # noqa: BLE001  # the framework answered 500 and raises again
                log_defect(exc)
            return
        began = time.perf_counter()
        answer = await self._token(scope, receive)
        if answer is None:
            return
        self._counted(answer, began)
        start = {
            "type": "http.response.start",
            "status": answer.status,
            "headers": answer.all_headers,
        }
        await send(start)
        await send({"type": "http.response.body", "body": answer.body})

    def recall(
        self, data: bytes, peer: str
    ) -> tuple[reply.Reply | Coroutine[Any, Any, reply.Reply], bool] | None:
        """Answer a token request of the form that clients send; None for any other.

        Args:
            data: What came, perhaps a whole request.
            peer: Address of the other end of the connection.

        Returns:
            The answer, or what finds it if somebody has to be asked; and whether the client wants
            the connection closed.
        """
        began = time.perf_counter()
        try:
            key = self._keys.of_bytes(data)
            seen = self._seen.get(key)
            if seen is not None and seen.revision == self._exchange.revision:
                plain = seen.request
                answer = self._exchange.recall(
                    plain.question, seen.proved, self._caller_of(plain, peer)
                )
                if answer is not None:
                    return self._counted(answer, began), plain.close
            read = self._look(data)
            if read is None:
                return None
            plain, login = read
            caller = self._caller_of(plain, peer)
            revision = self._exchange.revision
            proved = self._exchange.recall_proof(plain.question, login, caller)
            if proved is not None:
                self._seen.put(key, _Seen(plain, proved, revision), SEEN_SECONDS)
                answer = self._exchange.recall(plain.question, proved, caller)
                if answer is not None:
                    return self._counted(answer, began), plain.close
        except SealosHubError:
            return None  # said by the long way
        except Exception as exc:  # noqa: BLE001  # the boundary, as below
            log_defect(exc)
            return None
        return self._decide(plain.question, login, caller, proved, began), plain.close

    async def _decide(
        self,
        question: Question,
        login: Login | None,
        caller: Caller,
        proved: Proved | None,
        began: float,
    ) -> reply.Reply:
        """Ask whoever has to be asked, and answer."""
        try:
            answer = await self._exchange.token(question, login, caller, proved)
        except Exception as exc:  # noqa: BLE001  # the boundary: every failure is an answer
            answer = self._refusal(exc, login, caller)
        return self._counted(answer, began)

    def _counted(self, answer: reply.Reply, began: float) -> reply.Reply:
        self._count(answer.status, time.perf_counter() - began)
        return answer

    def _look(self, data: bytes) -> tuple[_Plain, Login | None] | None:
        """Read a request and its credential.

        Raises:
            SealosHubError: It is refused.
        """
        request = head.read(data)
        if (
            request is None
            or request.path not in _RAW_PATHS
            or len(request.query) > CACHED_QUERY
            or len(request.body or b"") > MAX_BODY
        ):
            return None
        headers = Headers(request.headers)
        login = None
        if headers.authorization is not None:
            login = parse_authorization(headers.authorization)
        if request.body is None:
            question = self._cached_query(request.query)
        elif login is None:
            question, login = parse_form(request.body, headers.content_type)
        else:
            return None
        if login is not None:
            agree(question, login)
        client = question.client or headers.agent[:256]
        post = request.body is not None
        return _Plain(question, client, headers.forwarded, post, request.close), login

    def _caller_of(self, request: _Plain, peer: str) -> Caller:
        return Caller(self._address(peer, request.forwarded), request.client, request.post)

    def _address(self, peer: str, forwarded: str) -> str:
        if self._proxies and forwarded:
            return client_address(peer, forwarded, self._proxies)
        return peer

    async def _token(self, scope: Message, receive: Receive) -> reply.Reply | None:
        """Return the answer to a token request; None if the client went away."""
        login: Login | None = None
        caller = Caller("")
        try:
            headers = Headers(scope["headers"])
            caller = self._caller(scope, headers)
            question, login = await self._read(scope, headers, receive)
            if question.client and question.client != caller.client:
                caller = Caller(caller.address, question.client, caller.post)
            return await self._exchange.token(question, login, caller)
        except ClientGoneError:
            return None
        except Exception as exc:  # noqa: BLE001  # the boundary: every failure is an answer
            return self._refusal(exc, login, caller)

    def _refusal(self, exc: Exception, login: Login | None, caller: Caller) -> reply.Reply:
        """Return the answer to a request that failed, and write its line."""
        if isinstance(exc, MustWaitError):
            answer, why = reply.limited(exc.seconds, exc.why), exc.message
        elif isinstance(exc, TimeoutError | UnavailableError):
            unavailable = as_unavailable(exc)
            answer, why = reply.failure(unavailable, self._realm), unavailable.message
        elif isinstance(exc, SealosHubError):
            answer, why = reply.failure(exc, self._realm), exc.message
        else:  # a defect is a 500 and a log line
            log_defect(exc)
            answer, why = reply.internal(), "defect"
        self._exchange.record_failure(answer, login, caller, why)
        return answer

    async def _read(
        self, scope: Message, headers: Headers, receive: Receive
    ) -> tuple[Question, Login | None]:
        """Parse the request.

        Raises:
            RequestRefusedError: It is malformed, too large or too slow.
            ClientGoneError: The client went away.
        """
        login = (
            None if headers.authorization is None else parse_authorization(headers.authorization)
        )
        method = scope["method"]
        if method == "POST":
            body = await read_body(headers.length, receive)
            question, form = parse_form(body, headers.content_type)
            if login is not None:
                raise RequestRefusedError("a credential in the header and one in the form")
            login = form
        elif method == "GET":
            query = scope["query_string"]
            if len(query) > MAX_QUERY:
                raise RequestRefusedError(
                    "the query is too long", status=HTTPStatus.REQUEST_URI_TOO_LONG
                )
            question = (
                self._cached_query(query) if len(query) <= CACHED_QUERY else parse_query(query)
            )
        else:
            raise RequestRefusedError(
                f"{method} is not for tokens",
                status=HTTPStatus.METHOD_NOT_ALLOWED,
                allow="GET, POST",
            )
        if login is not None:
            agree(question, login)
        return question, login

    def _caller(self, scope: Message, headers: Headers) -> Caller:
        peer = scope.get("client")
        address = self._address(peer[0] if peer else "", headers.forwarded)
        return Caller(address, headers.agent[:256], scope["method"] == "POST")


@dataclass(frozen=True, slots=True)
class _Plain:
    """A request of the usual form, without its credential.

    Args:
        question: What it asks.
        client: What the client calls itself.
        forwarded: `X-Forwarded-For`.
        post: Whether it is a POST.
        close: Whether the client wants the connection closed.
    """

    question: Question
    client: str
    forwarded: str
    post: bool
    close: bool


@dataclass(frozen=True, slots=True)
class _Seen:
    """A request that came a moment ago, and who sent it.

    Args:
        request: It.
        proved: Who.
        revision: Of the logins, when it was proved.
    """

    request: _Plain
    proved: Proved
    revision: int


def log_defect(exc: BaseException) -> None:
    """Log where *exc* came from, and not its text, which may quote a credential."""
    frames = "".join(traceback.format_tb(exc.__traceback__))
    _log.error("defect: %s\n%s", type(exc).__name__, frames)
