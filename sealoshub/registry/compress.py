"""Compressing layers: in blocks, on all processors, always to the same bytes.

Each block becomes a gzip member or a Zstandard frame of its own, which every reader takes one after
the other (RFC 1952, section 2.2; RFC 8878, section 3). So blocks do not depend on each other, and
the result does not depend on the number of threads. It does depend on the library and on its
version, and ISA-L may choose other matches on another kind of processor.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError
from sealoshub.reference import Digest
from sealoshub.registry.digest_cache import Packed, Recipe
from sealoshub.registry.expand import BombError, BrokenError, Expanded, zstd_module
from sealoshub.registry.failure import clean
from sealoshub.registry.image import (
    BLOCK,
    Blob,
    Descriptor,
    StaleDigestError,
    VerifiedReader,
    unwatched,
)
from sealoshub.registry.spool import Spool
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor
    from pathlib import Path

    from sealoshub.registry.digest_cache import DigestCache
    from sealoshub.registry.image import FileRegion, Readable

MAX_THREADS: Final = 16
# Measured on text, programs and documents (MB/s of one thread, size of the result):
# ISA-L 2: 345, 41 %; 1: 356, 42 %; 3: 265, 41 %; zlib 6: 19, 37 %. Blocks of 256 KiB to 4 MiB
# differ by less than half a percent; small ones keep memory flat.
GZIP_LEVEL: Final = 2
GZIP_BLOCK: Final = 512 * 1024
# Zstandard 3: 227, 36 % with 1 MiB, 35 % with 4 MiB.
ZSTD_LEVEL: Final = 3
ZSTD_BLOCK: Final = 1024 * 1024
_GZIP_WINDOW: Final = 31  # 32 KiB and a gzip header


class Compression(StrEnum):
    """What becomes of layers that are not compressed."""

    GZIP = "gzip"
    ZSTD = "zstd"
    NONE = "none"


class Method(Value):
    """A way to compress.

    Args:
        recipe: What the result depends on.
        compress: Makes one block into one member or frame.
    """

    recipe: Recipe
    compress: Callable[[bytes], bytes]


def method(compression: Compression) -> Method:
    """Load the library for *compression*, which is not `none`."""
    if compression is Compression.ZSTD:
        zstd = zstd_module()
        return Method(
            Recipe("zstd", ZSTD_LEVEL, f"libzstd {zstd.zstd_version}", ZSTD_BLOCK),
            lambda block: bytes(zstd.compress(block, ZSTD_LEVEL)),
        )
    try:
        import isal  # noqa: PLC0415  # only for layers that are not compressed
        from isal import isal_zlib  # noqa: PLC0415  # as above
    except ImportError:  # no wheel for this processor
        import zlib  # noqa: PLC0415  # as above

        return Method(
            Recipe("gzip", 1, f"zlib {zlib.ZLIB_RUNTIME_VERSION}", GZIP_BLOCK),
            lambda block: zlib.compress(block, 1, _GZIP_WINDOW),
        )
    return Method(
        Recipe("gzip", GZIP_LEVEL, f"isal {isal.__version__}", GZIP_BLOCK),
        lambda block: isal_zlib.compress(block, GZIP_LEVEL, _GZIP_WINDOW),
    )


class Workshop:
    """What the layers of one image share: threads, disk, memory of digests.

    One layer is compressed at a time, by all threads: the first one is soonest on its way to the
    registry, and memory does not grow with the number of layers.

    Args:
        folder: Where compressed layers lie until they are pushed.
        cache: What they became the last time.
        threads: Default: one per processor.
    """

    def __init__(self, folder: Path, cache: DigestCache, threads: int | None = None) -> None:
        self.cache = cache
        self.bench = threading.Lock()
        self._folder = folder
        self._threads = threads or min(MAX_THREADS, _processors())
        self._pool: ThreadPoolExecutor | None = None
        self._spools: list[Spool] = []

    def spool(self, what: str) -> Spool:
        """Return a new file that lives as long as the workshop."""
        spool = Spool(self._folder, what)
        self._spools.append(spool)
        return spool

    def compress(self, how: Method, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield *blocks* compressed, in order; at least one member, also of nothing."""
        if self._pool is None:
            # With logging, which it imports: 15 ms that a second push can do without.
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # see above

            self._pool = ThreadPoolExecutor(self._threads, "compress")
        under_way: deque[Future[bytes]] = deque()
        try:
            for block in blocks:
                if len(under_way) > self._threads:
                    yield under_way.popleft().result()
                under_way.append(self._pool.submit(how.compress, block))
            if not under_way:
                under_way.append(self._pool.submit(how.compress, b""))
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()

    def close(self) -> None:
        """Stop the threads and give the disk back."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        for spool in self._spools:
            spool.close()


class PlainLayer:
    """A layer that is not compressed yet.

    A class because several threads may ask for the result, and the first one makes it.

    Args:
        plain: The layer; its digest is the `diff_id`.
        media_type: Of the result.
        how: Makes it.
        workshop: Where.
    """

    def __init__(self, plain: Blob, media_type: str, how: Method, workshop: Workshop) -> None:
        self._plain = plain
        self._media_type = media_type
        self._how = how
        self._workshop = workshop
        self._lock = threading.Lock()
        self._blob: Blob | None = None
        self._spool: Spool | None = None

    @property
    def digest(self) -> Digest:
        """The digest before compression."""
        return self._plain.digest

    @property
    def size(self) -> int:
        """Bytes before compression."""
        return self._plain.size

    @property
    def is_known(self) -> bool:
        """Whether the digest is known, or at least remembered."""
        cache = self._workshop.cache
        return self._blob is not None or cache.get(self.digest, self._how.recipe) is not None

    @property
    def is_ready(self) -> bool:
        """Whether the blob can be opened without compressing anything."""
        return self._spool is not None

    def resolve(self, watch: Callable[[int], None] = unwatched) -> Blob:
        """Return the compressed layer, from memory if possible (:class:`image.Pending`)."""
        with self._lock:
            if self._blob is None:
                known = self._workshop.cache.get(self.digest, self._how.recipe)
                if known is None:
                    self._make(watch)
                else:
                    self._blob = self._describe(known)
            return self._made()

    def prepare(self, watch: Callable[[int], None] = unwatched) -> Blob:
        """Return the compressed layer, its content made and its digest proven."""
        with self._lock:
            if self._spool is None:
                self._make(watch)
            return self._made()

    def _made(self) -> Blob:
        assert self._blob is not None  # noqa: S101  # both callers have seen to it
        return self._blob

    def _describe(self, packed: Packed) -> Blob:
        descriptor = Descriptor(self._media_type, packed.digest, packed.size)
        return Blob(descriptor, lambda: self._open(packed.digest), self._plain)

    def _open(self, expected: Digest) -> FileRegion:
        blob = self.prepare()
        if blob.digest != expected:
            raise StaleDigestError(
                f"the layer {self.digest} was remembered as {expected}, and is {blob.digest}",
                hint="It is remembered rightly now; push again.",
            )
        assert self._spool is not None  # noqa: S101  # prepare() has made it
        return self._spool.region()

    def _make(self, watch: Callable[[int], None]) -> None:
        """Compress the layer, and compare what is read with its digest."""
        workshop, recipe = self._workshop, self._how.recipe
        with workshop.bench:
            reader = VerifiedReader(self._plain)
            spool = workshop.spool(f"the compressed layer {self.digest}")
            hasher = hashlib.sha256()
            try:
                for part in workshop.compress(self._how, _blocks(reader, recipe.block, watch)):
                    hasher.update(part)
                    spool.write(part)
            except BaseException:
                spool.close()
                raise
            finally:
                reader.close()
        packed = Packed(Digest(f"sha256:{hasher.hexdigest()}"), spool.size)
        if self._blob is None or self._blob.digest != packed.digest:
            self._blob = self._describe(packed)
        self._spool = spool
        workshop.cache.put(self.digest, recipe, packed)


class PackedLayer:
    """A compressed layer of which only the `diff_id` is known: it stays as it is.

    It is read once, to learn its digest and to compare what it unpacks to.

    Args:
        diff_id: Digest of what it unpacks to.
        size: Bytes as it is.
        media_type: Of it.
        kind: How it is compressed.
        source: Opens it.
    """

    def __init__(
        self,
        diff_id: Digest,
        size: int,
        media_type: str,
        kind: str,
        source: Callable[[], Readable],
    ) -> None:
        self.digest = diff_id
        self.size = size
        self._media_type = media_type
        self._kind = kind
        self._source = source
        self._lock = threading.Lock()
        self._blob: Blob | None = None

    @property
    def is_known(self) -> bool:
        """Whether the digest is known."""
        return self._blob is not None

    @property
    def is_ready(self) -> bool:
        """Whether the blob can be opened without making it first: it always can."""
        return True

    def resolve(self, watch: Callable[[int], None] = unwatched) -> Blob:
        """Return the layer, hashed and compared (:class:`image.Pending`)."""
        with self._lock:
            if self._blob is None:
                self._blob = self._read(watch)
            return self._blob

    def prepare(self, watch: Callable[[int], None] = unwatched) -> Blob:
        """Return the layer, as :meth:`resolve`."""
        return self.resolve(watch)

    def _read(self, watch: Callable[[int], None]) -> Blob:
        file = _Hashed(self._source(), watch)
        hasher = self.digest.hasher()
        try:
            content = Expanded(file, self._kind, self.size)
            while block := content.read(BLOCK):
                hasher.update(block)
        except BombError as exc:
            raise InvalidInputError(f"the layer {self.digest} unpacks to far too much") from exc
        except BrokenError as exc:
            raise InvalidInputError(
                f"the layer {self.digest} cannot be unpacked ({clean(str(exc), 120)})"
            ) from exc
        finally:
            file.close()
        if file.done != self.size:
            raise InvalidInputError(f"the layer {self.digest} ends early")
        if hasher.hexdigest() != self.digest.hex:
            raise InvalidInputError(
                f"a layer is not {self.digest}, as the configuration of the image says",
                hint="The image is damaged; make it again.",
            )
        descriptor = Descriptor(self._media_type, Digest(f"sha256:{file.hexdigest()}"), self.size)
        return Blob(descriptor, self._source)


class _Hashed:
    """A file that hashes what is read from it."""

    def __init__(self, file: Readable, watch: Callable[[int], None]) -> None:
        self._file = file
        self._watch = watch
        self._hasher = hashlib.sha256()
        self.done = 0

    def read(self, size: int, /) -> bytes:
        block = self._file.read(size) or b""
        self._hasher.update(block)
        self.done += len(block)
        self._watch(self.done)
        return block

    def hexdigest(self) -> str:
        return self._hasher.hexdigest()

    def close(self) -> None:
        self._file.close()


def _processors() -> int:
    """Return how many processors this process may use, where the system says so."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _blocks(reader: VerifiedReader, size: int, watch: Callable[[int], None]) -> Iterator[bytes]:
    """Yield blocks of exactly *size* bytes, the last one shorter: they decide about the result."""
    done = 0
    parts: list[bytes] = []
    left = size
    while part := reader.read(left):
        done += len(part)
        left -= len(part)
        parts.append(part)
        if not left:
            yield b"".join(parts)
            parts, left = [], size
            watch(done)
    if parts:
        yield b"".join(parts)
