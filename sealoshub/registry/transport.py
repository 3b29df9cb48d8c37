"""Connections to wherever a request goes: TLS, proxies, the pool, time-outs. It follows nothing.

The one thing that is repeated here is a question without consequences (GET, HEAD) over a connection
that the server had closed in the meantime, before a byte of an answer came.
"""

from __future__ import annotations

import threading
import time
from functools import cache, partial
from typing import TYPE_CHECKING, Final, Self

from sealoshub import __version__
from sealoshub.errors import InvalidInputError
from sealoshub.registry.connection import Connection, connect
from sealoshub.registry.proxy import proxy_for
from sealoshub.registry.response import ClosedError, ExchangeError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from sealoshub.registry.connection import Piece
    from sealoshub.registry.proxy import Proxy
    from sealoshub.registry.response import Headers, Response
    from sealoshub.registry.url import Url

    BodySource = Callable[[], Iterator[Piece]]

CONNECT: Final = 10.0  # seconds for a connection, and as many for its TLS handshake
IDLE: Final = 60.0  # seconds that an unused connection is kept
MAX_IDLE: Final = 64  # unused connections to one host; more than any pool of jobs

_SAFE: Final = frozenset({"GET", "HEAD"})


class PoolClosedError(ExchangeError):
    """The client was closed while somebody still asked."""


class Body:
    """A request body that can be sent more than once.

    Args:
        source: Opened anew for each sending; yields blocks, or slices of files, which go to the
            network without passing through this program.
        length: Bytes it yields altogether, which becomes `Content-Length`.
    """

    __slots__ = ("_source", "length")

    def __init__(self, source: BodySource, length: int) -> None:
        self._source = source
        self.length = length

    def __iter__(self) -> Iterator[Piece]:
        return self._source()


class Opened:
    """An answer whose body is still to be read; close it, or use it in a `with` block.

    It is a class because it gives the connection back when the body has been read.

    Args:
        response: Its head is complete.
        done: Told once whether the connection can be used again.
    """

    def __init__(self, response: Response, done: Callable[[bool], None]) -> None:
        self._response = response
        self._done: Callable[[bool], None] | None = done

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Headers:
        """As received."""
        return self._response.headers

    def read(self, size: int) -> bytes:
        """Return up to *size* bytes of the body, at least one; none at the end.

        Raises:
            ExchangeError: The answer ended too early, or its framing is broken.
            OSError: The connection broke or time ran out.
        """
        return self._response.read(size)

    def read_up_to(self, limit: int) -> bytes:
        """Return the body, or its first *limit* bytes.

        Raises:
            ExchangeError: As :meth:`read`.
            OSError: As :meth:`read`.
        """
        received = bytearray()
        while len(received) < limit and (block := self.read(limit - len(received))):
            received += block
        return bytes(received)

    def close(self) -> None:
        """Give the connection back; one whose body was not read to its end is closed."""
        done, self._done = self._done, None
        if done is not None:
            done(self._response.leaves_connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Transport:
    """Connections, kept for the next request, safe for threads.

    It is a class because it owns the connections.

    Args:
        context: Makes the TLS settings when the first TLS connection is wanted.
        environment: Names the proxies.
    """

    def __init__(
        self, context: Callable[[], ssl.SSLContext], environment: Mapping[str, str]
    ) -> None:
        self._context = context
        self._environment = environment
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str, int], list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._closed = False

    def close(self) -> None:
        """Close all connections; requests under way in other threads fail."""
        with self._lock:
            self._closed = True
            idle = [connection for known in self._idle.values() for connection in known]
            self._idle.clear()
            for connection in self._busy:
                connection.interrupt()
        for connection in idle:
            connection.close()

    def ask(
        self, method: str, url: Url, headers: Mapping[str, str], body: Body | bytes | None = None
    ) -> Opened:
        """Send one request and return the answer.

        Args:
            method: Of HTTP.
            url: Where to.
            headers: Without `Host` and `Content-Length`.
            body: What to send.

        Raises:
            ExchangeError: What answers does not speak HTTP, or stopped in the middle.
            OSError: The name is unknown, the connection broke or was refused, time ran out.
        """
        proxy = proxy_for(url, self._environment)
        target, lines = _lines(method, url, headers, body, proxy)
        while True:
            connection, is_new = self._take(url, proxy)
            try:
                pieces = (body,) if isinstance(body, bytes) else body
                response = connection.ask(method, target, lines, pieces)
            except (ClosedError, ConnectionError):
                self._release(url, connection, keep=False)
                if is_new or connection.heard or method not in _SAFE or self._closed:
                    raise
                continue
            except BaseException:
                self._release(url, connection, keep=False)
                raise
            return Opened(response, partial(self._finish, url, connection))

    # ------------------------------------------------------------------ the pool

    def _take(self, url: Url, proxy: Proxy | None) -> tuple[Connection, bool]:
        """Return a connection to the host of *url*, and whether it is a new one."""
        key = (url.scheme, url.host, url.connect_port)
        oldest = time.monotonic() - IDLE
        while True:
            with self._lock:
                if self._closed:
                    raise PoolClosedError("the client is closed")
                known = self._idle.get(key)
                connection = known.pop() if known else None
                if connection is not None:
                    self._busy.add(connection)
            if connection is None:
                break
            if connection.idle_since >= oldest and connection.is_alive():
                return connection, False
            self._release(url, connection, keep=False)
        connection = self._open(url, proxy)
        with self._lock:
            self._busy.add(connection)
        return connection, True

    def _finish(self, url: Url, connection: Connection, keep: bool) -> None:  # noqa: FBT001  # a callback
        self._release(url, connection, keep=keep)

    def _release(self, url: Url, connection: Connection, *, keep: bool) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            self._busy.discard(connection)
            known = self._idle.setdefault((url.scheme, url.host, url.connect_port), [])
            if keep and not self._closed and len(known) < MAX_IDLE:
                known.append(connection)
                return
        connection.close()

    def _open(self, url: Url, proxy: Proxy | None) -> Connection:
        if proxy is None:
            plain = connect(url.host, url.connect_port, CONNECT)
        else:
            from sealoshub.registry import tunnel  # noqa: PLC0415  # few networks have a proxy

            plain = tunnel.through(proxy, url, self._context, CONNECT)
        if url.scheme != "https":
            return Connection(plain)
        try:
            context = self._context()
        except BaseException:
            plain.close()
            raise
        return Connection(plain, context, url.host, CONNECT)


def tls_context(ca_file: str | None, *, insecure_skip_tls_verify: bool) -> ssl.SSLContext:
    """Return the TLS settings of one registry: the system's authorities and *ca_file*.

    Raises:
        InvalidInputError: *ca_file* cannot be read or holds no certificate.
    """
    import ssl  # noqa: PLC0415  # 10 ms, and 20 ms for the authorities; a local hub needs neither

    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])  # faster for uploads than 2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as exc:
            reason = exc.strerror if not isinstance(exc, ssl.SSLError) else None
            raise InvalidInputError(
                f"{ca_file}: {reason or 'holds no certificate in PEM form'}",
                hint="--ca-file wants the PEM file of the authority that signed the registry's"
                " certificate.",
            ) from exc
    if insecure_skip_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def transport(
    ca_file: str | None, *, insecure_skip_tls_verify: bool, environment: Mapping[str, str]
) -> Transport:
    """Return the transport of one registry client.

    Raises:
        InvalidInputError: *ca_file* cannot be used.
    """
    make = cache(partial(tls_context, ca_file, insecure_skip_tls_verify=insecure_skip_tls_verify))
    if ca_file is not None:
        make()  # a mistake in it is told now, and not only when TLS is spoken
    return Transport(make, environment)


def _lines(
    method: str,
    url: Url,
    headers: Mapping[str, str],
    body: Body | bytes | None,
    proxy: Proxy | None,
) -> tuple[str, dict[str, str]]:
    """Return the target and the headers of a request."""
    lines = {
        "Host": url.netloc,
        "User-Agent": f"sealoshub/{__version__}",
        "Accept": "*/*",
        # Never a compressed answer: its size could not be bounded before it is unpacked.
        "Accept-Encoding": "identity",
        **headers,
    }
    if method in {"POST", "PUT", "PATCH"}:
        length = 0 if body is None else len(body) if isinstance(body, bytes) else body.length
        lines["Content-Length"] = str(length)
    if proxy is None or proxy.is_socks or url.scheme == "https":
        return url.target, lines
    if proxy.authorization is not None:
        lines["Proxy-Authorization"] = proxy.authorization.reveal()
    return f"http://{url.netloc}{url.target}", lines
