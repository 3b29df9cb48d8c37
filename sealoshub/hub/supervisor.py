"""The supervisor: starts the parts in order, keeps them alive, stops them in order."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import signal
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from sealoshub.authserver import keys, rotation
from sealoshub.errors import SealosHubError
from sealoshub.hub import access as api_access
from sealoshub.hub import maintenance, parts
from sealoshub.hub import settings as hub_settings
from sealoshub.hub import state as hub_state
from sealoshub.hub.api import pki
from sealoshub.hub.child import Child
from sealoshub.hub.state import HubState, PartState
from sealoshub.hub.users import admin_credential, make_first_user
from sealoshub.imagehub import install
from sealoshub.kube.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sealoshub.hub.access import ApiAccess
    from sealoshub.hub.child import Part
    from sealoshub.hub.paths import HubPaths
    from sealoshub.hub.settings import Settings
    from sealoshub.hub.state import Phase

START_SECONDS: Final = 60.0  # a part that is not healthy by then never will be
TICK: Final = 0.1  # seconds between two looks at the processes
PROBE_EVERY: Final = 1.0  # seconds between two questions; each part is asked in its turn
LOCK_SECONDS: Final = 2.0  # `hub status` holds the lock for an instant to see whether it is free
PRUNE_EVERY: Final = 60.0  # seconds between two looks for keys whose last token has ended
RETRY_RENEWAL: Final = 30.0  # seconds until tokens that could not be renewed are tried again


class Supervisor:
    """Run one hub until it is told to stop.

    It is a class because the signal handlers, the loop and the state file share what runs.

    Args:
        paths: Folder of the hub.
        settings: What to run.
        first_user: Name of the user to make in the embedded API; None for none.
        on_progress: Receives one line for every step.
    """

    def __init__(
        self,
        paths: HubPaths,
        settings: Settings,
        first_user: str | None,
        on_progress: Callable[[str], None],
    ) -> None:
        self._paths = paths
        self._settings = settings
        self._first_user = first_user
        self._on_progress = on_progress
        self._children: list[Child] = []
        self._stop = threading.Event()
        self._new_keys = threading.Event()
        self._read_only = False
        self._state = HubState("starting", os.getpid(), host=settings.host)

    def run(self, on_ready: Callable[[HubState], None]) -> None:
        """Start everything, call *on_ready* once, return after a signal to stop.

        Raises:
            SealosHubError: A part cannot be started or keeps dying, or another supervisor runs.
        """
        lock = FileLock(self._paths.lock)
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout as exc:
            raise SealosHubError(f"a hub is running already in {self._paths.data}") from exc
        try:
            with _signals(self._stop, self._new_keys):
                self._run(on_ready)
            self._publish("stopped", "")
        except SealosHubError as exc:
            self._publish("failed", exc.message, exc.hint)
            raise
        except BaseException:
            self._publish("failed", "the supervisor ended unexpectedly")
            raise
        finally:
            lock.release()

    def _run(self, on_ready: Callable[[HubState], None]) -> None:
        try:
            with contextlib.ExitStack() as stack:
                cluster, access = self._bring_up(stack)
                if self._stop.is_set():
                    return
                self._publish("ready", "")
                on_ready(self._state)
                self._watch(cluster, access)
        finally:
            self._stop_children()

    def _bring_up(self, stack: contextlib.ExitStack) -> tuple[Cluster, ApiAccess]:
        settings, paths, env = self._settings, self._paths, parts.environment()
        pki.ensure_pki(paths.pki, hostnames=[settings.hostname])
        keys.ensure(paths.keys)
        rotation.prune(paths.keys, datetime.now(UTC))
        rotation.fill(paths.keys)  # before the registry starts, which learns them then
        if settings.embedded:
            self._start(parts.api(settings, paths, env))
        credential = admin_credential(paths, settings)
        cluster = stack.enter_context(Cluster.open(credential))
        self._publish("starting", "installing resources, policies and roles")
        install.install(cluster, self._on_progress, private_names=settings.private_names)
        access = api_access.prepare(cluster, credential, paths)
        health = hub_settings.free_port()
        controller = Child(
            parts.controller(settings, paths, env, access, health), paths.log("controller")
        )
        others = [
            controller,
            Child(parts.token_server(settings, paths, env, access), paths.log("auth-server")),
            Child(self._registry(env), paths.log("registry")),
        ]
        for child in others:  # side by side: most of a start is Python importing modules
            self._children.append(child)
            child.start()
        for child in others:
            self._await(child)
        user_file = None
        if settings.embedded and self._first_user is not None:
            self._publish("starting", f"making the user {self._first_user}")
            user_file = make_first_user(paths, settings, self._first_user)
        self._state = dataclasses.replace(
            self._state,
            api=access.server,
            admin_kubeconfig=settings.kubeconfig or str(paths.kubeconfig("admin")),
            user=self._first_user if user_file else None,
            user_kubeconfig=str(user_file) if user_file else None,
        )
        return cluster, access

    def _start(self, part: Part) -> None:
        child = Child(part, self._paths.log(part.name))
        self._children.append(child)
        child.start()
        self._await(child)

    def _await(self, child: Child) -> None:
        """Wait until *child* is healthy."""
        name = child.part.name
        self._publish("starting", f"starting the {name}")
        self._on_progress(f"starting the {name}")
        deadline = time.monotonic() + START_SECONDS
        problem: str | None = "not asked yet"
        while not self._stop.is_set():
            if child.exit_code() is not None:
                raise child.failure(f"ended with exit code {child.exit_code()} while starting")
            problem = child.part.ready()
            if problem is None:
                return
            if time.monotonic() > deadline:
                raise child.failure(f"is not healthy after {START_SECONDS:.0f} s ({problem})")
            self._stop.wait(TICK)

    def _watch(self, cluster: Cluster, access: ApiAccess) -> None:
        """Restart what dies and renew the tokens, until told to stop."""
        probed = itertools.cycle(self._children)
        probe_at = prune_at = 0.0
        while not self._stop.wait(TICK):
            now = time.monotonic()
            changed = [child.poll(now) for child in self._children]
            if now >= probe_at:
                probe_at = now + PROBE_EVERY
                changed.append(next(probed).probe())
            if any(changed):
                ill = [f"{c.part.name}: {c.trouble}" for c in self._children if c.trouble]
                self._publish("degraded" if ill else "ready", "; ".join(ill))
            held = maintenance.is_held(self._paths)
            if self._new_keys.is_set() or held is not self._read_only:
                self._new_keys.clear()
                self._restart_registry()
            if now >= prune_at:
                prune_at = now + PRUNE_EVERY
                self._prune_keys()
            if now >= access.renew_at:
                access = self._renew(cluster, access, now)

    def _registry(self, env: Mapping[str, str]) -> Part:
        """Return the registry as it has to be now: read-only while its storage is worked on."""
        self._read_only = maintenance.is_held(self._paths)
        return parts.registry(self._settings, self._paths, env, read_only=self._read_only)

    def _restart_registry(self) -> None:
        """Let the registry learn what it does only at its start: keys, and whether it may write.

        It is asked to end, so that it answers what it has begun; for a moment nobody listens.
        """
        child = next(child for child in self._children if child.part.name == "registry")
        child.terminate()
        child.reap()
        child.part = self._registry(parts.environment())
        child.start()
        self._await(child)
        self._publish("ready", "")

    def _prune_keys(self) -> None:
        try:
            rotation.prune(self._paths.keys, datetime.now(UTC))
        except SealosHubError as exc:
            self._on_progress(f"cannot remove old keys: {exc.message}")

    def _renew(self, cluster: Cluster, access: ApiAccess, now: float) -> ApiAccess:
        try:
            return api_access.renew(cluster, access)
        except SealosHubError as exc:
            self._on_progress(f"cannot renew the tokens of the parts yet: {exc.message}")
            return api_access.postponed(access, now + RETRY_RENEWAL)

    def _stop_children(self) -> None:
        """Stop the parts, last started first, so that nobody talks to a part that is gone."""
        for child in reversed(self._children):
            child.terminate()
            child.reap()

    def _publish(self, phase: Phase, note: str, hint: str | None = None) -> None:
        rows = tuple(
            PartState(
                name=child.part.name,
                state=_word(child, read_only=self._read_only),
                pid=child.pid,
                restarts=child.restarts,
                url=child.part.url,
                log=str(child.log),
            )
            for child in self._children
        )
        self._state = dataclasses.replace(
            self._state, phase=phase, note=note, hint=hint, parts=rows
        )
        hub_state.write(self._paths, self._state)


def _word(child: Child, *, read_only: bool) -> str:
    if child.pid is None:
        return "restarting"
    if child.trouble:
        return "unhealthy"
    return "read-only" if read_only and child.part.name == "registry" else "running"


@contextlib.contextmanager
def _signals(stop: threading.Event, new_keys: threading.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set *stop* inside the block, and SIGUSR1 *new_keys*."""
    events = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGUSR1: new_keys}
    before = {
        name: signal.signal(name, lambda *_, event=event: event.set())
        for name, event in events.items()
    }
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
