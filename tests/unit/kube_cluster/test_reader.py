"""What is only read, against a server that answers what the test says."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import AuthenticationError, UnavailableError
from sealoshub.kube import GoneError, UserInfo
from tests.unit.kube_cluster.conftest import Answer, FakeApi, status

if TYPE_CHECKING:
    from sealoshub.kube.cluster import Cluster


def test_who_one_is_comes_from_the_server(fake: FakeApi, cluster: Cluster) -> None:
    """A SelfSubjectReview with the user's own token."""
    info = {"username": "alice", "uid": "1", "groups": ["dev"], "extra": {"k": ["v"]}}
    fake.give(Answer(201, {"status": {"userInfo": info}}))
    assert cluster.whoami() == UserInfo("alice", "1", ("dev",), {"k": ("v",)})
    (asked,) = fake.asked
    assert (asked.method, asked.path, asked.token) == (
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        "t0",
    )


def test_anonymous_is_nobody(fake: FakeApi, cluster: Cluster) -> None:
    """A credential that the server ignored is not taken for one."""
    fake.give(Answer(201, {"status": {"userInfo": {"username": "system:anonymous"}}}))
    with pytest.raises(AuthenticationError):
        cluster.whoami()


def test_an_old_cluster_cannot_say_who_one_is(fake: FakeApi, cluster: Cluster) -> None:
    """Kubernetes before 1.28 has no SelfSubjectReview."""
    fake.give(status(404))
    with pytest.raises(UnavailableError, match="cannot say who you are"):
        cluster.whoami()


def test_what_is_served_is_asked_of_discovery(fake: FakeApi, cluster: Cluster) -> None:
    """A group that is not there, and one without the kind, are both no."""
    fake.give(Answer(200, {"resources": [{"name": "images"}]}), status(404), Answer(200, {}))
    assert cluster.supports("Image")
    assert not cluster.supports("Image")
    assert not cluster.supports("Namespace")
    assert [a.path for a in fake.asked] == ["/apis/imagehub.sealos.io/v1"] * 2 + ["/api/v1"]


def test_a_list_is_read_page_by_page(fake: FakeApi, cluster: Cluster) -> None:
    """And its items get the kind that lists leave out."""
    fake.give(
        Answer(200, {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "c+1"}}),
        Answer(200, {"items": [{"metadata": {"name": "b"}}], "metadata": {"resourceVersion": "7"}}),
    )
    items, version = cluster.snapshot(
        "Image", lambda i: (i["apiVersion"], i["kind"], i["metadata"]["name"]), label_selector="a=b"
    )
    group = "imagehub.sealos.io/v1"
    assert (items, version) == ([(group, "Image", "a"), (group, "Image", "b")], "7")
    assert [a.query for a in fake.asked] == [
        "limit=500&labelSelector=a%3Db",
        "limit=500&labelSelector=a%3Db&continue=c%2B1",
    ]


def test_a_list_whose_token_expires_begins_again(fake: FakeApi, cluster: Cluster) -> None:
    """No object is there twice, and none is missing."""
    first = Answer(200, {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "c"}})
    last = Answer(200, {"items": [{"metadata": {"name": "b"}}], "metadata": {}})
    fake.give(first, status(410, "Expired"), first, last)
    assert [i["metadata"]["name"] for i in cluster.list("Image")] == ["a", "b"]


def event(kind: str, version: str) -> bytes:
    """Return one line of a watch."""
    return (
        b'{"type":"%s","object":{"kind":"Image","metadata":{"resourceVersion":"%s"}}}\n'
        % (kind.encode(), version.encode())
    )  # fmt: skip


def test_a_watch_yields_events_as_they_come(fake: FakeApi, cluster: Cluster) -> None:
    """Also when a line is cut anywhere, or two come at once."""
    text = event("ADDED", "2") + event("MODIFIED", "3") + event("DELETED", "4")
    fake.give(Answer(lines=(text[:30], text[30:150], text[150:])))
    fake.release.set()
    found = list(cluster.watch("Image", resource_version="1", timeout=5))
    assert [(k, o["metadata"]["resourceVersion"]) for k, o in found] == [
        ("ADDED", "2"),
        ("MODIFIED", "3"),
        ("DELETED", "4"),
    ]
    assert "resourceVersion=1" in fake.asked[0].query


@pytest.mark.parametrize(
    "answer",
    [
        status(410, "Expired"),
        Answer(lines=(b'{"type":"ERROR","object":{"code":410,"reason":"Expired"}}\n',)),
    ],
)
def test_a_watch_that_is_too_late_says_so(fake: FakeApi, cluster: Cluster, answer: Answer) -> None:
    """As an answer, or as an event in the stream."""
    fake.give(answer)
    fake.release.set()
    with pytest.raises(GoneError):
        list(cluster.watch("Image", resource_version="1", timeout=5))


def test_a_watch_that_breaks_off_is_no_end(fake: FakeApi, cluster: Cluster) -> None:
    """A connection that is lost is an error; a watch that ends is not."""
    fake.give(Answer(lines=(event("ADDED", "2"),), cut=0))
    with pytest.raises(UnavailableError):
        list(cluster.watch("Image", resource_version="1", timeout=5))


def test_a_watch_can_be_ended_from_another_thread(fake: FakeApi, cluster: Cluster) -> None:
    """Its iterator just ends, while the server still holds the connection."""
    fake.give(Answer(lines=(event("ADDED", "2"),)))
    seen, ended = threading.Event(), threading.Event()

    def follow() -> None:
        for _ in cluster.watch("Image", resource_version="1", timeout=60):
            seen.set()
        ended.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert seen.wait(60)
    cluster.stop_watches()
    assert ended.wait(60)
    thread.join()
