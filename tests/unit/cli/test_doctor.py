"""`sealoshub doctor`: each step that can fail does, and says its repair."""

from __future__ import annotations

import json
import re
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from sealoshub import credentials
from sealoshub.cli import options, session
from sealoshub.cli.tree import app
from sealoshub.credentials import checkup
from sealoshub.errors import AuthenticationError, UnavailableError
from tests.unit.authserver.pki import Authority
from tests.unit.cli.conftest import FakeCluster
from tests.unit.cli.logged_in import log_in
from tests.unit.cli.small_hub import SmallHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.testing import Result

SECRET = "shr_" + "s" * 43
WHOAMI = {"user": {"name": "alice"}, "expires": "2099-01-01T00:00:00Z"}


@pytest.fixture
def small() -> Iterator[SmallHub]:
    """A hub in perfect health that Alice is logged in to."""
    with SmallHub() as server:
        server.answers["GET", "/v1/whoami"] = (200, WHOAMI)
        log_in(server.host, SECRET)
        yield server


def run(*arguments: str) -> Result:
    """Run `doctor`; no secret may ever be in what it says."""
    done = CliRunner().invoke(app, ["doctor", *arguments])
    assert SECRET not in done.output
    assert "eyJ" not in done.output
    return done


def steps(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code and the steps by name."""
    done = run(*arguments, "--output", "json")
    answer = json.loads(done.stdout)
    assert answer["exit_code"] == done.exit_code
    return done.exit_code, {step["name"]: step for step in answer["data"]["steps"]}


def test_everything_is_well(small: SmallHub) -> None:
    """Every step is ok, and the exit code is 0."""
    code, found = steps(small.host)
    assert code == 0
    assert {name: step["status"] for name, step in found.items()} == {
        "dns": "ok",
        "tls": "ok",
        "registry": "ok",
        "challenge": "ok",
        "realm": "ok",
        "credential": "ok",
        "token": "ok",
        "claims": "ok",
        "acceptance": "ok",
        "clock": "ok",
        "login": "ok",
        "quota": "skipped",
        "helper": "skipped",
        "cluster": "skipped",
    }
    assert "subject alice" in found["claims"]["detail"]
    text = run(small.host).stdout
    assert [line.split()[1] for line in text.splitlines()] == [f"{name}:" for name in found]


def test_not_logged_in() -> None:
    """The way there is looked at all the same; what needs a login is left out."""
    with SmallHub() as server:
        code, found = steps(server.host)
    assert code == 3
    assert found["realm"]["status"] == "ok"
    assert found["credential"]["status"] == "failed"
    assert f"sealoshub login {server.host}" in found["credential"]["repair"]
    assert found["token"]["status"] == "skipped"


def test_nothing_listens() -> None:
    """The registry is at fault, and everything behind it is left out."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"localhost:{free.getsockname()[1]}"
        code, found = steps(host)
    assert (code, found["registry"]["status"]) == (6, "failed")
    assert found["registry"]["repair"]
    assert found["challenge"]["status"] == found["login"]["status"] == "skipped"


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS is the first step, and its failure the exit code."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    code, found = steps("hub.invalid")
    assert (code, found["dns"]["status"], found["dns"]["code"]) == (6, "failed", "UNKNOWN_HOST")
    assert {step["status"] for name, step in found.items() if name in {"tls", "realm"}} == {
        "skipped"
    }


@pytest.mark.parametrize(
    ("knobs", "step", "code", "word"),
    [
        ({"refuse": True}, "token", 3, "sealoshub login"),
        ({"accept": False}, "acceptance", 6, "jwks"),
        ({"claims": {"aud": "other"}}, "claims", 6, "service"),
        ({"claims": {"sub": "system:anonymous"}}, "claims", 3, "sealoshub login"),
        ({"claims": {"iat": 1_000_000_000}}, "clock", 6, "NTP"),
        ({"challenge": 'Bearer realm="http://hub.example/token"'}, "realm", 6, "--trust-realm"),
        ({"challenge": "Digest x=y"}, "registry", 6, ""),
        ({"challenge": 'Basic realm="x"', "accept": False}, "acceptance", 3, "sealoshub login"),
    ],
)
def test_a_step_that_fails(
    small: SmallHub, knobs: dict[str, object], step: str, code: int, word: str
) -> None:
    """It is named, has its repair, and its kind is the exit code."""
    for name, value in knobs.items():
        setattr(small, name, value)
    found_code, found = steps(small.host)
    assert (found_code, found[step]["status"]) == (code, "failed")
    assert word in (found[step]["repair"] or "")
    before = list(found)[: list(found).index(step)]
    assert {found[name]["status"] for name in before} <= {"ok", "skipped"}
    done = run(small.host)
    assert done.exit_code == code
    assert "FAIL" in done.stdout
    assert "error:" in done.stderr


def test_a_login_that_the_hub_ended(small: SmallHub) -> None:
    """The hub is asked about the login itself too."""
    small.answers["GET", "/v1/whoami"] = small.error(401, "UNAUTHORIZED", "not known here")
    code, found = steps(small.host)
    assert (code, found["login"]["status"]) == (3, "failed")


def test_warnings_are_no_failures(small: SmallHub) -> None:
    """A clock that is wrong here, a login that ends soon, a file that others may read."""
    small.skew = 600.0
    small.answers["GET", "/v1/whoami"] = (200, {**WHOAMI, "expires": "2020-01-01T00:00:00Z"})
    file = Path(credentials.find(small.host, places=options.credential_places()).location)  # type: ignore[union-attr]  # it was stored
    file.chmod(0o644)
    code, found = steps(small.host)
    assert code == 0
    for name in ("clock", "login", "credential"):
        assert found[name]["status"] == "warning", name
    assert re.search("(599|600) s behind", found["clock"]["detail"])  # whole seconds travel
    assert "chmod 600" in found["credential"]["repair"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644  # a doctor only looks


def test_another_token_server(small: SmallHub) -> None:
    """One that knows no logins, and tokens that nobody can read, are fine."""
    del small.answers["GET", "/v1/whoami"]
    code, found = steps(small.host)
    assert (code, found["login"]["status"]) == (0, "skipped")


def test_no_authentication_at_all(small: SmallHub) -> None:
    """Nothing to log in to is said, and is no failure."""
    small.challenge = ""
    code, found = steps(small.host)
    assert (code, found["token"]["status"]) == (0, "skipped")
    assert "without a login" in found["challenge"]["detail"]


def test_a_credential_file_that_is_broken(small: SmallHub) -> None:
    """The file is named; the way to the hub is looked at first."""
    for file in options.credential_places().files:
        if file.path.exists():
            file.path.write_text("{")
    code, found = steps(small.host)
    assert (code, found["credential"]["status"]) == (5, "failed")
    assert found["realm"]["status"] == "ok"


ANSWER = '{"ServerURL": "hub", "Username": "<token>", "Secret": "' + SECRET + '"}'


@pytest.mark.parametrize(
    ("helper", "section", "status", "code", "word"),
    [
        (f"echo '{ANSWER}'", "credsStore", "ok", 0, "keeps a login for it"),
        (f"echo '{ANSWER}'", "credHelpers", "ok", 0, "keeps a login for it"),
        ("echo credentials not found; exit 1", "credsStore", "ok", 0, "keeps no login for it"),
        ("echo locked; exit 1", "credsStore", "failed", 1, "locked"),
        ("echo hello", "credHelpers", "failed", 1, "did not answer as a helper does"),
        ("exec sleep 60", "credHelpers", "failed", 1, "gave no answer in 1 seconds"),
        (None, "credHelpers", "failed", 5, "is not installed"),
        (None, "others", "warning", 0, "wants it for other hosts"),
        ("echo '{}'", "others", "ok", 0, "for 0 servers"),
        ("echo []", "others", "warning", 0, "did not answer as a helper does"),
    ],
)
def test_credential_helpers(  # noqa: PLR0913, PLR0917  # a table and its fixtures
    small: SmallHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    helper: str | None,
    section: str,
    status: str,
    code: int,
    word: str,
) -> None:
    """Each helper that a file names is run, as clients will; what fails says its repair."""
    if helper is not None and "sleep" in helper:
        monkeypatch.setattr(checkup, "SECONDS", 1.0)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    if helper is not None:
        program = tmp_path / "docker-credential-test"
        program.write_text(f"#!/bin/sh\n{helper}\n")
        program.chmod(0o755)
    sections: dict[str, dict[str, object]] = {
        "credsStore": {"credsStore": "test"},
        "credHelpers": {"credHelpers": {small.host: "test"}},
        "others": {"credHelpers": {"other.example": "test"}},
    }
    file = Path.home() / ".docker" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **sections[section]}))
    found_code, found = steps(small.host)
    assert (found_code, found["helper"]["status"]) == (code, status)
    assert word in found["helper"]["detail"]
    assert (section if section != "others" else "credHelpers") in found["helper"]["detail"]
    assert bool(found["helper"]["repair"]) is (status != "ok")


def test_a_helper_for_two_files_is_asked_once(small: SmallHub, tmp_path: Path) -> None:
    """And a name that could leave PATH is not run at all."""
    file = Path.home() / ".docker" / "config.json"
    body = {"credHelpers": {small.host: "../../evil", "b": "../../evil"}, "credsStore": "../x"}
    file.write_text(json.dumps(body))
    no_name = "is not the name of a credential helper"
    expected = (
        f"FAIL helper:     '../../evil' {no_name}; credHelpers of {file} wants it for {small.host}",
        f"WARN helper:     '../x' {no_name}; credsStore of {file} wants it for other hosts",
    )
    done = run(small.host)
    assert tuple(line for line in done.stdout.splitlines() if "helper:" in line) == expected
    assert done.exit_code == 5
    assert not (tmp_path / "evil").exists()


def test_a_realm_that_the_user_vouches_for(small: SmallHub, tmp_path: Path) -> None:
    """--trust-realm, which the repair of a refused realm names, is the way through."""
    authority = Authority()
    ca = authority.own.write(tmp_path, "ca")[0]
    files = authority.issue("server", host="localhost", hours=24 * 30).write(tmp_path, "server")
    with SmallHub(tls=files) as secure:
        secure.challenge = f'Bearer realm="{small.url}/token",service="hub"'
        log_in(secure.host, SECRET)
        code, found = steps(secure.host, "--ca-file", str(ca))
        assert (code, found["realm"]["code"]) == (6, "REALM_REFUSED")
        assert "--trust-realm" in found["realm"]["repair"]
        code, found = steps(secure.host, "--ca-file", str(ca), "--trust-realm")
    assert (code, found["realm"]["status"]) == (0, "ok")
    assert found["acceptance"]["status"] == "ok"


@pytest.mark.parametrize(
    ("full", "status", "words"),
    [
        (True, "warning", "team is over its quota: tags 3 of 2"),
        (False, "ok", "there is room in team"),
    ],
)
def test_room_for_pushes(small: SmallHub, *, full: bool, status: str, words: str) -> None:
    """An organisation over its quota is a warning; one that is only read is not asked about."""
    roles = [{"name": "team", "role": "developer"}, {"name": "web", "role": "viewer"}]
    reason = "team is over its quota: tags 3 of 2" if full else "a binding"
    answer = {"user": "alice", "allowed": not full, "reason": reason, "full": full}
    small.answers["GET", "/v1/organizations"] = (200, {"organizations": roles})
    small.answers["GET", "/v1/explain"] = (200, answer)
    code, found = steps(small.host)
    assert code == 0
    assert (found["quota"]["status"], found["quota"]["detail"]) == (status, words)
    asked = [seen.query["repository"] for seen in small.seen if seen.path == "/v1/explain"]
    assert asked == [["team/any"]]


KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: dev
clusters: [{name: dev, cluster: {server: 'https://dev:6443'}}]
users: [{name: alice, user: {token: planted-cluster-token}}]
contexts: [{name: dev, context: {cluster: dev, user: alice}}]
"""


@pytest.mark.parametrize(
    ("cluster", "status", "code"),
    [
        (FakeCluster(), "ok", 0),
        (FakeCluster(served=False), "warning", 0),
        (FakeCluster(error=AuthenticationError("the token expired")), "failed", 3),
        (FakeCluster(error=UnavailableError("it does not answer")), "failed", 6),
    ],
)
def test_the_cluster(
    small: SmallHub, monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, status: str, code: int
) -> None:
    """The API server of the kubeconfig is asked who we are and what it knows."""
    file = Path.home() / ".kube" / "config"
    file.parent.mkdir()
    file.write_text(KUBECONFIG)
    file.chmod(0o600)
    monkeypatch.setattr(session, "open_cluster", lambda _: cluster)
    found_code, found = steps(small.host)
    assert (found_code, found["cluster"]["status"]) == (code, status)
    assert "planted-cluster-token" not in str(found)
    if status != "ok":
        assert found["cluster"]["repair"]
