"""What a registry was seen to hold, and what follows for an Image."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from sealoshub.imagehub.controller.conditions import condition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.imagehub.controller.kinds import Picture

NONE: Final[Mapping[str, bool]] = MappingProxyType({})  # one for all, because there are many


@dataclass(frozen=True, slots=True)
class Held:
    """What a registry held of one repository when it was asked last.

    Args:
        tags: The digest that each tag names.
        others: Of Images whose tag names something else, or is gone: whether the registry has
            their digest.
        sizes: Bytes of the digests whose Images do not remember it yet.
    """

    tags: Mapping[str, str]
    others: Mapping[str, bool]
    sizes: Mapping[str, int] = field(default_factory=dict)

    def has(self, image: Picture) -> bool | None:
        """Tell whether the registry has *image*; None if that was not asked."""
        now = self.tags.get(image.tag)
        if not image.digest:
            return now is not None
        return True if now == image.digest else self.others.get(image.digest)


def presence(image: Picture, held: Held | None) -> dict[str, Any] | None:
    """Return the Present condition of *image*; None as long as nobody knows."""
    found = None if held is None else held.has(image)
    if held is None or found is None:
        for item in image.status.get("conditions") or ():
            if item.get("type") == "Present":  # as it was
                words = {key: item.get(key, "") for key in ("reason", "message")}
                return condition("Present", good=item.get("status") == "True", **words)
        return None
    if not found:
        what = image.digest or f"tag {image.tag}"
        message = f"the registry has no {what} in {image.path}"
        return condition("Present", good=False, reason="NotInRegistry", message=message)
    now = held.tags.get(image.tag)
    if now is None or (image.digest and now != image.digest):
        message = f"the tag names {now} now" if now else "the tag is gone"
        return condition("Present", good=True, reason="TagMoved", message=message)
    return condition("Present", good=True, reason="InRegistry")


def says(image: Picture, wanted: Mapping[str, Any] | None) -> bool:
    """Tell whether the status of *image* has the condition *wanted*."""
    if wanted is None:
        return True
    conditions = image.status.get("conditions") or ()
    return any(wanted.items() <= item.items() for item in conditions)
