"""What `kubectl get` prints of a tag: its columns show a field as it is and format nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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


def size_text(count: int) -> str:
    """Write a number of bytes for a person, in powers of 1024: `26.1 MiB`."""
    if count < 1024:  # noqa: PLR2004  # the base of these units
        return f"{count} B"
    number: float = count
    for unit in ("KiB", "MiB", "GiB"):
        number /= 1024
        if number < 1024:  # noqa: PLR2004  # as above
            return f"{number:.1f} {unit}"
    return f"{number / 1024:.1f} TiB"
