"""Notifications of registries: who may send them, what they mean, what becomes of them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.authserver import events as module
from sealoshub.authserver.events import (
    Change,
    Events,
    LeaseSink,
    Push,
    change_of,
    lease_name,
    push_of,
)
from sealoshub.errors import InvalidInputError, UnavailableError
from sealoshub.kube.review import ApiServer
from tests.unit.authserver.fake_kubernetes import OWN_TOKEN, FakeKubernetes
from tests.unit.authserver.program import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.authserver.conftest import Serve
    from tests.unit.authserver.running import Answer, RunningServer

BEARER = "planted-events-token"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ALICE = "system:serviceaccount:user-system:alice"
DIGEST = "sha256:" + "0" * 64
V1 = Change("team/app", "v1")
LEASES = "/apis/coordination.k8s.io/v1/namespaces/imagehub-system/leases"


def event(action: str = "push", repository: object = "team/app", **target: object) -> Any:  # noqa: ANN401  # JSON
    """Return one notification, as registry 3 sends it."""
    return {
        "id": "asdf",
        "timestamp": "2026-11-23T10:00:00Z",
        "action": action,
        "target": {
            "mediaType": MANIFEST,
            "digest": DIGEST,
            "repository": repository,
            "url": "http://localhost:5000/v2/team/app/manifests/sha256:0",
            "tag": "v1",
            **target,
        },
        "actor": {"name": ALICE},
    }


@pytest.mark.parametrize(
    ("notification", "expected"),
    [
        (event(), V1),
        (event("delete"), V1),
        (event("mount"), V1),
        (event("delete", tag=None), Change("team/app", DIGEST)),
        (event("delete", tag="", digest="x"), Change("team/app", "")),
        (
            {"action": "delete", "target": {"digest": "sha256:0", "repository": "a/b"}},
            Change("a/b", ""),
        ),
        (event(tag=None), None),
        (event(tag="not a tag"), None),
        (event(tag=7), None),
        (event("pull"), None),
        (event("frobnicate"), None),
        (event(mediaType="application/octet-stream"), None),
        (event(repository="no-organisation"), None),
        (event(repository="../x"), None),
        (event(repository="a/b/c"), None),
        (event(repository="A/b"), None),
        (event(repository=""), None),
        (event(repository=7), None),
        (event(repository="team/app\nx"), None),
        ({}, None),
        ({"action": "push"}, None),
        ({"action": "push", "target": []}, None),
        ({"action": ["push"], "target": {"repository": "a/b"}}, None),
    ],
)
def test_what_a_notification_means(notification: dict[str, Any], expected: Change | None) -> None:
    """Tags that came or went; nothing else, and no name that is none of ours."""
    assert change_of(notification) == expected


@pytest.mark.parametrize(
    ("notification", "expected"),
    [
        (event(), ALICE),
        (event("delete"), ""),
        (event() | {"actor": {}}, ""),
        (event() | {"actor": {"name": ""}}, ""),
        (event() | {"actor": {"name": "system:anonymous"}}, ""),
        (event() | {"actor": {"name": 7}}, ""),
        (event() | {"actor": "alice"}, ""),
        (event() | {"actor": {"name": "a" * 321}}, ""),
        (event() | {"actor": {"name": "alice\nbob"}}, ""),
        ({"action": ["push"]}, ""),
    ],
)
def test_who_pushed(notification: dict[str, Any], expected: str) -> None:
    """The user of the registry's token; nobody where there is none, or none that can be."""
    assert push_of(notification).actor == expected


@pytest.mark.parametrize(
    ("notification", "expected"),
    [
        (event(), DIGEST),
        (event("delete"), ""),
        (event(digest="sha256:0"), ""),
        (event(digest=None), ""),
        ({"action": "push", "target": 7}, ""),
    ],
)
def test_what_was_pushed(notification: dict[str, Any], expected: str) -> None:
    """The digest that the tag will name; none of a delete, and none that is malformed."""
    assert push_of(notification).digest == expected


def test_the_names_of_leases() -> None:
    """No two changes have the same one, and each is a name that Kubernetes takes."""
    alike = [Change("a/b.c", "d"), Change("a/b", "c.d"), Change("a/b", ""), Change("a/b", DIGEST)]
    names = {lease_name(change) for change in alike}
    assert len(names) == len(alike)
    assert all(len(name) == len("content.") + 64 for name in names)


class Sink:
    """Remembers what it was told; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.told: list[str] = []
        self.actors: list[str] = []
        self.failures = failures
        self._heard = asyncio.Condition()

    async def changed(self, change: Change, push: Push) -> None:
        """Take note."""
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise UnavailableError("not now")
        async with self._heard:
            self.told.append(f"{change.repository}:{change.target}")
            self.actors.append(push.actor)
            self._heard.notify_all()

    async def heard(self, count: int) -> None:
        """Wait until it was told *count* times."""
        async with self._heard:
            await self._heard.wait_for(lambda: len(self.told) >= count)


def envelope(*notifications: object) -> bytes:
    """Return a body."""
    return json.dumps({"events": list(notifications)}).encode()


def queue(tmp_path: Path, sink: Sink, counted: list[str] | None = None) -> Events:
    """Return a queue in front of *sink*."""
    (tmp_path / "token").write_text(BEARER + "\n")
    return Events(
        tmp_path / "token", sink, counted.append if counted is not None else lambda _: None
    )


def test_a_change_waits_once(tmp_path: Path) -> None:
    """A replay is harmless, order does not matter, and a failure is tried again."""
    sink, counted = Sink(failures=2), list[str]()
    events = queue(tmp_path, sink, counted)
    assert all(events.take(envelope(event(), event("delete"))) for _ in range(50))
    assert events.take(envelope(event(repository="team/other"), event("pull")))
    assert len(events) == 2

    async def run() -> None:
        events.start()
        async with asyncio.timeout(60):
            await sink.heard(2)
            events.take(envelope(event()))
            await sink.heard(3)
        await events.stop()

    asyncio.run(run())
    assert sorted(sink.told) == ["team/app:v1", "team/app:v1", "team/other:v1"]
    assert set(sink.actors) == {ALICE}  # also when somebody else deleted after the push
    assert (counted.count("accepted"), counted.count("ignored")) == (102, 1)


def test_the_queue_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is full the registry has to keep what is new, and may repeat what waits."""
    monkeypatch.setattr(module, "QUEUED", 3)
    events = queue(tmp_path, Sink())
    assert all(events.take(envelope(event(repository=f"team/a{n}"))) for n in range(3))
    assert not events.take(envelope(event(repository="team/a3")))
    assert events.take(envelope(event(repository="team/a1")))
    assert len(events) == 3


def test_what_waits_is_told_at_the_end(tmp_path: Path) -> None:
    """A stop tries once, and does not wait for an API server that is down."""
    for failures, told in ((0, ["team/app:v1"]), (9, [])):
        sink = Sink(failures)
        events = queue(tmp_path, sink)
        events.take(envelope(event()))
        asyncio.run(events.stop())
        assert sink.told == told


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"events": {}}', b'{"events": [1]}', b"[" * 100_000]
)
def test_bodies_that_are_no_envelope(tmp_path: Path, body: bytes) -> None:
    """Are refused, and nothing of them is queued."""
    events = queue(tmp_path, Sink())
    with pytest.raises(InvalidInputError):
        events.take(body)
    assert len(events) == 0


def test_a_lease_is_made_and_renewed(fake: FakeKubernetes, tmp_path: Path) -> None:
    """With the repository's name, a label to find it by, and a time that moves on."""
    (tmp_path / "own").write_text(OWN_TOKEN)
    moments = [datetime(2026, 11, 23, 10, 0, second, 5, UTC) for second in range(2)]

    async def run() -> list[dict[str, Any]]:
        api = ApiServer(fake.url, token_file=tmp_path / "own")
        sink = LeaseSink(api, "imagehub-system", lambda: moments.pop(0))
        found = []
        for push in (Push(ALICE, DIGEST), Push("bob", "")):
            await sink.changed(V1, push)
            found.append(fake.objects[f"{LEASES}/{lease_name(V1)}"])
        await api.aclose()
        return found

    first, second = asyncio.run(run())
    assert first["metadata"]["labels"] == {"imagehub.sealos.io/content": "changed"}
    assert first["metadata"]["annotations"] == {
        "imagehub.sealos.io/repository": "team/app",
        "imagehub.sealos.io/target": "v1",
        "imagehub.sealos.io/actor": ALICE,
        "imagehub.sealos.io/digest": DIGEST,
    }
    assert second["metadata"]["annotations"]["imagehub.sealos.io/digest"] is None  # removes it
    assert second["metadata"]["annotations"]["imagehub.sealos.io/actor"] == "bob"
    assert first["spec"]["renewTime"] == "2026-11-23T10:00:00.000005Z"
    assert second["spec"]["renewTime"] == "2026-11-23T10:00:01.000005Z"


# ------------------------------------------------------------------ the endpoint
@pytest.fixture
def listening(serve: Serve, tmp_path: Path) -> RunningServer:
    """A token server that takes notifications."""
    (tmp_path / "events-token").write_text(BEARER)
    return serve(events_token_file="events-token")


def post(server: RunningServer, body: bytes, authorization: str | None) -> Answer:
    """Send notifications as a registry does."""
    headers = {"content-type": "application/vnd.docker.distribution.events.v2+json"}
    if authorization is not None:
        headers["authorization"] = authorization
    return server.request("POST", "/v1/events", body=body, headers=headers)


def test_a_push_leaves_a_lease(listening: RunningServer, fake: FakeKubernetes) -> None:
    """202, and soon the object is there; sent again it is the same object."""
    for _ in range(3):
        assert post(listening, envelope(event(), event("pull")), f"Bearer {BEARER}").status == 202
    wait_for(lambda: f"{LEASES}/{lease_name(V1)}" in fake.objects, "the lease")
    assert [path for path in fake.objects if path.startswith(LEASES)] == [
        f"{LEASES}/{lease_name(V1)}"
    ]


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer wrong", "Bearer", "Bearer ", f"Basic {BEARER}", BEARER, f"Bearer {BEARER}x"],
)
def test_strangers_are_not_heard(
    listening: RunningServer, fake: FakeKubernetes, authorization: str | None
) -> None:
    """401 for whoever has not the registry's token, whatever he sends."""
    answer = post(listening, envelope(event()), authorization)
    assert answer.status == 401
    assert BEARER not in answer.body.decode()
    assert not [path for path in fake.objects if path.startswith(LEASES)]


def test_bodies_over_the_limit(listening: RunningServer) -> None:
    """413 and 400, and the endpoint goes on."""
    bearer = f"Bearer {BEARER}"
    assert post(listening, b"a" * (module.MAX_BODY + 1), bearer).status == 413
    assert post(listening, b"garbage", bearer).status == 400
    assert post(listening, envelope(), bearer).status == 202
    assert listening.request("GET", "/v1/events").status == 405


def test_no_notifications_where_none_are_configured(token_server: RunningServer) -> None:
    """404, with any bearer."""
    assert post(token_server, envelope(event()), f"Bearer {BEARER}").status == 404


def test_an_empty_token_opens_nothing(serve: Serve, tmp_path: Path) -> None:
    """A file that is empty, or not there, is no token."""
    (tmp_path / "events-token").write_text("\n")
    server = serve(events_token_file="events-token")
    assert post(server, envelope(event()), "Bearer ").status == 401
    other = serve(events_token_file="missing")
    assert post(other, envelope(event()), "Bearer x").status == 503
