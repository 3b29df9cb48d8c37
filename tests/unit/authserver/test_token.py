"""Tokens: what a registry verifies, read with an independent library."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.authserver import keys as signing_keys
from sealoshub.authserver.token import Access, Signer, decode_jwt, encode_jwt
from sealoshub.errors import AuthenticationError, InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.authserver.keys import Key

NOW = 1_800_000_000.9


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    """A signing key."""
    return signing_keys.ensure(tmp_path_factory.mktemp("keys")).signing


def test_the_token_that_a_registry_wants(key: Key) -> None:
    """Header and claims are those of the specification, and the signature is good."""
    signer = Signer(key, "sealoshub", 300)
    access = [
        Access("repository", "org/repo", ["push", "pull"]),
        Access("registry", "catalog", "*"),
    ]
    token = signer.sign("system:serviceaccount:a:b", "hub", access, now=NOW)
    assert jwt.get_unverified_header(token.text) == {
        "typ": "JWT",
        "alg": "ES256",
        "kid": key.kid,
    }
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    claims = jwt.decode(
        token.text,
        key.public,
        algorithms=["ES256"],
        audience="hub",
        issuer="sealoshub",
        options=options,  # type: ignore[arg-type]
    )
    assert claims == {
        "iss": "sealoshub",
        "sub": "system:serviceaccount:a:b",
        "aud": "hub",
        "exp": 1_800_000_300,
        "nbf": 1_799_999_990,
        "iat": 1_799_999_990,
        "jti": token.id,
        "access": [
            {"type": "repository", "name": "org/repo", "actions": ["pull", "push"]},
            {"type": "registry", "name": "catalog", "actions": ["*"]},
        ],
    }
    assert len(bytes.fromhex(token.id)) == 16
    assert token.text not in repr(token)


@given(subject=st.text(max_size=50), name=st.text(max_size=50), issuer=st.text(max_size=20))
def test_no_text_breaks_out_of_its_claim(subject: str, name: str, issuer: str) -> None:
    """The hand-made JSON holds whatever a name contains."""
    private = ec.derive_private_key(7, ec.SECP256R1())
    own = signing_keys.Key("x", signing_keys.libtrust_kid(private.public_key()), private)
    token = Signer(own, issuer, 300).sign(
        subject, "hub", [Access("repository", name, ["pull"])], now=NOW
    )
    payload = token.text.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (claims["sub"], claims["iss"]) == (subject, issuer)
    assert claims["access"] == [{"type": "repository", "name": name, "actions": ["pull"]}]


def test_signatures_are_always_64_bytes(key: Key) -> None:
    """Short r and s are padded (RFC 7518, 3.4): 300 tokens hold one of each for certain."""
    signer = Signer(key, "i", 300)
    for _ in range(300):
        token = signer.sign("s", "hub", [], now=time.time())
        signature = token.text.rpartition(".")[2]
        assert len(base64.urlsafe_b64decode(signature + "==")) == 64
        jwt.decode(token.text, key.public, algorithms=["ES256"], audience="hub")


def test_the_kid_is_the_libtrust_fingerprint() -> None:
    """The example key of distribution's token specification has the kid that stands there."""
    x = base64.urlsafe_b64decode("m7zUpx3b-zmVE5cymSs64POG9QcyEpJaYCD82-549_Q=")
    y = base64.urlsafe_b64decode("dU3biz8sZ_8GPB-odm8Wxz3lNDr1xcAQQPQaOcr1fmc=")
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1())
    expected = "PYYO:TEWU:V7JH:26JV:AQTZ:LJC3:SXVJ:XGHA:34F2:2LAQ:ZRMK:Z7Q6"
    assert signing_keys.libtrust_kid(numbers.public_key()) == expected


# ------------------------------------------------------------------ any other token
CLAIMS = {"iss": "me", "sub": "you", "aud": ["a", "b"], "exp": 4_000_000_000}


def test_a_token_goes_there_and_back(key: Key) -> None:
    """Claims come back as they were, for one of the audiences or without looking at them."""
    token = encode_jwt(CLAIMS, key.private, kid="k")
    for audience in ("a", ["b", "c"], None):
        assert decode_jwt(token, {"k": key.public}, issuer="me", audience=audience) == CLAIMS


def test_rs256_can_be_chosen() -> None:
    """ServiceAccount tokens of real clusters are RS256."""
    private = rsa.generate_private_key(65537, 2048)
    token = encode_jwt(CLAIMS, private, kid="k", algorithm="RS256")
    found = decode_jwt(
        token, {"k": private.public_key()}, issuer="me", audience="a", algorithms=["RS256"]
    )
    assert found == CLAIMS


def _b64(content: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def test_what_is_refused(key: Key, tmp_path: Path) -> None:
    """Every forgery and every wrong claim, each with its own word and without the token."""
    other = signing_keys.ensure(tmp_path)
    own = {"k": key.public}

    def made(**claims: object) -> str:
        return encode_jwt({**CLAIMS, **claims}, key.private, kid="k")

    good = made()
    header, payload, signature = good.split(".")
    none = f"{_b64({'alg': 'none', 'kid': 'k'})}.{payload}."
    pem = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    hs_head = f"{_b64({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k'})}.{payload}"
    mac = hashlib.sha256(pem + hs_head.encode()).digest()
    hs256 = f"{hs_head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    without = {name: value for name, value in CLAIMS.items() if name != "exp"}
    table = [
        (none, "algorithm not accepted|malformed"),
        (hs256, "algorithm not accepted|malformed"),
        (encode_jwt(CLAIMS, other.signing.private, kid="k"), "wrong signature"),
        (encode_jwt(CLAIMS, key.private, kid="foreign"), "unknown key"),
        (f"{header}.{_b64({**CLAIMS, 'sub': 'root'})}.{signature}", "wrong signature"),
        (made(exp=1), "expired"),
        (made(nbf=4_000_000_000), "not valid yet"),
        (made(iss="other"), "another issuer"),
        (made(aud="c"), "another audience"),
        (encode_jwt(without, key.private, kid="k"), "claim is missing"),
        (made(exp="soon"), "malformed|expired"),
        ("", "malformed"),
        ("a.b.c", "malformed"),
        ("ö" * 50, "malformed"),
        ("e" * 70_000, "too long"),
    ]
    for token, message in table:
        with pytest.raises(AuthenticationError, match=message) as caught:
            decode_jwt(token, own, issuer="me", audience=["a", "b"])
        assert not token or token not in caught.value.message


def test_claims_that_are_no_json(key: Key) -> None:
    """The message says that they cannot be signed."""
    with pytest.raises(InvalidInputError, match="cannot sign"):
        encode_jwt({"x": object()}, key.private, kid="k")
