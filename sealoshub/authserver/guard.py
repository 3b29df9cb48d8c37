"""Slow down whoever sends wrong credentials, and nobody else.

Failures are counted by the credential and by the address, never by the user name: otherwise anybody
could lock anybody out. A credential that was good lately is never delayed, whatever its address is
guilty of, and how many checks an address may have under way shrinks with its failures, so that many
attempts at once do not slip through.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_K = TypeVar("_K")

FREE_BY_CREDENTIAL: Final = 3  # failures without a delay
FREE_BY_ADDRESS: Final = 10  # more, because an address may be an office
LONGEST_BY_CREDENTIAL: Final = 60.0  # seconds; the same wrong credential gets no better
LONGEST_BY_ADDRESS: Final = 5.0  # seconds; a stranger in the same office must get in soon
PENDING_BY_ADDRESS: Final = 64  # checks at once while an address has no failures
FORGET_SECONDS: Final = 300.0  # after the last failure
GOOD_SECONDS: Final = 24 * 3600.0  # how long a credential that was good counts as known
PAIR_SECONDS: Final = 5.0  # containerd repeats a refused POST as a GET: that is one failure
BUSY_SECONDS: Final = 1.0
ENTRIES: Final = 20_000  # of each kind; some 300 bytes each, and a sentence


@dataclass(slots=True)
class _Record:
    failures: int = 0
    pending: int = 0
    last: float = 0.0
    blocked_until: float = 0.0
    was_post: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A check that has begun; it must end in :meth:`Guard.good`, `bad` or `undecided`.

    Args:
        credential: Digest of the credential.
        address: Address of the client, or its network.
        counts: Whether a failure counts: not for a known credential, nor a repetition.
    """

    credential: bytes
    address: str
    counts: bool


class Guard:
    """Count failures, bounded in memory.

    Args:
        clock: Monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._credentials: OrderedDict[bytes, _Record] = OrderedDict()
        self._addresses: OrderedDict[str, _Record] = OrderedDict()
        self._good: OrderedDict[bytes, float] = OrderedDict()

    def is_good(self, credential: bytes) -> bool:
        """Tell whether a credential was good lately; such a one is never delayed nor counted."""
        return self._good.get(credential, 0.0) > self._clock()

    def begin(self, credential: bytes, address: str, *, post: bool) -> Attempt | float:
        """Return an attempt, or for how many seconds nobody may try this.

        Args:
            credential: Digest of the credential.
            address: Address of the client.
            post: Whether it came by POST; the same credential by GET right after counts no more.
        """
        now = self._clock()
        if self._good.get(credential, 0.0) > now:
            return Attempt(credential, address, counts=False)
        network = _network(address)
        known = _find(self._credentials, credential, now)
        place = _find(self._addresses, network, now)
        wait = max(known.blocked_until, place.blocked_until) - now
        if wait > 0:
            return wait
        if known.pending:
            # The same check is under way; everybody gets its answer, and it counts once.
            return Attempt(credential, network, counts=False)
        room = max(1, FREE_BY_ADDRESS - place.failures) if place.failures else PENDING_BY_ADDRESS
        if place.pending >= room:
            return BUSY_SECONDS
        repeated = known.was_post and not post and now - known.last < PAIR_SECONDS
        known.was_post, known.last, place.last = post, now, now
        if repeated:
            return Attempt(credential, network, counts=False)
        known.pending += 1
        place.pending += 1
        return Attempt(credential, network, counts=True)

    def why(self, credential: bytes) -> str:
        """Return what :meth:`bad` was told of a credential last, or nothing.

        Who sends the same wrong credential once more has heard it before, so it gives nothing away.
        """
        record = self._credentials.get(credential)
        return "" if record is None else record.why

    def good(self, attempt: Attempt) -> None:
        """End *attempt*: the credential is good."""
        self.undecided(attempt)
        self._credentials.pop(attempt.credential, None)
        self._good[attempt.credential] = self._clock() + GOOD_SECONDS
        self._good.move_to_end(attempt.credential)
        if len(self._good) > ENTRIES:
            self._good.popitem(last=False)

    def bad(self, attempt: Attempt, why: str = "") -> None:
        """End *attempt*: the credential is wrong.

        Args:
            attempt: The check.
            why: What is wrong with it, for :meth:`why`.
        """
        self._good.pop(attempt.credential, None)  # expired or revoked: from now on it counts
        if not attempt.counts:
            return
        now = self._clock()
        known = _find(self._credentials, attempt.credential, now)
        place = _find(self._addresses, attempt.address, now)
        self.undecided(attempt)
        known.why = why
        _fail(known, now, FREE_BY_CREDENTIAL, LONGEST_BY_CREDENTIAL)
        _fail(place, now, FREE_BY_ADDRESS, LONGEST_BY_ADDRESS)

    def undecided(self, attempt: Attempt) -> None:
        """End *attempt*: it could not be checked, which is no failure."""
        if not attempt.counts:
            return
        for record in (
            self._credentials.get(attempt.credential),
            self._addresses.get(attempt.address),
        ):
            if record is not None:  # thrown away meanwhile, if there were very many
                record.pending = max(0, record.pending - 1)


def _find(records: OrderedDict[_K, _Record], key: _K, now: float) -> _Record:
    record = records.get(key)
    if record is None or (now - record.last > FORGET_SECONDS and not record.pending):
        record = records[key] = _Record(last=now)
    records.move_to_end(key)
    if len(records) > ENTRIES:
        records.popitem(last=False)
    return record


def _fail(record: _Record, now: float, free: int, longest: float) -> None:
    record.failures += 1
    record.last = now
    beyond = record.failures - free
    if beyond >= 0:
        record.blocked_until = now + min(longest, 2.0 ** min(beyond, 16))


def _network(address: str) -> str:
    """Return the address, for IPv6 its /64, which one customer owns whole."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
