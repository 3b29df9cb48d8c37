"""The queue: no key twice at once, no change lost, failures later and later."""

from __future__ import annotations

import threading

from sealoshub.imagehub.controller.queue import FIRST_RETRY, LAST_RETRY, KeyQueue


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def test_a_key_is_handed_out_once_however_often_it_is_added() -> None:
    """Ten changes of one object are one reconcile."""
    queue: KeyQueue[str] = KeyQueue()
    for key in "aaabaa":
        queue.add(key)
    assert (queue.get(), queue.get(), len(queue)) == ("a", "b", 0)


def test_a_change_during_the_work_brings_the_key_back() -> None:
    """It is not handed to a second worker, and comes again when the first is done."""
    queue: KeyQueue[str] = KeyQueue()
    queue.add("a")
    assert queue.get() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.get() == "b"
    queue.done("a")
    assert queue.get() == "a"


def test_failures_come_back_later_and_later() -> None:
    """The delay doubles up to a limit, and a success resets it."""
    clock = Clock()
    queue: KeyQueue[str] = KeyQueue(clock)
    queue.add("a")
    delays = []
    for _ in range(14):
        assert queue.get() == "a"
        delays.append(queue.failed("a"))
        clock.now += delays[-1]
    assert delays[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert delays[-1] == LAST_RETRY
    assert queue.get() == "a"
    queue.done("a")
    queue.add("a")
    queue.get()
    assert queue.failed("a") == FIRST_RETRY


def test_a_key_for_later_is_handed_out_then() -> None:
    """And not before."""
    clock = Clock()
    queue: KeyQueue[str] = KeyQueue(clock)
    queue.add_after("late", 10)
    queue.add_after("soon", 5)
    queue.add("now")
    assert queue.get() == "now"
    clock.now = 5
    assert queue.get() == "soon"
    clock.now = 10
    assert queue.get() == "late"


def test_a_waiting_worker_gets_what_comes_and_ends_with_the_queue() -> None:
    """`get` blocks for a key, also for one that is due later, and None means the end."""
    queue: KeyQueue[str] = KeyQueue()
    got: list[str | None] = []
    thread = threading.Thread(target=lambda: got.extend(iter(queue.get, None)))
    thread.start()
    queue.add_after("a", 0.01)
    queue.add("b")
    while len(got) < 2:
        threading.Event().wait(0.001)
    queue.close()
    thread.join(5)
    assert sorted(map(str, got)) == ["a", "b"]
    assert queue.get() is None


def test_what_changed_comes_before_what_is_only_looked_at() -> None:
    """Also if it waited to be looked at before; and nothing is handed out twice."""
    queue: KeyQueue[str] = KeyQueue()
    for key in "abca":
        queue.add_idle(key)
    queue.add("c")
    queue.add_idle("c")
    assert [queue.get() for _ in range(3)] == ["c", "a", "b"]
    assert len(queue) == 0
    queue.add_idle("a")  # while a worker has it
    queue.add_idle("d")
    assert queue.get() == "d"
    queue.done("a")
    assert queue.get() == "a"


def test_some_workers_are_there_for_changes_alone() -> None:
    """They sleep while there is only something to look at."""
    queue: KeyQueue[str] = KeyQueue()
    got: list[str | None] = []
    thread = threading.Thread(target=lambda: got.append(queue.get(idle=False)))
    queue.add_idle("a")
    thread.start()
    queue.add("b")
    thread.join(10)
    assert got == ["b"]
    assert queue.get() == "a"
