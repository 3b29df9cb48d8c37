"""What an image says about itself, out of its layers."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import InvalidInputError
from sealoshub.reference import MediaType
from sealoshub.registry import expand
from sealoshub.registry.metadata import CONFIG, MAX_FILE, README, Metadata, read_metadata
from sealoshub.registry.source import open_image
from tests import images
from tests.unit.registry.test_source import Builder, member

if TYPE_CHECKING:
    from pathlib import Path

Members = list[tuple[str, bytes]]
OLD, NEW = b"old", b"new"


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """An empty layout."""
    return Builder(tmp_path / "layout")


def layer(build: Builder, members: Members, *, packed: bool = True) -> object:
    """Store a layer of files (and whiteouts); a name that ends with / is a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            if name.endswith("/"):
                member(tar, name, type=tarfile.DIRTYPE)
            else:
                member(tar, name, content)
    raw = buffer.getvalue()
    if packed:
        return build.blob(gzip.compress(raw, mtime=0), MediaType.OCI_LAYER_GZIP)
    return build.blob(raw, MediaType.OCI_LAYER)


def read(build: Builder, *layers: object) -> Metadata:
    """Read what an image of *layers* says."""
    with open_image(build.index(build.manifest(*layers))) as source:
        return read_metadata(source)


def test_cluster_image(tmp_path: Path) -> None:
    """A sealos cluster image gives its configuration, its README and its facts."""
    layout = images.oci_layout(tmp_path / "image", layers=2)
    with open_image(str(layout.path)) as source:
        found = read_metadata(source)
        assert source.root.config is not None
        assert found.image_id == source.root.config.digest
        assert found.size == source.size
    assert found.config_yaml == images.METADATA
    assert found.readme == images.README
    assert found.platforms == ("linux/amd64",)
    assert found.created == "2024-01-01T00:00:00Z"
    assert found.notes == ()


def test_several_platforms(tmp_path: Path) -> None:
    """Of several platforms all are named, and amd64 is read."""
    layout = images.oci_layout(tmp_path / "image", platforms=("linux/arm64", "linux/amd64"))
    with open_image(str(layout.path)) as source:
        found = read_metadata(source)
        amd64 = json.loads(source.manifests[1].content)
    assert found.platforms == ("linux/arm64", "linux/amd64")
    assert str(found.image_id) == amd64["config"]["digest"]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([[(CONFIG, OLD)]], OLD),
        ([[("./" + CONFIG, OLD)]], OLD),
        ([[("/" + CONFIG, OLD)]], OLD),
        ([[(CONFIG, OLD)], [(CONFIG, NEW)]], NEW),
        ([[(CONFIG, OLD), (CONFIG, NEW)]], NEW),
        ([[(CONFIG, OLD)], [("other", b"x")]], OLD),
        ([[(CONFIG, OLD)], [("metadata/.wh.config.yaml", b"")]], None),
        ([[(CONFIG, OLD)], [(".wh.metadata", b"")]], None),
        ([[(CONFIG, OLD)], [("metadata/.wh..wh..opq", b"")]], None),
        ([[(CONFIG, OLD)], [(".wh..wh..opq", b"")]], None),
        ([[(CONFIG, OLD)], [("metadata/.wh..wh..opq", b""), (CONFIG, NEW)]], NEW),
        ([[(CONFIG, OLD)], [(CONFIG, NEW), ("metadata/.wh..wh..opq", b"")]], NEW),
        ([[(CONFIG, OLD)], [("metadata/.wh.config.yaml", b"")], [(CONFIG, NEW)]], NEW),
        ([[(CONFIG, OLD)], [("metadata/.wh.other", b"")]], OLD),
        ([[(CONFIG, OLD)], [("x/.wh..wh..opq", b"")]], OLD),
        ([[(CONFIG, OLD)], [("metadata", b"a file now")]], None),
        ([[(CONFIG, OLD)], [("metadata/", b"")]], OLD),
        ([[(CONFIG, OLD)], [(CONFIG + "/", b"")]], None),
        ([[("../" + CONFIG, OLD)]], None),
        ([[("a/" + CONFIG, OLD)]], None),
        ([[(CONFIG, b"")]], b""),
        ([], None),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_layers(
    build: Builder, layers: list[Members], expected: bytes | None, *, packed: bool
) -> None:
    """The topmost layer that says something about a file decides."""
    found = read(build, *(layer(build, members, packed=packed) for members in layers))
    assert found.config_yaml == expected
    assert found.readme is None


def test_whiteout_of_one_file_leaves_the_other(build: Builder) -> None:
    """A whiteout hides what it names."""
    below = layer(build, [(CONFIG, OLD), (README, OLD)])
    found = read(build, below, layer(build, [(".wh.README.md", b"")]))
    assert (found.config_yaml, found.readme) == (OLD, None)


def test_too_large_file(build: Builder) -> None:
    """A file that would not fit into an Image resource is left out, with a note."""
    found = read(build, layer(build, [(CONFIG, b"x" * (MAX_FILE + 1)), (README, NEW)]))
    assert found.config_yaml is None
    assert found.readme == NEW
    assert "larger than" in found.notes[0]


def test_link(build: Builder) -> None:
    """A link is not followed, and hides what lies below."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member(tar, CONFIG, type=tarfile.SYMTYPE, linkname="/etc/passwd")
    link = build.blob(buffer.getvalue(), MediaType.OCI_LAYER)
    found = read(build, layer(build, [(CONFIG, OLD)]), link)
    assert found.config_yaml is None
    assert "link" in found.notes[0]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x28\xb5\x2f\xfd", MediaType.OCI_LAYER_ZSTD),
        (b"no gzip", MediaType.OCI_LAYER_GZIP),
        (gzip.compress(b"no tar" * 1000, mtime=0), MediaType.OCI_LAYER_GZIP),
        (
            gzip.compress(images.layer_tar({"x": bytes(10**6)}), mtime=0)[:300],
            MediaType.OCI_LAYER_GZIP,
        ),
        (b"", MediaType.OCI_LAYER),
        (b"x", "application/octet-stream"),
    ],
)
def test_unreadable_layer(build: Builder, content: bytes, kind: str) -> None:
    """A layer that cannot be read ends the search with a note: it might hide what lies below."""
    found = read(build, layer(build, [(CONFIG, OLD)]), build.blob(content, kind))
    assert found.config_yaml is None
    assert len(found.notes) == 1


def test_bomb(build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that unpacks to far too much is left, with a note."""
    monkeypatch.setattr(expand, "FREE_BYTES", 1024 * 1024)
    found = read(build, layer(build, [("zeros", bytes(20 * 1024 * 1024)), (CONFIG, NEW)]))
    assert found.config_yaml is None
    assert "far too much" in found.notes[0]


def test_sparse_map_bomb(build: Builder) -> None:
    """The map of a sparse file does not fill the memory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("sparse")
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "s",
            "GNU.sparse.realsize": "1",
        }
        content = b"9999999999\n" + b"1\n" * (4 * 1024 * 1024)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    found = read(build, build.blob(buffer.getvalue(), MediaType.OCI_LAYER))
    assert "header is larger" in found.notes[0]


def test_lying_layer(build: Builder) -> None:
    """What a layer says counts only if it is the layer that its digest names."""
    good = layer(build, [(CONFIG, NEW)], packed=False)
    assert isinstance(good, dict)
    path = build.path / "blobs/sha256" / good["digest"][7:]
    path.write_bytes(path.read_bytes().replace(NEW, b"bad"))
    with pytest.raises(InvalidInputError, match="another digest"):
        read(build, good)


def test_artifact(build: Builder) -> None:
    """Something that is no image has no platform and no metadata."""
    entry = build.manifest(
        build.blob(b"text", "text/plain"),
        config=build.blob(b"{}", MediaType.OCI_EMPTY),
    )
    with open_image(build.index(entry)) as source:
        found = read_metadata(source)
    assert (found.config_yaml, found.readme, found.platforms) == (None, None, ())
