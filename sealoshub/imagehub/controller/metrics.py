"""Numbers for Prometheus: what the controller does, what waits, what it knows.

:data:`FAMILIES` is all there is; `docs/reference/controller.md` has the same list, and a test
compares the two. Labels say what kind of thing, never which one: nobody's name is in them, and
there are as many in a hub of 100,000 images as in an empty one.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Final, Literal, get_args

from sealoshub import exposition
from sealoshub.exposition import Family
from sealoshub.imagehub.controller.queue import Lane

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealoshub.imagehub.controller.queue import KeyQueue
    from sealoshub.imagehub.controller.world import World

Outcome = Literal["done", "conflict", "failed", "defect"]
Note = Literal["received", "refused", "dropped"]
Swept = Literal["done", "failed"]

CONTENT: Final = "Content"  # the kind of what asks the registry about one repository
KINDS: Final = ("Organization", "Repository", "Image", "DataPack", "Login", CONTENT)
BUCKETS: Final = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)  # seconds

_PREFIX: Final = "sealoshub_controller_"
_DEPTH: Final = f"{_PREFIX}queue_depth"
_RECONCILES: Final = f"{_PREFIX}reconciles_total"
_SECONDS: Final = f"{_PREFIX}reconcile_seconds"
_NOTES: Final = f"{_PREFIX}notifications_total"
_WRITES: Final = f"{_PREFIX}writes_total"
_SWEEPS: Final = f"{_PREFIX}sweeps_total"
_SWEPT_AT: Final = f"{_PREFIX}sweep_last_success_timestamp_seconds"
_SWEEP_SECONDS: Final = f"{_PREFIX}sweep_last_duration_seconds"
_ASKED: Final = f"{_PREFIX}sweep_requests_total"
_DIFFERENCES: Final = f"{_PREFIX}sweep_differences_total"
_LEADER: Final = f"{_PREFIX}leader"
_OBJECTS: Final = f"{_PREFIX}objects"

FAMILIES: Final[Mapping[str, Family]] = {
    _DEPTH: Family("gauge", "Keys that wait to be looked at.", ("lane", "kind")),
    _RECONCILES: Family("counter", "Keys that were looked at.", ("kind", "outcome")),
    _SECONDS: Family("histogram", "Seconds that looking at a key took.", ("kind", "le")),
    _NOTES: Family("counter", "Notifications of pushes and deletions.", ("result",)),
    _WRITES: Family("counter", "Writes sent to the API server.", ("kind", "verb")),
    _SWEEPS: Family("counter", "Sweeps of the registry.", ("outcome",)),
    _SWEPT_AT: Family("gauge", "When the last sweep came to its end; 0 before that."),
    _SWEEP_SECONDS: Family("gauge", "Seconds that the last sweep took."),
    _ASKED: Family("counter", "Requests that sweeps sent to the registry."),
    _DIFFERENCES: Family("counter", "Tags that a sweep found to differ from their Images."),
    _LEADER: Family("gauge", "Whether this replica is the one that works."),
    _OBJECTS: Family("gauge", "Objects that the controller keeps a copy of.", ("kind",)),
    exposition.CPU: Family("counter", "CPU seconds."),
    exposition.MEMORY: Family("gauge", "Resident memory."),
}
# What there is from the beginning, so that the first of each shows as a change.
_SERIES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    _RECONCILES: tuple(product(KINDS, get_args(Outcome))),
    _NOTES: tuple(product(get_args(Note))),
    _SWEEPS: tuple(product(get_args(Swept))),
}


class Metrics:
    """What has happened so far. Threads may share it.

    It is a class because the numbers and the lock that threads take turns with belong together.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, ...]] = Counter()  # by name and values of the labels
        self._seconds = {kind: [0] * (len(BUCKETS) + 1) for kind in KINDS}
        self._sums = dict.fromkeys(KINDS, 0.0)
        self._values = {_LEADER: 0.0, _SWEPT_AT: 0.0, _SWEEP_SECONDS: 0.0}

    def reconciled(self, kind: str, outcome: Outcome, seconds: float) -> None:
        """Count one look at a key of *kind*, and how long it took."""
        with self._lock:
            self._counts[_RECONCILES, kind, outcome] += 1
            self._seconds[kind][bisect_left(BUCKETS, seconds)] += 1
            self._sums[kind] += seconds

    def noted(self, result: Note) -> None:
        """Count one notification."""
        self._count(_NOTES, result)

    def wrote(self, kind: str, verb: str) -> None:
        """Count one write to the API server."""
        self._count(_WRITES, kind, verb)

    def asked(self) -> None:
        """Count one request of a sweep to the registry."""
        self._count(_ASKED)

    def differed(self, count: int) -> None:
        """Count tags that a sweep found to differ."""
        self._count(_DIFFERENCES, count=count)

    def swept(self, at: float, seconds: float) -> None:
        """Count a sweep that came to its end.

        Args:
            at: When it did, in seconds since 1970.
            seconds: How long it took.
        """
        self._count(_SWEEPS, "done")
        with self._lock:
            self._values |= {_SWEPT_AT: at, _SWEEP_SECONDS: seconds}

    def not_swept(self) -> None:
        """Count a sweep that failed."""
        self._count(_SWEEPS, "failed")

    def lead(self, *, works: bool) -> None:
        """Note whether this replica is the one that works."""
        with self._lock:
            self._values[_LEADER] = float(works)

    def count(self, name: str, *labels: str) -> int:
        """Return how often something was counted."""
        with self._lock:
            return self._counts[name, *labels]

    def written(self) -> dict[tuple[str, str], int]:
        """Return how often each verb was sent for each kind."""
        with self._lock:
            return {
                (labels[0], labels[1]): count
                for (name, *labels), count in self._counts.items()
                if name == _WRITES
            }

    def value(self, name: str) -> float:
        """Return a number that is not counted."""
        with self._lock:
            return self._values[name]

    def histogram(self, kind: str) -> tuple[list[int], float]:
        """Return how many looks at *kind* each bucket has, and their seconds altogether."""
        with self._lock:
            return list(self._seconds[kind]), self._sums[kind]

    def _count(self, *key: str, count: int = 1) -> None:
        with self._lock:
            self._counts[key] += count


def text(world: World, queue: KeyQueue[tuple[str, str]], looks: KeyQueue[str]) -> str:
    """Return the exposition.

    Args:
        world: Whose copies are counted, and whose metrics these are.
        queue: Keys of objects.
        looks: Paths of repositories that the registry is to be asked about.
    """
    lines: list[str] = []
    for name, family in FAMILIES.items():
        lines += exposition.head(name, family)
        if name == _DEPTH:
            lines += _depths(queue, looks)
        elif name == _SECONDS:
            lines += _histograms(world.metrics)
        else:
            lines += (exposition.sample(name, value, labels) for value, labels in _of(name, world))
    return "\n".join(lines) + "\n"


def _of(name: str, world: World) -> Iterator[tuple[float, dict[str, str]]]:
    """Yield value and labels of each sample of one metric."""
    metrics = world.metrics
    if name in _SERIES:
        for values in _SERIES[name]:
            yield metrics.count(name, *values), _labels(name, values)
    elif name == _WRITES:
        # Those that there were: of all that is possible most never are.
        for values, count in sorted(metrics.written().items()):
            yield count, _labels(name, values)
    elif name == _OBJECTS:
        for informer in world.informers():
            yield len(informer), _labels(name, (informer.kind,))
    else:
        yield _alone(name, metrics), {}


def _alone(name: str, metrics: Metrics) -> float:
    """Return a number without labels."""
    if name == exposition.CPU:
        return exposition.cpu_seconds()
    if name == exposition.MEMORY:
        return exposition.resident_bytes()
    return metrics.count(name) if FAMILIES[name].type == "counter" else metrics.value(name)


def _labels(name: str, values: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(FAMILIES[name].labels, values, strict=True))


def _depths(queue: KeyQueue[tuple[str, str]], looks: KeyQueue[str]) -> Iterator[str]:
    found = queue.depth(lambda key: key[0]) + looks.depth(lambda _: CONTENT)
    for lane in get_args(Lane):
        for kind in KINDS:
            yield exposition.sample(_DEPTH, found[lane, kind], _labels(_DEPTH, (lane, kind)))


def _histograms(metrics: Metrics) -> Iterator[str]:
    for kind in KINDS:
        counts, total = metrics.histogram(kind)
        yield from exposition.histogram(_SECONDS, BUCKETS, counts, total, {"kind": kind})
