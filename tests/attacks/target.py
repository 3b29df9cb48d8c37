"""The attacked token server: a process of its own on the API of a hub, and those who ask it.

It is not the hub's own token server, because the limits of some attacks, such as 1,500 wrong
passwords from one address, would reach the tests that share the hub.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode

import yaml

from sealoshub.authserver import keys
from tests.integration.servers.process import Server, free_port
from tests.unit.authserver.running import Answer, basic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

SERVICE: Final = "hub"
OTHER_SERVICE: Final = "other-hub"
TOKEN_SECONDS: Final = 60  # the shortest that can be set
REQUEST_SECONDS: Final = 60.0
EVENTS_TOKEN: Final = "the-token-of-the-registry-of-the-attacks"
SHORTEST_SECRET: Final = 12  # characters; a shorter one may stand in a log by chance
_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}

Credentials = tuple[str, str]


class Target:
    """A running token server; a context manager that starts and stops it.

    Args:
        folder: For its files; not there yet.
        api: Section `api` of its configuration.
        env: Environment of the process.
        changes: Further keys of its configuration.
    """

    def __init__(
        self, folder: Path, api: Mapping[str, Any], env: Mapping[str, str], **changes: object
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.metrics_port = free_port()
        self.secrets: set[str] = {EVENTS_TOKEN}
        self._env = {**env, "PYTHONWARNINGS": "error"}
        self._addresses = (f"127.9.{n // 250}.{n % 250 + 1}" for n in itertools.count())
        self.configuration: dict[str, Any] = {
            "listen": f"localhost:{self.port}",
            "metrics_listen": f"localhost:{self.metrics_port}",
            "service": [SERVICE, OTHER_SERVICE],
            "token_seconds": TOKEN_SECONDS,
            "keys_dir": str(folder / "keys"),
            "api": dict(api),
            "plugins": [{"name": "kubernetes"}],
            "audit": str(folder / "audit.log"),
            "events_token_file": str(folder / "events-token"),
            **changes,
        }

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        keys.ensure(self.folder / "keys")
        file = self.write_configuration()
        command: list[str | Path] = [Path(sys.executable), "-m", "sealoshub", "hub"]
        command += ["auth-server", "--config", file]
        self._server = Server(command, self.folder / "log", self._env)
        self._server.wait_ready(self._is_ready)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop()

    def write_configuration(self) -> Path:
        """Write the configuration file and return its path."""
        (self.folder / "events-token").write_text(EVENTS_TOKEN)
        file = self.folder / "auth-server.yaml"
        file.write_text(yaml.safe_dump(self.configuration))
        return file

    @property
    def pid(self) -> int:
        """Its process."""
        return self._server.pid

    def stranger(self) -> Client:
        """Return a client with an address that nobody else has: failures count by address."""
        return Client(self.port, next(self._addresses), self.secrets)

    def said(self) -> str:
        """Return everything that it wrote: log, audit log and metrics."""
        files = (self.folder / "log", self.folder / "audit.log")
        return "\n".join([file.read_text(errors="replace") for file in files] + [self.metrics()])

    def metrics(self) -> str:
        """Return its metrics."""
        client = Client(self.metrics_port, "127.0.0.1", set())
        return client.request("GET", "/metrics").body.decode()

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return Client(self.port, "127.0.0.1", set()).request("GET", "/readyz").status == 200
        return False


class Client:
    """Requests from one address of this machine.

    Args:
        port: Of the token server.
        address: Source address, within 127.0.0.0/8.
        secrets: Receives every credential that is sent.
    """

    def __init__(self, port: int, address: str, secrets: set[str]) -> None:
        self.address = address
        self._port = port
        self._secrets = secrets

    @contextlib.contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        """Open a connection."""
        made = http.client.HTTPConnection(
            "127.0.0.1", self._port, timeout=REQUEST_SECONDS, source_address=(self.address, 0)
        )
        try:
            yield made
        finally:
            made.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request."""
        with self.connection() as opened:
            opened.request(method, path, body, dict(headers or {}))
            answer = opened.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())

    def get(
        self,
        *scopes: str,
        login: Credentials | None = None,
        service: str | None = SERVICE,
        headers: Mapping[str, str] | None = None,
        **parameters: str,
    ) -> Answer:
        """Ask for a token as docker does."""
        self._note(login[1] if login else "")
        query = [("scope", scope) for scope in scopes] + list(parameters.items())
        if service is not None:
            query.append(("service", service))
        return self.request(
            "GET", f"/token?{urlencode(query)}", headers={**basic(login), **(headers or {})}
        )

    def post(self, *scopes: str, **fields: str) -> Answer:
        """Ask for a token as OAuth2 clients do."""
        return self.post_with({}, *scopes, **fields)

    def post_with(self, headers: Mapping[str, str], *scopes: str, **fields: str) -> Answer:
        """Ask for a token by POST, with more headers than those of a form."""
        for name in ("password", "refresh_token"):
            self._note(fields.get(name, ""))
        pairs = [("scope", scope) for scope in scopes]
        pairs += {"service": SERVICE, "client_id": "attacks", **fields}.items()
        return self.request(
            "POST", "/token", body=urlencode(pairs).encode(), headers={**_FORM, **headers}
        )

    def refresh_token(self, login: Credentials, service: str = SERVICE) -> str:
        """Log in as docker does and return the refresh token."""
        answer = self.get(login=login, service=service, offline_token="true")
        assert answer.status == 200, answer.body
        token: str = answer.json["refresh_token"]
        self._note(token)
        return token

    def _note(self, secret: str) -> None:
        if len(secret) >= SHORTEST_SECRET:
            self._secrets.add(secret)


def kubeconfig(user: Mapping[str, object], **cluster: object) -> str:
    """Return a kubeconfig with one user and one cluster, as an attacker writes it."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": "https://localhost:1", **cluster}}],
            "users": [{"name": "u", "user": dict(user)}],
        }
    )


def api_of(data: Path) -> Mapping[str, Any]:
    """Return how the token server of the hub in the folder *data* reaches its API server."""
    content = yaml.safe_load((data / "run" / "auth-server.yaml").read_text())
    found: Mapping[str, Any] = content["api"]
    return found
