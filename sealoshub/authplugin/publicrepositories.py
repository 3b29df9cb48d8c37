"""Know which repositories are public, so that a public pull asks nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealoshub.authplugin.watched import FRESH_SECONDS, Watched
from sealoshub.imagehub.names import object_name, split_repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.kube.review import ApiServer

__all__ = ["FRESH_SECONDS", "LookedUp", "PublicRepositories"]


class PublicRepositories(Watched[str]):
    """The names of all public repositories.

    Only names are kept: 100,000 repositories cost some ten MB, whatever their objects carry.

    Args:
        api: The API server.
        clock: Monotonic time in seconds.
    """

    def __init__(self, api: ApiServer, clock: Callable[[], float]) -> None:
        super().__init__(api, clock, "repositories", "public repositories")
        self._names: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def keep(self, item: dict[str, Any], key: str) -> str | None:
        """Return the repository that *item* makes public, if it does.

        `spec.name` decides, and only in the object that has the canonical name of it: otherwise an
        object `victim.app` with the `spec.name` of somebody else would speak for `victim/app`, or
        two objects would disagree about one repository. `isPrivate` must be there and false.
        """
        spec = item.get("spec")
        if not isinstance(spec, dict) or spec.get("isPrivate") is not False:
            return None
        name = spec.get("name")
        if not isinstance(name, str) or not name or object_name(name) != key:
            return None
        return name

    def replace(self, found: dict[str, str]) -> None:
        """Keep *found* and nothing else."""
        super().replace(found)
        self._names = set(found.values())

    def put(self, key: str, value: str | None) -> None:
        """Keep that *value* is public, or nothing."""
        self._names.discard(self._kept.get(key, ""))
        super().put(key, value)
        if value is not None:
            self._names.add(value)


class LookedUp(PublicRepositories):
    """Public repositories that are looked up one by one, for a process that asks about few."""

    def start(self) -> None:
        """Watch nothing."""

    def unknown(self) -> str | None:
        """Return None: whoever asks has looked, or knows that he could not."""
        return None

    async def look_up(self, name: str) -> None:
        """Find out whether *name* is public.

        Raises:
            InvalidInputError: It is no name of a repository.
            UnavailableError: The API server does not answer.
        """
        split_repository(name)  # what is no name must not become a path
        await self.look(object_name(name))
