"""Pulling from a registry where everything goes wrong that can."""

from __future__ import annotations

import errno
import json
import os
import tarfile
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import (
    DeniedError,
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
from sealoshub.registry.pull_events import ManifestPulled, PullEvent, PullResult, PullStarted
from sealoshub.registry.push import BlobProgress
from sealoshub.registry.source import open_image
from sealoshub.registry.target import Kind, Target
from sealoshub.registry.transfer import BlobState
from tests.images import oci_layout, sha256
from tests.unit.registry.fake_registry import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.images import Layout
    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry

MIB = 1024 * 1024


@dataclass
class Puller:
    """Pulls o/app from a fake registry into a folder of its own."""

    registry: FakeRegistry
    connect: ClientMaker
    folder: Path
    events: list[PullEvent] = field(default_factory=list)

    def __call__(
        self,
        target: Target | None = None,
        name: str = "o/app:v1",
        account: str | None = None,
        platform: Platform | None = None,
    ) -> PullResult:
        """Pull *name*."""
        self.events.clear()
        reference = Reference.parse(f"{self.registry.host}/{name}")
        where = target or Target(Kind.OCI, self.folder / "out")
        client = self.connect(self.registry.host, account)
        return pull(client, reference, where, platform=platform, events=self.events.append)

    def blob(self, digest: str) -> Path:
        """Return where a blob of the layout lies."""
        return self.folder / "out" / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def states(self) -> list[BlobState]:
        """Return the last state of each blob."""
        last = {
            event.digest: event.state for event in self.events if isinstance(event, BlobProgress)
        }
        return sorted(last.values())

    def served(self) -> int:
        """Return how many bytes of blobs the registry has sent."""
        return sum(size for _, size in self.registry.knobs.serving.served)


@pytest.fixture
def puller(registry: FakeRegistry, connect: ClientMaker, tmp_path: Path) -> Puller:
    """Pull from the fake registry."""
    return Puller(registry, connect, tmp_path)


def stock(registry: FakeRegistry, image: Layout, name: str = "o/app") -> None:
    """Put *image* into the registry without a push."""
    folder = image.path / "blobs" / "sha256"
    for file in folder.iterdir():
        content, digest = file.read_bytes(), f"sha256:{file.name}"
        if digest in image.blobs:
            registry.blobs.setdefault(name, {})[digest] = content
        else:
            kind = json.loads(content)["mediaType"]
            registry.manifests.setdefault(name, {})[digest] = (kind, content)
    manifests = registry.manifests[name]
    manifests[image.tag] = manifests[image.digest]


def big_blob(registry: FakeRegistry) -> tuple[str, bytes]:
    """Return the digest and the content of the largest blob."""
    return max(registry.blobs["o/app"].items(), key=lambda item: len(item[1]))


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file below *folder*."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


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


# ---------------------------------------------------------------------- hostile registries


def refused(
    puller: Puller, match: str, name: str = "o/app:v1", platform: Platform | None = None
) -> SealosHubError:
    """Pull, expect a refusal, and see that nothing got its name."""
    with pytest.raises(InvalidInputError, match=match) as caught:
        puller(name=name, platform=platform)
    assert not (puller.folder / "out" / "index.json").exists()
    return caught.value


def test_wrong_content(puller: Puller, image: Layout) -> None:
    """A blob of the right size and another digest is refused, and not kept."""
    stock(puller.registry, image)
    digest, content = big_blob(puller.registry)
    puller.registry.knobs.serving.instead[digest] = bytes(len(content))
    assert refused(puller, "another digest").code == "DIGEST_MISMATCH"
    assert not puller.blob(digest).exists()
    assert not partial(puller.blob(digest)).exists()


@pytest.mark.parametrize("more", [-1, 1, 100_000])
def test_wrong_size(puller: Puller, image: Layout, more: int) -> None:
    """A blob with another length than its descriptor says is refused before it is read."""
    stock(puller.registry, image)
    digest, content = big_blob(puller.registry)
    puller.registry.knobs.serving.instead[digest] = bytes(len(content) + more)
    assert refused(puller, "descriptor says").code == "SIZE_MISMATCH"


def test_endless_content(puller: Puller, image: Layout) -> None:
    """A blob that never ends is read to the length it should have, and not further."""
    stock(puller.registry, image)
    digest, _ = big_blob(puller.registry)
    puller.registry.knobs.serving.endless.add(digest)
    puller.registry.knobs.serving.instead[digest] = b"more" * 50_000
    refused(puller, "another digest")


def test_a_short_chunked_body(puller: Puller, image: Layout) -> None:
    """A body without a length that ends early is tried again until the budget is spent."""
    stock(puller.registry, image)
    digest, content = big_blob(puller.registry)
    puller.registry.knobs.serving.sized = False
    puller.registry.knobs.serving.instead[digest] = content[:-5]
    with pytest.raises(UnavailableError):
        puller()
    assert not puller.blob(digest).exists()


def test_a_manifest_that_is_not_what_was_asked_for(puller: Puller, image: Layout) -> None:
    """A manifest is compared with the digest in the reference, in the answer and in the index."""
    stock(puller.registry, image)
    knobs = puller.registry.knobs
    lie = puller.registry.manifests["o/app"]["v1"][1].replace(
        b'"schemaVersion":2', b'"schemaVersion":3'
    )
    knobs.serving.instead[image.digest] = lie
    assert refused(puller, "another digest", name=f"o/app@{image.digest}").code == "DIGEST_MISMATCH"
    knobs.serving.instead.clear()
    knobs.digest = sha256(b"something else")
    assert refused(puller, "another digest").code == "DIGEST_MISMATCH"


def test_a_child_that_lies(puller: Puller, tmp_path: Path) -> None:
    """A manifest of an index has the size and the digest that the index says."""
    image = oci_layout(tmp_path / "multi", platforms=("linux/amd64", "linux/arm64"))
    stock(puller.registry, image)
    child = image.manifests["linux/arm64"]
    content = puller.registry.manifests["o/app"][child][1]
    puller.registry.knobs.serving.instead[child] = content + b" "
    assert refused(puller, "descriptor says").code == "SIZE_MISMATCH"
    puller.registry.knobs.serving.instead[child] = content.replace(b"layers", b"Layers")
    assert refused(puller, "another digest").code == "DIGEST_MISMATCH"


def test_a_huge_manifest(puller: Puller, image: Layout) -> None:
    """A manifest of more than 4 MiB is refused."""
    stock(puller.registry, image)
    puller.registry.knobs.digest = ""
    puller.registry.knobs.serving.instead["v1"] = b"{" + b" " * 4 * MIB + b"}"
    refused(puller, "larger than 4194304 bytes")


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/json",
    ],
)
def test_schema_1(puller: Puller, kind: str) -> None:
    """An image of Docker's schema 1 is refused with the reason."""
    content = json.dumps({"schemaVersion": 1, "fsLayers": [], "history": []}).encode()
    puller.registry.manifests["o/app"] = {"v1": (kind, content)}
    error = refused(puller, "schema 1")
    assert error.code == "SCHEMA_1"
    assert error.hint


@pytest.mark.parametrize("kind", ["text/html", "application/vnd.example+json", "text/plain"])
def test_no_manifest(puller: Puller, kind: str) -> None:
    """Something else under a tag is no image."""
    puller.registry.manifests["o/app"] = {"v1": (kind, b'{"a":"b"}')}
    refused(puller, "no image")


@pytest.mark.parametrize(
    "digest", ["sha256:../../../../etc/passwd", "../../x", "sha256:" + "A" * 64, "md5:" + "0" * 32]
)
def test_names_that_are_no_digests(puller: Puller, image: Layout, digest: str) -> None:
    """No descriptor leads anywhere but into the folder of blobs."""
    stock(puller.registry, image)
    kind, content = puller.registry.manifests["o/app"]["v1"]
    document = json.loads(content)
    document["layers"][0]["digest"] = digest
    puller.registry.manifests["o/app"]["v1"] = (kind, json.dumps(document).encode())
    refused(puller, "is not a digest")
    assert not (puller.folder / "out").exists()


def test_indexes_within_indexes(puller: Puller, image: Layout) -> None:
    """A chain of indexes is followed to a bound, with a platform and without one."""
    stock(puller.registry, image)
    manifests = puller.registry.manifests["o/app"]
    kind, content = manifests["v1"]
    for _ in range(7):
        below = {"mediaType": kind, "digest": sha256(content), "size": len(content)}
        below |= {"platform": {"os": "linux", "architecture": "amd64"}}
        kind = "application/vnd.oci.image.index.v1+json"
        content = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [below]}).encode()
        manifests[sha256(content)] = (kind, content)
    manifests["v1"] = (kind, content)
    refused(puller, "indexes within indexes")
    refused(puller, "indexes within indexes", platform=Platform("linux", "amd64"))


def test_a_missing_blob(puller: Puller, image: Layout) -> None:
    """A manifest whose blob is not there is a damaged image, said at once."""
    stock(puller.registry, image)
    digest, _ = big_blob(puller.registry)
    del puller.registry.blobs["o/app"][digest]
    with pytest.raises(NotFoundError, match=digest):
        puller()


def test_nothing_there(puller: Puller) -> None:
    """A tag or repository that is not there leaves nothing behind."""
    with pytest.raises(NotFoundError, match="o/none:v1"):
        puller(name="o/none:v1")
    assert not (puller.folder / "out").exists()


def test_foreign_layers_are_left_where_they_are(puller: Puller, image: Layout) -> None:
    """A layer that is distributed elsewhere is not fetched; the manifest keeps its address."""
    stock(puller.registry, image)
    kind, content = puller.registry.manifests["o/app"]["v1"]
    document = json.loads(content)
    layer = document["layers"][0]
    layer["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    layer["urls"] = ["https://example.com/layer"]
    puller.registry.manifests["o/app"]["v1"] = (kind, json.dumps(document).encode())
    result = puller()
    assert [each.digest.text for each in result.foreign] == [layer["digest"]]
    assert not puller.blob(layer["digest"]).exists()


def test_denied(puller: Puller, image: Layout) -> None:
    """Who may not pull gets the reason, and no folder."""
    stock(puller.registry, image)
    puller.registry.knobs.auth = "bearer"
    puller.registry.knobs.may["alice", "o/app"] = set()
    with pytest.raises(DeniedError, match="alice may not pull from"):
        puller(account="alice")
    assert not (puller.folder / "out").exists()


def test_only_pull_is_asked_for(puller: Puller, image: Layout) -> None:
    """A pull asks one token, for nothing but pull."""
    stock(puller.registry, image)
    puller.registry.knobs.auth = "bearer"
    puller(account="alice")
    asked = puller.registry.tokens_asked()
    assert len(asked) == 1
    assert "repository%3Ao%2Fapp%3Apull" in asked[0].path.replace("pull%2Cpush", "push")


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


# ---------------------------------------------------------------------- archives


def test_oci_archive(puller: Puller, image: Layout) -> None:
    """An OCI archive is the layout in a tar; nothing lies beside it afterwards."""
    stock(puller.registry, image)
    file = puller.folder / "app.tar"
    puller(Target(Kind.OCI_ARCHIVE, file))
    with open_image(str(file)) as source:
        assert source.root.descriptor.digest.text == image.digest
        assert source.names == ("v1", f"{puller.registry.host}/o/app:v1")
        assert sum(len(blob.content()) for blob in source.blobs) == image.size
    assert list(puller.folder.iterdir()) == [file]


def test_docker_archive(puller: Puller, image: Layout) -> None:
    """A docker archive has plain layers whose digests are the image's own diff IDs."""
    stock(puller.registry, image)
    file = puller.folder / "app.tar"
    puller(Target(Kind.DOCKER_ARCHIVE, file), platform=Platform("linux", "amd64"))
    with tarfile.open(file) as tar:
        contents = {member.name: read(tar, member) for member in tar}
    listed = json.loads(contents["manifest.json"])
    assert len(listed) == 1
    assert listed[0]["RepoTags"] == [f"{puller.registry.host}/o/app:v1"]
    config = json.loads(contents[listed[0]["Config"]])
    layers = [sha256(contents[name]) for name in listed[0]["Layers"]]
    assert layers == config["rootfs"]["diff_ids"]
    assert list(puller.folder.iterdir()) == [file]


def read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Return the content of a file in an archive."""
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


@pytest.mark.parametrize("kind", [Kind.OCI_ARCHIVE, Kind.DOCKER_ARCHIVE])
def test_an_archive_is_whole_or_not_there(puller: Puller, image: Layout, kind: Kind) -> None:
    """A failed pull leaves the old archive alone, and the next one fetches only what is missing."""
    stock(puller.registry, image)
    file = puller.folder / "app.tar"
    file.write_bytes(b"the old one")
    digest, content = big_blob(puller.registry)
    puller.registry.faults += [
        Fault("GET", digest, cut_answer_at=MIB),
        Fault("GET", digest, times=10_000, status=503),
    ]
    target, platform = Target(kind, file), Platform("linux", "amd64")
    with pytest.raises(UnavailableError):
        puller(target, platform=platform)
    assert file.read_bytes() == b"the old one"
    puller.registry.faults.clear()
    puller(target, platform=platform)
    assert puller.registry.knobs.serving.bytes_of(digest) == len(content)
    assert tarfile.is_tarfile(file)
    assert list(puller.folder.iterdir()) == [file]


def test_the_same_archive_twice(puller: Puller, image: Layout) -> None:
    """The same image gives the same bytes."""
    stock(puller.registry, image)
    for kind in (Kind.OCI_ARCHIVE, Kind.DOCKER_ARCHIVE):
        files = [puller.folder / f"{kind}-{number}.tar" for number in range(2)]
        for file in files:
            puller(Target(kind, file), platform=Platform("linux", "amd64"))
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda document: document["config"].update(mediaType="application/x"), "artifact"),
        (lambda document: document["layers"].pop(), "lists"),
    ],
)
def test_nothing_for_docker(
    puller: Puller, image: Layout, change: Callable[[dict[str, Any]], object], match: str
) -> None:
    """What docker could not load is refused before a layer is fetched."""
    stock(puller.registry, image)
    kind, content = puller.registry.manifests["o/app"]["v1"]
    document = json.loads(content)
    change(document)
    puller.registry.manifests["o/app"]["v1"] = (kind, json.dumps(document).encode())
    digest, _ = big_blob(puller.registry)
    with pytest.raises(InvalidInputError, match=match):
        puller(Target(Kind.DOCKER_ARCHIVE, puller.folder / "app.tar"))
    assert puller.registry.knobs.serving.bytes_of(digest) == 0
    assert list(puller.folder.iterdir()) == []


def test_a_layer_that_is_not_what_the_image_says(puller: Puller, tmp_path: Path) -> None:
    """A layer whose unpacked content has another digest than its diff ID makes no archive."""
    image = oci_layout(tmp_path / "image")
    stock(puller.registry, image)
    manifests, blobs = puller.registry.manifests["o/app"], puller.registry.blobs["o/app"]
    kind, content = manifests["v1"]
    document = json.loads(content)
    config = json.loads(blobs[document["config"]["digest"]])
    config["rootfs"]["diff_ids"][0] = sha256(b"another")
    changed = json.dumps(config).encode()
    blobs[sha256(changed)] = changed
    document["config"].update(digest=sha256(changed), size=len(changed))
    manifests["v1"] = (kind, json.dumps(document).encode())
    file = puller.folder / "app.tar"
    with pytest.raises(InvalidInputError, match="another content"):
        puller(Target(Kind.DOCKER_ARCHIVE, file), platform=Platform("linux", "amd64"))
    assert not file.exists()


def test_one_pull_for_one_archive(puller: Puller, image: Layout) -> None:
    """A second pull to an archive that is being written is told so."""
    stock(puller.registry, image)
    file = puller.folder / "app.tar"
    target = Target(Kind.OCI_ARCHIVE, file)
    errors: list[SealosHubError] = []

    def look(event: PullEvent) -> None:
        if isinstance(event, PullStarted):
            reference = Reference.parse(f"{puller.registry.host}/o/app:v1")
            with pytest.raises(SealosHubError, match="another pull") as caught:
                pull(puller.connect(puller.registry.host), reference, target)
            errors.append(caught.value)

    reference = Reference.parse(f"{puller.registry.host}/o/app:v1")
    pull(puller.connect(puller.registry.host), reference, target, events=look)
    assert [error.code for error in errors] == ["IN_USE"]
    assert file.exists()


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
