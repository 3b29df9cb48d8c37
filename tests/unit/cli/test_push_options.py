"""Claims about push: where an image may come from, how it is sent, and how it ends."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.cli import session
from sealoshub.registry import source
from tests import docker_archives
from tests.images import Layout, oci_layout
from tests.unit.cli.conftest import FakeCluster, FakeHub, Program
from tests.unit.registry.fake_registry import FakeRegistry, Fault, Knobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A small image for two platforms."""
    return oci_layout(tmp_path / "layout", platforms=("linux/amd64", "linux/arm64"))


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A docker archive of a sealos cluster image, with uncompressed layers."""
    layers = (docker_archives.plain_layer("below"), docker_archives.CLUSTER)
    image = docker_archives.SavedImage(layers)
    return docker_archives.write(tmp_path / "saved.tar", docker_archives.legacy([image]))


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry that wants no login."""
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program with its real doors, but no cluster."""
    monkeypatch.setattr(session, "has_kubeconfig", lambda: False)
    return Program(FakeHub(), FakeCluster())


def data_of(run: Program, *arguments: object) -> dict[str, Any]:
    """Push with JSON output; return `data` of a success."""
    result = run("push", *arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)["data"]
    return found


# ---------------------------------------------------------------- where from


def test_a_docker_archive_is_described_by_what_is_in_it(
    run: Program, registry: FakeRegistry, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """metadata/config.yaml and README.md of uncompressed layers become the resource."""
    cluster = FakeCluster()
    monkeypatch.setattr(session, "user_cluster", lambda *_: cluster)
    for option in ("yes", "only"):
        data = data_of(run, archive, f"{registry.host}/team/app:v1", "--cr-option", option)
        spec = cluster.applied[-1]["spec"]
        assert spec["digest"] == data["digest"]
        assert spec["detail"]["docs"].startswith("# Small")
        assert spec["detail"]["description"] == "A small image that the tests push"
        assert spec["detail"]["size"] == data["size"]
    assert "uploaded" not in data


def test_a_second_push_sends_nothing(run: Program, registry: FakeRegistry, archive: str) -> None:
    """No blob is sent again, each is asked for once at most, and nothing is compressed again."""
    target = f"{registry.host}/team/app:v1"
    first = data_of(run, archive, target)
    assert first["uploaded"] > 0
    registry.seen.clear()
    result = run("push", archive, target, "-o", "ndjson")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1]["uploaded"] == 0
    assert {event["state"] for event in events if event["event"] == "blob"} == {"exists"}
    assert (
        registry.count("POST", "/blobs/") == registry.count("PATCH") == registry.count("PUT") == 0
    )
    asked = [seen.path for seen in registry.seen if "/blobs/" in seen.path]
    assert len(asked) == len(set(asked)) <= events[0]["blobs"]


def test_compression_is_told(run: Program, registry: FakeRegistry, archive: str) -> None:
    """A layer that is compressed first has an event with what it has become."""
    result = run("push", archive, f"{registry.host}/team/app:v1", "-o", "ndjson")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    became = {
        event["digest"]
        for event in events
        if event["event"] == "compress" and event["digest"] is not None
    }
    assert len(became) == 2
    assert became < {event["digest"] for event in events if event["event"] == "blob"}


def test_within_a_registry_blobs_are_mounted(
    run: Program, registry: FakeRegistry, layout: Layout
) -> None:
    """docker:// from the same registry sends no blob; a plan says so before."""
    origin = f"{registry.host}/team/app:v1"
    data_of(run, layout.path, origin)
    target = f"{registry.host}/prod/app:v1"
    plan = data_of(run, f"docker://{origin}", target, "--dry-run")
    assert {blob["action"] for blob in plan["blobs"]} == {"mount"}
    assert plan["bytes"] == 0
    result = run("push", f"docker://{origin}", target, "--dry-run")
    count = len(plan["blobs"])
    assert f"0 of {count} blobs would be sent to {target}, 0 B; {count} would be mounted" in (
        result.stdout
    )
    data = data_of(run, f"docker://{origin}", target)
    assert (data["digest"], data["uploaded"]) == (layout.digest, 0)


def test_from_another_registry_with_its_own_login(
    run: Program, registry: FakeRegistry, layout: Layout
) -> None:
    """Each registry is asked as whoever is logged in there."""
    with FakeRegistry(Knobs(auth="bearer")) as other:
        words = ["login", other.host, "-u", "alice", "--password-stdin"]
        assert run(*words, stdin="wonder\n").exit_code == 0
        data_of(run, layout.path, f"{other.host}/team/app:v1")
        target = f"{registry.host}/team/app:v1"
        data = data_of(run, f"docker://{other.host}/team/app:v1", target)
        assert (data["digest"], data["uploaded"]) == (layout.digest, layout.size)
        run("logout", other.host)
        again = run("push", f"docker://{other.host}/team/app:v1", target)
    assert again.exit_code == 3
    assert other.host in again.stderr


def test_only_a_reference_means_the_local_image(
    run: Program, registry: FakeRegistry, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What podman, buildah or docker keep under the target's name, with the tag, is pushed."""
    asked: list[tuple[str, str | None, str | None]] = []

    def find(reference: str, *, compression: str | None, platform: str | None) -> object:
        asked.append((reference, compression, platform))
        return source.open_image(str(layout.path))

    monkeypatch.setattr(source, "find_local", find)
    data = data_of(
        run, f"{registry.host}/team/app", "--platform", "linux/arm64", "--compression", "zstd"
    )
    assert data["digest"] == layout.digest
    assert asked == [(f"{registry.host}/team/app:latest", "zstd", "linux/arm64")]


def test_no_local_image(run: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without podman and docker the message says what was tried and what else can be named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    result = run("push", "hub.example.com/team/app:v1")
    assert result.exit_code == 5
    assert "there is no local image hub.example.com/team/app:v1" in result.stderr
    assert "docker-daemon:NAME" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument 'REF'"),
        (["docker-daemon:app"], 2, "Missing argument 'REF'"),
        (["oci:nix", "h.x/team/app:v1"], 5, "there is no such file"),
        (["LAYOUT", "h.x/a/b:v1", "--platform", "linux"], 5, "'linux' is not a platform"),
        (["LAYOUT", "h.x/a/b:v1", "--platform", "linux/s390x"], 5, "no image for linux/s390x"),
        (["LAYOUT", "h.x/a/b:v1", "--platform", "a/b", "--all-platforms"], 2, "contradict"),
        (["LAYOUT", "h.x/a/b:v1", "--compression", "lzma"], 2, "--compression"),
        (["LAYOUT", "h.x/a/b:v1", "--digestfile", "/nix/x"], 5, "there is no folder /nix"),
        (["LAYOUT", "h.x/a/b:v1", "--limit-rate", "fast"], 2, "'fast' is not a size"),
        (["LAYOUT", "h.x/a/b:v1", "--chunk-size", "0"], 2, "'0' is not a size"),
        (["LAYOUT", "h.x/a/b:v1", "--retry-budget", "10"], 2, "'10' is not a time"),
    ],
)
def test_wrong_options(
    run: Program, layout: Layout, arguments: list[str], code: int, message: str
) -> None:
    """They are refused before anything is sent."""
    words = [str(layout.path) if word == "LAYOUT" else word for word in arguments]
    result = run("push", *words)
    assert result.exit_code == code, result.output
    assert message in result.stderr


# ---------------------------------------------------------------- how


def test_one_platform_of_several(run: Program, registry: FakeRegistry, layout: Layout) -> None:
    """--platform pushes that image alone, by its own digest; --all-platforms the index."""
    target = f"{registry.host}/team/app:v1"
    one = data_of(run, layout.path, target, "--platform", "linux/arm64")
    assert one["digest"] == layout.manifests["linux/arm64"]
    every = data_of(run, layout.path, target, "--all-platforms")
    assert every["digest"] == layout.digest


@pytest.mark.parametrize(
    ("compression", "suffix"), [("gzip", "gzip"), ("zstd", "+zstd"), ("none", ".tar")]
)
def test_compression_is_chosen(
    run: Program, registry: FakeRegistry, archive: str, compression: str, suffix: str
) -> None:
    """Layers that are not compressed become what was asked for."""
    words = (archive, f"{registry.host}/team/app:v1", "--compression", compression)
    data = data_of(run, *words)
    manifest = json.loads(registry.manifests["team/app"][data["digest"]][1])
    assert all(layer["mediaType"].endswith(suffix) for layer in manifest["layers"])


def test_a_plan_compresses_nothing(
    run: Program, registry: FakeRegistry, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--dry-run says what is not known before compression; after a push it is remembered."""
    target = f"{registry.host}/team/app:v1"

    def fail(*_: object) -> None:
        raise AssertionError("it compresses")

    with monkeypatch.context() as patch:
        patch.setattr("sealoshub.registry.compress.PlainLayer._make", fail)
        plan = data_of(run, archive, target, "--dry-run")
        said = run("push", archive, target, "--dry-run").stdout
    layers = [blob for blob in plan["blobs"] if blob["action"] == "compress"]
    rest = [blob for blob in plan["blobs"] if blob["action"] == "send"]
    assert layers
    assert len(layers) + len(rest) == len(plan["blobs"])
    assert plan["digest"] is None
    assert all((blob["digest"], blob["exists"]) == (None, None) for blob in layers)
    assert all(blob["diff_id"].startswith("sha256:") for blob in layers)
    assert plan["bytes"] == sum(blob["size"] for blob in rest)
    assert plan["bytes_to_compress"] == sum(blob["size"] for blob in layers)
    assert f"{len(layers)} layers would be compressed first" in said
    assert said.count(" before compression\n") == len(layers)
    data = data_of(run, archive, target)
    plan = data_of(run, archive, f"{registry.host}/team/other:v1", "--dry-run")
    assert (plan["digest"], plan["bytes"]) == (data["digest"], data["uploaded"])
    assert plan["bytes_to_compress"] == 0
    plan = data_of(run, archive, target, "--dry-run")
    assert {blob["action"] for blob in plan["blobs"]} == {"exists"}


def test_chunks(run: Program, registry: FakeRegistry, tmp_path: Path) -> None:
    """--chunk-size sends no request with more bytes than that."""
    large = oci_layout(tmp_path / "large", layer_bytes=300_000)
    data = data_of(run, large.path, f"{registry.host}/team/app:v1", "--chunk-size", "100K")
    assert data["digest"] == large.digest
    bodies = [len(seen.body) for seen in registry.seen if seen.method in {"PATCH", "PUT"}]
    assert registry.count("PATCH") >= 3
    assert max(bodies) <= 100 * 1024


def test_the_retry_budget_is_obeyed(run: Program, registry: FakeRegistry, layout: Layout) -> None:
    """With a budget of nothing the first failure is the last; the exit code says network."""
    registry.faults.append(Fault("POST", "/blobs/uploads/", times=100, status=503))
    target = f"{registry.host}/team/app:v1"
    result = run("push", layout.path, target, "--retry-budget", "0", "--jobs", "1")
    assert result.exit_code == 6
    assert registry.count("POST") == 1


# ---------------------------------------------------------------- how it ends


def ends(run: Program, layout: Layout, case: str) -> int:
    """Push in the situation that *case* names; return the exit code."""
    invalid = b'{"errors": [{"code": "MANIFEST_INVALID", "message": "no"}]}'
    with FakeRegistry() as fake, socket.socket() as free:
        target = f"{fake.host}/team/app:v1"
        situations: dict[str, list[object]] = {
            "usage": [layout.path],
            "missing": [f"{layout.path}/no", target],
            "not applied": [layout.path, target, "--cr-option", "yes"],
        }
        words = situations.get(case, [layout.path, target])
        if case == "not logged in":
            fake.knobs.auth = "bearer"
        elif case == "denied":
            fake.faults.append(Fault("POST", "/blobs/", times=100, status=403))
        elif case == "refused":
            fake.faults.append(Fault("PUT", "/manifests/", times=100, status=400, body=invalid))
        elif case == "network":
            free.bind(("127.0.0.1", 0))
            words = [layout.path, f"localhost:{free.getsockname()[1]}/a/b:v1", "--retry-budget=0"]
        return run("push", *words).exit_code


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("done", 0),
        ("defect", 1),
        ("usage", 2),
        ("not logged in", 3),
        ("denied", 4),
        ("missing", 5),
        ("network", 6),
        ("refused", 7),
        ("not applied", 8),
        ("interrupted", 130),
    ],
)
def test_exit_codes(
    run: Program, layout: Layout, monkeypatch: pytest.MonkeyPatch, case: str, code: int
) -> None:
    """Every documented exit code is that of a push that ends in this way."""
    raised = {"interrupted": KeyboardInterrupt(), "defect": ZeroDivisionError()}.get(case)
    if raised is not None:

        def fail(*_: object, **__: object) -> None:
            raise raised

        monkeypatch.setattr("sealoshub.registry.push.push", fail)
    assert ends(run, layout, case) == code
