"""Run the controller: informers fill the queue, workers empty it, a lease says who may."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from sealoshub.imagehub import names
from sealoshub.imagehub.controller import health, kinds, metrics, work
from sealoshub.imagehub.controller.lease import Leader, Timing
from sealoshub.imagehub.controller.pace import RATE, Pace
from sealoshub.imagehub.controller.queue import KeyQueue
from sealoshub.imagehub.controller.wiring import Key, connect
from sealoshub.imagehub.controller.world import open_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.imagehub.controller.content import Registry
    from sealoshub.imagehub.controller.world import World
    from sealoshub.kube.cluster import Cluster

# Of each kind of worker some are there for what just changed alone, so that a look at everything
# keeps nothing waiting. Those that ask the registry are others than those that do not, so that a
# slow registry keeps nobody's rights waiting.
LOOKERS: Final = (True, True, False, False)  # whether it takes what is swept, too
# The API server takes 300 writes a second in parallel; more workers do not help.
WORKERS: Final = (True, True, True, False)  # whether it takes what has not changed, too
JOIN_SECONDS: Final = 0.1

_log = logging.getLogger("sealoshub.controller")


def run(  # noqa: PLR0913  # what a program decides, given by keyword
    cluster: Cluster,
    *,
    stop: threading.Event,
    registry: Registry | None = None,
    identity: str = "",
    leader_election: bool = False,
    health_port: int | None = None,
    health_host: str = "localhost",
    timing: Timing | None = None,
    sweep_seconds: float = work.RESYNC_SECONDS,
    sweep_rate: float = RATE,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Keep the cluster true to the hub's resources until *stop*.

    It may be killed at any moment: nothing is kept outside of the cluster, and every step is done
    again if it has to be.

    Args:
        cluster: With the rights of `imagehub:controller`.
        stop: Ends it; all threads are gone when this returns.
        registry: Whose content the Images are; None leaves them as people wrote them.
        identity: Who this replica is, for the lease.
        leader_election: Work only while holding the Lease `imagehub-controller`.
        health_port: Serve `/healthz`, `/readyz` and `/metrics` here; 0 chooses a port, None serves
            nothing.
        health_host: Where to listen for that.
        timing: Of the lease.
        sweep_seconds: Between two looks at all that the registry holds.
        sweep_rate: Requests a second that these send to the registry; 0: as many as it answers.
        now: The time, for conditions and for logins that end.

    Raises:
        UnavailableError: The lease was lost; another replica works now.
        UsageError: The health port is taken.
    """
    numbers = metrics.Metrics()
    cluster = cluster.counted_by(numbers.wrote)
    world = open_world(cluster.as_manager(kinds.FIELD_MANAGER), now, registry, numbers)
    queue: KeyQueue[Key] = KeyQueue()
    looks: KeyQueue[str] = KeyQueue()
    connect(world, queue, looks)
    over = threading.Event()  # of our threads; *stop* is the caller's

    began = time.monotonic()

    def ready() -> bool:
        return all(informer.synced.is_set() for informer in world.informers())

    with ExitStack() as stack:
        if health_port is not None:
            numbers_now = partial(metrics.text, world, queue, looks)
            port = stack.enter_context(health.serving(health_host, health_port, ready, numbers_now))
            _log.info("health at http://%s:%d", health_host, port)
        threads = [
            threading.Thread(
                target=informer.run, args=(over,), name=f"watch-{informer.kind}", daemon=True
            )
            for informer in world.informers()
        ]
        for thread in threads:
            thread.start()
        stack.callback(_join, cluster, threads, over, (queue, looks))
        leader = None
        if leader_election:
            leader = Leader(cluster, names.HUB_NAMESPACE, identity, timing=timing or Timing())
            if not leader.acquire(stop):
                return
            stack.callback(leader.release)
        numbers.lead(works=True)
        stack.callback(numbers.lead, works=False)
        if not _is_read(ready, stop):
            return
        seconds = time.monotonic() - began
        _log.info("the cluster is read in %.1f s; %d keys to look at", seconds, len(queue))
        pace = Pace(sweep_rate, over.wait)
        for target, arguments in _jobs(world, (queue, looks), over, pace, sweep_seconds):
            thread = threading.Thread(target=target, args=arguments, daemon=True)
            thread.start()
            threads.append(thread)
        if leader is not None:
            leader.hold(stop)
        else:
            stop.wait()


def _is_read(ready: Callable[[], bool], stop: threading.Event) -> bool:
    """Wait until every copy has been made; False if *stop* came first."""
    while not ready():
        if stop.wait(0.02):
            return False
    return True


def _jobs(
    world: World,
    queues: tuple[KeyQueue[Key], KeyQueue[str]],
    over: threading.Event,
    pace: Pace,
    sweep_seconds: float,
) -> list[tuple[Callable[..., None], tuple[object, ...]]]:
    """Return what threads do: a function and its arguments for each."""
    queue, looks = queues
    jobs: list[tuple[Callable[..., None], tuple[object, ...]]] = [
        *((work.work, (world, queue, idle)) for idle in WORKERS),
        (work.resync, (world, queue, over)),
    ]
    if world.registry is not None:
        asked = world.registry
        jobs += [(work.look, (world, asked, looks, queue, pace, idle)) for idle in LOOKERS]
        jobs.append((work.sweep_often, (world, asked, looks, pace, over, sweep_seconds)))
    return jobs


def _join(
    cluster: Cluster,
    threads: list[threading.Thread],
    over: threading.Event,
    queues: tuple[KeyQueue[Key], KeyQueue[str]],
) -> None:
    over.set()
    for queue in queues:
        queue.close()
    while any(thread.is_alive() for thread in threads):
        # Again and again: a watch may have been opened a moment after the last time.
        cluster.stop_watches()
        for thread in threads:
            thread.join(JOIN_SECONDS)
