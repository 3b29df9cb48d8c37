"""Certificates for tests: one CA, server certificates, client certificates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, encryption: KeySerializationEncryption | None = None) -> bytes:
        """The key."""
        return self.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()
        )

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write both and return their paths."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.pem)
        key.write_bytes(self.key_pem())
        return certificate, key


class Authority:
    """A certificate authority."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self.own = Pair(_certificate("ca", (), key, key, "ca", ca=True), key)

    def issue(  # noqa: PLR0913  # the fields of a certificate
        self,
        name: str,
        groups: tuple[str, ...] = (),
        *,
        key: Key | None = None,
        hours: float = 1,
        began_hours: float = -1,
        host: str = "",
    ) -> Pair:
        """Return a certificate for the user *name*, or for the server *host*."""
        made = key or ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(
            name,
            groups,
            made,
            self.own.key,
            "ca",
            hours=hours,
            began_hours=began_hours,
            host=host,
        )
        return Pair(certificate, made)


def _certificate(  # noqa: PLR0913  # the fields of a certificate
    name: str,
    groups: tuple[str, ...],
    key: Key,
    signer: Key,
    issuer: str,
    *,
    ca: bool = False,
    hours: float = 1,
    began_hours: float = -1,
    host: str = "",
) -> x509.Certificate:
    now = datetime.now(UTC)
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(hours=began_hours))
        .not_valid_after(now + timedelta(hours=hours))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if host:
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())
