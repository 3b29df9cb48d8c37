"""A real distribution registry, 2.8 or 3, on its own."""

from __future__ import annotations

import contextlib
import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx
import yaml

from tests.integration.servers.process import Server, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """Where the registry sends its clients for tokens, and whom it believes.

    Args:
        realm: URL of the token endpoint.
        service: Audience of the tokens.
        issuer: Issuer of the tokens.
        bundle: PEM file of certificates, which 2.8 reads.
        jwks: JSON file of keys, which 3 reads.
    """

    realm: str
    service: str
    issuer: str
    bundle: Path
    jwks: Path


class RegistryServer:
    """A registry with a storage folder of its own; a context manager that starts and stops it.

    Args:
        binary: Path of the program.
        folder: Empty folder for its files.
        env: Environment of the program.
        auth: How it is protected; None lets everybody do everything.
        port: TCP port on loopback; None for a free one.
        settings: Further sections of its configuration, such as `notifications`.
    """

    def __init__(  # noqa: PLR0913  # knobs with defaults
        self,
        binary: Path,
        folder: Path,
        env: Mapping[str, str],
        *,
        auth: TokenAuth | None = None,
        port: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._binary = binary
        self._env = env
        self._folder = folder
        self._auth = auth
        self._port = free_port() if port is None else port
        self._settings = settings or {}
        self._server: Server
        self.host = f"localhost:{self._port}"
        self.url = f"http://{self.host}"
        self.storage = folder / "storage"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._configuration.write_text(yaml.safe_dump(self._content()))
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop()

    def restart(self) -> None:
        """Kill the registry and start it again on the same port and storage."""
        self._server.kill()
        self._start()

    def pause(self) -> None:
        """Let the registry hang."""
        self._server.pause()

    def resume(self) -> None:
        """End :meth:`pause`."""
        self._server.resume()

    def limit_files(self, size: int | None) -> None:
        """Let the registry write no file beyond *size* bytes, as on a full disk; None: any."""
        number = resource.RLIMIT_FSIZE
        _, hard = resource.prlimit(self._server.pid, number)
        resource.prlimit(self._server.pid, number, (hard if size is None else size, hard))

    def _start(self) -> None:
        self._server = Server(
            [self._binary, "serve", self._configuration],
            self._folder / "registry.log",
            {**self._env, "OTEL_TRACES_EXPORTER": "none"},  # 3 would look for a collector
        )
        self._server.wait_ready(self._answers)

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/v2/", trust_env=False).status_code in {200, 401}
        return False

    @property
    def _configuration(self) -> Path:
        return self._folder / "registry.yml"

    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage)},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.host, "secret": "only for the tests"},
        }
        if self._auth is not None:
            content["auth"] = {
                "token": {
                    "realm": self._auth.realm,
                    "service": self._auth.service,
                    "issuer": self._auth.issuer,
                    "rootcertbundle": str(self._auth.bundle),
                    "jwks": str(self._auth.jwks),
                }
            }
        return content | dict(self._settings)
