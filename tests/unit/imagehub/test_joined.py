"""How often the list of a repository's tags is written, which is long where there are many."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from sealoshub.imagehub.names import object_name
from sealoshub.kube.cluster import Cluster
from tests.integration.servers.process import free_port
from tests.unit.imagehub.conftest import condition, people, running, until
from tests.unit.imagehub.test_content import V1, FakeContent, Live, organization

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealoshub.kube import Object
    from tests.unit.imagehub.conftest import People

__all__ = ["people"]

PUSHES = 20
RECEIVED = 'notifications_total{result="received"}'
PATIENCE = 60.0  # seconds; nobody waits so long unless something is wrong


class Gate:
    """Where whoever comes next waits until he may go on."""

    def __init__(self) -> None:
        self.is_shut = False
        self.entered = threading.Event()
        self.opened = threading.Event()

    def go_through(self) -> None:
        """Come to it."""
        if self.is_shut:
            self.is_shut = False
            self.entered.set()
            assert self.opened.wait(PATIENCE)


class Gated(FakeContent):
    """A registry that may be stopped before it answers about the tag `first`."""

    gate: Gate

    def digest_of(self, path: str, target: str) -> str | None:
        """Return what a tag or digest names."""
        if target == "first":
            self.gate.go_through()
        return super().digest_of(path, target)


@dataclass(frozen=True, slots=True)
class Case:
    """A repository of one tag, of which nothing is left to write.

    Args:
        live: Its hub, with a controller.
        path: `org/repo`.
        written: How many tags there were in each list that was written since.
        answer: Before the registry answers about the tag `first`.
        write: Before such a list is written.
        port: Of the controller's metrics.
    """

    live: Live
    path: str
    written: list[int]
    answer: Gate
    write: Gate
    port: int

    def number(self, name: str) -> int:
        """Return a number of the controller's."""
        said = httpx.get(f"http://localhost:{self.port}/metrics", timeout=PATIENCE).text
        found = re.search(rf"^sealoshub_controller_{re.escape(name)} (\d+)$", said, re.MULTILINE)
        return 0 if found is None else int(found[1])

    def push_more(self) -> None:
        """Push tags besides `first`, one after the other."""
        for number in range(1, PUSHES):
            self.live.push(self.path, f"t{number}", V1)

    def settled(self, count: int) -> bool:
        """Tell whether so many tags are listed, and every Image says all that it will."""
        admin = self.live.people.admin
        found = [obj for obj in admin.list("Repository") if obj["spec"]["name"] == self.path]
        images = [
            obj for obj in admin.list("Image") if obj["spec"]["name"].startswith(f"{self.path}:")
        ]
        return (
            [(obj.get("status") or {}).get("tagCount") for obj in found] == [count]
            and len(images) == count
            and all(
                condition(image, kind).get("status") == "True"
                for image in images
                for kind in ("Ready", "Present")
            )
        )


@pytest.fixture
def case(people: People, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """A repository of its own, and a controller."""
    owner = f"joined{len(people.admin.list('Organization'))}"
    content = Gated()
    content.gate = Gate()
    found = Case(Live(people, content), f"{owner}/app", [], content.gate, Gate(), free_port())
    send = Cluster.patch_status

    def patch_status(
        cluster: Cluster, kind: str, name: str, status: Object, namespace: str | None = None
    ) -> Object:
        if kind == "Repository" and name == object_name(found.path) and "tags" in status:
            found.write.go_through()
            found.written.append(len(status["tags"]))
        return send(cluster, kind, name, status, namespace)

    monkeypatch.setattr(Cluster, "patch_status", patch_status)
    with running(people.controller, registry=content, health_port=found.port):
        organization(found.live, owner)
        found.live.push(found.path, "zero", V1)
        found.live.heard(found.path, "zero")
        until(lambda: found.settled(1), "the first tag is listed")
        found.written.clear()
        yield found


def test_pushes_while_the_list_is_written_are_one_more_write(case: Case) -> None:
    """However many there are: it is written again when it has been written."""
    case.write.is_shut = True
    case.live.push(case.path, "first", V1)
    assert case.write.entered.wait(PATIENCE)
    case.push_more()
    for number in range(1, PUSHES):
        case.live.heard(case.path, f"t{number}")
    case.write.opened.set()
    until(lambda: case.settled(1 + PUSHES), "all tags are listed")
    assert case.written == [2, 1 + PUSHES]


def test_pushes_that_are_found_together_are_listed_together(case: Case) -> None:
    """The list waits for the Images of all of them, each of which takes a write of its own.

    One write is of the push before them, and one may have begun when they did.
    """
    case.answer.is_shut = True
    case.live.push(case.path, "first", V1)
    assert case.answer.entered.wait(PATIENCE)
    case.push_more()
    until(lambda: case.number(RECEIVED) >= 1 + PUSHES, "the controller knows of all of them")
    case.answer.opened.set()
    until(lambda: case.settled(1 + PUSHES), "all tags are listed")
    assert case.written[-1] == 1 + PUSHES
    assert len(case.written) <= 3
    for tag in ("first", *(f"t{number}" for number in range(1, PUSHES))):
        case.live.heard(case.path, tag)
    assert case.number('writes_total{kind="Lease",verb="delete"}') == 1 + PUSHES
