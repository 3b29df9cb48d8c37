"""What `kubectl get` prints of a tag: its columns show a field as it is and format nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealoshub.amount import size_text

if TYPE_CHECKING:
    from collections.abc import Mapping

DIGITS: Final = 12  # of a digest, as container tools show it


def shown(tag: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return `status.shown` of an Image for its `status.tag`; None without one."""
    if tag is None:
        return None
    found = {"digest": str(tag["digest"]).partition(":")[2][:DIGITS]}
    size = tag.get("size")
    return found if size is None else {**found, "size": size_text(size)}
