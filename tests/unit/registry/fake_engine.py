"""A docker Engine API on a unix socket, with knobs."""

from __future__ import annotations

import http.server
import json
import socketserver
import tempfile
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.loopback import Fake

if TYPE_CHECKING:
    from types import TracebackType


class FakeEngine(Fake["_Server"]):
    """A docker that has some images; a context manager.

    Attributes:
        images: `docker save` streams by name.
        asked: Paths that were asked for, in order.
        status: Answered to everything, instead of the truth; None: the truth.
        cut_at: Byte of an image after which the connection ends; None: never.
        body: Of an answer with *status*.
    """

    def __init__(self) -> None:
        # Not in the folder of the test: the path of a unix socket has at most 107 bytes.
        self._folder = tempfile.TemporaryDirectory(prefix="engine-")
        self.path = f"{self._folder.name}/docker.sock"
        self.images: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.status: int | None = None
        self.body = b'{"message":"something \\u001b[31mbroke"}'
        self.cut_at: int | None = None
        self._server = _Server(self.path, self)

    @property
    def env(self) -> dict[str, str]:
        """What leads to it."""
        return {"DOCKER_HOST": f"unix://{self.path}"}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, value, traceback)
        self._folder.cleanup()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = False

    def __init__(self, path: str, engine: FakeEngine) -> None:
        self.engine = engine
        super().__init__(path, _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        engine = self.server.engine
        engine.asked.append(self.path)
        name, _, action = unquote(self.path).removeprefix("/images/").rpartition("/")
        if engine.status is not None:
            self._answer(engine.status, engine.body)
        elif name not in engine.images:
            message = f"No such image: {name}"
            self._answer(404, json.dumps({"message": message}).encode())
        elif action == "json":
            self._answer(200, b"{}")
        else:
            self._stream(engine.images[name], engine.cut_at)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, content: bytes, cut_at: int | None) -> None:
        """Send as docker does: in chunks, without a length."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-tar")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(content), 32 * 1024):
            block = content[start : start + 32 * 1024]
            if cut_at is not None and start >= cut_at:
                self.close_connection = True
                return
            self.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_arguments: Any) -> None:  # noqa: ANN401  # as the base class has it
        """Say nothing."""
