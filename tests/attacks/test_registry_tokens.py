"""Row 23: forged tokens, sent to the registry, which verifies them by our configuration of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import time
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from sealoshub.authserver import keys
from sealoshub.authserver.token import Access, Signer
from tests.integration.servers.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.integration.hub import Hub

NAME: Final = "forged/app"
BEYOND: Final = 3600  # seconds; registries give 60


def encoded(content: bytes) -> bytes:
    """Return base64url without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def es256(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    """Return what signs with *key* (RFC 7518, 3.4)."""

    def sign(content: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(content, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    return sign


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    """Return what makes a MAC with *secret*."""
    return lambda content: hmac.new(secret, content, hashlib.sha256).digest()


def forged(
    header: Mapping[str, Any], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]
) -> str:
    """Return a token with exactly this header and these claims."""
    parts = [encoded(json.dumps(part).encode()) for part in (header, claims)]
    content = b".".join(parts)
    return (content + b"." + encoded(sign(content))).decode()


def status(hub: Hub, token: str) -> int:
    """Return what the registry answers to somebody with *token*."""
    connection = http.client.HTTPConnection(hub.host, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {token}"}
        connection.request("GET", f"/v2/{NAME}/tags/list", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def jwk(key: ec.EllipticCurvePublicKey, kid: str) -> dict[str, str]:
    """Return a public key as a header would carry it (RFC 7517)."""
    numbers = key.public_numbers()
    x, y = (encoded(number.to_bytes(32)).decode() for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "use": "sig", "alg": "ES256"}


def test_row_23_tokens_that_the_hub_did_not_sign(hub: Hub) -> None:
    """The registry refuses every one of them, and takes the honest one that they are made from."""
    signing = keys.load(hub.data / "keys").signing
    ours, public, kid = es256(signing.private), signing.private.public_key(), signing.kid
    now = int(time.time())
    header = {"typ": "JWT", "alg": "ES256", "kid": kid}
    claims: dict[str, Any] = {
        "iss": "sealoshub",
        "sub": "admin",
        "aud": "hub",
        "exp": now + 300,
        "nbf": now - 10,
        "iat": now - 10,
        "jti": "1",
        "access": [{"type": "repository", "name": NAME, "actions": ["pull", "push", "delete"]}],
    }
    honest = forged(header, claims, ours)
    granted = {200, 404}  # there is no such repository, which only somebody let in is told
    assert status(hub, honest) in granted
    theirs = Signer(signing, "sealoshub", 300)
    access = [Access("repository", NAME, ["pull"])]
    assert status(hub, theirs.sign("x", "hub", access, now=now).text) in granted

    foreign = ec.generate_private_key(ec.SECP256R1())
    own_jwk = jwk(foreign.public_key(), kid)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    authority = Authority.create("nobody's")
    certificate, key = authority.client("signer", [], 3600)
    leaf = x509.load_pem_x509_certificate(certificate)
    chain = [base64.b64encode(leaf.public_bytes(Encoding.DER)).decode()]
    leaf_key = load_pem_private_key(key, password=None)
    assert isinstance(leaf_key, ec.EllipticCurvePrivateKey)
    elsewhere = [{"type": "repository", "name": "forged/other", "actions": ["pull"]}]
    tail = honest.rpartition(".")[2]
    attacks = {
        "alg none": forged({**header, "alg": "none"}, claims, lambda _: b""),
        "alg nOnE, our signature": forged({**header, "alg": "nOnE"}, claims, ours),
        "no alg": forged({"typ": "JWT", "kid": kid}, claims, ours),
        "HS256 with our public key in PEM": forged({**header, "alg": "HS256"}, claims, hs256(pem)),
        "HS256 with our public key in DER": forged({**header, "alg": "HS256"}, claims, hs256(der)),
        "HS256 with our kid": forged({**header, "alg": "HS256"}, claims, hs256(kid.encode())),
        "HS256 with nothing": forged({**header, "alg": "HS256"}, claims, hs256(b"")),
        "a foreign key under our kid": forged(header, claims, es256(foreign)),
        "a foreign kid": forged({**header, "kid": "AAAA:BBBB"}, claims, es256(foreign)),
        "no kid": forged({"typ": "JWT", "alg": "ES256"}, claims, es256(foreign)),
        "a jwk in the header, our kid": forged({**header, "jwk": own_jwk}, claims, es256(foreign)),
        "a jwk in the header, no kid": forged(
            {"typ": "JWT", "alg": "ES256", "jwk": {**own_jwk, "kid": "mine"}},
            claims,
            es256(foreign),
        ),
        "x5c of another CA": forged(
            {"typ": "JWT", "alg": "ES256", "x5c": chain}, claims, es256(leaf_key)
        ),
        "x5c of another CA, our kid": forged({**header, "x5c": chain}, claims, es256(leaf_key)),
        "expired": forged(header, {**claims, "exp": now - BEYOND}, ours),
        "not yet": forged(header, {**claims, "nbf": now + BEYOND}, ours),
        "another audience": forged(header, {**claims, "aud": "other-hub"}, ours),
        "no audience": forged(header, {k: v for k, v in claims.items() if k != "aud"}, ours),
        "another issuer": forged(header, {**claims, "iss": "evil"}, ours),
        "another repository": forged(header, {**claims, "access": elsewhere}, ours),
        "another type": forged(
            header, {**claims, "access": [{**claims["access"][0], "type": "registry"}]}, ours
        ),
        "no access": forged(header, {**claims, "access": []}, ours),
        "changed after signing": forged(header, {**claims, "sub": "x"}, lambda _: b"") + tail,
        "a signature of zeros": forged(header, claims, lambda _: b"\0" * 64),
        "no signature": honest.rpartition(".")[0] + ".",
        "two parts": honest.rpartition(".")[0],
        "garbage": "eyJh.eyJh.eyJh",
    }
    accepted = {name: got for name, token in attacks.items() if (got := status(hub, token)) != 401}
    assert accepted == {}
