"""uvicorn on sockets that are open already: no signal handlers of its own, and a quiet end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from typing import TYPE_CHECKING, Final

import uvicorn

from sealoshub.authserver.protocol import BoundedProtocol, ServingConfig
from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Iterator

    from sealoshub.authserver.app import App
    from sealoshub.authserver.config import Tls
    from sealoshub.authserver.metrics import Metrics

STOP_SECONDS: Final = 10  # for requests under way
BACKLOG: Final = 2048
KEEP_ALIVE: Final = 65  # seconds; longer than the 60 s of common proxies in front

_log = logging.getLogger("sealoshub.authserver")


class Serving:
    """One application on open sockets.

    It is a class because whoever serves also replaces the certificate and announces the end.

    Args:
        app: What answers.
        sockets: Listening sockets; closed at the end.
        tls: Files of the certificate; None for plain http.

    Raises:
        InvalidInputError: The certificate cannot be used.
    """

    def __init__(
        self, app: App | Metrics, sockets: list[socket.socket], tls: Tls | None = None
    ) -> None:
        self._sockets = sockets
        self._tls = tls
        self._seen = _look(tls)
        self._options = ServingConfig(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_certfile=None if tls is None else tls.certificate,
            ssl_keyfile=None if tls is None else str(tls.key),
        )
        self._options.recall = getattr(app, "recall", None)
        try:
            self._options.load()
        except (OSError, ValueError) as exc:
            raise InvalidInputError(f"tls: the certificate cannot be used: {_why(exc)}") from exc
        self._server = _Server(self._options)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block runs; leaving it waits for the requests under way."""
        server = self._server
        loop = asyncio.get_running_loop()
        task = loop.create_task(server.serve(sockets=self._sockets))
        try:
            up = loop.create_task(server.up.wait())
            await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            yield
        finally:
            self.drain()
            server.leave()
            await task

    def drain(self) -> None:
        """Ask every client, with its next answer, to connect anew, which is to somebody else."""
        self._options.draining = True
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, BoundedProtocol):
                connection.end_with_answer()

    def reload(self) -> bool:
        """Use the certificate that is in the files now; connections that are open keep theirs.

        Returns:
            Whether it is another one.

        Raises:
            InvalidInputError: What is there now cannot be used; the old one stays in use.
        """
        found = _look(self._tls)
        if self._tls is None or found is None or found == self._seen:
            return False
        context = self._options.ssl
        try:
            # First into a context of its own: half of a pair would spoil the one in use.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                self._tls.certificate, self._tls.key
            )
            if context is not None:
                context.load_cert_chain(self._tls.certificate, self._tls.key)
        except (OSError, ValueError) as exc:
            raise InvalidInputError(f"tls: the certificate cannot be used: {_why(exc)}") from exc
        self._seen = found
        return True


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which end the process their own way."""

    def __init__(self, options: uvicorn.Config) -> None:
        super().__init__(options)
        self.up = asyncio.Event()
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Accept no more connections and end when the requests under way are answered."""
        self.should_exit = True
        self._leaving.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when connections are accepted."""
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        """Tick as uvicorn does, but leave at once and not with the next tick."""
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(super().main_loop()), loop.create_task(self._leaving.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the token server."""
        yield


def _look(tls: Tls | None) -> tuple[tuple[int, int, int], ...] | None:
    """Return what tells one state of the files from another; None while one is not there."""
    if tls is None:
        return None
    try:
        found = [path.stat() for path in (tls.certificate, tls.key)]
    except OSError:
        return None
    # Kubernetes replaces mounted files by turning a symbolic link: the inode counts as well.
    return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)


def _why(exc: OSError | ValueError) -> str:
    reason = getattr(exc, "strerror", None) or getattr(exc, "reason", None)
    return str(reason or exc)
