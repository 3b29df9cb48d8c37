"""Know which organisations have no room left, so that a push to them gets no token.

A quota is no right: while the API server is silent, the last that was known of it goes on to hold.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealoshub.authplugin.cache import Cache
from sealoshub.authplugin.watched import Watched
from sealoshub.errors import NotFoundError
from sealoshub.imagehub.limits import Quota, Usage
from sealoshub.imagehub.names import GROUP, VERSION, object_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.kube.review import ApiServer

EXISTS_SECONDS: Final = 60.0  # a repository that was there most likely still is
MISSING_SECONDS: Final = 2.0  # somebody waits for the one that is being made
REPOSITORIES: Final = 10_000  # of organisations that take no new ones


@dataclass(frozen=True, slots=True)
class Limit:
    """What an organisation without room refuses.

    Args:
        over: Why it takes no push at all; empty if it does.
        full: Why it takes no push to a repository that is not there yet; empty if it does.
    """

    over: str
    full: str


class Quotas(Watched[Limit]):
    """The organisations that are over their quota, or can have no further repository.

    Args:
        api: The API server.
        clock: Monotonic time in seconds.
    """

    def __init__(self, api: ApiServer, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(api, clock, "organizations", "quotas")
        self._exists: Cache[bool] = Cache(REPOSITORIES, clock)

    def keep(self, item: dict[str, Any], key: str) -> Limit | None:
        """Return what the organisation *item* refuses, as its controller says."""
        spec, status = item.get("spec") or {}, item.get("status") or {}
        quota = Quota.read(spec)
        if not quota.is_set:
            return None
        over = full = ""
        for condition in status.get("conditions") or ():
            if condition.get("type") == "WithinQuota" and condition.get("status") == "False":
                over = f"{key} is over its quota: {condition.get('message') or 'full'}"
        count = status.get("repoCount")
        repositories = count if isinstance(count, int) else 0
        if quota.takes_no_repository(Usage(repositories)):
            used = f"repositories {repositories} of {quota.repositories}"
            full = f"{key} can have no further repository by its quota: {used}"
        return Limit(over, full) if over or full else None

    def limit(self, repository: str) -> Limit | None:
        """Return what the organisation of `org/repo` refuses; None if it has room."""
        return self._kept.get(repository.partition("/")[0]) if self._kept else None

    async def refusal(self, repository: str) -> str:
        """Return why nobody may push to `org/repo` now; empty if there is room.

        Raises:
            UnavailableError: The API server does not answer.
        """
        limit = self.limit(repository)
        if limit is None or limit.over or await self._is_there(repository):
            return limit.over if limit is not None else ""
        return limit.full

    async def _is_there(self, repository: str) -> bool:
        async def ask() -> tuple[bool, float]:
            path = f"/apis/{GROUP}/{VERSION}/repositories/{object_name(repository)}"
            try:
                await self._api.get(path)
            except NotFoundError:
                return False, MISSING_SECONDS
            return True, EXISTS_SECONDS

        return await self._exists.ask(repository, ask)
