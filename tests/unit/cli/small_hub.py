"""A registry and its token server in one, small enough to lie in every way a doctor must notice."""

from __future__ import annotations

import base64
import email.utils
import json
import ssl
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from tests.loopback import Fake

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Seen:
    """A request that arrived at `/v1`."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    authorization: str


@dataclass
class SmallHub(Fake["_Server"]):
    """The server; use it in a `with` block.

    Args:
        challenge: `WWW-Authenticate` of `/v2/`; `{url}` is the server; empty for none.
        refuse: The token server answers 401.
        accept: The registry accepts the tokens.
        claims: Of the tokens, over the truth.
        skew: Seconds that the registry's clock is ahead.
        answers: Status and body by method and path under `/v1`.
        tls: Files of certificate and key; None for plain HTTP.
    """

    challenge: str = 'Bearer realm="{url}/token",service="hub"'
    refuse: bool = False
    accept: bool = True
    claims: dict[str, object] = field(default_factory=dict)
    skew: float = 0.0
    answers: dict[tuple[str, str], tuple[int, object]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    tls: tuple[Path, Path] | None = None

    def __post_init__(self) -> None:
        """Take a port."""
        self._server = _Server(("localhost", 0), _Handler)
        self._server.hub = self
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    @property
    def host(self) -> str:
        """`localhost:PORT`."""
        return f"localhost:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """`http://localhost:PORT`, or https."""
        return f"{'http' if self.tls is None else 'https'}://{self.host}"

    def error(self, status: int, code: str, message: str) -> tuple[int, object]:
        """Return an answer of the kind that the token server gives."""
        return status, {"errors": [{"code": code, "message": message}]}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    hub: SmallHub

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that try TLS."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing."""

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the time of the registry's clock."""
        hub = cast("_Server", self.server).hub
        return email.utils.formatdate((timestamp or time.time()) + hub.skew, usegmt=True)

    def do_GET(self) -> None:
        """Answer."""
        hub = cast("_Server", self.server).hub
        parts = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        authorization = self.headers.get("authorization") or ""
        if parts.path == "/v2/":
            self._registry(hub, authorization)
        elif parts.path == "/token":
            self._token(hub)
        else:
            content = json.loads(body) if body else None
            query = parse_qs(parts.query)
            hub.seen.append(Seen(self.command, parts.path, query, content, authorization))
            nothing = hub.error(404, "UNSUPPORTED", "there is nothing at this path")
            self._send(*hub.answers.get((self.command, parts.path), nothing))

    do_POST = do_DELETE = do_GET  # noqa: N815  # names that the base class looks for

    def _registry(self, hub: SmallHub, authorization: str) -> None:
        wanted = hub.challenge.format(url=hub.url)
        scheme = wanted.partition(" ")[0].lower()
        sent = authorization.lower().startswith(scheme)
        if not wanted or (sent and hub.accept):
            self._send(200, {})
        else:
            self._send(*hub.error(401, "UNAUTHORIZED", "not accepted"), challenge=wanted)

    def _token(self, hub: SmallHub) -> None:
        if hub.refuse:
            self._send(*hub.error(401, "UNAUTHORIZED", "this login is not known here"))
            return
        now = int(time.time() + hub.skew)
        claims = {"iss": "sealoshub", "aud": "hub", "sub": "alice", "iat": now, **hub.claims}
        parts = (json.dumps(part).encode() for part in ({"alg": "ES256"}, claims))
        token = ".".join([*(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in parts), "x"])
        self._send(200, {"token": token, "expires_in": 300})

    def _send(self, status: int, content: object, challenge: str = "") -> None:
        body = b"" if status == 204 else json.dumps(content).encode()
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
