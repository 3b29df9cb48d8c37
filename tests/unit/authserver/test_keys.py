"""Signing keys: made, read, published, replaced."""

from __future__ import annotations

import base64
import json
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from sealoshub.authserver import keys
from sealoshub.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_made_key_is_private_and_whole(tmp_path: Path) -> None:
    """Owner only, P-256, and no coordinate begins with a zero byte."""
    path = keys.generate(tmp_path / "new" / "folder")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = keys.load(path.parent)
    assert found.signing.name == "signing.pem"
    for entry in keys.jwks(found)["keys"]:
        assert base64.urlsafe_b64decode(entry["x"] + "=")[0] != 0
        assert base64.urlsafe_b64decode(entry["y"] + "=")[0] != 0


def test_coordinates_with_a_leading_zero_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first candidate with one is thrown away."""
    short = next(
        key
        for number in range(1, 5000)
        if (key := ec.derive_private_key(number, ec.SECP256R1()))
        .public_key()
        .public_numbers()
        .x.bit_length()
        <= 248
    )
    good = ec.derive_private_key(1, ec.SECP256R1())
    candidates = iter([short, good])
    monkeypatch.setattr(ec, "generate_private_key", lambda _curve: next(candidates))
    keys.generate(tmp_path)
    assert keys.load(tmp_path).signing.kid == keys.libtrust_kid(good.public_key())


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """The file that is there stays as it is."""
    path = keys.generate(tmp_path)
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="already"):
        keys.generate(tmp_path)
    assert path.read_bytes() == before


def test_which_key_signs(tmp_path: Path) -> None:
    """`signing.pem`, or else the last one by name; all are published."""
    keys.generate(tmp_path, "a.pem")
    keys.generate(tmp_path, "b.pem")
    assert keys.load(tmp_path).signing.name == "b.pem"
    keys.generate(tmp_path)
    found = keys.load(tmp_path)
    assert found.signing.name == "signing.pem"
    assert [key.name for key in found.keys] == ["a.pem", "b.pem", "signing.pem"]
    assert [entry["kid"] for entry in keys.jwks(found)["keys"]] == [key.kid for key in found.keys]


def test_the_published_keys_hold_nothing_private(tmp_path: Path) -> None:
    """No `d` in the JWKS, no private key in the bundle or in any repr."""
    found = keys.ensure(tmp_path / "keys")
    keys.write_registry_files(tmp_path / "keys", tmp_path / "token.crt", tmp_path / "jwks.json")
    for entry in json.loads((tmp_path / "jwks.json").read_text())["keys"]:
        assert set(entry) == {"kty", "crv", "use", "alg", "kid", "x", "y"}
    assert b"PRIVATE" not in (tmp_path / "token.crt").read_bytes()
    assert "0x" in repr(found.signing.private)  # the address of an object and nothing else


def test_the_files_of_a_registry(tmp_path: Path) -> None:
    """A certificate of each key for 2.8, a JWKS for 3, stable until the keys change."""
    folder, bundle, jwks = tmp_path / "keys", tmp_path / "token.crt", tmp_path / "jwks.json"
    keys.ensure(folder)
    found = keys.write_registry_files(folder, bundle, jwks)
    certificates = x509.load_pem_x509_certificates(bundle.read_bytes())
    publics = [certificate.public_key() for certificate in certificates]
    assert publics == [key.public for key in found.keys]
    before = bundle.read_bytes()
    keys.write_registry_files(folder, bundle, jwks)
    assert bundle.read_bytes() == before
    keys.generate(folder, "next.pem")
    keys.write_registry_files(folder, bundle, jwks)
    assert len(x509.load_pem_x509_certificates(bundle.read_bytes())) == 2
    assert len(json.loads(jwks.read_text())["keys"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jwks.json", "keys", "token.crt"]


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    """No key, a key of another kind, an encrypted one, garbage: each with its file's name."""
    with pytest.raises(NotFoundError, match="no signing key"):
        keys.load(tmp_path)
    own = ec.generate_private_key(ec.SECP256R1())
    pkcs8 = (Encoding.PEM, PrivateFormat.PKCS8)
    contents = {
        "ed25519": ed25519.Ed25519PrivateKey.generate().private_bytes(*pkcs8, NoEncryption()),
        "p384": ec.generate_private_key(ec.SECP384R1()).private_bytes(*pkcs8, NoEncryption()),
        "locked": own.private_bytes(*pkcs8, BestAvailableEncryption(b"x")),
        "garbage": b"garbage",
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.pem"
        path.write_bytes(content)
        with pytest.raises(InvalidInputError, match=name):
            keys.load(tmp_path)
        path.unlink()


def test_keys_are_followed(tmp_path: Path) -> None:
    """A new signer is used, a broken folder is not, an unchanged one is not read."""
    keys.generate(tmp_path, "a.pem")
    directory = keys.KeyDirectory(tmp_path)
    first = directory.current.signing.kid
    assert directory.reload() is False
    keys.generate(tmp_path, "b.pem")
    assert directory.reload() is True
    second = directory.current.signing.kid
    assert second != first
    (tmp_path / "c.pem").write_text("garbage")
    with pytest.raises(InvalidInputError):
        directory.reload()
    with pytest.raises(InvalidInputError):
        directory.reload()
    assert directory.current.signing.kid == second
    (tmp_path / "c.pem").unlink()
    assert directory.reload() is False


def test_ensure_makes_one_key_once(tmp_path: Path) -> None:
    """The second call finds what the first one made."""
    assert keys.ensure(tmp_path).signing.kid == keys.ensure(tmp_path).signing.kid
