"""Single requests: where they go, who they say is asking, and what a failure is called."""

from __future__ import annotations

import _socket
import socket
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.errors import (
    AuthenticationError,
    ContentRefusedError,
    DeniedError,
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.registry import failure
from sealoshub.registry.failure import Answer, TransientError, clean, from_answer, retry_after
from sealoshub.registry.response import Headers
from sealoshub.registry.url import Url
from sealoshub.registry.wire import Request
from sealoshub.secret import Secret
from tests import loopback
from tests.unit.registry.fake_registry import Fault

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sealoshub.registry.transport import Body, Opened
    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry


class _Quiet(BaseHTTPRequestHandler):
    """A server that is whatever its class attributes say."""

    protocol_version = "HTTP/1.1"
    status = 200
    headers_out: tuple[tuple[str, str], ...] = ()
    body = b"{}"

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(self.status)
        for name, value in self.headers_out:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


@contextmanager
def serving(
    context: ssl.SSLContext | None = None,
    *,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"{}",
) -> Iterator[str]:
    """Serve one answer for everything, with TLS if *context* is given; yield `localhost:PORT`."""
    handler = type("_Made", (_Quiet,), {"status": status, "headers_out": headers, "body": body})
    server = _Server(("localhost", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    with loopback.serving(server):
        yield f"localhost:{server.server_address[1]}"


def test_loopback_without_tls(connect: ClientMaker) -> None:
    """On loopback a server that speaks no TLS is spoken to in plain HTTP."""
    with serving() as host:
        base = connect(host, plain_http=None).ping()
    assert str(base.url) == f"http://{host}/"
    assert base.challenge is None


def test_loopback_with_tls(connect: ClientMaker, tls: ssl.SSLContext, certificate: Path) -> None:
    """On loopback a port that speaks TLS is found out, and its certificate is verified."""
    with serving(tls) as host:
        client = connect(host, plain_http=None, ca_file=str(certificate))
        assert client.ping().url.scheme == "https"
        with pytest.raises(UnavailableError) as caught:
            connect(host, plain_http=None).ping()
        assert caught.value.code == "CERTIFICATE"
        assert caught.value.hint is not None
        assert "--ca-file" in caught.value.hint
        insecure = connect(host, plain_http=None, insecure_skip_tls_verify=True)
        assert insecure.ping().url.scheme == "https"


def test_certificate_is_not_retried(
    connect: ClientMaker, tls: ssl.SSLContext, naps: list[float]
) -> None:
    """Waiting mends no certificate."""
    with serving(tls) as host, pytest.raises(UnavailableError, match="not trusted"):
        connect(host, plain_http=False).ping()
    assert naps == []


def test_no_tls_where_it_was_demanded(connect: ClientMaker) -> None:
    """HTTPS to a plain port says so, and how to go on."""
    with serving() as host, pytest.raises(UnavailableError, match="does not speak TLS") as caught:
        connect(host, plain_http=False).ping()
    assert caught.value.hint is not None
    assert "--plain-http" in caught.value.hint


def test_tls_where_plain_was_demanded(connect: ClientMaker, tls: ssl.SSLContext) -> None:
    """Plain HTTP to a TLS port does not wait for ten minutes."""
    page = b"Client sent an HTTP request to an HTTPS server."
    with (
        serving(status=400, body=page) as host,
        pytest.raises(UnavailableError, match="speaks TLS on this port"),
    ):
        connect(host).ping()
    with serving(tls) as host, pytest.raises(UnavailableError):
        connect(host).ping()


def test_refused(connect: ClientMaker, naps: list[float]) -> None:
    """A closed port is tried again within the budget, and named."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"localhost:{closed.getsockname()[1]}"
        with pytest.raises(UnavailableError, match="refused the connection") as caught:
            connect(host).ping()
    assert caught.value.exit_code == 6
    assert naps[0] == 0.5
    assert sum(naps) <= 100


def test_unknown_host(connect: ClientMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that nobody knows is told at once."""

    def fail(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(_socket, "getaddrinfo", fail)
    with pytest.raises(UnavailableError, match=r"the host nowhere\.example is unknown") as caught:
        connect("nowhere.example", plain_http=None).ping()
    assert not isinstance(caught.value, TransientError)


def test_label_too_long(connect: ClientMaker) -> None:
    """A host that cannot be asked for is no traceback."""
    with pytest.raises(UnavailableError):
        connect("a" * 70 + ".example", plain_http=None).ping()


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"<h1>Not Found</h1>"), (403, b"no"), (400, b""), (501, b"")]
)
def test_no_registry(connect: ClientMaker, status: int, body: bytes) -> None:
    """Whatever else answers at /v2/ is no registry."""
    with (
        serving(status=status, body=body) as host,
        pytest.raises(UnavailableError, match=f"is not a registry: .* with {status}") as caught,
    ):
        connect(host).ping()
    assert caught.value.code == "NOT_A_REGISTRY"


def test_web_server(connect: ClientMaker) -> None:
    """A web server that shows a page for everything is no registry either."""
    html = (("Content-Type", "text/html"),)
    with (
        serving(headers=html, body=b"<title>Welcome</title>") as host,
        pytest.raises(UnavailableError, match="Welcome"),
    ):
        connect(host).ping()


def test_ca_file_that_is_none(connect: ClientMaker, tmp_path: Path) -> None:
    """A CA file that is missing or empty is named."""
    with pytest.raises(InvalidInputError, match=r"missing\.pem: No such file"):
        connect("localhost:1", ca_file=str(tmp_path / "missing.pem"))
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(InvalidInputError, match="holds no certificate"):
        connect("localhost:1", ca_file=str(empty))


def test_redirect_to_another_host(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A redirect elsewhere is followed without the token and without other headers."""
    registry.knobs.auth = "bearer"
    with serving(body=b"content") as storage:
        registry.faults.append(
            Fault("GET", "/blobs/", status=307, headers=(("Location", f"http://{storage}/x"),))
        )
        seen: list[dict[str, str]] = []
        client = connect(registry.host, "alice")
        ask = client.wire._http.ask

        def watch(
            method: str, url: Url, headers: Mapping[str, str], body: Body | bytes | None = None
        ) -> Opened:
            if url.netloc == storage:
                seen.append({name.lower(): value for name, value in headers.items()})
            return ask(method, url, headers, body)

        client.wire._http.ask = watch  # type: ignore[method-assign]  # a spy
        answer = client.request(
            "GET", "/v2/o/r/blobs/x", expect={200}, headers={"X-Mine": "1", "Accept": "*/*"}
        )
    assert answer.body == b"content"
    (headers,) = seen
    assert "authorization" not in headers
    assert "x-mine" not in headers


@pytest.mark.parametrize(
    ("base", "location", "expected"),
    [
        ("https://h/v2/o/x", "/v2/y?_state=a%2Fb==", "https://h/v2/y?_state=a%2Fb=="),
        ("https://h/v2/o/x", "y", "https://h/v2/o/y"),
        ("https://h/v2/", "//other/y", "https://other/y"),
        ("https://h:8443/v2/", "http://h/v2/y", "https://h:8443/v2/y"),
        ("https://h/v2/", "http://h/v2/y", "https://h/v2/y"),
        ("https://h/v2/", "http://h:80/v2/y", "https://h/v2/y"),
        ("http://h/v2/", "https://h/v2/y", "https://h/v2/y"),
        ("https://h/v2/", "http://other/v2/y", None),
        ("https://h/v2/", "file:///etc/passwd", None),
        ("https://h/v2/", "https://exa\x01mple/", None),
    ],
)
def test_locations(connect: ClientMaker, base: str, location: str, expected: str | None) -> None:
    """Locations are resolved as RFC 9110 says, and https never becomes http."""
    client = connect("h")
    if expected is None:
        with pytest.raises(UnavailableError):
            client.wire.resolve(Url.parse(base), location)
    else:
        assert str(client.wire.resolve(Url.parse(base), location)) == expected


def test_circle(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A redirect in a circle ends."""
    registry.faults.append(
        Fault("GET", "/v2/$", times=99, status=302, headers=(("Location", "/v2/"),))
    )
    with pytest.raises(UnavailableError, match="circle"):
        connect(registry.host).ping()


def test_endless_body(registry: FakeRegistry, connect: ClientMaker) -> None:
    """No more of an error's body is read than 64 KiB."""
    registry.faults.append(Fault("GET", "/v2/o/", status=400, body=b"x" * 10_000_000))
    with pytest.raises(ContentRefusedError) as caught:
        connect(registry.host).request("GET", "/v2/o/r/blobs/x", expect={200})
    assert len(caught.value.message) < 700


def test_compressed_answer_is_not_unpacked(registry: FakeRegistry, connect: ClientMaker) -> None:
    """An answer that comes compressed although nobody asked is left packed."""
    registry.faults.append(
        Fault("GET", "/v2/o/", status=200, headers=(("Content-Encoding", "gzip"),), body=b"packed")
    )
    answer = connect(registry.host).request("GET", "/v2/o/r/blobs/x", expect={200})
    assert answer.body == b"packed"


def test_huge_header(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A header without end is an error and not a full memory."""
    registry.faults.append(
        Fault("GET", "/v2/$", times=99, status=401, headers=(("X", "y" * 1_000_000),))
    )
    with pytest.raises(UnavailableError):
        connect(registry.host).ping()


def test_warning_is_said_once(
    registry: FakeRegistry, connect: ClientMaker, notes: list[str]
) -> None:
    """A registry's `Warning` reaches the user, once and clean."""
    registry.knobs.warning = '299 - "this registry \x9bmoves"'
    client = connect(registry.host)
    for _ in range(3):
        client.request("GET", "/v2/o/r/blobs/x", expect={404})
    assert notes == [f"{registry.host} warns: this registry moves"]


def test_anonymous_ping_then_challenge(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A registry that lets everybody ping is authenticated to when it asks."""
    registry.knobs.auth = "bearer"
    registry.faults.append(Fault("GET", "/v2/$", status=200, body=b"{}"))
    client = connect(registry.host, "alice")
    for _ in range(2):
        client.request("GET", "/v2/o/r/blobs/x", expect={404}, scopes=("repository:o/r:pull",))
    assert len(registry.tokens_asked()) == 1


def test_basic_registry(registry: FakeRegistry, connect: ClientMaker) -> None:
    """Basic authentication works, and a refused password is sent once."""
    registry.knobs.auth = "basic"
    connect(registry.host, "alice").request("GET", "/v2/o/r/blobs/x", expect={404})
    registry.seen.clear()
    with pytest.raises(AuthenticationError, match="refused the login of alice"):
        connect(registry.host, "alice", "wrong").request("GET", "/v2/o/r/blobs/x", expect={200})
    assert sum("Authorization" in request.headers for request in registry.seen) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ContentRefusedError),
        (401, AuthenticationError),
        (403, DeniedError),
        (404, NotFoundError),
        (405, ContentRefusedError),
        (413, ContentRefusedError),
        (301, UnavailableError),
        (501, UnavailableError),
        *((status, TransientError) for status in (408, 425, 429, 500, 502, 503, 504, 520, 525)),
    ],
)
def test_statuses(status: int, kind: type[SealosHubError]) -> None:
    """Every status has its class."""
    error = from_answer(answered(status, b""))
    assert type(error) is kind


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"errors":[{"code":"DENIED","message":"no","detail":{}}]}', "DENIED: no"),
        (b'{"errors":[{"code":"A","message":"x"},{"code":"B"}]}', "A: x; B"),
        (b'{"error":"invalid_grant","error_description":"bad"}', "invalid_grant: bad"),
        (b"<html><head><title>502</title><style>x</style></head><body>b</body></html>", "502"),
        (b"<script>alert(1)</script><p>Too &amp; large</p>", "Too & large"),
        (b"plain \x1b]0;title\x07text\x00 \xe2\x80\xaeabc", "plain text abc"),
        (b'{"errors":[{"code":"\\u001b[2J","message":"m\\nn"}]}', ": m n"),
        (b'{"errors":"none"}', '{"errors":"none"}'),
        (b"[" * 100_000, None),
        (b"", ""),
    ],
)
def test_what_a_server_says(body: bytes, said: str | None) -> None:
    """Bodies become one clean line, whatever they are."""
    found = failure.words(answered(400, body))
    assert said is None or found == said
    assert len(found) <= failure.MAX_TEXT


@given(st.text())
def test_clean(text: str) -> None:
    """Nothing that moves a terminal's cursor is left."""
    found = clean(text)
    assert found.isprintable()
    assert len(found) <= failure.MAX_TEXT


def test_secrets_of_urls_are_left_out() -> None:
    """Queries, users and fragments of URLs are in no message."""
    url = Url.parse("https://user:planted@h/v2/x?_state=planted&X-Amz-Signature=planted#planted")
    error = from_answer(Answer("PUT", url, 400, Headers()))
    assert "planted" not in error.message
    assert error.message == "PUT https://h/v2/x was answered with 400"


def test_malformed_header_is_not_quoted(connect: ClientMaker) -> None:
    """A header that would write another line is not sent, and not told: it may be a credential."""
    with serving() as host:
        client = connect(host)
        request = Request("GET", client.ping().url)
        with pytest.raises(UnavailableError, match="a header is malformed") as caught:
            client.wire.send(request, Secret("Bearer planted\r\nX: y"))
    assert "planted" not in caught.value.message
    assert "planted" not in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("", None),
        ("9" * 40, None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    """`Retry-After` is seconds or a date."""
    assert retry_after(Headers([("Retry-After", text)]), now=10.0) == seconds


def answered(status: int, body: bytes) -> Answer:
    """Make an answer."""
    return Answer("GET", Url.parse("https://h/v2/"), status, Headers(), body)
