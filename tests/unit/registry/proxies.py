"""Small real proxies: HTTP with and without TLS, and SOCKS 5; whatever host is asked for is one."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import socketserver
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from tests.loopback import Fake

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 20.0  # without a byte, after which a proxy gives up


@dataclass
class ProxyServer(Fake["_Server"]):
    """A proxy on loopback that leads every host to one server; use it in a `with` block.

    Args:
        target: Port of that server.
        kind: `http`, `https` or `socks5`.
        context: For `https`: how it speaks TLS.
        credential: Name and password that it wants.
        refusals: What it answers to the next requests instead: a status, or a reply of SOCKS; 0
            hangs up.
        asked: `host:port` of each request.
    """

    target: int
    kind: str = "http"
    context: ssl.SSLContext | None = None
    credential: tuple[str, str] | None = None
    refusals: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = _Server(("localhost", 0), _Handler)
        self._server.owner = self
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Its address, with the credential that it wants."""
        who = ":".join(self.credential) + "@" if self.credential else ""
        return f"{self.kind}://{who}localhost:{self.port}"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    owner: ProxyServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: broken connections are what the tests are about."""


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        owner = cast("_Server", self.server).owner
        client: socket.socket = self.request
        client.settimeout(SECONDS)
        if owner.context is not None:
            client = owner.context.wrap_socket(client, server_side=True)
        with client:
            _socks(client, owner) if owner.kind == "socks5" else _http(client, owner)


def _http(client: socket.socket, owner: ProxyServer) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(1)
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split()
    is_tunnel = method == "CONNECT"
    owner.asked.append(target if is_tunnel else target.split("/")[2])
    status = owner.refusals.pop(0) if owner.refusals else 200
    if owner.credential is not None:
        pair = base64.b64encode(":".join(owner.credential).encode()).decode()
        if f"Proxy-Authorization: Basic {pair}" not in lines:
            status = 407
    if status == 200:
        with socket.create_connection(("localhost", owner.target), SECONDS) as server:
            if is_tunnel:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _relay(client, server)
            else:
                path = target.split("/", 3)[3]
                kept = [line for line in lines if not line.startswith("Proxy-") and line]
                last = ("Connection: close", "", "")
                rest = "\r\n".join((f"{method} /{path} HTTP/1.1", *kept, *last))
                server.sendall(rest.encode("latin-1"))
                # One request a connection, so that the next one is asked of the proxy again.
                _relay(client, server, b"\r\nConnection: close\r\n")
    elif status:
        client.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())


def _socks(client: socket.socket, owner: ProxyServer) -> None:
    version, count = _exactly(client, 2)
    methods = _exactly(client, count)
    wanted = 2 if owner.credential is not None else 0
    if version != 5 or wanted not in methods:
        client.sendall(b"\x05\xff")
        return
    client.sendall(bytes((5, wanted)))
    if owner.credential is not None:
        _exactly(client, 1)
        given = tuple(_exactly(client, _exactly(client, 1)[0]).decode() for _ in range(2))
        client.sendall(b"\x01\x00" if given == owner.credential else b"\x01\x01")
        if given != owner.credential:
            return
    _, _, _, kind = _exactly(client, 4)
    assert kind == 3, "the name is resolved by the proxy"
    host = _exactly(client, _exactly(client, 1)[0]).decode()
    port = int.from_bytes(_exactly(client, 2))
    owner.asked.append(f"{host}:{port}")
    if owner.refusals:
        reply = owner.refusals.pop(0)
        if reply:
            client.sendall(bytes((5, reply, 0, 1)) + bytes(6))
        return
    with socket.create_connection(("localhost", owner.target), SECONDS) as server:
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))
        _relay(client, server)


def _exactly(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        block = client.recv(size - len(found))
        if not block:
            raise ConnectionError("the client has gone")
        found += block
    return found


def _relay(client: socket.socket, server: socket.socket, said: bytes = b"") -> None:
    """Carry bytes both ways until one side ends, *said* behind the first line of the answer."""
    pairs = ((client, server), (server, client))
    while True:
        waiting = isinstance(client, ssl.SSLSocket) and client.pending()
        ready = [client] if waiting else select.select([client, server], [], [], SECONDS)[0]
        for one, other in pairs:
            if one in ready:
                block = one.recv(65536)
                if not block:
                    return
                if said and one is server:
                    block, said = block.replace(b"\r\n", said, 1), b""
                other.sendall(block)
        if not ready:
            return


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port on which nothing listens, and which nobody else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
