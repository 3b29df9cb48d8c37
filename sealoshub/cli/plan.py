"""`sealoshub push --dry-run`: what would be sent, mounted, or is there."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sealoshub.cli.output import size
from sealoshub.registry.upload import Repository, blob_exists

if TYPE_CHECKING:
    from sealoshub.reference import Reference
    from sealoshub.registry.client import Client
    from sealoshub.registry.image import Blob
    from sealoshub.registry.source import ImageSource


class Fate(StrEnum):
    """What a push would do with a blob."""

    EXISTS = "exists"
    MOUNT = "mount"
    SEND = "send"


def make(
    client: Client, image: ImageSource, target: Reference, mounts: tuple[str, ...]
) -> tuple[str, dict[str, object]]:
    """Ask the registry for every blob of *image*, send none, and say what would be done.

    Layers that a push would compress are compressed for it, because only then there is a digest
    to ask for; what they become is remembered, so the push itself need not do it again if the
    registry has them.

    Args:
        client: Of the registry of *target*.
        image: What would be pushed.
        target: Where to.
        mounts: Repositories of the same registry that have the blobs.

    Returns:
        The plan for a person, and for a program.

    Raises:
        DeniedError: The user may not push there; so the real push would fail too.
        UnavailableError: The registry does not answer.
    """
    client.ping()
    image.complete()
    repository = Repository(client, target.repository)

    def fate(blob: Blob) -> Fate:
        if client.retry.run(lambda: blob_exists(repository, blob.digest)):
            return Fate.EXISTS
        return Fate.MOUNT if mounts else Fate.SEND

    plan = [(blob, fate(blob)) for blob in image.blobs]
    lines = [f"{blob.digest}  {what:<6}  {size(blob.size)}" for blob, what in plan]
    todo = sum(blob.size for blob, what in plan if what is Fate.SEND)
    sent, mounted = (sum(what is each for _, what in plan) for each in (Fate.SEND, Fate.MOUNT))
    tail = f"; {mounted} would be mounted" if mounted else ""
    lines.append(f"{sent} of {len(plan)} blobs would be sent to {target}, {size(todo)}{tail}")
    return "\n".join(lines), {
        "dry_run": True,
        "reference": str(target),
        "digest": image.root.descriptor.digest.text,
        "blobs": [
            {
                "digest": blob.digest.text,
                "size": blob.size,
                "exists": what is Fate.EXISTS,
                "action": what,
            }
            for blob, what in plan
        ],
        "bytes": todo,
    }
