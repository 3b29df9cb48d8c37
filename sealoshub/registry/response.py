"""The receiving half of one HTTP/1.1 exchange: an answer, parsed while it arrives (RFC 9112).

The parser is llhttp, the one of Node.js; nothing of HTTP's grammar is parsed by hand. Every part of
an answer that a hostile server could make endless has a bound here, apart from the body, which is
read by whoever asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, overload

import httptools

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_HEAD: Final = 128 * 1024  # bytes of an answer's header; a challenge may be 64 KiB
MAX_FIELDS: Final = 256  # header lines of an answer
MAX_INTERIM: Final = 16  # answers of the kind 1xx before the one that counts
OVERHEAD: Final = 16  # bytes of chunk framing for each byte of content
RECEIVE: Final = 256 * 1024  # bytes of one read of a body
RECEIVE_HEAD: Final = 32 * 1024  # bytes of one read of a header

_TLS_ALERT: Final = b"\x15\x03"


class ExchangeError(Exception):
    """The other side does not speak HTTP/1.1, or not to the end."""


class NotPlainError(ExchangeError):
    """The other side answered with an alert of TLS."""


class ClosedError(ExchangeError):
    """The connection ended before the answer did."""


class Source(Protocol):
    """Where the bytes of an answer come from."""

    def receive(self, size: int) -> bytes:
        """Return up to *size* bytes; none at the end."""

    def receive_now(self) -> bytes | None:
        """Return what has come already; None if nothing has, empty at the end."""


class Headers:
    """The header lines of an answer; names in any letter case.

    It is a class because a name may stand in several lines.

    Args:
        lines: Names and values in order.
    """

    __slots__ = ("_lines", "_values")

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._lines = tuple([(name.lower(), value) for name, value in lines])
        self._values: dict[str, list[str]] = {}
        for name, value in self._lines:
            self._values.setdefault(name, []).append(value)

    @overload
    def get(self, name: str) -> str | None: ...

    @overload
    def get(self, name: str, default: str) -> str: ...

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of *name*, several lines joined by commas (RFC 9110, 5.3)."""
        found = self._values.get(name.lower())
        return ", ".join(found) if found else default

    def get_list(self, name: str) -> list[str]:
        """Return the value of every line called *name*."""
        return list(self._values.get(name.lower(), ()))

    def items(self) -> tuple[tuple[str, str], ...]:
        """Return all lines, names in lower case."""
        return self._lines

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values


class Response:
    """An answer under way: first its head, then its body, piece by piece.

    It is a class because the parser calls it back.

    Args:
        source: Where it comes from.
        method: Of the question; HEAD has no body whatever the headers say.
    """

    def __init__(self, source: Source, method: str) -> None:
        self._source = source
        self._has_no_body = method in {"HEAD", "CONNECT"}
        self._parser = httptools.HttpResponseParser(self)
        self._lines: list[tuple[str, str]] = []
        self._received: list[bytes] = []
        self._left: int | None = None  # bytes still to come of a body whose length is known
        self._is_chunked = False
        self._interim = 0
        self._fed = 0  # bytes of the head; of framing without content, in the body
        self._surplus = False  # something came behind the answer
        self._stays = True  # the connection is meant to be used again
        self._broken = False
        self.has_head = False
        self.is_complete = False  # all of the body has been received, perhaps not read
        self.status = 0
        self.headers = Headers()

    @property
    def heard(self) -> bool:
        """Something of an answer has come."""
        return self._fed > 0

    @property
    def leaves_connection(self) -> bool:
        """The connection can carry another question."""
        return self.is_complete and self._stays and not (self._surplus or self._broken)

    # ---- called by the parser; must not raise

    def on_message_begin(self) -> None:
        """Begin an answer: the first one, that after a 1xx, or one that nobody asked for."""
        self._surplus = self._surplus or self.has_head
        self._lines = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a line; trailers are dropped."""
        if not self.has_head and len(self._lines) <= MAX_FIELDS:
            self._lines.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Look what kind of answer it is."""
        if self.has_head:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:  # noqa: PLR2004  # the interim answers
            self._interim += 1
            return
        self.status = status
        self.headers = Headers(self._lines)
        self.has_head = True

    def on_body(self, data: bytes) -> None:
        """Keep content."""
        if self._surplus or self._has_no_body:
            self._surplus = True
        else:
            self._received.append(data)

    def on_message_complete(self) -> None:
        """Note the end, unless it was a 1xx."""
        self.is_complete = self.is_complete or self.has_head

    # ---- the head

    def read_head(self) -> None:
        """Read until the head is complete.

        Raises:
            ExchangeError: It is no HTTP, or too much.
            OSError: The connection broke or time ran out.
        """
        while not self.has_head:
            data = self._source.receive(RECEIVE_HEAD)
            if not data:
                raise ClosedError("the server closed the connection")
            self._feed_head(data)
        self._begin_body()

    def has_come(self) -> bool:
        """Look at what came while the question is still being sent; True if it is the answer.

        Raises:
            ExchangeError: As :meth:`read_head`.
            OSError: The other side has closed or broken the connection.
        """
        data = self._source.receive_now()
        if data is None:
            return False
        if not data:
            raise BrokenPipeError("the server closed the connection")
        self._feed_head(data)
        if self.has_head:
            self._stays = False  # the rest of the question would be taken for the next one
        return self.has_head

    def _feed_head(self, data: bytes) -> None:
        if not self._fed and data.startswith(_TLS_ALERT):
            raise NotPlainError("the server answered with an alert of TLS")
        self._fed += len(data)
        self._feed(data)
        if self._interim > MAX_INTERIM:
            raise ExchangeError("the server sends one interim answer after another")
        if len(self._lines) > MAX_FIELDS or (not self.has_head and self._fed > MAX_HEAD):
            raise ExchangeError("the header of the answer is too large")

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            raise ExchangeError("the server switched to another protocol") from exc
        except httptools.HttpParserError as exc:
            if not self.is_complete and not (self.has_head and self._has_no_body):
                raise ExchangeError(f"the answer is no HTTP: {exc}") from exc
            self._surplus = True

    def _begin_body(self) -> None:
        version = self._parser.get_http_version()
        options = {word.strip() for word in self.headers.get("connection", "").lower().split(",")}
        if "close" in options or (version == "1.0" and "keep-alive" not in options):
            self._stays = False
        self._is_chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        if self._has_no_body or self.status in {204, 304}:
            self.is_complete = True
        elif self._is_chunked:
            self._fed = 0
        elif (length := self.headers.get("content-length")) is not None:
            # llhttp has checked that it is one number. The rest of the body passes the parser by.
            self._left = int(length) - sum(len(block) for block in self._received)
            self.is_complete = self._left <= 0
        else:
            self._stays = False  # the end of the connection is the end of the body

    # ---- the body

    def read(self, size: int) -> bytes:
        """Return up to *size* bytes of the body, at least one; none at the end.

        Raises:
            ClosedError: The connection ended before the body did.
            ExchangeError: The framing is broken.
            OSError: The connection broke or time ran out.
        """
        while not self._received and not self.is_complete:
            try:
                self._receive(size)
            except BaseException:
                self._stays = False
                raise
        if not self._received:
            return b""
        block = self._received[0]
        if len(block) <= size:
            del self._received[0]
            return block
        self._received[0] = block[size:]
        return block[:size]

    def break_off(self) -> None:
        """Take note that the question could not be sent to its end: what has come must do."""
        self._broken = True

    def _receive(self, size: int) -> None:
        wanted = RECEIVE if self._left is None else min(self._left, max(size, RECEIVE_HEAD))
        try:
            data = self._source.receive(wanted)
        except ConnectionError:
            if not self._broken:
                raise
            data = b""
        if not data:
            if not self._broken and (self._left is not None or self._is_chunked):
                raise ClosedError("the server closed the connection in the middle of an answer")
            self.is_complete = True
        elif self._is_chunked:
            self._feed(data)
            content = sum(len(block) for block in self._received)
            self._fed = 0 if content * OVERHEAD > len(data) else self._fed + len(data)
            if self._fed > MAX_HEAD:
                raise ExchangeError("the answer is all framing and no content")
        else:
            self._received.append(data)
            if self._left is not None:
                self._left -= len(data)
                self.is_complete = not self._left
