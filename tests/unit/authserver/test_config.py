"""The configuration file."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

from sealoshub.authserver.config import Address, Api, Tls, load
from sealoshub.authserver.logins import Lifetimes
from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

FULL = """
listen: localhost:5001
issuer: sealoshub
service: [hub, other]
token_seconds: 600
keys_dir: keys
api: {server: "https://k:6443", ca_file: /etc/ca.crt, token_file: token}
plugins: [{name: kubernetes, config: {require_audience: true}}, {name: static}]
hub_namespace: imagehub-system
login: {absolute_seconds: 1000, idle_seconds: 100}
metrics_listen: "[::1]:9090"
audit: audit.log
tls: {certificate: tls.crt, key: tls.key}
trusted_proxies: [10.0.0.0/8]
"""
LEAST = "listen: localhost:0\nkeys_dir: keys\nplugins: [{name: static}]\n"


def write(folder: Path, text: str) -> Path:
    """Write the file."""
    path = folder / "auth-server.yaml"
    path.write_text(text)
    return path


def test_every_key(tmp_path: Path) -> None:
    """Paths are relative to the folder of the file."""
    found = load(write(tmp_path, FULL))
    assert found.listen == Address("localhost", 5001)
    assert found.services == ("hub", "other")
    assert found.api is not None
    assert found.api.ca_file is not None
    assert str(found.api.ca_file) == "/etc/ca.crt"
    assert found.api == Api("https://k:6443", found.api.ca_file, tmp_path / "token")
    assert found.plugins == (("kubernetes", {"require_audience": True}), ("static", {}))
    assert found.login == Lifetimes(1000, 100)
    assert found.metrics_listen == Address("::1", 9090)
    assert found.audit == str(tmp_path / "audit.log")
    assert found.tls == Tls(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert found.trusted_proxies == (ipaddress.ip_network("10.0.0.0/8"),)


def test_the_least(tmp_path: Path) -> None:
    """Everything else has a default."""
    found = load(write(tmp_path, LEAST))
    assert (found.issuer, found.services, found.token_seconds) == ("sealoshub", ("hub",), 300)
    assert (found.api, found.audit, found.metrics_listen) == (None, "-", None)


def test_all_faults_at_once(tmp_path: Path) -> None:
    """One line for each, with the full name of the key."""
    text = """
listen: 5001
issuer: ""
service: []
token_seconds: 5
keys_dir: 7
api: {server: k, cafile: x}
plugins: [kubernetes, {config: []}]
hub_namespace: 1
login: {absolute_seconds: true, idle: 3}
metrics_listen: x
tls: {certificate: a}
trusted_proxies: [here]
unknown: 1
"""
    with pytest.raises(InvalidInputError) as caught:
        load(write(tmp_path, text))
    lines = [line.strip().partition(": ")[0] for line in caught.value.message.splitlines()[1:]]
    assert sorted(set(lines)) == sorted(
        {
            "api.cafile",
            "api.server",
            "hub_namespace",
            "issuer",
            "keys_dir",
            "listen",
            "login.absolute_seconds",
            "login.idle",
            "metrics_listen",
            "plugins[0]",
            "plugins[0].name",
            "plugins[1].config",
            "plugins[1].name",
            "service",
            "tls.key",
            "token_seconds",
            "trusted_proxies",
            "unknown",
        }
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "must be a mapping"),
        ("", "must be a mapping"),
        ("a: [", "not valid YAML"),
        (LEAST.replace("localhost:0", "localhost:70000"), "listen: must be host:port"),
        (LEAST + "api: x", "api: must be a mapping"),
        (LEAST + "audit: 5", "audit: must be a path"),
        (LEAST + "1: 2", "must be a mapping"),
        (LEAST.replace("[{name: static}]", "[]"), "at least one is needed"),
    ],
)
def test_single_faults(tmp_path: Path, text: str, message: str) -> None:
    """Each with the file's name."""
    with pytest.raises(InvalidInputError, match=message) as caught:
        load(write(tmp_path, text))
    assert "auth-server.yaml" in caught.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The system's reason is in the message."""
    with pytest.raises(InvalidInputError, match="No such file"):
        load(tmp_path / "no.yaml")
