"""The rules of a repository and the quota of an organisation, enforced by a running controller."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import NotFoundError
from sealoshub.imagehub import names
from sealoshub.imagehub.controller import quota, record
from sealoshub.imagehub.controller.held import Held
from sealoshub.imagehub.controller.kinds import picture
from sealoshub.imagehub.limits import Usage
from tests.unit.imagehub.conftest import People, condition, ready, resource, running, until
from tests.unit.imagehub.test_content import V1, V2, V3, FakeContent, Live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealoshub.kube import Object

CHILD = "sha256:" + "e" * 64


@pytest.fixture(scope="module")
def clock() -> list[datetime]:
    """What time it is, in a list of one so that a test can move it."""
    return [datetime.now(UTC)]


@pytest.fixture(scope="module")
def live(people: People, clock: list[datetime]) -> Iterator[Live]:
    """A controller that nothing but its notes leads to the registry after the start."""
    content = FakeContent()
    with running(people.controller, registry=content, now=lambda: clock[0]):
        yield Live(people, content)


def organization(live: Live, name: str, **quota: object) -> None:
    """Make an organisation of alice with a quota, and wait for it."""
    live.people.admin.create(resource("Organization", name, creator="alice", quota=quota))
    ready(live.people.admin, "Organization", name)


def rules(live: Live, path: str, **spec: object) -> None:
    """Give a repository rules, and wait until they were looked at."""
    live.people.alice.patch("Repository", names.object_name(path), {"spec": spec})

    def seen() -> bool:
        found = live.people.admin.get("Repository", names.object_name(path))
        return bool(found["metadata"]["generation"] == found["status"]["observedGeneration"])

    until(seen, f"the rules of {path} were seen")


def remembered(live: Live, name: str, digest: str) -> Object:
    """Wait until the Image *name* remembers that its tag names *digest*."""

    def look() -> Object | None:
        try:
            image = live.people.admin.get("Image", names.object_name(name))
        except NotFoundError:
            return None
        status: dict[str, Any] = image.get("status") or {}
        return image if (status.get("tag") or {}).get("digest") == digest else None

    found: Object = until(look, f"{name} remembers {digest[:12]}")
    return found


def push(live: Live, path: str, tag: str, digest: str, actor: str = "") -> None:
    """Push, and wait until the controller has seen it."""
    live.push(path, tag, digest, actor)
    remembered(live, f"{path}:{tag}", digest)


def said(live: Live, path: str, kind: str, reason: str) -> dict[str, Any]:
    """Wait until a condition of the repository has *reason*, and return it."""

    def look() -> dict[str, Any] | None:
        found = live.people.admin.get("Repository", names.object_name(path))
        item = condition(found, kind)
        return item if item.get("reason") == reason else None

    found: dict[str, Any] = until(look, f"{path} says {kind} {reason}")
    return found


def events(live: Live, path: str) -> list[Object]:
    """Return the Events about a repository."""
    return [
        event
        for event in live.people.admin.list("Event", "default")
        if event["involvedObject"]["name"] == names.object_name(path)
    ]


def tags(live: Live, path: str) -> set[str]:
    """Return the tags that the registry has."""
    return set(live.content.tagged.get(path, {}))


# ---------------------------------------------------------------------------------- the quota
def test_usage_is_what_the_registry_holds(live: Live) -> None:
    """A digest under two tags counts once; what people write about a size counts for nothing."""
    organization(live, "full", tags=2, size="15")
    push(live, "full/app", "a", V1)
    push(live, "full/app", "b", V1)
    words = {"detail": {"size": 0}, "name": "full/app:a"}
    live.people.alice.patch("Image", "full.app.a", {"spec": words})

    def state(**expected: object) -> None:
        def look() -> bool:
            found = live.people.admin.get("Organization", "full")
            item = condition(found, "WithinQuota")
            told = {**found["status"]["usage"], "within": item["status"], "said": item["message"]}
            return told == expected

        until(look, f"the organisation says {expected}")

    state(repositories=1, tags=2, size=7, within="True", said="size 7 of 15, tags 2 of 2")
    push(live, "full/more", "c", V2)
    state(repositories=2, tags=3, size=14, within="False", said="tags 3 of 2")
    live.people.admin.patch("Organization", "full", {"spec": {"quota": {"size": "10", "tags": 9}}})
    state(repositories=2, tags=3, size=14, within="False", said="size 14 of 10")
    del live.content.tagged["full/more"]
    live.tell("full/more", V2)
    state(repositories=2, tags=2, size=7, within="True", said="size 7 of 10, tags 2 of 9")
    live.people.admin.patch("Organization", "full", {"spec": {"quota": None}})
    until(
        lambda: not condition(live.people.admin.get("Organization", "full"), "WithinQuota"),
        "nothing is said about a quota any more",
    )


@pytest.mark.parametrize(
    ("status", "held", "expected"),
    [
        ({}, None, Usage(1, 1, 3)),  # nobody has asked the registry: what the Image says
        ({"tag": {"digest": V1, "size": 9, "since": "t"}, "conditions": []}, None, Usage(1, 1, 9)),
        ({"conditions": [{"type": "Present", "status": "False"}]}, None, Usage(1, 0, 0)),
        ({}, Held({}, {}), Usage(1, 0, 0)),
        ({}, Held({"c": V1, "d": V1, "e": V2}, {}, {V1: 5, V2: 6}), Usage(1, 3, 11)),
        (
            {"tag": {"digest": V1, "size": 9, "since": "t"}, "conditions": []},
            Held({"c": V1, "e": V2}, {}, {V2: 6}),
            Usage(1, 2, 15),
        ),
    ],
)
def test_what_is_counted(status: dict[str, Any], held: Held | None, expected: Usage) -> None:
    """What the registry has, as soon as it was asked; a restart of the controller counts alike."""
    spec = {"name": "a/b:c", "digest": V1, "detail": {"size": 3}}
    found = picture({"metadata": {"name": "a.b.c"}, "spec": spec, "status": status})
    world: Any = SimpleNamespace(
        held={} if held is None else {"a/b": held}, images=SimpleNamespace(find=lambda _: [found])
    )
    assert quota.usage(world, ["a/b"]) == expected


# ---------------------------------------------------------------------------------- immutable
def test_a_tag_that_must_not_move_is_put_back(live: Live) -> None:
    """The registry, the Image, a condition and an Event say so; other tags move."""
    organization(live, "fixed")
    for tag in ("v1", "latest"):
        push(live, "fixed/app", tag, V1)
    rules(live, "fixed/app", immutableTags=["v*"])
    live.content.untagged.add(V1)  # a registry keeps what no tag names any more
    live.push("fixed/app", "latest", V2)
    live.push("fixed/app", "v1", V2, actor="mallory")
    message = said(live, "fixed/app", "TagsImmutable", "PutBack")["message"]
    assert live.content.tagged["fixed/app"]["v1"] == V1
    assert message.startswith(f"v1 was moved to {V2} by mallory and put back to {V1}")
    remembered(live, "fixed/app:latest", V2)
    image = remembered(live, "fixed/app:v1", V1)
    assert image["spec"]["digest"] == V1
    (event,) = events(live, "fixed/app")
    assert (event["reason"], event["message"]) == ("TagPutBack", message)


def test_what_a_person_writes_does_not_move_it_either(live: Live) -> None:
    """What counts is what the controller saw, and not the digest in the spec."""
    organization(live, "pinned")
    push(live, "pinned/app", "v1", V1)
    rules(live, "pinned/app", immutableTags=["v1"])
    forged = {**resource("Image", "pinned/app:v1"), "spec": {"name": "pinned/app:v1", "digest": V2}}
    live.people.alice.apply(forged, field_manager="sealoshub-push", force=True)
    live.content.untagged.add(V1)
    live.push("pinned/app", "v1", V2)
    said(live, "pinned/app", "TagsImmutable", "PutBack")
    assert live.content.tagged["pinned/app"]["v1"] == V1


def test_a_tag_whose_manifest_is_gone_moves(live: Live) -> None:
    """There is nothing to put back; the condition is False, and the new digest counts."""
    organization(live, "lost")
    push(live, "lost/app", "v1", V1)
    rules(live, "lost/app", immutableTags=["*"])
    live.content.untagged.clear()
    push(live, "lost/app", "v1", V2)
    item = said(live, "lost/app", "TagsImmutable", "NotPutBack")
    assert item["status"] == "False"
    live.content.untagged.add(V2)
    live.push("lost/app", "v1", V3)
    said(live, "lost/app", "TagsImmutable", "PutBack")
    assert live.content.tagged["lost/app"]["v1"] == V2


def test_a_tag_that_was_deleted_is_free(live: Live) -> None:
    """To delete takes a right of its own; who pushes after that makes a new tag."""
    organization(live, "again")
    push(live, "again/app", "v1", V1)
    rules(live, "again/app", immutableTags=["v1"])
    live.content.tagged["again/app"].pop("v1")
    live.content.untagged.add(V1)
    live.tell("again/app", V1)
    until(
        lambda: (
            not [
                i
                for i in live.people.admin.list("Image")
                if i["metadata"]["name"] == "again.app.v1"
            ]
        ),
        "the Image is gone",
    )
    push(live, "again/app", "v1", V2)
    assert live.content.tagged["again/app"]["v1"] == V2


# ---------------------------------------------------------------------------------- retention
def digest(letter: str) -> str:
    """Return a digest of its own."""
    return "sha256:" + letter * 64


def aged(live: Live, clock: list[datetime], path: str, *names_: str) -> None:
    """Push tags, each an hour after the one before; the digest is made of its last letter."""
    for name in names_:
        push(live, path, name, digest(name[-1]))
        clock[0] += timedelta(hours=1)


def test_old_tags_go(live: Live, clock: list[datetime]) -> None:
    """Those that are due and no others, with their manifests; also an Image of `sealoshub push`."""
    organization(live, "old")
    aged(live, clock, "old/app", "t1", "t2", "v3", "k4", "t5", "t6")
    live.people.alice.apply(
        {**resource("Image", "old/app:t1"), "spec": {"name": "old/app:t1", "digest": digest("1")}},
        field_manager="sealoshub-push",
        force=True,
    )
    rules(
        live, "old/app",
        immutableTags=["v*"],
        retention={"keepLast": 1, "olderThan": "150m", "keepTags": ["k*"]},
    )  # fmt: skip
    until(lambda: tags(live, "old/app") == {"v3", "k4", "t5", "t6"}, "the old ones are gone")
    message = said(live, "old/app", "RetentionApplied", "Deleted")["message"]
    assert message.endswith(": t1, t2")
    assert [event["reason"] for event in events(live, "old/app")] == ["TagsDeleted"]
    until(
        lambda: {i["metadata"]["name"] for i in live.people.admin.list("Image")}.isdisjoint(
            {"old.app.t1", "old.app.t2"}
        ),
        "their Images are gone",
    )


def test_what_another_tag_needs_stays(live: Live, clock: list[datetime]) -> None:
    """A tag beside one that stays, or a part of an index that stays, goes alone if at all."""
    organization(live, "shared")
    one, index = digest("1"), digest("2")
    live.content.indexes[index] = (CHILD,)
    for name, what in (("a", one), ("b", CHILD), ("c", one), ("d", index)):
        push(live, "shared/app", name, what)
        clock[0] += timedelta(hours=1)
    live.content.untags = False
    try:
        rules(live, "shared/app", retention={"keepLast": 2})
        message = said(live, "shared/app", "RetentionApplied", "ManifestNeeded")["message"]
        assert message.startswith("not deleted: a, b;")
        assert tags(live, "shared/app") == {"a", "b", "c", "d"}
    finally:
        live.content.untags = True
    live.tell("shared/app")
    until(lambda: tags(live, "shared/app") == {"c", "d"}, "the tags are gone")
    assert {one, CHILD} <= live.content.untagged


def test_a_registry_that_does_not_delete(live: Live, clock: list[datetime]) -> None:
    """The condition says it, and the controller goes on with everything else."""
    organization(live, "kept")
    aged(live, clock, "kept/app", "a", "b")
    live.content.keeps = True
    try:
        rules(live, "kept/app", retention={"keepLast": 1})
        item = said(live, "kept/app", "RetentionApplied", "NotDeleted")
        assert (item["status"], item["message"]) == ("False", "it does not delete")
        push(live, "kept/app", "c", V3)
    finally:
        live.content.keeps = False
    live.tell("kept/app")
    until(lambda: tags(live, "kept/app") == {"c"}, "the old ones are gone")


def test_rules_that_are_taken_away_are_forgotten(live: Live) -> None:
    """Then nothing is said about them either."""
    organization(live, "free")
    push(live, "free/app", "v1", V1)
    rules(live, "free/app", immutableTags=["v1"])
    said(live, "free/app", "TagsImmutable", "NoTagMoved")
    rules(live, "free/app", immutableTags=None)
    push(live, "free/app", "v1", V2)
    found = live.people.admin.get("Repository", "free.app")
    assert condition(found, "TagsImmutable") == {}


# ---------------------------------------------------------------------------------- the record
def image(tag: dict[str, Any] | None) -> Any:  # noqa: ANN401  # what is kept of an Image
    """Return an Image that remembers *tag*."""
    status = {"tag": tag, "conditions": []} if tag is not None else {}
    return picture({"metadata": {"name": "a.b.c"}, "spec": {"name": "a/b:c"}, "status": status})


@pytest.mark.parametrize(
    ("was", "held", "expected"),
    [
        (None, None, None),
        ({"digest": V1, "size": 1, "since": "then"}, None, "same"),
        ({"digest": V1, "size": 1, "since": "then"}, Held({"c": V1}, {}), "same"),
        ({"digest": V1, "size": 1, "since": "then"}, Held({}, {}), None),
        (None, Held({"c": V1}, {}), {"digest": V1, "since": "now"}),
        (None, Held({"c": V1}, {}, {V1: 5}), {"digest": V1, "since": "now", "size": 5}),
        (
            {"digest": V1, "since": "then"},
            Held({"c": V1}, {}, {V1: 5}),
            {"digest": V1, "since": "then", "size": 5},
        ),
        (
            {"digest": V1, "size": 1, "since": "then"},
            Held({"c": V2}, {}, {V2: 5}),
            {"digest": V2, "since": "now", "size": 5},
        ),
    ],
)
def test_what_is_remembered(was: Any, held: Held | None, expected: Any) -> None:  # noqa: ANN401  # JSON
    """A tag keeps its age as long as it keeps its digest."""
    assert record.desired(image(was), held, "now") == (was if expected == "same" else expected)
