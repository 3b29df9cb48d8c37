"""A server that says what a test tells it to, byte for byte: for answers no honest server gives."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    Script = Callable[["Visitor"], None]

DEADLINE: Final = 60.0  # seconds after which something that must happen has not


class Visitor:
    """One connection, seen from the server.

    Args:
        connection: Accepted.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = b""

    def read_head(self) -> str:
        """Return the next request without its body; empty at the end of the connection."""
        while b"\r\n\r\n" not in self._received:
            block = self.connection.recv(65536)
            if not block:
                return ""
            self._received += block
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def read_body(self, size: int) -> bytes:
        """Return *size* bytes of a body."""
        while len(self._received) < size:
            block = self.connection.recv(65536)
            if not block:
                raise ConnectionError("the body ended early")
            self._received += block
        body, self._received = self._received[:size], self._received[size:]
        return body

    def read(self) -> tuple[str, bytes]:
        """Return the next request, head and body."""
        head = self.read_head()
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        return head, self.read_body(int(length[1])) if length else b""

    def say(self, text: str | bytes) -> None:
        """Send exactly this."""
        self.connection.sendall(text.encode("latin-1") if isinstance(text, str) else text)


class Scripted:
    """A server with one script for each connection; use it in a `with` block.

    Args:
        scripts: What to do with the first, second and further connections; the last serves all
            that follow.
        context: Speak TLS.
    """

    def __init__(self, *scripts: Script, context: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._threads: list[threading.Thread] = []
        self.visitors: list[Visitor] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for visitor in self.visitors:
            with contextlib.suppress(OSError):
                # Not the method of SSLSocket, which would pull the session from under its reader.
                socket.socket.shutdown(visitor.connection, socket.SHUT_RDWR)
        for thread in (self._thread, *self._threads):
            thread.join(DEADLINE)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(len(self.visitors), len(self._scripts) - 1)]
            visitor = Visitor(connection)
            thread = threading.Thread(target=self._play, args=(visitor, script), daemon=True)
            self.visitors.append(visitor)
            self._threads.append(thread)
            thread.start()

    def _play(self, visitor: Visitor, script: Script) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                visitor.connection = self._context.wrap_socket(visitor.connection, server_side=True)
            with visitor.connection:
                script(visitor)


def answers(*texts: str | bytes) -> Script:
    """Answer the requests of a connection with *texts*, then close it."""

    def script(visitor: Visitor) -> None:
        for text in texts:
            visitor.read()
            visitor.say(text)

    return script


def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
