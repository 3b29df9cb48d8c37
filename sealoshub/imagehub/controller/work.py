"""What the controller's threads do: take a key, look at it, say when to look again."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from sealoshub.errors import SealosHubError
from sealoshub.imagehub.controller import (
    content,
    datapack,
    image,
    login,
    organization,
    repository,
)
from sealoshub.imagehub.controller.metrics import CONTENT
from sealoshub.imagehub.controller.wiring import Key, add_all, sweep
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    import threading

    from sealoshub.imagehub.controller.content import Registry
    from sealoshub.imagehub.controller.metrics import Outcome
    from sealoshub.imagehub.controller.pace import Pace
    from sealoshub.imagehub.controller.queue import KeyQueue
    from sealoshub.imagehub.controller.world import World

SWEEP_RETRY: Final = 5.0  # seconds until a registry that does not answer is asked again
RESYNC_SECONDS: Final = 3600.0  # everything is looked at again, should a change have been missed
LOOK_AGAIN: Final = 0.2  # seconds
DRAIN_POLL: Final = 0.1  # seconds

_log = logging.getLogger("sealoshub.controller")


def work(world: World, queue: KeyQueue[Key], idle: bool) -> None:  # noqa: FBT001  # a thread's
    """Make what the keys of *queue* name true until it is closed.

    Args:
        world: What is seen.
        queue: Where keys come from.
        idle: Whether to take what has not changed, too.
    """
    while (key := queue.get(idle=idle)) is not None:
        began = time.monotonic()
        outcome: Outcome = "done"
        again = None
        try:
            again = _reconcile(world, key)
        except ConflictError as exc:
            outcome = "conflict"
            _log.info("%s %s: %s", *key, exc.message)  # somebody was faster; look again
            queue.failed(key)
        except SealosHubError as exc:
            outcome = "failed"
            _log.warning("%s %s: %s; again in %.2f s", *key, exc.message, queue.failed(key))
        except Exception:  # noqa: BLE001  # a defect with one object must not stop the work on all others
            outcome = "defect"
            _log.exception("%s %s: again in %.2f s", *key, queue.failed(key))
        else:
            queue.done(key)
        world.metrics.reconciled(key[0], outcome, time.monotonic() - began)
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


def look(  # noqa: PLR0913, PLR0917  # a thread's
    world: World,
    registry: Registry,
    looks: KeyQueue[str],
    queue: KeyQueue[Key],
    pace: Pace,
    idle: bool,  # noqa: FBT001  # of the arguments of a thread
) -> None:
    """Ask the registry about the repositories of *looks* until it is closed.

    Args:
        world: What is seen.
        registry: Who is asked.
        looks: Where `org/repo` come from.
        queue: Where the keys go that this concerns.
        pace: Of requests about what has not changed.
        idle: Whether to take what has not changed, too.
    """
    while (path := looks.get(idle=idle)) is not None:
        began = time.monotonic()
        turns = _Turns(world, looks, pace, path)
        outcome: Outcome = "done"
        try:
            with registry.slowly(turns):
                for key in content.reconcile(world, registry, path):
                    if key[0] == content.AGAIN:
                        looks.add_after(path, LOOK_AGAIN)
                    else:
                        queue.add(key)
        except SealosHubError as exc:
            outcome = "failed"
            _log.warning(
                "content of %s: %s; again in %.2f s", path, exc.message, looks.failed(path)
            )
        except Exception:  # noqa: BLE001  # as above
            outcome = "defect"
            _log.exception("content of %s: again in %.2f s", path, looks.failed(path))
        else:
            looks.done(path)
        if outcome != "done":
            queue.add(("Repository", path))  # for what was written before it failed
        seconds = time.monotonic() - began - turns.waited
        world.metrics.reconciled(CONTENT, outcome, seconds)


class _Turns:
    """Waits before each request about one repository, as long as nothing changes there.

    It is a class because the time that this takes is not the registry's.
    """

    def __init__(self, world: World, looks: KeyQueue[str], pace: Pace, path: str) -> None:
        self._metrics = world.metrics
        self._is_urgent = partial(looks.is_urgent, path)
        self._pace = pace
        self.waited = 0.0  # seconds

    def __call__(self) -> None:
        if not self._is_urgent():
            self._metrics.asked()
            self.waited += self._pace.wait(self._is_urgent)


def sweep_often(  # noqa: PLR0913, PLR0917  # a thread's
    world: World,
    registry: Registry,
    looks: KeyQueue[str],
    pace: Pace,
    over: threading.Event,
    seconds: float,
) -> None:
    """Look at everything, at the start too: the notices of a registry do not outlive it.

    Args:
        world: What is seen.
        registry: Who is asked.
        looks: Where the repositories go.
        pace: Of requests.
        over: Ends it.
        seconds: Between two sweeps.
    """

    def turn() -> None:
        world.metrics.asked()
        pace.wait()

    wait = 0.0
    while not over.wait(wait):
        began = time.monotonic()
        try:
            with registry.slowly(turn):
                count = sweep(world, registry, looks, over)
        except SealosHubError as exc:
            wait = min(SWEEP_RETRY, seconds)
            world.metrics.not_swept()
            _log.warning("the registry cannot be swept: %s; again in %.1f s", exc.message, wait)
        except Exception:  # noqa: BLE001  # as above
            wait = min(SWEEP_RETRY, seconds)
            world.metrics.not_swept()
            _log.exception("the registry cannot be swept; again in %.1f s", wait)
        else:
            if over.is_set():
                return
            wait = seconds
            took = time.monotonic() - began
            world.metrics.swept(world.now().timestamp(), took)
            _log.info("%d repositories are swept in %.1f s", count, took)


def resync(world: World, queue: KeyQueue[Key], over: threading.Event) -> None:
    """Look at all objects from time to time until *over*; say when the first look is done."""
    began = time.monotonic()
    while len(queue):
        if over.wait(DRAIN_POLL):
            return
    _log.info("everything is looked at in %.1f s", time.monotonic() - began)
    while not over.wait(RESYNC_SECONDS):
        add_all(world, queue)
