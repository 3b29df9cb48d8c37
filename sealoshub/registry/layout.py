"""OCI image layouts (image specification, image-layout.md): from `index.json` to the blobs.

The layout lies in a directory (here) or in a tar (:mod:`sealoshub.registry.archive`); both are a
:class:`Store`, so that one reader serves both.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Protocol

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.registry.failure import clean
from sealoshub.registry.image import (
    MAX_MANIFEST,
    Blob,
    Descriptor,
    FileRegion,
    Manifest,
    Readable,
    parse_object,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealoshub.reference import Digest
    from sealoshub.registry.image import Pending

MAX_DEPTH: Final = 4  # indexes within indexes; buildx makes 2
MAX_MANIFESTS: Final = 1000
MAX_MANIFEST_BYTES: Final = 32 * 1024 * 1024  # of all manifests together: they stay in memory
REF_NAME: Final = "org.opencontainers.image.ref.name"
_NAMES: Final = (REF_NAME, "io.containerd.image.name")


class Store(Protocol):
    """Where the files of a layout lie."""

    name: str

    def size(self, path: str) -> int | None:
        """Return the bytes of a file; None if there is none."""

    def open(self, path: str) -> Readable:
        """Open a file."""

    def close(self) -> None:
        """Give everything back."""


@dataclass(frozen=True, slots=True)
class Contents:
    """An image, read and checked, its blobs not yet.

    Args:
        manifests: Children before parents; the last is the root. While there is something pending
            they are what *build* makes, and these only say how many there will be.
        blobs: Distinct, without foreign layers.
        names: What the layout calls the image.
        pending: Layers that are compressed first.
        build: Makes the manifests of the blobs of *pending*, in its order.
    """

    manifests: tuple[Manifest, ...]
    blobs: tuple[Blob, ...]
    names: tuple[str, ...]
    pending: tuple[Pending, ...] = ()
    build: Callable[[Sequence[Blob]], tuple[Manifest, ...]] | None = None


class DirectoryStore:
    """A layout in a directory.

    Args:
        root: The directory.
    """

    def __init__(self, root: Path) -> None:
        self.name = str(root)
        self._root = root
        self._real = root.resolve()

    def size(self, path: str) -> int | None:
        """Return the bytes of a file; None if there is none.

        Raises:
            InvalidInputError: It is no file, or a link out of the directory.
        """
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


def is_layout(store: Store) -> bool:
    """Tell whether *store* looks like an OCI layout."""
    return store.size("index.json") is not None and (
        store.size("oci-layout") is not None or store.size("manifest.json") is None
    )


def read_layout(store: Store, ref: str | None) -> Contents:
    """Read every manifest below one entry of `index.json`.

    Args:
        store: Where the layout lies.
        ref: Name or digest of the entry; None if there is only one.

    Raises:
        NotFoundError: There is no such entry.
        InvalidInputError: Something is missing, too large, or not what it says.
    """
    _check_version(store)
    index = parse_object(_small(store, "index.json"), f"{store.name}: index.json")
    entries = index.get("manifests")
    if not isinstance(entries, list) or not entries:
        raise InvalidInputError(f"{store.name}: index.json lists no image")
    where = f"{store.name}: index.json"
    chosen = _choose(store, [Descriptor.parse(entry, where) for entry in entries], ref)
    manifests: dict[Digest, Manifest] = {}
    _collect(store, chosen[0], manifests, 0)
    blobs: dict[Digest, Blob] = {}
    for manifest in manifests.values():
        for descriptor in manifest.blobs:
            _add_blob(store, descriptor, blobs)
    names = (
        entry.annotations[key] for entry in chosen for key in _NAMES if key in entry.annotations
    )
    return Contents(
        tuple(manifests.values()),
        tuple(blobs.values()),
        tuple(dict.fromkeys(clean(name, 255) for name in names)),
    )


def _check_version(store: Store) -> None:
    if store.size("oci-layout") is None:
        return  # containerd's and buildx's older exports have none
    version = parse_object(_small(store, "oci-layout"), f"{store.name}: oci-layout")
    if version.get("imageLayoutVersion") != "1.0.0":
        raise InvalidInputError(
            f"{store.name}: is an OCI layout of a version that is not supported"
            f" ({clean(str(version.get('imageLayoutVersion')), 40)})"
        )


def _choose(store: Store, entries: list[Descriptor], ref: str | None) -> list[Descriptor]:
    """Return the entries of one image: the same digest may be there under several names."""
    if ref is not None:
        found = [
            entry
            for entry in entries
            if ref == entry.digest.text or ref in (entry.annotations.get(key) for key in _NAMES)
        ]
        if not found:
            raise NotFoundError(
                f"{store.name}: there is no image {ref!r}", hint=_there_are(entries)
            )
    else:
        found = entries
    if len({entry.digest for entry in found}) > 1:
        raise InvalidInputError(
            f"{store.name}: has {len(found)} images"
            + (f" called {ref!r}" if ref is not None else ""),
            hint=_there_are(entries),
        )
    return found


def _there_are(entries: list[Descriptor]) -> str:
    shown = [clean(entry.annotations.get(REF_NAME) or entry.digest.text, 90) for entry in entries]
    more = f" and {len(shown) - 10} more" if len(shown) > 10 else ""  # noqa: PLR2004  # a short list
    return (
        f"Name one behind the path, as in oci:PATH:NAME. There are: {', '.join(shown[:10])}{more}."
    )


def _collect(
    store: Store, descriptor: Descriptor, manifests: dict[Digest, Manifest], depth: int
) -> None:
    if descriptor.digest in manifests:
        return
    if depth > MAX_DEPTH:
        raise InvalidInputError(f"{store.name}: indexes within indexes, more than {MAX_DEPTH} deep")
    if len(manifests) >= MAX_MANIFESTS:
        raise InvalidInputError(f"{store.name}: has more than {MAX_MANIFESTS} manifests")
    if descriptor.size > MAX_MANIFEST:
        raise InvalidInputError(
            f"{store.name}: manifest {descriptor.digest} is larger than {MAX_MANIFEST} bytes"
        )
    if sum(len(known.content) for known in manifests.values()) > MAX_MANIFEST_BYTES:
        raise InvalidInputError(f"{store.name}: its manifests are larger than {MAX_MANIFEST_BYTES}")
    manifest = Manifest.parse(descriptor, _blob(store, descriptor).content())
    for child in manifest.children:
        _collect(store, child, manifests, depth + 1)
    manifests[descriptor.digest] = manifest


def _add_blob(store: Store, descriptor: Descriptor, blobs: dict[Digest, Blob]) -> None:
    known = blobs.get(descriptor.digest)
    if known is None:
        blobs[descriptor.digest] = _blob(store, descriptor)
    elif known.size != descriptor.size:
        raise InvalidInputError(f"{store.name}: {descriptor.digest} is given two sizes")


def _blob(store: Store, descriptor: Descriptor) -> Blob:
    path = f"blobs/{descriptor.digest.algorithm}/{descriptor.digest.hex}"
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


def _small(store: Store, path: str) -> bytes:
    size = store.size(path)
    if size is None:
        raise NotFoundError(f"{store.name}: {path} is missing, so it is no OCI layout")
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
