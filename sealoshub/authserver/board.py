"""Numbers that several processes write and any of them reads: counters in shared memory.

Each worker has a row of its own, so that nobody waits for a lock and no increment is lost; whoever
is asked adds the rows up. The memory is anonymous and inherited by `fork`.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_DOUBLE: Final = 8  # bytes


class Board:
    """Rows of numbers, one row for each worker.

    Args:
        names: What the columns are called.
        rows: How many workers write.
    """

    def __init__(self, names: Sequence[str], rows: int = 1) -> None:
        self._columns = {name: position for position, name in enumerate(names)}
        self._rows = rows
        self._cells = memoryview(mmap.mmap(-1, max(1, len(names)) * rows * _DOUBLE)).cast("d")

    def row(self, number: int) -> Row:
        """Return what worker *number* writes to; it begins with what its predecessor left."""
        width = len(self._columns)
        return Row(self._cells[number * width : (number + 1) * width], self._columns)

    def total(self, name: str) -> float:
        """Return the sum of a column."""
        width = len(self._columns)
        position = self._columns[name]
        return sum(self._cells[number * width + position] for number in range(self._rows))


class Row:
    """The numbers of one worker.

    Args:
        cells: Its part of the memory.
        columns: Position by name.
    """

    def __init__(self, cells: memoryview[float], columns: dict[str, int]) -> None:
        self._cells = cells
        self._columns = columns

    def add(self, name: str, value: float = 1.0) -> None:
        """Count *value* more."""
        self._cells[self._columns[name]] += value

    def put(self, name: str, value: float) -> None:
        """Replace the number."""
        self._cells[self._columns[name]] = value
