"""Compressing layers: the same bytes each time, once, and from memory if possible."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.errors import InvalidInputError
from sealoshub.reference import Digest, MediaType
from sealoshub.registry.compress import (
    GZIP_BLOCK,
    Compression,
    Method,
    PlainLayer,
    Workshop,
    method,
)
from sealoshub.registry.digest_cache import DigestCache, Packed
from sealoshub.registry.expand import (
    BombError,
    BrokenError,
    Expanded,
    compression_of,
    zstd_module,
)
from sealoshub.registry.image import Blob, Descriptor, StaleDigestError
from sealoshub.registry.spool import NoRoomError, Spool, spool_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = b"".join(
    random.Random(number).randbytes(100) * 500  # noqa: S311  # content, no secret
    for number in range(60)
)  # 3 MB, which is several blocks


def blob_of(content: bytes) -> Blob:
    """Return *content* as a layer."""
    descriptor = Descriptor(MediaType.OCI_LAYER, Digest.of(content), len(content))
    return Blob(descriptor, lambda: io.BytesIO(content))


class Counting:
    """A way to compress that counts how often it is used."""

    def __init__(self, compression: Compression = Compression.GZIP) -> None:
        self.count = 0
        self._real = method(compression)
        self.method = Method(self._real.recipe, self._compress)

    def _compress(self, block: bytes) -> bytes:
        self.count += 1
        return self._real.compress(block)


@pytest.fixture
def cache(tmp_path: Path) -> DigestCache:
    """An empty memory."""
    return DigestCache(tmp_path / "cache")


@pytest.fixture
def workshop(tmp_path: Path, cache: DigestCache) -> Iterator[Workshop]:
    """A workshop with that memory."""
    shop = Workshop(tmp_path, cache, threads=2)
    yield shop
    shop.close()


def layer(shop: Workshop, how: Counting, content: bytes = CONTENT) -> PlainLayer:
    """Return a layer to compress."""
    return PlainLayer(blob_of(content), MediaType.OCI_LAYER_GZIP, how.method, shop)


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
@pytest.mark.parametrize("content", [CONTENT, b"", b"x", bytes(GZIP_BLOCK), bytes(GZIP_BLOCK + 1)])
def test_the_same_bytes(tmp_path: Path, compression: Compression, content: bytes) -> None:
    """One thread and five make the same bytes, which every reader unpacks."""
    results = set()
    for threads in (1, 5):
        shop = Workshop(tmp_path, DigestCache(None), threads)
        how = Counting(compression)
        results.add(layer(shop, how, content).resolve().content())
        shop.close()
    (packed,) = results
    if compression is Compression.GZIP:
        assert gzip.decompress(packed) == content
    else:
        assert zstd_module().decompress(packed) == content


def test_once(workshop: Workshop) -> None:
    """However many ask at once, a layer is compressed once."""
    how = Counting()
    pending = layer(workshop, how)
    with ThreadPoolExecutor(6) as pool:
        blobs = list(pool.map(lambda _: pending.resolve(), range(6)))
    assert len({blob.digest for blob in blobs}) == 1
    assert how.count == len(CONTENT) // GZIP_BLOCK + 1
    assert pending.is_ready
    assert blobs[0].plain is not None
    assert blobs[0].plain.content() == CONTENT


def test_watched(workshop: Workshop) -> None:
    """The watcher hears how far it is, and can end it; a later call begins again."""
    how = Counting()
    pending = layer(workshop, how)

    def stop(_done: int) -> None:
        raise InvalidInputError("enough")

    with pytest.raises(InvalidInputError, match="enough"):
        pending.resolve(stop)
    heard: list[int] = []
    assert pending.resolve(heard.append).content()
    assert heard == [GZIP_BLOCK * n for n in range(1, len(CONTENT) // GZIP_BLOCK + 1)]


def test_from_memory(workshop: Workshop) -> None:
    """What was compressed once has its digest without any work; opening it makes the content."""
    first = layer(workshop, Counting()).resolve()
    how = Counting()
    again = layer(workshop, how)
    blob = again.resolve()
    assert (blob.descriptor, how.count) == (first.descriptor, 0)
    ready = [again.is_ready]
    assert blob.content() == first.content()
    assert how.count
    assert [*ready, again.is_ready] == [False, True]


def test_wrong_memory(workshop: Workshop, cache: DigestCache) -> None:
    """A wrong memory is found when the content is made, and is right afterwards."""
    how = Counting()
    right = Packed(*describe(layer(workshop, how)))
    recipe = how.method.recipe
    wrong = Packed(Digest.of(b"wrong"), 10)
    cache.put(Digest.of(CONTENT), recipe, wrong)
    pending = layer(workshop, how)
    blob = pending.resolve()
    assert blob.digest == wrong.digest
    with pytest.raises(StaleDigestError):
        blob.open()
    assert Packed(*describe(pending)) == right
    assert cache.get(Digest.of(CONTENT), recipe) == right
    cache.put(Digest.of(CONTENT), recipe, wrong)
    assert layer(workshop, how).prepare().digest == right.digest


def describe(pending: PlainLayer) -> tuple[Digest, int]:
    """Return digest and size of what a layer became."""
    blob = pending.resolve()
    return blob.digest, blob.size


@pytest.mark.parametrize("wrong", [CONTENT[:-1], CONTENT + b"x", b"y" + CONTENT[1:]])
def test_another_content(workshop: Workshop, cache: DigestCache, wrong: bytes) -> None:
    """A layer that is not its `diff_id` is refused, and nothing is remembered."""
    truth = blob_of(CONTENT)
    how = Counting()
    lying = Blob(truth.descriptor, lambda: io.BytesIO(wrong))
    pending = PlainLayer(lying, MediaType.OCI_LAYER_GZIP, how.method, workshop)
    with pytest.raises(InvalidInputError, match="the content of"):
        pending.resolve()
    assert cache.get(truth.digest, how.method.recipe) is None


def test_no_threads_are_left(tmp_path: Path) -> None:
    """A closed workshop has no threads and no files."""
    shop = Workshop(tmp_path, DigestCache(None), threads=2)
    layer(shop, Counting()).resolve()
    shop.close()
    assert [spool.file.closed for spool in shop._spools] == [True]
    for thread in threading.enumerate():
        if thread.name.startswith("compress"):
            thread.join(60)
            assert not thread.is_alive()
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- spool


def test_disk_full(tmp_path: Path) -> None:
    """A full disk is said in words, with what to do."""
    spool = Spool(tmp_path, "the layer")
    spool.close()
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123  # as the spool has it
        spool.file = full
        with pytest.raises(NoRoomError, match="no room for the layer") as caught:
            spool.write(b"x")
    assert caught.value.hint is not None
    assert "TMPDIR" in caught.value.hint


def test_spool_folder(tmp_path: Path) -> None:
    """`$TMPDIR` wins; there must be such a folder."""
    assert spool_folder({"TMPDIR": str(tmp_path)}) == tmp_path
    assert spool_folder({}).is_dir()
    with pytest.raises(Exception, match="cannot hold the layer"):
        Spool(tmp_path / "missing", "the layer")


# ---------------------------------------------------------------------- expanding


def expand(packed: bytes, kind: str | None) -> bytes:
    """Unpack."""
    stream = Expanded(io.BytesIO(packed), kind, len(packed))
    return b"".join(iter(lambda: stream.read(1000), b""))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_members(parts: list[bytes]) -> None:
    """Several gzip members, and several Zstandard frames, are one stream."""
    assert expand(b"".join(gzip.compress(part) for part in parts), "gzip") == b"".join(parts)
    frames = b"".join(zstd_module().compress(part) for part in parts)
    assert expand(frames, "zstd") == b"".join(parts)
    assert expand(b"".join(parts), None) == b"".join(parts)


@given(st.binary(max_size=200), st.sampled_from(["gzip", "zstd"]))
def test_garbage(content: bytes, kind: str) -> None:
    """Whatever is unpacked, the end is a stream or one kind of error."""
    for start in (b"", {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd"}[kind]):
        with contextlib.suppress(BrokenError):
            expand(start + content, kind)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_bombs(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What becomes far too much ends early."""
    monkeypatch.setattr("sealoshub.registry.expand.FREE_BYTES", 10_000)
    zeros = bytes(50_000_000)
    packed = gzip.compress(zeros) if kind == "gzip" else zstd_module().compress(zeros)
    with pytest.raises(BombError):
        expand(packed, kind)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_cut(kind: str) -> None:
    """What ends early is broken."""
    packed = gzip.compress(CONTENT) if kind == "gzip" else zstd_module().compress(CONTENT)
    assert hashlib.sha256(expand(packed, kind)).digest() == hashlib.sha256(CONTENT).digest()
    with pytest.raises(BrokenError):
        expand(packed[:-10], kind)
    with pytest.raises(BrokenError, match="cannot be unpacked"):
        expand(b"BZh9", compression_of(b"BZh9"))
