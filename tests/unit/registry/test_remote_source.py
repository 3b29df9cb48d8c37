"""Pushing what is in a registry: within it, and from one to another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import ContentRefusedError, InvalidInputError, NotFoundError, UnavailableError
from sealoshub.reference import Reference
from sealoshub.registry.image import Platform
from sealoshub.registry.push import push
from sealoshub.registry.push_events import BlobProgress, BlobState, Event, PushResult
from sealoshub.registry.remote_source import open_remote
from sealoshub.registry.source import open_image
from tests.images import oci_layout
from tests.unit.registry.fake_registry import FakeRegistry, Fault
from tests.unit.registry.pulling import MIB, big_blob, stock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.images import Layout
    from tests.unit.registry.conftest import ClientMaker


@pytest.fixture
def other() -> Iterator[FakeRegistry]:
    """The registry that is pushed to."""
    with FakeRegistry() as fake:
        yield fake


def copy(
    connect: ClientMaker,
    source: str,
    target: str,
    platform: Platform | None = None,
    mount_from: Sequence[str] = (),
) -> tuple[PushResult, list[BlobState]]:
    """Push *source* to *target* and return the result and the last state of each blob."""
    events: list[Event] = []
    from_, to = Reference.parse(source), Reference.parse(target)
    with open_remote(connect(from_.host), from_, platform) as image:
        result = push(connect(to.host), image, to, events=events.append, mount_from=mount_from)
    last = {event.digest: event.state for event in events if isinstance(event, BlobProgress)}
    return result, sorted(last.values())


def test_between_registries(
    registry: FakeRegistry, other: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """An image is the same in the other registry; every blob is fetched once and sent once."""
    stock(registry, image)
    result, states = copy(connect, f"{registry.host}/o/app:v1", f"{other.host}/team/copy:v2")
    assert result.digest.text == image.digest
    assert states == [BlobState.DONE] * len(image.blobs)
    assert other.blobs["team/copy"] == registry.blobs["o/app"]
    assert other.manifests["team/copy"]["v2"] == registry.manifests["o/app"]["v1"]
    assert sum(size for _, size in registry.knobs.serving.served) == image.size


def test_a_second_copy_fetches_nothing(
    registry: FakeRegistry, other: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """What is there already is not even read."""
    stock(registry, image)
    stock(other, image)
    _, states = copy(connect, f"{registry.host}/o/app:v1", f"{other.host}/o/app:v1")
    assert states == [BlobState.EXISTS] * len(image.blobs)
    assert registry.count("GET", "/blobs/") == 0


def test_within_a_registry(registry: FakeRegistry, connect: ClientMaker, image: Layout) -> None:
    """Within a registry blobs are mounted; none goes through the client."""
    stock(registry, image)
    _, states = copy(
        connect, f"{registry.host}/o/app:v1", f"{registry.host}/o/copy:v1", mount_from=["o/app"]
    )
    assert states == [BlobState.MOUNTED] * len(image.blobs)
    assert registry.count("GET", "/blobs/") == 0
    assert registry.count("PUT", "/blobs/") == 0
    assert registry.manifests["o/copy"]["v1"] == registry.manifests["o/app"]["v1"]


def test_one_platform(
    registry: FakeRegistry, other: FakeRegistry, connect: ClientMaker, tmp_path: Path
) -> None:
    """With a platform only its image is copied."""
    image = oci_layout(tmp_path / "multi", platforms=("linux/amd64", "linux/arm64"))
    stock(registry, image)
    result, _ = copy(
        connect,
        f"{registry.host}/o/app:v1",
        f"{other.host}/o/app:v1",
        Platform("linux", "arm64"),
    )
    assert result.digest.text == image.manifests["linux/arm64"]
    assert image.manifests["linux/amd64"] not in other.manifests["o/app"]


@pytest.mark.parametrize("ranges", ["part", "whole", "refused", "wrong"])
def test_the_source_breaks(
    registry: FakeRegistry, other: FakeRegistry, connect: ClientMaker, image: Layout, ranges: str
) -> None:
    """A source that breaks goes on where it broke, and the upload does not notice."""
    stock(registry, image)
    registry.knobs.serving.ranges = ranges
    digest, content = big_blob(registry)
    registry.faults.append(Fault("GET", digest, times=2, cut_answer_at=MIB))
    copy(connect, f"{registry.host}/o/app:v1", f"{other.host}/o/app:v1")
    assert other.blobs["o/app"][digest] == content
    assert other.count("POST", "/blobs/uploads/") == len(image.blobs)
    if ranges == "part":
        assert registry.knobs.serving.bytes_of(digest) == len(content)


def test_the_target_breaks(
    registry: FakeRegistry, other: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """After a break of the upload the source is asked for the rest only."""
    stock(registry, image)
    digest, content = big_blob(registry)
    name = f"digest={digest.replace(':', '%3A')}|digest={digest}"
    other.faults.append(Fault("PUT", name, cut_at=2 * MIB))
    copy(connect, f"{registry.host}/o/app:v1", f"{other.host}/o/app:v1")
    assert other.blobs["o/app"][digest] == content
    starts = [
        request.headers.get("Range", "bytes=0-")
        for request in registry.seen
        if request.method == "GET" and digest in request.path
    ]
    assert starts == ["bytes=0-", f"bytes={2 * MIB}-"]


def test_a_source_that_lies(
    registry: FakeRegistry, other: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """Content with a wrong digest never becomes a blob of the other registry."""
    stock(registry, image)
    digest, content = big_blob(registry)
    registry.knobs.serving.instead[digest] = bytes(len(content))
    with pytest.raises((InvalidInputError, ContentRefusedError)):
        copy(connect, f"{registry.host}/o/app:v1", f"{other.host}/o/app:v1")
    assert digest not in other.blobs.get("o/app", {})
    assert not other.manifests.get("o/app")


def test_a_source_that_goes_away(
    registry: FakeRegistry, other: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """A source that does not come back ends the push, and its open uploads are cancelled."""
    stock(registry, image)
    digest, _ = big_blob(registry)
    registry.faults += [
        Fault("GET", digest, cut_answer_at=MIB),
        Fault("GET", digest, times=10_000, status=503),
    ]
    with pytest.raises(UnavailableError):
        copy(connect, f"{registry.host}/o/app:v1", f"{other.host}/o/app:v1")
    assert not other.uploads
    assert not other.manifests.get("o/app")


def test_no_other_compression(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A copy does not compress again, and says so instead of ignoring the wish."""
    with pytest.raises(InvalidInputError, match="copied as it is"):
        open_image(
            f"docker://{registry.host}/o/app:v1",
            compression="zstd",
            from_registry=partial(open_remote, connect(registry.host)),
        )
    assert registry.seen == []


def test_nothing_there(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A source that is not there is said before anything is sent."""
    with pytest.raises(NotFoundError, match="o/none:latest"):
        copy(connect, f"{registry.host}/o/none", f"{registry.host}/o/app:v1")
    assert registry.count("POST") == 0
