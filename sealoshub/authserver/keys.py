"""The keys that sign registry tokens: files that are made, read, published and replaced.

A key is a PEM file in one folder, an EC key on P-256. `signing.pem` signs, or else the last file by
name; all of them are published, so that tokens of the previous and the next signer are accepted.
How one follows the other is in :mod:`sealoshub.authserver.rotation`.
A registry learns them from two files: 2.8 from a bundle of certificates, 3.x from a JWKS. In both
the key is known by its libtrust fingerprint.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from sealoshub.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

SIGNING: Final = "signing.pem"
STANDBY: Final = "standby-"  # begin of the names of keys that will sign
RETIRED: Final = "retired-"  # of those that did
COORDINATE: Final = 32  # bytes of a coordinate on P-256
CERTIFICATE_DAYS: Final = 20 * 365  # 2.8 does not look at the dates of a bundle; tools warn early
_ZERO: Final = 0


@dataclass(frozen=True, slots=True)
class Key:
    """One signing key.

    Args:
        name: File name.
        kid: libtrust fingerprint, `AAAA:BBBB:…`.
        private: The key; its repr shows nothing.
    """

    name: str
    kid: str
    private: ec.EllipticCurvePrivateKey

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self.private.public_key()


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of one folder: one signs, all are published."""

    signing: Key
    keys: tuple[Key, ...]


def libtrust_kid(public: ec.EllipticCurvePublicKey) -> str:
    """Return the libtrust fingerprint of *public*.

    SHA-256 of the DER SubjectPublicKeyInfo, its first 30 bytes in base32, in 12 groups of 4
    (distribution, "Token Authentication Implementation", `kid`).
    """
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, 48, 4))


def generate(directory: Path, name: str = SIGNING) -> Path:
    """Make a new key in *directory* and return its file, readable by its owner only.

    A key with a coordinate that begins with a zero byte (7 in 1,000) is thrown away: registry 3.1
    computes another RFC 7638 thumbprint for it than everybody else.

    Raises:
        InvalidInputError: There is a file of that name, or it cannot be written.
    """
    while True:
        private = ec.generate_private_key(ec.SECP256R1())
        if all(coordinate[0] != _ZERO for coordinate in _coordinates(private.public_key())):
            break
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = directory / name
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
    except FileExistsError:
        raise InvalidInputError(
            f"there is a key {path} already", hint="Choose another name; all keys are published."
        ) from None
    except OSError as exc:
        raise InvalidInputError(f"cannot write {path}: {exc.strerror}") from exc
    return path


def ensure(directory: Path) -> KeySet:
    """Return the keys in *directory*, after making one if there is none.

    Raises:
        InvalidInputError: A file is no such key, or cannot be read or written.
    """
    try:
        return load(directory)
    except NotFoundError:
        with suppress(InvalidInputError):  # somebody else may have been faster
            generate(directory)
        return load(directory)


def load(directory: Path) -> KeySet:
    """Read all `*.pem` of *directory*.

    Raises:
        NotFoundError: There is none.
        InvalidInputError: One is not an EC key on P-256, or cannot be read.
    """
    files = _files(directory)
    if not files:
        raise NotFoundError(
            f"there is no signing key (*.pem) in {directory}",
            hint="Mount the Secret with the keys there, or make one:"
            " openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signing.pem",
        )
    try:
        read = [_read(path) for path in files]
    except InvalidInputError as exc:
        if not isinstance(exc.__cause__, FileNotFoundError):
            raise
        read = [_read(path) for path in _files(directory)]  # one just got another name
    # While a key gets another name it may be there under both; that of the signer counts.
    keys = tuple({key.kid: key for key in read}.values())
    able = [key for key in keys if not key.name.startswith((STANDBY, RETIRED))] or keys
    signing = next((key for key in keys if key.name == SIGNING), able[-1])
    return KeySet(signing, keys)


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.pem"), key=lambda path: (path.name == SIGNING, path.name))


def jwks(keys: KeySet) -> dict[str, list[dict[str, str]]]:
    """Return the JSON web key set (RFC 7517) of the public halves."""
    found = []
    for key in keys.keys:
        x, y = _coordinates(key.public)
        found.append(
            {
                "kty": "EC",
                "crv": "P-256",
                "use": "sig",
                "alg": "ES256",
                "kid": key.kid,
                "x": base64.urlsafe_b64encode(x).rstrip(b"=").decode(),
                "y": base64.urlsafe_b64encode(y).rstrip(b"=").decode(),
            }
        )
    return {"keys": found}


def write_registry_files(directory: Path, bundle: Path, jwks_file: Path) -> KeySet:
    """Write what a registry needs to accept the keys of *directory*.

    Args:
        directory: The keys.
        bundle: For `rootcertbundle` (2.8): a self-signed certificate of each key, PEM. Left alone
            if it holds exactly these keys, so that it does not change with every start.
        jwks_file: For `jwks` (3.x).

    Raises:
        InvalidInputError: A key cannot be read, or a file cannot be written.
    """
    keys = load(directory)
    if kids_in(bundle) != [key.kid for key in keys.keys]:
        _replace(bundle, b"".join(_certificate(key) for key in keys.keys))
    _replace(jwks_file, json.dumps(jwks(keys), indent=1).encode() + b"\n")
    return keys


class KeyDirectory:
    """The keys of a folder, read again when its files change.

    Args:
        directory: The folder.

    Raises:
        NotFoundError: There is no key in it.
        InvalidInputError: A file is no such key.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._signature = self._look()
        self.current = load(directory)

    def reload(self) -> bool:
        """Read the folder again if it changed; return whether other keys are used now.

        Raises:
            InvalidInputError: What is there now cannot be used; the old keys stay in use.
        """
        signature = self._look()
        if signature == self._signature:
            return False
        before, self.current = self.current, load(self._directory)
        self._signature = signature
        return [key.kid for key in before.keys] != [key.kid for key in self.current.keys] or (
            before.signing.kid != self.current.signing.kid
        )

    def _look(self) -> tuple[tuple[str, int, int, int], ...]:
        found = []
        for path in sorted(self._directory.glob("*.pem")):
            with suppress(OSError):
                status = path.stat()
                found.append((path.name, status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)


def _read(path: Path) -> Key:
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as exc:
        raise InvalidInputError(f"cannot read the key {path}: {exc.strerror}") from exc
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidInputError(f"{path} is not an unencrypted private key in PEM") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
        raise InvalidInputError(
            f"{path} is not an EC key on P-256", hint="Registry 2.8 and 3 both accept ES256 only."
        )
    return Key(path.name, libtrust_kid(private.public_key()), private)


def _coordinates(public: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
    numbers = public.public_numbers()
    return numbers.x.to_bytes(COORDINATE), numbers.y.to_bytes(COORDINATE)


def _certificate(key: Key) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"sealoshub {key.kid[:14]}")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .sign(key.private, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def kids_in(bundle: Path) -> list[str]:
    """Return the `kid` of every certificate in *bundle*; none for a file that is no bundle."""
    try:
        certificates = x509.load_pem_x509_certificates(bundle.read_bytes())
    except (OSError, ValueError):
        return []
    publics = (certificate.public_key() for certificate in certificates)
    return [libtrust_kid(key) for key in publics if isinstance(key, ec.EllipticCurvePublicKey)]


def _replace(path: Path, content: bytes) -> None:
    """Write *path* in one step, so that a registry never reads half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as exc:
        with suppress(OSError):
            temporary.unlink()
        raise InvalidInputError(f"cannot write {path}: {exc.strerror}") from exc
