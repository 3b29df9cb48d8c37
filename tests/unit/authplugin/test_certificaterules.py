"""Which client certificates are read here, and what they say."""

from __future__ import annotations

import hashlib
import warnings
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from sealoshub.authplugin.certificaterules import Claim, claim_of, issuers
from sealoshub.kube import UserInfo
from tests.unit.authplugin.issuing import (
    CA,
    FOR_CLIENTS,
    LEAF,
    NO_CA,
    SIGNS,
    SIGNS_CERTIFICATES,
    Extensions,
    Issued,
    authority,
    leaf,
    named,
)

if TYPE_CHECKING:
    from tests.unit.authserver.pki import Key

UID = ObjectIdentifier("1.3.6.1.4.1.57683.2")
SURPRISE = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")
HOST = x509.SubjectAlternativeName([x509.DNSName("a.example.com")])
KEY_ID = x509.SubjectKeyIdentifier(b"1234")
CN, ORG = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME


def attribute(
    oid: ObjectIdentifier, value: str, kind: _ASN1Type | None = None
) -> x509.NameAttribute[str]:
    """Return an attribute, perhaps with an encoding that is not the usual one."""
    with warnings.catch_warnings(action="ignore"):  # about a length that should not be
        return x509.NameAttribute(oid, value, kind, _validate=False)


def subject(*attributes: x509.NameAttribute[str]) -> x509.Name:
    """Return a subject with one attribute in each part."""
    return x509.Name(list(attributes))


@cache
def root() -> Issued:
    """Return the CA of these tests, which is always the same."""
    return authority()


@cache
def rsa_root() -> Issued:
    """Return an RSA CA."""
    return authority(key=rsa_key())


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return an RSA key."""
    return rsa.generate_private_key(65537, bits)


def claim(certificate: x509.Certificate) -> Claim | None:
    """Return what it says, read from its encoding."""
    return claim_of(x509.load_der_x509_certificate(certificate.public_bytes(Encoding.DER)))


@pytest.mark.parametrize(
    ("name", "groups", "who"),
    [
        ("alice", (), named("alice")),
        ("alice", ("dev", "ops"), named("alice", "dev", "ops")),
        ("alice", ("ops", "dev"), named("alice", "ops", "dev")),
        ("älice 愛", ("größe",), named("älice 愛", "größe")),
        (
            "alice",
            ("a", "b"),
            subject(attribute(ORG, "a"), attribute(CN, "alice"), attribute(ORG, "b")),
        ),
        ("alice", (), subject(attribute(CN, "alice", _ASN1Type.PrintableString))),
        ("alice", (), subject(attribute(NameOID.COUNTRY_NAME, "AT"), attribute(CN, "alice"))),
        (
            "alice",
            ("a", "bb", "c"),
            x509.Name(
                [
                    # Go writes all groups into one part, sorted by their encoding.
                    x509.RelativeDistinguishedName([attribute(ORG, "a"), attribute(ORG, "bb")]),
                    x509.RelativeDistinguishedName([attribute(CN, "alice"), attribute(ORG, "c")]),
                ]
            ),
        ),
    ],
)
def test_who_it_is(name: str, groups: tuple[str, ...], who: x509.Name) -> None:
    """The common name is the user, the organisations his groups, in the order of the encoding."""
    certificate = leaf(root(), who).certificate
    found = claim(certificate)
    assert found is not None
    fingerprint = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    assert (found.name, set(found.groups), found.fingerprint) == (name, set(groups), fingerprint)
    extra = {"authentication.kubernetes.io/credential-id": (f"X509SHA256={fingerprint}",)}
    all_groups = (*encoded_groups(certificate), "system:authenticated")
    assert found.user(with_id=True) == UserInfo(name, "", all_groups, extra)
    assert found.user(with_id=False) == UserInfo(name, "", all_groups, {})


def encoded_groups(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the organisations as the library reads them."""
    read = x509.load_der_x509_certificate(certificate.public_bytes(Encoding.DER)).subject
    return tuple(str(one.value) for one in read.get_attributes_for_oid(ORG))


@pytest.mark.parametrize(
    "who",
    [
        x509.Name([]),
        subject(attribute(ORG, "dev")),
        subject(attribute(CN, "alice"), attribute(CN, "bob")),
        x509.Name([x509.RelativeDistinguishedName([attribute(CN, "a"), attribute(CN, "b")])]),
        subject(attribute(CN, "")),
        subject(attribute(ORG, ""), attribute(CN, "alice")),
        named("alice\n"),
        named("alice\x00bob"),
        named("alice\u202e"),
        named("alice", "dev\x1b[2J"),
        named("system:anonymous"),
        named("alice", "system:authenticated"),
        named("alice", "system:unauthenticated"),
        subject(attribute(CN, "alice"), attribute(UID, "1")),
        subject(attribute(CN, "alice"), attribute(NameOID.DOMAIN_COMPONENT, "example")),
        subject(attribute(CN, "alice"), attribute(ObjectIdentifier("2.5.4.3.1"), "bob")),
        subject(attribute(CN, "alice", _ASN1Type.T61String)),
        subject(attribute(CN, "alice", _ASN1Type.IA5String)),
        subject(attribute(CN, "alice", _ASN1Type.VisibleString)),
        subject(attribute(CN, "alice", _ASN1Type.BMPString)),
        subject(attribute(CN, "1", _ASN1Type.NumericString)),
        subject(attribute(CN, "alice"), attribute(ORG, "dev", _ASN1Type.T61String)),
        subject(attribute(CN, "alice"), attribute(NameOID.LOCALITY_NAME, "x", _ASN1Type.BMPString)),
        authority().certificate.subject,
    ],
    ids=lambda who: repr(who)[:60],
)
def test_names_that_are_not_read(who: x509.Name) -> None:
    """Nobody, two names, special ones, controls, a UID, and encodings that readers differ about."""
    assert claim(leaf(root(), who).certificate) is None


def changed(*extensions: tuple[x509.ExtensionType, bool]) -> Extensions:
    """Return the usual extensions, each replaced or joined by one of *extensions*."""
    found = {one.oid: (one, critical) for one, critical in LEAF}
    found.update({one.oid: (one, critical) for one, critical in extensions})
    return tuple(found.values())


def usage(**bits: bool) -> x509.KeyUsage:
    """Return a key usage with *bits* changed in the usual one."""
    names = [name.removeprefix("_") for name in vars(SIGNS)]
    known = {name: getattr(SIGNS, f"_{name}") for name in names}
    return x509.KeyUsage(**{**known, **bits})


SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
BOTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
ANY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])


@pytest.mark.parametrize(
    ("is_read", "extensions"),
    [
        (True, LEAF),
        (True, ((FOR_CLIENTS, False),)),
        (True, changed((FOR_CLIENTS, True))),
        (True, changed((BOTH, False))),
        (True, changed((NO_CA, False), (SIGNS, False))),
        (True, changed((KEY_ID, False))),
        (False, ()),
        (False, ((NO_CA, True), (SIGNS, True))),
        (False, changed((SERVERS, False))),
        (False, changed((ANY, False))),
        (False, changed((CA, True))),
        (False, changed((usage(digital_signature=False), True))),
        (False, changed((usage(digital_signature=False, key_cert_sign=True), True))),
        (False, changed((SURPRISE, True))),
        (False, changed((SURPRISE, False))),
        (False, changed((KEY_ID, True))),
        (False, changed((HOST, False))),
        (False, changed((HOST, True))),
        (False, changed((x509.NameConstraints([x509.DNSName("a.b")], None), True))),
        (False, changed((x509.PolicyConstraints(0, None), True))),
    ],
)
def test_extensions_of_a_certificate(*, is_read: bool, extensions: Extensions) -> None:
    """For clients, no CA, may sign, and nothing that is not known to its end."""
    assert (claim(leaf(root(), extensions=extensions).certificate) is not None) == is_read


def test_keys_and_signatures() -> None:
    """Those of today; no SHA-1, no RSASSA-PSS, no small or strange keys; each its own kind."""
    ed, p224 = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP224R1())
    koblitz = ec.generate_private_key(ec.SECP256K1())
    p384, p521 = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP521R1())
    even = authority(key=ed)
    table = [
        (True, leaf(root())),
        (True, leaf(root(), key=p384)),
        (True, leaf(root(), key=p521)),
        (True, leaf(root(), key=ed)),
        (True, leaf(root(), key=rsa_key())),
        (True, leaf(root(), hash_with=hashes.SHA384())),
        (True, leaf(root(), hash_with=hashes.SHA512())),
        (True, leaf(rsa_root())),
        (True, leaf(rsa_root(), hash_with=hashes.SHA384())),
        (True, leaf(rsa_root(), hash_with=hashes.SHA512())),
        (True, leaf(even)),
        (False, leaf(root(), key=rsa_key(1024))),
        (False, leaf(root(), key=rsa_key(2040))),
        (False, leaf(root(), key=p224)),
        (False, leaf(root(), key=koblitz)),
        (False, leaf(root(), hash_with=hashes.SHA224())),
        (False, leaf(root(), hash_with=hashes.SHA3_256())),
        (False, leaf(rsa_root(), hash_with=hashes.SHA224())),
        (False, leaf(rsa_root(), pss=True)),
    ]
    found = [claim(issued.certificate) for _, issued in table]
    assert [one is not None for one in found] == [is_read for is_read, _ in table]
    kinds = {one.kind for one in found if one is not None}
    assert len(kinds) == sum(is_read for is_read, _ in table)


def patched(certificate: x509.Certificate, before: bytes, after: bytes) -> Claim | None:
    """Return what a certificate with one change in its encoding says; its signature is wrong."""
    der = certificate.public_bytes(Encoding.DER)
    assert der.count(before) == 1
    der = der.replace(before, after)
    for at in (2, 6):  # the lengths of the certificate and of what is signed
        size = int.from_bytes(der[at : at + 2]) - len(before) + len(after)
        der = der[:at] + size.to_bytes(2) + der[at + 2 :]
    try:
        return claim_of(x509.load_der_x509_certificate(der))
    except ValueError:
        return None


def test_encodings_that_go_does_not_take() -> None:
    """An old version, a wrong alphabet, and keys that are not written as they should be."""
    usual, short = leaf(root()).certificate, named("alice")
    assert patched(usual, b"\xa0\x03\x02\x01\x02", b"") is None
    assert patched(usual, b"\x0c\x05alice", b"\x13\x05alice") is not None
    for name in (b"\x13\x05al@ce", b"\x13\x05alic*", b"\x0c\x05alic\xe9", b"\x16\x05alice"):
        assert patched(leaf(root(), short).certificate, b"\x0c\x05alice", name) is None

    with_rsa = leaf(root(), key=rsa_key()).certificate
    begin = bytes.fromhex("30820122300d06092a864886f70d0101010500")
    assert patched(with_rsa, begin, begin) is not None
    without = bytes.fromhex("30820120300b06092a864886f70d010101")  # no NULL
    assert patched(with_rsa, begin, without) is None

    point = usual.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    uncompressed = usual.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    compressed = b"\x30\x39" + algorithm + b"\x03\x22\x00" + point
    assert patched(usual, uncompressed, uncompressed) is not None
    assert patched(usual, uncompressed, compressed) is None


@pytest.mark.parametrize(
    ("is_usable", "extensions"),
    [
        (True, ((CA, True), (SIGNS_CERTIFICATES, True))),
        (True, ((CA, False),)),
        (True, ((x509.BasicConstraints(ca=True, path_length=0), True),)),
        (True, ((CA, True), (SURPRISE, False))),
        (True, ((CA, True), (KEY_ID, False), (HOST, False))),  # kubeadm writes a DNS name
        (False, ()),
        (False, ((NO_CA, True),)),
        (False, ((CA, True), (SIGNS, True))),
        (False, ((CA, True), (FOR_CLIENTS, False))),
        (False, ((CA, True), (SURPRISE, True))),
        (False, ((CA, True), (KEY_ID, True))),
        (False, ((CA, True), (x509.NameConstraints(None, [x509.DNSName("a.b")]), False))),
    ],
)
def test_extensions_of_a_ca(*, is_usable: bool, extensions: Extensions) -> None:
    """A CA without conditions."""
    assert bool(issuers(authority(extensions=extensions).pem)) == is_usable


def test_keys_of_a_ca() -> None:
    """Those of today."""
    table: list[tuple[bool, Key]] = [
        (True, rsa_key(2048)),
        (True, ed25519.Ed25519PrivateKey.generate()),
        (True, ec.generate_private_key(ec.SECP521R1())),
        (False, rsa_key(1024)),
        (False, ec.generate_private_key(ec.SECP256K1())),
        (False, ec.generate_private_key(ec.SECP224R1())),
    ]
    for is_usable, key in table:
        assert bool(issuers(authority(key=key).pem)) == is_usable


def test_a_bundle() -> None:
    """Several CAs, also of one name; the unusable ones are left out, garbage is said."""
    first, renewed, other, none = (
        authority(),
        authority(),
        authority("x"),
        authority("y", extensions=()),
    )
    found = issuers(b"# a comment\n" + b"".join(one.pem for one in (first, renewed, other, none)))
    assert sorted(map(len, found.values())) == [1, 2]
    for garbage in (b"", b"x", first.pem[:-40], first.pem * 101):
        with pytest.raises(ValueError, match=r".{5,}"):
            issuers(garbage)


def test_who_signed_it() -> None:
    """Only the CA that it names, with its own key, while the CA is valid."""
    now = datetime.now(UTC)
    good, namesake, other = root(), authority(), authority("other")
    old, young = authority(hours=(-2, -1)), authority(hours=(1, 2))
    ((issuer,),) = issuers(good.pem).values()
    own = leaf(good)
    assert issuer.has_issued(own.certificate, now)
    assert not issuer.has_issued(own.certificate, now + timedelta(hours=2))
    assert not issuer.has_issued(own.certificate, now - timedelta(hours=2))
    assert not issuer.has_issued(leaf(namesake).certificate, now)
    assert not issuer.has_issued(leaf(other).certificate, now)
    stolen = leaf(good, issuer_name=other.certificate.subject)  # the right key, another name
    assert not issuer.has_issued(stolen.certificate, now)
    assert not issuer.has_issued(leaf(rsa_root()).certificate, now)
    for ca in (old, young):
        ((issuer,),) = issuers(ca.pem).values()
        assert not issuer.has_issued(leaf(ca).certificate, now)


def test_any_damage_is_seen() -> None:
    """A certificate of which one bit is changed is unreadable, unusual, or not signed."""
    now = datetime.now(UTC)
    ((issuer,),) = issuers(root().pem).values()
    ders = (leaf(root()).certificate.public_bytes(Encoding.DER) for _ in range(100))
    # Then the last bit of the signature may as well be an unused one.
    der = next(der for der in ders if not der[-1] & 1)
    accepted = 0
    for at in range(len(der)):
        try:
            damaged = x509.load_der_x509_certificate(
                der[:at] + bytes([der[at] ^ 1]) + der[at + 1 :]
            )
            accepted += claim_of(damaged) is not None and issuer.has_issued(damaged, now)
        except (ValueError, x509.InvalidVersion):
            continue
    assert accepted == 0


_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(_NAMES, st.lists(_NAMES, max_size=4), st.booleans())
def test_what_is_read_is_what_stands_there(name: str, groups: list[str], one_part: bool) -> None:  # noqa: FBT001  # hypothesis'
    """Every certificate that is read has exactly the names of its subject, all of them."""
    common = attribute(CN, name)
    parts = [attribute(ORG, group) for group in groups]
    if one_part and parts:
        unique = list({one.value: one for one in parts}.values())
        who = x509.Name(
            [x509.RelativeDistinguishedName(unique), x509.RelativeDistinguishedName([common])]
        )
    else:
        who = x509.Name([*parts, common])
    certificate = leaf(root(), who).certificate
    found = claim(certificate)
    usual = all(one.isprintable() for one in (name, *groups))
    assert (found is not None) == usual
    if found is not None:
        assert (found.name, found.groups) == (name, encoded_groups(certificate))
        assert set(found.groups) == set(groups)
