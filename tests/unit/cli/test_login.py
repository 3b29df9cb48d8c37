"""Claims about login, logout and whoami."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.cli import identity, session
from sealoshub.cli.login import complete_kubeconfig
from sealoshub.errors import AuthenticationError, DeniedError, UnavailableError

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Program

HOST = "hub.example.com"
TAKING = {"--context", "--token", "--token-file", "--username", "-u", "--output", "-o"}


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test an XDG_RUNTIME_DIR of its own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def _docker() -> Path:
    return Path.home() / ".docker" / "config.json"


def _containers() -> Path:
    return Path(os.environ["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"


def _entry(path: Path) -> Any:  # noqa: ANN401  # JSON of a file
    return json.loads(path.read_text())["auths"].get(HOST)


def _kubeconfig(path: Path | None = None, token: str | None = None) -> Path:
    path = path or Path.home() / ".kube" / "config"
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "current-context": "dev",
        "contexts": [{"name": "dev", "context": {"cluster": "dev", "user": "dev"}}],
        "clusters": [{"name": "dev", "cluster": {"server": "https://dev:6443"}}],
        "users": [{"name": "dev", "user": {"token": token or "kube-token"}}],
    }
    path.write_text(json.dumps(body))
    path.chmod(0o600)
    return path


# ---------------------------------------------------------------- the bare option


@pytest.mark.parametrize(
    ("args", "completed"),
    [
        ("HOST", "HOST"),
        ("HOST --kubeconfig", "HOST --kubeconfig="),
        ("HOST -k", "HOST --kubeconfig="),
        ("--kubeconfig HOST", "--kubeconfig= HOST"),
        ("-k HOST", "--kubeconfig= HOST"),
        ("-k FILE HOST", "--kubeconfig=FILE HOST"),
        ("HOST --kubeconfig FILE", "HOST --kubeconfig=FILE"),
        ("HOST --kubeconfig=FILE", "HOST --kubeconfig=FILE"),
        ("HOST -kFILE", "HOST -kFILE"),
        ("HOST -k --context C", "HOST --kubeconfig= --context C"),
        ("-k --context C HOST", "--kubeconfig= --context C HOST"),
        ("--context C -k HOST", "--context C --kubeconfig= HOST"),
        ("-k HOST -o json", "--kubeconfig= HOST -o json"),
        ("-k HOST --plain-http", "--kubeconfig= HOST --plain-http"),
        ("-k -- HOST", "--kubeconfig= -- HOST"),
        ("-k FILE -- HOST", "--kubeconfig=FILE -- HOST"),
    ],
)
def test_bare_kubeconfig(args: str, completed: str) -> None:
    """--kubeconfig is bare at the end, before an option, and before the only possible host."""
    assert complete_kubeconfig(args.split(), TAKING) == completed.split()


# ---------------------------------------------------------------- login


@pytest.mark.parametrize(
    "arguments", [["-k", HOST], [HOST, "--kubeconfig"], ["--kubeconfig", HOST, "-q"]]
)
def test_login_with_the_default_kubeconfig(program: Program, arguments: list[str]) -> None:
    """The bare option logs in with ~/.kube/config and stores what the hub gave for it."""
    _kubeconfig()
    result = program("login", *arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert program.hub.logins == [(HOST, "alice", "kube-token")]
    expected = {"auth": base64.b64encode(b"alice:").decode(), "identitytoken": "shr_fresh"}
    assert _entry(_docker()) == _entry(_containers()) == expected


def test_login_says_who_until_when_and_where(program: Program) -> None:
    """One line on standard error has the name, the end and the files."""
    _kubeconfig()
    result = program("login", HOST, "-k")
    assert result.stderr == (
        f"logged in to {HOST} as alice; the login is good until 2099-01-01 00:00 UTC;"
        f" stored in {_docker()} and {_containers()}\n"
    )


def test_login_as_json(program: Program) -> None:
    """The JSON names user, end and files, and no secret."""
    _kubeconfig()
    result = program("login", HOST, "-k", "-o", "json")
    body = json.loads(result.stdout)
    assert body["status"] == "ok"
    assert body["data"] == {
        "host": HOST,
        "user": "alice",
        "account": "alice",
        "expires": "2099-01-01T00:00:00+00:00",
        "refresh_token": True,
        "locations": [str(_docker()), str(_containers())],
    }
    assert "shr_fresh" not in result.output


def test_login_with_a_named_kubeconfig_and_authfile(program: Program, tmp_path: Path) -> None:
    """A named kubeconfig and a named credential file are the only ones that are used."""
    _kubeconfig(token="wrong")
    own = _kubeconfig(tmp_path / "own", token="own")
    authfile = tmp_path / "auth.json"
    result = program("login", HOST, "--kubeconfig", own, "--authfile", authfile)
    assert result.exit_code == 0
    assert program.hub.logins[0][2] == "own"
    assert _entry(authfile)["identitytoken"] == "shr_fresh"
    assert not _docker().exists()


def test_a_service_account_is_stored_by_its_last_part(program: Program) -> None:
    """A name with colons is sent in full and stored so that no client splits it wrongly."""
    _kubeconfig()
    program.cluster.name = "system:serviceaccount:team:ci"
    program.hub.identity = None
    result = program("login", HOST, "-k")
    assert "as system:serviceaccount:team:ci;" in result.stderr
    assert program.hub.logins[0][1] == "system:serviceaccount:team:ci"
    assert base64.b64decode(_entry(_docker())["auth"]) == b"ci:"


def test_a_certificate_travels_as_a_minimal_kubeconfig(program: Program) -> None:
    """For a client certificate, certificate and key are sent and nothing else."""
    path = _kubeconfig()
    body = json.loads(path.read_text())
    data = {"client-certificate-data": "Yw==", "client-key-data": "aw=="}
    body["users"][0]["user"] = data
    path.write_text(json.dumps(body))
    assert program("login", HOST, "-k").exit_code == 0
    sent = json.loads(program.hub.logins[0][2])
    assert sent["users"][0]["user"] == data
    assert "dev" not in program.hub.logins[0][2]


def test_unreachable_cluster(program: Program) -> None:
    """If the cluster cannot be reached from here, the hub says who we are."""
    _kubeconfig()
    program.cluster.error = UnavailableError("dev:6443 does not answer")
    result = program("login", HOST, "-k")
    assert result.exit_code == 0
    assert "dev:6443 does not answer; the hub will say who you are" in result.stderr
    assert program.hub.logins[0][1] == identity.NOBODY_IN_PARTICULAR
    assert f"logged in to {HOST} as alice" in result.stderr
    assert base64.b64decode(_entry(_docker())["auth"]) == b"alice:"


def test_the_cluster_refuses_the_token(program: Program) -> None:
    """A token that the API server refuses is not sent to the hub; exit 3 and the way out."""
    _kubeconfig()
    program.cluster.error = AuthenticationError("Unauthorized")
    result = program("login", HOST, "-k")
    assert result.exit_code == 3
    assert "refused the credential of" in result.stderr
    assert "may have expired" in result.stderr
    assert program.hub.logins == []


def test_an_expired_token_is_not_even_tried(program: Program) -> None:
    """A token whose own end has passed is refused before anything is sent."""
    end = int((datetime.now(UTC) - timedelta(hours=1)).timestamp())
    claims = base64.urlsafe_b64encode(json.dumps({"exp": end}).encode()).decode().rstrip("=")
    _kubeconfig(token=f"e30.{claims}.x")
    result = program("login", HOST, "-k")
    assert result.exit_code == 3
    assert "expired at" in result.stderr
    assert program.hub.logins == []


@pytest.mark.parametrize("error", [AuthenticationError("no"), DeniedError("no")])
def test_nothing_is_written_unless_accepted(program: Program, error: Any) -> None:  # noqa: ANN401  # an error
    """A refused login leaves no file behind."""
    _kubeconfig()
    program.hub.error = error
    assert program("login", HOST, "-k").exit_code == error.exit_code
    assert not _docker().exists()
    assert not _containers().exists()


def test_a_hub_that_lets_everybody_in(program: Program) -> None:
    """A registry that checks nothing is not logged in to."""
    program.hub.anonymous = True
    result = program("login", HOST, "--token", "t")
    assert result.exit_code == 3
    assert "nothing was stored" in result.stderr
    assert not _docker().exists()


def test_without_a_refresh_token_the_credential_is_stored(program: Program) -> None:
    """A server that gives no refresh token, or --no-exchange, leaves the credential itself."""
    program.hub.refresh = None
    program.hub.identity = None
    result = program("login", HOST, "-u", "bob", "--token", "t0ken")
    assert base64.b64decode(_entry(_docker())["auth"]) == b"bob:t0ken"
    assert "gives no short credential" in result.stderr
    personal = "shp_" + "p" * 43  # short by itself
    result = program("login", HOST, "-u", "bob", "--token-stdin", stdin=personal)
    assert base64.b64decode(_entry(_docker())["auth"]) == f"bob:{personal}".encode()
    assert "gives no short credential" not in result.stderr
    program.hub.refresh = "shr_x"
    result = program("login", HOST, "-u", "bob", "--token", "other", "--no-exchange")
    assert "gives no short credential" not in result.stderr
    assert base64.b64decode(_entry(_docker())["auth"]) == b"bob:other"


@pytest.mark.parametrize(
    ("stdin", "secret"),
    [
        (b"s\n", "s"),
        (b"s\r\n", "s"),
        (b"s", "s"),
        (b"a\nb\nc\n", "a\nb\nc"),
        (b"a\n\n", "a\n"),
        (b"x" * 70_000 + b"\n", "x" * 70_000),
    ],
    ids=range(6),
)
def test_password_from_stdin(program: Program, stdin: bytes, secret: str) -> None:
    """All of standard input is the password, less one final end of line."""
    result = program("login", HOST, "-u", "bob", "--password-stdin", stdin=stdin)
    assert result.exit_code == 0, result.output
    assert program.hub.logins == [(HOST, "bob", secret)]


def test_token_from_a_file_and_from_stdin(program: Program, tmp_path: Path) -> None:
    """A token comes from a file or from standard input, without its end of line."""
    file = tmp_path / "token"
    file.write_text("t1\n")
    assert program("login", HOST, "--token-file", file).exit_code == 0
    assert program("login", HOST, "--token-stdin", stdin="t2\n").exit_code == 0
    assert [secret for _, _, secret in program.hub.logins] == ["t1", "t2"]
    assert {account for _, account, _ in program.hub.logins} == {identity.NOBODY_IN_PARTICULAR}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["not a host", "-k"], 5, "is not the host of a registry"),
        ([HOST], 2, "nothing to log in with, and no terminal"),
        ([HOST, "-u", "bob"], 2, "nothing to log in with, and no terminal"),
        ([HOST, "-k", "--token", "t"], 2, "--kubeconfig and --token exclude each other"),
        ([HOST, "--password-stdin"], 2, "--password-stdin needs a user name"),
        ([HOST, "--context", "c", "--token", "t"], 2, "--context makes no sense with --token"),
        ([HOST, "-k"], 3, "there is no kubeconfig (looked at"),
        ([HOST, "-k", "/no/such/file"], 5, "there is no kubeconfig /no/such/file"),
        ([HOST, "--token-file", "/no/such/file"], 5, "there is no file /no/such/file"),
        ([HOST, "--token", " "], 2, "the token of --token is empty"),
        ([HOST, "--token-stdin"], 2, "standard input is empty"),
        ([HOST, "--token", "t", "--authfile", "f", "--persist"], 2, "make no sense"),
    ],
)
def test_wrong_options(program: Program, arguments: list[str], code: int, message: str) -> None:
    """Wrong and contradicting options are refused before anything is sent."""
    result = program("login", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert program.hub.logins == []


def test_on_a_terminal_the_kubeconfig_is_used(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any option, somebody at a terminal is logged in with his kubeconfig, and told."""
    monkeypatch.setattr(session, "is_interactive", lambda: True)
    _kubeconfig()
    result = program("login", HOST)
    assert result.exit_code == 0
    assert "logging in with" in result.stderr


def test_on_a_terminal_a_person_is_asked(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kubeconfig, name and password are asked for; the prompt is not a result."""
    monkeypatch.setattr(session, "is_interactive", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda _: "pw")
    result = program("login", HOST, stdin="bob\n")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert program.hub.logins == [(HOST, "bob", "pw")]


@pytest.mark.parametrize("stdin", ["", "bob\n"])
def test_a_prompt_that_is_left_ends_its_line(
    program: Program, monkeypatch: pytest.MonkeyPatch, stdin: str
) -> None:
    """Ctrl-C and Ctrl-D at a prompt end with 130, and the message has a line of its own."""

    def left(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(session, "is_interactive", lambda: True)
    monkeypatch.setattr("getpass.getpass", left)
    result = program("login", HOST, stdin=stdin)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-2:] == ["User name: ", "error: interrupted"]


def test_no_output_shows_a_secret(program: Program) -> None:
    """Neither the token nor what the hub gave appears anywhere in the output."""
    _kubeconfig(token="s3cret-token")
    for extra in ([], ["-v"], ["-o", "json"], ["-q"]):
        result = program("login", HOST, "-k", *extra)
        assert "s3cret" not in result.output
        assert "shr_" not in result.output


def test_tls_options_arrive(program: Program, tmp_path: Path) -> None:
    """--plain-http, --ca-file and what to believe unseen reach the client."""
    ca = tmp_path / "ca.pem"
    program("login", HOST, "--token", "t", "--plain-http", "--ca-file", ca)
    program("login", HOST, "--token", "t", "--insecure-skip-tls-verify", "--trust-realm")
    assert program.hub.tls[0] == session.Tls(plain_http=True, ca_file=ca)
    assert program.hub.tls[-1] == session.Tls(insecure_skip_tls_verify=True, trust_realm=True)


# ---------------------------------------------------------------- logout


def test_logout_erases_and_revokes(program: Program) -> None:
    """After a logout nothing is stored, and the hub has ended the login, once."""
    program("login", HOST, "--token", "t")
    result = program("logout", HOST)
    assert result.exit_code == 0
    assert "the login is over at the hub too" in result.stderr
    assert program.hub.revoked == ["shr_fresh"]
    assert _entry(_docker()) is None
    assert _entry(_containers()) is None


def test_logout_needs_no_host_if_there_is_one(program: Program) -> None:
    """With one login the host need not be named; with none or two it must."""
    assert program("logout").exit_code == 2
    program("login", HOST, "--token", "t")
    assert program("logout").exit_code == 0
    program("login", HOST, "--token", "t")
    program("login", "other.example.com", "--token", "t")
    result = program("logout")
    assert result.exit_code == 2
    assert f"logins for {HOST}, other.example.com" in result.stderr


def test_logout_all_ends_our_logins_only(program: Program) -> None:
    """--all ends what `sealoshub login` made and leaves other programs' logins."""
    program("login", HOST, "--token", "t")
    program("login", "other.example.com", "--token", "t")
    body = json.loads(_docker().read_text())
    body["auths"]["docker.io"] = {"auth": "YTpi"}
    _docker().write_text(json.dumps(body))
    assert program("logout", "--all").exit_code == 0
    assert json.loads(_docker().read_text())["auths"] == {"docker.io": {"auth": "YTpi"}}


def test_logout_finds_a_named_authfile_again(program: Program, tmp_path: Path) -> None:
    """A login that was stored in a file of its own is erased there without naming it again."""
    authfile = tmp_path / "own.json"
    program("login", HOST, "--token", "t", "--authfile", authfile)
    assert program("logout", HOST).exit_code == 0
    assert _entry(authfile) is None
    assert program.hub.revoked == ["shr_fresh"]


def test_logout_works_without_the_hub(program: Program) -> None:
    """A hub that is down keeps nobody logged in here."""
    program("login", HOST, "--token", "t")
    program.hub.error = UnavailableError("down")
    result = program("logout", HOST)
    assert result.exit_code == 0
    assert "was not ended and ends by itself" in result.stderr
    assert _entry(_docker()) is None


def test_logout_keeps_the_server_session_if_asked(program: Program) -> None:
    """--keep-server-session forgets the login here only."""
    program("login", HOST, "--token", "t")
    program("logout", HOST, "--keep-server-session")
    assert program.hub.revoked == []


def test_logout_twice(program: Program) -> None:
    """Logging out where nobody is logged in is no error."""
    result = program("logout", HOST)
    assert result.exit_code == 0
    assert f"not logged in to {HOST}" in result.stderr


# ---------------------------------------------------------------- whoami


def test_whoami(program: Program) -> None:
    """The hub's answer is shown with where the credential lies."""
    program("login", HOST, "--token", "t")
    result = program("whoami")
    assert result.exit_code == 0
    assert "user:       alice\n" in result.stdout
    assert "groups:     devs\n" in result.stdout
    assert f"stored in:  {_containers()}, key {HOST}\n" in result.stdout
    assert "good until: 2099-01-01 00:00 UTC (" in result.stdout


def test_whoami_offline_asks_nobody(program: Program) -> None:
    """--offline says what is stored, and does not claim that it was verified."""
    program("login", HOST, "--token", "t")
    program.hub.error = UnavailableError("down")
    result = program("whoami", HOST, "--offline", "-o", "json")
    data = json.loads(result.stdout)["data"]
    assert (data["user"], data["verified"]) == ("alice", False)
    assert data["expires"] == "2099-01-01T00:00:00+00:00"


def test_whoami_without_a_login(program: Program) -> None:
    """Not logged in is exit code 3 and the command that helps."""
    result = program("whoami", HOST)
    assert result.exit_code == 3
    assert f"not logged in to {HOST}" in result.stderr
    assert f"sealoshub login {HOST}" in result.stderr


def test_whoami_with_a_revoked_login(program: Program) -> None:
    """A login that the hub no longer accepts is exit code 3."""
    program("login", HOST, "--token", "t")
    program.hub.error = AuthenticationError("the login is over")
    assert program("whoami", HOST).exit_code == 3
