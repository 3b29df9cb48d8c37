"""Numbers in the text format of Prometheus, version 0.0.4.

The token server and the controller do not know each other; what both write is written here.
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
INFINITE: Final = "+Inf"  # the bound of the last bucket of every histogram
CPU: Final = "process_cpu_seconds_total"
MEMORY: Final = "process_resident_memory_bytes"

_NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its type for Prometheus, what it says, and the names of its labels."""

    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


def head(name: str, family: Family) -> list[str]:
    """Return the lines that stand before the samples of *family*."""
    return [f"# HELP {name} {family.help}", f"# TYPE {name} {family.type}"]


def sample(name: str, value: float, labels: Mapping[str, str] = _NO_LABELS) -> str:
    """Return the line of one number."""
    return f"{name}{_labels(labels)} {number(value)}"


def histogram(
    name: str,
    bounds: Sequence[float],
    counts: Sequence[float],
    total: float,
    labels: Mapping[str, str] = _NO_LABELS,
) -> list[str]:
    """Return the lines of one histogram.

    Args:
        name: Of the family.
        bounds: Upper ends of the buckets, ascending; beyond the last there is one more.
        counts: How many observations each bucket has by itself, of one more than there are bounds.
        total: The sum of all that was observed.
        labels: Besides `le`.
    """
    lines, so_far = [], 0.0
    for bound, count in zip((*map(str, bounds), INFINITE), counts, strict=True):
        so_far += count
        lines.append(sample(f"{name}_bucket", so_far, {**labels, "le": bound}))
    return [
        *lines,
        f"{name}_sum{_labels(labels)} {total:.6f}",
        sample(f"{name}_count", so_far, labels),
    ]


def number(value: float) -> str:
    """Write a number without the rounding of `:g`, which ends at six digits."""
    return str(int(value)) if value == int(value) else f"{value:.3f}"


def cpu_seconds() -> float:
    """Return the CPU seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes; 0 where it cannot be told."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{','.join(pairs)}}}"
