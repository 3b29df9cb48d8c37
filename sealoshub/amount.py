"""Amounts as people read them. The terminal and the columns of kubectl write them alike."""

from __future__ import annotations


def size_text(count: float) -> str:
    """Write a number of bytes for a person, in powers of 1024: `26.1 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004  # the base of these units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
