"""A local copy of every object of one kind, kept true by a watch."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from sealoshub.errors import SealosHubError
from sealoshub.kube import GoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster

T = TypeVar("T")

WATCH_SECONDS: Final = 300.0  # then the watch is opened anew; a dead connection lasts no longer
FIRST_RETRY: Final = 0.1  # seconds
LAST_RETRY: Final = 2.0  # seconds; a restarted API server is noticed at once

_log = logging.getLogger("sealoshub.controller")


class Informer(Generic[T]):
    """List a kind, watch it, and tell about every change.

    It is a class because the copy, its index and the thread that keeps them belong together. The
    copy is read by other threads.

    Args:
        cluster: Where.
        kind: What.
        keep: Turns an object into what is kept of it, which for images is little.
        pack: Turns that into what takes little memory, and stays equal as long as it does.
        unpack: The reverse, at each read.
        index: The key under which `find` finds it; None for none.
        namespace: Where; None: everywhere.
        label_selector: Only objects with these labels.
    """

    def __init__(  # noqa: PLR0913  # each is a fact about one watch, given by keyword
        self,
        cluster: Cluster,
        kind: str,
        *,
        keep: Callable[[Object], T],
        pack: Callable[[T], Any] = lambda kept: kept,
        unpack: Callable[[Any], T] = lambda packed: packed,
        index: Callable[[T], str | None] = lambda _: None,
        namespace: str | None = None,
        label_selector: str | None = None,
    ) -> None:
        self.kind = kind
        self._cluster = cluster
        self._keep = keep
        self._pack = pack
        self._unpack = unpack
        self._index_of = index
        self._namespace = namespace
        self._selector = label_selector
        self._lock = threading.Lock()
        self._objects: dict[str, Any] = {}  # packed
        self._index: dict[str, dict[str, None]] = {}  # names of objects, in the order they came
        self._order = threading.Lock()  # held while a change is taken over, so that none overtakes
        self._seen = 0  # resourceVersion up to which the watch has told everything
        self._ahead: dict[str, int] = {}  # resourceVersions of what `learn` knew before the watch
        self._handlers: list[Callable[[T], None]] = []
        self.synced = threading.Event()

    def on_change(self, handler: Callable[[T], None]) -> None:
        """Call *handler* with the object of every change, also with one that is gone.

        What is kept as before is no change; so a relist tells of changes only. A change of the
        index key calls it with the old object as well. Before `run` only.
        """
        self._handlers.append(handler)

    def get(self, name: str, namespace: str = "") -> T | None:
        """Return what is kept of an object, or None."""
        with self._lock:
            found = self._objects.get(_name(name, namespace))
        return None if found is None else self._unpack(found)

    def find(self, key: str) -> list[T]:
        """Return every object whose index key is *key*."""
        with self._lock:
            found = [self._objects[name] for name in self._index.get(key, ())]
        return [self._unpack(packed) for packed in found]

    def all(self) -> Iterator[T]:
        """Yield every object that there is at this moment."""
        with self._lock:
            found = list(self._objects.values())
        return map(self._unpack, found)

    def __len__(self) -> int:
        with self._lock:
            return len(self._objects)

    def learn(self, obj: Object) -> None:
        """Take over what the API server answered to a write, before the watch tells of it.

        So nobody writes again what was just written, nor waits for it to come around.
        """
        name, version = _key(obj), _version(obj)
        with self._order:
            if version > max(self._seen, self._ahead.get(name, 0)):
                self._ahead[name] = version
                self._change(name, self._pack(self._keep(obj)))

    def forget(self, obj: Object) -> None:
        """Take over that *obj* was deleted as it is here, before the watch tells of it.

        So nobody works again on what is gone. What the copy has otherwise by now stays.
        """
        name, packed = _key(obj), self._pack(self._keep(obj))
        with self._order:
            with self._lock:
                is_same = self._objects.get(name) == packed
            if is_same:
                self._change(name, None)

    def run(self, stop: threading.Event) -> None:
        """Keep the copy true until *stop*. Failures are waited out."""
        version: str | None = None
        delay = FIRST_RETRY
        while not stop.is_set():
            try:
                if version is None:
                    version = self._relist()
                for event, obj in self._cluster.watch(
                    self.kind,
                    self._namespace,
                    resource_version=version,
                    timeout=WATCH_SECONDS,
                    label_selector=self._selector,
                ):
                    version = str(obj["metadata"]["resourceVersion"])
                    delay = FIRST_RETRY
                    self._take(event, obj)
                    if stop.is_set():
                        return
            except GoneError:
                version = None
            except SealosHubError as exc:
                if not stop.is_set():
                    _log.warning("%s; again in %.1f s", exc.message, delay)
                stop.wait(delay)
                delay = min(delay * 2, LAST_RETRY)
            except Exception:  # noqa: BLE001  # a defect with one object must not end the watch
                _log.exception("the watch of %s; a new one in %.1f s", self.kind, delay)
                version = None
                stop.wait(delay)
                delay = min(delay * 2, LAST_RETRY)

    def _relist(self) -> str:
        items, version = self._cluster.snapshot(
            self.kind,
            lambda obj: (_key(obj), self._pack(self._keep(obj))),
            self._namespace,
            label_selector=self._selector,
        )
        found = dict(items)
        with self._order:
            self._ahead.clear()
            self._seen = _number(version)
            with self._lock:
                gone = [name for name in self._objects if name not in found]
            for name in gone:
                self._change(name, None)
            for name, packed in found.items():
                self._change(name, packed)
        self.synced.set()
        return version

    def _take(self, event: str, obj: Object) -> None:
        if event not in {"ADDED", "MODIFIED", "DELETED"}:
            return
        name, version = _key(obj), _version(obj)
        with self._order:
            self._seen = max(self._seen, version)
            if version < self._ahead.get(name, 0):
                return
            self._ahead.pop(name, None)
            self._change(name, None if event == "DELETED" else self._pack(self._keep(obj)))

    def _change(self, name: str, packed: Any) -> None:  # noqa: ANN401  # whatever `pack` makes
        with self._lock:
            before = self._objects.get(name)
            if before == packed:
                return
        old = None if before is None else self._unpack(before)
        new = None if packed is None else self._unpack(packed)
        old_key = None if old is None else self._index_of(old)
        new_key = None if new is None else self._index_of(new)
        with self._lock:
            if old_key is not None and old_key != new_key:
                group = self._index[old_key]
                del group[name]
                if not group:
                    del self._index[old_key]
            if packed is None:
                self._objects.pop(name, None)
            else:
                self._objects[name] = packed
            if new_key is not None:
                self._index.setdefault(new_key, {})[name] = None
        moved = old is not None and (new is None or old_key != new_key)
        for obj in ((old,) if moved else ()) + ((new,) if new is not None else ()):
            if obj is not None:
                for handler in self._handlers:
                    handler(obj)


def _key(obj: Object) -> str:
    meta: dict[str, Any] = obj["metadata"]
    return _name(meta["name"], meta.get("namespace") or "")


def _name(name: str, namespace: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _version(obj: Object) -> int:
    """Return the resourceVersion of *obj*."""
    return _number(str(obj["metadata"].get("resourceVersion") or ""))


def _number(version: str) -> int:
    """Return a resourceVersion as a number, which grows with each write; 0 if it is none."""
    return int(version) if version.isdecimal() else 0
