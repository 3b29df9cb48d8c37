"""Let the API server say who sent a token or a client certificate."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sealoshub.authplugin import CredentialsRejected, Identity, identity_of
from sealoshub.authplugin import certificate as certificates
from sealoshub.authplugin.cache import Cache, SecretKeys
from sealoshub.authplugin.certificaterules import CREDENTIAL_ID
from sealoshub.authplugin.clientca import ClientAuthority
from sealoshub.authplugin.kubeconfig import CertificatePair, credential_in, text_of
from sealoshub.errors import AuthenticationError, DeniedError, NotFoundError
from sealoshub.kube.account import service_account
from sealoshub.secret import Secret

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from sealoshub.authplugin.keptin import Secrets
    from sealoshub.kube import UserInfo
    from sealoshub.kube.review import ApiServer

CONTEXTS: Final = 256  # TLS contexts of recently seen certificates, some 30 kB each
CONTEXT_SECONDS: Final = 300.0
HANDSHAKES: Final = 8  # at once: each costs this process a signature

_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Options:
    """Which credentials are accepted.

    Args:
        audiences: Audiences that tokens for the hub carry.
        require_audience: Refuse tokens that are good for the API server itself.
        client_certificates: Accept client certificates.
        recognise: Recognise certificates of a CA of which others were seen before.
    """

    audiences: tuple[str, ...]
    require_audience: bool = False
    client_certificates: bool = True
    recognise: bool = True


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A password that is a JSON web token."""

    token: Secret


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """A password that is a kubeconfig, not parsed yet."""

    text: Secret


class IdentityReviews:
    """Reviews of the API server, and the TLS contexts that certificates need for them.

    Args:
        api: The API server.
        options: Which credentials are accepted.
        secrets: Finds what tokens die with.
        clock: Monotonic time in seconds.
        now: Wall-clock time.
    """

    def __init__(
        self,
        api: ApiServer,
        options: Options,
        secrets: Secrets,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._options = options
        self._secrets = secrets
        self._now = now
        self._keys = SecretKeys()
        self._authority = ClientAuthority(api, clock) if options.recognise else None
        self._contexts: Cache[ssl.SSLContext] = Cache(CONTEXTS, clock)
        self._handshakes = asyncio.Semaphore(HANDSHAKES)

    @staticmethod
    def shape(secret: Secret) -> BearerToken | Kubeconfig | None:
        """Tell what a password is from its shape alone; None if it is not Kubernetes' business."""
        password = secret.reveal()
        if _JWT.fullmatch(password.strip()):
            return BearerToken(Secret(password.strip()))
        text = text_of(password)
        return None if text is None else Kubeconfig(Secret(text))

    async def review(self, shape: BearerToken | Kubeconfig) -> Identity:
        """Return whose credential it is.

        Raises:
            CredentialsRejected: It is nobody's, or may not be used here.
            UnavailableError: The API server does not answer.
        """
        if isinstance(shape, BearerToken):
            return await self._by_token(shape.token)
        found = credential_in(shape.text.reveal())
        if isinstance(found, CertificatePair):
            return await self._by_certificate(found)
        return await self._by_token(found)

    async def _by_token(self, token: Secret) -> Identity:
        claims = _unverified(token.reveal())
        audiences = _audiences(claims)
        # Only the order of the questions depends on what the token says about itself; a token for
        # the hub is not shown to the API server as if it were meant for it.
        for_hub = bool(audiences & set(self._options.audiences))
        try:
            if for_hub or self._options.require_audience:
                user = await self._for_hub(token)
            else:
                user = await self._for_api_server(token)
        except AuthenticationError as exc:
            raise CredentialsRejected(
                "the Kubernetes token is not accepted: expired, revoked or of another cluster"
                if not self._options.require_audience
                else "the Kubernetes token is not accepted; it must be made for this hub",
                hint="Make a new one, for example with kubectl create token"
                + (f" --audience {self._options.audiences[0]}." if for_hub else "."),
            ) from exc
        # Claims count from here on: the API server has found the token to be a ServiceAccount's.
        namespace = service_account(user.name)[0]
        return identity_of(
            user,
            method="token",
            credential_id=_credential_id(user),
            expires=_expiry(claims),
            kept_in=await self._secrets.behind(claims, namespace),
        )

    async def _for_hub(self, token: Secret) -> UserInfo:
        return (await self._api.token_review(token, self._options.audiences)).user

    async def _for_api_server(self, token: Secret) -> UserInfo:
        try:
            return await self._api.self_subject_review(token)
        except (DeniedError, NotFoundError):
            # Known but not allowed to ask, or an API server before 1.28: then we ask.
            return (await self._api.token_review(token)).user

    async def _by_certificate(self, pair: CertificatePair) -> Identity:
        if not self._options.client_certificates:
            raise CredentialsRejected(
                "client certificates are not accepted here",
                hint=f"Use a token: kubectl create token --audience {self._options.audiences[0]}.",
            )
        now = self._now()
        sent = certificates.read(pair, now)
        user = self._authority.user(sent, now) if self._authority is not None else None
        if user is None:
            async with self._handshakes:
                user = await self._by_handshake(pair, sent)
            if self._authority is not None:
                self._authority.learn(sent, user, now)
        return identity_of(
            user, method="certificate", credential_id=_credential_id(user), expires=sent.not_after
        )

    async def _by_handshake(
        self, pair: CertificatePair, sent: certificates.ClientCertificate
    ) -> UserInfo:
        """Let the API server say whose certificate it is.

        Raises:
            CredentialsRejected: It does not accept it.
            UnavailableError: It does not answer.
        """
        try:
            return await self._api.self_subject_review_by_certificate(self._context(pair, sent))
        except (AuthenticationError, DeniedError) as exc:
            if self._authority is not None and isinstance(exc, AuthenticationError):
                self._authority.learn(sent, None, self._now())
            raise CredentialsRejected(
                "the API server does not accept the client certificate",
                hint="Is the kubeconfig of the cluster that this hub belongs to?",
            ) from exc
        except NotFoundError as exc:
            raise CredentialsRejected(
                "the API server is too old to say whose a client certificate is (before 1.28)",
                hint="Use a token.",
            ) from exc

    def _context(
        self, pair: CertificatePair, sent: certificates.ClientCertificate
    ) -> ssl.SSLContext:
        # The key of the cache contains the private key as well. With the certificate alone, which
        # is no secret, anybody could use the context that its owner left here.
        key = self._keys.of(
            pair.certificate.decode("latin-1"), pair.key.reveal(), str(self._api.ca_generation)
        )
        context = self._contexts.get(key)
        if context is None:
            context = self._api.client_context()
            certificates.load(context, sent)
            self._contexts.put(key, context, CONTEXT_SECONDS)
        return context


def _unverified(token: str) -> dict[str, object]:
    """Return the claims of a token that nobody has verified; for hints and dates only."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError, binascii.Error, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _audiences(claims: dict[str, object]) -> set[str]:
    raw = claims.get("aud")
    found = raw if isinstance(raw, list) else [raw]
    return {item for item in found if isinstance(item, str)}


def _expiry(claims: dict[str, object]) -> datetime | None:
    raw = claims.get("exp")
    try:
        return datetime.fromtimestamp(raw, UTC) if isinstance(raw, int | float) else None
    except (ValueError, OverflowError, OSError):
        return None


def _credential_id(user: UserInfo) -> str:
    return next(iter(user.extra.get(CREDENTIAL_ID, ())), "")
