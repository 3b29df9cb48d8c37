"""What a client certificate says and who issued it, where nobody could read it otherwise.

The API server reads certificates with Go's `crypto/x509` and takes the user from the subject
(`CommonNameUserConversion` in `k8s.io/apiserver/pkg/authentication/request/x509`). The rules here
are a part of its rules: whatever is unusual is nothing to us, which is never a rejection.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import (
    ExtendedKeyUsageOID,
    ExtensionOID,
    PublicKeyAlgorithmOID,
    SignatureAlgorithmOID,
)

from sealoshub.kube import UserInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

CREDENTIAL_ID: Final = "authentication.kubernetes.io/credential-id"
MAX_ISSUERS: Final = 100  # CAs of a cluster; one or two, and those of before
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192  # Go's TLS takes no longer keys

_AUTHENTICATED: Final = "system:authenticated"
# Names that the API server treats as something else than a name, or adds by itself.
_SPECIAL: Final = frozenset({_AUTHENTICATED, "system:unauthenticated", "system:anonymous"})

# Without RSASSA-PSS, whose parameters have many spellings, and SHA-1, which Go refuses.
_SIGNATURES: Final = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.ED25519,
    }
)
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_MAX_EXPONENT: Final = 2**31 - 1  # of RSA, in Go
_MAX_SERIAL: Final = 2 ** (8 * 20 - 1)  # RFC 5280, 4.1.2.2: positive, 20 bytes

# What a leaf may have at all. A SubjectAltName is refused by Go for reasons of its own.
_LEAF_EXTENSIONS: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }
)
# What may be critical in either: everything else that is, is a rule that we do not know, or that
# Go takes for a fault.
_CRITICAL: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
    }
)
_UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

# Attribute types are 2.5.4.x; the one for a UID (1.3.6.1.4.1.57683.2) is none of them.
_ATTRIBUTE: Final = b"\x55\x04"
_COMMON_NAME: Final = b"\x55\x04\x03"
_ORGANIZATION: Final = b"\x55\x04\x0a"
_SEQUENCE: Final = 0x30
_NO_UNUSED_BITS: Final = b"\x00"  # before the content of a BIT STRING
_UTF8_STRING: Final = 0x0C
_PRINTABLE_STRING: Final = 0x13
_LONG: Final = 0x80  # a length of several bytes
_PRINTABLE: Final = re.compile(rb"[A-Za-z0-9 '()+,./:=?-]+")  # X.680, 41.4


@dataclass(frozen=True, slots=True)
class Claim:
    """What a certificate says about whose it is; true if the right one has signed it.

    Args:
        name: User name.
        groups: Groups, in the order in which they stand there.
        fingerprint: SHA-256 of the certificate, in hexadecimal digits.
        kind: Algorithms of its key and of its signature.
        issuer: Encoded name of the CA.
    """

    name: str
    groups: tuple[str, ...]
    fingerprint: str
    kind: str
    issuer: bytes

    def user(self, *, with_id: bool) -> UserInfo:
        """Return the user as the API server names it, *with_id* if it names the credential."""
        extra = {CREDENTIAL_ID: (f"X509SHA256={self.fingerprint}",)} if with_id else {}
        return UserInfo(self.name, "", (*self.groups, _AUTHENTICATED), extra)


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA that may sign client certificates.

    Args:
        certificate: That of the CA.
        fingerprint: SHA-256 of it.
        not_before: Begin of its life.
        not_after: End of its life.
    """

    certificate: x509.Certificate
    fingerprint: bytes
    not_before: datetime
    not_after: datetime

    def has_issued(self, leaf: x509.Certificate, now: datetime) -> bool:
        """Tell whether the CA is valid *now* and has signed *leaf*, which names it."""
        if not self.not_before <= now < self.not_after:
            return False
        try:
            leaf.verify_directly_issued_by(self.certificate)
        except (InvalidSignature, TypeError, *_UNREADABLE):
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Parts:
    """Encoded parts of a certificate (RFC 5280, 4.1), without tags and lengths.

    The library's names would not do: they do not tell how a value is encoded.
    """

    issuer: bytes
    subject: bytes
    key: bytes


def issuers(pem: bytes) -> Mapping[bytes, tuple[Issuer, ...]]:
    """Return the usable CAs of a bundle by their encoded names.

    Raises:
        ValueError: It cannot be read, or is none.
    """
    found: dict[bytes, tuple[Issuer, ...]] = {}
    try:
        bundle = x509.load_pem_x509_certificates(pem)
    except x509.InvalidVersion:
        raise ValueError("a certificate of an unknown version") from None
    if len(bundle) > MAX_ISSUERS:
        raise ValueError("too many certificates")
    for certificate in bundle:
        try:
            if _may_issue(certificate):
                name = _parts(certificate).subject
                found[name] = (*found.get(name, ()), _issuer(certificate))
        except _UNREADABLE:
            continue
    return found


def claim_of(leaf: x509.Certificate) -> Claim | None:
    """Return what *leaf* says, or None if anything about it is unusual.

    Its dates, its signature and who holds its key are not looked at.
    """
    try:
        if not (_is_plain(leaf) and _is_for_clients(leaf)):
            return None
        parts, der = _parts(leaf), leaf.public_bytes(Encoding.DER)
        kind, subject = _kind(leaf, parts), _user(parts.subject)
    except _UNREADABLE:
        return None
    if kind is None or subject is None or parts.subject == parts.issuer:
        return None
    if not der.endswith(_NO_UNUSED_BITS + leaf.signature):
        return None  # the library does not look at the number of unused bits, Go does
    return Claim(*subject, hashlib.sha256(der).hexdigest(), kind, parts.issuer)


def _issuer(certificate: x509.Certificate) -> Issuer:
    return Issuer(
        certificate,
        certificate.fingerprint(SHA256()),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def _may_issue(certificate: x509.Certificate) -> bool:
    """Tell whether a CA is one without any condition; the length of its paths does not matter."""
    found = {extension.oid: extension for extension in certificate.extensions}
    conditions = {ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.NAME_CONSTRAINTS} & found.keys()
    if conditions or not _is_plain(certificate):
        return False
    basic = found.get(ExtensionOID.BASIC_CONSTRAINTS)
    usage = found.get(ExtensionOID.KEY_USAGE)
    return (
        basic is not None
        and bool(basic.value.ca)
        and (usage is None or bool(usage.value.key_cert_sign))
        and _algorithm(certificate, _parts(certificate)) is not None
    )


def _is_for_clients(leaf: x509.Certificate) -> bool:
    found = {extension.oid: extension.value for extension in leaf.extensions}
    if found.keys() - _LEAF_EXTENSIONS:
        return False
    basic = found.get(ExtensionOID.BASIC_CONSTRAINTS)
    usage = found.get(ExtensionOID.KEY_USAGE)
    purposes = found.get(ExtensionOID.EXTENDED_KEY_USAGE)
    return (
        isinstance(purposes, x509.ExtendedKeyUsage)
        and ExtendedKeyUsageOID.CLIENT_AUTH in purposes
        and (basic is None or (isinstance(basic, x509.BasicConstraints) and not basic.ca))
        and (usage is None or (isinstance(usage, x509.KeyUsage) and usage.digital_signature))
    )


def _parts(certificate: x509.Certificate) -> _Parts:
    """Return the parts of a certificate of version 3, which is one that says its version."""
    _, signed = next(_elements(certificate.tbs_certificate_bytes))
    _version, _serial, _algorithm, issuer, _dates, subject, key, *_ = _elements(signed)
    return _Parts(issuer[1], subject[1], key[1])


def _is_plain(certificate: x509.Certificate) -> bool:
    return (
        certificate.version is x509.Version.v3
        and 0 < certificate.serial_number < _MAX_SERIAL
        and all(one.oid in _CRITICAL for one in certificate.extensions if one.critical)
    )


def _kind(leaf: x509.Certificate, parts: _Parts) -> str | None:
    """Return the algorithms of key and signature; None for any that is not usual."""
    signature = leaf.signature_algorithm_oid
    key = _algorithm(leaf, parts)
    return f"{key} {signature.dotted_string}" if key and signature in _SIGNATURES else None


def _algorithm(certificate: x509.Certificate, parts: _Parts) -> str | None:
    """Return the algorithm of a certificate's key if it is usual, and usually written.

    Go takes no compressed points, and wants the parameters of RSA (RFC 3279, 2.3.1).
    """
    key = certificate.public_key()
    oid = certificate.public_key_algorithm_oid
    name = None
    if isinstance(key, rsa.RSAPublicKey) and oid == PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5:
        exponent = key.public_numbers().e
        if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS and exponent <= _MAX_EXPONENT:
            name = "RSA" if exponent % 2 else None
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if oid == PublicKeyAlgorithmOID.EC_PUBLIC_KEY and isinstance(key.curve, _CURVES):
            name = key.curve.name
    elif isinstance(key, ed25519.Ed25519PublicKey):
        name = "Ed25519"
    if name is None:
        return None
    written = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return name if next(_elements(written)) == (_SEQUENCE, parts.key) else None


def _user(subject: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Return user name and groups from an encoded subject (RFC 5280, 4.1.2.4).

    Go reads the encoding of every value: a fault in one is a fault of the certificate.
    """
    names: list[str] = []
    groups: list[str] = []
    for oid, tag, value in _attributes(subject):
        text = _text(tag, value)
        if not (oid.startswith(_ATTRIBUTE) and len(oid) == len(_COMMON_NAME) and text):
            return None
        if oid == _COMMON_NAME:
            names.append(text)
        elif oid == _ORGANIZATION:
            groups.append(text)
    if len(names) != 1 or not _SPECIAL.isdisjoint((*names, *groups)):
        return None
    return names[0], tuple(groups)


def _text(tag: int, value: bytes) -> str:
    """Return a value that is written in one of two ways; nothing for every other.

    Raises:
        ValueError: It is not UTF-8 where it should be.
    """
    if tag == _UTF8_STRING or (tag == _PRINTABLE_STRING and _PRINTABLE.fullmatch(value)):
        text = value.decode()
        return text if text.isprintable() else ""
    return ""


def _attributes(name: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield type, tag and value of each attribute, also of several in one part of the name."""
    for _, part in _elements(name):
        for _, attribute in _elements(part):
            (_, oid), (tag, value) = _elements(attribute)
            yield oid, tag, value


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of elements that the library has parsed, or written."""
    at = 0
    while at < len(der):
        tag, size = der[at], der[at + 1]
        at += 2
        if size >= _LONG:
            begin, at = at, at + size - _LONG
            size = int.from_bytes(der[begin:at])
        yield tag, der[at : at + size]
        at += size
