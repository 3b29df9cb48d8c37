"""Run the token server: put its parts together, serve, stop without cutting anybody off."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

import uvicorn

from sealoshub.authplugin import PluginContext, chain
from sealoshub.authserver import config as configuration
from sealoshub.authserver.app import App, caller_address
from sealoshub.authserver.audit import Audit
from sealoshub.authserver.exchange import Exchange
from sealoshub.authserver.guard import Guard
from sealoshub.authserver.keys import KeyDirectory
from sealoshub.authserver.logins import Logins
from sealoshub.authserver.metrics import Metrics
from sealoshub.authserver.protocol import BoundedProtocol
from sealoshub.authserver.routes import Surroundings, application
from sealoshub.authserver.token import Signer
from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.kube.review import ApiServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from sealoshub.authserver.config import Address, Config

RELOAD_SECONDS: Final = 5.0  # between two looks at the keys
READY_SECONDS: Final = 2.0  # how long an answer of the API server to a probe is believed
STOP_SECONDS: Final = 10  # for requests under way
BACKLOG: Final = 2048

_log = logging.getLogger("sealoshub.authserver")


def run(config_path: Path) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        config_path: Configuration, see :mod:`sealoshub.authserver.config`.

    Raises:
        InvalidInputError: The configuration or a key is wrong, or an address cannot be used.
    """
    _log_to_stderr()
    config = configuration.load(config_path)
    server = TokenServer(config)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(server.serve())


class TokenServer:
    """One token server. `serve` runs it; tests read `address` once `started` is set.

    Args:
        config: What to serve.

    Raises:
        InvalidInputError: A plugin, a key or the audit log of the configuration is wrong.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.started = asyncio.Event()
        self.address: tuple[str, int] = ("", 0)
        self.metrics_address: tuple[str, int] = ("", 0)
        self._keys = KeyDirectory(config.keys_dir)
        self._signer = self._make_signer()
        self._api = (
            None
            if config.api is None
            else ApiServer(
                config.api.server, ca_file=config.api.ca_file, token_file=config.api.token_file
            )
        )
        context = PluginContext(config.services, config.hub_namespace, self._api)
        self._chain = chain.load(config.plugins, context)
        self._logins = (
            None
            if self._api is None
            else Logins(
                self._api, self._chain, config.hub_namespace, config.login, clock=time.monotonic
            )
        )
        self._metrics = Metrics()
        self._probed: tuple[float, str] = (float("-inf"), "")
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End `serve` after the requests under way."""
        self._stop.set()

    async def serve(self) -> None:
        """Serve until :meth:`stop`, SIGTERM or SIGINT.

        Raises:
            InvalidInputError: An address cannot be used.
        """
        audit = Audit(self._config.audit)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(audit.close)
            stack.push_async_callback(self._close)
            app = self._application(audit)
            sockets = _bind(self._config.listen)
            stack.callback(_close_all, sockets)
            self.address = sockets[0].getsockname()[:2]
            metrics_sockets = (
                [] if self._config.metrics_listen is None else _bind(self._config.metrics_listen)
            )
            stack.callback(_close_all, metrics_sockets)
            loop = asyncio.get_running_loop()
            for name in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                    # Tests run in a thread, where signals cannot be handled.
                    loop.add_signal_handler(name, self.stop)
            await self._chain.start()
            reloading = loop.create_task(self._reload())
            stack.push_async_callback(_cancelled, reloading)
            await stack.enter_async_context(self._serving(app, sockets, tls=True))
            if metrics_sockets:
                self.metrics_address = metrics_sockets[0].getsockname()[:2]
                await stack.enter_async_context(self._serving(self._metrics, metrics_sockets))
            _log.info("serving tokens on %s:%s", *self.address)
            self.started.set()
            await self._stop.wait()
            _log.info("stopping")

    def _application(self, audit: Audit) -> App:
        exchange = Exchange(
            services=self._config.services,
            chain=self._chain,
            logins=self._logins,
            signer=lambda: self._signer,
            guard=Guard(time.monotonic),
            audit=audit,
        )
        proxies = self._config.trusted_proxies
        around = Surroundings(
            exchange=exchange,
            keys=lambda: self._keys.current,
            unready=self._unready,
            realm=self._config.issuer,
            address=lambda scope: caller_address(scope, proxies),
            api=self._api,
        )
        return App(
            exchange,
            application(around),
            realm=self._config.issuer,
            trusted_proxies=proxies,
            count=self._metrics.count,
        )

    @contextlib.asynccontextmanager
    async def _serving(
        self, app: App | Metrics, sockets: list[socket.socket], *, tls: bool = False
    ) -> AsyncIterator[None]:
        files = self._config.tls if tls else None
        options = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=65,  # longer than the 60 s of common proxies in front
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_certfile=None if files is None else files.certificate,
            ssl_keyfile=None if files is None else str(files.key),
        )
        server = _Server(options)
        try:
            options.load()
        except OSError as exc:
            raise InvalidInputError(f"tls: the certificate cannot be used: {exc.strerror}") from exc
        task = asyncio.get_running_loop().create_task(server.serve(sockets=sockets))
        try:
            up = asyncio.get_running_loop().create_task(server.up.wait())
            await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            yield
        finally:
            server.leave()
            await task

    async def _unready(self) -> list[str]:
        """Return why requests would fail now."""
        reasons = self._chain.unready()
        if self._api is not None:
            when, fault = self._probed
            if time.monotonic() - when > READY_SECONDS:
                fault = ""
                try:
                    # With our own token: proves the connection, the CA and the token at once.
                    await self._api.self_subject_review()
                except SealosHubError as exc:
                    fault = f"api: {exc.message}"
                self._probed = (time.monotonic(), fault)
            if fault:
                reasons.append(fault)
        return reasons

    async def _reload(self) -> None:
        """Follow the key files."""
        fault = ""
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            try:
                if self._keys.reload():
                    self._signer = self._make_signer()
                    _log.info("signing with %s now", self._signer.kid)
                fault = ""
            except SealosHubError as exc:
                if exc.message != fault:
                    _log.error("the old keys stay in use: %s", exc.message)  # no traceback
                fault = exc.message

    async def _close(self) -> None:
        await self._chain.stop()
        if self._logins is not None:
            await self._logins.stop()
        if self._api is not None:
            await self._api.aclose()

    def _make_signer(self) -> Signer:
        return Signer(self._keys.current.signing, self._config.issuer, self._config.token_seconds)


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
        """Leave the signals to :meth:`TokenServer.serve`."""
        yield


def _bind(address: Address) -> list[socket.socket]:
    """Listen on every address of a name; with port 0 all on the same free port.

    Raises:
        InvalidInputError: The address is not this machine's, or in use.
    """
    where = f"{address.host}:{address.port}"
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as exc:
        raise InvalidInputError(f"listen: {where} is no address: {exc.strerror}") from exc
    sockets: list[socket.socket] = []
    port = address.port
    # IPv4 first: it is the one that must work, and it chooses the free port.
    for family, kind, protocol, _, where_to in sorted(found, key=lambda entry: entry[0]):
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((where_to[0], port))
        except OSError as exc:
            listener.close()
            if sockets and family == socket.AF_INET6:
                continue  # `localhost` names ::1 on machines without IPv6 as well
            _close_all(sockets)
            raise InvalidInputError(f"listen: cannot use {where}: {exc.strerror}") from exc
        port = listener.getsockname()[1]
        sockets.append(listener)
    return sockets


def _close_all(sockets: list[socket.socket]) -> None:
    for opened in sockets:
        opened.close()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    # Their debug lines hold whole requests, with every credential in them.
    for name in ("httpx", "httpcore", "uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
