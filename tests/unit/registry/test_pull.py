"""Pulling into a layout: what is there afterwards, what breaks on the way, and the disk."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import (
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.reference import Digest, Reference
from sealoshub.registry import download
from sealoshub.registry.download import partial
from sealoshub.registry.image import Platform
from sealoshub.registry.pull import pull
from sealoshub.registry.pull_events import ManifestPulled, PullResult, PullStarted
from sealoshub.registry.push_events import BlobProgress, BlobState
from sealoshub.registry.source import open_image
from sealoshub.registry.target import Kind, Target
from sealoshub.registry.throttle import BURST
from tests.images import oci_layout, sha256
from tests.unit.registry.fake_registry import Fault
from tests.unit.registry.pulling import MIB, Puller, big_blob, files_of, stock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.images import Layout
    from tests.unit.registry.conftest import ClientMaker


def test_pull_into_a_new_layout(puller: Puller, image: Layout) -> None:
    """A pulled layout is the one that was pushed, byte for byte, and the events say so."""
    stock(puller.registry, image)
    result = puller()
    assert result.reference == f"{puller.registry.host}/o/app@{image.digest}"
    assert result.downloaded == image.size
    wanted = files_of(image.path)
    found = files_of(puller.folder / "out")
    del wanted["index.json"], found["index.json"]
    assert found == wanted
    assert isinstance(puller.events[0], PullStarted)
    assert puller.events[0].size == image.size
    assert puller.states() == [BlobState.DONE] * len(image.blobs)
    assert isinstance(puller.events[-2], ManifestPulled)
    assert puller.events[-1] == result


def test_a_pulled_layout_can_be_pushed(puller: Puller, image: Layout) -> None:
    """What was pulled is an image again, by its tag and by its full name."""
    stock(puller.registry, image)
    puller()
    for name in ("v1", f"{puller.registry.host}/o/app:v1", image.digest):
        with open_image(f"oci:{puller.folder / 'out'}:{name}") as source:
            assert source.root.descriptor.digest.text == image.digest


def test_second_pull(puller: Puller, image: Layout) -> None:
    """A second pull verifies what is there and fetches no blob."""
    stock(puller.registry, image)
    puller()
    before = files_of(puller.folder / "out")
    puller.registry.seen.clear()
    result = puller()
    assert result.downloaded == 0
    assert puller.states() == [BlobState.EXISTS] * len(image.blobs)
    assert puller.registry.count("GET", "/blobs/") == 0
    assert files_of(puller.folder / "out") == before


def test_a_damaged_blob_is_replaced(puller: Puller, image: Layout) -> None:
    """A blob with another content than its name says is fetched again."""
    stock(puller.registry, image)
    puller()
    digest, content = big_blob(puller.registry)
    puller.blob(digest).write_bytes(b"\0" * len(content))
    assert puller().downloaded == len(content)
    assert puller.blob(digest).read_bytes() == content


def test_images_gather_in_one_layout(puller: Puller, image: Layout, tmp_path: Path) -> None:
    """Each image keeps its entry; of two with the same tag the second is known by its full name."""
    other = oci_layout(tmp_path / "other", seed=7)
    stock(puller.registry, image)
    stock(puller.registry, other, "o/other")
    puller()
    puller(name="o/other:v1")
    puller()
    layout = puller.folder / "out"
    index = json.loads((layout / "index.json").read_text())
    assert len(index["manifests"]) == 2
    names = {"v1": image, f"{puller.registry.host}/o/other:v1": other}
    for name, wanted in names.items():
        with open_image(f"oci:{layout}:{name}") as source:
            assert source.root.descriptor.digest.text == wanted.digest


def test_an_empty_blob(puller: Puller, image: Layout) -> None:
    """A blob of no bytes is a file of no bytes; nobody has to be asked for it."""
    stock(puller.registry, image)
    kind, content = puller.registry.manifests["o/app"]["v1"]
    document = json.loads(content)
    empty = {"mediaType": document["layers"][0]["mediaType"], "digest": sha256(b""), "size": 0}
    document["layers"].append(empty)
    puller.registry.manifests["o/app"]["v1"] = (kind, json.dumps(document).encode())
    puller()
    assert puller.blob(sha256(b"")).read_bytes() == b""


def test_a_moved_tag_replaces_its_entry(puller: Puller, image: Layout, tmp_path: Path) -> None:
    """After a pull of the same tag the layout has the new image only."""
    stock(puller.registry, image)
    puller()
    newer = oci_layout(tmp_path / "newer", seed=9)
    stock(puller.registry, newer)
    puller()
    with open_image(str(puller.folder / "out")) as source:
        assert source.root.descriptor.digest.text == newer.digest


def test_index(puller: Puller, tmp_path: Path) -> None:
    """All platforms of an index are pulled, the index last."""
    image = oci_layout(tmp_path / "multi", platforms=("linux/amd64", "linux/arm64"))
    stock(puller.registry, image)
    puller()
    order = [event.digest.text for event in puller.events if isinstance(event, ManifestPulled)]
    assert order == [*image.manifests.values(), image.digest]


def test_one_platform(puller: Puller, tmp_path: Path) -> None:
    """With a platform only its image is pulled, and nothing of the others."""
    image = oci_layout(tmp_path / "multi", platforms=("linux/amd64", "linux/arm64"))
    stock(puller.registry, image)
    result = puller(platform=Platform("linux", "arm64"))
    assert result.digest.text == image.manifests["linux/arm64"]
    entry = json.loads((puller.folder / "out" / "index.json").read_text())["manifests"][0]
    assert entry["platform"] == {"architecture": "arm64", "os": "linux"}
    assert not puller.blob(image.manifests["linux/amd64"]).exists()


def test_a_platform_that_is_not_there(puller: Puller, tmp_path: Path, image: Layout) -> None:
    """A missing platform is said with those there are, of an index and of a lone image."""
    multi = oci_layout(tmp_path / "multi", platforms=("linux/amd64", "linux/arm64"))
    stock(puller.registry, multi)
    stock(puller.registry, image, "o/lone")
    for name, there in (("o/app:v1", "linux/amd64, linux/arm64"), ("o/lone:v1", "linux/amd64")):
        with pytest.raises(NotFoundError, match="linux/s390x") as caught:
            puller(name=name, platform=Platform("linux", "s390x"))
        assert there in (caught.value.hint or "")
    assert not (puller.folder / "out").exists()


# ---------------------------------------------------------------------- broken connections


@pytest.mark.parametrize("sized", [True, False])
def test_a_cut_download_goes_on_where_it_was(puller: Puller, image: Layout, *, sized: bool) -> None:
    """After a cut only the missing bytes are asked for."""
    stock(puller.registry, image)
    puller.registry.knobs.serving.sized = sized
    digest, content = big_blob(puller.registry)
    puller.registry.faults.append(Fault("GET", digest, times=2, cut_answer_at=MIB))
    puller()
    assert puller.blob(digest).read_bytes() == content
    ranges = [r.headers.get("Range") for r in puller.registry.seen if digest in r.path]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert puller.served() == image.size
    resumed = [e for e in puller.events if isinstance(e, BlobProgress) and e.state == "resumed"]
    assert len(resumed) == 2


@pytest.mark.parametrize("ranges", ["whole", "refused", "wrong"])
def test_a_server_without_ranges(puller: Puller, image: Layout, ranges: str) -> None:
    """Where a range is ignored, refused or misunderstood, that blob is fetched again as a whole."""
    stock(puller.registry, image)
    puller.registry.knobs.serving.ranges = ranges
    digest, content = big_blob(puller.registry)
    puller.registry.faults.append(Fault("GET", digest, cut_answer_at=MIB))
    puller()
    assert puller.blob(digest).read_bytes() == content


@pytest.mark.parametrize("have", [0, 1, MIB, -1, None])
def test_what_an_earlier_process_left_is_used(
    puller: Puller, image: Layout, have: int | None
) -> None:
    """A partial file, of any length, is continued: only the rest is fetched."""
    stock(puller.registry, image)
    digest, content = big_blob(puller.registry)
    path = partial(puller.blob(digest))
    path.parent.mkdir(parents=True)
    (puller.folder / "out" / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    path.write_bytes(content[:have])
    left = len(content) - len(content[:have])
    puller()
    assert puller.blob(digest).read_bytes() == content
    assert puller.registry.knobs.serving.bytes_of(digest) == left
    assert not path.exists()


@pytest.mark.parametrize("junk", [b"junk" * 1000, b"x" * 8 * MIB])
def test_a_partial_file_that_lies(puller: Puller, image: Layout, junk: bytes) -> None:
    """A partial file with the wrong bytes costs the blob once more, and never ends in the image."""
    stock(puller.registry, image)
    digest, content = big_blob(puller.registry)
    path = partial(puller.blob(digest))
    path.parent.mkdir(parents=True)
    (puller.folder / "out" / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    path.write_bytes(junk)
    puller()
    assert puller.blob(digest).read_bytes() == content


def test_limit_rate(puller: Puller, image: Layout) -> None:
    """All blobs together keep the rate, but for what may go at once."""
    stock(puller.registry, image)
    rate = 8 * MIB
    reference = Reference.parse(f"{puller.registry.host}/o/app:v1")
    target = Target(Kind.OCI, puller.folder / "out")
    begin = time.monotonic()
    pull(puller.connect(puller.registry.host), reference, target, limit_rate=rate)
    assert time.monotonic() - begin > image.size / rate - BURST - 0.05


def test_a_registry_that_restarts(puller: Puller, image: Layout) -> None:
    """Passing errors of manifest and blobs are tried again."""
    stock(puller.registry, image)
    puller.registry.faults += [
        Fault("GET", "/manifests/", status=503),
        Fault("GET", "/blobs/", times=3, status=500),
    ]
    puller()
    assert puller.states() == [BlobState.DONE] * len(image.blobs)


def test_a_registry_that_never_comes_back(puller: Puller, image: Layout) -> None:
    """When the budget is spent the pull fails, and what has arrived stays for the next one."""
    stock(puller.registry, image)
    digest, content = big_blob(puller.registry)
    fault = Fault("GET", digest, cut_answer_at=MIB)
    puller.registry.faults += [fault, Fault("GET", digest, times=10_000, status=503)]
    with pytest.raises(UnavailableError):
        puller()
    assert not (puller.folder / "out" / "index.json").exists()
    assert not puller.blob(digest).exists()
    puller.registry.faults.clear()
    puller()
    assert puller.registry.knobs.serving.bytes_of(digest) == len(content)


# ---------------------------------------------------------------------- the disk


def test_the_disk_is_full(puller: Puller, image: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is said as such, exit code 1; after making room the pull goes on."""
    stock(puller.registry, image)
    digest, content = big_blob(puller.registry)
    real, room = os.pwrite, 2 * MIB

    def pwrite(file: int, data: bytes, offset: int) -> int:
        if offset + len(data) > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(SealosHubError, match="no room") as caught:
        puller()
    assert (caught.value.exit_code, caught.value.code) == (1, "DISK_FULL")
    assert not puller.blob(digest).exists()
    monkeypatch.setattr(os, "pwrite", real)
    puller()
    assert puller.blob(digest).read_bytes() == content
    assert puller.registry.knobs.serving.bytes_of(digest) < 2 * len(content)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_place_that_is_no_place(puller: Puller, image: Layout, kind: Kind) -> None:
    """Nothing that is not ours is overwritten."""
    stock(puller.registry, image)
    folder = puller.folder / "full"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    with pytest.raises(InvalidInputError):
        puller(Target(kind, folder))
    assert files_of(folder) == {"precious": b"mine"}
    with pytest.raises(SealosHubError):
        puller(Target(kind, folder / "precious" / "below"))


def test_a_layout_that_is_damaged(puller: Puller, image: Layout) -> None:
    """An index.json that cannot be read stays as it is."""
    stock(puller.registry, image)
    folder = puller.folder / "out"
    folder.mkdir()
    for text in ("{", '{"manifests":{}}', '{"manifests":[1]}'):
        (folder / "index.json").write_text(text)
        with pytest.raises(InvalidInputError, match=r"index\.json"):
            puller()
        assert (folder / "index.json").read_text() == text


def test_two_pulls_at_once(puller: Puller, image: Layout, connect: ClientMaker) -> None:
    """Two pulls into one layout do not disturb each other, and fetch no blob twice."""
    stock(puller.registry, image)
    reference = Reference.parse(f"{puller.registry.host}/o/app:v1")
    target = Target(Kind.OCI, puller.folder / "out")
    results: list[PullResult] = []

    def run() -> None:
        results.append(pull(connect(puller.registry.host), reference, target))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.digest.text for result in results] == [image.digest] * 2
    assert puller.served() == image.size
    with open_image(str(target.path)) as source:
        assert source.root.descriptor.digest.text == image.digest


def test_is_intact(tmp_path: Path) -> None:
    """A file is intact if it has the size and the digest; anything else is not."""
    file = tmp_path / "file"
    digest = Digest.of(b"content")
    assert not download.is_intact(file, digest, 7)
    file.write_bytes(b"content")
    assert download.is_intact(file, digest, 7)
    assert not download.is_intact(file, digest, 8)
    assert not download.is_intact(tmp_path, digest, 7)
    file.write_bytes(b"another")
    assert not download.is_intact(file, digest, 7)
