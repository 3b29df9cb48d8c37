"""Decompression as a stream, with a bound: a few bytes must not become a full disk."""

from __future__ import annotations

import gzip
import importlib
import io
import sys
import zlib
from typing import IO, TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from types import ModuleType

    from sealoshub.registry.image import Readable

# Something may unpack to this many bytes, or to RATIO times what it weighs, whichever is more; gzip
# reaches 1032 with nothing but zeros, real layers stay below 20.
FREE_BYTES: Final = 1024**3
RATIO: Final = 100

GZIP: Final = "gzip"
ZSTD: Final = "zstd"
_MAGIC: Final = (
    (b"\x1f\x8b", GZIP),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
MAGIC_SIZE: Final = 6
_BUFFER: Final = 1024 * 1024


class BombError(Exception):
    """Something that unpacks to much more than anything real."""


class BrokenError(Exception):
    """Something that cannot be unpacked; the text says why."""


def compression_of(beginning: bytes) -> str | None:
    """Tell from its first bytes how something is compressed; None if it is not."""
    for magic, kind in _MAGIC:
        if beginning.startswith(magic):
            return kind
    return None


class Expanded:
    """What comes out of a decompressor, counted.

    It is a class because it looks like a file to those who read it.

    Args:
        source: The compressed content; it stays open.
        kind: `gzip` or `zstd`; None passes everything through.
        packed: Bytes of the compressed content.
    """

    def __init__(self, source: Readable, kind: str | None, packed: int) -> None:
        raw = cast("IO[bytes]", io.BufferedReader(_Raw(source), buffer_size=_BUFFER))
        self._source, self._errors = (raw, ()) if kind is None else _decompressor(raw, kind)
        self._left = max(FREE_BYTES, RATIO * packed)

    def read(self, size: int, /) -> bytes:
        """Return at most *size* bytes; none at the end.

        Raises:
            BombError: It has become far too much.
            BrokenError: It is damaged.
        """
        try:
            block = self._source.read(size)
        except self._errors as exc:
            raise BrokenError(str(exc)) from exc
        self._left -= len(block)
        if self._left < 0:
            raise BombError
        return block

    def close(self) -> None:
        """Free the decompressor; the source stays open."""
        self._source.close()


def zstd_module() -> ModuleType:
    """Import Zstandard: part of Python from 3.14 on, before that its backport."""
    # By name: which of the two is there depends on the Python that runs this.
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return importlib.import_module(name)


def _decompressor(raw: IO[bytes], kind: str) -> tuple[IO[bytes], tuple[type[Exception], ...]]:
    """Return a decompressor and what it raises."""
    if kind == GZIP:
        try:
            from isal import igzip, isal_zlib  # noqa: PLC0415  # only for compressed content
        except ImportError:  # no wheel for this processor
            plain = gzip.GzipFile(fileobj=raw, mode="rb")
            return cast("IO[bytes]", plain), (EOFError, zlib.error, gzip.BadGzipFile)
        fast = igzip.IGzipFile(fileobj=raw, mode="rb")  # type: ignore[no-untyped-call]  # isal types its C half
        failed = cast("type[Exception]", isal_zlib.error)
        return cast("IO[bytes]", fast), (EOFError, zlib.error, gzip.BadGzipFile, failed)
    if kind == ZSTD:
        zstd = zstd_module()
        return zstd.ZstdFile(raw, "rb"), (EOFError, zstd.ZstdError)
    raise BrokenError(f"{kind} cannot be unpacked here")


class _Raw(io.RawIOBase):
    """A readable as the standard library wants a file."""

    def __init__(self, source: Readable) -> None:
        super().__init__()
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]  # typeshed says Buffer, which has no length
        block = self._source.read(len(buffer)) or b""
        buffer[: len(block)] = block
        return len(block)
