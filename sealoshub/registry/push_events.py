"""What a push tells; apart from the push itself, because whoever shows events needs no more.

Nothing that sends or reads is imported here: showing is loaded with every command.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sealoshub.value import Value

if TYPE_CHECKING:
    from sealoshub.reference import Digest


class BlobState(StrEnum):
    """Where a blob is on its way, into a registry or out of it."""

    EXISTS = "exists"
    MOUNTED = "mounted"
    UPLOADING = "uploading"
    DOWNLOADING = "downloading"
    RESUMED = "resumed"
    DONE = "done"


class Started(Value):
    """The push begins.

    Args:
        reference: Where to.
        blobs: How many distinct blobs.
        size: Bytes of all blobs; before compression, of those that are compressed first.
        manifests: How many manifests.
    """

    reference: str
    blobs: int
    size: int
    manifests: int


class BlobProgress(Value):
    """A blob got on.

    Args:
        digest: Which.
        media_type: What it is.
        state: Where it is; the last of a blob is `exists`, `mounted` or `done`.
        done: Bytes sent; smaller than before when a try began again.
        total: Its size in bytes.
    """

    digest: Digest
    media_type: str
    state: BlobState
    done: int
    total: int


class Compressing(Value):
    """A layer is compressed, before it has a digest and becomes a blob of the same push.

    Args:
        diff_id: Its digest before compression.
        done: Bytes read.
        total: Bytes to read.
        blob: What it has become, at the end; its first :class:`BlobProgress` comes next.
        blob_size: Bytes of that.
    """

    diff_id: Digest
    done: int
    total: int
    blob: Digest | None = None
    blob_size: int | None = None


class ManifestPushed(Value):
    """A manifest is in the registry.

    Args:
        digest: Which.
        media_type: What it is.
        size: Its bytes.
        tag: The tag it got; None if it is known by its digest alone.
        existed: It was there before.
    """

    digest: Digest
    media_type: str
    size: int
    tag: str | None
    existed: bool


class PushResult(Value):
    """What is in the registry now.

    Args:
        reference: `host/repository@digest`.
        digest: Of the manifest or index.
        media_type: Of it.
        size: Bytes of the image: manifests and distinct blobs.
        tags: The tags it has got.
        uploaded: Bytes that were sent as blobs.
    """

    reference: str
    digest: Digest
    media_type: str
    size: int
    tags: tuple[str, ...]
    uploaded: int


Event = Started | Compressing | BlobProgress | ManifestPushed | PushResult
