"""Claims about the credential helper as a program, and about `login --store`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import keyring.core
import pytest
from keyring.backends import fail

from tests.unit.credentials.memory_keyring import MemoryKeyring

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Program

HOST: Final = "hub.example.com"
HELPER: Final = Path(sys.executable).with_name("docker-credential-sealoshub")
HEAVY: Final = (
    "asyncio cryptography filelock httpx kubernetes keyring rich ssl typer urllib.request yaml"
)
OUR_MODULES: Final = {
    "sealoshub",
    "sealoshub.cli",
    "sealoshub.cli.docker_credential",
    "sealoshub.credentials",
    "sealoshub.credentials.authfile",
    "sealoshub.credentials.entry",
    "sealoshub.credentials.helper",
    "sealoshub.credentials.places",
    "sealoshub.credentials.pointers",
    "sealoshub.credentials.program",
    "sealoshub.credentials.ring",
    "sealoshub.credentials.store",
    "sealoshub.credentials.vault",
    "sealoshub.errors",
    "sealoshub.reference",
    "sealoshub.pattern",
    "sealoshub.secret",
    "sealoshub.value",
}


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    """Let the system's keyring be one in memory, and our helper be on PATH."""
    backend = MemoryKeyring()
    monkeypatch.setattr(keyring.core, "_keyring_backend", backend)
    monkeypatch.setenv("PATH", f"{HELPER.parent}{os.pathsep}{os.environ['PATH']}")
    return backend


def _docker() -> Path:
    return Path.home() / ".docker" / "config.json"


def _containers() -> Path:
    return Path(os.environ["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"


def _vault() -> Path:
    return Path.home() / ".local" / "share" / "sealoshub" / "credentials.json"


def _json(path: Path) -> Any:  # noqa: ANN401  # JSON of a file
    return json.loads(path.read_text())


def _ask(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HELPER, *arguments], input=stdin, capture_output=True, text=True, check=False
    )


def _login(program: Program, *arguments: str) -> Any:  # noqa: ANN401  # typer's private result
    return program("login", HOST, "--token-stdin", "-u", "alice", *arguments, stdin="t0ken")


def test_the_program_loads_little(tmp_path: Path) -> None:
    """A `get` imports these modules of ours and nothing heavy."""
    file = tmp_path / "sealoshub" / "credentials.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"hub": {"account": "a", "secret": "s", "store": "file"}}))
    script = (
        "import sys\nfrom sealoshub.cli import docker_credential as d\n"
        "code = d.run(['get'])\nprint(*sorted(sys.modules))\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path)},
        input="hub",
        capture_output=True,
        text=True,
        check=True,
    )
    answer, modules = done.stdout.splitlines()
    assert json.loads(answer) == {"ServerURL": "hub", "Username": "a", "Secret": "s"}
    loaded = set(modules.split())
    assert loaded & set(HEAVY.split()) == set()
    assert {name for name in loaded if name.partition(".")[0] == "sealoshub"} == OUR_MODULES


def test_the_program_speaks_the_protocol() -> None:
    """Answers and errors are standard output, an error ends with 1, standard error is silent."""
    body = {"ServerURL": "https://hub:5000/v2/", "Username": "u", "Secret": "s"}
    steps = [
        (("store",), json.dumps(body), 0, ""),
        (("get",), "hub:5000", 0, json.dumps({**body, "ServerURL": "hub:5000"}) + "\n"),
        (("list",), "unused", 0, '{"https://hub:5000/v2/": "u"}\n'),
        (("erase",), "hub:5000", 0, ""),
        (("get",), "hub:5000", 1, "credentials not found in native keychain\n"),
        ((), "", 1, "Usage: docker-credential-sealoshub <store|get|erase|list|version>\n"),
    ]
    for arguments, stdin, code, expected in steps:
        done = _ask(*arguments, stdin=stdin)
        assert (done.returncode, done.stdout, done.stderr) == (code, expected, "")


def test_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be written is one line and no traceback."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(blocked))
    done = _ask("store", stdin='{"ServerURL":"hub","Username":"u","Secret":"s3cret"}')
    assert done.returncode == 1
    assert "cannot be written" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr
    assert done.stderr == ""


def test_the_command_is_the_same(program: Program) -> None:
    """`sealoshub credential-helper` answers as the program does, exit code included."""
    body = '{"ServerURL": "hub", "Username": "u", "Secret": "s"}'
    assert program("credential-helper", "store", stdin=body).exit_code == 0
    found = program("credential-helper", "get", stdin="hub")
    assert (found.exit_code, found.stdout) == (0, f"{body}\n")
    assert _ask("get", stdin="hub").stdout == f"{body}\n"
    absent = program("credential-helper", "erase", stdin="other")
    assert (absent.exit_code, absent.stdout, absent.stderr) == (
        1,
        "credentials not found in native keychain\n",
        "",
    )
    assert program("credential-helper", "shout").exit_code == 2


# ---------------------------------------------------------------- login --store


def test_login_into_the_keyring(program: Program, memory: MemoryKeyring) -> None:
    """The keyring has the secret, the files only name our helper, and logout erases all."""
    assert _login(program).exit_code == 0  # first as ever: into the files
    result = _login(program, "--store", "keyring")
    assert result.exit_code == 0, result.output
    assert (
        f"stored in docker-credential-sealoshub (system keyring), which is named in {_docker()}"
        f" and {_containers()}" in result.stderr
    )
    assert memory.kept == {(f"sealoshub {HOST}", "<token>"): "shr_fresh"}
    assert _json(_docker()) == {"auths": {HOST: {}}, "credHelpers": {HOST: "sealoshub"}}
    assert _json(_containers()) == {"auths": {}, "credHelpers": {HOST: "sealoshub"}}
    assert "shr_fresh" not in _vault().read_text()
    shown = json.loads(program("whoami", HOST, "--offline", "-o", "json").stdout)["data"]
    assert shown["location"] == "docker-credential-sealoshub (system keyring)"
    assert shown["refresh_token"] is True

    assert program("logout", HOST).exit_code == 0
    assert program.hub.revoked == ["shr_fresh"]
    assert memory.kept == {}
    assert _json(_vault()) == {}
    assert _json(_docker()) == {"auths": {}}
    assert _json(_containers()) == {"auths": {}}


def test_the_next_login_stays_in_the_keyring(program: Program, memory: MemoryKeyring) -> None:
    """A login without --store goes where the one before it went, also beside an old entry."""
    _login(program, "--store", "keyring")
    stale = Path.home() / ".config" / "containers" / "auth.json"
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_text(json.dumps({"auths": {HOST: {"auth": "YTpi"}}}))
    program.hub.refresh = "shr_next"
    assert _login(program).exit_code == 0
    assert list(memory.kept.values()) == ["shr_next"]
    for file in (_docker(), _containers(), stale, _vault()):
        assert "shr_next" not in file.read_text()
        assert "YTpi" not in file.read_text()


def test_back_into_the_files(program: Program, memory: MemoryKeyring) -> None:
    """`--store file` takes the helper out of the files and the secret out of the keyring."""
    _login(program, "--store", "keyring")
    assert _login(program, "--store", "file").exit_code == 0
    assert memory.kept == {}
    assert _json(_vault()) == {}
    for file in (_docker(), _containers()):
        assert "credHelpers" not in _json(file)
        assert _json(file)["auths"][HOST]["identitytoken"] == "shr_fresh"


@pytest.mark.usefixtures("memory")
def test_login_behind_the_helper(program: Program) -> None:
    """`--store helper` keeps the secret in a private file that no client reads by itself."""
    assert _login(program, "--store", "helper").exit_code == 0
    assert "shr_fresh" not in _docker().read_text() + _containers().read_text()
    assert _json(_vault())[HOST]["secret"] == "shr_fresh"
    assert json.loads(_ask("get", stdin=HOST).stdout)["Username"] == "<token>"


@pytest.mark.usefixtures("memory")
def test_one_named_file(program: Program, tmp_path: Path) -> None:
    """With --authfile only that file names the helper, and logout finds it again."""
    file = tmp_path / "auth.json"
    assert _login(program, "--store", "keyring", "--authfile", str(file)).exit_code == 0
    assert _json(file)["credHelpers"] == {HOST: "sealoshub"}
    assert not _docker().exists()
    assert program("logout", HOST).exit_code == 0
    assert "credHelpers" not in _json(file)
    assert program.hub.revoked == ["shr_fresh"]


@pytest.mark.usefixtures("memory")
def test_no_keyring_is_no_login(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a usable keyring nobody is asked and nothing is stored, in a file least of all."""
    failing = fail.Keyring()  # type: ignore[no-untyped-call]  # the library's
    monkeypatch.setattr(keyring.core, "_keyring_backend", failing)
    result = _login(program, "--store", "keyring")
    assert result.exit_code == 1
    assert "there is no usable system keyring here" in result.stderr
    assert "--store file" in result.stderr
    assert program.hub.logins == []
    assert not _docker().exists()
    assert not _vault().exists()


@pytest.mark.parametrize("store", ["helper", "keyring"])
@pytest.mark.usefixtures("memory")
def test_without_the_program(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: str
) -> None:
    """A helper that no client would find is an error that names it and its folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    result = _login(program, "--store", store)
    assert result.exit_code == 5
    assert "docker-credential-sealoshub is not on PATH" in result.stderr
    assert str(HELPER.parent) in result.stderr
    assert program.hub.logins == []


@pytest.mark.parametrize(
    ("store", "config", "refused"),
    [
        ("keyring", {"credHelpers": {HOST: "desk"}}, True),
        ("helper", {"credHelpers": {HOST: "desk"}}, True),
        ("file", {"credHelpers": {HOST: "desk"}}, True),
        ("file", {"credsStore": "desk"}, True),
        ("keyring", {"credsStore": "desk"}, False),
        ("keyring", {"credHelpers": {"other": "desk"}}, False),
        ("file", {"credHelpers": {"other": "desk"}}, False),
    ],
)
@pytest.mark.usefixtures("memory")
def test_another_helper_is_left_alone(
    program: Program, store: str, config: dict[str, object], *, refused: bool
) -> None:
    """What the user gave to another helper is not taken from it, unless it is only the default."""
    _docker().parent.mkdir()
    _docker().write_text(json.dumps(config))
    result = _login(program, "--store", store)
    if refused:
        assert result.exit_code == 5
        assert "docker-credential-desk keeps the login" in result.stderr
        assert _json(_docker()) == config
        return
    assert result.exit_code == 0, result.output
    after = _json(_docker())
    assert after.get("credsStore") == config.get("credsStore")
    assert after.get("credHelpers", {}).get("other") == config.get("credHelpers", {}).get("other")  # type: ignore[attr-defined]  # a table


def test_a_locked_keyring_at_logout(program: Program, memory: MemoryKeyring) -> None:
    """A logout that cannot reach the keyring fails and can be done again."""
    _login(program, "--store", "keyring")
    memory.locked = True
    result = program("logout", HOST)
    assert result.exit_code == 1
    assert "cannot be read: Failed to unlock" in result.stderr
    memory.locked = False
    assert program("logout", HOST).exit_code == 0
    assert memory.kept == {}


def test_a_locked_keyring_does_not_stop_the_way_back(
    program: Program, memory: MemoryKeyring
) -> None:
    """`--store file` with a keyring that cannot be reached logs in, and says what stays there."""
    _login(program, "--store", "keyring")
    memory.locked = True
    result = _login(program, "--store", "file")
    assert result.exit_code == 0
    assert f"what was kept there for {HOST} before stays there" in result.stderr
    assert _json(_docker())["auths"][HOST]["identitytoken"] == "shr_fresh"


def test_the_keyring_is_looked_at_before_the_next_login(
    program: Program, monkeypatch: pytest.MonkeyPatch, memory: MemoryKeyring
) -> None:
    """A login that would go where the one before it went is not begun if it cannot end there."""
    _login(program, "--store", "keyring")
    assert memory.kept
    program.hub.logins.clear()
    failing = fail.Keyring()  # type: ignore[no-untyped-call]  # the library's
    monkeypatch.setattr(keyring.core, "_keyring_backend", failing)
    assert _login(program).exit_code == 1
    assert program.hub.logins == []
