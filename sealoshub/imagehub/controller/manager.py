"""Run the controller: informers fill the queue, workers empty it, a lease says who may."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sealoshub.errors import SealosHubError
from sealoshub.imagehub import names
from sealoshub.imagehub.controller import (
    content,
    datapack,
    health,
    image,
    kinds,
    login,
    organization,
    repository,
)
from sealoshub.imagehub.controller.lease import Leader, Timing
from sealoshub.imagehub.controller.queue import KeyQueue
from sealoshub.imagehub.controller.wiring import Key, add_all, connect, sweep
from sealoshub.imagehub.controller.world import open_world
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.imagehub.controller.content import Registry
    from sealoshub.imagehub.controller.world import World
    from sealoshub.kube.cluster import Cluster

# Of each kind of worker some are there for what just changed alone, so that a look at everything
# keeps nothing waiting. Those that ask the registry are others than those that do not, so that a
# slow registry keeps nobody's rights waiting.
LOOKERS: Final = (True, True, False, False)  # whether it takes what is swept, too
SWEEP_RETRY: Final = 5.0  # seconds until a registry that does not answer is asked again
# The API server takes 300 writes a second in parallel; more workers do not help.
WORKERS: Final = (True, True, True, False)  # whether it takes what has not changed, too
RESYNC_SECONDS: Final = 3600.0  # everything is looked at again, should a change have been missed
LOOK_AGAIN: Final = 0.2  # seconds
JOIN_SECONDS: Final = 0.1
DRAIN_POLL: Final = 0.1  # seconds

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
    sweep_seconds: float = RESYNC_SECONDS,
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
        health_port: Serve `/healthz` and `/readyz` here; 0 chooses a port, None serves nothing.
        health_host: Where to listen for that.
        timing: Of the lease.
        sweep_seconds: Between two looks at all that the registry holds.
        now: The time, for conditions and for logins that end.

    Raises:
        UnavailableError: The lease was lost; another replica works now.
        UsageError: The health port is taken.
    """
    world = open_world(cluster.as_manager(kinds.FIELD_MANAGER), now, registry)
    queue: KeyQueue[Key] = KeyQueue()
    looks: KeyQueue[str] = KeyQueue()
    connect(world, queue, looks)
    over = threading.Event()  # of our threads; *stop* is the caller's

    began = time.monotonic()

    def ready() -> bool:
        return all(informer.synced.is_set() for informer in world.informers())

    with ExitStack() as stack:
        if health_port is not None:
            port = stack.enter_context(health.serving(health_host, health_port, ready))
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
        if not _is_read(ready, stop):
            return
        seconds = time.monotonic() - began
        _log.info("the cluster is read in %.1f s; %d keys to look at", seconds, len(queue))
        for target, arguments in _jobs(world, queue, looks, over, sweep_seconds):
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
    queue: KeyQueue[Key],
    looks: KeyQueue[str],
    over: threading.Event,
    sweep_seconds: float,
) -> list[tuple[Callable[..., None], tuple[object, ...]]]:
    """Return what threads do: a function and its arguments for each."""
    jobs: list[tuple[Callable[..., None], tuple[object, ...]]] = [
        *((_work, (world, queue, idle)) for idle in WORKERS),
        (_resync, (world, queue, over)),
    ]
    if world.registry is not None:
        jobs += [(_look, (world, world.registry, looks, queue, idle)) for idle in LOOKERS]
        jobs.append((_sweep, (world, world.registry, looks, over, sweep_seconds)))
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


def _work(world: World, queue: KeyQueue[Key], idle: bool) -> None:  # noqa: FBT001  # a thread's
    while (key := queue.get(idle=idle)) is not None:
        try:
            again = _reconcile(world, key)
        except ConflictError as exc:
            _log.info("%s %s: %s", *key, exc.message)  # somebody was faster; look again
            queue.failed(key)
        except SealosHubError as exc:
            _log.warning("%s %s: %s; again in %.2f s", *key, exc.message, queue.failed(key))
        except Exception:  # noqa: BLE001  # a defect with one object must not stop the work on all others
            _log.exception("%s %s: again in %.2f s", *key, queue.failed(key))
        else:
            queue.done(key)
            if again is not None:
                queue.add_after(key, again)


def _reconcile(world: World, key: Key) -> float | None:
    kind, name = key
    if kind == "Organization":
        organization.reconcile(world, name)
    elif kind == "Repository":
        repository.reconcile(world, name)
    elif kind == "Image":
        image.reconcile(world, name)
    elif kind == "DataPack":
        return datapack.reconcile(world, name)
    else:
        return login.reconcile(world, name)
    return None


def _look(
    world: World,
    registry: Registry,
    looks: KeyQueue[str],
    queue: KeyQueue[Key],
    idle: bool,  # noqa: FBT001  # of the arguments of a thread
) -> None:
    while (path := looks.get(idle=idle)) is not None:
        try:
            for key in content.reconcile(world, registry, path):
                if key[0] == content.AGAIN:
                    looks.add_after(path, LOOK_AGAIN)
                else:
                    queue.add(key)
        except SealosHubError as exc:
            _log.warning(
                "content of %s: %s; again in %.2f s", path, exc.message, looks.failed(path)
            )
        except Exception:  # noqa: BLE001  # as above
            _log.exception("content of %s: again in %.2f s", path, looks.failed(path))
        else:
            looks.done(path)


def _sweep(
    world: World,
    registry: Registry,
    looks: KeyQueue[str],
    over: threading.Event,
    seconds: float,
) -> None:
    """Look at everything, at the start too: the notices of a registry do not outlive it."""
    wait = 0.0
    while not over.wait(wait):
        began = time.monotonic()
        try:
            count = sweep(world, registry, looks, over)
        except SealosHubError as exc:
            wait = min(SWEEP_RETRY, seconds)
            _log.warning("the registry cannot be swept: %s; again in %.1f s", exc.message, wait)
        else:
            wait = seconds
            _log.info("%d repositories are swept in %.1f s", count, time.monotonic() - began)


def _resync(world: World, queue: KeyQueue[Key], over: threading.Event) -> None:
    began = time.monotonic()
    while len(queue):
        if over.wait(DRAIN_POLL):
            return
    _log.info("everything is looked at in %.1f s", time.monotonic() - began)
    while not over.wait(RESYNC_SECONDS):
        add_all(world, queue)
