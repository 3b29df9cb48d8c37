"""Sources by hostile hands: whatever bytes there are, an image comes out or exit code 5."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.reference import MediaType
from sealoshub.registry.metadata import read_metadata
from sealoshub.registry.source import open_image
from tests.docker_archives import SavedImage, legacy, modern, plain_layer, skopeo, write
from tests.images import oci_layout
from tests.unit.registry.test_source import Builder

if TYPE_CHECKING:
    from collections.abc import Callable

SAVED = SavedImage([plain_layer("a")])


@functools.cache
def archive(kind: str) -> bytes:
    """Return an honest archive of each kind."""
    if kind == "oci":
        with TemporaryDirectory() as folder:
            layout = oci_layout(Path(folder) / "l", layer_bytes=100)
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
                tar.add(layout.path, ".")
        return buffer.getvalue()
    makers: dict[str, Callable[[], bytes]] = {
        "legacy": lambda: legacy([SAVED]),
        "skopeo": lambda: skopeo(SAVED),
        "modern": lambda: modern(SAVED),
    }
    return makers[kind]()


def read_all(source: str) -> None:
    """Open an image and read everything; only our errors may come."""
    with open_image(source, env={}) as image:
        read_metadata(image)
        for blob in image.blobs:
            blob.content()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that every example writes anew."""
    return tmp_path_factory.mktemp("hostile") / "a.tar"


@given(
    st.sampled_from(["oci", "legacy", "skopeo", "modern"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=12))),
)
def test_changed_bytes(place: Path, kind: str, changes: list[tuple[float, bytes]]) -> None:
    """An archive with other bytes anywhere is an image, or is refused; nothing else happens."""
    content = bytearray(archive(kind))
    for where, new in changes:
        start = int(where * len(content))
        content[start : start + len(new)] = new
    place.write_bytes(content)
    with contextlib.suppress(InvalidInputError):
        read_all(str(place))


@given(st.sampled_from(["oci", "legacy", "skopeo", "modern"]), st.floats(0, 1, exclude_max=True))
def test_cut_anywhere(place: Path, kind: str, where: float) -> None:
    """An archive that ends early is refused, or had all that is needed before."""
    content = archive(kind)
    place.write_bytes(content[: int(where * len(content))])
    with contextlib.suppress(InvalidInputError):
        read_all(str(place))


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "size": st.binary(min_size=12, max_size=12),
        "type": st.sampled_from([bytes([each]) for each in b"01234567gxKLNSVX\0"]),
        "linkname": st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=20),
        "name": st.sampled_from(
            ["../x", "/x", "a/../../x", "manifest.json", "index.json", "x" * 99]
        ),
    },
)


def header(fields: dict[str, Any]) -> bytes:
    """Return a tar header with a right checksum and anything else in it."""
    entry = tarfile.TarInfo(fields.get("name", "file"))
    entry.linkname = fields.get("linkname", "")
    entry.type = fields.get("type", tarfile.REGTYPE)
    block = bytearray(entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")[-512:])
    block[124:136] = fields.get("size", block[124:136])
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@given(st.lists(FIELDS, min_size=1, max_size=4), st.booleans())
def test_any_header(place: Path, headers: list[dict[str, Any]], before: bool) -> None:  # noqa: FBT001  # hypothesis passes by position
    """Headers of any type, size and link before or behind an image do no harm."""
    strange = b"".join(header(fields) for fields in headers)
    image = archive("skopeo")
    place.write_bytes(strange + image if before else image.rstrip(b"\0") + strange)
    with contextlib.suppress(InvalidInputError):
        read_all(str(place))


ODD = {
    "sparse in PAX": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x"},
    "name in PAX": {"path": "../../evil"},
    "absolute in PAX": {"path": "/evil"},
    "link in PAX": {"linkpath": "../../evil"},
    "size in PAX": {"size": "99999999999999999999"},
    "negative size in PAX": {"size": "-1"},
    "size is a word in PAX": {"size": "large"},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_attributes(tmp_path: Path, name: str) -> None:
    """Extended attributes that contradict the header are refused, or are of no use to anybody."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("manifest.json")
        entry.pax_headers = ODD[name]
        if name == "link in PAX":
            entry.type = tarfile.SYMTYPE
        tar.addfile(entry)
    with pytest.raises(InvalidInputError) as caught:
        open_image(write(tmp_path / "a.tar", buffer.getvalue()))
    assert caught.value.exit_code == 5


def test_endless_header(tmp_path: Path) -> None:
    """A header of gigabytes, in a few compressed bytes, is not taken into the memory."""
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    content = entry.tobuf(tarfile.GNU_FORMAT) + bytes(50_000_000)
    with pytest.raises(InvalidInputError, match="a header is larger"):
        open_image(write(tmp_path / "a.tar.gz", gzip.compress(content)))


# ---------------------------------------------------------------------- index.json

SCALARS = st.none() | st.booleans() | st.integers(-5, 1 << 60) | st.text(max_size=8)
KEYS = st.sampled_from(
    ["manifests", "mediaType", "digest", "size", "platform", "annotations", "urls", "subject", "os"]
)
WORDS = st.sampled_from([MediaType.OCI_INDEX, MediaType.OCI_MANIFEST, f"sha256:{'0' * 64}"])
JSON = st.recursive(
    SCALARS | WORDS.map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """A layout with one image, whose index every example writes anew."""
    return Builder(tmp_path_factory.mktemp("index") / "layout")


@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_any_index(build: Builder, document: dict[str, object]) -> None:
    """Whatever JSON `index.json` is, it is refused: no blob is there."""
    (build.path / "index.json").write_text(json.dumps(document))
    with pytest.raises(InvalidInputError):
        read_all(str(build.path))


@given(st.dictionaries(KEYS, JSON, max_size=4), st.booleans())
def test_any_manifest(build: Builder, document: dict[str, object], index: bool) -> None:  # noqa: FBT001  # hypothesis passes by position
    """Whatever JSON a manifest is, it is an image without content, or refused."""
    kind = MediaType.OCI_INDEX if index else MediaType.OCI_MANIFEST
    content = json.dumps({"mediaType": kind} | document).encode()
    path = build.index(build.blob(content, kind))
    with contextlib.suppress(InvalidInputError):
        read_all(path)


def test_loop_of_referrers(build: Builder) -> None:
    """A long chain of signatures of signatures goes along, and does not exhaust the stack."""
    entries = [build.manifest(build.blob(b"layer"))]
    for number in range(300):
        content = build.blob(str(number).encode(), "application/sig")
        entries.append(build.manifest(content, subject=entries[-1]))
    path = build.index(*entries)
    with open_image(path) as image:
        assert image.manifest_count == 301
        assert image.root.descriptor.digest.text == entries[0]["digest"]
    with open_image(path, compression="gzip") as image:
        assert len(image.manifests) == 301


def test_too_many_bytes_of_manifests(build: Builder) -> None:
    """Neighbours of an image do not fill the memory."""
    image = build.manifest() | {"annotations": {"org.opencontainers.image.ref.name": "v1"}}
    large = [
        build.manifest(annotations={"x": str(number) * (3 << 20)}, subject=image)
        for number in range(12)
    ]
    with pytest.raises(InvalidInputError, match="manifests are larger"):
        open_image(f"{build.index(image, *large)}:v1")


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../etc/hostname"])
def test_links_in_a_directory(tmp_path: Path, target: str) -> None:
    """A link out of a layout or `dir:` is refused, wherever it points."""
    layout = oci_layout(tmp_path / "l", layer_bytes=100)
    blob = next((layout.path / "blobs" / "sha256").iterdir())
    blob.unlink()
    blob.symlink_to(target)
    with pytest.raises((InvalidInputError, NotFoundError)) as caught:
        open_image(str(layout.path))
    assert caught.value.exit_code == 5
