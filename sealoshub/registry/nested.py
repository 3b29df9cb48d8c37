"""TLS within TLS: to a registry through a proxy that is itself spoken to with TLS.

:mod:`ssl` can wrap a descriptor only, which the outer session has already, so the inner one works
on buffers (`ssl.MemoryBIO`), and this carries them.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from typing import Final

_RECEIVE: Final = 64 * 1024  # bytes of the outer session at once


class NestedTls:
    """The inner session; what of :class:`ssl.SSLSocket` a connection uses.

    Args:
        outer: Its handshake is done; this object owns it.
        context: Of the inner session.
        server: Name to verify and to ask for.
        seconds: For the handshake.

    Raises:
        TimeoutError: The handshake took too long.
        OSError: The handshake failed (:class:`ssl.SSLError`).
    """

    def __init__(
        self, outer: ssl.SSLSocket, context: ssl.SSLContext, server: str, seconds: float
    ) -> None:
        self.outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server)
        self._unsent = memoryview(b"")
        self._taken = 0  # bytes that were encrypted and have not all been sent
        self._handshake(time.monotonic() + seconds)

    def settimeout(self, seconds: float) -> None:
        """Set how long a call may wait; 0 for not at all."""
        self.outer.settimeout(seconds)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self.outer.fileno()

    def close(self) -> None:
        """Close both."""
        self.outer.close()

    def pending(self) -> int:
        """Return a number above 0 if there is something to receive that no poll knows of."""
        return self._inner.pending() or self._incoming.pending or self.outer.pending()

    def send(self, data: bytes | memoryview) -> int:
        """Send some of *data*, and return how much.

        Raises:
            SSLWantReadError: It has to wait; call again with the same data.
            SSLWantWriteError: As above.
            OSError: The connection broke.
        """
        if not self._taken:
            self._taken = self._inner.write(data)
        self._flush()
        taken, self._taken = self._taken, 0
        return taken

    def recv(self, size: int) -> bytes:
        """Return up to *size* bytes; none at the end.

        Raises:
            SSLWantReadError: Nothing has come.
            SSLWantWriteError: Something has to be sent first.
            OSError: The connection broke.
        """
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                try:
                    return self._inner.read(size)
                except ssl.SSLZeroReturnError:
                    return b""
            self._flush()
            self._fill()

    def _handshake(self, deadline: float) -> None:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no TLS handshake in time")
            self.outer.settimeout(left)
            # What goes wrong afterwards is not a consequence of having to wait.
            with contextlib.suppress(ssl.SSLWantReadError):
                self._inner.do_handshake()
                self._flush()
                return
            self._flush()
            self._fill()

    def _flush(self) -> None:
        while self._unsent or self._outgoing.pending:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
            self._unsent = self._unsent[self.outer.send(self._unsent) :]

    def _fill(self) -> None:
        received = self.outer.recv(_RECEIVE)
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()  # the inner session tells whether that was its end
