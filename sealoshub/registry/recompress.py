"""Compressing the layers of an image that has manifests already: they are written anew.

Only layers that are not compressed at all are touched; every other byte stays. Whether one is
compressed is seen in its first bytes: what podman, buildah and skopeo write to a `dir:` from their
own storage is called `tar+gzip` in the manifest, and is not. The digests of the
manifests above them change, and whoever names these digests is changed with them: indexes, the
annotations of buildkit's attestations, the subjects of signatures (which then do not fit any more:
a signature is of a digest).
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import InvalidInputError
from sealoshub.reference import Digest, MediaType
from sealoshub.registry.compress import Compression, PlainLayer, method
from sealoshub.registry.expand import MAGIC_SIZE, compression_of
from sealoshub.registry.image import Blob, Manifest
from sealoshub.registry.layout import subject_of
from sealoshub.registry.store import Contents
from sealoshub.value import replace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealoshub.registry.compress import Workshop
    from sealoshub.registry.image import Descriptor

_ATTESTED: Final = "vnd.docker.reference.digest"
# How a layer of a compression is called in manifests of OCI's and of Docker's kind.
OCI_TYPES: Final[Mapping[Compression, str]] = MappingProxyType(
    {
        Compression.NONE: MediaType.OCI_LAYER,
        Compression.GZIP: MediaType.OCI_LAYER_GZIP,
        Compression.ZSTD: MediaType.OCI_LAYER_ZSTD,
    }
)
DOCKER_TYPES: Final[Mapping[Compression, str]] = MappingProxyType(
    {
        Compression.NONE: "application/vnd.docker.image.rootfs.diff.tar",
        Compression.GZIP: MediaType.DOCKER_LAYER_GZIP,
    }
)


def recompressed(contents: Contents, compression: Compression, workshop: Workshop) -> Contents:
    """Return the image with its plain layers compressed; itself if it has none.

    Args:
        contents: The image; nothing in it is pending.
        compression: Of layers that are not compressed.
        workshop: Where they are compressed.

    Raises:
        InvalidInputError: A manifest of Docker's kind cannot have layers of that compression.
    """
    blobs = {blob.digest: blob for blob in contents.blobs}
    plain: dict[Digest, Descriptor] = {}
    for manifest in contents.manifests:
        for layer in manifest.layers:
            known = layer.digest in plain or layer.digest not in blobs
            if not known and _types(layer) and not _is_packed(blobs[layer.digest]):
                plain[layer.digest] = layer
    bare = {
        digest: Blob(replace(layer, media_type=_type(layer, Compression.NONE)), blobs[digest].open)
        for digest, layer in plain.items()
    }
    kept = tuple(blob for blob in contents.blobs if blob.digest not in plain)
    if compression is Compression.NONE:
        manifests = _rewritten(contents.manifests, bare, compression)
        return replace(contents, manifests=manifests, blobs=(*bare.values(), *kept))
    if not plain:
        return contents
    how = method(compression)
    pending = tuple(
        PlainLayer(bare[digest], _type(layer, compression), how, workshop)
        for digest, layer in plain.items()
    )

    def build(packed: Sequence[Blob]) -> tuple[Manifest, ...]:
        made = dict(zip(plain, packed, strict=True))
        return _rewritten(contents.manifests, made, compression)

    return Contents((), kept, contents.names, pending, build, len(contents.manifests))


def _types(layer: Descriptor) -> Mapping[Compression, str]:
    """Return how such a layer is called; nothing for what is no layer of a file system."""
    for types in (OCI_TYPES, DOCKER_TYPES):
        if layer.media_type in types.values():
            return types
    return {}


def _type(layer: Descriptor, compression: Compression) -> str:
    found = _types(layer).get(compression)
    if found is None:
        raise InvalidInputError(
            f"a Docker image manifest cannot have layers compressed with {compression}",
            hint="Choose gzip, or save the image in OCI format.",
        )
    return found


def _is_packed(blob: Blob) -> bool:
    file = blob.open()
    try:
        return compression_of(file.read(MAGIC_SIZE) or b"") is not None
    except OSError as exc:
        raise InvalidInputError(f"{blob.digest} cannot be read ({exc.strerror or exc})") from exc
    finally:
        file.close()


def _rewritten(
    manifests: Sequence[Manifest], made: Mapping[Digest, Blob], compression: Compression
) -> tuple[Manifest, ...]:
    """Write *manifests* anew, those first that others name; the order stays."""
    done: dict[Digest, Manifest] = {}
    left = {manifest.descriptor.digest: manifest for manifest in manifests}
    while left:
        free = [manifest for manifest in left.values() if left.keys().isdisjoint(_named(manifest))]
        if not free:  # two documents that hold each other's digest: nobody can make them
            raise InvalidInputError("the manifests of the image name each other in a circle")
        for manifest in free:
            done[manifest.descriptor.digest] = _rewrite(manifest, made, done, compression)
            del left[manifest.descriptor.digest]
    return tuple(done[manifest.descriptor.digest] for manifest in manifests)


def _named(manifest: Manifest) -> set[Digest]:
    subject = subject_of(manifest.document)
    return {child.digest for child in manifest.children} | ({subject} if subject else set())


def _rewrite(
    manifest: Manifest,
    made: Mapping[Digest, Blob],
    done: Mapping[Digest, Manifest],
    compression: Compression,
) -> Manifest:
    # Parsed and compared once already; a copy, because this one is changed.
    document: dict[str, Any] = json.loads(manifest.content)
    for entry, layer in zip(document.get("layers") or (), manifest.layers, strict=True):
        blob = made.get(layer.digest)
        if blob is not None and _types(layer):
            entry["mediaType"] = _type(layer, compression)
            _point(entry, blob.descriptor)
    for entry, child in zip(document.get("manifests") or (), manifest.children, strict=True):
        if child.digest in done:
            _point(entry, done[child.digest].descriptor)
        _move_attestation(entry, child, done)
    subject = subject_of(document)
    if subject is not None and subject in done:
        _point(document["subject"], done[subject].descriptor)
    if document == manifest.document:
        return manifest
    content = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    described = replace(manifest.descriptor, digest=Digest.of(content), size=len(content))
    return Manifest.parse(described, content)


def _move_attestation(
    entry: dict[str, Any], child: Descriptor, done: Mapping[Digest, Manifest]
) -> None:
    target = done.get(Digest(child.annotations.get(_ATTESTED, "")))
    if target is not None:
        entry["annotations"][_ATTESTED] = target.descriptor.digest.text


def _point(entry: dict[str, Any], target: Descriptor) -> None:
    entry["digest"], entry["size"] = target.digest.text, target.size
