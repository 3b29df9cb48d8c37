"""What an image is made of: descriptors, manifests, blobs; and reading them without trusting them.

OCI image specification 1.1 (descriptor.md, manifest.md, image-index.md) and Docker's schema 2,
which has the same shape. Whatever is read is compared with its descriptor: size first, digest last,
and the last block of a blob is given out only after its digest was right.
"""

from __future__ import annotations

import json
import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, Self

from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.reference import INDEX_TYPES, MANIFEST_TYPES, Digest
from sealoshub.registry.failure import clean
from sealoshub.value import Value, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_MANIFEST: Final = 4 * 1024 * 1024  # bytes; what every registry must take, and many take no more
MAX_BLOB: Final = 1 << 50  # bytes; a size beyond it is a mistake or a joke
MAX_DESCRIPTORS: Final = 10_000  # in one manifest
BLOCK: Final = 1024 * 1024  # bytes of one read; measured best of 64 KiB to 8 MiB


class Readable(Protocol):
    """A file opened for reading bytes."""

    def read(self, size: int, /) -> bytes | None:
        """Return at most *size* bytes; none at the end."""

    def close(self) -> None:
        """Give the file back."""


class FileRegion:
    """A part of a regular file, read without moving anybody else's position.

    What :attr:`Blob.open` returns is one wherever the content lies in a plain file, so that a
    sender may hand `descriptor`, `start` and `size` to `sendfile` instead of reading.
    The bytes are not compared with anything: that is what :class:`VerifiedReader` is for.

    Args:
        descriptor: Of the open file.
        start: First byte of the part.
        size: Bytes of the part.
        owned: Close the descriptor at :meth:`close`; otherwise it belongs to an archive.
    """

    def __init__(self, descriptor: int, start: int, size: int, *, owned: bool = False) -> None:
        self.descriptor = descriptor
        self.start = start
        self.size = size
        self._position = start
        self._owned = owned

    def read(self, size: int, /) -> bytes:
        """Return at most *size* bytes; none at the end."""
        left = self.start + self.size - self._position
        block = os.pread(self.descriptor, min(size, left), self._position)
        self._position += len(block)
        return block

    def close(self) -> None:
        """Close the file if it is ours."""
        if self._owned:
            self._owned = False
            os.close(self.descriptor)


class Platform(Value):
    """What an image runs on.

    Args:
        os: `linux`.
        architecture: `amd64`, as Go calls it.
        variant: `v8`, or empty.
    """

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(Value):
    """What another document says about some content.

    Args:
        media_type: Of the content.
        digest: Of the content.
        size: Of the content, in bytes.
        annotations: Free text by name.
        platform: If the content is an image.
        urls: Where else it can be had; a layer that has them may be absent.
    """

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    urls: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: object, where: str) -> Self:
        """Check one descriptor of a JSON document.

        Args:
            value: What the document has.
            where: Which document, for messages.

        Raises:
            InvalidInputError: It is not a descriptor.
        """
        if not isinstance(value, dict):
            raise InvalidInputError(f"{where}: a descriptor is missing or is no object")
        media_type, digest, size = (value.get(key) for key in ("mediaType", "digest", "size"))
        if not isinstance(media_type, str) or not isinstance(digest, str):
            raise InvalidInputError(f"{where}: a descriptor has no mediaType or no digest")
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= MAX_BLOB:
            raise InvalidInputError(f"{where}: the size of {digest[:80]!r} is {str(size)[:40]!r}")
        annotations, urls = value.get("annotations"), value.get("urls")
        return cls(
            clean(media_type, 255),
            Digest.parse(digest),
            size,
            MappingProxyType({k: v for k, v in annotations.items() if isinstance(v, str)})
            if isinstance(annotations, dict)
            else MappingProxyType({}),
            _platform(value.get("platform")),
            tuple(url for url in urls if isinstance(url, str)) if isinstance(urls, list) else (),
        )

    @property
    def is_foreign(self) -> bool:
        """The content is distributed elsewhere and is not pushed."""
        return bool(self.urls) and (
            "foreign" in self.media_type or "nondistributable" in self.media_type
        )

    @property
    def is_attestation(self) -> bool:
        """It is buildkit's provenance or SBOM, not something to run."""
        return self.annotations.get("vnd.docker.reference.type") == "attestation-manifest"


class Blob(Value):
    """Content that can be opened as often as needed.

    Args:
        descriptor: What it should be.
        open: Opens it at its beginning; a :class:`FileRegion` if it lies in a plain file.
        plain: The same content before it was compressed, where that is at hand.
    """

    descriptor: Descriptor
    open: Callable[[], Readable]
    plain: Blob | None = None

    @property
    def digest(self) -> Digest:
        """Its digest."""
        return self.descriptor.digest

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.descriptor.size

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the content from byte *start* on.

        What lies before is read and hashed too, because the digest is of the whole.

        Raises:
            InvalidInputError: The content is not what the descriptor says; raised instead of the
                last block, so that nobody ever gets all of a wrong content.
        """
        reader = VerifiedReader(self)
        try:
            position = 0
            while block := reader.read(BLOCK):
                position += len(block)
                if position > start:
                    yield block[start - position :] if position - len(block) < start else block
        finally:
            reader.close()

    def content(self) -> bytes:
        """Return all of a small blob (the caller has looked at its size).

        Raises:
            InvalidInputError: As :meth:`blocks`.
        """
        return b"".join(self.blocks())


class StaleDigestError(SealosHubError):
    """A remembered digest is not that of the content; :meth:`Pending.prepare` knows better."""


def unwatched(done: int) -> None:
    """Watch nothing."""


class Pending(Protocol):
    """A layer that is compressed first, and whose digest is known only then.

    From any thread; nothing is compressed twice. A *watch* is told how many bytes have been read,
    again and again, and may raise to end it.
    """

    @property
    def digest(self) -> Digest:
        """The digest before compression (`diff_id`): what to call it meanwhile."""

    @property
    def size(self) -> int:
        """Bytes before compression."""

    @property
    def is_known(self) -> bool:
        """Whether :meth:`resolve` has no work to do."""

    @property
    def is_ready(self) -> bool:
        """Whether the blob can be opened as it is; otherwise :meth:`prepare` has work to do."""

    def resolve(self, watch: Callable[[int], None] = unwatched) -> Blob:
        """Return the layer as it will be pushed, by its remembered digest if there is one.

        The content behind a remembered digest is made when it is opened, or by :meth:`prepare`.
        Should the memory prove wrong, opening it raises :class:`StaleDigestError`; afterwards the
        true digest is known.

        Raises:
            InvalidInputError: The content is damaged.
            SealosHubError: There is no room for the result.
        """

    def prepare(self, watch: Callable[[int], None] = unwatched) -> Blob:
        """Return the layer, its content made and its digest proven.

        Raises:
            InvalidInputError: The content is damaged.
            SealosHubError: There is no room for the result.
        """


class VerifiedReader:
    """Reads a blob and compares it with its descriptor.

    It is a class because it carries the hash and the count from one read to the next.

    Args:
        blob: What to read.
    """

    def __init__(self, blob: Blob) -> None:
        self._descriptor = blob.descriptor
        self._file = blob.open()
        self._hasher = blob.digest.hasher(blob.size)
        self._left = blob.size
        self._checked = False

    def read(self, size: int = BLOCK) -> bytes:
        """Return up to *size* bytes, none at the end.

        Raises:
            InvalidInputError: The content ends early, is longer, or has another digest.
        """
        block = b""
        if self._left:
            block = self._take(min(size, self._left))
            if not block:
                raise self._wrong(f"ends {self._left} bytes early")
            self._left -= len(block)
            self._hasher.update(block)
        if not self._left and not self._checked:
            if self._take(1):
                raise self._wrong(f"is longer than {self._descriptor.size} bytes")
            if self._hasher.hexdigest() != self._descriptor.digest.hex:
                raise self._wrong("has another digest than its name says")
            self._checked = True
        return block

    def drain(self) -> None:
        """Read what is left, to have the digest compared.

        Raises:
            InvalidInputError: As :meth:`read`.
        """
        while self.read():
            pass

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _take(self, size: int) -> bytes:
        try:
            return self._file.read(size) or b""
        except OSError as exc:
            raise self._wrong(f"cannot be read: {exc.strerror or exc}") from exc

    def _wrong(self, fault: str) -> InvalidInputError:
        return InvalidInputError(
            f"the content of {self._descriptor.digest} {fault}",
            hint="The image is damaged; make it again.",
        )


class Manifest(Value):
    """A manifest or an index, exactly as it was found.

    Args:
        descriptor: Its media type, digest and size.
        content: The bytes that were hashed.
        config: Of an image manifest; None for an index.
        layers: Of an image manifest, lowest first.
        children: Of an index: the manifests it lists.
        document: The parsed content.
    """

    descriptor: Descriptor
    content: bytes
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    children: tuple[Descriptor, ...]
    document: Mapping[str, object]

    @classmethod
    def parse(cls, descriptor: Descriptor, content: bytes) -> Self:
        """Read *content*, which was compared with *descriptor*.

        Raises:
            InvalidInputError: It is not a manifest of a kind that registries take.
        """
        where = f"manifest {descriptor.digest}"
        document = parse_object(content, where)
        kind = document.get("mediaType", descriptor.media_type)
        if kind != descriptor.media_type:
            # Content that is two things at once: CVE-2021-41190.
            raise InvalidInputError(f"{where}: its mediaType is not what its descriptor says")
        if descriptor.media_type in INDEX_TYPES:
            if "layers" in document or "config" in document:
                raise InvalidInputError(f"{where}: is an index and an image at once")
            children = _descriptors(document.get("manifests"), where)
            return cls(descriptor, content, None, (), children, document)
        if descriptor.media_type in MANIFEST_TYPES:
            if "manifests" in document:
                raise InvalidInputError(f"{where}: is an index and an image at once")
            config = Descriptor.parse(document.get("config"), where)
            layers = _descriptors(document.get("layers"), where)
            return cls(descriptor, content, config, layers, (), document)
        raise InvalidInputError(
            f"{where}: the media type {descriptor.media_type!r} is not supported",
            hint="Save the image in OCI or Docker schema 2 format.",
        )

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The content that must be in the registry before the manifest: layers and config."""
        config = () if self.config is None else (self.config,)
        return tuple(blob for blob in (*self.layers, *config) if not blob.is_foreign)


def parse_object(content: bytes, where: str) -> dict[str, object]:
    """Parse a JSON object.

    Raises:
        InvalidInputError: It is none, or says something twice.
    """
    document = parse_json(content, where)
    if not isinstance(document, dict):
        raise InvalidInputError(f"{where}: is not a JSON object")
    return document


def parse_json(content: bytes, where: str) -> object:
    """Parse JSON in which no object has a key twice.

    Which of two is meant every reader decides for itself, so what was looked at here might be
    something else than what an engine runs (RFC 8259, 4).

    Raises:
        InvalidInputError: It is no JSON, or says something twice.
    """
    try:
        return json.loads(content, object_pairs_hook=_unique)
    except _TwiceError as exc:
        raise InvalidInputError(f"{where}: has the key {clean(str(exc), 80)!r} twice") from exc
    except (ValueError, RecursionError) as exc:
        raise InvalidInputError(f"{where}: is not JSON") from exc


class _TwiceError(Exception):
    """A key that an object has twice."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        known: set[str] = set()
        for key, _ in pairs:
            if key in known:
                raise _TwiceError(key)
            known.add(key)
    return made


def _descriptors(value: object, where: str) -> tuple[Descriptor, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidInputError(f"{where}: its list of content is no list")
    if len(value) > MAX_DESCRIPTORS:
        raise InvalidInputError(f"{where}: lists more than {MAX_DESCRIPTORS} contents")
    return tuple(Descriptor.parse(entry, where) for entry in value)


def _platform(value: object) -> Platform | None:
    if not isinstance(value, dict):
        return None
    parts = [value.get(key) for key in ("os", "architecture", "variant")]
    system, architecture, variant = (clean(p, 64) if isinstance(p, str) else "" for p in parts)
    return Platform(system, architecture, variant) if system and architecture else None
