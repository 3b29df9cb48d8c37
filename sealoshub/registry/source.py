"""Where an image to push comes from: `open_image("oci:DIR")`, a path, an archive."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.registry import layout
from sealoshub.registry.archive import TarStore
from sealoshub.registry.layout import DirectoryStore

if TYPE_CHECKING:
    from types import TracebackType

    from sealoshub.registry.image import Blob, Manifest, Pending
    from sealoshub.registry.layout import Contents, Store

_PREFIX: Final = re.compile(r"(oci|oci-archive):(?!//)(.*)", re.DOTALL)
# Known to other programs: better an honest answer than "no such file".
_FOREIGN: Final = re.compile(
    r"(docker-archive|docker-daemon|containers-storage|dir|ostree|sif|tarball|docker|https?):"
)
_SUPPORTED: Final = "Supported are oci:DIRECTORY[:NAME], oci-archive:FILE[:NAME] and plain paths."


class ImageSource:
    """An image that can be pushed, open until the end of the `with` block.

    It is a class because it holds the archive open, and because its manifests may depend on layers
    that are compressed while they are pushed.

    Args:
        store: Where its files lie.
        contents: What was read there.
    """

    def __init__(self, store: Store, contents: Contents) -> None:
        self._store = store
        self._contents = contents
        self._built: tuple[tuple[Blob, ...], tuple[Manifest, ...]] = ((), contents.manifests)
        self.names: tuple[str, ...] = contents.names
        self.pending: tuple[Pending, ...] = contents.pending
        self.manifest_count = len(contents.manifests)

    @property
    def name(self) -> str:
        """The path that was opened, for messages."""
        return self._store.name

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """The manifests, children before parents; completes the image first."""
        return self._complete()[1]

    @property
    def root(self) -> Manifest:
        """The manifest or index that is the image; completes the image first."""
        return self.manifests[-1]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """The distinct blobs whose digest is known: all of them, once the image is complete."""
        return (*self._contents.blobs, *self._built[0])

    @property
    def size(self) -> int:
        """Bytes of all distinct blobs and manifests; completes the image first."""
        manifests = sum(len(manifest.content) for manifest in self.manifests)
        return manifests + sum(blob.size for blob in self.blobs)

    def complete(self) -> None:
        """Compress what is still pending, so that every digest is known.

        Raises:
            InvalidInputError: A layer is damaged, or there is no room for the result.
        """
        self._complete()

    def _complete(self) -> tuple[tuple[Blob, ...], tuple[Manifest, ...]]:
        build = self._contents.build
        if build is not None:
            # Asked again each time: a remembered digest can prove wrong while it is pushed.
            blobs = tuple(pending.resolve() for pending in self.pending)
            if [blob.digest for blob in blobs] != [blob.digest for blob in self._built[0]]:
                self._built = (blobs, build(blobs))
        return self._built

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the archive."""
        self._store.close()


def open_image(source: str) -> ImageSource:
    """Open what a user named as the source of a push.

    Args:
        source: `oci:DIRECTORY[:NAME]`, `oci-archive:FILE[:NAME]`, or a path (`[:NAME]`), whose kind
            is found out by looking.

    Raises:
        NotFoundError: There is no such file, or no image of that name in it.
        InvalidInputError: It is not an image, a damaged one, or of a kind that is not supported.
    """
    prefixed = _PREFIX.fullmatch(source)
    if prefixed is None:
        foreign = _FOREIGN.match(source)
        if foreign is not None and not Path(source).exists():
            raise InvalidInputError(
                f"sources of the kind {foreign[1]}: are not supported yet", hint=_SUPPORTED
            )
        path, ref = _split(source)
    else:
        path, ref = _split(prefixed[2])
    if prefixed is not None and (prefixed[1] == "oci") != path.is_dir():
        wanted = "directory" if prefixed[1] == "oci" else "file"
        raise InvalidInputError(f"{path}: is not a {wanted}", hint=_SUPPORTED)
    store = _open_store(path)
    try:
        _demand_layout(store)
        return ImageSource(store, layout.read_layout(store, ref))
    except BaseException:
        store.close()
        raise


def _split(text: str) -> tuple[Path, str | None]:
    """Split `PATH[:NAME]`: the whole if it exists, else at the first colon that leaves a path."""
    try:
        if text and not Path(text).exists():
            for colon in re.finditer(":", text):
                path, name = text[: colon.start()], text[colon.end() :]
                if path and name and Path(path).exists():
                    return Path(path), name
        elif text:
            return Path(text), None
    except (OSError, ValueError) as exc:  # too long; a NUL
        raise InvalidInputError(f"{text[:200]!r} is not a path") from exc
    raise NotFoundError(f"{text or 'the source'!s}: there is no such file", hint=_SUPPORTED)


def _open_store(path: Path) -> Store:
    return DirectoryStore(path) if path.is_dir() else TarStore(path)


def _demand_layout(store: Store) -> None:
    if layout.is_layout(store):
        return
    if store.size("manifest.json") is not None:
        kind = "a directory of `dir:`" if isinstance(store, DirectoryStore) else "a docker archive"
        raise InvalidInputError(
            f"{store.name}: is {kind}, which is not supported yet",
            hint="Save it as an OCI layout, for example with `skopeo copy … oci-archive:FILE`.",
        )
    raise InvalidInputError(f"{store.name}: is not an image", hint=_SUPPORTED)
