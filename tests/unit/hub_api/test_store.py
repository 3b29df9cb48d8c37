"""The store: numbering, events, compaction, one writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import UnavailableError
from sealoshub.hub.api.store import CompactedError, Event, Store

if TYPE_CHECKING:
    from pathlib import Path

KEY = "x.io/things"


def thing(name: str, **spec: object) -> dict[str, Any]:
    """Return an object."""
    return {"metadata": {"name": name, "namespace": "n"}, "spec": spec}


def test_every_write_is_an_event(tmp_path: Path) -> None:
    """Each write has the next number, the object's resourceVersion, and is told at once."""
    told: list[Event] = []
    store = Store(tmp_path / "db", told.append)
    first = thing("a")
    store.put(KEY, first, None)
    second = {**thing("a", n=1)}
    store.put(KEY, second, first)
    last = store.remove(KEY, second)
    assert [(e.type, e.version) for e in told] == [("ADDED", 2), ("MODIFIED", 3), ("DELETED", 4)]
    assert last["metadata"]["resourceVersion"] == "4"
    assert [e.version for e in store.events_after(2)] == [3, 4]
    assert store.get(KEY, "n", "a") is None
    store.close()


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    """A number is never used twice, also if the object it belonged to is gone."""
    store = Store(tmp_path / "db", lambda _event: None)
    body = thing("a")
    store.put(KEY, body, None)
    store.remove(KEY, body)
    store.close()
    again = Store(tmp_path / "db", lambda _event: None)
    assert again.version == 3
    again.close()


def test_old_events_are_forgotten(tmp_path: Path) -> None:
    """Who asks for events that are not kept is told so."""
    store = Store(tmp_path / "db", lambda _event: None)
    for name in "abc":
        store.put(KEY, thing(name), None)
    store.compact(3)
    with pytest.raises(CompactedError):
        list(store.events_after(2))
    assert [e.name for e in store.events_after(3)] == ["c"]
    store.close()


def test_pages(tmp_path: Path) -> None:
    """A scan goes on behind a namespace and name."""
    store = Store(tmp_path / "db", lambda _event: None)
    for name in ("c", "a", "b"):
        store.put(KEY, thing(name), None)
    names = [one["metadata"]["name"] for one in store.scan(KEY, None, ("n", "a"))]
    assert names == ["b", "c"]
    assert store.count(KEY, "n", ("n", "a")) == 2
    store.close()


def test_one_process_only(tmp_path: Path) -> None:
    """A second store on the same file fails instead of sharing the numbers."""
    store = Store(tmp_path / "db", lambda _event: None, wait=0.0)
    with pytest.raises(UnavailableError):
        Store(tmp_path / "db", lambda _event: None, wait=0.0)
    store.close()
