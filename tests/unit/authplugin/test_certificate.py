"""Client certificates that strangers send."""

from __future__ import annotations

import base64
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from sealoshub.authplugin import CredentialsRejected
from sealoshub.authplugin import certificate as certificates
from sealoshub.authplugin.kubeconfig import CertificatePair
from sealoshub.secret import Secret
from tests.unit.authplugin.issuing import Issued, leaf
from tests.unit.authserver.pki import Authority, Pair


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A CA."""
    return Authority()


@pytest.fixture(scope="module")
def rsa_pair(authority: Authority) -> Pair:
    """An RSA client certificate."""
    return authority.issue("alice", key=rsa.generate_private_key(65537, 2048))


def sent(pair: Pair, key: bytes | None = None) -> CertificatePair:
    """Return *pair* as it stands in a kubeconfig, perhaps with another key."""
    return CertificatePair(pair.pem, Secret((key or pair.key_pem()).decode("latin-1")))


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def test_a_good_pair_can_be_loaded(authority: Authority, rsa_pair: Pair) -> None:
    """EC and RSA, and no file or descriptor is left behind."""
    before = set(Path("/proc/self/fd").iterdir())
    for pair in (authority.issue("alice"), rsa_pair):
        read = certificates.read(sent(pair), now())
        certificates.load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), read)
        assert "PRIVATE" not in repr(read)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_what_is_refused(authority: Authority, rsa_pair: Pair) -> None:
    """Foreign key, encrypted key, expired, not yet valid, garbage, wrong kinds and sizes."""
    pair, other = authority.issue("alice"), authority.issue("bob")
    small = rsa.generate_private_key(65537, 1024)  # noqa: S505  # what must be refused
    dsa_key = dsa.generate_private_key(1024).private_bytes(  # noqa: S505  # as above
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    table = [
        (sent(pair, other.key_pem()), "does not belong"),
        (sent(pair, rsa_pair.key_pem()), "does not belong"),
        (sent(pair, pair.key_pem(BestAvailableEncryption(b"x"))), "passphrase"),
        (sent(authority.issue("alice", hours=-0.5)), "valid from"),
        (sent(authority.issue("alice", began_hours=0.5)), "valid from"),
        (sent(pair, b"garbage"), "key cannot be read"),
        (CertificatePair(b"garbage", Secret(pair.key_pem().decode())), "certificate cannot be"),
        (CertificatePair(b"", Secret(pair.key_pem().decode())), "certificate cannot be"),
        (CertificatePair(pair.pem * 6, Secret(pair.key_pem().decode())), "too many"),
        (sent(authority.issue("alice", key=small)), "RSA with 1024 bits"),
        (sent(pair, dsa_key), "kind that is not accepted"),
    ]
    for credential, message in table:
        with pytest.raises(CredentialsRejected, match=message):
            certificates.read(credential, now())


def _integer(number: int) -> bytes:
    content = number.to_bytes(number.bit_length() // 8 + 1)
    return _element(0x02, content)


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x82]) + size.to_bytes(2)
    return bytes([tag]) + length + content


def _forged(key: rsa.RSAPrivateKey) -> list[bytes]:
    """Return keys with the public half of *key* and one private number that does not fit.

    Written by hand (RFC 8017, A.1.2), because the library refuses to make them.
    """
    good = key.private_numbers()
    public = good.public_numbers
    fields = (good.d, good.p, good.q, good.dmp1, good.dmq1, good.iqmp)
    found = []
    for position in range(len(fields)):
        changed = list(fields)
        changed[position] += 2
        numbers = (0, public.n, public.e, *changed)
        der = _element(0x30, b"".join(map(_integer, numbers)))
        found.append(_in_pem(b"RSA PRIVATE KEY", der))
    return found


def test_an_rsa_key_whose_numbers_do_not_fit_is_refused(rsa_pair: Pair) -> None:
    """The slow primality proof is skipped, so the arithmetic must be looked at here.

    Otherwise the public half of somebody else, which is no secret, would be all that is compared.
    """
    assert isinstance(rsa_pair.key, rsa.RSAPrivateKey)
    for text in _forged(rsa_pair.key):
        with pytest.raises(CredentialsRejected, match=r"damaged|cannot be read|does not belong"):
            certificates.read(sent(rsa_pair, text), now())


def _in_pem(label: bytes, der: bytes) -> bytes:
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, base64.encodebytes(der), label)


def _ec_file(scalar: bytes, point: bytes | None) -> bytes:
    """Return a key file of P-256 with any numbers (RFC 5915)."""
    parameters = _element(0xA0, bytes.fromhex("06082a8648ce3d030107"))
    public = b"" if point is None else _element(0xA1, _element(0x03, b"\x00" + point))
    return _element(0x30, b"\x02\x01\x01" + _element(0x04, scalar) + parameters + public)


def test_somebody_elses_certificate_needs_his_private_key(
    authority: Authority, rsa_pair: Pair
) -> None:
    """Whatever a key file says about its public part, which everybody can copy from a certificate.

    Wrong, foreign, absurd and absent secrets, next to the public numbers of the victim.
    """
    victim, thief = authority.issue("victim"), authority.issue("thief")
    assert isinstance(victim.key, ec.EllipticCurvePrivateKey)
    assert isinstance(thief.key, ec.EllipticCurvePrivateKey)
    point = victim.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    own = thief.key.private_numbers().private_value.to_bytes(32)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    scalars = [own, bytes(32), b"", b"\x00" * 31 + b"\x01", order.to_bytes(32), b"\xff" * 32]
    table: list[tuple[Pair | Issued, bytes]] = [
        (victim, _in_pem(b"EC PRIVATE KEY", _ec_file(scalar, public)))
        for scalar in scalars
        for public in (point, None)
    ]
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    for scalar in scalars:
        inner = _element(0x04, _ec_file(scalar, point))
        der = _element(0x30, b"\x02\x01\x00" + algorithm + inner)
        table.append((victim, _in_pem(b"PRIVATE KEY", der)))

    owner = ed25519.Ed25519PrivateKey.generate()
    public = owner.public_key().public_bytes_raw()
    for seed in (ed25519.Ed25519PrivateKey.generate().private_bytes_raw(), bytes(32), public):
        # RFC 5958: version 2 has room for the public key.
        inner = bytes.fromhex("020101300506032b6570") + _element(0x04, _element(0x04, seed))
        for more in (b"", _element(0x81, b"\x00" + public)):
            version = inner if more else inner.replace(b"\x02\x01\x01", b"\x02\x01\x00", 1)
            der = _element(0x30, version + more)
            table.append((_by_seed(authority, owner), _in_pem(b"PRIVATE KEY", der)))

    assert isinstance(rsa_pair.key, rsa.RSAPrivateKey)
    n, e = rsa_pair.key.public_key().public_numbers().n, 65537
    for d, p, q in ((1, 1, n), (1, n, 1), (e, 3, n // 3), (3, 2, n // 2), (1, 0, 0), (5, n, n)):
        numbers = (0, n, e, d, p, q, d % max(p - 1, 1), d % max(q - 1, 1), 1)
        der = _element(0x30, b"".join(map(_integer, numbers)))
        table.append((rsa_pair, _in_pem(b"RSA PRIVATE KEY", der)))

    for pair, text in table:
        with pytest.raises(CredentialsRejected, match=r"damaged|cannot be read|does not belong"):
            certificates.read(CertificatePair(pair.pem, Secret(text.decode())), now())


def _by_seed(authority: Authority, key: ed25519.Ed25519PrivateKey) -> Issued:
    return leaf(Issued(authority.own.certificate, authority.own.key), "victim", key=key)


def test_every_kind_of_key_is_proved(authority: Authority, rsa_pair: Pair) -> None:
    """The owner is believed: RSA, EC with and without its public part, Ed25519."""
    pair = authority.issue("alice")
    assert isinstance(pair.key, ec.EllipticCurvePrivateKey)
    scalar = pair.key.private_numbers().private_value.to_bytes(32)
    for credential in (
        sent(rsa_pair),
        sent(pair),
        sent(pair, _in_pem(b"EC PRIVATE KEY", _ec_file(scalar, None))),
        _by_seed(authority, ed25519.Ed25519PrivateKey.generate()).pair(),
    ):
        assert len(certificates.read(credential, now()).chain) == 1


def test_a_certificate_of_an_unknown_version_is_refused(authority: Authority) -> None:
    """It is no defect of ours."""
    pair = authority.issue("alice")
    der = pair.certificate.public_bytes(Encoding.DER)
    assert der.count(b"\xa0\x03\x02\x01\x02") == 1
    pem = _in_pem(b"CERTIFICATE", der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01"))
    with pytest.raises(CredentialsRejected, match="cannot be read"):
        certificates.read(CertificatePair(pem, Secret(pair.key_pem().decode())), now())


def test_reading_a_pair_is_cheap(rsa_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """An RSA key costs no primality proof (30 ms), so that a flood cannot buy CPU with it."""
    skipped = []

    def load(*arguments: Any, **options: Any) -> object:  # noqa: ANN401  # handed on
        skipped.append(options.get("unsafe_skip_rsa_key_validation"))
        return load_pem_private_key(*arguments, **options)

    monkeypatch.setattr(certificates, "load_pem_private_key", load)
    certificates.read(sent(rsa_pair), now())
    assert skipped == [True]


def test_nothing_is_written_to_disk(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary folder stays empty, with memory files and without them."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    read = certificates.read(sent(authority.issue("alice")), now())
    certificates.load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), read)
    monkeypatch.delattr(os, "memfd_create")
    certificates.load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), read)
    assert list(tmp_path.iterdir()) == []


def test_ec_curves(authority: Authority) -> None:
    """The curves that clusters use are read."""
    for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()):
        pair = authority.issue("alice", key=ec.generate_private_key(curve))
        read = certificates.read(sent(pair), now())
        assert read.not_after == pair.certificate.not_valid_after_utc
