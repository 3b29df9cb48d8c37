"""Pulling into archives."""

from __future__ import annotations

import errno
import gzip
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any, Final

import pytest

from sealoshub.errors import (
    InvalidInputError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.reference import Reference
from sealoshub.registry.expand import zstd_module
from sealoshub.registry.image import Platform
from sealoshub.registry.pull import pull
from sealoshub.registry.pull_events import PullEvent, PullStarted
from sealoshub.registry.source import open_image
from sealoshub.registry.target import Kind, Target
from tests.images import CONFIG_TYPE, MANIFEST_TYPE, layer_tar, oci_layout, sha256
from tests.unit.registry.fake_registry import Fault
from tests.unit.registry.pulling import MIB, Puller, big_blob, stock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.images import Layout
    from tests.unit.registry.fake_registry import FakeRegistry


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


# ---------------------------------------------------------------------- layers of every kind


def with_layer(registry: FakeRegistry, stored: bytes, plain: bytes, kind: str) -> str:
    """Put an image with one layer into the registry; return the digest of the layer."""
    blobs = registry.blobs.setdefault("o/app", {})
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [sha256(plain)]}}
    content = json.dumps(config).encode()
    for each in (stored, content):
        blobs[sha256(each)] = each
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": sha256(content), "size": len(content)},
        "layers": [{"mediaType": kind, "digest": sha256(stored), "size": len(stored)}],
    }
    registry.manifests["o/app"] = {"v1": (MANIFEST_TYPE, json.dumps(manifest).encode())}
    return sha256(stored)


PLAIN: Final = layer_tar({"data": bytes(range(256)) * 9000})
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (PLAIN, LAYER),
        (gzip.compress(PLAIN, mtime=0), f"{LAYER}+gzip"),
        (gzip.compress(PLAIN, mtime=0), LAYER),
        (gzip.compress(PLAIN[:999], mtime=0) + gzip.compress(PLAIN[999:]), f"{LAYER}+gzip"),
        (zstd_module().compress(PLAIN), f"{LAYER}+zstd"),
        (zstd_module().compress(PLAIN), f"{LAYER}+gzip"),
    ],
    ids=["plain", "gzip", "gzip-called-plain", "gzip-in-two-parts", "zstd", "zstd-called-gzip"],
)
def test_layers_are_unpacked(puller: Puller, stored: bytes, kind: str) -> None:
    """A docker archive has plain layers, whatever they were, and whatever they were called."""
    with_layer(puller.registry, stored, PLAIN, kind)
    file = puller.folder / "app.tar"
    puller(Target(Kind.DOCKER_ARCHIVE, file))
    with tarfile.open(file) as tar:
        assert read(tar, tar.getmember(f"{sha256(PLAIN)[7:]}.tar")) == PLAIN


@pytest.mark.parametrize(
    ("stored", "match"),
    [
        (gzip.compress(PLAIN)[:-100], "cannot be unpacked"),
        (gzip.compress(PLAIN)[:50] + b"\0" * 500, "cannot be unpacked"),
        (zstd_module().compress(PLAIN)[:-10], "cannot be unpacked"),
        (b"BZh91AY", "cannot be unpacked"),
        (gzip.compress(PLAIN + b"more"), "another content"),
    ],
    ids=["cut-gzip", "broken-gzip", "cut-zstd", "bzip2", "other"],
)
def test_layers_that_cannot_be_unpacked(puller: Puller, stored: bytes, match: str) -> None:
    """A damaged layer makes no archive; as a layout the image can be had as it is."""
    digest = with_layer(puller.registry, stored, PLAIN, f"{LAYER}+gzip")
    file = puller.folder / "app.tar"
    with pytest.raises(InvalidInputError, match=match) as caught:
        puller(Target(Kind.DOCKER_ARCHIVE, file))
    assert caught.value.hint
    assert not file.exists()
    puller()
    assert puller.blob(digest).read_bytes() == stored


@pytest.mark.parametrize("kind", [Kind.OCI_ARCHIVE, Kind.DOCKER_ARCHIVE])
def test_no_room_for_the_archive(
    puller: Puller, image: Layout, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """With room for the blobs and not for the archive, the blobs are kept and the old one stays."""
    stock(puller.registry, image)
    file = puller.folder / "app.tar"
    file.write_bytes(b"the old one")
    real, room = os.pwrite, 5 * MIB  # more than any blob, less than all

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        if offset + len(data) > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    target = Target(kind, file)
    with pytest.raises(SealosHubError, match="no room") as caught:
        puller(target, platform=Platform("linux", "amd64"))
    assert caught.value.exit_code == 1
    assert file.read_bytes() == b"the old one"
    monkeypatch.setattr(os, "pwrite", real)
    assert puller(target, platform=Platform("linux", "amd64")).downloaded == 0
    assert tarfile.is_tarfile(file)
    assert list(puller.folder.iterdir()) == [file]


def test_a_docker_archive_is_a_source(puller: Puller, image: Layout) -> None:
    """Our own push reads what our pull has written, by the name that it has."""
    stock(puller.registry, image)
    file = puller.folder / "app.tar"
    puller(Target(Kind.DOCKER_ARCHIVE, file, "mine:v7"), platform=Platform("linux", "amd64"))
    with open_image(f"docker-archive:{file}:mine:v7") as source:
        source.complete()
        manifest = json.loads(puller.registry.manifests["o/app"]["v1"][1])
        assert source.root.config is not None
        assert source.root.config.digest.text == manifest["config"]["digest"]
