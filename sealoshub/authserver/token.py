"""JSON web tokens: the registry's access tokens, and a checked way to make and read any other.

The only door to PyJWT. Registry tokens are signed by hand from a template, which takes half the
time; `tests/unit/authserver/test_token.py` verifies them with PyJWT.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sealoshub.errors import AuthenticationError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric import rsa

    from sealoshub.authserver.keys import Key

BACKDATED_SECONDS: Final = 10  # a registry's clock may be behind; zot verifies iat without leeway
MAX_TOKEN: Final = 64 * 1024  # characters that are worth parsing
_SIZE: Final = 32  # bytes of r and of s in an ES256 signature (RFC 7518, 3.4)
quoted: Final = json.encoder.encode_basestring_ascii  # a JSON string, without building an encoder
_ES256: Final = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Access:
    """One entry of the `access` claim.

    Args:
        type: `repository` or `registry`, never with a class.
        name: Name of the resource.
        actions: What is granted, perhaps nothing.
    """

    type: str
    name: str
    actions: Iterable[str]


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A registry token.

    Args:
        text: The token; whoever has it may use it.
        id: Its `jti`, for the audit log.
    """

    text: str
    id: str

    def __repr__(self) -> str:
        return f"SignedToken(id={self.id!r})"


class Signer:
    """Sign registry tokens with one key.

    It is a class because header and constant claims are encoded once.

    Args:
        key: The key.
        issuer: `iss`.
        seconds: Life of a token.
    """

    def __init__(self, key: Key, issuer: str, seconds: int) -> None:
        self.kid = key.kid
        self.seconds = seconds
        self._private = key.private
        self._issuer = json.dumps(issuer)
        header = json.dumps({"typ": "JWT", "alg": "ES256", "kid": key.kid}, separators=(",", ":"))
        self._header = _base64(header.encode()) + b"."

    def sign(
        self, subject: str, audience: str, access: Sequence[Access], *, now: float
    ) -> SignedToken:
        """Return a token (distribution, "Token Authentication Implementation").

        Args:
            subject: `sub`, the full user name.
            audience: `aud`; one string, because registry 2.8 refuses a list.
            access: What is granted.
            now: Wall-clock time in seconds since the epoch.
        """
        moment = int(now)
        token_id = secrets.token_hex(16)
        entries = ",".join(
            [
                f'{{"type":{quoted(entry.type)},"name":{quoted(entry.name)}'
                f',"actions":[{",".join(map(quoted, sorted(entry.actions)))}]}}'
                for entry in access
            ]
        )
        payload = (
            f'{{"iss":{self._issuer},"sub":{quoted(subject)},"aud":{quoted(audience)}'
            f',"exp":{moment + self.seconds},"nbf":{moment - BACKDATED_SECONDS}'
            f',"iat":{moment - BACKDATED_SECONDS},"jti":"{token_id}","access":[{entries}]}}'
        )
        signed = self._header + _base64(payload.encode())
        r, s = decode_dss_signature(self._private.sign(signed, _ES256))
        signature = _base64(r.to_bytes(_SIZE) + s.to_bytes(_SIZE))
        return SignedToken((signed + b"." + signature).decode("ascii"), token_id)


def encode_jwt(
    claims: Mapping[str, Any],
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    *,
    kid: str,
    algorithm: str = "ES256",
) -> str:
    """Return a signed token with exactly *claims*.

    Args:
        claims: JSON values; times are integers, seconds since the epoch.
        key: Private key that fits *algorithm*.
        kid: Name of the key, for the header.
        algorithm: `ES256` or `RS256`.

    Raises:
        InvalidInputError: The claims are no JSON, or the key does not fit.
    """
    try:
        return jwt.encode(dict(claims), key, algorithm=algorithm, headers={"kid": kid})
    except (jwt.PyJWTError, TypeError, ValueError) as exc:
        raise InvalidInputError(f"cannot sign these claims: {exc}") from exc


def decode_jwt(  # noqa: PLR0913  # each is a check that a caller must decide about
    token: str,
    keys: Mapping[str, ec.EllipticCurvePublicKey | rsa.RSAPublicKey],
    *,
    issuer: str,
    audience: str | Sequence[str] | None,
    required: Sequence[str] = ("exp", "iss", "sub"),
    algorithms: Sequence[str] = ("ES256",),
    leeway: float = 0,
) -> dict[str, Any]:
    """Return the claims of *token* if one of *keys* signed it and it is valid now.

    Args:
        token: The token as it was sent.
        keys: Public keys by `kid`; the header only chooses among them, and a key that the header
            carries itself is never looked at.
        issuer: Must be `iss`.
        audience: One of these must be in `aud`; None leaves `aud` to the caller.
        required: Claims that must be there.
        algorithms: Accepted values of `alg`.
        leeway: Seconds that `exp` and `nbf` may be off.

    Raises:
        AuthenticationError: Anything is wrong; the message says what, without the token.
    """
    if len(token) > MAX_TOKEN:
        raise AuthenticationError("the token is too long")
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise AuthenticationError("the token is signed by an unknown key")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            issuer=issuer,
            audience=audience,
            leeway=leeway,
            options={"require": list(required), "verify_aud": audience is not None},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as exc:
        raise AuthenticationError(f"the token is not valid ({_fault(exc)})") from exc
    return claims


def _fault(exc: Exception) -> str:
    """Name the fault by the class of the exception; its text may quote the token."""
    names = {
        "ExpiredSignatureError": "expired",
        "ImmatureSignatureError": "not valid yet",
        "InvalidAudienceError": "another audience",
        "InvalidIssuerError": "another issuer",
        "InvalidSignatureError": "wrong signature",
        "InvalidAlgorithmError": "algorithm not accepted",
        "MissingRequiredClaimError": "a claim is missing",
    }
    return names.get(type(exc).__name__, "malformed")


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
