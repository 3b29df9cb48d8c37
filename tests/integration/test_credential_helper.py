"""`docker-credential-sealoshub` between real clients and a real hub, and under load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.images import oci_layout
from tests.integration.clients import CLIENTS
from tests.integration.people import SEALOSHUB
from tests.integration.test_way_through import organization
from tests.real_servers import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.integration.hub import Hub
    from tests.integration.people import Person

HELPER: Final = SEALOSHUB.with_name("docker-credential-sealoshub")
HOSTS: Final = [f"hub{number}.example.com" for number in range(50)]

# A keyring for programs of their own: it lies in a file, because they share no memory.
KEYRING: Final = """\
import json, os, pathlib
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 5
    file = pathlib.Path(os.environ["TEST_KEYRING"])

    def _all(self):
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def _keep(self, kept):
        self.file.write_text(json.dumps(kept))

    def get_password(self, service, username):
        return self._all().get(f"{service}|{username}")

    def set_password(self, service, username, password):
        self._keep({**self._all(), f"{service}|{username}": password})

    def delete_password(self, service, username):
        kept = self._all()
        del kept[f"{service}|{username}"]
        self._keep(kept)
"""

SAVE: Final = """\
import os, pathlib, sys
from sealoshub import credentials
from sealoshub.secret import Secret
home = pathlib.Path(os.environ["HOME"])
places = credentials.locate(os.environ, home, uid=os.getuid(), platform="linux")
store = credentials.Store(sys.argv[2]) if len(sys.argv) > 2 else None
sys.stdin.read()  # until everybody is there
credentials.save(sys.argv[1], "alice", Secret("s-" + sys.argv[1]), is_refresh_token=False,
                 places=places, store=store)
"""


@pytest.fixture
def keyring(tmp_path: Path) -> dict[str, str]:
    """Return the variables of programs that find a keyring."""
    (tmp_path / "lying_keyring.py").write_text(KEYRING)
    return {
        "PYTHONPATH": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "lying_keyring.Keyring",
        "TEST_KEYRING": str(tmp_path / "kept.json"),
    }


def kept(keyring: dict[str, str]) -> dict[str, str]:
    """Return what the keyring keeps."""
    found: dict[str, str] = json.loads(Path(keyring["TEST_KEYRING"]).read_text())
    return found


def run_all(commands: Sequence[Sequence[str]], texts: Iterator[str], env: dict[str, str]) -> None:
    """Start a process for each command, let them all go at once, and wait for them."""
    running = [
        subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for command in commands
    ]
    for process, text in zip(running, texts, strict=True):
        assert process.stdin is not None
        process.stdin.write(text.encode())
        process.stdin.flush()
    for process in running:
        assert process.stdin is not None
        process.stdin.close()
    for process in running:
        assert process.stdout is not None
        said = process.stdout.read()
        process.stdout.close()
        assert process.wait() == 0, said.decode()


def test_50_parallel_stores_through_the_helper(somebody: Person) -> None:
    """50 logins to 50 hosts by 50 processes, through the helper, lose none."""
    bodies = (
        json.dumps({"ServerURL": host, "Username": "alice", "Secret": f"s-{host}"})
        for host in HOSTS
    )
    run_all([[str(HELPER), "store"]] * len(HOSTS), bodies, somebody.env())
    listed = somebody.run(HELPER, "list", expect=0)
    assert json.loads(listed.stdout) == dict.fromkeys(HOSTS, "alice")
    for host in HOSTS[::10]:
        found = json.loads(somebody.run(HELPER, "get", stdin=host, expect=0).stdout)
        assert found["Secret"] == f"s-{host}"


@pytest.mark.parametrize("store", [[], ["helper"]], ids=["files", "helper"])
def test_50_parallel_logins(somebody: Person, store: list[str]) -> None:
    """50 logins to 50 hosts by 50 processes leave 50 entries in every file that they write."""
    commands = [[sys.executable, "-c", SAVE, host, *store] for host in HOSTS]
    run_all(commands, ("" for _ in HOSTS), somebody.env())
    docker = json.loads((somebody.home / ".docker" / "config.json").read_text())
    containers = json.loads((somebody.home / "run" / "containers" / "auth.json").read_text())
    assert set(docker["auths"]) == set(HOSTS)
    if store:
        assert set(docker["credHelpers"]) == set(containers["credHelpers"]) == set(HOSTS)
        own = somebody.home / ".local" / "share" / "sealoshub" / "credentials.json"
        secrets = {host: entry["secret"] for host, entry in json.loads(own.read_text()).items()}
        assert secrets == {host: f"s-{host}" for host in HOSTS}
    else:
        assert containers["auths"] == docker["auths"]
        assert all(docker["auths"][host]["auth"] for host in HOSTS)


def test_stock_clients_ask_our_helper(
    hub: Hub, unique: str, tmp_path: Path, keyring: dict[str, str]
) -> None:
    """One login into the keyring is the login of every client, and its logout too."""
    alice = hub.user(f"alice-{unique}").with_settings(keyring)
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", "--store", "keyring", expect=0)
    files = [alice.home / ".docker" / "config.json", alice.home / "run/containers/auth.json"]
    own = alice.home / ".local" / "share" / "sealoshub" / "credentials.json"
    for file in files:
        assert json.loads(file.read_text())["credHelpers"] == {hub.host: "sealoshub"}
    [secret] = kept(keyring).values()
    assert secret.startswith("shr_")

    image = oci_layout(tmp_path / "image")
    for client in (client for client in CLIENTS if client.push):
        need(client.name)
        reference = f"{hub.host}/{unique}/{client.name}:v1"
        pushed = client.run_push(alice, image, reference)
        assert pushed.returncode == 0, pushed.stderr
        pulled = client.run_pull(alice, reference, tmp_path / client.name)
        assert pulled.returncode == 0, pulled.stderr
    alice.run("sealoshub", "whoami", hub.host, expect=0)

    for file in [*files, own]:
        assert secret not in file.read_text()
    alice.run("sealoshub", "logout", hub.host, expect=0)
    assert kept(keyring) == {}
    for file in files:
        assert "credHelpers" not in file.read_text()
    assert alice.run("crane", "digest", f"{hub.host}/{unique}/crane:v1").returncode != 0


def test_no_keyring_no_login(hub: Hub, unique: str) -> None:
    """Without a keyring the login ends before anybody is asked, and nothing is stored."""
    alice = hub.user(f"alice-{unique}")
    refused = alice.run("sealoshub", "login", hub.host, "-k", "--store", "keyring", expect=1)
    assert "there is no usable system keyring here" in refused.stderr
    assert "--store file" in refused.stderr
    assert not (alice.home / ".docker").exists()
    assert not (alice.home / ".local").exists()
    assert list((alice.home / "run").iterdir()) == []
