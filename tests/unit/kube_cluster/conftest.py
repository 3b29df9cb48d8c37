"""A fake API server on a real socket, that answers as it is told and notes what it was asked."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.kube.cluster import Cluster
from sealoshub.kube.kubeconfig import ClusterCredential
from sealoshub.secret import Secret
from tests.loopback import Fake

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came in."""

    method: str
    path: str
    query: str
    token: str | None
    kind: str | None
    body: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to give.

    Args:
        status: HTTP status.
        body: A JSON value, or bytes as they are.
        cut: Close the connection after so many bytes of the body.
        lines: Send these one after the other, each as a chunk, and keep the connection open.
    """

    status: int = 200
    body: Any = field(default_factory=dict)
    cut: int | None = None
    lines: tuple[bytes, ...] | None = None


class FakeApi(Fake[ThreadingHTTPServer]):
    """An API server with knobs: answers are given in the order of `answers`, then `default`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[Answer] = []
        self.default = Answer()
        self.release = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                path, _, query = self.path.partition("?")
                size = int(self.headers.get("Content-Length") or 0)
                content = self.rfile.read(size)
                header = self.headers.get("Authorization")
                fake.asked.append(
                    Asked(
                        self.command,
                        path,
                        query,
                        header.removeprefix("Bearer ") if header else None,
                        self.headers.get("Content-Type"),
                        json.loads(content) if content else None,
                    )
                )
                answer = fake.answers.pop(0) if fake.answers else fake.default
                if answer.lines is not None:
                    self._stream(answer)
                    return
                body = (
                    answer.body
                    if isinstance(answer.body, bytes)
                    else json.dumps(answer.body).encode()
                )
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: answer.cut])
                if answer.cut is not None:
                    self.close_connection = True

            def _stream(self, answer: Answer) -> None:
                self.send_response(answer.status)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for line in answer.lines or ():
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                    self.wfile.flush()
                if answer.cut is None:
                    fake.release.wait(10)
                    self.wfile.write(b"0\r\n\r\n")
                self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815  # names of the standard library

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # inherited
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://localhost:{self._server.server_address[1]}"

    def let_go(self) -> None:
        """End what waits to be told."""
        self.release.set()

    def give(self, *answers: Answer) -> None:
        """Give these answers next."""
        self.answers += answers


def status(code: int, reason: str = "", message: str = "no", **more: Any) -> Answer:  # noqa: ANN401  # JSON
    """Return an error answer."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": message, **more}
    return Answer(code, body)


def credential(url: str, **changes: Any) -> ClusterCredential:  # noqa: ANN401  # fields of the class
    """Return a credential for *url* with the token `t0`."""
    values: dict[str, Any] = {
        "server": url,
        "ca_pem": None,
        "insecure_skip_tls_verify": False,
        "tls_server_name": None,
        "proxy_url": None,
        "token": Secret("t0"),
        "certificate_pem": None,
        "key_pem": None,
        "source": "a test",
        "context": "test",
        "expires": None,
        "namespace": "default",
    }
    return ClusterCredential(**(values | changes))


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    """A fake API server."""
    with FakeApi() as server:
        yield server


@pytest.fixture
def cluster(fake: FakeApi) -> Iterator[Cluster]:
    """The client of the fake."""
    with Cluster.open(credential(fake.url)) as opened:
        yield opened
