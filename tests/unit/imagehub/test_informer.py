"""The copy of a kind: what a watch, a relist and our own writes make of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.imagehub.controller import kinds
from sealoshub.imagehub.controller.informer import Informer
from sealoshub.kube import GoneError
from tests.unit.imagehub.conftest import resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealoshub.kube import Object

    Script = list[list[tuple[str, Object]] | GoneError]


def tag(name: str, version: int, **spec: object) -> Object:
    """Return an Image of a resourceVersion."""
    obj = resource("Image", name, **spec)
    obj["metadata"]["resourceVersion"] = str(version)
    return obj


class FakeCluster:
    """Answers lists and watches as a test wrote them down, one after the other."""

    def __init__(self, lists: list[list[Object]], watches: Script) -> None:
        self.lists = lists
        self.watches = watches
        self.stop = threading.Event()
        self.listed = 0

    def snapshot(
        self, _kind: str, keep: Callable[[Object], Any], *_: object, **__: object
    ) -> tuple[list[Any], str]:
        """Return the next list."""
        self.listed += 1
        items = self.lists.pop(0)
        version = max((int(obj["metadata"]["resourceVersion"]) for obj in items), default=1)
        return [keep(obj) for obj in items], str(version)

    def watch(self, *_: object, **__: object) -> Iterator[tuple[str, Object]]:
        """Yield the next events; the end of the last ones is the end of the test."""
        script = self.watches.pop(0)
        if not self.watches:
            self.stop.set()
        if isinstance(script, GoneError):
            raise script
        yield from script


def seen(
    lists: list[list[Object]],
    watches: Script,
    meanwhile: Callable[[Informer[Object]], None] | None = None,
) -> tuple[Informer[Object], list[str]]:
    """Run an informer through a script; return it and `name=digest` of what it told."""
    cluster: Any = FakeCluster(lists, [*watches, []])
    informer: Informer[Object] = Informer(
        cluster,
        "Image",
        keep=kinds.whole,
        pack=kinds.packed,
        unpack=kinds.unpacked,
        index=lambda obj: str(obj["spec"]["name"]).partition(":")[0],
    )
    told: list[str] = []

    def note(obj: Object) -> None:
        told.append(f"{obj['metadata']['name']}={obj['spec'].get('digest')}")
        if meanwhile is not None:
            meanwhile(informer)

    informer.on_change(note)
    informer.run(cluster.stop)
    return informer, told


def test_a_relist_tells_of_changes_only() -> None:
    """What is as it was is not told again, what is gone and what is new is."""
    first = [tag("a/b:1", 1, digest="x"), tag("a/b:2", 2, digest="x"), tag("a/c:3", 3)]
    second = [tag("a/b:1", 1, digest="x"), tag("a/b:2", 9, digest="y")]
    informer, told = seen([first, second], [GoneError("too old")])
    assert told == ["a.b.1=x", "a.b.2=x", "a.c.3=None", "a.c.3=None", "a.b.2=y"]
    assert [obj["spec"]["digest"] for obj in informer.find("a/b")] == ["x", "y"]
    assert informer.find("a/c") == []
    assert {obj["metadata"]["name"] for obj in informer.all()} == {"a.b.1", "a.b.2"}


def test_a_defect_does_not_end_the_watch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What one object does to a handler is logged; everything is listed and watched again."""
    monkeypatch.setattr("sealoshub.imagehub.controller.informer.FIRST_RETRY", 0.0)
    faults = [KeyError("spec")]

    def fail_once(_informer: Informer[Object]) -> None:
        if faults:
            raise faults.pop()

    first, second = [tag("a/b:1", 1, digest="x")], [tag("a/b:1", 1, digest="x"), tag("a/c:3", 3)]
    informer, told = seen([first, second], [[]], meanwhile=fail_once)
    assert told == ["a.b.1=x", "a.c.3=None"]
    assert len(informer) == 2
    assert "KeyError" in caplog.text


def test_a_write_is_known_before_the_watch_tells_of_it() -> None:
    """What is older than that changes nothing any more; what is newer does."""
    writers: list[threading.Thread] = []

    def write(informer: Informer[Object]) -> None:
        if not writers:  # while the first event is told, in the middle of the stream
            written = tag("a/b:2", 5, digest="w")
            writers.append(threading.Thread(target=informer.learn, args=(written,)))
            writers[0].start()

    events = [("ADDED", tag("a/b:1", 2, digest="x")), ("ADDED", tag("a/b:2", 3, digest="old"))]
    informer, _ = seen([[]], [events], write)
    writers[0].join()
    informer.learn(tag("a/b:2", 4, digest="stale"))
    found = informer.get("a.b.2")
    assert found is not None
    assert found["spec"]["digest"] == "w"


@pytest.mark.parametrize("version", [2, 3])
def test_a_write_that_the_watch_has_passed_changes_nothing(version: int) -> None:
    """Somebody else may have written after us, and the watch has told of it already."""
    events = [
        ("ADDED", tag("a/b:1", 2, digest="ours")),
        ("MODIFIED", tag("a/b:1", 3, digest="theirs")),
        ("BOOKMARK", {"metadata": {"resourceVersion": "4"}}),
    ]
    informer, told = seen([[]], [events])
    informer.learn(tag("a/b:1", version, digest="ours"))
    found = informer.get("a.b.1")
    assert found is not None
    assert found["spec"]["digest"] == "theirs"
    assert told == ["a.b.1=ours", "a.b.1=theirs"]


def test_a_deletion_is_known_before_the_watch_tells_of_it() -> None:
    """It is told of once; what was changed or made anew since stays."""
    first, second = tag("a/b:1", 2, digest="x"), tag("a/b:2", 3, digest="y")
    changed = tag("a/b:2", 4, digest="z")

    def delete(informer: Informer[Object]) -> None:
        found = informer.get("a.b.2")
        if found is not None and found["spec"]["digest"] == "z" and not deleted:
            deleted.append(threading.Thread(target=forget, args=(informer,)))
            deleted[0].start()

    def forget(informer: Informer[Object]) -> None:
        informer.forget(first)
        informer.forget(second)

    deleted: list[threading.Thread] = []
    events = [("ADDED", first), ("ADDED", second), ("MODIFIED", changed)]
    informer, told = seen([[]], [events], delete)
    deleted[0].join()
    assert informer.get("a.b.1") is None
    assert informer.get("a.b.2") == changed
    assert len(informer) == 1
    informer.forget(first)
    assert told == ["a.b.1=x", "a.b.2=y", "a.b.2=z", "a.b.1=x"]


def test_an_image_is_kept_by_what_matters() -> None:
    """Its status comes out as it went in, and words that nobody compares are not kept."""
    conditions = [
        {
            "type": "Ready",
            "status": "True",
            "reason": "InRepository",
            "message": "",
            "observedGeneration": 2,
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        },
        {"type": "Present", "status": "True"},
    ]
    obj = tag("a/b:1", 1, digest="x", detail={"docs": "long " * 1000})
    obj["status"] = {"observedGeneration": 2, "conditions": conditions}
    picture = kinds.picture(obj)
    assert picture.status == obj["status"]
    assert kinds.picture(tag("a/b:1", 1)).status == {}
    assert "long" not in repr(picture)
