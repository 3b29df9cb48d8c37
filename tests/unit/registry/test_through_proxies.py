"""Pushes and pulls through real proxies of every kind, and what is said when one does not help."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import SealosHubError, UnavailableError
from sealoshub.reference import Reference
from sealoshub.registry import failure, transport, tunnel
from sealoshub.registry.connection import Connection, ConnectTimeoutError
from sealoshub.registry.proxy import Proxy
from sealoshub.registry.pull import pull
from sealoshub.registry.push import push
from sealoshub.registry.source import open_image
from sealoshub.registry.target import Kind, Target
from sealoshub.registry.url import Url
from tests.unit.registry.fake_registry import FakeRegistry, Knobs
from tests.unit.registry.proxies import ProxyServer, closed_port
from tests.unit.registry.scripted import Scripted, Visitor, answers

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from sealoshub.registry.client import Client
    from tests.images import Layout
    from tests.unit.registry.conftest import ClientMaker

SECRET = ("al:ice@home", "planted/secret")
ESCAPED = "al%3Aice%40home:planted%2Fsecret"
KINDS = ("http", "https", "socks5")


@contextlib.contextmanager
def behind(
    kind: str, tls: ssl.SSLContext, *, secure: bool, **options: object
) -> Iterator[tuple[FakeRegistry, ProxyServer]]:
    """Run a registry, with or without TLS, and a proxy that leads to it."""
    with FakeRegistry(Knobs(location="relative")) as registry:
        if secure:
            registry.speak(tls)
        port = int(registry.host.rpartition(":")[2])
        context = tls if kind == "https" else None
        with ProxyServer(port, kind, context, **options) as proxy:  # type: ignore[arg-type]  # any keyword
            yield registry, proxy


def client_of(
    connect: ClientMaker,
    setting: str,
    certificate: Path | None = None,
    *,
    secure: bool = True,
) -> Client:
    """Make a client that only a proxy can help, because there is no such host."""
    environment = {"ALL_PROXY": setting, "NO_PROXY": "localhost"}
    ca_file = None if certificate is None else str(certificate)
    host = "registry.example:5000"
    return connect(host, plain_http=not secure, ca_file=ca_file, environment=environment)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "secure"])
@pytest.mark.parametrize("kind", [*KINDS, "socks5h"])
def test_there_and_back(  # noqa: PLR0913, PLR0917  # fixtures and a table
    connect: ClientMaker,
    tls: ssl.SSLContext,
    certificate: Path,
    image: Layout,
    tmp_path: Path,
    kind: str,
    *,
    secure: bool,
) -> None:
    """An image goes through each kind of proxy and comes back, with a name and password or not."""
    name = kind.removesuffix("h")
    credential = SECRET if secure else None
    with behind(name, tls, secure=secure, credential=credential) as (registry, proxy):
        who = f"{ESCAPED}@" if credential else ""
        setting = f"{kind}://{who}localhost:{proxy.port}"
        client = client_of(connect, setting, certificate, secure=secure)
        reference = Reference.parse("registry.example:5000/o/app:v1")
        with open_image(str(image.path)) as source:
            push(client, source, reference)
        assert set(registry.blobs["o/app"]) == set(image.blobs)
        pulled = pull(client, reference, Target(Kind.OCI, tmp_path / "out"))
        assert pulled.digest.text == image.digest
        assert set(proxy.asked) == {"registry.example:5000"}


def failing(client: Client) -> SealosHubError:
    """Ask, and return the error."""
    with pytest.raises(SealosHubError) as caught:
        client.ping()
    client.close()
    error = caught.value
    assert "planted" not in f"{error.message} {error.hint} {error!r}"
    return error


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_there(connect: ClientMaker, naps: list[float], kind: str) -> None:
    """A proxy that is not there is told from the registry; it may come back."""
    with closed_port() as port:
        error = failing(client_of(connect, f"{kind}://al:planted@127.0.0.1:{port}"))
    assert isinstance(error, UnavailableError)
    assert error.exit_code == 6
    assert error.code == "PROXY"
    assert error.message == (
        f"registry.example:5000 cannot be asked: the proxy 127.0.0.1:{port} refused the connection"
    )
    assert naps


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_host(connect: ClientMaker, kind: str) -> None:
    """A proxy whose name cannot be one is not asked again and again."""
    error = failing(client_of(connect, f"{kind}://al:planted@{'x' * 64}:1"))
    assert "is unknown" in error.message


@pytest.mark.parametrize(
    ("given", "said"),
    [("", "wants a name and a password"), ("al:planted@", "refused the name and the password")],
)
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "secure"])
@pytest.mark.parametrize("kind", KINDS)
def test_who_asks(  # noqa: PLR0913, PLR0917  # fixtures and a table
    connect: ClientMaker,
    tls: ssl.SSLContext,
    certificate: Path,
    naps: list[float],
    kind: str,
    given: str,
    said: str,
    *,
    secure: bool,
) -> None:
    """A missing or wrong password is told at once, with how to give it, and never printed."""
    with behind(kind, tls, secure=secure, credential=SECRET) as (registry, proxy):
        setting = f"{kind}://{given}localhost:{proxy.port}"
        error = failing(client_of(connect, setting, certificate, secure=secure))
        assert not registry.seen
    assert error.exit_code == 6
    assert "NAME:PASSWORD" in str(error.hint)
    if secure or kind == "socks5":
        assert f"the proxy localhost:{proxy.port} {said}" in error.message
        assert error.code == "PROXY"
    assert not naps


@pytest.mark.parametrize(
    ("kind", "refusal", "said"),
    [
        ("http", 403, "answered CONNECT registry.example:5000 with 403"),
        ("https", 403, "answered CONNECT registry.example:5000 with 403"),
        ("socks5", 2, "found no way to registry.example:5000: Connection not allowed by ruleset"),
    ],
)
def test_forbidden(  # noqa: PLR0913, PLR0917  # fixtures and a table
    connect: ClientMaker,
    tls: ssl.SSLContext,
    certificate: Path,
    naps: list[float],
    kind: str,
    refusal: int,
    said: str,
) -> None:
    """What a proxy does not allow is not asked for again."""
    with behind(kind, tls, secure=True, refusals=[refusal] * 9) as (_, proxy):
        error = failing(client_of(connect, proxy.url, certificate))
        assert len(proxy.asked) == 1
    assert said in error.message
    assert not naps


@pytest.mark.parametrize(
    ("kind", "refusals"),
    [("http", [502, 0]), ("https", [503, 0]), ("socks5", [1, 4, 5]), ("socks5", [0])],
)
def test_not_now(
    connect: ClientMaker,
    tls: ssl.SSLContext,
    certificate: Path,
    kind: str,
    refusals: list[int],
) -> None:
    """A proxy that cannot now, or hangs up, is asked again."""
    times = len(refusals)
    with behind(kind, tls, secure=True, refusals=refusals) as (registry, proxy):
        client_of(connect, proxy.url, certificate).ping()
        assert len(proxy.asked) == times + 1
        assert registry.count("GET", "/v2/$") == 1


def test_untrusted(connect: ClientMaker, tls: ssl.SSLContext, naps: list[float]) -> None:
    """The certificate of the proxy is verified, before it is told a password."""
    with behind("https", tls, secure=True, credential=SECRET) as (_, proxy):
        error = failing(client_of(connect, f"https://al:planted@localhost:{proxy.port}"))
        assert not proxy.asked
    assert f"the certificate of the proxy localhost:{proxy.port} is not trusted" in error.message
    assert "--ca-file" in str(error.hint)
    assert not naps


@pytest.mark.parametrize(
    ("spoken", "kind", "said"),
    [
        ("http", "https", "does not speak TLS"),
        ("https", "http", "does not answer as a proxy does"),
        ("socks5", "http", "does not answer as a proxy does"),
        ("http", "socks5", "does not answer as a SOCKS proxy does"),
    ],
)
def test_of_another_kind(
    connect: ClientMaker, certificate: Path, spoken: str, kind: str, said: str
) -> None:
    """A proxy of another kind than its address says is told apart from a broken one."""
    answer = {"http": b"HTTP/1.1 400 No\r\n\r\n", "https": b"\x15\x03\x01\0\x02\x02\x46"}
    text = answer.get(spoken, b"\x05\xff")

    def script(visitor: Visitor) -> None:
        visitor.connection.recv(65536)
        visitor.say(text)

    with Scripted(script) as server:
        setting = f"{kind}://localhost:{server.port}"
        error = failing(client_of(connect, setting, certificate))
    assert said in error.message


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
def test_silent(connect: ClientMaker, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A proxy that takes a connection and says nothing is left."""
    monkeypatch.setattr(transport, "CONNECT", 0.05)
    monkeypatch.setattr("sealoshub.registry.connection.READ", 0.05)
    with socket.create_server(("localhost", 0)) as server:
        setting = f"{kind}://localhost:{server.getsockname()[1]}"
        error = failing(client_of(connect, setting))
    assert error.code == "PROXY"


def test_silent_behind_tls(tls: ssl.SSLContext, certificate: Path) -> None:
    """A registry that does not begin its handshake, behind a proxy with TLS, is left."""
    context = transport.tls_context(str(certificate), insecure_skip_tls_verify=False)
    url = Url.parse("https://registry.example:5000/v2/")
    with (
        socket.create_server(("localhost", 0)) as server,
        ProxyServer(server.getsockname()[1], "https", tls) as proxy,
    ):
        way = Proxy("https", "localhost", proxy.port)
        plain = tunnel.through(way, url, lambda: context, 60.0)
        with pytest.raises(ConnectTimeoutError) as caught:
            Connection(plain, context, url.host, 0.05)
        assert proxy.asked == ["registry.example:5000"]
    assert failure.from_transport(caught.value, "GET", url).code == "TIMEOUT"


def test_a_registry_without_tls_behind_tls(
    connect: ClientMaker, tls: ssl.SSLContext, certificate: Path
) -> None:
    """Plain text in the inner session is told as everywhere."""
    with behind("https", tls, secure=False) as (_, proxy):
        error = failing(client_of(connect, proxy.url, certificate))
    assert error.code == "NOT_TLS"


def test_an_answer_before_the_end(
    connect: ClientMaker, tls: ssl.SSLContext, certificate: Path
) -> None:
    """A refusal that comes while a body is still being sent is seen through both sessions."""

    def refuse(visitor: Visitor) -> None:
        visitor.read_head()
        visitor.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        visitor.read_head()
        visitor.say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        with contextlib.suppress(OSError):
            while visitor.connection.recv(65536):
                pass

    with Scripted(refuse, context=tls) as server, ProxyServer(server.port, "https", tls) as proxy:
        client = client_of(connect, proxy.url, certificate)
        body = bytes(64_000_000)  # more than all buffers on the way
        answer = client.request("PUT", "/v2/o/app/blobs/uploads/1", expect={413}, body=body)
        assert answer.status == 413
        client.close()


def test_no_proxy(connect: ClientMaker) -> None:
    """This machine itself is never asked for through a proxy."""
    with FakeRegistry() as registry, Scripted(answers("HTTP/1.1 500 No\r\n\r\n")) as proxy:
        environment = {"ALL_PROXY": f"socks5://localhost:{proxy.port}"}
        connect(registry.host, environment=environment).ping()
