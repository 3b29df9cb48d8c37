"""Recognise client certificates by the cluster's own CA, as every aggregated API server does.

The API server publishes its client CAs in a ConfigMap. That alone is not enough to believe a
certificate: the ConfigMap keeps the CAs of before until they expire
(`combinedClusterAuthenticationInfo` in `pkg/controlplane/controller/clusterauthenticationtrust`),
and API servers differ in what they say about a user. So the API server teaches. A certificate goes
through a TLS handshake with it, and only if the answer is exactly what we read in that certificate,
others of the same CA and of the same algorithms are recognised here, for a few minutes. Whatever is
not recognised goes the way of the handshake as well, which alone can reject somebody.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealoshub.authplugin.certificaterules import Claim, Issuer, claim_of, issuers
from sealoshub.errors import SealosHubError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from sealoshub.authplugin.certificate import ClientCertificate
    from sealoshub.kube import UserInfo
    from sealoshub.kube.review import ApiServer

CONFIG_MAP: Final = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
KEY: Final = "client-ca-file"
BUNDLE_SECONDS: Final = 60.0  # Kubernetes itself reads its CA files once a minute
RETRY_SECONDS: Final = 10.0  # after an answer without a CA
# As long as an access token lives: a CA that the API server no longer trusts is good for as long.
TAUGHT_SECONDS: Final = 300.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Bundle:
    """The usable client CAs by their encoded names, and why there is none."""

    issuers: Mapping[bytes, tuple[Issuer, ...]]
    missing: str = ""


@dataclass(slots=True)
class _Lessons:
    """What the API server taught about one CA; times are those of the monotonic clock.

    Args:
        mistrusted_until: Until then nothing of this CA is taught.
        taught: Of each kind of certificate: until when it is recognised, and whether the API
            server names the credential.
    """

    mistrusted_until: float = float("-inf")
    taught: dict[str, tuple[float, bool]] = field(default_factory=dict)


class ClientAuthority:
    """The client CAs of the cluster, and what the API server taught about them.

    It is a class because both are kept for minutes. Nothing here waits: while the CAs are not
    known, nobody is recognised, and they are being read.

    Args:
        api: The API server.
        clock: Monotonic time in seconds.
    """

    def __init__(self, api: ApiServer, clock: Callable[[], float]) -> None:
        self._api = api
        self._clock = clock
        self._bundle = _Bundle({}, "not read yet")
        self._known_until = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._lessons: dict[bytes, _Lessons] = {}  # by the fingerprint of the CA
        self._generation = -1  # of the CA by which we know the API server

    def user(self, sent: ClientCertificate, now: datetime) -> UserInfo | None:
        """Return whose certificate it is, None if the API server has to say so.

        Args:
            sent: A certificate in date, with the proof that the sender has its key.
            now: Wall-clock time.
        """
        for claim, issuer in self._said(sent):
            lessons = self._lessons.get(issuer.fingerprint)
            if lessons is None:
                continue
            until, with_id = lessons.taught.get(claim.kind, (float("-inf"), False))
            if self._clock() < until and issuer.has_issued(sent.chain[0], now):
                return claim.user(with_id=with_id)
        return None

    def learn(self, sent: ClientCertificate, user: UserInfo | None, now: datetime) -> None:
        """Note what the API server said about a certificate.

        Args:
            sent: The certificate.
            user: Whose it is; None if it is not accepted.
            now: Wall-clock time.
        """
        for claim, issuer in self._said(sent):
            if not issuer.has_issued(sent.chain[0], now):
                continue
            lessons = self._lessons.setdefault(issuer.fingerprint, _Lessons())
            if self._clock() < lessons.mistrusted_until:
                continue
            if user is None:
                # Perhaps the CA is not trusted any more: every kind has to be taught again.
                lessons.taught.clear()
            elif user in (claim.user(with_id=True), claim.user(with_id=False)):
                taught = self._clock() + TAUGHT_SECONDS, bool(user.extra)
                lessons.taught[claim.kind] = taught
            else:
                lessons.mistrusted_until = self._clock() + TAUGHT_SECONDS
                lessons.taught.clear()
                _log.warning(
                    "the API server says something else about %r than its certificate does:"
                    " certificates of this CA are not recognised here",
                    claim.name,
                )

    def _said(self, sent: ClientCertificate) -> Iterator[tuple[Claim, Issuer]]:
        """Yield what a certificate says, and a CA that may have signed it; nothing if unusual."""
        leaf = sent.chain[0]
        if len(sent.chain) == 1 and self._is_read():
            claim = claim_of(leaf) if self._bundle.issuers else None
            if claim is not None:
                for issuer in self._bundle.issuers.get(claim.issuer, ()):
                    yield claim, issuer

    def _is_read(self) -> bool:
        """Tell whether the CAs are known now; else begin to read them."""
        generation = self._api.ca_generation
        if generation != self._generation:  # another API server, perhaps
            self._generation = generation
            self._known_until = float("-inf")
            self._lessons.clear()
        if self._clock() < self._known_until:
            return True
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read(generation))
        return False

    async def _read(self, generation: int) -> None:
        try:
            bundle = _usable(await self._api.get(CONFIG_MAP))
        except SealosHubError as exc:
            bundle = _Bundle({}, exc.message)  # also if the token server may not read it
        if generation != self._generation:
            return
        known = {one.fingerprint for found in bundle.issuers.values() for one in found}
        self._lessons = {
            key: kept
            for key, kept in self._lessons.items()
            if key in known or self._clock() < kept.mistrusted_until
        }
        if bundle.missing != self._bundle.missing:
            _log.info("client CAs of the cluster: %s", bundle.missing or f"{len(known)} usable")
        self._bundle = bundle
        self._known_until = self._clock() + (RETRY_SECONDS if bundle.missing else BUNDLE_SECONDS)


def _usable(config_map: Mapping[str, object]) -> _Bundle:
    data = config_map.get("data")
    text = data.get(KEY) if isinstance(data, dict) else None
    if not isinstance(text, str) or not text:
        return _Bundle({}, "the API server has none")
    try:
        found = issuers(text.encode("utf-8", "replace"))
    except ValueError:
        return _Bundle({}, "they cannot be read")
    return _Bundle(found) if found else _Bundle({}, "none of them is usable here")
