"""Moments in which no signal may raise its exception."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C and the like wait until the `with` block is over, and come then.

    What is ignored stays so, for programs that are started here as well. Not by a signal mask,
    which holds for one thread (another one would take the signal) and is inherited.
    """
    waiting: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():  # no other ever sees the exception
        for number in _ENDING:
            handler = signal.getsignal(number)
            if callable(handler):
                before[number] = handler
                signal.signal(number, lambda number, _frame: waiting.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])
