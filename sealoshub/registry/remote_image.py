"""An image in a registry: which manifest a reference and a platform mean, and all that is below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealoshub.errors import InvalidInputError
from sealoshub.reference import INDEX_TYPES, MANIFEST_TYPES
from sealoshub.registry import referring, remote, walk
from sealoshub.registry.image import MAX_MANIFEST
from sealoshub.registry.layout import narrow
from sealoshub.registry.referring import Belonging
from sealoshub.value import Value, field

if TYPE_CHECKING:
    from sealoshub.reference import Reference
    from sealoshub.registry.image import Descriptor, Manifest, Platform
    from sealoshub.registry.remote import Remote


class RemoteImage(Value):
    """An image that can be read; its manifests are here already, its blobs are not.

    Args:
        source: Where it is.
        manifests: Children before parents; the last is the image.
        blobs: Distinct, without foreign layers.
        others: What of it belongs to the image without being listed by it.
    """

    source: Remote
    manifests: tuple[Manifest, ...]
    blobs: tuple[Descriptor, ...]
    others: Belonging = field(default_factory=Belonging)

    @property
    def root(self) -> Manifest:
        """The manifest or index that is the image."""
        return self.manifests[-1]

    @property
    def size(self) -> int:
        """Bytes of all distinct blobs and manifests."""
        return sum(blob.size for blob in self.blobs) + sum(
            len(manifest.content) for manifest in self.manifests
        )

    @property
    def foreign(self) -> tuple[Descriptor, ...]:
        """Layers that are distributed elsewhere: their manifests keep the addresses."""
        layers = (layer for manifest in self.manifests for layer in manifest.layers)
        return tuple({layer.digest: layer for layer in layers if layer.is_foreign}.values())


def resolve(
    source: Remote,
    reference: Reference,
    platform: Platform | None = None,
    *,
    strict: bool = True,
    alone: bool = False,
) -> RemoteImage:
    """Find what *reference* is and read all its manifests.

    Args:
        source: The repository of *reference*.
        reference: Tag or digest; without either `latest`.
        platform: Take the one image of an index that fits; None: all of it.
        strict: An image that is not in an index must be for *platform* too.
        alone: Without signatures and whatever else belongs to it.

    Raises:
        NotFoundError: There is no such image, or none for *platform*.
        InvalidInputError: The registry gives something else than it says.
        DeniedError: The user may not pull there.
        UnavailableError: The network or the registry gave up after the retries.
    """
    descriptor, content = remote.root(source, reference)
    name = str(reference)
    known = {descriptor.digest: content}

    def fetch(wanted: Descriptor) -> bytes:
        if wanted.digest not in known:
            is_manifest = wanted.media_type in INDEX_TYPES | MANIFEST_TYPES
            known[wanted.digest] = (remote.manifest if is_manifest else small_blob)(source, wanted)
        return known[wanted.digest]

    if platform is not None and (strict or descriptor.media_type in INDEX_TYPES):
        descriptor = narrow(name, descriptor, platform, fetch)
    manifests = walk.collect(name, descriptor, fetch)
    if alone:
        return RemoteImage(source, manifests, walk.distinct(name, manifests))
    others = referring.find(source, name, manifests, fetch)
    manifests = (*others.manifests, *manifests)
    return RemoteImage(source, manifests, walk.distinct(name, manifests), others)


def small_blob(source: Remote, descriptor: Descriptor) -> bytes:
    """Fetch a configuration into memory, compared with its descriptor.

    Raises:
        InvalidInputError: It is larger than 4 MiB, or not what the descriptor says.
        UnavailableError: The network or the registry gave up after the retries.
    """
    if descriptor.size > MAX_MANIFEST:
        raise InvalidInputError(f"{descriptor.digest} is larger than {MAX_MANIFEST} bytes")

    def fetch() -> bytes:
        content = bytearray()
        with remote.blob(source, descriptor) as stream:
            while len(content) < descriptor.size:
                block = stream.read(descriptor.size - len(content))
                if not block:
                    raise remote.short(source, descriptor, descriptor.size - len(content))
                content += block
        return bytes(content)

    content = source.client.retry.run(fetch) if descriptor.size else b""
    remote.compare(descriptor.digest, content, f"{source.shown}@{descriptor.digest}")
    return content
