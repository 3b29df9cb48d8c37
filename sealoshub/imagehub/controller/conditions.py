"""Conditions and statuses: written only when they say something new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealoshub.kube import Object

MAX_LISTED: Final = 1000  # entries of a list in a status; an object in etcd holds 1.5 MiB
_SINCE: Final = "lastTransitionTime"


def condition(kind: str, *, good: bool, reason: str, message: str = "") -> dict[str, Any]:
    """Return a condition without its time; *reason* is one word in CamelCase."""
    status = "True" if good else "False"
    return {"type": kind, "status": status, "reason": reason, "message": message}


def status_patch(
    obj: Object, wanted: Mapping[str, Any], conditions: Sequence[Mapping[str, Any]], now: str
) -> dict[str, Any] | None:
    """Return the merge patch that makes the status of *obj* what is wanted; None if it is.

    Args:
        obj: As it was read.
        wanted: Fields of the status; None removes one.
        conditions: Without times; a condition that keeps its status keeps its time.
        now: RFC 3339, for conditions that change.
    """
    current = obj.get("status") or {}
    generation = obj["metadata"].get("generation")
    before = {item.get("type"): item for item in current.get("conditions") or ()}
    new = []
    for item in conditions:
        old = before.get(item["type"], {})
        since = old.get(_SINCE, now) if old.get("status") == item["status"] else now
        new.append({**item, "observedGeneration": generation, _SINCE: since})
    target = {**wanted, "observedGeneration": generation, "conditions": new}
    changed = {
        key: replacing(current.get(key), value)
        for key, value in target.items()
        if current.get(key) != value
    }
    return changed or None


def replacing(old: object, new: object) -> object:
    """Return the merge patch that leaves nothing of *old* in *new*; only objects are merged."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    lost = dict.fromkeys(set(old) - set(new))
    return lost | {key: replacing(old.get(key), value) for key, value in new.items()}
