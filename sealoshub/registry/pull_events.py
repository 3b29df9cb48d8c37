"""What a pull tells; apart from the pull itself, because every push loads who shows events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealoshub.registry.push_events import BlobProgress
from sealoshub.value import Value

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.reference import Digest
    from sealoshub.registry.image import Descriptor
    from sealoshub.registry.target import Kind


class PullStarted(Value):
    """The blobs of an image are fetched now.

    Args:
        reference: What.
        blobs: How many distinct blobs.
        size: Bytes of all blobs.
        manifests: How many manifests.
    """

    reference: str
    blobs: int
    size: int
    manifests: int


class ManifestPulled(Value):
    """A manifest is here; whatever it lists, is.

    Args:
        digest: Which.
        media_type: What it is.
        size: Its bytes.
    """

    digest: Digest
    media_type: str
    size: int


class PullResult(Value):
    """What is on the disk now.

    Args:
        reference: `host/repository@digest`.
        digest: Of the manifest or index.
        media_type: Of it.
        size: Bytes of the image: manifests and distinct blobs.
        downloaded: Bytes of blobs that came through the network.
        kind: What was written.
        path: Where.
        foreign: Layers that were left where they are distributed.
    """

    reference: str
    digest: Digest
    media_type: str
    size: int
    downloaded: int
    kind: Kind
    path: Path
    foreign: tuple[Descriptor, ...]


PullEvent = PullStarted | BlobProgress | ManifestPulled | PullResult
