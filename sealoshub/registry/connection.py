"""One connection to a server: HTTP/1.1 over a socket (RFC 9110, RFC 9112).

Why not a library: a push is dominated by what happens per request and per byte. Here a request
costs one system call to send and two to receive, and a layer goes from the file to the network
inside the kernel (`sendfile`).

Nothing is repeated, followed or decompressed here, and no error of ours is made: what goes wrong
leaves this module as :class:`OSError` (:class:`ssl.SSLError`, time-outs) or :class:`ExchangeError`;
:mod:`sealoshub.registry.failure` knows what to call it.
"""

from __future__ import annotations

import _socket  # what `socket` is made of, which makes enums of 300 constants first (3 ms)
import os
import re
import select
import sys
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError
from sealoshub.registry.response import ExchangeError, Response
from sealoshub.value import Value

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Mapping

    from sealoshub.registry.nested import NestedTls

READ: Final = 300.0  # seconds; a registry on object storage copies a blob before it answers the PUT
WRITE: Final = 60.0  # seconds without a byte taken by the other side
JOINED: Final = 128 * 1024  # bytes of a body that are sent together with its header
READ_AT_ONCE: Final = 256 * 1024  # bytes of a file, where this program has to touch them

_LONGEST_LABEL: Final = 64
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")


class ConnectTimeoutError(TimeoutError):
    """No connection in time."""


class HeaderError(ExchangeError):
    """A header to be sent has characters that would end it; its text is not told."""


class FileSlice(Value):
    """Bytes of a body that lie in a regular file.

    Args:
        descriptor: Of the open file; open as long as the body is sent.
        start: First byte.
        size: Bytes.
        name: Of the content, for messages.
    """

    descriptor: int
    start: int
    size: int
    name: str = "the image"

    def __len__(self) -> int:
        return self.size


Piece = bytes | FileSlice


class Connection:
    """An open connection; used by one thread at a time.

    It is a class because it owns the socket.

    Args:
        plain: Connected, perhaps already through TLS to a proxy; this object owns it.
        context: Speak TLS; None for plain text.
        server: Name to verify and to ask for.
        seconds: For the handshake.

    Raises:
        OSError: The handshake failed (:class:`ssl.SSLError`) or took too long.
    """

    def __init__(
        self,
        plain: _socket.socket,
        context: ssl.SSLContext | None = None,
        server: str = "",
        seconds: float = WRITE,
    ) -> None:
        self._socket: _socket.socket | NestedTls = plain
        self._secure: ssl.SSLSocket | NestedTls | None = _session(plain)
        try:
            plain.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            if context is not None:
                plain.settimeout(seconds)
                self._socket = self._secure = _handshake(plain, context, server, seconds)
            self._socket.settimeout(0)
        except BaseException:
            self._socket.close()
            raise
        self._copies = self._secure is not None or _is_near(plain)
        self._descriptor = self._socket.fileno()
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self.questions = 0
        self.heard = True  # something of the last answer came
        self.idle_since = 0.0

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def interrupt(self) -> None:
        """End it from another thread: whoever waits for it gets an error."""
        raw = self._socket if isinstance(self._socket, _socket.socket) else self._socket.outer
        try:
            # Not the method of SSLSocket, which would pull the session from under its reader.
            _socket.socket.shutdown(raw, _socket.SHUT_RDWR)
        except OSError:
            return

    def is_alive(self) -> bool:
        """Tell whether the other side has neither closed nor sent what nobody asked for."""
        try:
            return self.receive_now() is None
        except OSError:
            return False

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Iterable[Piece] | None = None,
    ) -> Response:
        """Send a request and return its answer, whose body is still to be read.

        Args:
            method: Of HTTP.
            target: For the request line.
            headers: All of them.
            body: Its pieces; their length is in *headers*.

        Raises:
            ExchangeError: See there.
            OSError: The connection broke or time ran out.
            InvalidInputError: A file became shorter while it was sent, or cannot be read.
        """
        self.questions += 1
        response = Response(self, method)
        try:
            broken = self._send(_head(method, target, headers), body, response)
            if broken is not None:
                response.break_off()
            try:
                response.read_head()
            except (OSError, ExchangeError):
                if broken is not None:
                    raise broken from None
                raise
        finally:
            self.heard = response.heard
        return response

    # ------------------------------------------------------------------ sending

    def _send(
        self, head: bytes, body: Iterable[Piece] | None, response: Response
    ) -> OSError | None:
        """Send until all is sent or the answer is there; return what broke it before.

        A server that refuses a body answers without reading it and closes: the sender sees EPIPE or
        ECONNRESET, and the answer lies in the receive buffer all the same.
        """
        pieces = iter(body) if body is not None else iter(())
        first = next(pieces, b"")
        try:
            if len(first) <= JOINED:
                going = self._send_bytes(head + _content(first), response)
            else:
                going = self._send_bytes(head, response) and self._send_piece(first, response)
            while going and (piece := next(pieces, None)) is not None:
                going = self._send_piece(piece, response)
        except (BrokenPipeError, ConnectionResetError, ConnectionAbortedError) as exc:
            return exc
        except OSError as exc:
            if _is_tls(exc, "SSLEOFError", "SSLZeroReturnError"):
                return exc
            raise
        return None

    def _send_piece(self, piece: Piece, response: Response) -> bool:
        if isinstance(piece, bytes):
            return self._send_bytes(piece, response)
        if self._copies:
            blocks = _blocks(piece, READ_AT_ONCE)
            return all(self._send_bytes(block, response) for block in blocks)
        start, left = piece.start, piece.size
        while left:
            try:
                done = os.sendfile(self._descriptor, piece.descriptor, start, left)
            except BlockingIOError:
                if not self._may_send(select.POLLOUT, response):
                    return False
                continue
            except OSError:
                _read(piece, start, 1)  # raises if it is the file that failed
                raise
            if not done:
                raise _shorter()
            start += done
            left -= done
        return True

    def _send_bytes(self, data: bytes, response: Response) -> bool:
        left = memoryview(data)
        while left:
            # With TLS nothing can be read any more once a write has failed, so the answer of a
            # server that does not want the rest is looked for before.
            if self._secure is not None and self._poll_now() and response.has_come():
                return False
            try:
                left = left[self._socket.send(left) :]
            except OSError as exc:
                event = _event(exc, select.POLLOUT)
                if not event:
                    raise
                if not self._may_send(event, response):
                    return False
        return True

    def _may_send(self, event: int, response: Response) -> bool:
        """Wait until more can be sent; False if the answer came first."""
        self._poll.modify(self._descriptor, event | select.POLLIN)
        ready = self._poll.poll(WRITE * 1000)
        if not ready:
            raise TimeoutError("the other side takes no more bytes")
        if ready[0][1] & (select.POLLIN | select.POLLHUP):
            return not response.has_come()
        return True

    def _poll_now(self) -> bool:
        self._poll.modify(self._descriptor, select.POLLIN)
        return bool(self._poll.poll(0))

    # ------------------------------------------------------------------ receiving

    def receive_now(self) -> bytes | None:
        """Return what lies in the receive buffer; None if nothing does, empty at the end.

        Raises:
            OSError: The connection broke.
        """
        try:
            return self._socket.recv(JOINED)
        except OSError as exc:
            if _event(exc, select.POLLIN):
                return None
            raise

    def receive(self, size: int) -> bytes:
        """Return up to *size* bytes; none at the end.

        Raises:
            TimeoutError: Nothing came in time.
            OSError: The connection broke.
        """
        # TLS may hold decrypted bytes that no poll knows of.
        event = select.POLLIN if self._secure is None or not self._secure.pending() else 0
        while True:
            if event:
                self._poll.modify(self._descriptor, event)
                if not self._poll.poll(READ * 1000):
                    raise TimeoutError("no answer")
            try:
                return self._socket.recv(size)
            except OSError as exc:
                event = _event(exc, select.POLLIN)
                if not event:
                    raise


def connect(host: str, port: int, seconds: float) -> _socket.socket:
    """Return a connected socket.

    Raises:
        ConnectTimeoutError: Nobody answered in time.
        OSError: The name is unknown, or nobody listens.
    """
    # As bytes, an ASCII name passes Python's own IDNA codec by, with its tables (5 ms); a label
    # that is too long for a name would make that codec raise something else than the resolver.
    name = host.encode("ascii") if len(host) < _LONGEST_LABEL else host
    failed = OSError("the name has no address")
    for family, kind, protocol, _, address in _socket.getaddrinfo(
        name, port, 0, _socket.SOCK_STREAM
    ):
        try:
            return _connected(_socket.socket(family, kind, protocol), address, seconds)
        except TimeoutError as exc:
            failed = ConnectTimeoutError("no connection in time")
            failed.__cause__ = exc
        except OSError as exc:
            failed = exc
    try:
        raise failed
    finally:
        del failed  # its traceback leads back here


def _connected(
    plain: _socket.socket, address: tuple[object, ...], seconds: float
) -> _socket.socket:
    try:
        plain.settimeout(seconds)
        plain.connect(address)
    except BaseException:
        plain.close()
        raise
    return plain


def _session(plain: _socket.socket) -> ssl.SSLSocket | None:
    """Return *plain* if it is a session of TLS already."""
    tls = sys.modules.get("ssl")  # where TLS was never spoken it was never imported
    return plain if tls is not None and isinstance(plain, tls.SSLSocket) else None


def _handshake(
    plain: _socket.socket, context: ssl.SSLContext, server: str, seconds: float
) -> ssl.SSLSocket | NestedTls:
    outer = _session(plain)
    try:
        if outer is not None:
            from sealoshub.registry.nested import NestedTls  # noqa: PLC0415  # for few proxies

            return NestedTls(outer, context, server, seconds)
        # A ragged end must be seen: it may be somebody who cuts an answer short.
        return context.wrap_socket(
            plain,  # type: ignore[arg-type]  # it asks for nothing that only `socket` has
            server_hostname=server,
            suppress_ragged_eofs=False,
        )
    except TimeoutError as exc:
        raise ConnectTimeoutError("no TLS handshake in time") from exc


def _is_near(connected: _socket.socket) -> bool:
    """Tell whether the other side is on this machine: both ends have the same address.

    There the kernel copies to the reader what `sendfile` only points to, from memory that is in no
    cache of the processor any more. What was copied just now is in one: a registry on loopback
    takes a third less time for a layer of 1 GiB, which is more than the copies cost.
    """
    try:
        there, here = connected.getpeername(), connected.getsockname()
    except OSError:
        return False
    return isinstance(there, tuple) and isinstance(here, tuple) and there[0] == here[0]


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in headers.items():
        if not _VALUE.fullmatch(value):
            raise HeaderError("a header is malformed")
        lines.append(f"{name}: {value}")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")


def _content(piece: Piece) -> bytes:
    return piece if isinstance(piece, bytes) else b"".join(_blocks(piece, JOINED))


def _blocks(piece: FileSlice, size: int) -> Iterator[bytes]:
    start, left = piece.start, piece.size
    while left:
        block = _read(piece, start, min(left, size))
        if not block:
            raise _shorter()
        start += len(block)
        left -= len(block)
        yield block


def _read(piece: FileSlice, start: int, size: int) -> bytes:
    try:
        return os.pread(piece.descriptor, size, start)
    except OSError as exc:
        raise InvalidInputError(
            f"the content of {piece.name} cannot be read: {exc.strerror or exc}",
            hint="The image is damaged; make it again.",
        ) from exc


def _shorter() -> InvalidInputError:
    return InvalidInputError(
        "a file of the image became shorter while it was sent",
        hint="Somebody else writes to the image; push it again when that is done.",
    )


def _event(exc: OSError, usual: int) -> int:
    """Return what to wait for before the call is made again; 0 if it is a real error."""
    if isinstance(exc, BlockingIOError):
        return usual
    if _is_tls(exc, "SSLWantReadError"):
        return int(select.POLLIN)
    return int(select.POLLOUT) if _is_tls(exc, "SSLWantWriteError") else 0


def _is_tls(exc: OSError, *names: str) -> bool:
    # Where TLS was never spoken, ssl was never imported (10 ms).
    tls = sys.modules.get("ssl")
    return tls is not None and isinstance(exc, tuple(getattr(tls, name) for name in names))
