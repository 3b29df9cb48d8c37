"""One timer for the deadlines of many questions, most of which are answered in a millisecond."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_SECONDS: Final = 0.1  # so late may the end of a question be seen


class Deadlines:
    """Futures, and when each must be done.

    It is a class because they share the timer: to set and cancel one for each would cost more
    than to send the question.

    Args:
        failure: Returns what a future fails with that is not done in time.
    """

    def __init__(self, failure: Callable[[], Exception]) -> None:
        self._failure = failure
        self._ends: dict[asyncio.Future[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: asyncio.Future[Any], ends: float) -> None:
        """Let *future* fail if it is not done when the clock of the event loop says *ends*."""
        self._ends[future] = ends
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(STEP_SECONDS, self._look)

    def discard(self, future: asyncio.Future[Any]) -> None:
        """Forget *future*, which is done."""
        self._ends.pop(future, None)

    def close(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        late = [future for future, ends in self._ends.items() if ends <= loop.time()]
        for future in late:
            del self._ends[future]
            if not future.done():
                future.set_exception(self._failure())
        if self._ends:
            self._timer = loop.call_later(STEP_SECONDS, self._look)
