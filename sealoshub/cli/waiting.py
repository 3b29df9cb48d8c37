"""Waiting until the controller has done its part."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import DeniedError, NotFoundError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealoshub.cli.output import Output
    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster

POLL: Final = 0.5  # seconds between two looks at an object
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNIT: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float:
    """Read a time such as `30s`, `5m`, `1h`; a bare number is seconds.

    Raises:
        UsageError: It is none.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is not a time", hint="Write 30s, 5m or 1h.")
    return float(found[1]) * _UNIT[found[2] or "s"]


def label(obj: Object) -> str:
    """Return what kubectl calls *obj*: `image.imagehub.sealos.io/team.app.v1`."""
    group = str(obj["apiVersion"]).partition("/")[0]
    return f"{str(obj['kind']).lower()}.{group}/{obj['metadata']['name']}"


def until_ready(cluster: Cluster, objects: Iterable[Object], patience: float, out: Output) -> None:
    """Look at every object until its condition says that the controller has done its part.

    Raises:
        UnavailableError: One of them is not ready after *patience* seconds; the message has its
            reason.
    """
    deadline = time.monotonic() + patience
    for obj in objects:
        while True:
            reason = _reason(cluster, obj)
            if reason is None:
                out.detail(f"{label(obj)} is ready")
                break
            if time.monotonic() >= deadline:
                raise UnavailableError(
                    f"{label(obj)} was applied and is not ready after {patience:g} s: {reason}",
                    hint="Wait longer, or see whether the hub's controller runs.",
                )
            time.sleep(POLL)


def until_gone(cluster: Cluster, obj: Object, patience: float) -> None:
    """Look until *obj*, which is being deleted, is not there any more.

    Raises:
        UnavailableError: It is still there after *patience* seconds; the message has its reason.
    """
    deadline = time.monotonic() + patience
    meta = obj["metadata"]
    while True:
        try:
            current = cluster.look_up(str(obj["kind"]), str(meta["name"]))
        except NotFoundError:
            return
        except DeniedError:
            # Where names are private the owner saw it by his right, which ends with it.
            return
        if current["metadata"].get("uid") != meta.get("uid"):
            return  # it is gone, and another one has come
        if time.monotonic() >= deadline:
            reason = unready(current)
            tail = f": {reason}" if reason else ""
            raise UnavailableError(
                f"{label(obj)} is being deleted and still there after {patience:g} s{tail}",
                hint="Wait longer, or see whether the hub's controller runs.",
            )
        time.sleep(POLL)


def _reason(cluster: Cluster, obj: Object) -> str | None:
    try:
        return unready(cluster.look_up(str(obj["kind"]), str(obj["metadata"]["name"])))
    except DeniedError as exc:
        # Where names are private whoever made it sees it when he has his rights.
        return f"the rights are not there yet ({exc.message})"


def unready(obj: dict[str, Any]) -> str | None:
    """Tell why *obj* is not ready; None if it is.

    Kinds without a `Ready` condition are judged by the one they have (`Present` of an Image).
    """
    status = obj.get("status") or {}
    conditions = {item.get("type"): item for item in status.get("conditions") or ()}
    found = conditions.get("Ready") or next(iter(conditions.values()), None)
    if found is None:
        return "the controller has not looked at it yet"
    generation = (obj.get("metadata") or {}).get("generation")
    if found.get("observedGeneration") not in {None, generation}:
        return "the controller has not looked at the newest version yet"
    if found.get("status") == "True":
        return None
    return str(found.get("message") or found.get("reason") or "no reason was given")
