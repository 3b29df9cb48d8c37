"""Bad input ends with a clear message and the right exit code, never with a traceback."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from tests.images import oci_layout
from tests.integration.servers.authority import Authority
from tests.integration.servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.hub import Hub
    from tests.integration.people import Person

FAILED: Final = 1
USAGE: Final = 2
NOT_LOGGED_IN: Final = 3
INVALID: Final = 5
UNAVAILABLE: Final = 6


def check(person: Person, *command: str | Path, code: int, says: str) -> None:
    """Run *command* and compare its exit code and what it says."""
    done = person.run(*command, expect=code)
    assert says.lower() in done.stderr.lower(), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


class _NoRegistry(BaseHTTPRequestHandler):
    """A web server that is no registry."""

    def do_GET(self) -> None:
        """Answer 404 to everything, in HTML."""
        body = b"<html><body><h1>Not here</h1></body></html>"
        self.send_response(404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_HEAD = do_GET  # noqa: N815  # the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _serve(certificate: tuple[bytes, bytes] | None, folder: Path) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _NoRegistry)
    if certificate is not None:
        (folder / "tls.pem").write_bytes(certificate[0] + certificate[1])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls.pem")
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a refused handshake
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[str]:
    """Run a web server without TLS that is no registry."""
    yield from _serve(None, tmp_path)


@pytest.fixture
def strange_tls(tmp_path: Path) -> Iterator[str]:
    """Run a server whose certificate nobody trusts."""
    yield from _serve(Authority.create("nobody").server(["localhost"]), tmp_path)


def test_unknown_host(somebody: Person) -> None:
    """A host that does not resolve is named."""
    check(
        somebody, "sealoshub", "login", "hub.invalid", "--token", "worthless",
        code=UNAVAILABLE, says="hub.invalid",
    )  # fmt: skip


def test_nobody_listens(somebody: Person) -> None:
    """A refused connection is told at once, not after the budget of a push."""
    host = f"localhost:{free_port()}"
    done = somebody.run(
        "sealoshub", "login", host, "--token-stdin", stdin="secret", expect=UNAVAILABLE, seconds=60
    )
    assert host in done.stderr


def test_not_a_registry(somebody: Person, web_server: str) -> None:
    """A web server is recognised as one, and its HTML is not shown."""
    done = somebody.run(
        "sealoshub", "login", web_server, "--token-stdin", stdin="secret", expect=UNAVAILABLE
    )
    assert "registry" in done.stderr
    assert "<html>" not in done.stderr


def test_wrong_certificate(somebody: Person, strange_tls: str) -> None:
    """An untrusted certificate is a network failure with the option that helps."""
    done = somebody.run(
        "sealoshub", "login", strange_tls, "--token-stdin", stdin="secret", expect=UNAVAILABLE
    )
    assert "certificate" in done.stderr
    assert "--ca-file" in done.stderr


def test_plain_http_to_a_tls_server(somebody: Person, strange_tls: str) -> None:
    """--plain-http to a server that speaks TLS is told as such."""
    done = somebody.run(
        "sealoshub", "login", strange_tls, "--plain-http", "--token-stdin", stdin="secret",
        expect=UNAVAILABLE,
    )  # fmt: skip
    assert strange_tls in done.stderr


def test_no_kubeconfig(somebody: Person) -> None:
    """Without a kubeconfig the message says where it was looked for."""
    check(
        somebody, "sealoshub", "login", "localhost:1", "--kubeconfig",
        code=NOT_LOGGED_IN, says=str(somebody.kubeconfig),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({}, "no credential"),
        ({"username": "a", "password": "b"}, "password"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider"),
    ],
)
def test_kubeconfig_without_a_usable_credential(
    somebody: Person, user: dict[str, object], says: str
) -> None:
    """What cannot be used is named."""
    somebody.kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": "https://localhost:1"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    check(
        somebody, "sealoshub", "login", "localhost:1", "--kubeconfig",
        code=NOT_LOGGED_IN, says=says,
    )  # fmt: skip


@pytest.mark.parametrize("content", ["", "{", "a: b", "\x00\x01", "- 1\n- 2\n"])
def test_a_file_that_is_no_kubeconfig(somebody: Person, content: str) -> None:
    """Garbage is an invalid file, not a traceback."""
    somebody.kubeconfig.write_text(content)
    done = somebody.run("sealoshub", "login", "localhost:1", "--kubeconfig")
    assert done.returncode in {NOT_LOGGED_IN, INVALID}
    assert str(somebody.kubeconfig) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "reference", ["app:v1", "localhost:1/UPPER/app:v1", "localhost:1/a/b:-x", "https://a.b/c/d:e"]
)
def test_wrong_reference(somebody: Person, tmp_path: Path, reference: str) -> None:
    """A reference is checked before anything is opened or asked."""
    done = somebody.run("sealoshub", "push", tmp_path, reference, expect=INVALID)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["missing", "empty folder", "text file", "damaged"])
def test_source_that_is_no_image(somebody: Person, tmp_path: Path, kind: str) -> None:
    """A source that is missing or no image is told before the registry is asked."""
    source = tmp_path / "source"
    match kind:
        case "empty folder":
            source.mkdir()
        case "text file":
            source.write_text("hello\n")
        case "damaged":
            oci_layout(source)
            (source / "index.json").write_text("{}")
        case _:
            pass
    check(
        somebody, "sealoshub", "push", source, "localhost:1/org/app:v1",
        code=INVALID, says=str(source),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("login",), "host"),
        (("login", "localhost:1", "--nonsense"), "--nonsense"),
        (("push",), "argument"),
        (("nonsense",), "nonsense"),
        (("login", "localhost:1", "--token", "x", "--kubeconfig"), "--token"),
    ],
)
def test_wrong_usage(somebody: Person, words: tuple[str, ...], says: str) -> None:
    """A wrong command line is exit code 2 and points to --help."""
    done = somebody.run("sealoshub", *words, expect=USAGE)
    assert says.lower() in done.stderr.lower()


def test_errors_as_json(somebody: Person, tmp_path: Path) -> None:
    """With --output json a failure is one JSON object with the exit code in it."""
    done = somebody.run(
        "sealoshub", "push", tmp_path / "none", "localhost:1/org/app:v1", "--output", "json",
        expect=INVALID,
    )  # fmt: skip
    error = json.loads(done.stdout)
    assert (error["status"], error["exit_code"]) == ("error", INVALID)
    assert error["errors"][0]["message"]


def test_wrong_token(hub: Hub, somebody: Person) -> None:
    """A worthless token is refused by the hub, and nothing is written."""
    done = somebody.run(
        "sealoshub", "login", hub.host, "--token-stdin", stdin="worthless", expect=NOT_LOGGED_IN
    )
    assert hub.host in done.stderr
    assert not (somebody.home / ".docker" / "config.json").exists()


def test_push_without_login(hub: Hub, somebody: Person, tmp_path: Path) -> None:
    """Somebody who is not logged in is told to log in."""
    image = oci_layout(tmp_path / "image")
    check(
        somebody, "sealoshub", "push", image.path, f"{hub.host}/org/app:v1",
        code=NOT_LOGGED_IN, says=f"sealoshub login {hub.host}",
    )  # fmt: skip


def test_a_taken_port(
    hub: Hub, new_person: Callable[[str, Path | None], Person], tmp_path: Path
) -> None:
    """A hub does not start on a port that somebody else has, and says which."""
    operator = new_person("operator", None)
    port = hub.host.partition(":")[2]
    done = operator.run(
        "sealoshub", "hub", "up", "--data", tmp_path / "hub",
        "--registry-binary", hub.registry_binary,
        "--registry-port", port, "--auth-port", "0", "--api-port", "0",
        expect=FAILED,
    )  # fmt: skip
    assert port in done.stderr
    assert "--registry-port" in done.stderr


def test_a_second_up_is_the_same_hub(hub: Hub) -> None:
    """`hub up` on a running hub changes nothing."""
    before = hub.pids()
    hub.up()
    assert hub.pids() == before
    assert hub.operate("status").stdout.startswith("ready")
