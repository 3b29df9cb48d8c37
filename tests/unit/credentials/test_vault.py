"""Claims about the store behind our own credential helper, in a file and in the keyring."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import keyring.core
import pytest
from keyring.backends import fail, null

from sealoshub.credentials import ring, vault
from sealoshub.credentials.program import Kept
from sealoshub.credentials.ring import KeyringError
from sealoshub.credentials.vault import Where
from sealoshub.errors import InvalidInputError
from sealoshub.secret import Secret
from tests.unit.credentials.memory_keyring import MemoryKeyring, PlainKeyring

if TYPE_CHECKING:
    from pathlib import Path

    from keyring.backend import KeyringBackend

HOST = "hub.example.com:5000"
ALICE = Kept("alice", Secret("s3cret"))
BOB = Kept("bob", Secret("b0b"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a store that is not there yet."""
    return tmp_path / "sealoshub" / "credentials.json"


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    """Let the system's keyring be one in memory."""
    backend = MemoryKeyring()
    monkeypatch.setattr(keyring.core, "_keyring_backend", backend)
    return backend


@pytest.mark.parametrize(
    ("server", "key"),
    [
        ("hub.example.com", "hub.example.com"),
        ("HUB.example.com", "hub.example.com"),
        ("hub.example.com:5000", HOST),
        ("https://hub.example.com:5000", HOST),
        ("http://hub.example.com:5000/", HOST),
        ("//hub.example.com:5000", HOST),
        ("https://hub.example.com:5000/v2/", HOST),
        ("https://hub.example.com:5000/some/path", HOST),
        ("hub.example.com:5000/org/repo", HOST),
        (" localhost:5000\n", "localhost:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("https://registry-1.docker.io/v2/", "docker.io"),
        ("https://index.docker.io/v1/access-token", "docker.io/v1/access-token"),
        ("https://index.docker.io/v1/refresh-token", "docker.io/v1/refresh-token"),
    ],
)
def test_server_key(server: str, key: str) -> None:
    """All spellings of a host are one key; the tokens of Docker Hub's own login stay apart."""
    assert vault.server_key(server) == key


@pytest.mark.parametrize("server", ["", "https://", "a b", "https://alice:s3cret@hub", "-x", "a:b"])
def test_no_server(server: str) -> None:
    """What names no host is refused, and a password in it is not shown."""
    with pytest.raises(InvalidInputError, match="is not the host of a registry") as caught:
        vault.server_key(server)
    assert "s3cret" not in str(caught.value)


def test_in_a_private_file(file: Path) -> None:
    """By default a secret lies in a file that only its owner reads."""
    assert vault.get(file, HOST) is None
    assert vault.store(file, f"https://{HOST}/v2/", ALICE) is Where.FILE
    assert vault.get(file, HOST) == ALICE
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert vault.accounts(file) == {f"https://{HOST}/v2/": "alice"}
    assert vault.erase(file, HOST) is True
    assert vault.erase(file, HOST) is False
    assert json.loads(file.read_text()) == {}


def test_in_the_keyring(file: Path, memory: MemoryKeyring) -> None:
    """Once chosen, the keyring has the secret and the file has not."""
    assert vault.store(file, HOST, ALICE, Where.KEYRING) is Where.KEYRING
    assert memory.kept == {(f"sealoshub {HOST}", "alice"): "s3cret"}
    assert "s3cret" not in file.read_text()
    assert vault.get(file, f"https://{HOST}") == ALICE
    assert vault.accounts(file) == {HOST: "alice"}
    assert vault.shown(file, HOST) == "docker-credential-sealoshub (system keyring)"


def test_the_choice_outlives_another_programs_logout(file: Path, memory: MemoryKeyring) -> None:
    """`docker logout` and `docker login` after `login --store keyring` end in the keyring."""
    vault.store(file, HOST, ALICE, Where.KEYRING)
    assert vault.store(file, HOST, BOB) is Where.KEYRING
    assert memory.kept == {(f"sealoshub {HOST}", "bob"): "b0b"}
    assert vault.erase(file, HOST) is True
    assert (memory.kept, vault.accounts(file), vault.get(file, HOST)) == ({}, {}, None)
    assert vault.erase(file, HOST) is False
    assert vault.store(file, HOST, ALICE) is Where.KEYRING
    assert vault.erase(file, HOST, forget=True) is True
    assert vault.where_of(file, HOST) is Where.FILE


@pytest.mark.parametrize("back", [ALICE, BOB])
def test_moving_leaves_nothing_behind(file: Path, memory: MemoryKeyring, back: Kept) -> None:
    """A secret that moves between the file and the keyring is in one of them only."""
    vault.store(file, HOST, ALICE, Where.FILE)
    vault.store(file, HOST, ALICE, Where.KEYRING)
    assert "s3cret" not in file.read_text()
    vault.store(file, HOST, back, Where.FILE)
    assert memory.kept == {}
    assert vault.get(file, HOST) == back


@pytest.mark.parametrize("backend", [fail.Keyring, null.Keyring, PlainKeyring])
def test_no_usable_keyring(
    file: Path, monkeypatch: pytest.MonkeyPatch, backend: type[KeyringBackend]
) -> None:
    """Without a keyring that keeps secrets safe nothing is stored anywhere."""
    monkeypatch.setattr(keyring.core, "_keyring_backend", backend())
    with pytest.raises(KeyringError, match="no usable system keyring") as caught:
        vault.store(file, HOST, ALICE, Where.KEYRING)
    assert "--store file" in (caught.value.hint or "")
    assert not file.exists()


def test_a_backend_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configured backend that is not installed is an error of ours, not a traceback."""
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "not.installed.Keyring")
    with pytest.raises(KeyringError, match="cannot be opened: ModuleNotFoundError"):
        ring.name()


def test_a_locked_keyring(file: Path, memory: MemoryKeyring) -> None:
    """A locked keyring says so, shows no secret, and the login stays where it was."""
    vault.store(file, HOST, ALICE, Where.KEYRING)
    before = file.read_text()
    memory.locked = True
    for action in (
        lambda: vault.get(file, HOST),
        lambda: vault.erase(file, HOST),
        lambda: vault.store(file, HOST, Kept("alice", Secret("fr3sh"))),
    ):
        with pytest.raises(KeyringError, match="Failed to unlock") as caught:
            action()
        assert "fr3sh" not in str(caught.value)
        assert caught.value.__context__ is None
    assert file.read_text() == before


def test_a_backend_that_breaks(file: Path, memory: MemoryKeyring) -> None:
    """Whatever a backend raises becomes our error, without its text."""
    memory.fault = RuntimeError("s3cret")
    with pytest.raises(KeyringError, match="RuntimeError") as caught:
        vault.store(file, HOST, ALICE, Where.KEYRING)
    assert "s3cret" not in str(caught.value)


def test_a_backend_that_forgets(file: Path, memory: MemoryKeyring) -> None:
    """A secret that cannot be read back was not stored."""
    memory.deaf = True
    with pytest.raises(KeyringError, match="did not keep"):
        vault.store(file, HOST, ALICE, Where.KEYRING)
    assert not file.exists()


@pytest.mark.parametrize(
    "body", [{HOST: 5}, {HOST: {"account": 5}}, {HOST: {"account": "a", "store": "cloud"}}]
)
def test_damaged(file: Path, body: object) -> None:
    """A damaged entry is an error and stays as it is."""
    file.parent.mkdir()
    file.write_text(json.dumps(body))
    with pytest.raises(InvalidInputError, match="own credential store"):
        vault.get(file, HOST)
    with pytest.raises(InvalidInputError, match="own credential store"):
        vault.store(file, HOST, ALICE)
    assert json.loads(file.read_text()) == body
