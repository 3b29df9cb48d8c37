"""HTTP to the one configured API server: connections, TLS, limits; aiohttp stays behind it.

Nothing here reads an environment variable, a proxy setting or a cookie, and no redirect is
followed. aiohttp parses in C: a question costs a fifth of what it costs with httpx, and the
official client brings it along anyway.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
from yarl import URL

from sealoshub.errors import InvalidInputError, UnavailableError
from sealoshub.kube.watchedfile import WatchedFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

CONNECT_SECONDS: Final = 2.0
MAX_CONNECTIONS: Final = 64
IDLE_SECONDS: Final = 15.0  # well before an API server, or what is in front of it, hangs up

_HEADERS: Final = {
    "accept": "application/json",
    "accept-encoding": "gzip",
    "user-agent": "sealoshub-auth-server",
}


class TooLargeError(UnavailableError):
    """An answer is longer than any that is believed."""


class CutOffError(UnavailableError):
    """The API server took the connection, and hung up without a word."""


class RefusedByTlsError(UnavailableError):
    """The API server refused the client certificate in TLS."""


class Channel:
    """Connections to one API server.

    It is a class because the pool and the CA are opened once and used by everybody.

    Args:
        server: `https://host:port`; plain http only for loopback.
        ca_file: PEM file of the CA; None for the system's. Read again when it changes.
        seconds: Limit of one call.

    Raises:
        InvalidInputError: *server* is no such URL.
    """

    def __init__(self, server: str, *, ca_file: Path | None, seconds: float) -> None:
        parts = urlsplit(server)
        local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise InvalidInputError(f"{server!r} is not the URL of an API server")
        if parts.scheme == "http" and not local:
            raise InvalidInputError(
                f"{server!r} is not encrypted", hint="Use https; http is for loopback only."
            )
        self._server = server.rstrip("/")
        self._ca = WatchedFile(ca_file) if ca_file else None
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None
        self._generation = 0
        self._retired: list[aiohttp.ClientSession] = []

    async def aclose(self) -> None:
        """Close every connection."""
        sessions, self._retired = [*self._retired, self._session], []
        self._session = None
        for session in sessions:
            if session is not None:
                await session.close()

    def client_context(self) -> ssl.SSLContext:
        """Return a fresh TLS context that trusts the configured CA and nothing else.

        Raises:
            UnavailableError: The CA file cannot be read.
        """
        # Not `create_default_context`, which writes session keys to $SSLKEYLOGFILE.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._ca is None:
            if self._server.startswith("https:"):
                context.load_default_certs()
            return context
        content, _ = self._ca.read(now())
        try:
            context.load_verify_locations(cadata=content.decode("ascii"))
        except (ssl.SSLError, ValueError) as exc:
            raise UnavailableError("the CA file of the API server holds no certificate") from exc
        return context

    @property
    def ca_generation(self) -> int:
        """A number that grows when the CA changes; contexts made before are stale then."""
        return 0 if self._ca is None else self._ca.read(now())[1]

    async def send(  # noqa: PLR0913  # the parts of an HTTP request
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        limit: int,
    ) -> tuple[int, bytes]:
        """Send one request over the common connections; return the status and the content.

        Args:
            method: Of HTTP.
            path: From the root of the server, as it is to be sent.
            headers: With the credential.
            body: JSON; None for none.
            parameters: Of the query.
            limit: Bytes of the answer.

        Raises:
            TooLargeError: The answer is longer than *limit*.
            UnavailableError: No answer in time.
        """
        async with self._deadline():
            return await self._ask(
                self._pool(), method, path, headers, body, parameters=parameters, limit=limit
            )

    async def send_by(
        self,
        context: ssl.SSLContext,
        method: str,
        path: str,
        body: Mapping[str, Any],
        *,
        limit: int,
    ) -> tuple[int, bytes]:
        """Send one request over a connection of its own with the client certificate of *context*.

        TLS authenticates connections, so they cannot be shared.

        Raises:
            RefusedByTlsError: The server does not take the certificate.
            CutOffError: It hung up; perhaps for the same reason, because with TLS 1.3 it judges a
                certificate when the request is on its way already, and the reset that follows may
                overtake its alert.
            UnavailableError: No answer in time.
        """
        session = self._open(context, connections=1)
        try:
            async with self._deadline():
                return await self._ask(session, method, path, {}, body, limit=limit)
        finally:
            await session.close()

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        headers: Mapping[str, str],
        parameters: Mapping[str, str],
        *,
        silence: float,
    ) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """Open a long answer; yield its status and its pieces.

        Args:
            path: As of :meth:`send`.
            headers: As of :meth:`send`.
            parameters: As of :meth:`send`.
            silence: Seconds without a byte after which the connection is dead.

        Raises:
            UnavailableError: The connection broke.
        """
        async with self._exchange(
            self._pool(), "GET", self._url(path, parameters), headers, None, silence=silence
        ) as answer:
            yield answer.status, answer.content.iter_any()

    async def _ask(  # noqa: PLR0913  # the parts of an HTTP request
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
        *,
        parameters: Mapping[str, str] | None = None,
        limit: int,
    ) -> tuple[int, bytes]:
        content = None
        if body is not None:
            content = json.dumps(body, separators=(",", ":")).encode()
            headers = {"content-type": "application/json", **headers}
        url = self._url(path, parameters)
        async with self._exchange(
            session, method, url, headers, content, silence=self._seconds
        ) as answer:
            received = bytearray()
            async for piece in answer.content.iter_any():
                received += piece
                if len(received) > limit:
                    raise TooLargeError(f"the API server answered {path} without end")
            return answer.status, bytes(received)

    @asynccontextmanager
    async def _exchange(  # noqa: PLR0913  # the parts of an HTTP request
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        content: bytes | None,
        *,
        silence: float,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and open the answer; aiohttp's exceptions do not leave this method."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence)
        try:
            async with session.request(
                method, url, headers=headers, data=content, timeout=timeout, allow_redirects=False
            ) as answer:
                yield answer
        except (aiohttp.ClientError, OSError, RuntimeError) as exc:
            # RuntimeError: a pool that was closed under a call, at shutdown.
            raise _translated(exc) from exc

    def _url(self, path: str, parameters: Mapping[str, str] | None) -> URL:
        query = f"?{urlencode(parameters)}" if parameters else ""
        return URL(f"{self._server}{path}{query}", encoded=True)

    def _pool(self) -> aiohttp.ClientSession:
        generation = self.ca_generation
        if self._session is not None and generation != self._generation:
            # Calls under way finish on the old pool; it is closed with this object.
            self._retired.append(self._session)
            self._session = None
        if self._session is None:
            self._session = self._open(self.client_context(), connections=MAX_CONNECTIONS)
            self._generation = generation
        return self._session

    def _open(self, context: ssl.SSLContext, *, connections: int) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=context, limit=connections, keepalive_timeout=IDLE_SECONDS
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            trust_env=False,  # no proxy, no .netrc
        )

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError as exc:
            raise UnavailableError(
                f"the API server did not answer within {self._seconds:g} s"
            ) from exc


def now() -> float:
    """Return the time of the running event loop, in seconds."""
    return asyncio.get_running_loop().time()


def _translated(exc: Exception) -> UnavailableError:
    text = f"the API server does not answer ({type(exc).__name__})"
    if _is_refusal(exc):
        return RefusedByTlsError(text)
    broken = (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, OSError)
    if isinstance(exc, broken) and not isinstance(
        exc, (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError)
    ):
        return CutOffError(text)
    return UnavailableError(text)


def _is_refusal(exc: BaseException) -> bool:
    """Tell whether a TLS alert of the server, and no failing network, is behind *exc*.

    With TLS 1.3 the refusal of a client certificate arrives with the first read, after the
    handshake; a certificate without its key fails in the handshake.
    """
    seen: BaseException | None = exc
    while seen is not None:
        # aiohttp's own certificate errors are SSLErrors without a reason.
        reason = getattr(seen, "reason", None) or ""
        if isinstance(seen, ssl.SSLError) and "ALERT" in reason:
            return "INTERNAL_ERROR" not in reason
        seen = seen.__cause__ or seen.__context__
    return False
