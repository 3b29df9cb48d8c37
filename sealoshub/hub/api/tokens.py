"""ServiceAccount tokens: TokenRequest makes them, authentication reads them.

Claims as `pkg/serviceaccount/claims.go` of Kubernetes: the account's uid is in the token, so a
token dies with its account even if another of that name is made.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealoshub.authserver.token import decode_jwt, encode_jwt
from sealoshub.errors import AuthenticationError
from sealoshub.hub.api.metadata import now
from sealoshub.hub.api.rbac import ACCOUNT_PREFIX, AUTHENTICATED, User
from sealoshub.hub.api.status import ApiError, bad_request, invalid, invalid_value, not_found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

    from sealoshub.hub.api.store import Store

ISSUER: Final = "https://kubernetes.default.svc"
ACCOUNTS: Final = "/serviceaccounts"
SECRETS: Final = "/secrets"
SHORTEST: Final = 600  # seconds; TokenRequest of Kubernetes refuses less
LONGEST: Final = 1 << 32  # seconds
DEFAULT: Final = 3600  # seconds
CREDENTIAL_ID: Final = "authentication.kubernetes.io/credential-id"
_GROUP: Final = "authentication.k8s.io"
_KIND: Final = "TokenRequest"


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Whom a token belongs to.

    Args:
        user: The user.
        audiences: Audiences of the token that were accepted.
    """

    user: User
    audiences: tuple[str, ...]


class Tokens:
    """Sign and check ServiceAccount tokens.

    It is a class because key, issuer and store belong together for every token.

    Args:
        key: The signing key.
        store: Where the accounts are.
        issuer: `iss`, and the API's own audience.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, store: Store, issuer: str = ISSUER) -> None:
        self._key = key
        self._store = store
        self.issuer = issuer
        numbers = key.public_key().public_numbers()
        self._kid = hashlib.sha256(f"{numbers.x}:{numbers.y}".encode()).hexdigest()[:32]

    def request(self, account: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        """Answer a TokenRequest.

        Args:
            account: The ServiceAccount.
            body: The TokenRequest as it was sent.

        Raises:
            ApiError: 422 for a life that is too short or long; 404, 409 or 400 for a bound object
                that is not there, not the same, or of a kind that is not served.
        """
        metadata = account["metadata"]
        if body["metadata"].get("name") not in (None, "", metadata["name"]):
            raise bad_request("the name of the object does not match the name on the URL")
        spec = body.get("spec") or {}
        seconds = spec.get("expirationSeconds", DEFAULT)
        field = "spec.expirationSeconds"
        if seconds < SHORTEST:
            text = "may not specify a duration less than 10 minutes"
            raise invalid(_GROUP, _KIND, "", [invalid_value(field, seconds, text)])
        if seconds > LONGEST:
            text = "may not specify a duration larger than 2^32 seconds"
            raise invalid(_GROUP, _KIND, "", [invalid_value(field, seconds, text)])
        audiences = list(spec.get("audiences") or [self.issuer])
        bound = self._bound(spec.get("boundObjectRef"), metadata["namespace"])
        moment = int(time.time())
        claims: dict[str, Any] = {
            "aud": audiences,
            "exp": moment + seconds,
            "iat": moment,
            "nbf": moment,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "sub": f"{ACCOUNT_PREFIX}{metadata['namespace']}:{metadata['name']}",
            "kubernetes.io": {
                "namespace": metadata["namespace"],
                "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
                **bound,
            },
        }
        expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment + seconds))
        return {
            "kind": _KIND,
            "apiVersion": f"{_GROUP}/v1",
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "creationTimestamp": now(),
            },
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": {
                "token": encode_jwt(claims, self._key, kid=self._kid),
                "expirationTimestamp": expiry,
            },
        }

    def authenticate(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        """Return whom *token* belongs to, or None if it is none of ours or no longer good.

        Args:
            token: The token as it was sent.
            audiences: One of these it must be for.
        """
        try:
            claims = decode_jwt(
                token,
                {self._kid: self._key.public_key()},
                issuer=self.issuer,
                audience=list(audiences),
                required=("aud", "exp", "iss", "sub", "kubernetes.io"),
            )
        except AuthenticationError:
            return None
        private = claims["kubernetes.io"]
        account = private["serviceaccount"]
        namespace, name = private["namespace"], account["name"]
        stored = self._store.get(ACCOUNTS, namespace, name)
        if stored is None or stored["metadata"]["uid"] != account["uid"]:
            return None
        secret = private.get("secret")
        if secret is not None:
            kept = self._store.get(SECRETS, namespace, secret["name"])
            if kept is None or kept["metadata"]["uid"] != secret["uid"]:
                return None
        given = claims["aud"]
        listed = [given] if isinstance(given, str) else given
        return Authenticated(
            account_user(namespace, name, account["uid"], claims.get("jti", "")),
            tuple(one for one in audiences if one in listed),
        )

    def _bound(self, reference: dict[str, Any] | None, namespace: str) -> dict[str, Any]:
        if not reference:
            return {}
        kind, name = reference.get("kind"), reference.get("name", "")
        if kind != "Secret":
            version = reference.get("apiVersion") or ""
            shown = version if "/" in version else f"/{version}"
            raise bad_request(f"cannot bind token to object of type {shown}, Kind={kind}")
        secret = self._store.get(SECRETS, namespace, name)
        if secret is None:
            raise not_found("", "secrets", name)
        uid = secret["metadata"]["uid"]
        if reference.get("uid") not in (None, "", uid):
            raise ApiError(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on secrets "{name}": the UID in the bound object'
                f" reference ({reference['uid']}) does not match the UID in record",
            )
        return {"secret": {"name": name, "uid": uid}}


def account_user(namespace: str, name: str, uid: str = "", token_id: str = "") -> User:
    """Return the user that a ServiceAccount acts as."""
    return User(
        f"{ACCOUNT_PREFIX}{namespace}:{name}",
        uid,
        account_groups(namespace),
        {CREDENTIAL_ID: (f"JTI={token_id}",)} if token_id else {},
    )


def account_groups(namespace: str) -> tuple[str, ...]:
    """Return the groups of every ServiceAccount of *namespace*."""
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
