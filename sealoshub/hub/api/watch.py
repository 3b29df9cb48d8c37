"""Watches: who is told about which changes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api.status import ApiError, expired
from sealoshub.hub.api.store import CompactedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sealoshub.hub.api.resources import Resource
    from sealoshub.hub.api.selectors import Selector
    from sealoshub.hub.api.store import Event, Store

# A watcher that does not read is ended rather than remembered for; it begins again by itself.
LONGEST_QUEUE: Final = 10_000
BOOKMARK_SECONDS: Final = 60.0
DEFAULT_SECONDS: Final = 2700.0  # Kubernetes chooses between half an hour and an hour
_INITIAL_END: Final = "k8s.io/initial-events-end"


@dataclass(eq=False, slots=True)
class Subscription:
    """One watcher's queue; None in it means that the watch ends."""

    resource: str
    queue: asyncio.Queue[Event | None] = field(default_factory=lambda: asyncio.Queue(LONGEST_QUEUE))

    def end(self) -> None:
        """End the watch, whatever is queued."""
        while True:
            try:
                self.queue.put_nowait(None)
            except asyncio.QueueFull:
                self.queue.get_nowait()
            else:
                return


class Broadcaster:
    """Pass events to all watchers; everything happens on the one event loop."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._closed = False

    def publish(self, event: Event) -> None:
        """Pass an event to those that watch its resource."""
        for one in list(self._subscriptions.get(event.resource, ())):
            try:
                one.queue.put_nowait(event)
            except asyncio.QueueFull:
                one.end()
                self.leave(one)

    def join(self, resource: str) -> Subscription:
        """Begin to collect the events of a resource."""
        made = Subscription(resource)
        if self._closed:
            made.end()
        self._subscriptions.setdefault(resource, set()).add(made)
        return made

    def leave(self, subscription: Subscription) -> None:
        """Collect no more."""
        some = self._subscriptions.get(subscription.resource, set())
        some.discard(subscription)
        if not some:
            self._subscriptions.pop(subscription.resource, None)

    def close(self) -> None:
        """End all watches, because the server stops."""
        self._closed = True
        for some in self._subscriptions.values():
            for one in some:
                one.end()


@dataclass(frozen=True, slots=True)
class Request:
    """What a watcher asks for.

    Args:
        resource: The resource.
        namespace: None for all.
        selector: Which objects.
        version: Begin behind this event; None to begin with what is there.
        bookmarks: Whether to send bookmarks.
        initial: Whether to send what is there and a bookmark behind it (`sendInitialEvents`).
        seconds: When to end.
        render: Makes the object of an event out of a stored object.
    """

    resource: Resource
    namespace: str | None
    selector: Selector
    version: int | None
    bookmarks: bool
    initial: bool
    seconds: float
    render: Callable[[dict[str, Any]], dict[str, Any]]


async def stream(  # noqa: C901  # one loop over queue, bookmark and deadline
    store: Store, watchers: Broadcaster, wanted: Request
) -> AsyncIterator[bytes]:
    """Yield the events as JSON lines until the time is up or the server stops."""
    subscription = watchers.join(wanted.resource.key)
    try:
        loop = asyncio.get_running_loop()
        end = loop.time() + wanted.seconds
        seen = store.version
        try:
            for line in _catch_up(store, wanted):
                yield line
        except ApiError as exc:
            yield _line("ERROR", exc.status())
            return
        bookmark = loop.time() + BOOKMARK_SECONDS
        while (left := end - loop.time()) > 0:
            pause = min(left, bookmark - loop.time()) if wanted.bookmarks else left
            event: Event | None = None
            ended = False
            with contextlib.suppress(TimeoutError):
                event = await asyncio.wait_for(subscription.queue.get(), max(pause, 0))
                ended = event is None
            if ended:
                return
            if event is not None and event.version > seen:
                seen = event.version
                found = _event(wanted, event)
                if found is not None:
                    yield found
            if wanted.bookmarks and loop.time() >= bookmark:
                if subscription.queue.empty():
                    seen = store.version  # nothing of this resource lies between
                yield _bookmark(wanted, seen, initial=False)
                bookmark = loop.time() + BOOKMARK_SECONDS
        if wanted.bookmarks:
            # The last word before the time is up, so that the next watch begins here.
            if subscription.queue.empty():
                seen = store.version
            yield _bookmark(wanted, seen, initial=False)
    finally:
        watchers.leave(subscription)


def _catch_up(store: Store, wanted: Request) -> list[bytes]:
    """Return what happened, or what is there, before the watch begins."""
    lines: list[bytes] = []
    if wanted.version is None or wanted.initial:
        lines += [
            _line("ADDED", wanted.render(body))
            for body in store.scan(wanted.resource.key, wanted.namespace)
            if wanted.selector.matches(body)
        ]
        if wanted.initial and wanted.bookmarks:
            lines.append(_bookmark(wanted, store.version, initial=True))
        return lines
    if wanted.version > store.version:
        # The client knows a database that is no more: it must list again.
        raise expired(f"too large resource version: {wanted.version} ({store.version})")
    try:
        for event in store.events_after(wanted.version):
            if event.resource == wanted.resource.key:
                line = _event(wanted, event)
                if line is not None:
                    lines.append(line)
    except CompactedError as exc:
        raise expired(exc.message) from exc
    return lines


def _event(wanted: Request, event: Event) -> bytes | None:
    """Return the line for an event, or None if it does not concern this watcher.

    An object that begins to match is ADDED for him, one that ceases to is DELETED.
    """
    if wanted.namespace is not None and event.namespace != wanted.namespace:
        return None
    now = event.type != "DELETED" and wanted.selector.matches(event.body)
    before = event.previous is not None and wanted.selector.matches(event.previous)
    if now:
        return _line("MODIFIED" if before else "ADDED", wanted.render(event.body))
    if before and event.previous is not None:
        last = event.body if event.type == "DELETED" else event.previous
        gone = {**last, "metadata": {**last["metadata"], "resourceVersion": str(event.version)}}
        return _line("DELETED", wanted.render(gone))
    return None


def _bookmark(wanted: Request, version: int, *, initial: bool) -> bytes:
    metadata: dict[str, Any] = {"resourceVersion": str(version)}
    if not wanted.resource.custom:
        metadata["creationTimestamp"] = None  # as Go writes a zero time
    if initial:
        metadata["annotations"] = {_INITIAL_END: "true"}
    body = {
        "kind": wanted.resource.kind,
        "apiVersion": wanted.resource.api_version,
        "metadata": metadata,
    }
    return _line("BOOKMARK", wanted.render(body))


def _line(kind: str, body: dict[str, Any]) -> bytes:
    event = {"type": kind, "object": body}
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
