"""Serve the API over TLS until SIGTERM."""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sealoshub.errors import InvalidInputError, UnavailableError
from sealoshub.hub.api import pki
from sealoshub.hub.api.app import TLS, build
from sealoshub.hub.api.authn import StaticTokens
from sealoshub.hub.api.engine import Engine, open_engine
from sealoshub.hub.api.tokens import Tokens

if TYPE_CHECKING:
    from pathlib import Path

DATABASE: Final = "hub.sqlite"
PKI: Final = "pki"
# Watches end at once; a write that is under way is given this many seconds.
GRACE_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """How to serve the API.

    Args:
        data: Folder of the hub: `hub.sqlite` and `pki/`.
        port: TCP port.
        listen: Address to bind.
        hostnames: Further names for the server's certificate.
        log_level: `debug`, `info`, `warning` or `error`.
    """

    data: Path
    port: int
    listen: str = "127.0.0.1"
    hostnames: tuple[str, ...] = ()
    log_level: str = "warning"


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol with the client's certificate in the scope, which ASGI leaves out."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        connection = self.transport.get_extra_info("ssl_object")
        certificate = None if connection is None else connection.getpeercert(binary_form=True)
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # a TypedDict without ours
        scope["extensions"] = {TLS: {"certificate": certificate}}


class _Server(uvicorn.Server):
    """uvicorn that ends the watches first, which would keep it from ending."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    async def shutdown(self, sockets: Any = None) -> None:
        self._engine.watchers.close()
        await super().shutdown(sockets)


def serve(config: ApiConfig) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        InvalidInputError: The folder cannot be used.
        UnavailableError: The port is taken, or another process has the database.
    """
    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    server, engine = make_server(config)
    try:
        asyncio.run(server.serve())
    except SystemExit as exc:  # uvicorn's way to say that it cannot bind
        raise UnavailableError(
            f"cannot serve the API on {config.listen}:{config.port}",
            hint="Another process uses the port; choose one with --port.",
        ) from exc
    finally:
        engine.store.close()


def make_server(config: ApiConfig) -> tuple[uvicorn.Server, Engine]:
    """Return a server that is ready to run, and its state.

    Raises:
        InvalidInputError: The folder cannot be used.
        UnavailableError: Another process has the database.
    """
    folder = config.data / PKI
    pki.ensure_pki(folder, hostnames=config.hostnames)
    key = pki.service_account_key(folder)
    static = StaticTokens(folder / pki.TOKENS)
    engine = open_engine(config.data / DATABASE, Tokens, key, static)
    settings = uvicorn.Config(
        build(engine),
        host=config.listen,
        port=config.port,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_level=config.log_level,
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_keyfile=folder / "server.key",
        ssl_certfile=folder / "server.crt",
        ssl_ca_certs=str(folder / "client-ca.crt"),
        ssl_cert_reqs=ssl.CERT_OPTIONAL,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=None,
    )
    try:
        settings.load()
    except (OSError, ssl.SSLError) as exc:
        raise InvalidInputError(f"cannot use the certificates in {folder}: {exc}") from exc
    if settings.ssl is not None:
        settings.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return _Server(settings, engine), engine
