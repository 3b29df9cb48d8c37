"""Notifications of registries: what they say changed, told to whoever keeps the resources true.

A notification is a hint and no fact: it says where to look, and whoever hears of it asks the
registry. So a replayed, reordered or invented notification changes nothing but when somebody looks
(distribution, "Notifications"). One thing only the registry knows is believed, because it comes
with the registry's own secret: who pushed, which is the `sub` of the token that let him.
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
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError
from sealoshub.imagehub import names
from sealoshub.kube import ConflictError
from sealoshub.kube.watchedfile import WatchedFile
from sealoshub.reference import Digest, is_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sealoshub.kube.review import ApiServer

MAX_BODY: Final = 1024 * 1024  # bytes of one envelope; registries send one event in each
QUEUED: Final = 10_000  # changes that wait; when it is full the registry has to keep its own
TELLERS: Final = 4  # changes told at once, so that a slow API server does not add up
RETRY_SECONDS: Final = (0.2, 1.0, 5.0, 15.0)  # after failures in a row
MAX_ACTOR: Final = 320  # characters, as spec.creator has them

_PUSHES: Final = frozenset({"push", "mount"})
_CHANGES: Final = _PUSHES | {"delete"}
_BLOB: Final = "application/octet-stream"  # the media type of a blob; manifests have their own
_NOBODY: Final = frozenset({"", "system:anonymous", "system:unauthenticated"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What changed in a registry.

    Args:
        repository: `org/repo`.
        target: The tag; the digest of a manifest that was deleted; empty: anything.
    """

    repository: str
    target: str


@dataclass(frozen=True, slots=True)
class Push:
    """What a registry says of a push; empty where it was none.

    Args:
        actor: User name of who pushed.
        digest: What was pushed: the tag names it soon, if it does not yet.
    """

    actor: str = ""
    digest: str = ""


class Sink(Protocol):
    """Who is told what changed."""

    async def changed(self, change: Change, push: Push) -> None:
        """Take note, durably; called again for the same change it must do no harm.

        Args:
            change: What may be another than it was.
            push: By which it became that.

        Raises:
            SealosHubError: Not now; it is tried again.
        """


class LeaseSink:
    """Leave a Lease for each change in the hub's namespace, for the controller.

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

    async def changed(self, change: Change, push: Push) -> None:
        """Make the Lease, or renew it.

        Raises:
            SealosHubError: The API server does not take it.
        """
        name = lease_name(change)
        moment = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": "registry", "renewTime": moment}
        marks = {names.REPOSITORY_NOTE: change.repository, names.TARGET_NOTE: change.target}
        said = {names.ACTOR_NOTE: push.actor, names.DIGEST_NOTE: push.digest}
        marks |= {name: value for name, value in said.items() if value}
        metadata = {"name": name, "labels": {names.CONTENT_LABEL: "changed"}, "annotations": marks}
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }
        try:
            await self._api.create(self._path, body)  # most are new
        except ConflictError:
            gone = {} if push.digest else {names.DIGEST_NOTE: None}
            renewed = {"metadata": {"annotations": {**marks, **gone}}, "spec": spec}
            with suppress(NotFoundError):
                await self._api.patch(f"{self._path}/{name}", renewed)
                return
            # The controller has removed it a moment ago.
            with suppress(ConflictError):  # another worker was faster, with the same news
                await self._api.create(self._path, body)


class Events:
    """The queue between the registries and a sink: each change waits in it once.

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
        self._waiting: OrderedDict[Change, Push] = OrderedDict()
        self._more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        """Begin to tell the sink."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run()) for _ in range(TELLERS)]

    async def stop(self) -> None:
        """Try once to tell what waits, and end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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
            change = change_of(event)
            if change is None:
                self._count("ignored")
            elif change in self._waiting or len(self._waiting) < QUEUED:
                self._waiting[change] = _newer(self._waiting.get(change, Push()), push_of(event))
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
        change, push = self._waiting.popitem(last=False)
        try:
            await self._sink.changed(change, push)
        except InvalidInputError as exc:
            _log.error("a change of %s is not kept: %s", change.repository, exc.message)
        except BaseException:
            # What came in the meantime is newer.
            newer = self._waiting.get(change)
            self._waiting[change] = push if newer is None else _newer(push, newer)
            self._more.set()
            raise


def lease_name(change: Change) -> str:
    """Return the name of the Lease that tells of *change*.

    A hash, because what reads well is not unique: `a/b.c:d` and `a/b:c.d` would be the same.
    """
    text = f"{change.repository}:{change.target}"
    return f"content.{hashlib.sha256(text.encode()).hexdigest()}"


def change_of(event: Mapping[str, Any]) -> Change | None:
    """Return which tags an event says have changed; None if none.

    Pulls change none, nor does a blob, nor a manifest that no tag names yet.
    """
    target = event.get("target")
    action = str(event.get("action"))
    if action not in _CHANGES or not isinstance(target, dict) or target.get("mediaType") == _BLOB:
        return None
    try:
        repository = str(names.split_repository(str(target.get("repository"))))
    except InvalidInputError:
        return None
    tag = target.get("tag")
    if isinstance(tag, str) and is_tag(tag):
        return Change(repository, tag)
    if action in _PUSHES:
        return None
    try:
        return Change(repository, Digest.parse(str(target.get("digest"))).text)
    except InvalidInputError:
        return Change(repository, "")


def push_of(event: Mapping[str, Any]) -> Push:
    """Return what an event says of a push; who pushed is whom the registry's token is for."""
    if str(event.get("action")) not in _PUSHES:
        return Push()
    actor, target = event.get("actor"), event.get("target")
    name = actor.get("name") if isinstance(actor, dict) else None
    is_user = isinstance(name, str) and len(name) <= MAX_ACTOR and name.isprintable()
    digest = target.get("digest") if isinstance(target, dict) else None
    try:
        pushed = Digest.parse(str(digest)).text
    except InvalidInputError:
        pushed = ""
    return Push(str(name) if is_user and name not in _NOBODY else "", pushed)


def _newer(before: Push, now: Push) -> Push:
    """Return what is known of a tag after two events: the newest digest, and who pushed last."""
    return Push(now.actor or before.actor, now.digest)


def _events(body: bytes) -> list[dict[str, Any]]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInputError("the body is not JSON") from None
    found = content.get("events") if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(event, dict) for event in found):
        raise InvalidInputError("the body is no envelope of notifications")
    return found
