"""Know which repositories are public, from a watch, so that a public pull asks nobody."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import NotFoundError, SealosHubError
from sealoshub.imagehub.names import GROUP, VERSION, object_name, split_repository
from sealoshub.kube import GoneError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.kube.review import ApiServer

PATH: Final = f"/apis/{GROUP}/{VERSION}/repositories"
WATCH_SECONDS: Final = 20  # one watch; its end proves that the server is alive
SHORTEST_WATCH: Final = 1.0  # seconds
FRESH_SECONDS: Final = 45.0  # how long a silent server is believed: a watch, its retry, some slack
RETRY_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)  # after failures in a row

_log = logging.getLogger(__name__)


class PublicRepositories:
    """The names of all public repositories, kept true by list and watch.

    Only names are kept: 100,000 repositories cost some ten MB, whatever their objects carry.

    Args:
        api: The API server.
        clock: Monotonic time in seconds.
    """

    def __init__(self, api: ApiServer, clock: Callable[[], float]) -> None:
        self._api = api
        self._clock = clock
        self._names: set[str] = set()
        self._by_object: dict[str, str] = {}
        self._version = ""
        self._proved = float("-inf")
        self._failure = "public repositories are not known yet"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End the watch."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def unknown(self) -> str | None:
        """Return why it is not known now what is public; None if it is known."""
        return None if self._clock() - self._proved <= FRESH_SECONDS else self._failure

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except GoneError:
                self._version = ""
            except SealosHubError as exc:
                if failures == 0:
                    _log.warning("cannot watch repositories: %s", exc.message)
                self._failure = f"cannot watch repositories: {exc.message}"
                # A list is the remedy for whatever a watch stumbled over.
                self._version = self._version if failures == 0 else ""
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
            else:
                if failures:
                    _log.info("watching repositories again")
                failures = 0

    async def _list(self) -> None:
        asked = self._clock()
        items, version = await self._api.list(PATH)
        found = ((key, _public(item, key)) for key, item in ((_id(item), item) for item in items))
        self._by_object = {key: name for key, name in found if name is not None}
        self._names = set(self._by_object.values())
        self._version, self._proved = version, asked

    async def _watch(self) -> None:
        began = self._clock()
        async for kind, item in self._api.watch(
            PATH, resource_version=self._version, seconds=WATCH_SECONDS
        ):
            if kind != "BOOKMARK":
                self._apply(kind, item)
            version = (item.get("metadata") or {}).get("resourceVersion")
            if version:
                self._version = str(version)
            self._proved = self._clock()
        self._proved = self._clock()
        if self._proved - began < SHORTEST_WATCH:
            await asyncio.sleep(SHORTEST_WATCH)  # a server that ends watches at once is not hurried

    def _apply(self, kind: str, item: dict[str, Any]) -> None:
        key = _id(item)
        before = self._by_object.pop(key, None)
        if before is not None:
            self._names.discard(before)
        name = None if kind == "DELETED" else _public(item, key)
        if name is not None:
            self._by_object[key] = name
            self._names.add(name)


class LookedUp(PublicRepositories):
    """Public repositories that are looked up one by one, for a process that asks about few.

    Args:
        api: The API server.
        clock: Monotonic time in seconds.
    """

    def start(self) -> None:
        """Watch nothing."""

    def unknown(self) -> str | None:
        """Return None: whoever asks has looked, or knows that he could not."""
        return None

    async def look(self, name: str) -> None:
        """Find out whether *name* is public.

        Raises:
            InvalidInputError: It is no name of a repository.
            UnavailableError: The API server does not answer.
        """
        split_repository(name)  # what is no name must not become a path
        key = object_name(name)
        try:
            item = await self._api.get(f"{PATH}/{key}")
        except NotFoundError:
            item = {}
        self._apply("MODIFIED" if item else "DELETED", item or {"metadata": {"name": key}})


def _id(item: dict[str, Any]) -> str:
    return str((item.get("metadata") or {}).get("name") or "")


def _public(item: dict[str, Any], key: str) -> str | None:
    """Return the repository that *item* makes public, if it does.

    `spec.name` decides, and only in the object that has the canonical name of it: otherwise an
    object `victim.app` with the `spec.name` of somebody else would speak for `victim/app`, or two
    objects would disagree about one repository. `isPrivate` must be there and false.
    """
    spec = item.get("spec")
    if not isinstance(spec, dict) or spec.get("isPrivate") is not False:
        return None
    name = spec.get("name")
    if not isinstance(name, str) or not name or object_name(name) != key:
        return None
    return name
