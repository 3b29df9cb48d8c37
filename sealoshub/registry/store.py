"""Where the files of an image lie: a directory (here) or a tar (:mod:`sealoshub.registry.archive`).

Readers of layouts and archives see a :class:`Store` only, so that one reader serves all of them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.registry import walk
from sealoshub.registry.failure import clean
from sealoshub.registry.image import (
    MAX_MANIFEST,
    Blob,
    Descriptor,
    FileRegion,
    Manifest,
    Readable,
)
from sealoshub.value import Value, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sealoshub.reference import Digest
    from sealoshub.registry.image import Pending


class Store(Protocol):
    """Where the files of a layout lie."""

    name: str

    def size(self, path: str) -> int | None:
        """Return the bytes of a file; None if there is none."""

    def open(self, path: str) -> Readable:
        """Open a file."""

    def close(self) -> None:
        """Give everything back."""


class Contents(Value):
    """An image, read and checked, its blobs not yet.

    Args:
        manifests: Children before parents; the last is the root. None while *build* must make them.
        blobs: Distinct, without foreign layers.
        names: What the layout calls the image.
        pending: Layers that are compressed first.
        build: Makes the manifests of the blobs of *pending*, in its order.
        to_build: How many manifests that will be.
        attached: Those of *manifests* that are known by a tag of their own: what cosign keeps.
    """

    manifests: tuple[Manifest, ...]
    blobs: tuple[Blob, ...]
    names: tuple[str, ...]
    pending: tuple[Pending, ...] = ()
    build: Callable[[Sequence[Blob]], tuple[Manifest, ...]] | None = None
    to_build: int = 0
    attached: Mapping[str, Digest] = field(default_factory=dict)


class DirectoryStore:
    """A layout in a directory.

    Args:
        root: The directory.
    """

    def __init__(self, root: Path) -> None:
        self.name = str(root)
        self._root = root
        self._real = root.resolve()
        self._folders: set[str] = set()  # that were reached without a link

    def size(self, path: str) -> int | None:
        """Return the bytes of a file; None if there is none.

        Raises:
            InvalidInputError: It is no file, or a link out of the directory.
        """
        folder = path.rpartition("/")[0]
        if folder in self._folders:  # an image has hundreds of files in one
            try:
                status = os.lstat(f"{self._real}/{path}")
            except OSError:
                pass
            else:
                if stat.S_ISREG(status.st_mode):
                    return status.st_size
        file = self._root / PurePosixPath(path)
        try:
            real = file.resolve(strict=True)
            found = real.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, RuntimeError) as exc:  # RuntimeError: a circle of links (Python < 3.13)
            raise InvalidInputError(f"{file}: cannot be read ({clean(str(exc))})") from exc
        if not real.is_relative_to(self._real):
            raise InvalidInputError(f"{file}: is a link out of {self._root}")
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInputError(f"{file}: is not a regular file")
        if real == self._real / path:
            self._folders.add(folder)
        return found.st_size

    def open(self, path: str) -> Readable:
        """Open a file.

        Raises:
            InvalidInputError: It is missing, no file, or cannot be read.
        """
        if self.size(path) is None:
            raise NotFoundError(f"{self.name}: {path} is missing")
        file = self._root / PurePosixPath(path)
        try:
            # Non-blocking: should it have become a pipe meanwhile.
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as exc:
            raise InvalidInputError(f"{file}: {exc.strerror}") from exc
        return FileRegion(descriptor, 0, os.fstat(descriptor).st_size, owned=True)

    def close(self) -> None:
        """Nothing is held open."""


def gather(
    store: Store,
    manifests: Iterable[Manifest],
    names: Iterable[str],
    path_of: Callable[[Descriptor], str],
) -> Contents:
    """Look for every blob that *manifests* need.

    Args:
        store: Where.
        manifests: Children before parents; the last is the root.
        names: What the image is called there.
        path_of: Where a blob lies.

    Raises:
        NotFoundError: One is missing.
        InvalidInputError: One has another size than its descriptor says, or two.
    """
    found = tuple(manifests)
    blobs = (
        blob_at(store, path_of(descriptor), descriptor)
        for descriptor in walk.distinct(store.name, found)
    )
    shown = dict.fromkeys(clean(name, 255) for name in names)
    return Contents(found, tuple(blobs), tuple(shown))


def blob_at(store: Store, path: str, descriptor: Descriptor) -> Blob:
    """Return the blob that lies at *path*.

    Raises:
        NotFoundError: It is missing.
        InvalidInputError: It has another size than its descriptor says.
    """
    size = store.size(path)
    if size is None:
        raise NotFoundError(
            f"{store.name}: {descriptor.digest} ({descriptor.media_type}) is missing",
            hint="The image was saved without all of its content, perhaps for one platform only.",
        )
    if size != descriptor.size:
        raise InvalidInputError(
            f"{store.name}: {descriptor.digest} has {size} bytes, its descriptor says"
            f" {descriptor.size}",
            hint="The image is damaged; make it again.",
        )
    return Blob(descriptor, lambda: store.open(path))


def small_file(store: Store, path: str) -> bytes:
    """Return all of a file that may have the size of a manifest.

    Raises:
        NotFoundError: It is missing.
        InvalidInputError: It is too large, or cannot be read.
    """
    size = store.size(path)
    if size is None:
        raise NotFoundError(f"{store.name}: {path} is missing")
    if size > MAX_MANIFEST:
        raise InvalidInputError(f"{store.name}: {path} is larger than {MAX_MANIFEST} bytes")
    file = store.open(path)
    try:
        content = bytearray()
        while block := file.read(size + 1 - len(content)):
            content += block
            if len(content) > size:
                raise InvalidInputError(f"{store.name}: {path} changes while it is read")
    except OSError as exc:
        raise InvalidInputError(f"{store.name}: {path}: {exc.strerror or exc}") from exc
    finally:
        file.close()
    return bytes(content)
