"""In which organisations somebody has which role, as their `spec` says.

Only one's own roles are told, so nothing that the asker could not find out. All organisations are
read for it, but at most once in a few seconds for everybody together, whoever asks how often.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from sealoshub.imagehub import subjects
from sealoshub.imagehub.names import GROUP, VERSION
from sealoshub.imagehub.rights import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sealoshub.authplugin import Identity
    from sealoshub.authserver.exchange import Proved
    from sealoshub.kube.review import ApiServer

FRESH_SECONDS: Final = 10.0  # so old may an answer be

_PATH: Final = f"/apis/{GROUP}/{VERSION}/organizations"


class Memberships:
    """The roles of everybody; a class because all callers share what was read.

    Args:
        api: Where the organisations are.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, api: ApiServer, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._lock = asyncio.Lock()
        self._read: tuple[float, list[dict[str, Any]]] | None = None

    async def of(self, proved: Proved) -> list[dict[str, object]] | None:
        """Return `{"name", "role"}` of each organisation; None to a token with scopes of its own.

        Raises:
            NotFoundError: The cluster has no organisations at all.
            UnavailableError: They cannot be read now.
        """
        if proved.login is not None and proved.login.scopes is not None:
            return None
        if proved.identity.is_anonymous:
            return []
        found = roles(await self._organizations(), proved.identity)
        return [{"name": name, "role": str(role)} for name, role in found]

    async def _organizations(self) -> list[dict[str, Any]]:
        async with self._lock:
            now = self._clock()
            if self._read is None or now - self._read[0] > FRESH_SECONDS:
                self._read = (now, (await self._api.list(_PATH))[0])
            return self._read[1]


def roles(organizations: Sequence[Mapping[str, Any]], identity: Identity) -> list[tuple[str, Role]]:
    """Return the name and the strongest role of each organisation *identity* has one in, sorted.

    Args:
        organizations: The resources.
        identity: By name or by any of its groups.
    """
    # A ServiceAccount is a User of its long name too, as RBAC sees it.
    mine = {subjects.of_user(identity.name), subjects.Subject("User", "", identity.name)}
    mine |= {subjects.Subject("Group", "", group) for group in identity.groups}
    found: list[tuple[str, Role]] = []
    for organization in organizations:
        spec = organization.get("spec")
        name = (organization.get("metadata") or {}).get("name")
        if not isinstance(spec, dict) or not isinstance(name, str):
            continue
        held = subjects.of_organization(spec).subjects
        strongest = [role for role in Role if not mine.isdisjoint(held.get(role, ()))][-1:]
        found += [(name, role) for role in strongest]
    return sorted(found)
