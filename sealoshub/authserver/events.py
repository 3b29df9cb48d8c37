"""Notifications of registries: what they say changed, told to whoever keeps the resources true.

A notification is a hint and never a fact: only the name of the repository is taken from it, and
whoever hears of it asks the registry. So a replayed, reordered or invented notification changes
nothing but when somebody looks (distribution, "Notifications").
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections import OrderedDict
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError
from sealoshub.imagehub.names import GROUP, object_name, split_repository
from sealoshub.kube import ConflictError
from sealoshub.kube.watchedfile import WatchedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sealoshub.kube.review import ApiServer

MAX_BODY: Final = 1024 * 1024  # bytes of one envelope; registries send one event in each
QUEUED: Final = 10_000  # repositories that wait; when it is full the registry has to keep its own
RETRY_SECONDS: Final = (0.2, 1.0, 5.0, 15.0)  # after failures in a row
CONTENT_LABEL: Final = f"{GROUP}/content"
REPOSITORY_ANNOTATION: Final = f"{GROUP}/repository"
MAX_OBJECT_NAME: Final = 253

_CHANGES: Final = frozenset({"push", "delete", "mount"})
_BLOB: Final = "application/octet-stream"  # the media type of a blob; manifests have their own

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Who is told that a repository's content may have changed."""

    async def changed(self, repository: str) -> None:
        """Take note, durably; called again for the same repository it must do no harm.

        Raises:
            SealosHubError: Not now; it is tried again.
        """


class LeaseSink:
    """Leave a Lease for each changed repository in the hub's namespace, for the controller.

    A Lease is the smallest durable object that every cluster has. Its `renewTime` moves with each
    notification, so that one that comes while the controller is looking is not lost.

    Args:
        api: The API server.
        namespace: The hub's.
        now: Wall-clock time.
    """

    def __init__(
        self,
        api: ApiServer,
        namespace: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._now = now

    async def changed(self, repository: str) -> None:
        """Make the Lease, or renew it.

        Raises:
            SealosHubError: The API server does not take it.
        """
        name = lease_name(repository)
        moment = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": "registry", "renewTime": moment}
        try:
            await self._api.patch(f"{self._path}/{name}", {"spec": spec})
        except NotFoundError:
            metadata = {
                "name": name,
                "labels": {CONTENT_LABEL: "changed"},
                "annotations": {REPOSITORY_ANNOTATION: repository},
            }
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": metadata,
                "spec": spec,
            }
            with suppress(ConflictError):  # another worker was faster, a moment ago
                await self._api.create(self._path, body)


class Events:
    """The queue between the registries and a sink: each repository waits in it once.

    Args:
        token_file: The bearer token that registries send; read again when it changes.
        sink: Is told of the changes.
        count: Is told `accepted`, `ignored` or `dropped` for every notification.
    """

    def __init__(
        self, token_file: Path, sink: Sink, count: Callable[[str], None] = lambda _result: None
    ) -> None:
        self._token = WatchedFile(token_file)
        self._sink = sink
        self._count = count
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        """Begin to tell the sink."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Try once to tell what waits, and end."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(SealosHubError):
            while self._waiting:
                await self._tell()

    def allows(self, bearer: str) -> bool:
        """Tell whether *bearer* is the token that registries send.

        Raises:
            UnavailableError: The token cannot be read.
        """
        content, _ = self._token.read(time.monotonic())
        wanted = content.strip()
        return bool(wanted) and hmac.compare_digest(bearer.encode(), wanted)

    def take(self, body: bytes) -> bool:
        """Queue what an envelope says; False if there is no room, so that it must come again.

        Raises:
            InvalidInputError: It is no envelope of notifications.
        """
        full = False
        for event in _events(body):
            repository = changed_repository(event)
            if repository is None:
                self._count("ignored")
            elif repository in self._waiting or len(self._waiting) < QUEUED:
                self._waiting[repository] = None
                self._count("accepted")
            else:
                full = True
                self._count("dropped")
        self._more.set()
        return not full

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._more.wait()
            try:
                while self._waiting:
                    await self._tell()
                    failures = 0
                self._more.clear()
            except SealosHubError as exc:
                if failures == 0:
                    _log.warning("changes of repositories are kept back: %s", exc.message)
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    async def _tell(self) -> None:
        repository, _ = self._waiting.popitem(last=False)
        try:
            await self._sink.changed(repository)
        except InvalidInputError as exc:
            _log.error("a change of %s is not kept: %s", repository, exc.message)
        except BaseException:
            self._waiting[repository] = None
            raise


def lease_name(repository: str) -> str:
    """Return the name of the Lease that says that *repository* changed."""
    name = f"content.{object_name(repository)}"
    if len(name) <= MAX_OBJECT_NAME:
        return name
    return f"content.{hashlib.sha256(repository.encode()).hexdigest()}"


def changed_repository(event: Mapping[str, Any]) -> str | None:
    """Return the repository whose tags or manifests an event says have changed; None if none.

    Pulls change nothing, nor does a blob before a manifest names it.
    """
    target = event.get("target")
    if str(event.get("action")) not in _CHANGES or not isinstance(target, dict):
        return None
    name = target.get("repository")
    if target.get("mediaType") == _BLOB or not isinstance(name, str):
        return None
    try:
        split_repository(name)
    except InvalidInputError:
        return None
    return name


def _events(body: bytes) -> list[dict[str, Any]]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInputError("the body is not JSON") from None
    found = content.get("events") if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(event, dict) for event in found):
        raise InvalidInputError("the body is no envelope of notifications")
    return found
