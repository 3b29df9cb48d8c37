"""Proofs that a server did nothing: nobody opened the files, connected, or ran the program."""

from __future__ import annotations

import ctypes
import os
import selectors
import socket
import threading
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# inotify(7): whoever opens a file in the folder, or lists it, leaves an event behind.
_OPENED: Final = 0x20
_ACCESSED: Final = 0x1


class Folder:
    """A folder of which the kernel tells whether anything in it was opened; a context manager.

    A FIFO in it would hold up whoever opens it, and the certificate in it is a good one: a server
    that read the files would be caught three times over.

    Args:
        path: The folder; what is in it is made before the watch begins.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        libc = ctypes.CDLL(None, use_errno=True)
        self._queue = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._queue >= 0, os.strerror(ctypes.get_errno())
        watch = libc.inotify_add_watch(self._queue, os.fsencode(self.path), _OPENED | _ACCESSED)
        assert watch >= 0, os.strerror(ctypes.get_errno())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._queue)

    def was_touched(self) -> bool:
        """Tell whether anything was opened since the last call."""
        try:
            return bool(os.read(self._queue, 65536))
        except BlockingIOError:
            return False


class Listener:
    """An address that counts who connects; a context manager."""

    def __enter__(self) -> Self:
        self.connections = 0
        self._stopped = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._socket.close()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"localhost:{self._socket.getsockname()[1]}"

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while not self._stopped.is_set():
                if selector.select(0.05):
                    self._socket.accept()[0].close()
                    self.connections += 1
