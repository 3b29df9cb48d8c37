"""Objects and events in SQLite; the only user of `sqlite3`.

One table of objects (what is) and one of events (what happened). A write is one transaction that
changes one object and appends one event; the event's number is the resourceVersion. There is one
writer, this process, which a lock on the database enforces.

`synchronous=FULL`: what was acknowledged survives `kill -9` and a power cut, as it does in etcd.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sealoshub.errors import SealosHubError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EventType = Literal["ADDED", "MODIFIED", "DELETED"]

# How many events a watch may be behind; a real API server keeps five minutes in etcd.
KEEP_EVENTS: Final = 20_000
# Old events are removed once so many have gathered, not at every write.
COMPACT_EVERY: Final = 1_000
# Numbers begin above 0, because resourceVersion "0" means "any".
FIRST_VERSION: Final = 1
WAIT_SECONDS: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS objects (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    version INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    version INTEGER PRIMARY KEY, type TEXT NOT NULL, resource TEXT NOT NULL,
    namespace TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, previous BLOB
);
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one object.

    Args:
        version: Number of the event, the object's resourceVersion.
        type: What happened.
        resource: `group/plural`, `/namespaces` for the core group.
        namespace: Empty for cluster-scoped objects.
        name: Name of the object.
        body: The object after the change (before it, with the new resourceVersion, if deleted).
        previous: The object before the change; None if it was created.
    """

    version: int
    type: EventType
    resource: str
    namespace: str
    name: str
    body: dict[str, Any]
    previous: dict[str, Any] | None


class CompactedError(SealosHubError):
    """The events from that resourceVersion on are not kept any more."""


class Store:
    """Keep objects and events.

    It is a class because it owns the connection and the number of the last event.

    Args:
        path: The database file; made if missing.
        on_event: Called after each committed write, in the order of the events.
        keep_events: How many events are kept for watches.
        wait: Seconds to wait for a process that is about to release the file.

    Raises:
        UnavailableError: The file cannot be opened, or another process has it.
    """

    def __init__(
        self,
        path: Path,
        on_event: Callable[[Event], None],
        *,
        keep_events: int = KEEP_EVENTS,
        wait: float = WAIT_SECONDS,
    ) -> None:
        self._on_event = on_event
        self._keep = keep_events
        try:
            path.touch(mode=0o600)  # SQLite gives the mode of this file to those beside it
            self._db = sqlite3.connect(
                path, timeout=wait, isolation_level=None, check_same_thread=False
            )
            # One process: a second one must fail at start, not corrupt the numbering.
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            last, first = self._db.execute(
                "SELECT coalesce(max(version), ?), coalesce(min(version), ?) FROM events",
                (FIRST_VERSION, FIRST_VERSION + 1),
            ).fetchone()
        except (sqlite3.Error, OSError) as exc:
            raise UnavailableError(
                f"cannot open the hub's database {path}: {exc}",
                hint="Only one hub can use a folder. See: sealoshub hub status",
            ) from exc
        self._last: int = last
        self._first: int = first

    @property
    def version(self) -> int:
        """Number of the last event."""
        return self._last

    def close(self) -> None:
        """Write everything out and release the file."""
        self._db.close()

    def get(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return an object, or None."""
        row = self._db.execute(
            "SELECT body FROM objects WHERE resource=? AND namespace=? AND name=?",
            (resource, namespace, name),
        ).fetchone()
        return None if row is None else _load(row[0])

    def scan(
        self, resource: str, namespace: str | None, after: tuple[str, str] = ("", "")
    ) -> Iterator[dict[str, Any]]:
        """Yield the objects of a resource by namespace and name.

        Args:
            resource: `group/plural`.
            namespace: Only this one; None for all.
            after: Begin behind this namespace and name.
        """
        if namespace is None:
            rows = self._db.execute(
                "SELECT body FROM objects WHERE resource=? AND (namespace, name) > (?, ?)"
                " ORDER BY namespace, name",
                (resource, *after),
            )
        else:
            rows = self._db.execute(
                "SELECT body FROM objects WHERE resource=? AND namespace=? AND name>?"
                " ORDER BY name",
                (resource, namespace, after[1]),
            )
        for (body,) in rows:
            yield _load(body)

    def count(self, resource: str, namespace: str | None, after: tuple[str, str]) -> int:
        """Return how many objects `scan` would yield."""
        where = "resource=? AND (namespace, name) > (?, ?)"
        values: tuple[str, ...] = (resource, *after)
        if namespace is not None:
            where += " AND namespace=?"
            values = (*values, namespace)
        row = self._db.execute(f"SELECT count(*) FROM objects WHERE {where}", values).fetchone()  # noqa: S608  # only the literals above
        return int(row[0])

    def resources_with(self, namespace: str) -> list[str]:
        """Return the resources that have objects in *namespace*."""
        rows = self._db.execute(
            "SELECT DISTINCT resource FROM objects WHERE namespace=?", (namespace,)
        )
        return [resource for (resource,) in rows]

    def put(self, resource: str, body: dict[str, Any], previous: dict[str, Any] | None) -> None:
        """Create or replace an object; its `metadata.resourceVersion` is set here.

        Args:
            resource: `group/plural`.
            body: The object; changed in place.
            previous: What it replaces; None for a new one.

        Raises:
            UnavailableError: The disk refuses.
        """
        self._write("ADDED" if previous is None else "MODIFIED", resource, body, previous)

    def remove(self, resource: str, body: dict[str, Any]) -> dict[str, Any]:
        """Delete an object and return its last state, with the resourceVersion of the deletion.

        Raises:
            UnavailableError: The disk refuses.
        """
        last = {**body, "metadata": dict(body["metadata"])}
        self._write("DELETED", resource, last, body)
        return last

    def events_after(self, version: int) -> Iterator[Event]:
        """Yield the events behind *version*.

        Raises:
            CompactedError: Some of them are gone.
        """
        if version < self._first - 1:
            raise CompactedError(f"too old resource version: {version} ({self._first - 1})")
        rows = self._db.execute(
            "SELECT version, type, resource, namespace, name, body, previous FROM events"
            " WHERE version > ? ORDER BY version",
            (version,),
        ).fetchall()
        for number, kind, resource, namespace, name, body, previous in rows:
            yield Event(
                number,
                kind,
                resource,
                namespace,
                name,
                _load(body),
                None if previous is None else _load(previous),
            )

    def compact(self, version: int) -> None:
        """Forget the events up to and including *version*; the newest event always stays."""
        keep = min(version, self._last - 1)
        self._db.execute("DELETE FROM events WHERE version <= ?", (keep,))
        self._first = max(self._first, keep + 1)

    def _write(
        self,
        kind: EventType,
        resource: str,
        body: dict[str, Any],
        previous: dict[str, Any] | None,
    ) -> None:
        metadata = body["metadata"]
        number = self._last + 1
        metadata["resourceVersion"] = str(number)
        key = (resource, metadata.get("namespace", ""), metadata["name"])
        data = _dump(body)
        before = None if previous is None else _dump(previous)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if kind == "DELETED":
                    self._db.execute(
                        "DELETE FROM objects WHERE resource=? AND namespace=? AND name=?", key
                    )
                else:
                    self._db.execute(
                        "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)",
                        (*key, number, data),
                    )
                self._db.execute(
                    "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (number, kind, *key, data, before),
                )
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as exc:
            raise UnavailableError(f"the hub's database cannot be written: {exc}") from exc
        self._last = number
        if number - self._first > self._keep + COMPACT_EVERY:
            self.compact(number - self._keep)
        self._on_event(Event(number, kind, *key, _load(data), previous))


def _dump(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _load(body: bytes) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(body)
    return loaded
