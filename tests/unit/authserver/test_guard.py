"""Slowing down who sends wrong credentials."""

from __future__ import annotations

import pytest

from sealoshub.authserver.guard import ENTRIES, Attempt, Guard


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


def fail(guard: Guard, credential: str, address: str = "10.0.0.1", *, post: bool = False) -> float:
    """Send a wrong credential; return the seconds to wait, 0 if it was checked."""
    attempt = guard.begin(credential.encode(), address, post=post)
    if isinstance(attempt, Attempt):
        guard.bad(attempt)
        return 0.0
    return attempt


def succeed(guard: Guard, credential: str, address: str = "10.0.0.1") -> float:
    """Send a good credential; return the seconds to wait, 0 if it got in."""
    attempt = guard.begin(credential.encode(), address, post=False)
    if isinstance(attempt, Attempt):
        guard.good(attempt)
        return 0.0
    return attempt


def test_the_same_wrong_credential_waits_longer_and_longer(clock: Clock) -> None:
    """Three are free, then 1, 2, 4 … seconds, at most a minute; from any address."""
    guard = Guard(clock)
    waits = []
    for number in range(12):
        assert fail(guard, "bad", f"10.0.0.{number}") == 0.0
        wait = fail(guard, "bad", "10.9.9.9")
        waits.append(wait)
        clock.now += wait
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]


def test_1500_wrong_passwords_are_a_few_checks(clock: Clock) -> None:
    """From one address, all different: ten are checked, then one every few seconds."""
    guard = Guard(clock)
    checked = 0
    for number in range(1500):
        checked += fail(guard, f"bad {number}") == 0.0
        clock.now += 0.01
    assert checked <= 16
    # The true user in the same office: known, he gets in at once; new, within five seconds.
    wait = succeed(guard, "true user")
    assert 0 < wait <= 5
    clock.now += wait
    assert succeed(guard, "true user") == 0.0
    for number in range(100):
        fail(guard, f"more {number}")
        assert succeed(guard, "true user") == 0.0


def test_it_remembers_what_was_wrong_with_a_credential(clock: Clock) -> None:
    """The last reason, until the credential is good; of another one nothing."""
    guard = Guard(clock)
    for why in ("unknown", "revoked"):
        attempt = guard.begin(b"bad", "10.0.0.1", post=False)
        assert isinstance(attempt, Attempt)
        guard.bad(attempt, why)
    assert (guard.why(b"bad"), guard.why(b"other")) == ("revoked", "")
    assert succeed(guard, "bad") == 0.0
    assert not guard.why(b"bad")


def test_other_addresses_are_not_concerned(clock: Clock) -> None:
    """Failures here are no failures there."""
    guard = Guard(clock)
    for number in range(100):
        fail(guard, f"bad {number}", "10.0.0.1")
    assert succeed(guard, "good", "10.0.0.2") == 0.0


def test_a_post_and_the_same_get_are_one_failure(clock: Clock) -> None:
    """Containerd repeats a refused POST as a GET."""
    guard = Guard(clock)
    for _ in range(2):
        assert fail(guard, "bad", post=True) == 0.0
        assert fail(guard, "bad") == 0.0
    assert fail(guard, "bad", post=True) == 0.0
    assert fail(guard, "bad") > 0


def test_many_at_once_do_not_slip_through(clock: Clock) -> None:
    """The checks under way are bounded, and more tightly after failures."""
    guard = Guard(clock)
    begun = [guard.begin(str(n).encode(), "10.0.0.1", post=False) for n in range(1000)]
    attempts = [attempt for attempt in begun if isinstance(attempt, Attempt)]
    assert len(attempts) == 64
    for attempt in attempts:
        guard.bad(attempt)
    clock.now += 5
    begun = [guard.begin(b"x" + str(n).encode(), "10.0.0.1", post=False) for n in range(1000)]
    assert sum(isinstance(attempt, Attempt) for attempt in begun) == 1


def test_a_new_good_credential_may_come_a_thousand_times_at_once(clock: Clock) -> None:
    """A rollout with a fresh token: the same credential under way is one check."""
    guard = Guard(clock)
    begun = [guard.begin(b"good", "10.0.0.1", post=False) for _ in range(1000)]
    attempts = [attempt for attempt in begun if isinstance(attempt, Attempt)]
    assert len(attempts) == 1000
    for attempt in attempts:
        guard.good(attempt)
    assert succeed(guard, "good") == 0.0


def test_an_outage_is_no_failure(clock: Clock) -> None:
    """What could not be checked is not counted."""
    guard = Guard(clock)
    for _ in range(100):
        attempt = guard.begin(b"credential", "10.0.0.1", post=False)
        assert isinstance(attempt, Attempt)
        guard.undecided(attempt)
    assert succeed(guard, "credential") == 0.0


def test_a_revoked_credential_loses_its_privilege(clock: Clock) -> None:
    """After its first failure it counts like any other."""
    guard = Guard(clock)
    assert succeed(guard, "once good") == 0.0
    waits = [fail(guard, "once good") for _ in range(6)]
    assert waits[:4] == [0.0] * 4
    assert waits[4] > 0


def test_failures_are_forgotten(clock: Clock) -> None:
    """Five minutes without one."""
    guard = Guard(clock)
    for _ in range(5):
        fail(guard, "bad")
    clock.now += 301
    assert [fail(guard, "bad") for _ in range(3)] == [0.0] * 3


def test_an_ipv6_customer_is_one_address(clock: Clock) -> None:
    """He owns a /64 and can send from any address in it."""
    guard = Guard(clock)
    checked = sum(fail(guard, f"bad {n}", f"2001:db8::{n:x}") == 0.0 for n in range(100))
    assert checked == 10
    assert fail(guard, "bad", "2001:db8:0:1::1") == 0.0


def test_memory_is_bounded(clock: Clock) -> None:
    """Whatever comes, from wherever."""
    guard = Guard(clock)
    for number in range(ENTRIES + 500):
        fail(guard, f"bad {number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        succeed(guard, f"good {number}", f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    sizes = [len(guard._credentials), len(guard._addresses), len(guard._good)]
    assert all(size <= ENTRIES for size in sizes)
