"""Claims about push: what is printed where, what is applied, which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.cli import options, session
from sealoshub.errors import AuthenticationError, DeniedError, UnavailableError
from tests.images import Layout, oci_layout
from tests.unit.cli.conftest import FakeCluster, FakeHub, Program
from tests.unit.registry.fake_registry import FakeRegistry, Knobs

if TYPE_CHECKING:
    from collections.abc import Iterator


CONFIG = b"""\
apiVersion: imagehub.sealos.io/v1
kind: Image
spec:
  detail:
    description: Says what it is
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A small image with metadata/config.yaml and README.md in it."""
    files = {"metadata/config.yaml": CONFIG, "README.md": b"# Read me"}
    return oci_layout(tmp_path / "layout", files=files)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry that wants no login."""
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """A cluster that the user has a kubeconfig for; only used by tests that name it."""
    found = FakeCluster()
    monkeypatch.setattr(session, "open_cluster", lambda _: found)
    config = Path.home() / ".kube" / "config"
    config.parent.mkdir()
    config.touch(mode=0o600)
    config.write_text(
        json.dumps(
            {
                "current-context": "dev",
                "contexts": [{"name": "dev", "context": {"cluster": "dev", "user": "dev"}}],
                "clusters": [{"name": "dev", "cluster": {"server": "https://dev:6443"}}],
                "users": [{"name": "dev", "user": {"token": "t"}}],
            }
        )
    )
    return found


@pytest.fixture
def run() -> Program:
    """The program with its real doors."""
    return Program(FakeHub(), FakeCluster())


def test_result_alone_on_standard_output(
    run: Program, registry: FakeRegistry, layout: Layout
) -> None:
    """Standard output is the pinned reference; progress is on standard error."""
    target = f"{registry.host}/team/app"
    result = run("push", layout.path, f"{target}:v1", "--cr-option", "no")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{target}@{layout.digest}\n"
    assert f"pushing {target}:v1: 3 blobs" in result.stderr
    assert "manifest v1" in result.stderr


def test_quiet(run: Program, registry: FakeRegistry, layout: Layout) -> None:
    """With -q nothing but the result is printed."""
    result = run("push", "-q", layout.path, f"{registry.host}/team/app:v1")
    assert result.stderr == ""
    assert result.stdout.endswith(f"@{layout.digest}\n")


def test_tags_and_digestfile(
    run: Program, registry: FakeRegistry, layout: Layout, tmp_path: Path
) -> None:
    """Every tag is pushed, and the digest lands in the file, alone."""
    file = tmp_path / "digest"
    target = f"{registry.host}/team/app:v1"
    result = run("push", layout.path, target, "--tag", "v2", "--tag", "v1", "--digestfile", file)
    assert result.exit_code == 0, result.output
    assert file.read_text() == layout.digest
    assert registry.count("PUT", "/manifests/v1") == 1
    assert registry.count("PUT", "/manifests/v2") == 1


def test_without_a_tag_it_is_latest(run: Program, registry: FakeRegistry, layout: Layout) -> None:
    """A reference without a tag means latest, which is said."""
    result = run("push", layout.path, f"{registry.host}/team/app")
    assert "it is latest" in result.stderr
    assert registry.count("PUT", "/manifests/latest") == 1


def test_json(run: Program, registry: FakeRegistry, layout: Layout) -> None:
    """The JSON holds reference, digest, size and tags."""
    result = run("push", layout.path, f"{registry.host}/team/app:v1", "-o", "json")
    body = json.loads(result.stdout)
    assert (body["command"], body["status"], body["exit_code"]) == ("push", "ok", 0)
    assert body["data"]["digest"] == layout.digest
    assert body["data"]["tags"] == ["v1"]
    assert body["data"]["uploaded"] == layout.size


def test_ndjson(run: Program, registry: FakeRegistry, layout: Layout) -> None:
    """With ndjson every line is an event, from start to result."""
    result = run("push", layout.path, f"{registry.host}/team/app:v1", "-o", "ndjson")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    names = [event["event"] for event in events]
    assert names[0] == "start"
    assert names[-2:] == ["manifest", "result"]
    done = {event["digest"] for event in events if event.get("state") == "done"}
    assert done == set(layout.blobs)
    assert events[-1]["reference"].endswith(layout.digest)


def test_ndjson_failure(run: Program, registry: FakeRegistry, tmp_path: Path) -> None:
    """A failure ends an event stream with the error envelope on one line."""
    result = run("push", tmp_path / "no", f"{registry.host}/t/a:v1", "-o", "ndjson")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["errors"][0]["code"] == "NOT_FOUND"


def test_dry_run_sends_nothing(run: Program, registry: FakeRegistry, layout: Layout) -> None:
    """--dry-run lists what would be sent, and sends neither blob nor manifest."""
    target = f"{registry.host}/team/app:v1"
    result = run("push", layout.path, target, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "3 of 3 blobs would be sent" in result.stdout
    assert registry.count("POST") == registry.count("PUT") == 0
    run("push", layout.path, target)
    result = run("push", layout.path, target, "--dry-run", "-o", "json")
    assert json.loads(result.stdout)["data"]["bytes"] == 0
    events = run("push", layout.path, target, "--dry-run", "-o", "ndjson").stdout.splitlines()
    assert [json.loads(line)["event"] for line in events] == ["result"]


def test_the_stored_login_is_used(run: Program, layout: Layout) -> None:
    """A push sends what `login` stored, and fails with 3 and 4 where it should."""
    knobs = Knobs(auth="bearer")
    with FakeRegistry(knobs) as fake:
        target = f"{fake.host}/team/app:v1"
        assert run("push", layout.path, target).exit_code == 3
        words = ["login", fake.host, "-u", "alice", "--password-stdin"]
        assert run(*words, stdin="wonder\n").exit_code == 0
        assert run("push", layout.path, target).exit_code == 0
        knobs.may[("alice", "team/app")] = {"pull"}
        result = run("push", layout.path, f"{fake.host}/team/app:v2")
        assert result.exit_code == 4
        assert "alice may not push to" in result.stderr
        assert f"with the login in {options.credential_places().files[0].path}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["LAYOUT"], 2, "Missing argument 'REF'"),
        (["LAYOUT", "team/app:v1"], 5, "does not begin with the host"),
        (["LAYOUT", "h.x/team/app:v1", "--tag", "a b"], 5, "'a b' is not a tag"),
        (["/no/such/image", "h.x/team/app:v1"], 5, "/no/such/image"),
        (["LAYOUT", "h.x/team/app:v1", "--jobs", "0"], 2, "--jobs"),
        (["LAYOUT", "h.x/team/app:v1", "--cr-option", "maybe"], 2, "--cr-option"),
    ],
)
def test_wrong_input(
    run: Program, layout: Layout, arguments: list[str], code: int, message: str
) -> None:
    """Wrong input is refused before the first byte."""
    words = [str(layout.path) if word == "LAYOUT" else word for word in arguments]
    result = run("push", *words)
    assert result.exit_code == code
    assert message in result.stderr


# ---------------------------------------------------------------- the Image resource


def test_the_resource_is_applied(
    run: Program, registry: FakeRegistry, layout: Layout, cluster: FakeCluster
) -> None:
    """With a cluster that knows the kind, each tag gets its Image with digest and detail."""
    target = f"{registry.host}/team/app:v1"
    result = run("push", layout.path, target, "--tag", "v2", "-o", "json")
    assert result.exit_code == 0, result.output
    assert [obj["spec"]["name"] for obj in cluster.applied] == ["team/app:v1", "team/app:v2"]
    first = cluster.applied[0]
    assert first["metadata"]["name"] == "team.app.v1"
    assert first["spec"]["digest"] == layout.digest
    assert first["spec"]["platforms"] == ["linux/amd64"]
    assert first["spec"]["detail"]["description"] == "Says what it is"
    assert first["spec"]["detail"]["docs"] == "# Read me"
    assert json.loads(result.stdout)["data"]["applied"] == [
        {"name": "team.app.v1", "outcome": "created"},
        {"name": "team.app.v2", "outcome": "created"},
    ]


def test_words_of_people_are_kept(
    run: Program, registry: FakeRegistry, layout: Layout, cluster: FakeCluster
) -> None:
    """A description that somebody applied by hand stays his; facts are the push's, by force."""
    fields: dict[str, Any] = {
        "f:spec": {"f:digest": {}, "f:detail": {"f:description": {}, "f:size": {}}}
    }
    cluster.stored["team.app.v1"] = {
        "metadata": {
            "managedFields": [
                {"manager": "sealoshub", "fieldsV1": fields},
                {"manager": "sealoshub-push", "fieldsV1": {"f:spec": {"f:detail": {"f:docs": {}}}}},
            ]
        }
    }
    assert run("push", layout.path, f"{registry.host}/team/app:v1").exit_code == 0
    detail = cluster.applied[0]["spec"]["detail"]
    assert "description" not in detail
    assert detail["docs"] == "# Read me"
    assert detail["size"] > 0
    assert cluster.how == [{"field_manager": "sealoshub-push", "force": True}]


def test_only_the_resource(
    run: Program, registry: FakeRegistry, layout: Layout, cluster: FakeCluster
) -> None:
    """--cr-option only applies and pushes nothing."""
    target = f"{registry.host}/team/app:v1"
    result = run("push", layout.path, target, "--cr-option", "only")
    assert result.exit_code == 0, result.output
    assert len(cluster.applied) == 1
    assert registry.count("PUT") == registry.count("POST") == 0


@pytest.mark.parametrize("option", ["auto", "yes", "only"])
@pytest.mark.parametrize(
    ("case", "codes", "message"),
    [
        ("no kubeconfig", {"auto": 0, "yes": 8, "only": 3}, "there is no kubeconfig"),
        ("no kind", {"auto": 0, "yes": 8, "only": 5}, "does not know the kind Image"),
        ("unreachable", {"auto": 0, "yes": 8, "only": 6}, "no answer"),
        ("expired", {"auto": 0, "yes": 8, "only": 3}, "Unauthorized"),
        ("denied", {"auto": 8, "yes": 8, "only": 4}, "may not"),
    ],
)
def test_when_the_resource_cannot_be_applied(  # noqa: PLR0913, PLR0917  # a table and its fixtures
    run: Program,
    registry: FakeRegistry,
    layout: Layout,
    cluster: FakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    codes: dict[str, int],
    message: str,
    option: str,
) -> None:
    """`auto` only notes that there is no such cluster; a refusal, and `yes`, are exit code 8."""
    if case == "no kubeconfig":
        (Path.home() / ".kube" / "config").unlink()
    elif case == "no kind":
        cluster.served = False
    elif case == "denied":

        def deny(*_: Any, **__: Any) -> None:  # noqa: ANN401  # any call
            raise DeniedError("alice may not do that")

        monkeypatch.setattr(cluster, "apply", deny)
    else:
        cluster.error = (
            UnavailableError("no answer")
            if case == "unreachable"
            else AuthenticationError("Unauthorized")
        )
    words = ["push", layout.path, f"{registry.host}/team/app:v1", "--cr-option", option]
    result = run(*words)
    assert result.exit_code == codes[option], result.output
    assert message in result.stderr
    pushed = option != "only"
    assert (registry.count("PUT", "/manifests/v1") == 1) is pushed
    assert result.stdout.endswith(f"@{layout.digest}\n")
    if codes[option] == 8:
        body = json.loads(run(*words, "-o", "json").stdout)
        assert body["exit_code"] == 8
        assert body["data"]["digest"] == layout.digest


def test_a_name_that_is_no_image_of_a_hub(
    run: Program, registry: FakeRegistry, layout: Layout, cluster: FakeCluster
) -> None:
    """A repository of another depth is pushed; `auto` leaves the resource out and says so."""
    result = run("push", layout.path, f"{registry.host}/a/b/c:v1")
    assert result.exit_code == 0, result.output
    assert "no Image resource was applied" in result.stderr
    assert cluster.applied == []
