"""Tokens that die with a Secret: which one it is, and whether it is still there.

A ServiceAccount's token from before Kubernetes 1.24 has no end of its own: it is good until the
Secret that keeps it is deleted. A token may also be bound to a Secret by TokenRequest. The right to
read Secrets is more than a token server needs, so it is optional, for each namespace or for all:
where it is missing, a Secret has no UID here, and a login that hangs on it is kept short.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sealoshub.authplugin import CredentialsRejected, KeptIn
from sealoshub.authplugin.cache import Cache
from sealoshub.errors import DeniedError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealoshub.kube.review import ApiServer

SECRET_SECONDS: Final = 60.0  # a deleted Secret ends its logins within this time
NEGATIVE_SECONDS: Final = 5.0
SECRETS: Final = 20_000

_LEGACY: Final = "kubernetes.io/serviceaccount/secret.name"
# What the API server takes as the name of a Secret; it becomes part of a path.
_OBJECT_NAME: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


class Secrets:
    """What is known about the Secrets that tokens die with; their content is never asked for.

    Args:
        api: The API server.
        clock: Monotonic time in seconds.
    """

    def __init__(self, api: ApiServer, clock: Callable[[], float]) -> None:
        self._api = api
        self._known: Cache[bool] = Cache(SECRETS, clock)

    async def behind(self, claims: Mapping[str, object], namespace: str) -> KeptIn | None:
        """Return the Secret that a token dies with; None if there is none.

        Args:
            claims: Of a token that the API server took for one of a ServiceAccount.
            namespace: That of the ServiceAccount.

        Raises:
            CredentialsRejected: The Secret is gone; the API server takes the token for seconds yet.
            UnavailableError: The API server does not answer.
        """
        name = _name(claims)
        if not name or not namespace:
            return None
        try:
            uid = await self._uid(KeptIn(namespace, name))
        except DeniedError:
            return KeptIn(namespace, name)
        except NotFoundError:
            uid = ""
        if not uid:
            raise CredentialsRejected(
                "the Secret that kept this token is gone", hint="Make a new token."
            )
        return KeptIn(namespace, name, uid)

    async def keeps(self, kept: KeptIn) -> bool:
        """Tell whether the Secret is the one of then; also true for one that has no UID here.

        If the right to look was taken away, it is not known to be.

        Raises:
            UnavailableError: The API server does not answer.
        """
        if not kept.uid:
            return True

        async def ask() -> tuple[bool, float]:
            try:
                same = await self._uid(kept) == kept.uid
            except (NotFoundError, DeniedError):
                same = False
            return same, SECRET_SECONDS if same else NEGATIVE_SECONDS

        return await self._known.ask(kept, ask)

    def recall(self, kept: KeptIn) -> bool | None:
        """Return what :meth:`keeps` would, if that is known without asking; else None."""
        return self._known.get(kept) if kept.uid else True

    async def _uid(self, kept: KeptIn) -> str:
        """Return the UID of the Secret of that name; nothing if it is being deleted.

        Raises:
            NotFoundError: There is none.
            DeniedError: The token server may not look.
            UnavailableError: The API server does not answer.
        """
        path = f"/api/v1/namespaces/{kept.namespace}/secrets/{kept.name}"
        metadata = await self._api.metadata(path)
        return "" if metadata.get("deletionTimestamp") else str(metadata.get("uid") or "")


def _name(claims: Mapping[str, object]) -> str:
    """Return the name of the Secret in *claims*: of a token kept in it, or bound to it."""
    name = claims.get(_LEGACY)
    bound = claims.get("kubernetes.io")
    if name is None and isinstance(bound, dict) and isinstance(bound.get("secret"), dict):
        name = bound["secret"].get("name")
    return name if isinstance(name, str) and _OBJECT_NAME.fullmatch(name) else ""
