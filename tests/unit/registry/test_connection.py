"""HTTP/1.1 on sockets: every answer there is, honest or not."""

from __future__ import annotations

import _socket
import hashlib
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import InvalidInputError, UnavailableError
from sealoshub.registry import connection, failure, transport
from sealoshub.registry.connection import FileSlice, HeaderError
from sealoshub.registry.response import (
    MAX_HEAD,
    ClosedError,
    ExchangeError,
    Headers,
    NotPlainError,
)
from sealoshub.registry.transport import Body, Opened, PoolClosedError, Transport
from sealoshub.registry.url import Url
from tests.unit.registry.scripted import Scripted, Visitor, answers, until

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = (
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
    "1;a=b\r\no\r\n1\r\nk\r\n0\r\nX: trailer\r\n\r\n"
)
REFUSED = "HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo much"


def trusting() -> ssl.SSLContext:
    """Return TLS settings that take any certificate."""
    return transport.tls_context(None, insecure_skip_tls_verify=True)


@pytest.fixture
def http() -> Iterator[Transport]:
    """Connections that are closed at the end."""
    made = Transport(trusting, {})
    yield made
    made.close()


def url(server: Scripted, path: str = "/", scheme: str = "http") -> Url:
    """Return an address on *server*."""
    return Url.parse(f"{scheme}://127.0.0.1:{server.port}{path}")


def get(http: Transport, server: Scripted, method: str = "GET") -> bytes:
    """Ask and read to the end."""
    with http.ask(method, url(server), {}) as answer:
        return read(answer)


def read(answer: Opened) -> bytes:
    """Read a whole body in small steps."""
    return b"".join(iter(lambda: answer.read(1000), b""))


def file_body(path: Path, size: int, piece: int) -> Body:
    """Make a body of slices of a file."""

    def pieces() -> Iterator[FileSlice]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            for start in range(0, size, piece):
                yield FileSlice(descriptor, start, min(piece, size - start))
        finally:
            os.close(descriptor)

    return Body(pieces, size)


@pytest.fixture(params=["copied", "by the kernel"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are sent as to this machine, and as to another one."""
    monkeypatch.setattr(connection, "_is_near", lambda _socket: request.param == "copied")


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("text", "status", "body"),
    [
        (OK, 200, b"ok"),
        ("HTTP/1.1 200 OK\r\ncontent-LENGTH:2\r\n\r\nok", 200, b"ok"),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
        ("HTTP/1.1 404 Nothing\r\nContent-Length: 0\r\n\r\n", 404, b""),
        ("HTTP/1.1 204 No\r\n\r\n", 204, b""),
        ("HTTP/1.1 304 Same\r\nContent-Length: 99\r\n\r\n", 304, b""),
        ("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok"),
        (CHUNKED, 200, b"ok"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nX: caf\xe9\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    ],
)
def test_answers(http: Transport, text: str | bytes, status: int, body: bytes) -> None:
    """Every framing of RFC 9112 is read, in one piece and byte by byte."""
    raw = text.encode("latin-1") if isinstance(text, str) else text

    def slowly(visitor: Visitor) -> None:
        visitor.read()
        visitor.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for position in range(len(raw)):
            visitor.say(raw[position : position + 1])

    with Scripted(answers(text), slowly) as server:
        for _ in range(2):
            with http.ask("GET", url(server), {}) as answer:
                assert answer.status == status
                assert "link" not in answer.headers
                assert read(answer) == body


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_head_has_no_body(http: Transport, status: str) -> None:
    """The length in the answer to HEAD is that of another answer; the connection stays."""
    text = f"HTTP/1.1 {status}\r\nContent-Length: 12345\r\n\r\n"
    with Scripted(answers(text, text, OK)) as server:
        for _ in range(2):
            with http.ask("HEAD", url(server), {}) as answer:
                assert answer.headers.get("Content-Length") == "12345"
                assert answer.read(10) == b""
        assert get(http, server) == b"ok"
        assert len(server.visitors) == 1


def reads_a_head(visitor: Visitor) -> None:
    """Read the head of a request, and close."""
    visitor.read_head()


def reads_a_request(visitor: Visitor) -> None:
    """Read a request, and close."""
    visitor.read()


def endless(prefix: str, block: str) -> Callable[[Visitor], None]:
    """Say *prefix*, then *block* for ever."""

    def script(visitor: Visitor) -> None:
        visitor.read()
        visitor.say(prefix)
        while True:
            visitor.say(block)

    return script


@pytest.mark.parametrize(
    "script",
    [
        answers("SSH-2.0-OpenSSH_9.2\r\n"),
        answers("HTTP/2 200\r\n\r\n"),
        answers("<html>"),
        answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
        answers("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
        answers("HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok"),
        answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok"),
        answers("HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok"),
        answers("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
        answers("HTTP/1.1 200 OK\r\n" + "X: y\r\n" * 300 + "\r\n"),
        answers("HTTP/1.1 200 OK\r\nX: " + "y" * 10_000_000 + "\r\n\r\n"),
        answers("HTTP/1.1 200 OK\r\nX: " + "y" * 2 * MAX_HEAD + "\r\n\r\n"),
        endless("HTTP/1.1 200 OK\r\nX: ", "y" * 1000),
        endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
        answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x" * 10_000),
        endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n" * 1000),
    ],
)
def test_hostile_answers(http: Transport, script: Callable[[Visitor], None]) -> None:
    """What is no HTTP, two things at once, or without end is refused, with bounded memory."""
    with Scripted(script) as server:
        with pytest.raises((ExchangeError, ConnectionError)) as caught:
            get(http, server)
        error = failure.from_transport(caught.value, "GET", url(server))
    assert error.code == "CONNECTION"


def test_alert_of_tls(http: Transport) -> None:
    """A TLS server that is asked in plain text is recognised."""
    with Scripted(answers(b"\x15\x03\x01\x00\x02\x02\x0a")) as server:
        with pytest.raises(NotPlainError) as caught:
            get(http, server)
        error = failure.from_transport(caught.value, "GET", url(server))
    assert error.code == "NOT_PLAIN"


@pytest.mark.parametrize(
    "text",
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    ],
)
def test_answer_that_ends_early(http: Transport, text: str) -> None:
    """A body that breaks off is never taken for a whole one."""
    with Scripted(answers(text)) as server, pytest.raises(ClosedError):
        get(http, server)


def test_tls_answer_that_is_cut(http: Transport, tls: ssl.SSLContext) -> None:
    """Over TLS the end of the connection ends a body only if the server says so."""
    text = "HTTP/1.0 200 OK\r\n\r\npart"
    with (
        Scripted(answers(text), context=tls) as server,  # closes without a word
        http.ask("GET", url(server, scheme="https"), {}) as answer,
        pytest.raises(OSError, match="EOF"),
    ):
        read(answer)


def test_headers() -> None:
    """Names are found in any letter case; several lines of one name are one list."""
    headers = Headers([("WWW-Authenticate", "Basic"), ("www-authenticate", "Bearer"), ("X", "1")])
    assert headers.get("Www-Authenticate") == "Basic, Bearer"
    assert headers.get_list("WWW-AUTHENTICATE") == ["Basic", "Bearer"]
    assert headers.get("Y") is None
    assert headers.get("Y", "2") == "2"
    assert "x" in headers
    assert dict(headers.items())["x"] == "1"


# ---------------------------------------------------------------- connections


def test_kept_alive(http: Transport) -> None:
    """One connection carries one request after the other."""
    with Scripted(answers(*[OK] * 5)) as server:
        assert [get(http, server) for _ in range(5)] == [b"ok"] * 5
        assert len(server.visitors) == 1


@pytest.mark.parametrize(
    "text",
    [
        OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
        OK.replace("\r\n\r\n", "\r\nConnection: Foo, CLOSE\r\n\r\n"),
        OK.replace("1.1", "1.0"),
        OK + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        OK + "x",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nrest",
    ],
)
def test_not_used_again(http: Transport, text: str) -> None:
    """A connection that ends, or that carries what nobody asked for, is not used again."""

    def script(visitor: Visitor) -> None:
        visitor.read()
        visitor.say(text)
        visitor.read()
        visitor.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    with Scripted(script, answers(OK)) as server:
        assert get(http, server) == b"ok"
        assert get(http, server) == b"ok"
        assert len(server.visitors) == 2


def test_unread_answer(http: Transport) -> None:
    """A connection whose answer was not read to its end is closed."""
    long = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + "x" * 1_000_000
    with Scripted(answers(long, OK), answers(OK)) as server:
        with http.ask("GET", url(server), {}) as answer:
            assert answer.read_up_to(10) == b"x" * 10
        assert get(http, server) == b"ok"
        assert len(server.visitors) == 2


def test_stale_connection(http: Transport) -> None:
    """A connection that the server closed meanwhile is seen before a POST is sent over it."""
    with Scripted(answers(OK), answers(OK)) as server:
        assert get(http, server) == b"ok"
        (idle,) = (known for many in http._idle.values() for known in many)
        until(lambda: not idle.is_alive())
        assert get(http, server, "POST") == b"ok"
        assert len(server.visitors) == 2


def closes_on_the_second(visitor: Visitor) -> None:
    """Answer one request, read another and say nothing."""
    visitor.read()
    visitor.say(OK)
    visitor.read()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_asked_again(http: Transport, method: str) -> None:
    """A question without consequences is asked again if the kept connection was just closing."""
    with Scripted(closes_on_the_second, answers(OK)) as server:
        assert get(http, server) == b"ok"
        with http.ask(method, url(server), {}) as answer:
            assert answer.status == 200
        assert len(server.visitors) == 2


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_not_asked_again(http: Transport, method: str) -> None:
    """What may have had consequences is left to the retry policy."""
    with Scripted(closes_on_the_second, answers(OK)) as server:
        assert get(http, server) == b"ok"
        with pytest.raises((ClosedError, ConnectionError)):
            http.ask(method, url(server), {})
        assert len(server.visitors) == 1


def test_new_connection_is_not_tried_again(http: Transport) -> None:
    """A server that closes every connection is not asked for ever."""
    with Scripted(reads_a_head) as server:
        with pytest.raises((ClosedError, ConnectionError)):
            get(http, server)
        assert len(server.visitors) == 1


def test_half_an_answer_is_not_asked_again(http: Transport) -> None:
    """Once a byte of an answer came, the question is not repeated."""
    with Scripted(answers(OK, "HTTP/1.1 2"), answers(OK)) as server:
        assert get(http, server) == b"ok"
        with pytest.raises((ClosedError, ConnectionError)):
            get(http, server)
        assert len(server.visitors) == 1


def test_closed_while_somebody_waits(http: Transport) -> None:
    """Closing the client ends requests under way in other threads, and refuses new ones."""
    asked, errors = threading.Event(), list[BaseException]()

    def silent(visitor: Visitor) -> None:
        visitor.read()
        asked.set()
        visitor.read()

    def ask() -> None:
        try:
            get(http, server)
        except (ExchangeError, OSError) as exc:
            errors.append(exc)

    with Scripted(silent) as server:
        thread = threading.Thread(target=ask)
        thread.start()
        assert asked.wait(20)
        http.close()
        thread.join(20)
        assert len(errors) == 1
        with pytest.raises(PoolClosedError):
            get(http, server)


@pytest.mark.parametrize(("limit", "body"), [("READ", None), ("WRITE", bytes(64 << 20))])
def test_server_that_does_nothing(
    http: Transport, monkeypatch: pytest.MonkeyPatch, limit: str, body: bytes | None
) -> None:
    """A server that says nothing, or takes no more bytes, is given up."""
    monkeypatch.setattr(connection, limit, 0.05)
    gate = threading.Event()

    def wait(_visitor: Visitor) -> None:
        gate.wait(20)

    with Scripted(wait) as server:
        with pytest.raises(TimeoutError) as caught:
            http.ask("PUT", url(server), {}, body)
        gate.set()
        assert failure.from_transport(caught.value, "PUT", url(server)).code == "TIMEOUT"


# ---------------------------------------------------------------- requests


def test_request_line_and_headers(http: Transport) -> None:
    """A request says what it must, and nothing about compression but that it wants none."""
    heads: list[str] = []

    def script(visitor: Visitor) -> None:
        heads.append(visitor.read()[0])
        visitor.say(OK)

    with Scripted(script) as server:
        with http.ask("PUT", url(server, "/x?y=%2F&z"), {"X": "1", "Accept": "a/b"}) as answer:
            read(answer)
        lines = heads[0].split("\r\n")
    assert lines[0] == "PUT /x?y=%2F&z HTTP/1.1"
    assert lines[1].startswith("Host: 127.0.0.1:")
    assert "Accept-Encoding: identity" in lines
    assert "Content-Length: 0" in lines
    assert "Accept: a/b" in lines
    assert "X: 1" in lines


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nb", "a\x00", "\x7f", "\u20ac"])
def test_header_that_would_end_itself(http: Transport, value: str) -> None:
    """A header with characters that none has is not sent, and its value is not told."""
    with Scripted(answers(OK)) as server, pytest.raises(HeaderError) as caught:
        http.ask("GET", url(server), {"X": value})
    assert value not in str(caught.value)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("size", [0, 1, 1000, 131_072, 131_073, 3_000_001])
def test_bodies(
    http: Transport, tls: ssl.SSLContext, tmp_path: Path, size: int, *, secure: bool
) -> None:
    """Bytes, blocks and slices of files arrive as they are, in plain text and over TLS."""
    content = os.urandom(size)
    path = tmp_path / "content"
    path.write_bytes(content)
    blocks = Body(lambda: (content[i : i + 100_000] for i in range(0, size, 100_000)), size)
    bodies: list[Body | bytes] = [content, blocks, file_body(path, size, 1_000_000)]
    digest = hashlib.sha256(content).hexdigest()

    def script(visitor: Visitor) -> None:
        while head_body := visitor.read():
            if not head_body[0]:
                return
            visitor.say(
                OK.replace("ok", hashlib.sha256(head_body[1]).hexdigest()).replace(
                    "Length: 2", "Length: 64"
                )
            )

    with Scripted(script, context=tls if secure else None) as server:
        target = url(server, scheme="https" if secure else "http")
        for body in [*bodies, *bodies]:
            with http.ask("PUT", target, {}, body) as answer:
                assert read(answer).decode() == digest
        assert len(server.visitors) == 1


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["bytes", "blocks", "file"])
@pytest.mark.parametrize("server_lingers", ["", "plain", "tls"])
def test_answer_before_the_body_was_read(
    http: Transport, tls: ssl.SSLContext, tmp_path: Path, kind: str, server_lingers: str
) -> None:
    """A server that refuses a body without reading it is heard, though the sending breaks."""
    gate = threading.Event()
    size = 32 << 20
    path = tmp_path / "content"
    with path.open("wb") as file:
        file.truncate(size)
    bodies: dict[str, Body | bytes] = {
        "bytes": bytes(size),
        "blocks": Body(lambda: (bytes(1 << 20) for _ in range(32)), size),
        "file": file_body(path, size, 4 << 20),
    }

    def refuse(visitor: Visitor) -> None:
        visitor.read_head()
        visitor.say(REFUSED)
        # Otherwise it closes with the body unread: the other side gets a reset.
        if server_lingers:
            gate.wait(20)

    secure = server_lingers == "tls"
    with Scripted(refuse, context=tls if secure else None) as server:
        target = url(server, scheme="https" if secure else "http")
        with http.ask("PUT", target, {}, bodies[kind]) as answer:
            assert answer.status == 413
            assert read(answer) == b"too much"
        gate.set()


def test_answer_while_the_body_is_not_taken(http: Transport) -> None:
    """An answer ends the sending also if the server keeps the connection and reads nothing."""
    gate = threading.Event()

    def refuse(visitor: Visitor) -> None:
        visitor.read_head()
        visitor.say("HTTP/1.1 100 Continue\r\n\r\n")
        visitor.say("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
        gate.wait(20)

    with Scripted(refuse, answers(OK)) as server:
        with http.ask("PUT", url(server), {}, bytes(32 << 20)) as answer:
            assert answer.status == 401
        assert get(http, server) == b"ok"  # over a new connection
        assert len(server.visitors) == 2
        gate.set()


def test_break_without_an_answer(http: Transport) -> None:
    """A connection that breaks in the middle of a body without an answer is an error."""
    with Scripted(reads_a_head) as server:
        with pytest.raises(ConnectionError) as caught:
            http.ask("PUT", url(server), {}, bytes(32 << 20))
        error = failure.from_transport(caught.value, "PUT", url(server))
    assert error.code == "CONNECTION"


@pytest.mark.usefixtures("way")
def test_file_that_shrinks(http: Transport, tmp_path: Path) -> None:
    """A file that became shorter is the image's fault and not the network's."""
    path = tmp_path / "content"
    path.write_bytes(bytes(1000))
    script = answers(OK)
    with Scripted(script) as server, pytest.raises(InvalidInputError, match="shorter"):
        http.ask("PUT", url(server), {}, file_body(path, 1_000_000, 1_000_000))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_file_that_cannot_be_read(http: Transport, size: int) -> None:
    """A disk that fails is told as the content that cannot be read, and not as the network."""

    def pieces() -> Iterator[FileSlice]:
        # Of an address at which no process has memory: reading there is an error of input.
        descriptor = os.open("/proc/self/mem", os.O_RDONLY)
        try:
            yield FileSlice(descriptor, 0, size, "sha256:abc")
        finally:
            os.close(descriptor)

    with (
        Scripted(reads_a_head) as server,
        pytest.raises(InvalidInputError, match="sha256:abc cannot be read: Input/output error"),
    ):
        http.ask("PUT", url(server), {}, Body(pieces, size))


def test_body_that_raises(http: Transport) -> None:
    """An error of whoever makes the body ends the connection: half a request lies in it."""

    def blocks() -> Iterator[bytes]:
        yield bytes(10)
        raise UnavailableError("stopped")

    with Scripted(reads_a_request, answers(OK)) as server:
        with pytest.raises(UnavailableError, match="stopped"):
            http.ask("PUT", url(server), {}, Body(blocks, 100))
        assert get(http, server) == b"ok"


# ---------------------------------------------------------------- proxies


def test_plain_proxy() -> None:
    """An http address is asked of the proxy as a whole, with the proxy's own credential."""
    heads: list[str] = []

    def script(visitor: Visitor) -> None:
        heads.append(visitor.read()[0])
        visitor.say(OK)

    with Scripted(script) as server:
        http = Transport(trusting, {"HTTP_PROXY": f"http://al:ice@127.0.0.1:{server.port}"})
        with http.ask("GET", Url.parse("http://hub.test:5000/v2/?a"), {}) as answer:
            assert read(answer) == b"ok"
        http.close()
    lines = heads[0].split("\r\n")
    assert lines[0] == "GET http://hub.test:5000/v2/?a HTTP/1.1"
    assert "Host: hub.test:5000" in lines
    assert "Proxy-Authorization: Basic YWw6aWNl" in lines


def test_tunnel(tls: ssl.SSLContext) -> None:
    """An https address is reached through CONNECT; the proxy sees nothing of what is in it."""
    heads: list[str] = []

    def script(visitor: Visitor) -> None:
        heads.append(visitor.read_head())
        visitor.say("HTTP/1.1 200 Connection established\r\n\r\n")
        with tls.wrap_socket(visitor.connection, server_side=True) as inner:
            seen = Visitor(inner)
            heads.append(seen.read_head())
            seen.say(OK)

    with Scripted(script) as server:
        http = Transport(trusting, {"HTTPS_PROXY": f"http://al:ice@127.0.0.1:{server.port}"})
        headers = {"Authorization": "Bearer inner"}
        with http.ask("GET", Url.parse("https://hub.test/v2/"), headers) as answer:
            assert read(answer) == b"ok"
        http.close()
    assert heads[0].startswith("CONNECT hub.test:443 HTTP/1.1\r\nHost: hub.test:443\r\n")
    assert "Proxy-Authorization: Basic YWw6aWNl" in heads[0]
    assert "inner" not in heads[0]
    assert heads[1].startswith("GET /v2/ HTTP/1.1\r\nHost: hub.test\r\n")
    assert "Proxy-Authorization" not in heads[1]


def known_as(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Let every name have these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]
    monkeypatch.setattr(_socket, "getaddrinfo", lambda *_: found)


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with several addresses is reached by the first one where somebody listens."""
    with socket.socket() as nobody, socket.create_server(("127.0.0.1", 0)) as server:
        nobody.bind(("127.0.0.1", 0))
        known_as(monkeypatch, nobody.getsockname(), server.getsockname())
        connected = connection.connect("two.example", 5000, 30.0)
        try:
            assert connected.getpeername() == server.getsockname()
        finally:
            connected.close()
        known_as(monkeypatch, nobody.getsockname())
        with pytest.raises(ConnectionRefusedError):
            connection.connect("one.example", 5000, 30.0)
    known_as(monkeypatch)
    with pytest.raises(OSError, match="no address"):
        connection.connect("none.example", 5000, 30.0)
