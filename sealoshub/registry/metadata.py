"""What an image says about itself: two files from its layers, and its configuration.

Sealos cluster images carry `metadata/config.yaml` and `README.md` in their root file system. They
are read from the layer tars, from the top layer down, as a stream: no container, no root, nothing
unpacked. Whiteouts and opaque directories hide what lies below (OCI image specification, layer.md).
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError
from sealoshub.registry.archive import TAR_ERRORS, HeaderFile, walk
from sealoshub.registry.expand import GZIP, ZSTD, BombError, BrokenError, Expanded
from sealoshub.registry.failure import clean
from sealoshub.registry.image import Platform, VerifiedReader, parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.reference import Digest
    from sealoshub.registry.image import Blob, Manifest
    from sealoshub.registry.source import ImageSource

CONFIG: Final = "metadata/config.yaml"
README: Final = "README.md"
MAX_FILE: Final = 1024 * 1024  # bytes of one file; an Image resource must fit into etcd's 1.5 MiB
MAX_CONFIG: Final = 4 * 1024 * 1024  # bytes of an image's configuration
_TAR: Final = "tar"
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known about an image without running it.

    Args:
        config_yaml: `metadata/config.yaml`; None if there is none.
        readme: `README.md`; None if there is none.
        platforms: `linux/amd64`, in the image's order, without attestations.
        size: Bytes of all distinct blobs and manifests.
        image_id: Digest of the configuration of the image that was read; None if there is none.
        created: RFC 3339, as the image says; None if it does not.
        notes: Why something may be missing, one sentence each.
    """

    config_yaml: bytes | None
    readme: bytes | None
    platforms: tuple[str, ...]
    size: int
    image_id: Digest | None
    created: str | None
    notes: tuple[str, ...]


def read_metadata(image: ImageSource) -> Metadata:
    """Read what *image* says about itself, from its amd64 part if it has several.

    Raises:
        InvalidInputError: A layer is not what its digest says.
    """
    blobs = {blob.digest: blob for blob in image.blobs}
    named = {
        child.digest: child.platform
        for manifest in reversed(image.manifests)
        for child in reversed(manifest.children)
        if child.platform is not None
    }
    platforms = {
        m.descriptor.digest: named.get(m.descriptor.digest) or _platform(m, blobs)
        for m in _images(image)
    }
    chosen = _choose(image, platforms)
    known = tuple(dict.fromkeys(str(p) for p in platforms.values() if p is not None))
    if chosen is None:
        return Metadata(None, None, known, image.size, None, None, ())
    search = _Search()
    for descriptor in reversed(chosen.layers):
        if search.is_over():
            break
        blob = blobs.get(descriptor.digest)
        if blob is None:
            search.give_up(f"the layer {descriptor.digest} is not part of the image")
        else:
            _read_layer(blob, search)
    config = _config(chosen, blobs)
    created = config.get("created")
    return Metadata(
        search.found.get(CONFIG),
        search.found.get(README),
        known,
        image.size,
        chosen.config.digest if chosen.config is not None else None,
        clean(created, 64) if isinstance(created, str) else None,
        tuple(search.notes),
    )


@dataclass(slots=True)
class _Search:
    """Which files are still looked for, in the layers below."""

    wanted: set[str] = field(default_factory=lambda: {CONFIG, README})
    found: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def is_over(self) -> bool:
        return not self.wanted

    def note(self, text: str) -> None:
        """Say something about a file once, however often the layer has it."""
        if text not in self.notes:
            self.notes.append(text)

    def give_up(self, reason: str) -> None:
        """End the search: a layer that cannot be read may hide whatever lies below it."""
        self.notes.append(reason)
        self.wanted.clear()


def _images(image: ImageSource) -> list[Manifest]:
    attestations = {
        child.digest for m in image.manifests for child in m.children if child.is_attestation
    }
    return [
        m
        for m in image.manifests
        if m.config is not None and m.descriptor.digest not in attestations
    ]


def _choose(image: ImageSource, platforms: Mapping[Digest, Platform | None]) -> Manifest | None:
    images = [m for m in image.manifests if m.descriptor.digest in platforms]
    for manifest in images:
        platform = platforms[manifest.descriptor.digest]
        if platform is not None and (platform.os, platform.architecture) == ("linux", "amd64"):
            return manifest
    return images[0] if images else None


def _platform(manifest: Manifest, blobs: Mapping[Digest, Blob]) -> Platform | None:
    """Return what the configuration says, for an image that no index says it of."""
    config = _config(manifest, blobs)
    system, architecture, variant = (config.get(k) for k in ("os", "architecture", "variant"))
    if not isinstance(system, str) or not isinstance(architecture, str):
        return None
    return Platform(
        clean(system, 64),
        clean(architecture, 64),
        clean(variant, 64) if isinstance(variant, str) else "",
    )


def _config(manifest: Manifest, blobs: Mapping[Digest, Blob]) -> Mapping[str, object]:
    """Return the image configuration; nothing for an artifact, whose config is anything."""
    descriptor = manifest.config
    if descriptor is None or descriptor.size > MAX_CONFIG or descriptor.digest not in blobs:
        return {}
    content = blobs[descriptor.digest].content()
    try:
        return parse_object(content, f"config {descriptor.digest}")
    except InvalidInputError:
        return {}


def _read_layer(blob: Blob, search: _Search) -> None:
    """Look for the wanted files in one layer, and whether it hides those below."""
    name = f"the layer {blob.digest}"
    # Compressing a layer only to unpack it again would be a waste.
    kind = _TAR if blob.plain is not None else _kind(blob.descriptor.media_type)
    if kind not in {GZIP, ZSTD, _TAR}:
        search.give_up(f"{name} is {blob.descriptor.media_type}, which cannot be read here")
        return
    source = blob.plain or blob
    raw = VerifiedReader(source)
    try:
        try:
            content = Expanded(raw, None if kind == _TAR else kind, source.size)
            _scan(HeaderFile(content, seekable=False), search)
        except BombError:
            search.give_up(f"{name} unpacks to far too much; what lies behind was not read")
        except (*TAR_ERRORS, BrokenError) as exc:
            search.give_up(f"{name} is no readable tar ({clean(str(exc), 120)})")
        # The files count only if the layer is what its digest says, so it is read to the end.
        raw.drain()
    finally:
        raw.close()


def _scan(file: HeaderFile, search: _Search) -> None:
    here: dict[str, bytes | None] = {}  # None: there is something, but no file to read
    hidden: set[str] = set()
    for member in walk(file):
        path = PurePosixPath("/", member.name)
        relative = str(path)[1:]
        parent = str(path.parent)[1:]
        if path.name == _OPAQUE:
            hidden |= {wanted for wanted in search.wanted if _is_below(wanted, parent)}
        elif path.name.startswith(_WHITEOUT):
            gone = str(PurePosixPath(parent, path.name.removeprefix(_WHITEOUT)))
            hidden |= {w for w in search.wanted if w == gone or _is_below(w, gone)}
        elif relative in search.wanted:
            here[relative] = _content(file, member, relative, search)
        elif not member.isdir():
            # `metadata` itself as a file or a link: what was below it is gone.
            here |= {w: None for w in search.wanted if relative and _is_below(w, relative)}
    for wanted, content in here.items():
        if content is not None:
            search.found[wanted] = content
    search.wanted -= here.keys() | hidden


def _content(file: HeaderFile, member: tarfile.TarInfo, name: str, search: _Search) -> bytes | None:
    if not member.isfile() or member.issparse():
        if not member.isdir():
            search.note(f"{name} is a link or no file and was not read")
        return None
    if member.size > MAX_FILE:
        search.note(f"{name} is larger than {MAX_FILE} bytes and was not read")
        return None
    content = file.content(member.size)
    if len(content) < member.size:
        raise tarfile.ReadError("unexpected end of data")
    return content


def _is_below(path: str, directory: str) -> bool:
    return directory in {"", "."} or path.startswith(f"{directory}/")


def _kind(media_type: str) -> str:
    """Tell how a layer of this type is compressed; the type itself if that is unknown."""
    if media_type.endswith((".tar", "/tar")):
        return _TAR
    if "tar" in media_type and media_type.endswith(("gzip", "+gz")):
        return GZIP
    if "tar" in media_type and media_type.endswith(("zstd", "+zst")):
        return ZSTD
    return media_type
