"""The embedded API's own certificates: server CA, client CA and the key that signs tokens.

ca.crt, ca.key                  signs the server's certificate; clients trust it
server.crt, server.key          for localhost, 127.0.0.1, ::1 and further names
client-ca.crt, client-ca.key    signs users' certificates: CN is the user, O his groups
service-account.key             EC P-256, signs ServiceAccount tokens (ES256)
tokens.json                     hashes of users' bearer tokens
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import json
import secrets
from typing import TYPE_CHECKING, Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealoshub.errors import InvalidInputError
from sealoshub.hub.paths import PRIVATE_FILE, replace_file
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
TOKENS: Final = "tokens.json"
PUBLIC_FILE: Final = 0o644
CA_DAYS: Final = 3650
SERVER_DAYS: Final = 365
# The server's certificate is made anew when less than this is left; `ensure_pki` runs at start.
RENEW_DAYS: Final = 60
# Clocks of two machines differ a little; a certificate that is valid "from now" is often too young.
BACKDATE: Final = dt.timedelta(minutes=5)


def ensure_pki(folder: Path, *, hostnames: Sequence[str] = ()) -> None:
    """Make what is missing in *folder*: both CAs, the server's certificate, the signing key.

    The server's certificate is made anew when it expires soon or lacks one of *hostnames*.

    Args:
        folder: Where the files lie; made with mode 0700.
        hostnames: DNS names or addresses beside `localhost`, `127.0.0.1` and `::1`.

    Raises:
        InvalidInputError: The folder cannot be written, or a file in it cannot be read.
    """
    names = list(dict.fromkeys([*LOCAL_NAMES, *hostnames]))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("ca", "client-ca"):
            if not (folder / f"{name}.crt").exists() or not (folder / f"{name}.key").exists():
                _make_ca(folder, name)
        if not _serves(folder / "server.crt", folder / "server.key", names):
            _make_server(folder, names)
        if not (folder / "service-account.key").exists():
            _write(
                folder / "service-account.key", _key_pem(ec.generate_private_key(ec.SECP256R1()))
            )
    except OSError as exc:
        raise InvalidInputError(f"cannot keep the hub's certificates in {folder}: {exc}") from exc


def issue_client_certificate(
    folder: Path, user: str, groups: Sequence[str], seconds: int
) -> tuple[bytes, Secret]:
    """Make a certificate with which *user* can talk to the embedded API.

    Args:
        folder: Where `ensure_pki` keeps the client CA.
        user: Common name, the user's name.
        groups: Organisations, the user's groups.
        seconds: Life of the certificate.

    Returns:
        The certificate and its key, both PEM.

    Raises:
        InvalidInputError: There is no client CA, or the name does not fit into a certificate.
    """
    authority, authority_key = _load(folder, "client-ca")
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        subject = x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
                x509.NameAttribute(NameOID.COMMON_NAME, user),
            ]
        )
    except ValueError as exc:
        raise InvalidInputError(f"user or group does not fit into a certificate: {exc}") from exc
    certificate = (
        _builder(subject, authority.subject, key.public_key(), dt.timedelta(seconds=seconds))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), Secret(_key_pem(key).decode())


def write_kubeconfig(  # noqa: PLR0913  # the fields of one kubeconfig entry
    path: Path,
    server_url: str,
    ca_pem: bytes,
    user_name: str,
    *,
    certificate_pem: bytes | None = None,
    key_pem: Secret | None = None,
    token: Secret | None = None,
    namespace: str | None = None,
) -> None:
    """Write a kubeconfig with one context, readable by its owner only.

    Args:
        path: The file; replaced atomically.
        server_url: `https://localhost:6443`.
        ca_pem: CA that signed the server's certificate.
        user_name: Name of the user entry and of the context.
        certificate_pem: Client certificate, with *key_pem*.
        key_pem: Its key.
        token: Bearer token, instead of a certificate.
        namespace: Default namespace of the context.

    Raises:
        InvalidInputError: The file cannot be written.
    """
    user: dict[str, str] = {}
    if certificate_pem is not None and key_pem is not None:
        user["client-certificate-data"] = base64_text(certificate_pem)
        user["client-key-data"] = base64_text(key_pem.reveal().encode())
    if token is not None:
        user["token"] = token.reveal()
    context = {"cluster": "hub", "user": user_name}
    if namespace is not None:
        context["namespace"] = namespace
    cluster = {"server": server_url, "certificate-authority-data": base64_text(ca_pem)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": user_name,
        "clusters": [{"name": "hub", "cluster": cluster}],
        "users": [{"name": user_name, "user": user}],
        "contexts": [{"name": user_name, "context": context}],
    }
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, yaml.safe_dump(content, sort_keys=False).encode())
    except OSError as exc:
        raise InvalidInputError(f"cannot write the kubeconfig {path}: {exc.strerror}") from exc


def issue_token(folder: Path, user: str, groups: Sequence[str]) -> Secret:
    """Make a bearer token with which *user* can talk to the embedded API; only its hash is kept.

    Args:
        folder: Where `ensure_pki` keeps its files; the token's hash goes to `tokens.json` there,
            which a running API reads again when it changes.
        user: Name of the user.
        groups: The user's groups.

    Raises:
        InvalidInputError: The file cannot be read or written.
    """
    file = folder / TOKENS
    token = secrets.token_urlsafe(32)
    try:
        known = json.loads(file.read_text("utf-8")) if file.exists() else {}
        known[hashlib.sha256(token.encode()).hexdigest()] = {"user": user, "groups": list(groups)}
        _write(file, json.dumps(known, indent=1).encode())
    except (OSError, ValueError) as exc:
        raise InvalidInputError(f"cannot keep tokens in {file}: {exc}") from exc
    return Secret(token)


def base64_text(data: bytes) -> str:
    """Return *data* as kubeconfigs hold it."""
    return base64.b64encode(data).decode("ascii")


def service_account_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key that signs ServiceAccount tokens.

    Raises:
        InvalidInputError: There is none, or it is no EC key.
    """
    return _private_key(folder / "service-account.key")


def _make_ca(folder: Path, name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"sealoshub {name}")])
    certificate = (
        _builder(subject, subject, key.public_key(), dt.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder / f"{name}.key", _key_pem(key))
    _write(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _make_server(folder: Path, names: Sequence[str]) -> None:
    authority, authority_key = _load(folder, "ca")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sealoshub api")])
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    certificate = (
        _builder(subject, authority.subject, key.public_key(), dt.timedelta(days=SERVER_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    _write(folder / "server.key", _key_pem(key))
    _write(folder / "server.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _serves(certificate_file: Path, key_file: Path, names: Sequence[str]) -> bool:
    """Tell whether the server's certificate is there, young enough and has all *names*."""
    if not certificate_file.exists() or not key_file.exists():
        return False
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound):
        return False
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=RENEW_DAYS)
    present = set(extension.value)
    return certificate.not_valid_after_utc > soon and all(
        _alternative(name) in present for name in names
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + life)
    )


def _usage(*, ca: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _load(folder: Path, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
    except (OSError, ValueError) as exc:
        raise InvalidInputError(
            f"cannot read the certificate authority {folder / name}.crt: {exc}",
            hint="It is made when the hub starts for the first time: sealoshub hub up",
        ) from exc
    return certificate, _private_key(folder / f"{name}.key")


def _private_key(file: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as exc:
        raise InvalidInputError(f"cannot read the private key {file}") from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidInputError(f"{file} is not an EC key")
    return key


def _write(path: Path, data: bytes) -> None:
    """Replace *path* atomically; mode 0600 for keys and kubeconfigs, 0644 for certificates."""
    replace_file(path, data, PUBLIC_FILE if path.suffix == ".crt" else PRIVATE_FILE)
