"""The process: what it keeps, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import yaml

from sealoshub.hub.api import pki
from sealoshub.hub.api.rbac import MASTERS
from tests.integration.servers.process import free_port
from tests.unit.hub_api.conftest import trust

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys, pathlib
from sealoshub.hub import api
from sealoshub.hub.api.server import ApiConfig
api.serve(ApiConfig(pathlib.Path(sys.argv[1]), int(sys.argv[2])))
"""


def start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the API as a process of its own and wait until it answers."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(port)])
    url = f"https://localhost:{port}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/readyz", context=trust(folder)) as answer:  # noqa: S310  # https
                assert answer.read() == b"ok"
                return process, url
        except urllib.error.URLError:
            time.sleep(0.02)
    process.kill()
    raise AssertionError("the API does not start")


def test_killed_and_started_again(tmp_path: Path) -> None:
    """After `kill -9` every acknowledged write is there, tokens included; SIGTERM ends in peace."""
    pki.ensure_pki(tmp_path / "pki")
    token = pki.issue_token(tmp_path / "pki", "admin", [MASTERS]).reveal()

    def call(url: str, body: object = None) -> dict[str, object]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        request = urllib.request.Request(f"{url}/api/v1/namespaces", data, headers)  # noqa: S310  # https, ours
        with urllib.request.urlopen(request, context=trust(tmp_path)) as answer:  # noqa: S310  # as above
            loaded: dict[str, object] = json.load(answer)
            return loaded

    process, url = start(tmp_path)
    made = [f"kept{at}" for at in range(20)]
    for name in made:
        call(url, {"metadata": {"name": name}})
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    process, url = start(tmp_path)
    items = call(url)["items"]
    assert isinstance(items, list)
    names = {one["metadata"]["name"] for one in items}
    assert set(made) <= names
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) in {0, -signal.SIGTERM}


def test_kubeconfig(tmp_path: Path) -> None:
    """A kubeconfig is its owner's only and holds one context."""
    pki.ensure_pki(tmp_path)
    certificate, key = pki.issue_client_certificate(tmp_path, "alice", ["dev"], 60)
    file = tmp_path / "alice.kubeconfig"
    ca = (tmp_path / "ca.crt").read_bytes()
    pki.write_kubeconfig(
        file, "https://localhost:1", ca, "alice", certificate_pem=certificate, key_pem=key
    )
    assert file.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(file.read_text())["current-context"] == "alice"


def test_keys_are_private(tmp_path: Path) -> None:
    """No key and no hash of a token can be read by others; nothing is made twice."""
    pki.ensure_pki(tmp_path / "pki")
    pki.issue_token(tmp_path / "pki", "alice", [])
    before = {file.name: file.read_bytes() for file in (tmp_path / "pki").iterdir()}
    for file in (tmp_path / "pki").iterdir():
        assert file.stat().st_mode & 0o777 == (0o644 if file.suffix == ".crt" else 0o600)
    pki.ensure_pki(tmp_path / "pki")
    assert before == {file.name: file.read_bytes() for file in (tmp_path / "pki").iterdir()}
    pki.ensure_pki(tmp_path / "pki", hostnames=["hub.example.com"])
    assert (tmp_path / "pki" / "server.crt").read_bytes() != before["server.crt"]
    assert (tmp_path / "pki" / "ca.crt").read_bytes() == before["ca.crt"]
