"""Where an image to push comes from: `open_image("oci:DIR")`, a path, an archive, a storage."""

from __future__ import annotations

import contextlib
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError
from sealoshub.reference import Reference
from sealoshub.registry import layout, platforms
from sealoshub.registry.skopeo_dir import is_skopeo_dir, read_skopeo_dir
from sealoshub.registry.spool import spool_folder
from sealoshub.registry.store import DirectoryStore
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from sealoshub.reference import Digest
    from sealoshub.registry.compress import Compression, Workshop
    from sealoshub.registry.image import Blob, Manifest, Pending, Platform
    from sealoshub.registry.store import Contents, Store

    FromRegistry = Callable[[Reference, Platform | None], "ImageSource"]

ALL_PLATFORMS: Final = "all"


class Kind(StrEnum):
    """What a source is; the value is its prefix."""

    OCI = "oci"
    OCI_ARCHIVE = "oci-archive"
    DOCKER_ARCHIVE = "docker-archive"
    DOCKER_DAEMON = "docker-daemon"
    CONTAINERS_STORAGE = "containers-storage"
    DIR = "dir"
    REGISTRY = "docker"
    PATH = ""


_PREFIXES: Final = frozenset(kind.value for kind in Kind if kind)
# Known to other programs: better an honest answer than "no such file".
_FOREIGN: Final = frozenset({"ostree", "sif", "tarball", "atomic", "http", "https"})
_DIRECTORIES: Final = frozenset({Kind.OCI, Kind.DIR})
_SUPPORTED: Final = (
    "Supported are oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME|:@INDEX],"
    " docker-daemon:NAME, containers-storage:NAME, dir:DIR, docker://REF and plain paths."
)


class SourceName(Value):
    """What a user named as the source of a push.

    Args:
        kind: By its prefix.
        rest: What stands behind it.
    """

    kind: Kind
    rest: str


class ImageSource:
    """An image that can be pushed, open until the end of the `with` block.

    It is a class because it holds the archive open, and because its manifests may depend on layers
    that are compressed while they are pushed.

    Args:
        name: What was opened, for messages.
        contents: What was read there.
        close: Gives it back.
    """

    def __init__(self, name: str, contents: Contents, close: Callable[[], object]) -> None:
        self._contents = contents
        self._close = close
        self._built: tuple[tuple[Blob, ...], tuple[Manifest, ...]] = ((), contents.manifests)
        self.name = name
        self.names: tuple[str, ...] = contents.names
        # All blobs but those of `pending`, which a push sends together with these.
        self.ready: tuple[Blob, ...] = contents.blobs
        self.pending: tuple[Pending, ...] = contents.pending
        # What the manifests beside the image are called that are found by a name only.
        self.attached: Mapping[str, Digest] = contents.attached
        self.manifest_count = contents.to_build or len(contents.manifests)

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
        """The distinct blobs; completes the image first."""
        return (*self._contents.blobs, *self._complete()[0])

    @property
    def size(self) -> int:
        """Bytes of all distinct blobs and manifests; completes the image first."""
        manifests = sum(len(manifest.content) for manifest in self.manifests)
        return manifests + sum(blob.size for blob in self.blobs)

    @property
    def is_known(self) -> bool:
        """Whether every digest is known, or at least remembered, without any work."""
        return all(pending.is_known for pending in self.pending)

    def complete(self) -> None:
        """Compress what is still pending, so that every digest is known.

        Raises:
            InvalidInputError: A layer is damaged.
            SealosHubError: There is no room for the result.
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
        """Close the archive, and give back the disk that compressed layers took."""
        self._close()


def parse_source(text: str) -> SourceName:
    """Split the prefix from a source.

    Raises:
        InvalidInputError: It is of a kind that other programs know.
    """
    prefix, colon, rest = text.partition(":")
    if colon and prefix in _PREFIXES:
        kind = Kind(prefix)
        # Only `docker:` is followed by slashes, and it must be.
        if (kind is Kind.REGISTRY) == rest.startswith("//"):
            return SourceName(kind, rest)
        raise InvalidInputError(f"{text[:200]!r} is not a source", hint=_SUPPORTED)
    if colon and prefix in _FOREIGN and not _exists(text):
        raise InvalidInputError(f"sources of the kind {prefix}: are not supported", hint=_SUPPORTED)
    return SourceName(Kind.PATH, text)


def open_image(
    source: str,
    *,
    compression: str | None = None,
    platform: str | None = None,
    env: Mapping[str, str] | None = None,
    from_registry: FromRegistry | None = None,
) -> ImageSource:
    """Open what a user named as the source of a push.

    Args:
        source: A prefix and what belongs to it (:class:`Kind`), or a path (`[:NAME]`), whose kind
            is found out by looking.
        compression: Of layers that are not compressed: `gzip`, `zstd` or `none`. None: `gzip` for
            what docker, podman and buildah keep and for `dir:`; OCI layouts stay byte for byte.
        platform: `os/architecture[/variant]`: of an index only the image for it; None and `all`:
            everything.
        env: Where caches, temporary files and sockets are; default: the process's environment.
        from_registry: Opens `docker://` sources, for which somebody must have credentials.

    Raises:
        NotFoundError: There is no such file, or no image of that name or platform in it.
        InvalidInputError: It is not an image, a damaged one, or of a kind that is not supported.
        SealosHubError: There is no room to unpack it.
    """
    name = parse_source(source)
    wanted = None if platform in {None, ALL_PLATFORMS} else platforms.parse(str(platform))
    how = None if compression is None else _compression(compression)
    if name.kind is Kind.REGISTRY:
        if from_registry is None:
            raise InvalidInputError("an image in a registry cannot be the source here")
        if how is not None:
            raise InvalidInputError(
                "what lies in a registry is copied as it is, without another compression",
                hint="Pull it first, and push what was pulled.",
            )
        return from_registry(Reference.parse(name.rest.removeprefix("//")), wanted)
    opener = _Opener(how, wanted, os.environ if env is None else env)
    if name.kind is Kind.DOCKER_DAEMON:
        return opener.from_daemon(name.rest)
    if name.kind is Kind.CONTAINERS_STORAGE:
        return opener.from_storage(name.rest)
    return opener.from_path(name)


def find_local(
    reference: str,
    *,
    compression: str | None = None,
    platform: str | None = None,
    env: Mapping[str, str] | None = None,
) -> ImageSource:
    """Open the image that podman, buildah or docker keep under the name of the target.

    Args:
        reference: Where it will be pushed to, with its tag.
        compression: As for :func:`open_image`.
        platform: As for :func:`open_image`.
        env: As for :func:`open_image`.

    Raises:
        NotFoundError: Neither of the two has it; the message says why.
        InvalidInputError: It is damaged.
        SealosHubError: There is no room for a copy of it.
    """
    reasons = []
    for kind in (Kind.CONTAINERS_STORAGE, Kind.DOCKER_DAEMON):
        try:
            return open_image(
                f"{kind}:{reference}", compression=compression, platform=platform, env=env
            )
        except SealosHubError as exc:
            # A storage that cannot be read (no user namespaces, no right) may not be in use at all.
            absent = isinstance(exc, NotFoundError) or exc.code == "STORAGE_UNREADABLE"
            if isinstance(exc, InvalidInputError) and not absent:
                raise  # it is there, and damaged
            reasons.append(exc.message)
    raise NotFoundError(
        f"there is no local image {reference} ({'; '.join(reasons)})",
        hint="Name a source before the reference: a file, a directory, docker-daemon:NAME or"
        " containers-storage:NAME.",
    )


class _Opener:
    """How everything is opened: what the user chose, and where this machine keeps things.

    Args:
        compression: None for the default of each kind.
        platform: None for all.
        env: The environment.
    """

    def __init__(
        self, compression: Compression | None, platform: Platform | None, env: Mapping[str, str]
    ) -> None:
        self._compression = compression
        self._platform = platform
        self._env = env
        self._folder = spool_folder(env)

    def from_path(self, name: SourceName) -> ImageSource:
        """Open a directory or a file."""
        path, ref = _split(name.rest)
        is_directory = path.is_dir()
        if name.kind is not Kind.PATH and (name.kind in _DIRECTORIES) != is_directory:
            wanted = "directory" if name.kind in _DIRECTORIES else "file"
            raise InvalidInputError(f"{path}: is not a {wanted}", hint=_SUPPORTED)
        with contextlib.ExitStack() as stack:
            store = DirectoryStore(path) if is_directory else self._open_archive(path)
            stack.callback(store.close)
            contents = self._read(store, name.kind, ref, stack)
            return ImageSource(store.name, contents, stack.pop_all().close)

    def from_daemon(self, name: str) -> ImageSource:
        """Open an image of a running docker."""
        from sealoshub.registry.daemon import open_daemon_image  # noqa: PLC0415  # http.client

        with contextlib.ExitStack() as stack:
            store = open_daemon_image(name, self._env, self._folder)
            stack.callback(store.close)
            contents = self._read_docker(store, None, stack)
            return ImageSource(store.name, contents, stack.pop_all().close)

    def from_storage(self, name: str) -> ImageSource:
        """Open an image of podman or buildah."""
        from sealoshub.registry.containers_storage import (  # noqa: PLC0415  # subprocess
            open_stored_image,
        )

        with contextlib.ExitStack() as stack:
            store, remove = open_stored_image(name, self._env, self._folder)
            stack.callback(remove)
            contents = self._read(store, Kind.DIR, None, stack)
            return ImageSource(f"containers-storage:{name}", contents, stack.pop_all().close)

    def _read(
        self, store: Store, kind: Kind, ref: str | None, stack: contextlib.ExitStack
    ) -> Contents:
        """Read what lies in *store*, which the user called *kind*, or called nothing."""
        if kind in {Kind.PATH, Kind.DIR} and is_skopeo_dir(store):
            if ref is not None:
                raise NotFoundError(
                    f"{store.name}: there is one image, and no name", hint=_SUPPORTED
                )
            from sealoshub.registry.compress import Compression  # noqa: PLC0415  # not for layouts
            from sealoshub.registry.recompress import recompressed  # noqa: PLC0415  # as above

            # What podman wrote there calls plain layers compressed, so they are looked at.
            return recompressed(
                read_skopeo_dir(store, self._platform),
                self._compression or Compression.GZIP,
                self._workshop(stack),
            )
        # What docker saves is an OCI layout too; it is called by what it is for.
        docker = not isinstance(store, DirectoryStore) and store.size("manifest.json") is not None
        if docker and (kind in {Kind.PATH, Kind.DOCKER_ARCHIVE}):
            return self._read_docker(store, ref, stack)
        if kind in {Kind.PATH, Kind.OCI, Kind.OCI_ARCHIVE} and layout.is_layout(store):
            return self._as_it_is(layout.read_layout(store, ref, self._platform), stack)
        what = "an image" if kind is Kind.PATH else f"what {kind}: stands for"
        raise InvalidInputError(f"{store.name}: is not {what}", hint=_SUPPORTED)

    def _read_docker(self, store: Store, ref: str | None, stack: contextlib.ExitStack) -> Contents:
        from sealoshub.registry.compress import Compression  # noqa: PLC0415  # not for layouts
        from sealoshub.registry.docker_archive import (  # noqa: PLC0415  # not for layouts
            read_docker_archive,
        )

        return read_docker_archive(
            store,
            ref,
            self._compression or Compression.GZIP,
            self._workshop(stack),
            self._platform,
        )

    def _as_it_is(self, contents: Contents, stack: contextlib.ExitStack) -> Contents:
        """Compress only if the user has asked for it: the digest changes."""
        if self._compression is None:
            return contents
        from sealoshub.registry.recompress import recompressed  # noqa: PLC0415  # for few layouts

        return recompressed(contents, self._compression, self._workshop(stack))

    def _open_archive(self, path: Path) -> Store:
        from sealoshub.registry.archive import open_archive  # noqa: PLC0415  # tarfile

        return open_archive(path, self._folder)

    def _workshop(self, stack: contextlib.ExitStack) -> Workshop:
        from sealoshub.registry.compress import Workshop  # noqa: PLC0415  # not for most layouts
        from sealoshub.registry.digest_cache import open_cache  # noqa: PLC0415  # as above

        workshop = Workshop(self._folder, open_cache(self._env))
        stack.callback(workshop.close)
        return workshop


def _compression(text: str) -> Compression:
    from sealoshub.registry.compress import Compression  # noqa: PLC0415  # not for most layouts

    try:
        return Compression(text)
    except ValueError as exc:
        raise InvalidInputError(
            f"{text[:40]!r} is not a compression", hint=f"Choose {', '.join(Compression)}."
        ) from exc


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long; a NUL
        return False


def _split(text: str) -> tuple[Path, str | None]:
    """Split `PATH[:NAME]`: the whole if it exists, else at the first colon that leaves a path."""
    try:
        if text and not Path(text).exists():
            for colon in (place for place, letter in enumerate(text) if letter == ":"):
                path, name = text[:colon], text[colon + 1 :]
                if path and name and Path(path).exists():
                    return Path(path), name
        elif text:
            return Path(text), None
    except (OSError, ValueError) as exc:  # too long; a NUL
        raise InvalidInputError(f"{text[:200]!r} is not a path") from exc
    raise NotFoundError(f"{text or 'the source'!s}: there is no such file", hint=_SUPPORTED)
