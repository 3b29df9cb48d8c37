"""What is remembered of a tag in the status of its Image: digest, size, and since when.

It is in the status, because people write the spec: who could write the digest or the size that
counts could move a tag that must not move, or hide how much he uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealoshub.imagehub.controller.held import Held
    from sealoshub.imagehub.controller.kinds import Picture


@dataclass(frozen=True, slots=True)
class Record:
    """What a tag named when it was last looked at.

    Args:
        digest: Of the manifest or index.
        size: Bytes, or None if that is not known.
        since: Since when it was seen to name it; RFC 3339.
    """

    digest: str
    size: int | None
    since: str

    @property
    def time(self) -> datetime | None:
        """Return :attr:`since` as a time; None if it is none."""
        try:
            found = datetime.fromisoformat(self.since)
        except ValueError:
            return None
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def recorded(images: Iterable[Picture]) -> Record | None:
    """Return what is remembered of a tag, given its Images, the one that counts last."""
    found = None
    for image in images:
        if image.seen is not None:
            found = Record(*image.seen)
    return found


def desired(image: Picture, held: Held | None, moment: str) -> Mapping[str, Any] | None:
    """Return `status.tag` of *image*: as it was while nobody knows better."""
    was: dict[str, Any] | None = image.status.get("tag")
    if held is None:
        return was
    digest = held.tags.get(image.tag)
    if digest is None:
        return None
    same = was is not None and was.get("digest") == digest
    if same and was is not None and "size" in was:
        return was
    wanted = {"digest": digest, "since": was["since"] if same and was else moment}
    size = held.sizes.get(digest)
    return wanted if size is None else {**wanted, "size": size}


def is_right(image: Picture, held: Held) -> bool:
    """Tell whether what is remembered of *image* is what *held* says."""
    moment = ""  # of no interest: a digest that is new is not right in any case
    return desired(image, held, moment) == image.status.get("tag")
