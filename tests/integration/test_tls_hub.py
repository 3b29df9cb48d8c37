"""A hub with TLS: registry and token server with a certificate of the operator's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.images import oci_layout
from tests.integration.hub import UP_SECONDS
from tests.integration.servers.authority import Authority
from tests.integration.servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.people import Person


@pytest.fixture
def tls_hub(
    registry_binary: Path, new_person: Callable[[str, Path | None], Person], tmp_path: Path
) -> Iterator[tuple[str, Person, Path]]:
    """Run a hub with TLS; yields its host, its first user and the CA's file."""
    authority = Authority.create("hub-ca")
    certificate, key = authority.server(["localhost"])
    for name, content in (("ca", authority.pem), ("crt", certificate), ("key", key)):
        (tmp_path / f"{name}.pem").write_bytes(content)
    operator = new_person("operator", None)
    data = tmp_path / "hub"
    done = operator.run(
        "sealoshub", "hub", "up", "--data", data, "--registry-binary", registry_binary,
        "--registry-port", str(free_port()), "--auth-port", str(free_port()),
        "--api-port", str(free_port()), "--user", "alice",
        "--cert", tmp_path / "crt.pem", "--key", tmp_path / "key.pem", "--output", "json",
        expect=0, seconds=UP_SECONDS,
    )  # fmt: skip
    state = json.loads(done.stdout)["data"]
    try:
        yield (
            state["host"],
            new_person("alice", data / "kubeconfigs" / "alice.kubeconfig"),
            (tmp_path / "ca.pem"),
        )
    finally:
        operator.run("sealoshub", "hub", "down", "--data", data)


def test_login_and_push_over_tls(tls_hub: tuple[str, Person, Path], tmp_path: Path) -> None:
    """With the CA named everything works; without it nothing is sent."""
    host, alice, authority = tls_hub
    refused = alice.run("sealoshub", "login", host, "--kubeconfig", expect=6)
    assert "certificate" in refused.stderr
    alice.run("sealoshub", "login", host, "--kubeconfig", "--ca-file", authority, expect=0)
    image = oci_layout(tmp_path / "image")
    reference = f"{host}/alice/app:v1"
    alice.run("sealoshub", "push", image.path, reference, "--ca-file", authority, expect=0)
    trust = {"SSL_CERT_FILE": str(authority)}
    assert alice.run("crane", "digest", reference, env=trust, expect=0).stdout.strip() == (
        image.digest
    )
