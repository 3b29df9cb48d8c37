"""Logins that ended are deleted. The token server does not accept them anyway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sealoshub.imagehub import names
from sealoshub.imagehub.controller.world import remove

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.imagehub.controller.world import World

# The token server writes the last use at most once an hour.
IDLE_SLACK: Final = timedelta(hours=2)
LONGEST: Final = timedelta(hours=6)  # between two looks at one login


def end_of(spec: Mapping[str, Any], status: Mapping[str, Any]) -> datetime | None:
    """Return when a login ends; None if that cannot be read, and then nothing is deleted."""
    ends = [_time(spec.get("expires"))]
    idle = spec.get("idleSeconds")
    used = _time(status.get("lastUsed")) or _time(spec.get("created"))
    if isinstance(idle, int) and idle > 0 and used is not None:
        ends.append(used + timedelta(seconds=min(idle, 10**10)) + IDLE_SLACK)
    known = [end for end in ends if end is not None]
    return min(known) if known else None


def reconcile(world: World, name: str) -> float | None:
    """Delete the Login *name* if it ended; else return in how many seconds to look again."""
    login = world.logins.get(name, names.HUB_NAMESPACE)
    if login is None:
        return None
    end = end_of(login.get("spec") or {}, login.get("status") or {})
    if end is None:
        return None
    left = end - world.now()
    if left > timedelta():
        return min(left, LONGEST).total_seconds()
    remove(world.cluster, login)
    return None


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
