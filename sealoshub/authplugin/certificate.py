"""Make a TLS client out of a certificate and key that a stranger sent.

Nothing is written to a disk: OpenSSL reads the pair from an anonymous file in memory. What OpenSSL
gets is not the sender's text but the same pair written anew, so that it cannot read something else
than we looked at, nor ask a terminal for a passphrase.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sealoshub.authplugin import CredentialsRejected
from sealoshub.errors import UnavailableError

if TYPE_CHECKING:
    from datetime import datetime

    from sealoshub.authplugin.kubeconfig import CertificatePair

MIN_RSA_BITS: Final = 2048  # OpenSSL's default security level refuses less
MAX_RSA_BITS: Final = 4096  # one signature costs 6 ms there, eight times as much at 8192
MAX_CERTIFICATES: Final = 5  # a leaf and its intermediates

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate in date and its own private key, which whoever sent it holds.

    Args:
        chain: The certificate and its intermediates.
        key: The private key.
        not_after: End of the certificate.
    """

    chain: tuple[x509.Certificate, ...]
    key: _Key = field(repr=False)
    not_after: datetime

    def pem(self) -> bytes:
        """Return certificates and key written anew, what OpenSSL is given."""
        text = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.chain) + text


def read(pair: CertificatePair, now: datetime) -> ClientCertificate:
    """Check *pair*: readable, of a known kind, in date, and the key is the certificate's.

    A certificate is no secret, and neither is its public key: that the sender has the private key
    is proved by computing the public one from it.

    Raises:
        CredentialsRejected: It is not.
    """
    try:
        chain = tuple(x509.load_pem_x509_certificates(pair.certificate))
        leaf_key = chain[0].public_key()
        not_before, not_after = chain[0].not_valid_before_utc, chain[0].not_valid_after_utc
    except (ValueError, UnsupportedAlgorithm, IndexError, x509.InvalidVersion):
        raise CredentialsRejected("the client certificate cannot be read") from None
    if len(chain) > MAX_CERTIFICATES:
        raise CredentialsRejected("the client certificate has too many intermediates")
    key = _private_key(pair)
    if _computed_public_key(key) != leaf_key:
        raise CredentialsRejected("the key does not belong to the client certificate")
    if not not_before <= now < not_after:
        raise CredentialsRejected(
            f"the client certificate is valid from {not_before:%Y-%m-%d %H:%M} to"
            f" {not_after:%Y-%m-%d %H:%M} UTC only",
            hint="Get a new kubeconfig, or log in while the certificate is valid: the login goes"
            " on afterwards.",
        )
    return ClientCertificate(chain, key, not_after)


def load(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    """Put *certificate* into *context*.

    Raises:
        CredentialsRejected: OpenSSL does not take it.
        UnavailableError: There is no memory file and no temporary folder.
    """
    try:
        path, descriptor = _memory_file(certificate.pem())
    except OSError as exc:
        raise UnavailableError(f"cannot hold a key in memory: {exc.strerror}") from exc
    try:
        # A callback, because without one OpenSSL asks the terminal for a passphrase.
        context.load_cert_chain(path, password=lambda: b"")
    except (ssl.SSLError, OSError, ValueError):
        raise CredentialsRejected("the client certificate or its key is not usable") from None
    finally:
        os.close(descriptor)


def _memory_file(content: bytes) -> tuple[str, int]:
    """Return path and descriptor of a file that exists in memory, or nowhere by name."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("client", os.MFD_CLOEXEC)
    else:
        # An unlinked file, reached through its descriptor as well.
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return f"/dev/fd/{descriptor}", descriptor


def _private_key(pair: CertificatePair) -> _Key:
    text = pair.key.reveal().encode("latin-1")
    try:
        # Proving that the factors are prime takes 32 ms a key, which a flood would like.
        key = load_pem_private_key(text, password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise CredentialsRejected("the client key is encrypted with a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CredentialsRejected("the client key cannot be read") from None
    if isinstance(key, rsa.RSAPrivateKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise CredentialsRejected(
                f"the client key is RSA with {key.key_size} bits;"
                f" {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted"
            )
        if not _is_consistent(key):
            raise CredentialsRejected("the client key is damaged")
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        return key
    raise CredentialsRejected("the client key is of a kind that is not accepted")


def _computed_public_key(key: _Key) -> _PublicKey:
    """Return the public key that follows from the secret part of *key*.

    What else stands in a key file is not looked at: its sender may have written anything there.

    Raises:
        CredentialsRejected: The secret part is none.
    """
    if isinstance(key, rsa.RSAPrivateKey):
        return key.public_key()  # whose factors are in the file, see `_is_consistent`
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return ed25519.Ed25519PrivateKey.from_private_bytes(key.private_bytes_raw()).public_key()
    scalar = key.private_numbers().private_value
    try:
        return ec.derive_private_key(scalar, key.curve).public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise CredentialsRejected("the client key is damaged") from None


def _is_consistent(key: rsa.RSAPrivateKey) -> bool:
    """Check the arithmetic of an RSA key (RFC 8017, 3.2), all but whether its factors are prime.

    Microseconds; afterwards OpenSSL computes with numbers that fit each other. It also proves that
    the sender can sign: he knows two factors of the modulus, and all the rest follows from them.
    """
    numbers = key.private_numbers()
    p, q, e = numbers.p, numbers.q, numbers.public_numbers.e
    return (
        p * q == numbers.public_numbers.n
        and p > 1
        and q > 1
        and e * numbers.d % (p - 1) == 1
        and e * numbers.d % (q - 1) == 1
        and numbers.dmp1 == numbers.d % (p - 1)
        and numbers.dmq1 == numbers.d % (q - 1)
        and numbers.iqmp * q % p == 1
    )
