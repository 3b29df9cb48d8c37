"""Opening images, and refusing what pretends to be one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.reference import Digest, MediaType
from sealoshub.registry.archive import HeaderFile
from sealoshub.registry.image import BLOCK, MAX_MANIFEST, Blob, Descriptor
from sealoshub.registry.source import open_image
from tests.images import oci_layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.images import Layout


class Builder:
    """Writes a layout piece by piece, also a wrong one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, content: bytes, media_type: str = MediaType.OCI_LAYER, **more: object) -> Any:  # noqa: ANN401  # JSON
        """Store *content*; return its descriptor, changed by *more*."""
        name = hashlib.sha256(content).hexdigest()
        (self.path / "blobs/sha256" / name).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(content)} | more

    def manifest(self, *layers: object, **more: object) -> Any:  # noqa: ANN401  # JSON
        """Store a manifest with *layers*; return its descriptor."""
        config = self.blob(b'{"os":"linux","architecture":"amd64"}', MediaType.OCI_CONFIG)
        document = {"schemaVersion": 2, "config": config, "layers": list(layers)} | more
        return self.blob(json.dumps(document).encode(), MediaType.OCI_MANIFEST)

    def index(self, *entries: object) -> str:
        """Write `index.json`; return the path of the layout."""
        document = {"schemaVersion": 2, "manifests": list(entries)}
        (self.path / "index.json").write_text(json.dumps(document))
        return str(self.path)


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """An empty layout."""
    return Builder(tmp_path / "layout")


def pack(layout: Path, archive: Path, **options: Any) -> Path:  # noqa: ANN401  # of tarfile
    """Put a layout into a tar."""
    with tarfile.open(archive, "w", **options) as tar:
        tar.add(layout, ".")
    return archive


def contents(source: str) -> dict[str, bytes]:
    """Open an image and read all of its blobs."""
    with open_image(source) as image:
        return {blob.digest.text: blob.content() for blob in image.blobs}


@pytest.mark.parametrize("kind", ["oci:{d}", "{d}", "{d}:v1", "oci:{d}:v1", "{d}/"])
def test_directory(image: Layout, kind: str) -> None:
    """A layout in a directory is opened by prefix or by looking, with or without a name."""
    with open_image(kind.format(d=image.path)) as source:
        assert source.root.descriptor.digest.text == image.digest
        assert source.names == ("v1",)
        assert {blob.digest.text for blob in source.blobs} == set(image.blobs)


@pytest.mark.parametrize("kind", ["oci-archive:{d}", "{d}", "oci-archive:{d}:v1"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_archive(image: Layout, tmp_path: Path, kind: str, form: int) -> None:
    """A layout in a tar of any format is read in place, and is the same."""
    archive = pack(image.path, tmp_path / "image.tar", format=form)
    assert contents(kind.format(d=archive)) == contents(str(image.path))


def test_hard_links_in_an_archive(image: Layout, tmp_path: Path) -> None:
    """Tar writes the second name of a file as a link; both names work."""
    copy = tmp_path / "copy"
    (copy / "blobs/sha256").mkdir(parents=True)
    for file in ("oci-layout", "index.json"):
        os.link(image.path / file, copy / file)
    for number, blob in enumerate(sorted((image.path / "blobs/sha256").iterdir())):
        os.link(blob, copy / "blobs/sha256" / f"0-{number}")
        os.link(blob, copy / "blobs/sha256" / blob.name)
    assert contents(str(pack(copy, tmp_path / "a.tar"))) == contents(str(image.path))


def test_platforms(tmp_path: Path) -> None:
    """An index brings all of its manifests, children first."""
    layout = oci_layout(tmp_path / "multi", platforms=("linux/amd64", "linux/arm64"))
    with open_image(str(layout.path)) as source:
        digests = [manifest.descriptor.digest.text for manifest in source.manifests]
        assert digests == [*layout.manifests.values(), layout.digest]


def test_several_images(build: Builder) -> None:
    """Of several images one must be named; the error names them."""
    ref = "org.opencontainers.image.ref.name"
    one = build.manifest(build.blob(b"1")) | {"annotations": {ref: "one"}}
    two = build.manifest(build.blob(b"2")) | {"annotations": {ref: "two"}}
    path = build.index(one, two)
    with pytest.raises(InvalidInputError, match="2 images") as caught:
        open_image(path)
    assert caught.value.hint is not None
    assert "one, two" in caught.value.hint
    with open_image(f"{path}:two") as source:
        assert source.root.descriptor.digest.text == two["digest"]
    with open_image(f"{path}:{one['digest']}") as source:
        assert source.names == ("one",)
    with pytest.raises(NotFoundError, match="'three'"):
        open_image(f"{path}:three")


def test_one_image_of_many_names(build: Builder) -> None:
    """The same digest under two names is one image."""
    ref = "org.opencontainers.image.ref.name"
    manifest = build.manifest()
    path = build.index(*(manifest | {"annotations": {ref: name}} for name in ("a", "b")))
    with open_image(path) as source:
        assert source.names == ("a", "b")


def test_foreign_layers_are_left_out(build: Builder) -> None:
    """A foreign layer need not be there and is not pushed."""
    foreign = {
        "mediaType": MediaType.DOCKER_FOREIGN_LAYER_GZIP,
        "digest": f"sha256:{'0' * 64}",
        "size": 7,
        "urls": ["https://example.com/layer"],
    }
    with open_image(build.index(build.manifest(foreign))) as source:
        assert [blob.descriptor.media_type for blob in source.blobs] == [MediaType.OCI_CONFIG]


@pytest.mark.parametrize("kind", ["ostree:x", "sif:x", "https://x/y", "tarball:x", "oci://x"])
def test_kinds_that_are_not_supported(kind: str) -> None:
    """Kinds that other programs know are named, with what is supported here."""
    with pytest.raises(InvalidInputError, match=r"not supported|is not a source") as caught:
        open_image(kind)
    assert caught.value.hint is not None
    assert "oci-archive:" in caught.value.hint


@pytest.mark.parametrize(
    "source", ["", "missing", "oci:missing", "oci-archive:", "a\0b", "x" * 5000]
)
def test_missing(source: str) -> None:
    """A path that is not there, or is no path, is exit code 5."""
    with pytest.raises(InvalidInputError) as caught:
        open_image(source)
    assert caught.value.exit_code == 5


def test_wrong_prefix(image: Layout, tmp_path: Path) -> None:
    """`oci:` wants a directory and `oci-archive:` a file."""
    archive = pack(image.path, tmp_path / "image.tar")
    with pytest.raises(InvalidInputError, match="is not a directory"):
        open_image(f"oci:{archive}")
    with pytest.raises(InvalidInputError, match="is not a file"):
        open_image(f"oci-archive:{image.path}")


def test_no_image(tmp_path: Path) -> None:
    """Other files and folders say what they are not."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="is not an image"):
        open_image(str(tmp_path / "empty"))
    for name, content, said in (
        ("text", b"hello" * 1000, "no tar archive"),
        ("nothing", b"", "no tar archive"),
        ("gz", b"\x1f\x8b\x08\x00abc", "cannot be unpacked"),
        ("zst", b"\x28\xb5\x2f\xfdabc", "cannot be unpacked"),
        ("bz2", b"BZh91AY", "bzip2 cannot be unpacked"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInputError, match=said):
            open_image(str(tmp_path / name))


def test_fifo(tmp_path: Path) -> None:
    """A pipe is refused at once, not waited for."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInputError, match="not a regular file"):
        open_image(str(tmp_path / "pipe"))


# ---------------------------------------------------------------------- hostile layouts


def deep(build: Builder) -> object:
    """Make indexes within indexes."""
    entry = build.manifest()
    for _ in range(7):
        document = {"schemaVersion": 2, "manifests": [entry]}
        entry = build.blob(json.dumps(document).encode(), MediaType.OCI_INDEX)
    return entry


def missing_layer(build: Builder) -> object:
    """Make a manifest whose layer is not there."""
    layer = build.blob(b"gone")
    (build.path / "blobs/sha256" / layer["digest"][7:]).unlink()
    return build.manifest(layer)


def link_outside(build: Builder) -> object:
    """Make a layer that is a link out of the layout."""
    layer = build.blob(b"secret")
    path = build.path / "blobs/sha256" / layer["digest"][7:]
    path.unlink()
    (build.path.parent / "outside").write_bytes(b"secret")
    path.symlink_to(build.path.parent / "outside")
    return build.manifest(layer)


def pipe(build: Builder) -> object:
    """Make a layer that is a pipe."""
    layer = build.blob(b"")
    path = build.path / "blobs/sha256" / layer["digest"][7:]
    path.unlink()
    os.mkfifo(path)
    return build.manifest(layer)


def damaged_manifest(build: Builder) -> object:
    """Make a manifest whose digest lies."""
    entry = build.manifest()
    path = build.path / "blobs/sha256" / entry["digest"][7:]
    path.write_bytes(path.read_bytes().replace(b"2", b"3", 1))
    return entry


HOSTILE: dict[str, tuple[Callable[[Builder], object], str]] = {
    "deep indexes": (deep, "deep"),
    "missing layer": (missing_layer, "is missing"),
    "link out": (link_outside, "link out of"),
    "pipe": (pipe, "not a regular file"),
    "lying manifest digest": (damaged_manifest, "another digest"),
    "lying size": (lambda b: b.manifest(b.blob(b"abc", size=4)), "has 3 bytes"),
    "negative size": (lambda b: b.manifest(b.blob(b"abc", size=-1)), "size of"),
    "size true": (lambda b: b.manifest(b.blob(b"a", size=True)), "size of"),
    "huge size": (lambda b: b.manifest(b.blob(b"a", size=1 << 60)), "size of"),
    "two sizes": (lambda b: b.manifest(b.blob(b"a"), b.blob(b"a", size=2)), "two sizes"),
    "traversal digest": (
        lambda b: b.manifest(b.blob(b"a", digest="sha256:../../../../etc/passwd")),
        "is not a digest",
    ),
    "md5": (lambda b: b.manifest(b.blob(b"a", digest="md5:" + "0" * 32)), "is not a digest"),
    "no layers list": (lambda b: b.manifest(layers={}), "no list"),
    "layer is text": (lambda b: b.manifest("x"), "no object"),
    "no config": (lambda b: b.manifest(config=None), "missing or is no object"),
    "both kinds": (lambda b: b.manifest(manifests=[]), "at once"),
    "other mediaType": (lambda b: b.manifest(mediaType=MediaType.OCI_INDEX), "mediaType"),
    "schema 1": (
        lambda b: b.blob(b"{}", "application/vnd.docker.distribution.manifest.v1+json"),
        "not supported",
    ),
    "no JSON": (lambda b: b.blob(b"{", MediaType.OCI_MANIFEST), "not JSON"),
    "nested JSON": (lambda b: b.blob(b"[" * 100_000, MediaType.OCI_MANIFEST), "not JSON"),
    "huge manifest": (
        lambda b: b.blob(b" " * (MAX_MANIFEST + 1), MediaType.OCI_MANIFEST),
        "larger than",
    ),
    "descriptor is text": (lambda _b: "x", "no object"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("archived", [False, True])
def test_hostile_layouts(build: Builder, name: str, tmp_path: Path, *, archived: bool) -> None:
    """Every lie is exit code 5 with its reason, in a directory and in a tar."""
    make, said = HOSTILE[name]
    path = build.index(make(build))
    if archived:
        if name in {"link out", "pipe"}:
            said = "is a link|is missing|link out"
        path = str(pack(Path(path), tmp_path / "hostile.tar"))
    with pytest.raises(InvalidInputError, match=said) as caught:
        open_image(path)
    assert caught.value.exit_code == 5


def test_lying_blob_is_found_while_reading(build: Builder) -> None:
    """A blob whose content has another digest never gives its last block."""
    layer = build.blob(b"a" * (BLOCK + 10))
    (build.path / "blobs/sha256" / layer["digest"][7:]).write_bytes(b"b" * (BLOCK + 10))
    path = build.index(build.manifest(layer))
    given: list[bytes] = []
    with open_image(path) as source:
        blob = next(blob for blob in source.blobs if blob.digest.text == layer["digest"])
        with pytest.raises(InvalidInputError, match="another digest"):
            given.extend(blob.blocks())
    assert [len(block) for block in given] == [BLOCK]


@pytest.mark.parametrize(
    ("real", "said"), [(b"short", "early"), (b"longer than it", "longer than")]
)
def test_size_changes_while_reading(real: bytes, said: str) -> None:
    """A file that grew or shrank since is noticed."""
    blob = Blob(Descriptor("x", Digest.of(b"expected"), 8), lambda: io.BytesIO(real))
    with pytest.raises(InvalidInputError, match=said):
        list(blob.blocks())


@pytest.mark.parametrize("start", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
def test_blocks_from_the_middle(start: int) -> None:
    """Reading from a byte on gives the rest, verified as a whole."""
    content = os.urandom(2 * BLOCK + 5)
    blob = Blob(Descriptor("x", Digest.of(content), len(content)), lambda: io.BytesIO(content))
    assert b"".join(blob.blocks(start)) == content[start:]


def test_empty_blob() -> None:
    """Nothing is content too."""
    blob = Blob(Descriptor("x", Digest.of(b""), 0), lambda: io.BytesIO(b""))
    assert blob.content() == b""


# ---------------------------------------------------------------------- hostile tars


def member(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    """Add a member with any header fields."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("../evil", {}, "points out of"),
        ("/etc/passwd", {}, "points out of"),
        ("blobs/../../x", {}, "points out of"),
        ("index.json", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "link out of"),
        ("index.json", {"type": tarfile.SYMTYPE, "linkname": "a/../../x"}, "link out of"),
        ("index.json", {"type": tarfile.SYMTYPE, "linkname": "index.json"}, "link to a link"),
        ("index.json", {"type": tarfile.LNKTYPE, "linkname": "missing"}, "is not an image"),
        ("index.json", {"type": tarfile.LNKTYPE, "linkname": "../x"}, "link out of"),
        ("elsewhere", {"type": tarfile.SYMTYPE, "linkname": "../x"}, "link out of"),
    ],
)
def test_hostile_members(tmp_path: Path, name: str, fields: dict[str, Any], said: str) -> None:
    """Names and links that point out of the archive are refused."""
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        member(tar, name, **fields)
    with pytest.raises(InvalidInputError, match=said):
        open_image(str(tmp_path / "t.tar"))


def test_member_longer_than_the_archive(tmp_path: Path) -> None:
    """A header that claims more than there is, is refused."""
    info = tarfile.TarInfo("index.json")
    info.size = 10**12
    (tmp_path / "t.tar").write_bytes(info.tobuf() + bytes(1024))
    with pytest.raises(InvalidInputError):
        open_image(str(tmp_path / "t.tar"))


def test_huge_extended_header(tmp_path: Path) -> None:
    """A header that claims gigabytes of attributes is not read into memory."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 7 * 1024**3
    path = tmp_path / "t.tar"
    path.write_bytes(info.tobuf())
    os.truncate(path, 9 * 1024**3)  # sparse: takes no room
    with pytest.raises(InvalidInputError, match="header is larger"):
        open_image(str(path))


def test_headers_that_announce_headers(tmp_path: Path) -> None:
    """A chain of extended headers ends with an error, not with the stack."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 512
    (tmp_path / "t.tar").write_bytes((info.tobuf() + b"n" * 512) * 3000)
    with pytest.raises(InvalidInputError, match="no tar archive"):
        open_image(str(tmp_path / "t.tar"))


def test_no_way_back() -> None:
    """A member that lies before its own header (CVE-2025-8194) ends the reading."""
    file = HeaderFile(io.BytesIO(bytes(4096)), seekable=True)
    file.read(1024)
    with pytest.raises(tarfile.ReadError):
        file.seek(512)
    with pytest.raises(tarfile.ReadError):
        file.seek(0, os.SEEK_END)
