"""The way to the one configured API server: its address, TLS, limits, and what a request says.

Nothing here reads an environment variable, a proxy setting or a cookie, and no redirect is
followed.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from sealoshub.errors import InvalidInputError, UnavailableError
from sealoshub.kube.connectionpool import Address, ConnectionPool
from sealoshub.kube.deadlines import Deadlines
from sealoshub.kube.httpconnection import CutOffError
from sealoshub.kube.watchedfile import WatchedFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from sealoshub.kube.httpconnection import HttpConnection

_T = TypeVar("_T")

_PORTS: Final = {"http": 80, "https": 443}


class Channel:
    """Connections to one API server.

    It is a class because the connections and the CA are opened once and used by everybody.

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
        try:
            self._port = parts.port or _PORTS[parts.scheme]
        except ValueError:
            raise InvalidInputError(f"{server!r} is not the URL of an API server") from None
        self._host = parts.hostname
        self._prefix = parts.path.rstrip("/")
        self._is_encrypted = parts.scheme == "https"
        self._common = (
            f" HTTP/1.1\r\nhost: {parts.netloc.rpartition('@')[2]}\r\n"
            "user-agent: sealoshub-auth-server\r\n"
        )
        self._ca = WatchedFile(ca_file) if ca_file else None
        self._seconds = seconds
        self._deadlines = Deadlines(self._too_late)
        self._pool: ConnectionPool | None = None
        self._generation = 0
        self._retired: list[ConnectionPool] = []

    async def aclose(self) -> None:
        """Close every connection."""
        pools, self._retired = [*self._retired, self._pool], []
        self._pool = None
        for pool in pools:
            if pool is not None:
                await pool.aclose()
        self._deadlines.close()

    def client_context(self) -> ssl.SSLContext:
        """Return a fresh TLS context that trusts the configured CA and nothing else.

        Raises:
            UnavailableError: The CA file cannot be read.
        """
        # Not `create_default_context`, which writes session keys to $SSLKEYLOGFILE.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._ca is None:
            if self._is_encrypted:
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
        request = self._request(method, path, headers, body, parameters)
        repeatable = method == "GET" or path.endswith("reviews")
        return await self.ask(request, limit=limit, repeatable=repeatable)

    def begin(
        self, request: bytes, read: Callable[[tuple[int, bytes]], _T], *, limit: int
    ) -> asyncio.Future[_T]:
        """Send a question that changes nothing, at once if a connection has nothing to do.

        Args:
            request: As it is sent.
            read: Returns what status and content mean, or raises.
            limit: Bytes of the answer.

        Returns:
            The future of what *read* returns; it fails as :meth:`ask` and *read* do. No task,
            which would cost a tenth of a question.

        Raises:
            UnavailableError: The CA file cannot be read.
        """
        loop = asyncio.get_running_loop()

        async def ask() -> _T:
            return read(await self.ask(request, limit=limit, repeatable=True))

        pool = self._current_pool()
        connection = pool.take_idle()
        if connection is None:  # one has to be opened first
            return loop.create_task(ask())
        outcome: asyncio.Future[_T] = loop.create_future()

        def answered(done: asyncio.Future[tuple[int, bytes]]) -> None:
            failure = None if done.cancelled() else done.exception()
            if isinstance(failure, CutOffError) and not failure.was_heard:
                # Nothing of an answer came, and to ask twice changes nothing.
                loop.create_task(ask()).add_done_callback(
                    lambda again: _settle(outcome, again.result)
                )
            else:
                _settle(outcome, lambda: read(done.result()))

        ends = loop.time() + self._seconds
        self._ask(pool, connection, request, limit, ends).add_done_callback(answered)
        return outcome

    async def ask(self, request: bytes, *, limit: int, repeatable: bool) -> tuple[int, bytes]:
        """Send one request over the common connections; return the status and the content.

        Args:
            request: As :func:`posted` makes it.
            limit: Bytes of the answer.
            repeatable: It changes nothing to be asked twice.

        Raises:
            TooLargeError: The answer is longer than *limit*.
            UnavailableError: No answer in time.
        """
        pool = self._current_pool()
        ends = now() + self._seconds
        connection = pool.take_idle()
        if connection is not None:
            try:
                return await self._ask(pool, connection, request, limit, ends)
            except CutOffError as exc:
                # The server hung up while the question was on its way. Asked again if nothing
                # of an answer came and it changes nothing to be asked twice.
                if exc.was_heard or not repeatable:
                    raise
        async with self._deadline(ends):
            connection = await pool.take()
        return await self._ask(pool, connection, request, limit, ends)

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
        request = self._request(method, path, {}, body, None)
        pool = self._open(context)
        ends = now() + self._seconds
        try:
            async with self._deadline(ends):
                connection = await pool.take()
            return await self._ask(pool, connection, request, limit, ends)
        finally:
            pool.retire()

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
        request = self._request(
            "GET", path, {"accept-encoding": "identity", **headers}, None, parameters
        )
        pool = self._current_pool()
        async with self._deadline(now() + self._seconds):
            connection = await pool.take()
        try:
            status = await connection.open(request, silence)
            yield status, connection.pieces(silence)
        except TimeoutError as exc:
            raise UnavailableError(f"the API server was silent for {silence:g} s") from exc
        finally:
            pool.give_back(connection)

    def _ask(
        self,
        pool: ConnectionPool,
        connection: HttpConnection,
        request: bytes,
        limit: int,
        ends: float,
    ) -> asyncio.Future[tuple[int, bytes]]:
        """Send *request* over *connection*, and let go of that when the answer is there.

        Args:
            pool: Where the connection belongs.
            connection: It.
            request: As it is sent.
            limit: Bytes of the answer.
            ends: When the answer must be there, in the time of the event loop.
        """
        try:
            answer = connection.ask(request, limit)
        except CutOffError as exc:
            answer = asyncio.get_running_loop().create_future()
            answer.set_exception(exc)
        self._deadlines.add(answer, ends)

        def let_go(done: asyncio.Future[tuple[int, bytes]]) -> None:
            self._deadlines.discard(done)
            pool.give_back(connection)

        answer.add_done_callback(let_go)
        return answer

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
        parameters: Mapping[str, str] | None,
    ) -> bytes:
        """Return a request as it is sent.

        Raises:
            InvalidInputError: A part of it cannot stand in a request.
        """
        if method == "GET":
            return self.get(path, headers, parameters)
        content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        if body is not None:
            headers = {"content-type": "application/json", **headers}
        return posted(self.head(method, path, headers, parameters), content)

    def get(
        self, path: str, headers: Mapping[str, str], parameters: Mapping[str, str] | None = None
    ) -> bytes:
        """Return a GET as it is sent.

        Raises:
            InvalidInputError: A part of it cannot stand in a request.
        """
        return self.head("GET", path, headers, parameters) + b"\r\n"

    def head(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        parameters: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the head of a request, but for the length of its content.

        Raises:
            InvalidInputError: A part of it cannot stand in a request.
        """
        query = f"?{urlencode(parameters)}" if parameters else ""
        target = f"{self._prefix}{path}{query}"
        fields = {"accept": "application/json", "accept-encoding": "gzip", **headers}
        if " " in target or not _is_speakable(target + "".join(fields.values())):
            # Its text may be a credential.
            raise InvalidInputError("a question to the API server holds unusual characters")
        lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
        return f"{method} {target}{self._common}{lines}".encode("ascii")

    def _current_pool(self) -> ConnectionPool:
        generation = self.ca_generation
        if self._pool is not None and generation != self._generation:
            # Calls under way finish on the old connections; they are closed with this object.
            self._pool.retire()
            self._retired.append(self._pool)
            self._pool = None
        if self._pool is None:
            self._pool = self._open(self.client_context())
            self._generation = generation
        return self._pool

    def _open(self, context: ssl.SSLContext) -> ConnectionPool:
        return ConnectionPool(
            Address(self._host, self._port, context if self._is_encrypted else None)
        )

    @asynccontextmanager
    async def _deadline(self, ends: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(ends):
                yield
        except TimeoutError as exc:
            raise self._too_late() from exc

    def _too_late(self) -> UnavailableError:
        return UnavailableError(f"the API server did not answer within {self._seconds:g} s")


def _settle(future: asyncio.Future[_T], outcome: Callable[[], _T]) -> None:
    """Let *future* end as *outcome* does."""
    if future.done():
        return
    try:
        future.set_result(outcome())
    except asyncio.CancelledError:
        future.cancel()
    except Exception as exc:  # noqa: BLE001  # whoever waits for it handles it
        future.set_exception(exc)


def _is_speakable(text: str) -> bool:
    """Tell whether *text* can stand in the head of a request: blanks and visible ASCII."""
    return text.isascii() and text.isprintable()


def posted(head: bytes, content: bytes) -> bytes:
    """Return the request of *head*, made by :meth:`Channel.head`, and *content*."""
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(content), content)


def now() -> float:
    """Return the time of the running event loop, in seconds."""
    return asyncio.get_running_loop().time()
