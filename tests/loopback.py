"""Servers of the tests: each listens on loopback and serves in a thread of its own."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

if TYPE_CHECKING:
    import socketserver
    from collections.abc import Iterator
    from types import TracebackType

POLL: Final = 0.02  # seconds in which a server notices that it is to end

Server = TypeVar("Server", bound="socketserver.BaseServer")


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Let *server* serve; at the end nothing of it is left, neither the port nor the thread."""
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": POLL}, daemon=True
    )
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Fake(Generic[Server]):
    """Stands for a real server as long as a `with` block lasts; a class below has the knobs.

    It is a class because tests turn the knobs of a fake while it serves.

    Attributes:
        _server: What listens; the class below makes it.
    """

    _server: Server

    def __enter__(self) -> Self:
        self._running = ExitStack()
        self._running.enter_context(serving(self._server))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.let_go()
        self._running.close()

    def let_go(self) -> None:
        """End what the fake holds back on purpose; called before the server ends."""
