"""The client door: what is sent, and what each answer means."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sealoshub.errors import (
    AuthenticationError,
    DeniedError,
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.kube import ConflictError, GoneError, UserInfo
from sealoshub.kube.cluster import Cluster
from sealoshub.secret import Secret
from tests.unit.kube_cluster.conftest import Answer, FakeApi, credential

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IMAGES = "/apis/imagehub.sealos.io/v1/images"
IMAGE: dict[str, Any] = {
    "apiVersion": "imagehub.sealos.io/v1",
    "kind": "Image",
    "metadata": {"name": "team.app.v1", "managedFields": [{"manager": "x"}]},
    "spec": {"name": "team/app:v1"},
}


def stored(version: str) -> dict[str, Any]:
    """Return the image as the server has it."""
    return {**IMAGE, "metadata": {"name": "team.app.v1", "resourceVersion": version}}


def status(code: int, reason: str = "", message: str = "no", **more: Any) -> Answer:  # noqa: ANN401  # JSON
    """Return an error answer."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": message, **more}
    return Answer(code, body)


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


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        (status(404), Answer(201, stored("1")), "created"),
        (Answer(200, stored("1")), Answer(200, {**stored("2"), "spec": {}}), "configured"),
        (Answer(200, stored("1")), Answer(200, stored("1")), "unchanged"),
        (Answer(200, stored("1")), Answer(200, {**stored("2"), "status": {"a": 1}}), "unchanged"),
    ],
)
def test_an_apply_tells_what_it_did(
    fake: FakeApi, cluster: Cluster, before: Answer, after: Answer, outcome: str
) -> None:
    """Whatever a controller writes meanwhile; the request is a server-side apply."""
    fake.give(before, after)
    assert cluster.apply(IMAGE).outcome == outcome
    asked = fake.asked[1]
    assert (asked.method, asked.path) == ("PATCH", f"{IMAGES}/team.app.v1")
    assert asked.query == "fieldManager=sealoshub&force=false"
    assert asked.kind == "application/apply-patch+yaml"
    assert asked.body == {**IMAGE, "metadata": {"name": "team.app.v1"}}


def test_a_dry_run_and_a_forced_apply_say_so(fake: FakeApi, cluster: Cluster) -> None:
    """As parameters of the request."""
    fake.default = Answer(200, stored("1"))
    cluster.apply(IMAGE, field_manager="me", force=True, dry_run=True)
    assert fake.asked[1].query == "fieldManager=me&force=true&dryRun=All"


def test_writes_carry_their_manager_and_refuse_unknown_fields(
    fake: FakeApi, cluster: Cluster
) -> None:
    """`as_manager` names every write of a part of the program."""
    other = cluster.as_manager("imagehub-controller")
    fake.default = Answer(200, stored("1"))
    other.create(IMAGE)
    other.replace(IMAGE, dry_run=True)
    other.patch("Image", "team.app.v1", {"spec": {}})
    other.patch_status("Image", "team.app.v1", {"x": 1})
    cluster.create(IMAGE)
    strict = "fieldValidation=Strict&fieldManager="
    assert [(a.method, a.path, a.query) for a in fake.asked] == [
        ("POST", IMAGES, f"{strict}imagehub-controller"),
        ("PUT", f"{IMAGES}/team.app.v1", f"{strict}imagehub-controller&dryRun=All"),
        ("PATCH", f"{IMAGES}/team.app.v1", f"{strict}imagehub-controller"),
        ("PATCH", f"{IMAGES}/team.app.v1/status", f"{strict}imagehub-controller"),
        ("POST", IMAGES, f"{strict}sealoshub"),
    ]
    assert [a.kind for a in fake.asked[2:4]] == ["application/merge-patch+json"] * 2


def test_writes_can_be_counted(fake: FakeApi, cluster: Cluster) -> None:
    """`counted_by` tells kind and verb of every write of a part of the program, and of no read."""
    told: list[tuple[str, str]] = []
    other = cluster.counted_by(lambda kind, verb: told.append((kind, verb))).as_manager("me")
    fake.default = Answer(200, stored("1"))
    other.create(IMAGE)
    other.replace(IMAGE)
    other.patch("Repository", "team.app", {"spec": {}})
    other.patch_status("Image", "team.app.v1", {"x": 1})
    other.apply_blind(IMAGE)
    other.delete("Lease", "note", "imagehub-system")
    other.get("Image", "team.app.v1")
    cluster.create(IMAGE)
    assert told == [
        ("Image", "create"),
        ("Image", "update"),
        ("Repository", "patch"),
        ("Image", "patch_status"),
        ("Image", "apply"),
        ("Lease", "delete"),
    ]


def test_a_deletion_can_mean_one_object_only(fake: FakeApi, cluster: Cluster) -> None:
    """With its UID, not whatever has the name by now."""
    cluster.delete("Login", "a" * 32, "imagehub-system", uid="u1")
    asked = fake.asked[0]
    path = "/apis/imagehub.sealos.io/v1/namespaces/imagehub-system/logins/" + "a" * 32
    assert (asked.method, asked.path) == ("DELETE", path)
    assert asked.body["preconditions"] == {"uid": "u1"}


def test_an_empty_name_never_becomes_a_collection(fake: FakeApi, cluster: Cluster) -> None:
    """`delete` of nothing in particular would delete everything."""
    for act in (cluster.delete, cluster.get):
        with pytest.raises(InvalidInputError):
            act("Image", "")
    assert fake.asked == []


def test_names_cannot_leave_their_place_in_the_path(fake: FakeApi, cluster: Cluster) -> None:
    """A slash in a name is data."""
    cluster.get("Image", "../secrets/x?a=b")
    assert fake.asked[0].path == f"{IMAGES}/..%2Fsecrets%2Fx%3Fa%3Db"


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


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (status(401), AuthenticationError, "does not accept the credential"),
        (status(403, "Forbidden", "bob may not push"), DeniedError, "bob may not push"),
        (status(404), NotFoundError, "no"),
        (status(409, "AlreadyExists"), ConflictError, "no"),
        (status(409, "Conflict"), ConflictError, "no"),
        (status(410, "Expired"), GoneError, "no"),
        (status(400, "BadRequest", "unknown field"), InvalidInputError, "unknown field"),
        (status(422, "Invalid", "bad"), InvalidInputError, "bad"),
        (
            status(500, "", "failed to create typed patch object (/x): field not declared"),
            InvalidInputError,
            "not declared",
        ),
        (status(500, "InternalError", "etcd"), UnavailableError, "etcd"),
        (status(429), UnavailableError, "no"),
        (Answer(502, b"<html>proxy</html>"), UnavailableError, "502 Bad Gateway"),
        (Answer(299, b"<html>"), UnavailableError, "does not answer like an API server"),
        (Answer(200, b"{}" * 50, cut=10), UnavailableError, "cannot be reached"),
    ],
)
def test_each_answer_has_its_error(
    fake: FakeApi, cluster: Cluster, answer: Answer, error: type[SealosHubError], words: str
) -> None:
    """The message says what was tried and what the server said."""
    fake.give(answer)
    with pytest.raises(error, match=words) as caught:
        cluster.create(IMAGE)
    assert "create Image team.app.v1" in caught.value.message
    assert "t0" not in caught.value.message


@pytest.mark.parametrize("reason", ["AlreadyExists", "Conflict"])
def test_a_conflict_tells_its_reason(fake: FakeApi, cluster: Cluster, reason: str) -> None:
    """Kubernetes answers 409 for both."""
    fake.give(status(409, reason))
    with pytest.raises(ConflictError) as caught:
        cluster.create(IMAGE)
    assert caught.value.reason == reason


def test_causes_are_listed(fake: FakeApi, cluster: Cluster) -> None:
    """Each on a line, unless the message has it."""
    causes = [{"field": "spec.a", "message": "too long"}, {"message": "bad"}, 7]
    fake.give(status(422, "Invalid", "it is bad", details={"causes": causes}))
    with pytest.raises(InvalidInputError) as caught:
        cluster.create(IMAGE)
    assert caught.value.message.splitlines() == [
        "cannot create Image team.app.v1: it is bad",
        "  spec.a: too long",
    ]


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """The message names it and the reason, once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://localhost:{free.getsockname()[1]}"
    with (
        Cluster.open(credential(url)) as cluster,
        pytest.raises(UnavailableError, match="Connection refused") as caught,
    ):
        cluster.whoami()
    assert caught.value.message.count(url) == 1


def test_a_redirect_is_not_followed(fake: FakeApi, cluster: Cluster) -> None:
    """The token is for one server only."""
    fake.give(Answer(302, {}))
    with pytest.raises(UnavailableError, match="302"):
        cluster.get("Image", "a")
    assert len(fake.asked) == 1


def test_what_is_served_is_asked_of_discovery(fake: FakeApi, cluster: Cluster) -> None:
    """A group that is not there, and one without the kind, are both no."""
    fake.give(Answer(200, {"resources": [{"name": "images"}]}), status(404), Answer(200, {}))
    assert cluster.supports("Image")
    assert not cluster.supports("Image")
    assert not cluster.supports("Namespace")
    assert [a.path for a in fake.asked] == ["/apis/imagehub.sealos.io/v1"] * 2 + ["/api/v1"]


def test_a_token_is_made_for_an_account(fake: FakeApi, cluster: Cluster) -> None:
    """And comes back as a secret with its end."""
    fake.give(
        Answer(201, {"status": {"token": "s3", "expirationTimestamp": "2030-01-01T00:00:00Z"}})
    )
    token, end = cluster.create_token("ns", "bot", ["hub"], 600)
    assert (token.reveal(), end) == ("s3", datetime(2030, 1, 1, tzinfo=UTC))
    assert fake.asked[0].path == "/api/v1/namespaces/ns/serviceaccounts/bot/token"
    assert fake.asked[0].body["spec"] == {"audiences": ["hub"], "expirationSeconds": 600}


def test_an_answer_without_a_token_is_an_error(fake: FakeApi, cluster: Cluster) -> None:
    """And not a token called None."""
    fake.give(Answer(201, {}))
    with pytest.raises(UnavailableError):
        cluster.create_token("ns", "bot", [], 600)


def test_a_kind_that_the_hub_does_not_know_is_refused(cluster: Cluster) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidInputError, match="Pod"):
        cluster.get("Pod", "x")


def renewed(*tokens: str, expires: datetime | None = None) -> Callable[[], Any]:
    """Return a reader that finds these tokens one after the other."""
    left = iter(tokens)
    return lambda: credential("http://unused", token=Secret(next(left)), expires=expires)


def test_a_refused_token_is_read_again_once(fake: FakeApi) -> None:
    """A program that runs for months outlives its tokens."""
    fake.give(status(401), Answer(200, stored("1")), status(401), status(401))
    with Cluster(credential(fake.url), again=renewed("t1", "t2")) as cluster:
        assert cluster.get("Image", "a") == stored("1")
        with pytest.raises(AuthenticationError):
            cluster.get("Image", "a")
    assert [a.token for a in fake.asked] == ["t0", "t1", "t1", "t2"]


def test_a_token_is_read_again_before_it_ends(fake: FakeApi) -> None:
    """So that nothing is refused in the first place."""
    soon = datetime.now(UTC) + timedelta(seconds=30)
    later = datetime.now(UTC) + timedelta(hours=1)
    with Cluster(credential(fake.url, expires=soon), again=renewed("t1", expires=later)) as cluster:
        cluster.get("Image", "a")
        cluster.get("Image", "a")
    assert [a.token for a in fake.asked] == ["t1", "t1"]


def test_a_token_file_that_cannot_be_read_leaves_the_old_token(fake: FakeApi) -> None:
    """The server's refusal is the better message."""

    def broken() -> Any:  # noqa: ANN401  # never returns
        raise NotFoundError("gone")

    fake.give(status(401))
    with (
        Cluster(credential(fake.url), again=broken) as cluster,
        pytest.raises(AuthenticationError),
    ):
        cluster.get("Image", "a")


def test_a_kubeconfig_file_is_opened_by_name(fake: FakeApi, tmp_path: Path) -> None:
    """With its current context, or the one that is named."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "clusters": [{"name": "c", "cluster": {"server": fake.url}}],
        "users": [{"name": u, "user": {"token": f"token-{u}"}} for u in "ab"],
        "contexts": [{"name": u, "context": {"cluster": "c", "user": u}} for u in "ab"],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    for context, token in ((None, "token-a"), ("b", "token-b")):
        with Cluster.open_kubeconfig(path, context) as cluster:
            cluster.get("Image", "a")
        assert fake.asked[-1].token == token


def test_a_kubeconfig_that_is_missing_is_said_so(tmp_path: Path) -> None:
    """Nothing else takes its place."""
    with pytest.raises(NotFoundError, match="there is no kubeconfig"):
        Cluster.open_kubeconfig(tmp_path / "missing")


def test_a_credential_that_makes_no_sense_is_invalid_input() -> None:
    """Garbage instead of a CA, and no traceback."""
    with pytest.raises(InvalidInputError, match="a test"):
        Cluster.open(credential("https://localhost:1", ca_pem=b"\xff\xfe"))
