"""What the kubeconfig tests share: a writer of kubeconfigs, tokens, certificates and plugins."""

from __future__ import annotations

import base64
import json
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A client certificate and its key, PEM."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Desk:
    """A folder, a clock, and what can be made with them."""

    folder: Path
    now: datetime = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def jwt(self, seconds: int | None) -> str:
        """Make an unsigned token that ends *seconds* from now (None: never)."""
        claims: dict[str, object] = {"sub": "alice"}
        if seconds is not None:
            claims["exp"] = int(self.now.timestamp()) + seconds
        parts = [json.dumps(part).encode() for part in ({"alg": "ES256"}, claims)]
        return ".".join(
            base64.urlsafe_b64encode(part).decode().rstrip("=") for part in [*parts, b"signed"]
        )

    def pair(self, end: timedelta) -> Pair:
        """Make a self-signed client certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=9))
            .not_valid_after(self.now + end)
            .sign(key, hashes.SHA256())
        )
        return Pair(
            certificate.public_bytes(serialization.Encoding.PEM).decode(),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ).decode(),
        )

    def kubeconfig(
        self,
        user: dict[str, Any],
        *,
        file: str = "config",
        name: str = "dev",
        cluster: dict[str, Any] | None = None,
    ) -> Path:
        """Write a kubeconfig with the one context *name*, 0600."""
        return self.write(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": name,
                    "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
                    "clusters": [
                        {"name": name, "cluster": cluster or {"server": f"https://{name}:6443"}}
                    ],
                    "users": [{"name": name, "user": user}],
                }
            ),
            file,
        )

    def write(self, text: str, file: str = "config") -> Path:
        """Write *text* to *file* in the folder, 0600."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    def plugin(self, script: str, file: str = "bin/plugin") -> Path:
        """Write an executable shell script."""
        path = self.write(f"#!/bin/sh\n{script}\n", file)
        path.chmod(stat.S_IRWXU)
        return path


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a desk in an empty folder."""
    return Desk(tmp_path)
