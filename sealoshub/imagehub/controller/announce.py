"""Events: what the controller did by itself, for whoever looks at a resource."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import NotFoundError, SealosHubError
from sealoshub.imagehub.controller import kinds
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from sealoshub.imagehub.controller.world import World
    from sealoshub.kube import Object

NAMESPACE: Final = "default"  # where Events about cluster-wide objects have to be
MAX_MESSAGE: Final = 1024  # characters; an API server refuses more

_log = logging.getLogger("sealoshub.controller")


def announce(world: World, obj: Object, reason: str, message: str, *, about: str = "") -> None:
    """Say that something was done to *obj*; without success it is only logged.

    The same said again renews the Event that is there, so that there is no end of them where
    nobody removes old ones.

    Args:
        world: Where.
        obj: A resource of the hub.
        reason: One word in CamelCase.
        message: For people.
        about: What of the object it is about; a tag.
    """
    _log.warning("%s %s: %s: %s", obj["kind"], obj["metadata"]["name"], reason, message)
    event = _event(obj, reason, message, about, world.moment())
    try:
        try:
            world.cluster.create(event)
        except ConflictError:
            meta = event["metadata"]
            changes = {key: event[key] for key in ("message", "lastTimestamp")}
            world.cluster.patch("Event", str(meta["name"]), changes, NAMESPACE)
    except NotFoundError:
        _log.info("there is no namespace %s, or no Event any more", NAMESPACE)
    except SealosHubError as exc:
        _log.warning("this could not be said in an Event: %s", exc.message)


def _event(obj: Object, reason: str, message: str, about: str, moment: str) -> dict[str, Any]:
    meta = obj["metadata"]
    text = f"{obj['kind']} {meta['name']} {meta.get('uid')} {reason} {about}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"imagehub.{hashlib.sha256(text.encode()).hexdigest()[:32]}",
            "namespace": NAMESPACE,
        },
        "involvedObject": {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": meta["name"],
            "uid": meta.get("uid"),
        },
        "type": "Normal",
        "reason": reason,
        "message": message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 1]}…",
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": kinds.FIELD_MANAGER},
        "reportingComponent": kinds.FIELD_MANAGER,
        "reportingInstance": "",
    }
