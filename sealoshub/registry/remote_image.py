"""An image in a registry: which manifest a reference and a platform mean, and all that is below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.registry import platforms, remote, walk
from sealoshub.registry.image import MAX_MANIFEST, Manifest, Platform, parse_object

if TYPE_CHECKING:
    from sealoshub.reference import Reference
    from sealoshub.registry.image import Descriptor
    from sealoshub.registry.remote import Remote


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """An image that can be read; its manifests are here already, its blobs are not.

    Args:
        source: Where it is.
        manifests: Children before parents; the last is the image.
        blobs: Distinct, without foreign layers.
    """

    source: Remote
    manifests: tuple[Manifest, ...]
    blobs: tuple[Descriptor, ...]

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
    source: Remote, reference: Reference, platform: Platform | None = None, *, strict: bool = True
) -> RemoteImage:
    """Find what *reference* is and read all its manifests.

    Args:
        source: The repository of *reference*.
        reference: Tag or digest; without either `latest`.
        platform: Take the one image of an index that fits; None: all of it.
        strict: An image that is not in an index must be for *platform* too.

    Raises:
        NotFoundError: There is no such image, or none for *platform*.
        InvalidInputError: The registry gives something else than it says.
        DeniedError: The user may not pull there.
        UnavailableError: The network or the registry gave up after the retries.
    """
    descriptor, content = remote.root(source, reference)
    name = str(reference)
    if platform is not None:
        descriptor, content = _narrow(source, name, platform, descriptor, content)
    known = {descriptor.digest: content}
    manifests = walk.collect(
        name,
        descriptor,
        lambda wanted: known.pop(wanted.digest, None) or remote.manifest(source, wanted),
    )
    image = RemoteImage(source, manifests, walk.distinct(name, manifests))
    if platform is not None and strict and descriptor.platform is None:
        _check_platform(image, name, platform)
    return image


def _narrow(
    source: Remote, name: str, platform: Platform, descriptor: Descriptor, content: bytes
) -> tuple[Descriptor, bytes]:
    """Go down through indexes to the image for *platform*."""
    for _ in range(walk.MAX_DEPTH):
        manifest = Manifest.parse(descriptor, content)
        if manifest.config is not None:
            return descriptor, content
        descriptor = platforms.choose(name, platform, manifest.children)
        content = remote.manifest(source, descriptor)
    raise InvalidInputError(f"{name}: indexes within indexes, more than {walk.MAX_DEPTH} deep")


def _check_platform(image: RemoteImage, name: str, wanted: Platform) -> None:
    """Compare *wanted* with what a lone image says about itself; an artifact says nothing."""
    config = image.root.config
    if config is None or "config" not in config.media_type:
        return
    document = parse_object(small_blob(image.source, config), f"the configuration of {name}")
    system, architecture, variant = (
        str(document.get(key) or "") for key in ("os", "architecture", "variant")
    )
    found = Platform(system, architecture, variant)
    if system and architecture and not platforms.fits(wanted, found):
        raise NotFoundError(f"{name} has no image for {wanted}", hint=f"It is for {found}.")


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
