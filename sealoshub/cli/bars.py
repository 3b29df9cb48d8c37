"""Bars on a terminal: one for everything, and one for each blob that is under way.

The only door to rich, which is imported when a terminal is there and something moves on it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from sealoshub.cli.output import clean, wants_colour
from sealoshub.undisturbed import undisturbed

if TYPE_CHECKING:
    from rich.progress import TaskID

LABEL: Final = 19  # columns of a label: sha256: and twelve digits
NOTE: Final = 48  # columns of the longest note: 1023.9 MiB of 1023.9 GiB, 1023.9 MiB/s, 23:59:59
LONGEST_BAR: Final = 40  # columns; a longer one says no more
SHORTEST_BAR: Final = 8  # columns; a shorter one says nothing
GAPS: Final = 2  # between the three


class Bars:
    """One bar for each thing that is under way, and one for all together, on standard error.

    Where the terminal is too narrow for bars there are only numbers, so that a line stays a line.
    It is a class because rich redraws it from a thread of its own until it is closed.

    Args:
        total: Of the bar for all together.
    """

    def __init__(self, total: int) -> None:
        from rich import progress  # noqa: PLC0415  # 60 ms, and only a terminal needs it
        from rich.console import Console  # noqa: PLC0415  # as above
        from rich.table import Column  # noqa: PLC0415  # as above

        console = Console(stderr=True, no_color=not wants_colour(sys.stderr), highlight=False)
        length = min(LONGEST_BAR, console.width - LABEL - NOTE - GAPS)
        whole = Column(no_wrap=True, overflow="ellipsis")
        self.is_narrow = length < SHORTEST_BAR
        if self.is_narrow:
            # One column: two would have to be as wide as the longest of all lines.
            text = "{task.description} {task.fields[note]}"
            columns: list[progress.ProgressColumn] = [
                progress.TextColumn(text, markup=False, table_column=whole)
            ]
        else:
            columns = [
                progress.TextColumn("{task.description}", markup=False, table_column=whole),
                progress.BarColumn(bar_width=length, table_column=Column(no_wrap=True)),
                progress.TextColumn("{task.fields[note]}", markup=False, table_column=whole),
            ]
        self._progress = progress.Progress(
            *columns,
            console=console,
            transient=True,
            redirect_stdout=False,  # results are written when the bars are gone
        )
        label = "total" if self.is_narrow else "total".ljust(LABEL)
        self._all = self._progress.add_task(label, total=total, note="")
        self._tasks: dict[str, TaskID] = {}

    def start(self) -> None:
        """Show them; apart from making them, so that whoever is interrupted here can close."""
        with undisturbed():
            self._progress.start()

    def update_all(self, done: int, total: int, note: str) -> None:
        """Move the bar for all together."""
        self._progress.update(self._all, completed=done, total=total, note=note)

    def update(self, key: str, label: str, done: int, total: int, note: str) -> None:
        """Move the bar of *key*, or show it if it is new."""
        task = self._tasks.get(key)
        if task is None:
            self._tasks[key] = self._progress.add_task(
                clean(label)[:LABEL], total=total, completed=done, note=note
            )
        else:
            self._progress.update(task, completed=done, total=total, note=note)

    def remove(self, key: str) -> None:
        """Remove the bar of *key*, if there is one."""
        task = self._tasks.pop(key, None)
        if task is not None:
            self._progress.remove_task(task)

    def close(self) -> None:
        """Remove the bars from the screen."""
        # Disturbed, rich counts itself as started too early, and cannot stop then.
        with undisturbed():
            self._progress.stop()
