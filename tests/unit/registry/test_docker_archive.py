"""Docker archives: every writer's layout, every way to name an image, every lie."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.reference import MediaType
from sealoshub.registry.docker_archive import Saved, choose, full_name, parse_manifest
from sealoshub.registry.expand import Expanded, zstd_module
from sealoshub.registry.metadata import read_metadata
from sealoshub.registry.source import open_image
from tests.docker_archives import (
    CLUSTER,
    SavedImage,
    TarBuilder,
    gzipped,
    legacy,
    modern,
    plain_layer,
    skopeo,
    write,
)
from tests.images import METADATA, README, sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sealoshub.registry.image import Blob
    from sealoshub.registry.source import ImageSource

LAYERS = (plain_layer("a"), CLUSTER)


def zstd(content: bytes) -> bytes:
    """Compress with Zstandard."""
    return bytes(zstd_module().compress(content))


def unpacked(blob: Blob) -> bytes:
    """Return what a layer unpacks to."""
    kinds = {"gzip": "gzip", "zstd": "zstd"}
    kind = kinds.get(blob.descriptor.media_type[-4:])
    content = blob.content()
    expanded = Expanded(io.BytesIO(content), kind, len(content))
    parts = []
    while part := expanded.read(1 << 20):
        parts.append(part)
    return b"".join(parts)


def layers_of(image: ImageSource) -> list[bytes]:
    """Return what the layers of the root manifest unpack to."""
    blobs = {blob.digest: blob for blob in image.blobs}
    return [unpacked(blobs[layer.digest]) for layer in image.root.layers]


def config_of(image: ImageSource) -> bytes:
    """Return the configuration."""
    assert image.root.config is not None
    digest = image.root.config.digest
    return next(blob for blob in image.blobs if blob.digest == digest).content()


WRITERS: dict[str, Callable[[SavedImage], bytes]] = {
    "legacy": lambda image: legacy([image]),
    "skopeo": skopeo,
    "modern": modern,
    "modern without some platforms": lambda image: modern(image, missing=["linux/arm64"]),
}


OUTER: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.zst": zstd,
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("prefix", ["", "docker-archive:"])
def test_writers(tmp_path: Path, writer: str, outer: str, prefix: str) -> None:
    """Every writer's archive, compressed or not, gives the same image with the same bytes."""
    image = SavedImage(LAYERS)
    source = prefix + write(tmp_path / "a", OUTER[outer](WRITERS[writer](image)))
    with open_image(source) as found:
        assert found.manifest_count == 1
        assert found.names == ("hub.example.com/org/app:v1",)
        assert config_of(found) == image.config
        assert layers_of(found) == list(LAYERS)
        assert all(layer.media_type.endswith("gzip") for layer in found.root.layers)
        metadata = read_metadata(found)
        assert (metadata.config_yaml, metadata.readme) == (METADATA, README)
        assert metadata.platforms == ("linux/amd64",)
        assert metadata.image_id is not None
        assert metadata.image_id.text == sha256(image.config)


def test_kind_of_the_manifest(tmp_path: Path) -> None:
    """Docker's schema 2, as skopeo and crane make it; OCI where there was a layout or is zstd."""
    old = write(tmp_path / "old", legacy([SavedImage(LAYERS)]))
    new = write(tmp_path / "new", modern(SavedImage(LAYERS)))
    with open_image(old) as image:
        assert image.root.descriptor.media_type == MediaType.DOCKER_MANIFEST
        assert {layer.media_type for layer in image.root.layers} == {MediaType.DOCKER_LAYER_GZIP}
        assert image.root.config is not None
        assert image.root.config.media_type == MediaType.DOCKER_CONFIG
    with open_image(old, compression="zstd") as image:
        assert image.root.descriptor.media_type == MediaType.OCI_MANIFEST
        assert {layer.media_type for layer in image.root.layers} == {MediaType.OCI_LAYER_ZSTD}
        assert layers_of(image) == list(LAYERS)
        assert read_metadata(image).readme == README
    with open_image(old, compression="none") as image:
        assert image.pending == ()
        assert [layer.digest.text for layer in image.root.layers] == [sha256(x) for x in LAYERS]
    with open_image(new) as image:
        assert image.root.descriptor.media_type == MediaType.OCI_MANIFEST
        assert image.root.document["annotations"] == {"made": "by hand"}
        assert {layer.media_type for layer in image.root.layers} == {MediaType.OCI_LAYER_GZIP}
    with open_image(new, compression="none") as image:
        assert {layer.media_type for layer in image.root.layers} == {MediaType.OCI_LAYER}
        kept = image.root.descriptor.digest
    with open_image(f"oci-archive:{new}") as image:
        assert image.root.descriptor.digest == kept


@pytest.mark.parametrize(("pack", "kind"), [(gzipped, "gzip"), (zstd, "zstd")])
def test_packed_layers(tmp_path: Path, pack: Callable[[bytes], bytes], kind: str) -> None:
    """A layer that is compressed in the archive, as crane writes it, stays byte for byte."""
    source = write(tmp_path / "a", skopeo(SavedImage(LAYERS, packed=pack)))
    for asked in (None, "gzip", "zstd", "none"):
        with open_image(source, compression=asked) as image:
            digests = [layer.digest.text for layer in image.root.layers]
            assert digests == [sha256(pack(layer)) for layer in LAYERS]
            assert all(layer.media_type.endswith(kind) for layer in image.root.layers)
            assert layers_of(image) == list(LAYERS)
            assert read_metadata(image).config_yaml == METADATA


def test_the_same_layer_twice(tmp_path: Path) -> None:
    """A layer that is there twice is one blob, and is listed twice; an empty one is no problem."""
    empty = TarBuilder().content()
    layers = (empty, LAYERS[0], empty, b"", LAYERS[0])
    source = write(tmp_path / "a", legacy([SavedImage(layers)]))
    with open_image(source) as image:
        assert len(image.pending) == 3
        assert layers_of(image) == list(layers)
        assert len(image.blobs) == 4


SEVERAL = [
    SavedImage([plain_layer("one")], ["one:v1", "hub.example.com/org/one:v2"]),
    SavedImage([plain_layer("two")], ["docker.io/library/two:latest"]),
    SavedImage([plain_layer("three")], []),
]


@pytest.mark.parametrize(
    ("ref", "index"),
    [
        ("one:v1", 0),
        ("docker.io/library/one:v1", 0),
        ("hub.example.com/org/one:v2", 0),
        ("two", 1),
        ("@0", 0),
        ("@1", 1),
        ("@2", 2),
        (sha256(SEVERAL[2].config), 2),
    ],
)
def test_several_images(tmp_path: Path, ref: str, index: int) -> None:
    """One of several images is named as docker names it, by its place, or by its id."""
    source = write(tmp_path / "several.tar", legacy(SEVERAL))
    for prefix in ("docker-archive:", ""):
        with open_image(f"{prefix}{source}:{ref}") as image:
            assert layers_of(image) == list(SEVERAL[index].layers)
            assert image.names == tuple(SEVERAL[index].names)


def test_which_image(tmp_path: Path) -> None:
    """Without a name, or with a wrong one, the error lists what there is."""
    source = write(tmp_path / "several.tar", legacy(SEVERAL))
    with pytest.raises(InvalidInputError, match="has 3 images") as caught:
        open_image(source)
    assert caught.value.hint is not None
    assert "one:v1, docker.io/library/two:latest, @2" in caught.value.hint
    for ref in ("four", "one:v9", "@3", "@99999999999999999999999", "@x"):
        with pytest.raises(NotFoundError, match="no image") as missing:
            open_image(f"{source}:{ref}")
        assert missing.value.hint == caught.value.hint


def test_platform(tmp_path: Path) -> None:
    """The image must be for the platform that was asked for."""
    source = write(tmp_path / "a", skopeo(SavedImage(LAYERS, platform="linux/arm64")))
    with open_image(source, platform="linux/arm64") as image:
        assert layers_of(image) == list(LAYERS)
    with pytest.raises(NotFoundError, match="no image for linux/amd64") as caught:
        open_image(source, platform="linux/amd64")
    assert caught.value.hint == "It is for linux/arm64."


# ---------------------------------------------------------------------- lies


def tar_of(manifest: object, **files: bytes) -> bytes:
    """Return an archive with this `manifest.json`."""
    tar = TarBuilder()
    for name, content in files.items():
        tar.file(name, content)
    tar.json("manifest.json", manifest)
    return tar.content()


def linked(target: str, kind: bytes = tarfile.SYMTYPE) -> bytes:
    """Return an archive whose only layer is a link."""
    image = SavedImage(LAYERS[:1])
    tar = TarBuilder()
    tar.file("config", image.config)
    tar.link("a/layer.tar", target, kind)
    tar.json("manifest.json", [{"Config": "config", "Layers": ["a/layer.tar"]}])
    return tar.content()


CONFIG = SavedImage(LAYERS[:1]).config
ENTRY: dict[str, Any] = {"Config": "config", "Layers": ["layer"]}
HOSTILE = {
    "no list": (tar_of({}), "lists no image"),
    "empty list": (tar_of([]), "lists no image"),
    "no object": (tar_of(["x"]), "no object"),
    "no config": (tar_of([{"Layers": []}]), "no Config"),
    "config is a number": (tar_of([{"Config": 1}]), "no Config"),
    "layers are text": (tar_of([{"Config": "c", "Layers": "x"}]), "no list"),
    "layers are numbers": (tar_of([{"Config": "c", "Layers": [1]}]), "no list"),
    "names are numbers": (tar_of([{"Config": "c", "RepoTags": [1]}]), "no list"),
    "config is missing": (tar_of([ENTRY]), "is missing"),
    "config outside": (tar_of([{"Config": "../../etc/passwd", "Layers": []}]), "is missing"),
    "config absolute": (tar_of([{"Config": "/etc/passwd", "Layers": []}]), "is missing"),
    "config is no JSON": (tar_of([ENTRY], config=b"{"), "not JSON"),
    "config is nested": (tar_of([ENTRY], config=b"[" * 100_000), "not JSON"),
    "config is huge": (tar_of([ENTRY], config=b" " * (4 * 1024 * 1024 + 1)), "larger than"),
    "config without layers": (tar_of([ENTRY], config=b"{}"), "do not agree"),
    "fewer diff ids": (tar_of([ENTRY | {"Layers": []}], config=CONFIG), "do not agree"),
    "layer is missing": (tar_of([ENTRY], config=CONFIG), "layer is missing"),
    "layer outside": (tar_of([ENTRY | {"Layers": ["../x"]}], config=CONFIG), "is missing"),
    "diff id is a number": (
        tar_of([ENTRY], config=b'{"rootfs":{"diff_ids":[1]}}', layer=b""),
        "no text",
    ),
    "diff id is no digest": (
        tar_of([ENTRY], config=b'{"rootfs":{"diff_ids":["x"]}}', layer=b""),
        "not a digest",
    ),
    "bzip2 layer": (tar_of([ENTRY], config=CONFIG, layer=bz2.compress(b"x")), "bzip2"),
    "too many images": (tar_of([ENTRY] * 1001), "more than 1000"),
    "too many layers": (tar_of([{"Config": "c", "Layers": ["x"] * 10_001}]), "more than 10000"),
    "link out": (linked("../../etc/passwd"), "link out of"),
    "absolute link": (linked("/etc/passwd"), "link out of"),
    "hard link out": (linked("../etc/passwd", tarfile.LNKTYPE), "link out of"),
    "link to nothing": (linked("missing"), "is missing"),
    "link to itself": (linked("layer.tar"), "link to a link"),
    "not even JSON": (
        legacy([SavedImage(LAYERS)]).replace(b'[{"Config"', b'[["Config"'),
        "not JSON",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives(tmp_path: Path, name: str) -> None:
    """Every lie is exit code 5 with its reason."""
    content, said = HOSTILE[name]
    source = write(tmp_path / "hostile.tar", content)
    with pytest.raises(InvalidInputError, match=said) as caught:
        open_image(f"docker-archive:{source}")
    assert caught.value.exit_code == 5


LYING: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "plain": (bytes, "another digest"),
    "gzip": (gzipped, "is not sha256:"),
    "truncated gzip": (lambda raw: gzipped(raw)[:-9], "cannot be unpacked"),
    "gzip and more": (lambda raw: gzipped(raw) + b"more", "cannot be unpacked|is not sha256"),
    "zstd": (zstd, "is not sha256:"),
}


@pytest.mark.parametrize("name", LYING)
def test_layers_that_are_something_else(tmp_path: Path, name: str) -> None:
    """A layer that is not what the configuration says is found while it is read."""
    pack, said = LYING[name]
    saved = SavedImage(LAYERS[:1], packed=pack, diff_ids=[sha256(b"other")])
    with (
        open_image(write(tmp_path / "a", skopeo(saved))) as image,
        pytest.raises(InvalidInputError, match=said) as caught,
    ):
        image.complete()
    assert caught.value.exit_code == 5


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive or a layer that unpacks to far too much is refused."""
    monkeypatch.setattr("sealoshub.registry.expand.FREE_BYTES", 1024)
    bomb = gzipped(bytes(10 * 1024 * 1024))
    with pytest.raises(InvalidInputError, match="far too much"):
        open_image(write(tmp_path / "outer", bomb))
    saved = SavedImage([bytes(10 * 1024 * 1024)], packed=gzipped)
    with (
        open_image(write(tmp_path / "inner", skopeo(saved))) as image,
        pytest.raises(InvalidInputError, match="far too much"),
    ):
        image.complete()


# ---------------------------------------------------------------------- properties

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["Config", "Layers", "RepoTags", "Parent"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_manifest(value: object) -> None:
    """Whatever JSON `manifest.json` is, the answer is images or exit code 5."""
    try:
        images = parse_manifest(json.dumps(value).encode(), "a")
    except InvalidInputError:
        return
    assert images
    assert all(image.config for image in images)


@given(st.binary(max_size=64))
def test_any_bytes(content: bytes) -> None:
    """Whatever bytes `manifest.json` is, the answer is images or exit code 5."""
    with pytest.raises(InvalidInputError):
        parse_manifest(content, "a")


@given(st.text(min_size=1, max_size=30))
def test_any_name(ref: str) -> None:
    """A name means one image, or is exit code 5; its full form is its own full form."""
    images = [Saved("c", (), ("a:v1",)), Saved("d", (), ("b:v1",))]
    with contextlib.suppress(InvalidInputError):
        assert choose(images, ref, "a") in images
    assert full_name(full_name(ref)) == full_name(ref)
