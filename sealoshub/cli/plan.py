"""`sealoshub push --dry-run`: what would be sent, mounted, or is there.

Nothing is compressed for it: that would take as long as half a push. So a layer that a push would
compress first has neither a digest to ask for nor a final size, unless both are remembered from an
earlier push; the plan says so instead of guessing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sealoshub.amount import size_text
from sealoshub.registry.upload import Repository, blob_exists

if TYPE_CHECKING:
    from sealoshub.reference import Reference
    from sealoshub.registry.client import Client
    from sealoshub.registry.image import Blob, Pending
    from sealoshub.registry.source import ImageSource


class Fate(StrEnum):
    """What a push would do with a blob."""

    EXISTS = "exists"
    MOUNT = "mount"
    SEND = "send"
    COMPRESS = "compress"


@dataclass(frozen=True, slots=True)
class Step:
    """What would happen to one blob.

    Args:
        fate: What.
        size: Its bytes; before compression, if it is compressed first.
        digest: Of it; None while nobody knows what it will be compressed to.
        diff_id: Of a layer before compression; None for all others.
    """

    fate: Fate
    size: int
    digest: str | None
    diff_id: str | None = None


def make(
    client: Client, image: ImageSource, target: Reference, mounts: tuple[str, ...]
) -> tuple[str, dict[str, object]]:
    """Ask the registry for every blob of *image* that has a digest, and say what would be done.

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
    repository = Repository(client, target.repository)

    def of_blob(blob: Blob, diff_id: str | None = None) -> Step:
        fate = Fate.MOUNT if mounts else Fate.SEND
        if client.retry.run(lambda: blob_exists(repository, blob.digest)):
            fate = Fate.EXISTS
        return Step(fate, blob.size, blob.digest.text, diff_id)

    def of_layer(pending: Pending) -> Step:
        diff_id = pending.digest.text
        if pending.is_known:
            return of_blob(pending.resolve(), diff_id)
        return Step(Fate.COMPRESS, pending.size, None, diff_id)

    steps = [*map(of_blob, image.ready), *map(of_layer, image.pending)]
    sums = {fate: sum(step.size for step in steps if step.fate is fate) for fate in Fate}
    text = "\n".join([*map(_line, steps), _summary(steps, sums, target)])
    return text, {
        "dry_run": True,
        "reference": str(target),
        "digest": image.root.descriptor.digest.text if image.is_known else None,
        "blobs": [
            {
                "digest": step.digest,
                "diff_id": step.diff_id,
                "size": step.size,
                "exists": None if step.digest is None else step.fate is Fate.EXISTS,
                "action": step.fate,
            }
            for step in steps
        ],
        "bytes": sums[Fate.SEND],
        "bytes_to_compress": sums[Fate.COMPRESS],
    }


def _line(step: Step) -> str:
    note = " before compression" if step.digest is None else ""
    return f"{step.digest or step.diff_id}  {step.fate:<8}  {size_text(step.size)}{note}"


def _summary(steps: list[Step], sums: dict[Fate, int], target: Reference) -> str:
    count = {fate: sum(step.fate is fate for step in steps) for fate in Fate}
    text = f"{count[Fate.SEND]} of {len(steps)} blobs would be sent to {target}, "
    text += size_text(sums[Fate.SEND])
    if count[Fate.MOUNT]:
        text += f"; {count[Fate.MOUNT]} would be mounted"
    if count[Fate.COMPRESS]:
        text += (
            f"; {count[Fate.COMPRESS]} layers would be compressed first"
            f" ({size_text(sums[Fate.COMPRESS])}), and then sent if they are not there"
        )
    return text
