"""Claims about pull: what is printed where, which exit code, what is left behind."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from sealoshub.registry import platforms
from tests.images import Layout, oci_layout
from tests.unit.cli.conftest import FakeCluster, FakeHub, Program
from tests.unit.registry.fake_registry import FakeRegistry, Fault, Knobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry that wants no login."""
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def run() -> Program:
    """The program with its real doors."""
    return Program(FakeHub(), FakeCluster())


@pytest.fixture
def image(run: Program, registry: FakeRegistry, tmp_path: Path) -> Layout:
    """An image that is in the registry as team/app:v1."""
    layout = oci_layout(
        tmp_path / "layout",
        platforms=(str(platforms.of_this_machine()), "linux/s390x", "linux/mips64le"),
    )
    target = f"{registry.host}/team/app:v1"
    assert run("push", "-q", layout.path, target, "--cr-option", "no").exit_code == 0
    return layout


def test_result_alone_on_standard_output(
    run: Program, registry: FakeRegistry, image: Layout, tmp_path: Path
) -> None:
    """Standard output is the pinned reference; progress is on standard error."""
    source = f"{registry.host}/team/app"
    result = run("pull", f"{source}:v1", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{source}@{image.digest}\n"
    assert f"pulling {source}:v1: {len(image.blobs)} blobs" in result.stderr
    assert "pulled  manifest" in result.stderr


def test_quiet(run: Program, registry: FakeRegistry, image: Layout, tmp_path: Path) -> None:
    """With -q nothing but the result is printed."""
    result = run("pull", "-q", f"{registry.host}/team/app:v1", tmp_path / "out")
    assert result.stderr == ""
    assert result.stdout.endswith(f"@{image.digest}\n")


def test_json(run: Program, registry: FakeRegistry, image: Layout, tmp_path: Path) -> None:
    """The JSON says what was written, where, and how much came through the network."""
    file = tmp_path / "app.tar"
    result = run("pull", f"{registry.host}/team/app:v1", file, "-o", "json")
    body = json.loads(result.stdout)
    assert (body["command"], body["status"], body["exit_code"]) == ("pull", "ok", 0)
    data = body["data"]
    assert (data["format"], data["path"]) == ("oci-archive", str(file))
    assert data["digest"] == image.digest
    assert data["downloaded"] == image.size
    assert data["foreign"] == []


def test_ndjson(run: Program, registry: FakeRegistry, image: Layout, tmp_path: Path) -> None:
    """With ndjson every line is an event, from start to result."""
    result = run("pull", f"{registry.host}/team/app:v1", tmp_path / "out", "-o", "ndjson")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    names = [event["event"] for event in events]
    assert names[0] == "start"
    assert names[-2:] == ["manifest", "result"]
    assert {event["state"] for event in events if event["event"] == "blob"} <= {
        "downloading",
        "done",
    }
    done = {event["digest"] for event in events if event.get("state") == "done"}
    assert done == set(image.blobs)
    assert events[-1]["reference"].endswith(image.digest)


def test_without_a_tag_it_is_latest(run: Program, registry: FakeRegistry, tmp_path: Path) -> None:
    """A reference without a tag means latest, which is said; there is none here."""
    result = run("pull", f"{registry.host}/team/app", tmp_path / "out")
    assert "it is latest" in result.stderr
    assert result.exit_code == 5
    assert f"there is no {registry.host}/team/app:latest" in result.stderr


def test_digestfile(run: Program, registry: FakeRegistry, image: Layout, tmp_path: Path) -> None:
    """The digest lands in the file, alone."""
    file = tmp_path / "digest"
    source = f"{registry.host}/team/app:v1"
    assert run("pull", source, tmp_path / "out", "--digestfile", file).exit_code == 0
    assert file.read_text() == image.digest


def test_one_platform(run: Program, registry: FakeRegistry, image: Layout, tmp_path: Path) -> None:
    """--platform takes one image; what is printed is its digest."""
    source = f"{registry.host}/team/app"
    result = run("pull", f"{source}:v1", tmp_path / "out", "--platform", "linux/s390x")
    assert result.stdout == f"{source}@{image.manifests['linux/s390x']}\n"


def test_docker_archive_for_this_machine(
    run: Program, registry: FakeRegistry, image: Layout, tmp_path: Path
) -> None:
    """A docker archive gets the image for this machine unless another is named."""
    source, file = f"{registry.host}/team/app", tmp_path / "app.tar"
    result = run("pull", f"{source}:v1", file, "--format", "docker-archive")
    mine = str(platforms.of_this_machine())
    assert result.stdout == f"{source}@{image.manifests[mine]}\n"
    with tarfile.open(file) as tar:
        assert "manifest.json" in tar.getnames()


@pytest.mark.parametrize(
    "words",
    [
        ("--platform", "linux/amd64", "--all-platforms"),
        ("--all-platforms", "--format", "docker-archive"),
        ("--limit-rate", "fast"),
        ("--retry-budget", "10"),
        ("--jobs", "0"),
        ("--format", "dir"),
    ],
)
def test_wrong_options(run: Program, registry: FakeRegistry, words: tuple[str, ...]) -> None:
    """What makes no sense is refused before the registry is asked."""
    result = run("pull", f"{registry.host}/team/app:v1", "out", *words)
    assert result.exit_code == 2, result.output
    assert registry.seen == []


def test_limit_rate(run: Program, registry: FakeRegistry, image: Layout, tmp_path: Path) -> None:
    """A rate that is never reached changes nothing."""
    source = f"{registry.host}/team/app"
    result = run("pull", f"{source}:v1", tmp_path / "out", "--limit-rate", "1G", "--jobs", "2")
    assert result.stdout == f"{source}@{image.digest}\n"


def test_errors_have_their_codes(run: Program, tmp_path: Path) -> None:
    """Not logged in is 3, not allowed 4, missing 5, not there 6."""
    with FakeRegistry(Knobs(auth="bearer", anonymous=True)) as fake:
        source = f"{fake.host}/team/app:v1"
        assert run("pull", source, tmp_path / "out").exit_code in {3, 4}
    assert run("pull", source, tmp_path / "out", "--retry-budget", "0").exit_code == 6
    assert not (tmp_path / "out").exists()


def test_ndjson_failure(run: Program, registry: FakeRegistry, tmp_path: Path) -> None:
    """A failure ends an event stream with the error envelope on one line."""
    result = run("pull", f"{registry.host}/t/a:v1", tmp_path / "out", "-o", "ndjson")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["errors"][0]["code"] == "NOT_FOUND"


def test_a_resumed_blob_is_shown(
    run: Program, registry: FakeRegistry, image: Layout, tmp_path: Path
) -> None:
    """A blob that broke and went on is reported as resumed."""
    registry.faults.append(Fault("GET", image.blobs[0], cut_answer_at=100))
    result = run("pull", f"{registry.host}/team/app:v1", tmp_path / "out", "-o", "ndjson")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    resumed = [event for event in events if event.get("state") == "resumed"]
    assert [(event["digest"], event["bytes"]) for event in resumed] == [(image.blobs[0], 100)]
