"""Directories of skopeo's and podman's `dir:` transport: a manifest, and blobs by their digest.

Nothing is specified but by the code that writes them (containers/image, directory/): `version`,
`manifest.json`, every blob as the hexadecimal digits of its digest, the manifests of an index as
`DIGITS.manifest.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealoshub.reference import INDEX_TYPES, MANIFEST_TYPES, Digest, MediaType
from sealoshub.registry import walk
from sealoshub.registry.image import Descriptor, parse_object
from sealoshub.registry.layout import fetcher, narrow
from sealoshub.registry.store import gather, small_file

if TYPE_CHECKING:
    from sealoshub.registry.image import Platform
    from sealoshub.registry.store import Contents, Store

_MAX_VERSION: Final = 256  # bytes
_BEGINNING: Final = b"Directory Transport Version: 1."


def is_skopeo_dir(store: Store) -> bool:
    """Tell whether *store* looks like one."""
    size = store.size("version")
    if size is None or size > _MAX_VERSION or store.size("manifest.json") is None:
        return False
    return small_file(store, "version").startswith(_BEGINNING)


def read_skopeo_dir(store: Store, platform: Platform | None = None) -> Contents:
    """Read the image.

    Args:
        store: The directory.
        platform: Of an index only the image for it; None: all.

    Raises:
        NotFoundError: Something is missing, or there is no image for *platform*.
        InvalidInputError: Something is too large, or not what it says.
    """
    content = small_file(store, "manifest.json")
    document = parse_object(content, f"{store.name}: manifest.json")
    kind = document.get("mediaType")
    if not isinstance(kind, str):  # optional in the OCI image specification
        kind = MediaType.OCI_INDEX if "manifests" in document else MediaType.OCI_MANIFEST
    top = Descriptor(kind, Digest.of(content), len(content))
    read = fetcher(store, _path)

    def fetch(descriptor: Descriptor) -> bytes:
        return content if descriptor.digest == top.digest else read(descriptor)

    root = top if platform is None else narrow(store.name, top, platform, fetch)
    return gather(store, walk.collect(store.name, root, fetch), (), _path)


def _path(descriptor: Descriptor) -> str:
    if descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES:
        return f"{descriptor.digest.hex}.manifest.json"
    return descriptor.digest.hex
