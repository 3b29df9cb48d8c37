"""Run the token server: put its parts together, serve, stop without cutting anybody off."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import gc
import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from sealoshub.authplugin import PluginContext, chain
from sealoshub.authserver import config as configuration
from sealoshub.authserver.app import App
from sealoshub.authserver.audit import Audit
from sealoshub.authserver.board import Board
from sealoshub.authserver.events import Events, LeaseSink
from sealoshub.authserver.exchange import Exchange
from sealoshub.authserver.guard import Guard
from sealoshub.authserver.incoming import caller_address
from sealoshub.authserver.keys import KeyDirectory
from sealoshub.authserver.listener import bind, close_all
from sealoshub.authserver.logins import Logins
from sealoshub.authserver.metrics import Metrics, columns
from sealoshub.authserver.routes import Surroundings, application
from sealoshub.authserver.serving import Serving
from sealoshub.authserver.token import Signer
from sealoshub.authserver.workers import Workers
from sealoshub.errors import SealosHubError
from sealoshub.kube.review import ApiServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from sealoshub.authserver.config import Config
    from sealoshub.authserver.workers import Post

RELOAD_SECONDS: Final = 2.0  # between two looks at keys and certificate
WARM_SECONDS: Final = 5.0  # how long a worker waits for its caches before it serves all the same
WARM_LOOK: Final = 0.02
READY_SECONDS: Final = 2.0  # how long an answer of the API server to a probe is believed

_log = logging.getLogger("sealoshub.authserver")


@dataclasses.dataclass(frozen=True, slots=True)
class Sockets:
    """Open listening sockets: of the token endpoint, and of `/metrics` if it is served."""

    public: list[socket.socket]
    metrics: list[socket.socket]

    @classmethod
    def bind(cls, config: Config) -> Sockets:
        """Open those that *config* names.

        Raises:
            InvalidInputError: An address cannot be used.
        """
        public = bind(config.listen)
        try:
            metrics = [] if config.metrics_listen is None else bind(config.metrics_listen)
        except BaseException:
            close_all(public)
            raise
        return cls(public, metrics)

    def close(self) -> None:
        """Close them; in a worker its own copies."""
        close_all([*self.public, *self.metrics])


def run(config_path: Path, workers: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        config_path: Configuration, see :mod:`sealoshub.authserver.config`.
        workers: How many processes serve; None for what the configuration says.

    Raises:
        InvalidInputError: The configuration or a key is wrong, or an address cannot be used.
        SealosHubError: Workers cannot be started, or keep dying.
    """
    _log_to_stderr()
    config = configuration.load(config_path)
    count = config.workers if workers is None else workers
    if count == 1:
        server = TokenServer(config)
        _collect_rarely()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(server.serve())
        return
    # Faults are said once, and by the process that was started.
    KeyDirectory(config.keys_dir)
    board = Board(columns(), rows=2 * count)
    sockets = Sockets.bind(config)
    work = functools.partial(_work, config_path, sockets, board)
    try:
        Workers(count, work, ended=lambda row: Metrics(board, row).leave()).run()
    finally:
        sockets.close()


def _work(config_path: Path, sockets: Sockets, board: Board, post: Post) -> None:
    """Serve as one of several workers, with the configuration as it is now.

    Args:
        config_path: Configuration.
        sockets: Those that all workers share.
        board: Where all workers count.
        post: What this one has for itself.
    """
    config = configuration.load(config_path)
    server = TokenServer(config, sockets, Metrics(board, post.row))
    _collect_rarely()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(post.alive, server.stop)
        serving = loop.create_task(server.serve())
        started = loop.create_task(server.started.wait())
        await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if not serving.done():
            os.write(post.ready, b"1")
        await serving

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


class TokenServer:
    """One token server. `serve` runs it; tests read `address` once `started` is set.

    Args:
        config: What to serve.
        sockets: Where; None to open what *config* names.
        metrics: What counts; None for one of its own.

    Raises:
        InvalidInputError: A plugin, a key or the audit log of the configuration is wrong.
    """

    def __init__(
        self, config: Config, sockets: Sockets | None = None, metrics: Metrics | None = None
    ) -> None:
        self._config = config
        self._sockets = sockets
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
        self._metrics = metrics or Metrics()
        self._logins = (
            None
            if self._api is None
            else Logins(
                self._api,
                self._chain,
                config.hub_namespace,
                config.login,
                clock=time.monotonic,
                created=lambda: self._metrics.row.add("sealoshub_logins_created_total"),
            )
        )
        self._events = (
            None
            if self._api is None or config.events_token_file is None
            else Events(
                config.events_token_file,
                LeaseSink(self._api, config.hub_namespace),
                self._metrics.count_event,
            )
        )
        self._probed: tuple[float, str] = (float("-inf"), "")
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._faults: dict[str, str] = {}

    def stop(self) -> None:
        """End `serve` after the requests under way; the second time without draining."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def serve(self) -> None:
        """Serve until :meth:`stop`, SIGTERM or SIGINT.

        Readiness goes first, then, after `drain_seconds`, the listening sockets, then each
        connection after the answer that it waits for.

        Raises:
            InvalidInputError: An address cannot be used.
        """
        audit = Audit(
            self._config.audit, lambda: self._metrics.row.add("sealoshub_audit_lines_lost_total")
        )
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(audit.close)
            stack.push_async_callback(self._close)
            app = self._application(audit)
            sockets = self._sockets or Sockets.bind(self._config)
            stack.callback(sockets.close)
            self.address = sockets.public[0].getsockname()[:2]
            loop = asyncio.get_running_loop()
            for name in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                    # Tests run in a thread, where signals cannot be handled.
                    loop.add_signal_handler(name, self.stop)
            await self._chain.start()
            if self._logins is not None:
                self._logins.start()
            if self._events is not None:
                self._events.start()
            if self._sockets is not None:
                await self._warm_up()
            public = Serving(app, sockets.public, self._config.tls)
            reloading = loop.create_task(self._look_after(public))
            stack.push_async_callback(_cancelled, reloading)
            await stack.enter_async_context(public.running())
            if sockets.metrics:
                self.metrics_address = sockets.metrics[0].getsockname()[:2]
                metrics = Serving(self._metrics, sockets.metrics)
                await stack.enter_async_context(metrics.running())
                _log.info("serving metrics on %s:%s", *self.metrics_address)
            self._metrics.row.put("sealoshub_workers", 1)
            _log.info("serving tokens on %s:%s", *self.address)
            self.started.set()
            await self._stop.wait()
            _log.info("stopping")
            public.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.drain_seconds):
                    await self._hurry.wait()

    async def _warm_up(self) -> None:
        """Wait until requests would not fail, but not for an API server that is down.

        A worker that took connections from the others before it knows what is public would answer
        503 where they answer 200.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WARM_SECONDS):
                while self._chain.unready() and not self._stop.is_set():  # noqa: ASYNC110  # plugins answer and do not tell
                    await asyncio.sleep(WARM_LOOK)

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
            events=self._events,
        )
        return App(
            exchange,
            application(around),
            realm=self._config.issuer,
            trusted_proxies=proxies,
            count=self._metrics.count,
        )

    async def _unready(self) -> list[str]:
        """Return why requests would fail now."""
        reasons = self._chain.unready()
        if self._stop.is_set():
            reasons.append("the server is stopping")
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

    async def _look_after(self, public: Serving) -> None:
        """Follow the files of keys and certificate, and keep the gauges true."""
        while True:
            self._measure()
            await asyncio.sleep(RELOAD_SECONDS)
            if self._reloaded("keys", self._keys.reload):
                self._signer = self._make_signer()
                _log.info("signing with %s now", self._signer.kid)
            if self._reloaded("tls", public.reload):
                _log.info("another TLS certificate is in use now")

    def _reloaded(self, what: str, reload: Callable[[], bool]) -> bool:
        """Read something again; what cannot be used is said once and changes nothing."""
        fault = ""
        try:
            return reload()
        except SealosHubError as exc:
            fault = exc.message
            if fault != self._faults.get(what):
                _log.error("the old %s stay in use: %s", what, fault)  # no traceback
                self._metrics.row.add("sealoshub_reload_failures_total")
            return False
        finally:
            self._faults[what] = fault

    def _measure(self) -> None:
        row = self._metrics.row
        # The last probe's answer: to ask now would cost the API server a call for every look.
        ready = not (self._stop.is_set() or self._chain.unready() or self._probed[1])
        row.put("sealoshub_ready", ready)
        row.put("sealoshub_keys_published", len(self._keys.current.keys))
        row.put("sealoshub_public_repositories_known", not self._chain.unready())
        row.put("sealoshub_logins_known", self._logins is not None and self._logins.is_copied)
        self._metrics.measure()

    async def _close(self) -> None:
        if self._events is not None:
            await self._events.stop()
        await self._chain.stop()
        if self._logins is not None:
            await self._logins.stop()
        if self._api is not None:
            await self._api.aclose()

    def _make_signer(self) -> Signer:
        return Signer(self._keys.current.signing, self._config.issuer, self._config.token_seconds)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _collect_rarely() -> None:
    """Let the garbage collector leave alone what stays anyway; a look at all of it takes 10 ms.

    Requests leave few cycles behind: a look at all young objects is enough, and that less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


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
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
