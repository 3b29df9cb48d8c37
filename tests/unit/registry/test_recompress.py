"""Compressing the layers of images that have manifests: what changes, and what must not."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.reference import MediaType
from sealoshub.registry.layout import subject_of
from sealoshub.registry.metadata import read_metadata
from sealoshub.registry.source import open_image
from tests.docker_archives import CLUSTER, gzipped, plain_layer
from tests.images import README, sha256
from tests.unit.registry.skopeo_dirs import VERSION, skopeo_dir
from tests.unit.registry.test_source import Builder

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.registry.source import ImageSource

BASE = plain_layer("base")
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """An empty layout."""
    return Builder(tmp_path / "layout")


def everything(build: Builder, *, with_foreign: bool = True) -> str:
    """Write an index of two platforms, an attestation of one, and a signature of the whole.

    One layer is compressed already, one is in both images, one is foreign: registries take such
    a layer only where their operator allows it.
    """
    shared = build.blob(BASE)
    ready = build.blob(gzipped(CLUSTER), MediaType.OCI_LAYER_GZIP)
    foreign = {
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "digest": sha256(b"elsewhere"),
        "size": 9,
        "urls": ["https://example.com/x"],
    }
    elsewhere = [foreign] if with_foreign else []
    amd64 = build.manifest(shared, ready, *elsewhere, annotations={"kept": "é"})
    arm64 = build.manifest(shared, build.blob(plain_layer("arm64")))
    about = {"annotations": ATTESTATION | {"vnd.docker.reference.digest": amd64["digest"]}}
    attestation = build.manifest(build.blob(b"{}", "application/vnd.in-toto+json")) | about
    platforms = [
        amd64 | {"platform": {"os": "linux", "architecture": "amd64"}},
        arm64 | {"platform": {"os": "linux", "architecture": "arm64"}},
        attestation | {"platform": {"os": "unknown", "architecture": "unknown"}},
    ]
    document = {"schemaVersion": 2, "mediaType": MediaType.OCI_INDEX, "manifests": platforms}
    index = build.blob(json.dumps(document).encode(), MediaType.OCI_INDEX)
    signature = build.manifest(build.blob(b"sig", "application/sig"), subject=index)
    return build.index(
        index | {"annotations": {"org.opencontainers.image.ref.name": "v1"}}, signature
    )


def document_of(image: ImageSource, digest: str) -> Any:  # noqa: ANN401  # JSON
    """Return a manifest."""
    return next(
        json.loads(each.content)
        for each in image.manifests
        if each.descriptor.digest.text == digest
    )


@pytest.mark.parametrize("asked", ["gzip", "zstd"])
def test_everything(build: Builder, asked: str) -> None:
    """Plain layers change, and with them all digests above, wherever these are named."""
    path = everything(build)
    with open_image(path) as image:
        before = {each.descriptor.digest.text for each in image.manifests}
        assert (image.manifest_count, image.pending) == (5, ())
        old = image.root
    with open_image(path, compression=asked) as image:
        assert image.manifest_count == len(image.manifests) == 5
        assert len(image.pending) == 2
        assert image.root.descriptor.digest.text not in before
        entries: Any = image.root.document["manifests"]
        amd64, arm64, attestation = entries
        assert attestation["digest"] == old.children[2].digest.text
        assert attestation["annotations"]["vnd.docker.reference.digest"] == amd64["digest"]
        first = document_of(image, amd64["digest"])
        assert first["annotations"] == {"kept": "é"}
        assert [layer["mediaType"] for layer in first["layers"]] == [
            f"application/vnd.oci.image.layer.v1.tar+{asked}",
            MediaType.OCI_LAYER_GZIP,
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
        ]
        assert first["layers"][1]["digest"] == sha256(gzipped(CLUSTER))
        second = document_of(image, arm64["digest"])
        assert second["layers"][0] == first["layers"][0]
        signature = image.manifests[0]
        assert subject_of(signature.document) == image.root.descriptor.digest
        known = {blob.digest.text for blob in image.blobs}
        for manifest in image.manifests:
            assert {blob.digest.text for blob in manifest.blobs} <= known
        for blob in image.blobs:
            assert sha256(blob.content()) == blob.digest.text
        assert sha256(BASE) not in known


def test_not_asked(build: Builder) -> None:
    """Unless it is asked for, and where there is nothing to do, every byte stays."""
    path = everything(build)
    with open_image(path) as image:
        digest = image.root.descriptor.digest
        assert {layer.media_type for layer in image.manifests[1].layers} >= {MediaType.OCI_LAYER}
    with open_image(path, compression="none") as image:
        assert image.root.descriptor.digest == digest
    ready = Builder(build.path / "ready")
    manifest = ready.manifest(ready.blob(gzipped(BASE), MediaType.OCI_LAYER_GZIP))
    with open_image(ready.index(manifest), compression="zstd") as image:
        assert image.root.descriptor.digest.text == manifest["digest"]


def test_docker_manifest(build: Builder) -> None:
    """A manifest of Docker's kind gets gzip layers of Docker's kind, and cannot have zstd."""
    config = build.blob(b"{}", MediaType.DOCKER_CONFIG)
    document = {
        "schemaVersion": 2,
        "mediaType": MediaType.DOCKER_MANIFEST,
        "config": config,
        "layers": [build.blob(BASE, DOCKER_LAYER)],
    }
    path = build.index(build.blob(json.dumps(document).encode(), MediaType.DOCKER_MANIFEST))
    with open_image(path, compression="gzip") as image:
        (layer,) = image.root.layers
        assert layer.media_type == MediaType.DOCKER_LAYER_GZIP
        packed = next(blob for blob in image.blobs if blob.digest == layer.digest).content()
        assert gzip.decompress(packed) == BASE
    with pytest.raises(InvalidInputError, match="cannot have layers compressed with zstd"):
        open_image(path, compression="zstd")


@pytest.mark.parametrize("compression", ["", "lz4", "GZIP"])
def test_no_compression(build: Builder, compression: str) -> None:
    """What is no compression is named, with those there are."""
    path = everything(build)
    with pytest.raises(InvalidInputError, match="is not a compression") as caught:
        open_image(path, compression=compression)
    assert caught.value.hint == "Choose gzip, zstd, none."


# ---------------------------------------------------------------------- dir:


@pytest.mark.parametrize("prefix", ["dir:", ""])
@pytest.mark.parametrize("mislabelled", [False, True])
def test_skopeo_dir(tmp_path: Path, prefix: str, *, mislabelled: bool) -> None:
    """A `dir:` is read, and its plain layers are compressed, whatever it calls them."""
    path = skopeo_dir(tmp_path / "d", [BASE, CLUSTER], mislabelled=mislabelled)
    with open_image(f"{prefix}{path}") as image:
        assert {layer.media_type for layer in image.root.layers} == {MediaType.OCI_LAYER_GZIP}
        assert read_metadata(image).readme == README
        assert image.names == ()


def test_skopeo_dir_of_several_platforms(tmp_path: Path) -> None:
    """An index in a `dir:` is read whole, or for one platform."""
    path = skopeo_dir(tmp_path / "d", [CLUSTER], platforms=["linux/amd64", "linux/arm64"])
    with open_image(f"dir:{path}") as image:
        assert image.manifest_count == len(image.manifests) == 3
        assert read_metadata(image).platforms == ("linux/amd64", "linux/arm64")
    with open_image(f"dir:{path}", platform="linux/arm64") as image:
        assert image.manifest_count == 1
        assert read_metadata(image).platforms == ("linux/arm64",)
    with pytest.raises(NotFoundError, match="no image for linux/s390x") as caught:
        open_image(f"dir:{path}", platform="linux/s390x")
    assert caught.value.hint == "There are: linux/amd64, linux/arm64."


def test_broken_skopeo_dir(tmp_path: Path) -> None:
    """A `dir:` with a missing or changed part, or a name, is exit code 5."""
    path = skopeo_dir(tmp_path / "d", [BASE])
    with pytest.raises(NotFoundError, match="there is one image"):
        open_image(f"{path}:v1")
    layer = path / sha256(BASE).removeprefix("sha256:")
    layer.write_bytes(BASE[:-1])
    with pytest.raises(InvalidInputError, match="its descriptor says"):
        open_image(str(path))
    layer.unlink()
    with pytest.raises(NotFoundError, match="is missing"):
        open_image(str(path))
    (path / "manifest.json").write_text("{")
    with pytest.raises(InvalidInputError, match="not JSON"):
        open_image(str(path))
    (path / "version").write_text(VERSION + "x" * 1000)
    with pytest.raises(InvalidInputError, match="is not what dir: stands for"):
        open_image(f"dir:{path}")
