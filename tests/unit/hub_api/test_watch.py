"""Watches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.unit.hub_api.conftest import THINGS, thing

if TYPE_CHECKING:
    from tests.unit.hub_api.conftest import Api

MERGE = "application/merge-patch+json"


def watch(api: Api, path: str, query: str) -> list[dict[str, Any]]:
    """Return all events until the watch ends."""
    answer = api.admin("GET", f"{path}?watch=true&timeoutSeconds=1&{query}")
    return [json.loads(line) for line in answer.text.splitlines()]


def space(api: Api, name: str) -> str:
    """Make a namespace and return the path of its things."""
    api.admin("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return THINGS.replace("default", name)


def test_events_since(things: Api) -> None:
    """A watch tells what happened behind a version, seen through the selector."""
    path = space(things, "w1")
    start = things.admin("GET", path).json()["metadata"]["resourceVersion"]
    things.admin("POST", path, thing("a"))
    for label in ("y", "n", "y"):
        labels = {"metadata": {"labels": {"x": label}}}
        things.admin("PATCH", f"{path}/a", labels, MERGE)
    things.admin("DELETE", f"{path}/a")
    events = watch(things, path, f"resourceVersion={start}")
    assert [e["type"] for e in events] == ["ADDED", *["MODIFIED"] * 3, "DELETED"]
    seen = watch(things, path, f"resourceVersion={start}&labelSelector=x%3Dy")
    assert [e["type"] for e in seen] == ["ADDED", "DELETED", "ADDED", "DELETED"]
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events]
    assert versions == sorted(set(versions))


def test_initial_events(things: Api) -> None:
    """A watch from nowhere begins with what is there; `sendInitialEvents` marks the end of it."""
    path = space(things, "w2")
    things.admin("POST", path, thing("a"))
    assert [e["type"] for e in watch(things, path, "")] == ["ADDED"]
    query = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    events = watch(things, path, query)
    assert [e["type"] for e in events][:2] == ["ADDED", "BOOKMARK"]
    marks = events[1]["object"]["metadata"]["annotations"]
    assert marks == {"k8s.io/initial-events-end": "true"}


def test_gone(things: Api) -> None:
    """A watch from a version that is not kept, or never was, ends with 410."""
    path = space(things, "w3")
    things.admin("POST", path, thing("a"))
    things.engine.store.compact(things.engine.store.version)
    for version in (1, 10**9):
        events = watch(things, path, f"resourceVersion={version}")
        assert [(e["type"], e["object"]["code"]) for e in events] == [("ERROR", 410)]


def test_live(things: Api) -> None:
    """What happens while a watch is open is told at once."""
    path = space(things, "w4")
    url = f"{path}?watch=true&timeoutSeconds=5"
    headers = {"authorization": f"Bearer {things.admin.token}"}
    with things.admin.http.stream("GET", url, headers=headers) as answer:
        lines = answer.iter_lines()
        things.admin("POST", path, thing("live"))
        assert json.loads(next(lines))["object"]["metadata"]["name"] == "live"
