"""Keep a little of every object of one kind, by list and watch, so that a decision asks nobody."""

from __future__ import annotations

import asyncio
import logging
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from sealoshub.errors import NotFoundError, SealosHubError
from sealoshub.imagehub.names import GROUP, VERSION
from sealoshub.kube import GoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealoshub.kube.review import ApiServer

T = TypeVar("T")

WATCH_SECONDS: Final = 20  # one watch; its end proves that the server is alive
SHORTEST_WATCH: Final = 1.0  # seconds
FRESH_SECONDS: Final = 45.0  # how long a silent server is believed: a watch, its retry, some slack
AT_ONCE: Final = 100  # objects of a list, then whoever asks for a token has his turn
RETRY_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)  # after failures in a row

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How long one watch lasts, and how long its silence is believed.

    Args:
        watch: Seconds of one watch.
        fresh: Seconds after the last proof that what is kept is true.
    """

    watch: int = WATCH_SECONDS
    fresh: float = FRESH_SECONDS


_USUAL: Final = Rhythm()


class Watched(Generic[T]):
    """What is kept of the objects of one kind, kept true by list and watch.

    It is a class because the copy and the task that keeps it belong together. A subclass says what
    it keeps; most objects are worth nothing, so that 100,000 of them cost little.

    Args:
        api: The API server.
        clock: Monotonic time in seconds.
        plural: The kind, as it stands in paths: `repositories`.
        subject: What is not known while the watch fails, in words.
        namespace: Where the objects are; empty for a kind of the whole cluster.
        rhythm: Of the watches.
    """

    def __init__(  # noqa: PLR0913  # what is watched, and how
        self,
        api: ApiServer,
        clock: Callable[[], float],
        plural: str,
        subject: str,
        *,
        namespace: str = "",
        rhythm: Rhythm = _USUAL,
    ) -> None:
        self._api = api
        self._clock = clock
        self._what = plural
        within = f"namespaces/{namespace}/" if namespace else ""
        self._path = f"/apis/{GROUP}/{VERSION}/{within}{plural}"
        self._rhythm = rhythm
        self._kept: dict[str, T] = {}  # by the name of the object
        self._version = ""
        self._proved = float("-inf")
        self._failure = f"{subject} are not known yet"
        self._task: asyncio.Task[None] | None = None

    def keep(self, item: dict[str, Any], key: str) -> T | None:
        """Return what is kept of *item*, whose name is *key*; None if it is worth nothing."""
        raise NotImplementedError

    def has_room(self, kept: Mapping[str, T]) -> bool:
        """Tell whether one more object may be kept beside *kept*."""
        del kept
        return True

    def heard(self) -> None:
        """Take note that the server spoke: all that it said is known, up to the last version."""
        self._proved = self._clock()

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
        """Return why it is not known now; None if it is known."""
        return None if self._clock() - self._proved <= self._rhythm.fresh else self._failure

    def unread(self) -> str | None:
        """Return why it never was known; None if it was, however long ago."""
        return self._failure if self._proved == float("-inf") else None

    def __len__(self) -> int:
        return len(self._kept)

    def replace(self, found: dict[str, T]) -> None:
        """Keep *found* and nothing else."""
        self._kept = found

    def put(self, key: str, value: T | None) -> None:
        """Keep *value* of the object *key*, or nothing."""
        if value is None:
            self._kept.pop(key, None)
        elif key in self._kept or self.has_room(self._kept):
            self._kept[key] = value

    def take(self, kind: str, item: dict[str, Any]) -> None:
        """Take note of an event of the type *kind* about *item*."""
        key = name_of(item)
        self.put(key, None if kind == "DELETED" else self.keep(item, key))

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except GoneError:
                self._version = ""
                await asyncio.sleep(RETRY_SECONDS[0])  # a list is much to ask for again and again
            except Exception as exc:  # noqa: BLE001  # a defect with one object must not end the watch
                message = _message(exc)
                if failures == 0:
                    _log.warning("cannot watch %s: %s", self._what, message)
                self._failure = f"cannot watch {self._what}: {message.partition(chr(10))[0]}"
                # A list is the remedy for whatever a watch stumbled over.
                self._version = self._version if failures == 0 else ""
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
            else:
                if failures:
                    _log.info("watching %s again", self._what)
                failures = 0

    async def _list(self) -> None:
        asked = self._clock()
        found: dict[str, T] = {}
        version = ""
        async for items, version in self._api.pages(self._path):  # noqa: B007  # the last is kept
            for number, item in enumerate(items, 1):
                key = name_of(item)
                value = self.keep(item, key)
                if value is not None and self.has_room(found):
                    found[key] = value
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
        self.replace(found)
        self._version, self._proved = version, asked

    async def _watch(self) -> None:
        began = self._clock()
        async for kind, item in self._api.watch(
            self._path, resource_version=self._version, seconds=self._rhythm.watch
        ):
            if kind != "BOOKMARK":
                self.take(kind, item)
            version = _metadata(item).get("resourceVersion")
            if version:
                self._version = str(version)
            self.heard()
        self.heard()
        if self._clock() - began < SHORTEST_WATCH:
            await asyncio.sleep(SHORTEST_WATCH)  # a server that ends watches at once is not hurried

    async def look(self, key: str) -> None:
        """Read one object instead of all of them.

        Args:
            key: Its name, which is one.

        Raises:
            UnavailableError: The API server does not answer.
        """
        try:
            item = await self._api.get(f"{self._path}/{key}")
        except NotFoundError:
            self.put(key, None)
        else:
            self.put(key, self.keep(item, key))


def _message(exc: Exception) -> str:
    """Return what went wrong; of a defect where, and not its text, which may quote anything."""
    if isinstance(exc, SealosHubError):
        return exc.message
    frames = "".join(traceback.format_tb(exc.__traceback__))
    return f"a defect ({type(exc).__name__})\n{frames}"


def name_of(item: dict[str, Any]) -> str:
    """Return the name of an object; empty if it has none."""
    return str(_metadata(item).get("name") or "")


def _metadata(item: dict[str, Any]) -> dict[str, Any]:
    metadata = item.get("metadata")
    return metadata if isinstance(metadata, dict) else {}
