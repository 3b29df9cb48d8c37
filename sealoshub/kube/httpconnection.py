"""One connection to an API server: HTTP/1.1 questions and answers, one after the other (RFC 9112).

asyncio brings the bytes and TLS, llhttp parses. A question costs half of what it costs with the
usual client libraries, and a pull of a repository that nobody asked for lately is little else.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from typing import TYPE_CHECKING, Final

import httptools

from sealoshub.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MAX_HEAD: Final = 128 * 1024  # bytes of an answer's header
PENDING: Final = 1024 * 1024  # bytes of a stream that nobody has taken yet; then the server waits

_OK: Final = 200  # what is below is an interim answer
_LENGTHS: Final = frozenset(map(len, ("content-encoding", "content-length", "transfer-encoding")))
_GZIP: Final = 16 + zlib.MAX_WBITS  # zlib: expect the header of gzip
_MORE: Final = 2**62  # bytes; a stream has no end


class TooLargeError(UnavailableError):
    """An answer is longer than any that is believed."""


class CutOffError(UnavailableError):
    """The API server took the connection, and hung up without an answer.

    Args:
        was_heard: Whether anything of an answer came.
    """

    def __init__(self, message: str, *, was_heard: bool = False) -> None:
        super().__init__(message)
        self.was_heard = was_heard


class RefusedByTlsError(UnavailableError):
    """The API server refused the client certificate in TLS."""


class HttpConnection(asyncio.Protocol):
    """A connection that carries one exchange at a time.

    It is a class because asyncio calls it back.

    Args:
        lost: Is told once when the connection has ended.
    """

    def __init__(self, lost: Callable[[HttpConnection], None]) -> None:
        self._tell_lost = lost
        self._transport: asyncio.Transport | None = None
        self._exchange: _Exchange | None = None
        self._is_paused = False
        self._loop = asyncio.get_running_loop()
        self.idle_since = 0.0  # time of the event loop, set by whoever keeps it

    # ------------------------------------------------------------------ asyncio
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of TCP
        """Take the connection, after the handshake of TLS."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse a piece of the answer; hang up on what nobody asked for."""
        exchange = self._exchange
        if exchange is None or exchange.is_complete:
            self.abort()
            return
        exchange.feed(data)
        if exchange.error is not None:
            self.abort()
        elif exchange.pending > PENDING and exchange.is_stream and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange under way."""
        self._transport = None
        if self._exchange is not None:
            self._exchange.end(exc)
        self._tell_lost(self)

    # ------------------------------------------------------------------ ours
    @property
    def is_open(self) -> bool:
        """Whether a question can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_reusable(self) -> bool:
        """Whether the last answer came to its end and the server keeps the connection."""
        exchange = self._exchange
        return self.is_open and (exchange is None or (exchange.is_complete and exchange.stays))

    def abort(self) -> None:
        """Hang up at once."""
        if self._transport is not None:
            self._transport.abort()

    def ask(self, request: bytes, limit: int) -> asyncio.Future[tuple[int, bytes]]:
        """Send a request, and return the future of status and content of the answer.

        No coroutine, because most questions are asked two at a time, and a task for each would
        cost a tenth of them. Nothing but the answer and the end of the connection ends the future;
        it may fail with `TooLargeError` (more than *limit*), `CutOffError` (no answer, or only a
        part of one), `RefusedByTlsError` (the server does not take our certificate), or
        `UnavailableError` (the answer is no HTTP).

        Args:
            request: Head and body.
            limit: Bytes of the content.

        Raises:
            CutOffError: The connection has ended already.
        """
        exchange = self._begin(request, limit)
        exchange.answer = answer = self._loop.create_future()
        return answer

    async def open(self, request: bytes, seconds: float) -> int:
        """Send a request and return the status of an answer that may have no end.

        Raises:
            TimeoutError: Nothing came within *seconds*.
            UnavailableError: As :meth:`ask`.
        """
        exchange = self._begin(request, _MORE)
        exchange.is_stream = True
        while not exchange.status:
            await self._more(exchange, seconds)
        return exchange.status

    async def pieces(self, seconds: float) -> AsyncIterator[bytes]:
        """Yield the content of the answer that :meth:`open` began.

        Raises:
            TimeoutError: Nothing came for *seconds*.
            UnavailableError: As :meth:`ask`.
        """
        exchange = self._exchange
        while exchange is not None:
            if exchange.received:
                yield exchange.take()
                if self._is_paused and self._transport is not None:
                    self._is_paused = False
                    self._transport.resume_reading()
            elif exchange.is_complete:
                return
            else:
                await self._more(exchange, seconds)

    def _begin(self, request: bytes, limit: int) -> _Exchange:
        if self._transport is None or self._transport.is_closing():
            raise CutOffError("the API server hung up")
        exchange = self._exchange = _Exchange(limit)
        self._transport.write(request)
        return exchange

    async def _more(self, exchange: _Exchange, seconds: float) -> None:
        exchange.require_no_error()
        waiter = exchange.waiter = self._loop.create_future()
        async with asyncio.timeout(seconds):
            await waiter
        exchange.require_no_error()


class _Exchange:
    """An answer under way; the parser calls it back, and must not see it raise."""

    __slots__ = (
        "_encoding",
        "_has_length",
        "_is_followed",
        "_limit",
        "_parser",
        "answer",
        "error",
        "fed",
        "is_complete",
        "is_stream",
        "pending",
        "received",
        "status",
        "stays",
        "waiter",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parser = httptools.HttpResponseParser(self)
        self._encoding = b""
        self._has_length = False
        self._is_followed = False
        self.answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.error: UnavailableError | None = None
        self.fed = 0  # bytes, of the head while there is none
        self.is_complete = False
        self.is_stream = False
        self.pending = 0  # bytes of content that nobody has taken
        self.received: list[bytes] = []
        self.status = 0
        self.stays = False
        self.waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        """Parse *data*, and wake whoever waits for it."""
        self.fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            self._is_followed = True
            if not self.is_complete:
                self.error = UnavailableError(f"the API server does not speak HTTP/1.1: {exc}")
        if not self.status and self.fed > MAX_HEAD:
            self.error = TooLargeError("the API server sent a header without end")
        if self._is_followed:
            self.stays = False  # what follows would be taken for the answer to the next question
        if self.is_stream or self.is_complete or self.error is not None:
            self._wake()

    def end(self, exc: Exception | None) -> None:
        """Take note that the connection has ended."""
        if self.is_complete or self.error is not None:
            return
        if self.status and not self._has_length and exc is None:
            self.is_complete = True  # RFC 9112, 6.3: its end is the end of the content
        elif is_refusal(exc):
            self.error = RefusedByTlsError("the API server refused our certificate")
        else:
            self.error = CutOffError(
                "the API server hung up without an answer", was_heard=self.fed > 0
            )
            self.error.__cause__ = exc
        self._wake()

    def _content(self) -> bytes:
        """Return what came, unpacked.

        Raises:
            TooLargeError: It is longer than the limit.
            UnavailableError: It cannot be unpacked.
        """
        packed = b"".join(self.received)
        if self._encoding in {b"", b"identity"}:
            return packed
        if self._encoding != b"gzip":
            raise UnavailableError("the API server answered in an encoding that nobody asked for")
        unpacking = zlib.decompressobj(_GZIP)
        try:
            found = unpacking.decompress(packed, self._limit)
        except zlib.error as exc:
            raise UnavailableError("the API server's answer cannot be unpacked") from exc
        if unpacking.unconsumed_tail:
            raise TooLargeError("the API server answered without end")
        if not unpacking.eof:
            raise UnavailableError("the API server's answer is not all there")
        return found

    def take(self) -> bytes:
        """Return what came since the last time."""
        found = b"".join(self.received)
        self.received.clear()
        self.pending = 0
        return found

    def require_no_error(self) -> None:
        """Raise what went wrong, if anything did.

        Raises:
            UnavailableError: It did.
        """
        if self.error is not None:
            raise self.error

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)
        if self.answer is not None and not self.answer.done():
            try:
                self.require_no_error()
                self.answer.set_result((self.status, self._content()))
            except UnavailableError as exc:
                self.answer.set_exception(exc)

    # ------------------------------------------------------------------ called by the parser
    def on_message_begin(self) -> None:
        """Begin an answer: the first one, that after an interim one, or one too many."""
        if self.is_complete:
            self._is_followed = True
        self._encoding, self._has_length = b"", False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the two lines that matter here; what follows the content does not."""
        if self.status or len(name) not in _LENGTHS:
            return
        name = name.lower()
        if name == b"content-encoding":
            self._encoding = value.strip().lower()
        elif name in {b"content-length", b"transfer-encoding"}:
            self._has_length = True

    def on_headers_complete(self) -> None:
        """Begin the answer, unless it is an interim one."""
        status = self._parser.get_status_code()
        if status >= _OK and not self.status:
            self.status = status

    def on_body(self, data: bytes) -> None:
        """Keep content."""
        if self.is_complete:
            return
        self.pending += len(data)
        if self.pending > self._limit:
            self.error = TooLargeError("the API server answered without end")
        elif self.error is None:
            self.received.append(data)

    def on_message_complete(self) -> None:
        """End the answer, unless it is an interim one."""
        if self.status and not self.is_complete:
            self.is_complete = True
            self.stays = self._parser.should_keep_alive()


def is_refusal(exc: BaseException | None) -> bool:
    """Tell whether a TLS alert of the server, and no failing network, is behind *exc*.

    With TLS 1.3 the refusal of a client certificate arrives with the first read, after the
    handshake; a certificate without its key fails in the handshake.
    """
    seen = exc
    while seen is not None:
        # A failed check of the server's certificate is an SSLError without an alert.
        reason = getattr(seen, "reason", None) or ""
        if isinstance(seen, ssl.SSLError) and "ALERT" in reason:
            return "INTERNAL_ERROR" not in reason
        seen = seen.__cause__ or seen.__context__
    return False
