"""Signals that end a command as Ctrl-C does: by an exception, so that everything is put back.

Without it SIGTERM (a CI job that is cancelled, systemd, Kubernetes) and SIGHUP (a terminal that is
closed) end Python on the spot: temporary folders stay, and the cursor of the terminal is gone.
"""

from __future__ import annotations

import signal
import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from sealoshub.errors import EndedError, SealosHubError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType, TracebackType


class TerminatedError(SealosHubError):
    """SIGTERM."""

    exit_code = 128 + signal.SIGTERM
    code = "TERMINATED"


class HangupError(SealosHubError):
    """SIGHUP."""

    exit_code = 128 + signal.SIGHUP
    code = "HANGUP"


_ERRORS: Final[Mapping[int, Callable[[], SealosHubError]]] = MappingProxyType(
    {
        signal.SIGTERM: lambda: TerminatedError("ended by SIGTERM"),
        signal.SIGHUP: lambda: HangupError("ended by SIGHUP: the terminal was closed"),
    }
)


class Ending:
    """Takes the signals within its `with` block, and remembers the one that ended it.

    It is a class because the handler leaves word. What the caller ignores (`nohup`), or a command
    has taken for itself (a server), is left alone. Only the first signal counts: what follows must
    not disturb the clearing up.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._taken: list[int] = []

    @property
    def error(self) -> SealosHubError | None:
        """What to say; None if no signal came."""
        return None if self._number is None else _ERRORS[self._number]()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python allows it there only
            for number in _ERRORS:
                if signal.getsignal(number) == signal.SIG_DFL:
                    signal.signal(number, self._end)
                    self._taken.append(number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number in self._taken:
            if signal.getsignal(number) == self._end:
                signal.signal(number, signal.SIG_DFL)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        if self._number is None:
            self._number = number
            raise EndedError(signal.Signals(number).name)
