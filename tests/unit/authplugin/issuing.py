"""Client certificates as a CA of a cluster issues them, and such as it never would."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealoshub.authplugin.kubeconfig import CertificatePair
from sealoshub.secret import Secret
from tests.unit.authserver.pki import Key, Pair

Extensions = tuple[tuple[x509.ExtensionType, bool], ...]

SIGNS: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=True,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
FOR_CLIENTS: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
NO_CA: Final = x509.BasicConstraints(ca=False, path_length=None)
CA: Final = x509.BasicConstraints(ca=True, path_length=None)
LEAF: Final[Extensions] = ((NO_CA, True), (SIGNS, True), (FOR_CLIENTS, False))


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a key of the usual kind."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Issued(Pair):
    """A certificate and its key, as a kubeconfig has them."""

    def pair(self, key: bytes | None = None, more: bytes = b"") -> CertificatePair:
        """Return both as they stand in a kubeconfig, perhaps with another key."""
        text = key if key is not None else self.key_pem()
        return CertificatePair(self.pem + more, Secret(text.decode("latin-1")))


def named(name: str, *groups: str) -> x509.Name:
    """Return a subject as usual tools write it."""
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def authority(
    name: str = "kubernetes",
    *,
    key: Key | None = None,
    extensions: Extensions = ((CA, True), (SIGNS_CERTIFICATES, True)),
    hours: tuple[float, float] = (-1, 1),
    issuer: Issued | None = None,
) -> Issued:
    """Return a CA, its own issuer unless another is given."""
    made = key or new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer or Issued(None, made)  # type: ignore[arg-type]  # itself
    by = issuer.certificate.subject if issuer else subject
    signed = _signed(made, subject, by, signer.key, extensions=extensions, hours=hours)
    return Issued(signed, made)


def leaf(  # noqa: PLR0913  # the fields of a certificate
    issuer: Issued,
    subject: x509.Name | str = "alice",
    *,
    key: Key | None = None,
    extensions: Extensions = LEAF,
    hours: tuple[float, float] = (-1, 1),
    hash_with: hashes.HashAlgorithm | None = None,
    pss: bool = False,
    issuer_name: x509.Name | None = None,
) -> Issued:
    """Return a client certificate of *issuer*, a usual one unless something is said."""
    made = key or new_key()
    who = named(subject) if isinstance(subject, str) else subject
    by = issuer_name or issuer.certificate.subject
    certificate = _signed(
        made,
        who,
        by,
        issuer.key,
        extensions=extensions,
        hours=hours,
        hash_with=hash_with,
        pss=pss,
    )
    return Issued(certificate, made)


def _signed(  # noqa: PLR0913  # the fields of a certificate
    key: Key,
    subject: x509.Name,
    issuer: x509.Name,
    signer: Key,
    *,
    extensions: Extensions,
    hours: tuple[float, float],
    hash_with: hashes.HashAlgorithm | None = None,
    pss: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    begin, end = (now + timedelta(hours=one) for one in hours)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return builder.sign(signer, None)
    algorithm = hash_with or hashes.SHA256()
    if pss and isinstance(signer, rsa.RSAPrivateKey):
        salted = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        return builder.sign(signer, hashes.SHA256(), rsa_padding=salted)
    return builder.sign(signer, algorithm)  # type: ignore[arg-type]  # SHA-1 too, to see it refused
