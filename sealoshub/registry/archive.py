"""Tar archives, read in place: an index of the members, each opened by its offset.

Nothing is extracted, so names cannot reach the file system; absolute names and `..` are refused all
the same, because an honest program does not write them. The standard library parses the headers,
through a file object that bounds every read: a header that claims gigabytes of extended attributes
ends with an error and not with the memory.
"""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, cast

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.registry.expand import (
    MAGIC_SIZE,
    BombError,
    BrokenError,
    Expanded,
    compression_of,
)
from sealoshub.registry.failure import clean
from sealoshub.registry.image import BLOCK, FileRegion
from sealoshub.registry.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import IO

    from sealoshub.registry.image import Readable

MAX_HEADER: Final = 1024 * 1024  # bytes of one extended header; path names need a few thousand
MAX_MEMBERS: Final = 100_000  # of an image archive, which has a few per layer
MAX_LINKS: Final = 8  # one after the other; docker writes one

# What tarfile raises for files that are no tar, or a hostile one. RecursionError: headers that
# announce headers that announce headers.
TAR_ERRORS: Final = (tarfile.TarError, ValueError, OverflowError, OSError, RecursionError)


class HeaderFile:
    """A file for the tar parser: it moves forward only, and never reads much at once.

    A class because it has to look like a file to :mod:`tarfile`.

    Args:
        source: What is parsed; read in order, from its beginning.
        seekable: The source can be moved with `seek`; otherwise what is skipped is read.
    """

    def __init__(self, source: Readable, *, seekable: bool) -> None:
        self._source = source
        self._seekable = seekable
        self._position = 0
        self._header = 0  # bytes read by the parser for the member under way

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Move forward.

        Raises:
            ReadError: Backward: a header with a negative size (CVE-2025-8194).
        """
        if whence != os.SEEK_SET or position < self._position:
            raise tarfile.ReadError("a member lies before its own header")
        if self._seekable:
            cast("IO[bytes]", self._source).seek(position)
            self._position = position
        else:
            while self._position < position:
                if not self._take(min(position - self._position, MAX_HEADER)):
                    break
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Read *size* bytes, fewer only at the end.

        Raises:
            ReadError: More than any honest header has.
        """
        self._header += size
        if size < 0 or self._header > MAX_HEADER:
            # Also for the map of a sparse file, which comes in many small pieces.
            raise tarfile.ReadError(f"a header is larger than {MAX_HEADER} bytes")
        return self.content(size)

    def begin_member(self) -> None:
        """Give the next header its own bound."""
        self._header = 0

    def content(self, size: int) -> bytes:
        """Read *size* bytes of a member, fewer only at the end."""
        parts = []
        while size and (part := self._take(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _take(self, size: int) -> bytes:
        part = self._source.read(size) or b""
        self._position += len(part)
        return part


def walk(file: HeaderFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an uncompressed tar in order, keeping none.

    Raises:
        TAR_ERRORS: It is no tar, or a broken one.
    """
    # tarfile wants IO[bytes] and uses read, seek and tell.
    with tarfile.open(fileobj=cast("IO[bytes]", file), mode="r:", errorlevel=0) as tar:
        while (member := tar.next()) is not None:
            file.begin_member()
            # tarfile remembers every member it saw; a layer can have millions.
            tar.members.clear()  # type: ignore[attr-defined]  # documented nowhere, stable since 2.3
            yield member


def open_archive(path: Path, folder: Path) -> TarStore:
    """Open a tar, also a compressed one.

    An uncompressed archive is read in place. A compressed one is unpacked once, into a file without
    a name: what is needed first is often at its end.

    Args:
        path: The archive.
        folder: Where to unpack to.

    Raises:
        NotFoundError: There is no such file.
        InvalidInputError: It is no tar, or a hostile one.
        SealosHubError: There is no room to unpack it.
    """
    file = _open(path)
    try:
        size = _regular(path, file)
        kind = compression_of(os.pread(file.fileno(), MAGIC_SIZE, 0))
        if kind is None:
            return TarStore(str(path), file, file.close)
        whole = FileRegion(file.fileno(), 0, size)
        spool = _unpack(str(path), whole, kind, size, folder)
    except BaseException:
        file.close()
        raise
    file.close()
    return spooled_archive(str(path), spool)


def spooled_archive(name: str, spool: Spool) -> TarStore:
    """Open a tar that was written to *spool*, which it closes.

    Raises:
        InvalidInputError: It is no tar, or a hostile one.
    """
    try:
        return TarStore(name, spool.file, spool.close)
    except BaseException:
        spool.close()
        raise


def _open(path: Path) -> IO[bytes]:
    try:
        # Non-blocking: should it be a pipe.
        return os.fdopen(
            os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0
        )
    except FileNotFoundError as exc:
        raise NotFoundError(f"{path}: there is no such file") from exc
    except OSError as exc:
        raise InvalidInputError(f"{path}: {exc.strerror}") from exc


def _regular(path: Path, file: IO[bytes]) -> int:
    """Return the size of a regular file; anything else can be read only once."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInputError(
            f"{path}: is not a regular file", hint="An archive is read more than once."
        )
    return status.st_size


def _unpack(name: str, source: Readable, kind: str, packed: int, folder: Path) -> Spool:
    spool = Spool(folder, f"what {name} unpacks to")
    try:
        content = Expanded(source, kind, packed)
        while block := content.read(BLOCK):
            spool.write(block)
    except BaseException as exc:
        spool.close()
        if isinstance(exc, BombError):
            raise InvalidInputError(f"{name}: unpacks to far too much") from exc
        if isinstance(exc, BrokenError):
            raise InvalidInputError(
                f"{name}: cannot be unpacked ({clean(str(exc), 120)})",
                hint="Archives may be compressed with gzip or zstd.",
            ) from exc
        raise
    return spool


class TarStore:
    """The files in a tar.

    Links are followed inside of the archive, as docker and skopeo write them; a link to the outside
    is refused, whether it is used or not.

    Args:
        name: Of the archive, for messages.
        file: A regular file, uncompressed, at its beginning.
        close: Gives it back.

    Raises:
        InvalidInputError: It is no tar, or a hostile one.
    """

    def __init__(self, name: str, file: IO[bytes], close: Callable[[], None]) -> None:
        self.name = name
        self.close = close
        self._file = file
        self._members: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        self._index()

    def size(self, path: str) -> int | None:
        """Return the bytes of a member; None if there is none."""
        found = self._find(path)
        return None if found is None else found[1]

    def open(self, path: str) -> FileRegion:
        """Open a member.

        Raises:
            NotFoundError: There is none.
        """
        found = self._find(path)
        if found is None:
            raise NotFoundError(f"{self.name}: {path} is missing")
        return FileRegion(self._file.fileno(), *found)

    def _find(self, path: str) -> tuple[int, int] | None:
        path = posixpath.normpath(path)
        for _ in range(MAX_LINKS):
            found = self._members.get(path)
            if found is not None:
                return found
            if path not in self._links:
                return None
            path = self._links[path]
        raise InvalidInputError(f"{self.name}: {clean(path, 200)!r} is a link to a link to a link")

    def _index(self) -> None:
        length = os.fstat(self._file.fileno()).st_size
        try:
            self._file.seek(0)
            for count, member in enumerate(walk(HeaderFile(self._file, seekable=True))):
                if count >= MAX_MEMBERS:
                    raise InvalidInputError(f"{self.name}: has more than {MAX_MEMBERS} members")
                self._add(member, length)
        except TAR_ERRORS as exc:
            raise InvalidInputError(
                f"{self.name}: is no tar archive, or a broken one ({clean(str(exc))})"
            ) from exc

    def _add(self, member: tarfile.TarInfo, length: int) -> None:
        name = self._plain(member.name)
        self._links.pop(name, None)  # the last one of a name counts, as in an unpacked archive
        if member.isfile() and not member.issparse():
            if member.size < 0 or member.offset_data + member.size > length:
                raise InvalidInputError(
                    f"{self.name}: {clean(member.name, 200)} is longer than the archive"
                )
            self._members[name] = (member.offset_data, member.size)
            return
        self._members.pop(name, None)
        if member.issym():
            self._link(name, posixpath.join(posixpath.dirname(name), member.linkname))
        elif member.islnk():
            self._link(name, member.linkname)

    def _link(self, name: str, target: str) -> None:
        path = posixpath.normpath(target)
        if posixpath.isabs(path) or path.split("/", 1)[0] == "..":
            raise InvalidInputError(
                f"{self.name}: {clean(name, 200)!r} is a link out of the archive",
                hint="This archive was not made by an honest program.",
            )
        self._links[name] = path

    def _plain(self, name: str) -> str:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise InvalidInputError(
                f"{self.name}: {clean(name, 200)!r} points out of the archive",
                hint="This archive was not made by an honest program.",
            )
        return str(path)
