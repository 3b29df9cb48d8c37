"""Tar archives, read in place: an index of the members, each opened by its offset.

Nothing is extracted, so names cannot reach the file system; absolute names and `..` are refused all
the same, because an honest program does not write them. The standard library parses the headers,
through a file object that bounds every read: a header that claims gigabytes of extended attributes
ends with an error and not with the memory.
"""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, cast

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.registry.failure import clean
from sealoshub.registry.image import FileRegion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from sealoshub.registry.image import Readable

MAX_HEADER: Final = 1024 * 1024  # bytes of one extended header; path names need a few thousand
MAX_MEMBERS: Final = 100_000  # of an image archive, which has a few per layer

# What tarfile raises for files that are no tar, or a hostile one. RecursionError: headers that
# announce headers that announce headers.
TAR_ERRORS: Final = (tarfile.TarError, ValueError, OverflowError, OSError, RecursionError)

_COMPRESSED: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)


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


class TarStore:
    """The files in a tar.

    Args:
        path: The archive.

    Raises:
        NotFoundError: There is no such file.
        InvalidInputError: It is no uncompressed tar, or a hostile one.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            self._file = os.fdopen(
                os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0
            )
        except FileNotFoundError as exc:
            raise NotFoundError(f"{path}: there is no such file") from exc
        except OSError as exc:
            raise InvalidInputError(f"{path}: {exc.strerror}") from exc
        try:
            self._members = self._index()
        except BaseException:
            self._file.close()
            raise

    def size(self, path: str) -> int | None:
        """Return the bytes of a member; None if there is none."""
        found = self._members.get(path)
        return None if found is None else found[1]

    def open(self, path: str) -> Readable:
        """Open a member.

        Raises:
            NotFoundError: There is none.
        """
        found = self._members.get(path)
        if found is None:
            raise NotFoundError(f"{self.name}: {path} is missing")
        return FileRegion(self._file.fileno(), *found)

    def close(self) -> None:
        """Close the archive."""
        self._file.close()

    def _index(self) -> dict[str, tuple[int, int]]:
        status = os.fstat(self._file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInputError(
                f"{self.name}: is not a regular file", hint="An archive is read more than once."
            )
        beginning = os.pread(self._file.fileno(), 6, 0)
        for magic, kind in _COMPRESSED:
            if beginning.startswith(magic):
                raise InvalidInputError(
                    f"{self.name}: is compressed with {kind}, which is not supported yet",
                    hint="Decompress it first.",
                )
        members: dict[str, tuple[int, int]] = {}
        try:
            for count, member in enumerate(walk(HeaderFile(self._file, seekable=True))):
                if count >= MAX_MEMBERS:
                    raise InvalidInputError(f"{self.name}: has more than {MAX_MEMBERS} members")
                self._add(members, member, status.st_size)
        except TAR_ERRORS as exc:
            raise InvalidInputError(
                f"{self.name}: is no tar archive, or a broken one ({clean(str(exc))})"
            ) from exc
        return members

    def _add(
        self, members: dict[str, tuple[int, int]], member: tarfile.TarInfo, length: int
    ) -> None:
        name = self._plain(member.name)
        if member.isfile() and not member.issparse():
            if member.size < 0 or member.offset_data + member.size > length:
                raise InvalidInputError(
                    f"{self.name}: {clean(member.name, 200)} is longer than the archive"
                )
            members[name] = (member.offset_data, member.size)
        elif member.islnk() and self._plain(member.linkname) in members:
            # tar writes the second name of a file that way.
            members[name] = members[self._plain(member.linkname)]
        elif member.issym() or member.islnk():
            raise InvalidInputError(
                f"{self.name}: {clean(member.name, 200)} is a link, which an image archive has not"
            )

    def _plain(self, name: str) -> str:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise InvalidInputError(
                f"{self.name}: {clean(name, 200)!r} points out of the archive",
                hint="This archive was not made by an honest program.",
            )
        return str(path)
