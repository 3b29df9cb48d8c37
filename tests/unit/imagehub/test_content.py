"""The controller and a registry: what was pushed and deleted by any client is what one sees."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.authserver.events import Change, lease_name
from sealoshub.errors import NotFoundError, SealosHubError, UnavailableError
from sealoshub.imagehub import names
from sealoshub.imagehub.controller.held import Held, presence
from sealoshub.imagehub.controller.kinds import picture
from tests.unit.imagehub.conftest import (
    People,
    bind,
    condition,
    gone,
    ready,
    resource,
    running,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sealoshub.kube import Object

V1, V2, V3 = (f"sha256:{letter * 64}" for letter in "abc")


@dataclass(frozen=True, slots=True)
class Said:
    """What the fake registry says of every image."""

    platforms: Sequence[str] = ("linux/amd64",)
    size: int = 7
    image_id: str = "sha256:" + "d" * 64
    created: str = "2026-01-02T03:04:05Z"


@dataclass
class FakeContent:
    """A registry: `org/repo` → tag → digest, and untagged digests; with a knob for failures."""

    tagged: dict[str, dict[str, str]] = field(default_factory=dict)
    untagged: set[str] = field(default_factory=set)
    is_down: bool = False
    keeps: bool = False  # it does not delete
    untags: bool = True  # a tag goes alone
    indexes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # `org/repo` of tags, or `org/repo:target`
    thread: threading.local = field(default_factory=threading.local)
    heard: Callable[[], None] = lambda: None  # told of each question

    def repositories(self) -> list[str]:
        """Return every repository."""
        return list(self._up())

    def tags(self, path: str) -> list[str]:
        """Return the tags."""
        self.asked.append(path)
        return list(self._up().get(path, {}))

    def digest_of(self, path: str, target: str) -> str | None:
        """Return what a tag or digest names."""
        self.asked.append(f"{path}:{target}")
        tags = self._up().get(path, {})
        known = {*tags.values(), *self.untagged}
        return target if target in known else tags.get(target)

    def describe(self, path: str, digest: str) -> Said | None:
        """Return the same of every image that is there."""
        return Said() if self.digest_of(path, digest) else None

    def delete(self, path: str) -> None:
        """Forget a repository."""
        if self.keeps:
            raise UnavailableError("it does not delete")
        self._up().pop(path, None)

    def point(self, path: str, tag: str, digest: str) -> bool:
        """Let a tag name what is there."""
        tags = self._up().get(path, {})
        if digest not in {*tags.values(), *self.untagged}:
            return False
        self.untagged.add(tags[tag])
        tags[tag] = digest
        return True

    def remove(self, path: str, tag: str) -> bool:
        """Take a tag away, where that is possible."""
        if self.untags and (digest := self._up()[path].pop(tag, None)):
            self.untagged.add(digest)
        return self.untags

    def remove_manifest(self, path: str, digest: str) -> None:
        """Delete a manifest and its tags."""
        if self.keeps:
            raise SealosHubError("it does not delete")
        tags = self._up()[path]
        self.tagged[path] = {tag: found for tag, found in tags.items() if found != digest}
        self.untagged.discard(digest)

    def listed(self, path: str, digest: str) -> tuple[str, ...]:
        """Return what an index lists."""
        if self.digest_of(path, digest) is None:
            raise NotFoundError(digest)
        return self.indexes.get(digest, ())

    @contextlib.contextmanager
    def slowly(self, wait: Callable[[], None]) -> Iterator[None]:
        """Count each question as one request."""
        self.thread.wait = wait
        try:
            yield
        finally:
            del self.thread.wait

    def _up(self) -> dict[str, dict[str, str]]:
        getattr(self.thread, "wait", lambda: None)()
        self.heard()
        if self.is_down:
            raise UnavailableError("the registry does not answer")
        return self.tagged


@dataclass(frozen=True, slots=True)
class Live:
    """A hub with a controller and a registry."""

    people: People
    content: FakeContent

    def push(self, path: str, tag: str, digest: str, actor: str = "") -> None:
        """Do what a registry, and the token server that it tells, do after a push."""
        self.content.tagged.setdefault(path, {})[tag] = digest
        self.tell(path, tag, actor, digest)

    def tell(self, path: str, target: str = "", actor: str = "", digest: str = "") -> str:
        """Leave the note that the token server leaves, and return its name."""
        name = lease_name(Change(path, target))
        marks = {names.REPOSITORY_NOTE: path, names.TARGET_NOTE: target}
        said = {names.ACTOR_NOTE: actor, names.DIGEST_NOTE: digest}
        note: Object = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name,
                "namespace": names.HUB_NAMESPACE,
                "labels": {names.CONTENT_LABEL: "changed"},
                "annotations": marks | {name: text for name, text in said.items() if text},
            },
            "spec": {
                "holderIdentity": "registry",
                "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            },
        }
        self.people.admin.apply(note)
        return name

    def heard(self, path: str, target: str = "") -> None:
        """Wait until such a note was looked at."""
        name = lease_name(Change(path, target))
        until(lambda: gone(self.people.admin, "Lease", name, names.HUB_NAMESPACE), f"{path} heard")

    def present(self, name: str, status: str) -> Object:
        """Wait until the Image *name* says whether its content is there, and return it."""

        def look() -> Object | None:
            with contextlib.suppress(NotFoundError):
                image = self.people.admin.get("Image", names.object_name(name))
                if condition(image, "Present").get("status") == status:
                    return image
            return None

        found: Object = until(look, f"Image {name} is Present={status}")
        return found


@pytest.fixture(scope="module")
def live(people: People) -> Iterator[Live]:
    """A controller whose sweeps the tests wait for."""
    content = FakeContent({"early/app": {"v1": V1}})
    people.admin.create(resource("Organization", "early", creator="admin"))
    with running(people.controller, registry=content, sweep_seconds=0.5):
        yield Live(people, content)


def organization(live: Live, name: str) -> None:
    """Make an organisation of alice and wait for it."""
    live.people.alice.create(resource("Organization", name, creator="alice"))
    ready(live.people.admin, "Organization", name)


def test_what_was_pushed_before_the_start_is_found(live: Live) -> None:
    """The sweep at the start makes Image and Repository of content that nobody told of."""
    image = live.present("early/app:v1", "True")
    assert image["spec"]["digest"] == V1
    assert image["spec"]["detail"]["size"] == 7
    ready(live.people.admin, "Repository", "early.app")


def test_a_push_is_seen_by_its_note(live: Live) -> None:
    """A note leads to an Image with the facts and to the repository's status, and is removed."""
    organization(live, "noted")
    live.push("noted/app", "v1", V1)
    image = live.present("noted/app:v1", "True")
    assert image["spec"] == {
        "name": "noted/app:v1",
        "creator": "system:serviceaccount:imagehub-system:imagehub-controller",
        "digest": V1,
        "platforms": ["linux/amd64"],
        "detail": {
            "size": 7,
            "ID": Said().image_id,
            "arch": "amd64",
            "creatTime": "2026-01-02T03:04:05Z",
        },
    }
    ready(live.people.admin, "Image", "noted.app.v1")
    repository = until(
        lambda: next(
            (
                found
                for found in live.people.admin.list("Repository")
                if found["spec"]["name"] == "noted/app"
                and (found.get("status") or {}).get("tagCount") == 1
            ),
            None,
        ),
        "the repository has its tag",
    )
    assert repository["spec"]["isPrivate"] is True
    assert repository["status"]["latestTag"]["digest"] == V1
    live.heard("noted/app", "v1")


def test_whoever_pushed_is_the_creator(live: Live) -> None:
    """Of the Image and of the Repository that the push made; and stays it, whoever pushes next."""
    organization(live, "made")
    bind(live.people.admin, "made", "developer", "bob")
    live.push("made/app", "v1", V1, actor="bob")
    image = live.present("made/app:v1", "True")
    assert image["spec"]["creator"] == "bob"
    assert ready(live.people.admin, "Repository", "made.app")["spec"]["creator"] == "bob"
    live.push("made/app", "v1", V2, actor="alice")

    def moved() -> Object | None:
        found = live.people.admin.get("Image", "made.app.v1")
        return found if found["spec"]["digest"] == V2 else None

    assert until(moved, "the digest follows")["spec"]["creator"] == "bob"


def test_a_push_that_describes_its_image_comes_after_the_controller(live: Live) -> None:
    """Its server-side apply has no conflict, keeps the creator, and owns what it says."""
    organization(live, "described")
    bind(live.people.admin, "described", "developer", "bob")
    live.push("described/app", "v1", V1, actor="bob")
    live.present("described/app:v1", "True")
    mine = resource("Image", "described/app:v1", digest=V1, creator="bob")
    mine["spec"]["detail"] = {"description": "from the image", "size": 8}
    done = live.people.bob.apply(mine, field_manager="sealoshub-push", force=True)
    assert done.obj["spec"]["creator"] == "bob"
    assert done.obj["spec"]["detail"]["size"] == 8
    entries = done.obj["metadata"]["managedFields"]
    owned = next(item for item in entries if item["manager"] == "sealoshub-push")
    fields = owned["fieldsV1"]["f:spec"]
    assert {"f:digest", "f:creator", "f:detail"} <= set(fields)
    assert set(fields["f:detail"]) >= {"f:description", "f:size"}


def test_a_tag_that_moves_takes_the_facts_along_and_leaves_words_alone(live: Live) -> None:
    """The digest follows the content; what a person wrote into `detail` stays."""
    organization(live, "moving")
    live.push("moving/app", "v1", V1)
    live.present("moving/app:v1", "True")
    words = {"spec": {"name": "moving/app:v1", "detail": {"description": "mine", "size": 1}}}
    live.people.alice.apply(
        {**resource("Image", "moving/app:v1"), **words}, field_manager="kubectl", force=True
    )
    live.push("moving/app", "v1", V2)
    image = until(
        lambda: next(
            (
                found
                for found in [live.people.admin.get("Image", "moving.app.v1")]
                if found["spec"]["digest"] == V2
            ),
            None,
        ),
        "the digest follows",
    )
    assert image["spec"]["detail"]["description"] == "mine"
    assert image["spec"]["detail"]["size"] == 1


def test_facts_of_an_earlier_push_are_not_a_person(live: Live) -> None:
    """A tag that `sealoshub push` described follows the content too; a pinned digest stays."""
    organization(live, "pushed")
    for tag, manager in (("v1", "sealoshub-push"), ("v2", "kubectl")):
        image = resource("Image", f"pushed/app:{tag}", digest=V1, detail={"size": 1})
        live.people.admin.apply(image, field_manager=manager)
    live.content.untagged.add(V1)
    live.content.tagged["pushed/app"] = {"v1": V2, "v2": V2}
    live.tell("pushed/app")
    until(
        lambda: live.people.admin.get("Image", "pushed.app.v1")["spec"]["digest"] == V2,
        "the digest follows",
    )
    assert live.people.admin.get("Image", "pushed.app.v1")["spec"]["detail"]["size"] == 7
    pinned = until(
        lambda: next(
            (
                found
                for found in [live.people.admin.get("Image", "pushed.app.v2")]
                if condition(found, "Present").get("reason") == "TagMoved"
            ),
            None,
        ),
        "the pinned one says that its tag moved",
    )
    assert pinned["spec"]["digest"] == V1


def test_what_was_deleted_is_removed_or_marked(live: Live) -> None:
    """A sweep removes Images that only the controller made, and marks those of people."""
    organization(live, "ending")
    live.push("ending/app", "v1", V1)
    live.push("ending/app", "v2", V2)
    live.present("ending/app:v1", "True")
    live.people.alice.apply(
        {
            **resource("Image", "ending/app:v2"),
            "spec": {"name": "ending/app:v2", "detail": {"description": "mine"}},
        },
        field_manager="kubectl",
    )
    live.present("ending/app:v2", "True")
    live.content.tagged["ending/app"] = {}
    until(lambda: gone(live.people.admin, "Image", "ending.app.v1"), "the Image is removed")
    marked = live.present("ending/app:v2", "False")
    assert condition(marked, "Present")["reason"] == "NotInRegistry"
    assert marked["spec"]["detail"]["description"] == "mine"


def test_content_without_an_organization_has_no_image(live: Live) -> None:
    """Nothing is made of what lies in the registry for an organisation that is not there."""
    live.push("nobody/app", "v1", V1)
    live.heard("nobody/app", "v1")
    assert gone(live.people.admin, "Image", "nobody.app.v1")


def test_a_registry_that_is_down_changes_nothing(live: Live) -> None:
    """While the registry does not answer nothing is marked, and afterwards all is seen."""
    organization(live, "patient")
    live.push("patient/app", "v1", V1)
    live.present("patient/app:v1", "True")
    live.content.is_down = True
    live.content.asked.clear()
    live.content.tagged["patient/app"]["v2"] = V2
    live.tell("patient/app")
    until(lambda: live.content.asked.count("patient/app") > 1, "the registry is asked in vain")
    assert live.present("patient/app:v1", "True")["spec"]["digest"] == V1
    live.content.is_down = False
    live.present("patient/app:v2", "True")


def test_an_organization_leaves_no_content_to_the_next_of_its_name(live: Live) -> None:
    """It goes only when told to go with its content, and its name is free after that is gone."""
    organization(live, "leaving")
    live.push("leaving/app", "v1", V1)
    live.present("leaving/app:v1", "True")
    admin = live.people.admin
    live.people.alice.delete("Organization", "leaving")
    until(
        lambda: condition(admin.get("Organization", "leaving"))["reason"] == "HasRepositories",
        "the deletion is refused",
    )
    assert live.content.tagged["leaving/app"] == {"v1": V1}
    live.content.keeps = True
    force = {"metadata": {"annotations": {names.FORCE_DELETE: "true"}}}
    live.people.alice.patch("Organization", "leaving", force)
    until(
        lambda: condition(admin.get("Organization", "leaving"))["reason"] == "ContentRemains",
        "the name stays taken",
    )
    live.content.keeps = False
    until(lambda: gone(admin, "Organization", "leaving"), "the organisation is gone")
    assert "leaving/app" not in live.content.tagged
    assert gone(admin, "Image", "leaving.app.v1")


def test_content_that_has_no_resources_keeps_an_organization_too(live: Live) -> None:
    """What lies in the registry and in no resource is not handed to the next of the name."""
    organization(live, "hidden")
    live.content.tagged["hidden/app"] = {"v1": V1}
    live.people.alice.delete("Organization", "hidden")
    admin = live.people.admin
    until(
        lambda: "hidden/app" in condition(admin.get("Organization", "hidden")).get("message", ""),
        "the deletion is refused",
    )
    del live.content.tagged["hidden/app"]
    with contextlib.suppress(NotFoundError):  # it may have been looked at already
        admin.patch("Organization", "hidden", {"metadata": {"annotations": {"look": "again"}}})
    until(lambda: gone(admin, "Organization", "hidden"), "the organisation is gone")


def test_a_push_costs_a_constant_number_of_writes(live: Live) -> None:
    """One more tag writes as much in a repository of forty tags as in one of none."""
    organization(live, "counted")
    bind(live.people.admin, "counted", "owner", "carol")
    live.content.tagged["counted/app"] = {f"t{number}": V3 for number in range(40)}
    live.tell("counted/app")
    live.present("counted/app:t39", "True")
    until(
        lambda: (
            (live.people.admin.get("Repository", "counted.app").get("status") or {}).get("tagCount")
            == 40
        ),
        "all tags are counted",
    )
    until(lambda: _settled(live) == 40, "nothing is left to write about any of them")
    before = _versions(live)
    live.push("counted/app", "last", V2)
    live.present("counted/app:last", "True")
    until(
        lambda: (
            live.people.admin.get("Repository", "counted.app")["status"]["latestTag"]["digest"]
            and live.people.admin.get("Repository", "counted.app")["status"]["tagCount"] == 41
        ),
        "the tag is counted",
    )
    after = _versions(live)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"counted.app", "counted.app.last"}


def _settled(live: Live) -> int:
    """Return how many Images are all that they will be."""
    images = [
        image
        for image in live.people.admin.list("Image")
        if image["metadata"]["name"].startswith("counted.")
    ]
    wanted = {"Ready": "InRepository", "Present": "InRegistry"}
    return sum(
        all(condition(image, kind).get("reason") == reason for kind, reason in wanted.items())
        for image in images
    )


def _versions(live: Live) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind in ("Repository", "Image"):
        for obj in live.people.admin.list(kind):
            if obj["metadata"]["name"].startswith("counted."):
                found[obj["metadata"]["name"]] = obj["metadata"]["resourceVersion"]
    return found


@pytest.mark.parametrize(
    ("spec", "held", "expected"),
    [
        ({"digest": V1}, None, None),
        ({"digest": V1}, Held({}, {}), None),
        ({"digest": V1}, Held({"v1": V1}, {V1: True}), ("True", "InRegistry")),
        ({"digest": V1}, Held({"v1": V2}, {V1: True, V2: True}), ("True", "TagMoved")),
        ({"digest": V1}, Held({}, {V1: True}), ("True", "TagMoved")),
        ({"digest": V1}, Held({"v1": V2}, {V1: False, V2: True}), ("False", "NotInRegistry")),
        ({}, Held({"v1": V2}, {V2: True}), ("True", "InRegistry")),
        ({}, Held({}, {}), ("False", "NotInRegistry")),
    ],
)
def test_presence(
    spec: dict[str, Any], held: Held | None, expected: tuple[str, str] | None
) -> None:
    """Present says whether the registry has this digest; nothing as long as nobody asked."""
    image = picture(resource("Image", "org/app:v1", **spec))
    found = presence(image, held)
    assert (None if found is None else (found["status"], found["reason"])) == expected


def test_presence_stays_as_it_was_until_somebody_asks() -> None:
    """After a restart the condition is kept, so that nothing flaps."""
    before = {"type": "Present", "status": "False", "reason": "NotInRegistry", "message": "gone"}
    image = picture(
        {**resource("Image", "org/app:v1", digest=V1), "status": {"conditions": [before]}}
    )
    assert presence(image, None) == before
