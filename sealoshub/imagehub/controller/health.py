"""`/healthz`, `/readyz` and `/metrics` of the controller, for a kubelet and Prometheus."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from sealoshub.errors import UsageError
from sealoshub.exposition import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PLAIN: Final = "text/plain; charset=utf-8"


@contextmanager
def serving(
    host: str, port: int, ready: Callable[[], bool], metrics: Callable[[], str]
) -> Iterator[int]:
    """Serve them on *host*:*port* inside of the block; yield the port, chosen if *port* is 0.

    Args:
        host: Address or name to listen on.
        port: TCP port.
        ready: Tells whether the controller has seen the cluster.
        metrics: Returns the exposition.

    Raises:
        UsageError: The port is taken, or *host* is not of this machine.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that the standard library calls
            self._answer(*_page(self.path.partition("?")[0], ready, metrics))

        def _refuse(self) -> None:
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "there is only GET\n")

        do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815  # as above

        def _answer(self, status: HTTPStatus, text: str, kind: str = _PLAIN) -> None:
            body = text.encode()
            self.send_response(status)
            if status == HTTPStatus.METHOD_NOT_ALLOWED:
                self.send_header("Allow", "GET")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
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


def _page(
    path: str, ready: Callable[[], bool], metrics: Callable[[], str]
) -> tuple[HTTPStatus, str, str]:
    """Return status, text and content type of what is at *path*."""
    if path == "/metrics":
        return HTTPStatus.OK, metrics(), CONTENT_TYPE
    if path == "/healthz" or (path == "/readyz" and ready()):
        return HTTPStatus.OK, "ok\n", _PLAIN
    if path == "/readyz":
        return HTTPStatus.SERVICE_UNAVAILABLE, "the cluster has not been read yet\n", _PLAIN
    return HTTPStatus.NOT_FOUND, "not found\n", _PLAIN
