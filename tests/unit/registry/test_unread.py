"""Blobs in plain files are sent by the kernel, unread: who notices that they are damaged."""

from __future__ import annotations

import os
import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import ContentRefusedError, InvalidInputError
from sealoshub.reference import Reference
from sealoshub.registry.connection import FileSlice
from sealoshub.registry.feed import Feed
from sealoshub.registry.image import BLOCK
from sealoshub.registry.push import push
from sealoshub.registry.source import open_image
from tests.images import Layout, oci_layout
from tests.unit.registry.fake_registry import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[Layout, str]:
    """Make an image with one byte wrong in a layer; return the layer's digest, too."""
    layout = oci_layout(tmp_path / "layout", layers=2, layer_bytes=3 * BLOCK)
    digest = max(layout.blobs, key=lambda known: blob_file(layout, known).stat().st_size)
    with blob_file(layout, digest).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    return layout, digest


def blob_file(layout: Layout, digest: str) -> Path:
    """Return where a blob of *layout* lies."""
    return layout.path / "blobs" / "sha256" / digest.removeprefix("sha256:")


@pytest.mark.parametrize("chunk", [None, BLOCK])
@pytest.mark.parametrize("archive", [False, True])
def test_damaged_blob(  # noqa: PLR0913, PLR0917  # fixtures
    registry: FakeRegistry,
    connect: ClientMaker,
    damaged: tuple[Layout, str],
    tmp_path: Path,
    chunk: int | None,
    archive: bool,  # noqa: FBT001  # a parameter of pytest
) -> None:
    """The registry refuses it, we say exactly which it is, and nothing of it stays there."""
    layout, digest = damaged
    source = f"oci:{layout.path}"
    if archive:
        source = f"oci-archive:{shutil.make_archive(str(tmp_path / 'a'), 'tar', layout.path)}"
    with open_image(source) as image, pytest.raises(InvalidInputError) as caught:
        push(
            connect(registry.host),
            image,
            Reference.parse(f"{registry.host}/o/r:v1"),
            jobs=1,
            chunk_size=chunk,
        )
    assert caught.value.exit_code == 5
    assert f"the content of {digest} has another digest" in caught.value.message
    assert digest not in registry.blobs.get("o/r", {})
    assert registry.uploads == {}
    assert not registry.manifests.get("o/r")


def test_refused_for_another_reason(
    registry: FakeRegistry, connect: ClientMaker, image: Layout
) -> None:
    """Content that is whole is not blamed for what a registry does not like."""
    registry.faults.append(Fault("PUT", "/uploads/", status=400, body=b"no room for art"))
    with (
        open_image(f"oci:{image.path}") as source,
        pytest.raises(ContentRefusedError, match="no room for art"),
    ):
        push(connect(registry.host), source, Reference.parse(f"{registry.host}/o/r:v1"), jobs=1)


def test_slices(image: Layout) -> None:
    """A blob in a file is given out as slices of it, any range, none larger than a block."""
    with open_image(f"oci:{image.path}") as source:
        blob = max(source.blobs, key=lambda known: known.size)
        content = blob.content()
        feed = Feed(blob, threading.Event(), None)
        for start, end in ((0, blob.size), (10, 20), (BLOCK - 1, 2 * BLOCK + 1), (5, 5)):
            found = b""
            for piece in feed.pieces(start, end, lambda _at: None, lambda _at: None):
                assert isinstance(piece, FileSlice)
                assert len(piece) <= BLOCK
                found += os.pread(piece.descriptor, piece.size, piece.start)
            assert found == content[start:end]
        feed.close()


def test_file_of_another_size(image: Layout, tmp_path: Path) -> None:
    """A file that changed its size since it was looked at is read, and so found out."""
    layout = tmp_path / "layout"
    shutil.copytree(image.path, layout)
    with open_image(f"oci:{layout}") as source:
        blob = max(source.blobs, key=lambda known: known.size)
        path = layout / "blobs" / "sha256" / blob.digest.hex
        os.truncate(path, blob.size - 1)
        feed = Feed(blob, threading.Event(), None)
        with pytest.raises(InvalidInputError, match="ends 1 bytes early"):
            list(feed.pieces(0, blob.size, lambda _at: None, lambda _at: None))
        feed.close()
