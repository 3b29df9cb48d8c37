"""Threads that work through a list, and stop together."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from sealoshub.errors import EndedError
from sealoshub.registry.feed import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Stop(threading.Event):
    """Set when the work is not wanted any more.

    Attributes:
        leaves: What was begun stays as it is, for the next process.
    """

    leaves = False


class _HasSize(Protocol):
    @property
    def size(self) -> int:
        """Bytes."""


T = TypeVar("T")
Sized = TypeVar("Sized", bound=_HasSize)

JOBS: Final = 6  # what skopeo and podman use; more only helps with many tiny blobs
GRACE: Final = 5.0  # seconds; what it takes to take back what was begun at a registry
BRIEF: Final = 1.0  # seconds; what it takes to stop


def run_all(
    items: Iterable[T],
    work: Callable[[T, threading.Event], None],
    jobs: int,
    name: str,
    *,
    grace: float = GRACE,
) -> None:
    """Call *work* for each of *items*, for *jobs* of them at once.

    Args:
        items: What is to be done.
        work: Does one; told by its second argument when it is not wanted any more.
        jobs: How many threads, at least one.
        name: Of the threads.
        grace: Seconds that all of them together get to end after Ctrl-C; less after a signal.

    Raises:
        BaseException: What failed first; the others were stopped.
    """
    stop = Stop()
    queue = deque(items)
    errors: list[BaseException] = []
    # Daemons: a thread that hangs in the network must not keep the program after Ctrl-C.
    threads = [
        threading.Thread(
            target=_work, args=(queue, work, stop, errors), name=f"{name}-{number}", daemon=True
        )
        for number in range(min(max(1, jobs), len(queue)))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException as exc:  # Ctrl-C
        if isinstance(exc, EndedError):
            # Whoever sends SIGTERM does not wait for long, and nothing has to be taken back.
            stop.leaves, grace = True, min(grace, BRIEF)
        stop.set()
        for thread in threads:
            with contextlib.suppress(RuntimeError):  # it was not started
                thread.join(grace / len(threads))
        raise
    if errors:
        raise errors[0]


def _work(
    queue: deque[T],
    work: Callable[[T, threading.Event], None],
    stop: threading.Event,
    errors: list[BaseException],
) -> None:
    while not stop.is_set():
        try:
            item = queue.popleft()
        except IndexError:
            return
        try:
            work(item, stop)
        except StoppedError:
            return
        except BaseException as exc:  # noqa: BLE001  # raised again in the caller's thread
            errors.append(exc)
            stop.set()


def interleave(items: Iterable[Sized]) -> list[Sized]:
    """Order *items* largest, smallest, second largest, second smallest and so on.

    The long ones start early, the short ones fill the other connections meanwhile.
    """
    by_size = deque(sorted(items, key=lambda item: item.size))
    order = []
    while by_size:
        order.append(by_size.pop())
        if by_size:
            order.append(by_size.popleft())
    return order
