"""`/healthz` and `/readyz` of the controller, for a kubelet or a supervisor."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from sealoshub.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def serving(host: str, port: int, ready: Callable[[], bool]) -> Iterator[int]:
    """Serve both on *host*:*port* inside of the block; yield the port, chosen if *port* is 0.

    Args:
        host: Address or name to listen on.
        port: TCP port.
        ready: Tells whether the controller has seen the cluster.

    Raises:
        UsageError: The port is taken, or *host* is not of this machine.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that the standard library calls
            path = self.path.partition("?")[0]
            if path == "/healthz":
                self._answer(HTTPStatus.OK, "ok")
            elif path == "/readyz":
                good = ready()
                self._answer(
                    HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE,
                    "ok" if good else "the cluster has not been read yet",
                )
            else:
                self._answer(HTTPStatus.NOT_FOUND, "not found")

        def _answer(self, status: HTTPStatus, text: str) -> None:
            body = text.encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # inherited name
            """Say nothing: a probe a second is no news."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as exc:
        raise UsageError(f"cannot listen on {host}:{port}: {exc.strerror or exc}") from exc
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="health", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
