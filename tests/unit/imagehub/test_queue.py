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
    thread.join(60)
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
    thread.join(60)
    assert got == ["b"]
    assert queue.get() == "a"


def test_what_failed_waits_in_the_lane_it_came_from() -> None:
    """What is only looked at does not overtake changes by failing."""
    clock = Clock()
    queue: KeyQueue[str] = KeyQueue(clock)
    queue.add_idle("looked at")
    assert queue.get() == "looked at"
    clock.now += queue.failed("looked at")
    queue.add("changed")
    assert [queue.get(), queue.get()] == ["changed", "looked at"]
    queue.failed("changed")
    clock.now += LAST_RETRY
    assert queue.get(idle=False) == "changed"


def test_a_worker_learns_that_its_key_has_become_urgent() -> None:
    """What is looked at at leisure may change meanwhile."""
    queue: KeyQueue[str] = KeyQueue()
    queue.add_idle("a")
    queue.add("b")
    assert [queue.get(), queue.get()] == ["b", "a"]
    assert queue.is_urgent("b")
    assert not queue.is_urgent("a")
    queue.add_idle("a")
    assert not queue.is_urgent("a")
    queue.add("a")
    assert queue.is_urgent("a")


def test_the_end_of_what_is_only_looked_at() -> None:
    """It is there when the last of it is done, whatever has changed meanwhile."""
    queue: KeyQueue[str] = KeyQueue()
    queue.add("changed")
    assert not queue.has_idle()
    queue.add_idle("a")
    assert queue.has_idle()
    assert [queue.get(), queue.get()] == ["changed", "a"]
    assert queue.has_idle()
    queue.done("a")
    assert not queue.has_idle()


def test_what_waits_is_counted_by_lane_and_kind() -> None:
    """What a worker has does not wait; what failed waits for its time."""
    queue: KeyQueue[str] = KeyQueue(Clock())
    for key in ("a1", "a2", "b1"):
        queue.add(key)
    queue.add_idle("a3")
    queue.add_after("b2", 5)
    assert queue.get() == "a1"
    queue.failed("a1")
    assert queue.get() == "a2"
    assert queue.depth(lambda key: key[0]) == {
        ("changed", "b"): 1,
        ("idle", "a"): 1,
        ("later", "a"): 1,
        ("later", "b"): 1,
    }
