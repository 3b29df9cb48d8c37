"""From the root of an image to all of its manifests and blobs, wherever they lie.

Whoever wrote an index decides what is below it, so depth, number and bytes are bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError
from sealoshub.registry.image import MAX_MANIFEST, Descriptor, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sealoshub.reference import Digest

MAX_DEPTH: Final = 4  # indexes within indexes; buildx makes 2
MAX_MANIFESTS: Final = 1000
MAX_MANIFEST_BYTES: Final = 32 * 1024 * 1024  # of all manifests together: they stay in memory


def collect(
    name: str, root: Descriptor, fetch: Callable[[Descriptor], bytes]
) -> tuple[Manifest, ...]:
    """Read every manifest below *root*.

    Args:
        name: Of the place, for messages.
        root: The manifest or index that is the image.
        fetch: Returns the content that a descriptor is about, compared with it.

    Returns:
        Children before parents; *root* is the last.

    Raises:
        InvalidInputError: Too many, too large, too deep, or not manifests.
    """
    manifests: dict[Digest, Manifest] = {}
    _collect(name, root, fetch, manifests, 0)
    return tuple(manifests.values())


def distinct(name: str, manifests: Iterable[Manifest]) -> tuple[Descriptor, ...]:
    """Return the blobs that *manifests* need, each once, foreign layers left out.

    Raises:
        InvalidInputError: Two manifests give the same blob two sizes.
    """
    found: dict[Digest, Descriptor] = {}
    for manifest in manifests:
        for descriptor in manifest.blobs:
            known = found.setdefault(descriptor.digest, descriptor)
            if known.size != descriptor.size:
                raise InvalidInputError(f"{name}: {descriptor.digest} is given two sizes")
    return tuple(found.values())


def _collect(
    name: str,
    descriptor: Descriptor,
    fetch: Callable[[Descriptor], bytes],
    manifests: dict[Digest, Manifest],
    depth: int,
) -> None:
    if descriptor.digest in manifests:
        return
    if depth > MAX_DEPTH:
        raise InvalidInputError(f"{name}: indexes within indexes, more than {MAX_DEPTH} deep")
    if len(manifests) >= MAX_MANIFESTS:
        raise InvalidInputError(f"{name}: has more than {MAX_MANIFESTS} manifests")
    if descriptor.size > MAX_MANIFEST:
        raise InvalidInputError(
            f"{name}: manifest {descriptor.digest} is larger than {MAX_MANIFEST} bytes"
        )
    if sum(len(known.content) for known in manifests.values()) > MAX_MANIFEST_BYTES:
        raise InvalidInputError(f"{name}: its manifests are larger than {MAX_MANIFEST_BYTES}")
    manifest = Manifest.parse(descriptor, fetch(descriptor))
    for child in manifest.children:
        _collect(name, child, fetch, manifests, depth + 1)
    manifests[descriptor.digest] = manifest
