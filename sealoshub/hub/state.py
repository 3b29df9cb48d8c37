"""What a running hub says of itself: one small file that the supervisor alone writes."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from sealoshub.hub.paths import write_private

if TYPE_CHECKING:
    from sealoshub.hub.paths import HubPaths

Phase = Literal["starting", "ready", "degraded", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class PartState:
    """One part as the supervisor sees it.

    Args:
        name: Name of the part.
        state: `running`, `read-only` (the registry, while garbage is collected), `unhealthy` (it
            runs and does not answer as it should) or `restarting`.
        pid: Process id; None while it does not run.
        restarts: How often it died since it last ran well.
        url: Where it listens; empty if nowhere.
        log: Path of its log file.
    """

    name: str
    state: str
    pid: int | None
    restarts: int
    url: str
    log: str


@dataclass(frozen=True, slots=True)
class HubState:
    """One hub as the supervisor sees it.

    Args:
        phase: `starting` | `ready` | `degraded` (a part is not well) | `failed` | `stopped`.
        pid: Process id of the supervisor.
        host: `name:port` of the registry.
        api: URL of the API server.
        admin_kubeconfig: Path of a kubeconfig with all rights.
        user: Name of the first user; None with an existing cluster.
        user_kubeconfig: Path of that user's kubeconfig.
        note: What is being done now, or why the hub failed.
        hint: What to do about a failure.
        parts: The parts in the order of their start.
    """

    phase: Phase
    pid: int
    host: str = ""
    api: str = ""
    admin_kubeconfig: str = ""
    user: str | None = None
    user_kubeconfig: str | None = None
    note: str = ""
    hint: str | None = None
    parts: tuple[PartState, ...] = ()


def write(paths: HubPaths, state: HubState) -> None:
    """Replace the state file."""
    write_private(paths.state, json.dumps(dataclasses.asdict(state), indent=2) + "\n")


def read(paths: HubPaths) -> HubState | None:
    """Return the last state that was written; None if there is none that can be read."""
    try:
        raw: dict[str, Any] = json.loads(paths.state.read_text())
        parts = tuple(PartState(**part) for part in raw.pop("parts"))
        return HubState(**raw, parts=parts)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def is_running(paths: HubPaths) -> bool:
    """Tell whether a supervisor holds the lock of this hub.

    The lock, not the process id, is the proof: ids are given again, locks end with their holder.
    """
    if not paths.run.is_dir():
        return False
    lock = FileLock(paths.lock)
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
