"""The client door: what is sent, and what each answer means."""

from __future__ import annotations

import socket
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
from sealoshub.kube import ConflictError, GoneError
from sealoshub.kube.cluster import Cluster
from sealoshub.secret import Secret
from tests.unit.kube_cluster.conftest import Answer, FakeApi, credential, status

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
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # nor can anybody else while it is ours
        url = f"http://localhost:{nobody.getsockname()[1]}"
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
