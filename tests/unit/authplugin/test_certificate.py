"""Client certificates that strangers send."""

from __future__ import annotations

import base64
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sealoshub.authplugin import CredentialsRejected
from sealoshub.authplugin import certificate as certificates
from sealoshub.authplugin.kubeconfig import CertificatePair
from sealoshub.secret import Secret
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
        text = base64.encodebytes(der)
        label = b"RSA PRIVATE KEY"
        found.append(b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, text, label))
    return found


def test_an_rsa_key_whose_numbers_do_not_fit_is_refused(rsa_pair: Pair) -> None:
    """The slow primality proof is skipped, so the arithmetic must be looked at here.

    Otherwise the public half of somebody else, which is no secret, would be all that is compared.
    """
    assert isinstance(rsa_pair.key, rsa.RSAPrivateKey)
    for text in _forged(rsa_pair.key):
        with pytest.raises(CredentialsRejected, match=r"damaged|cannot be read|does not belong"):
            certificates.read(sent(rsa_pair, text), now())


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
