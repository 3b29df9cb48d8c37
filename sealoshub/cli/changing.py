"""Change an organisation without losing what somebody else changes at the same time."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, Final

from sealoshub.cli import named
from sealoshub.errors import DeniedError
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealoshub.kube.cluster import Cluster

KIND: Final = "Organization"
# Fifty people who share one organisation at once all get through in about 5 s; see the tests.
PATIENCE: Final = 30.0  # seconds in which a change must not lose against others
PAUSE: Final = 0.5  # seconds, the longest pause between two tries


def change_spec(
    cluster: Cluster, name: str, change: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> tuple[bool, dict[str, Any]]:
    """Change an organisation's spec so that nobody's change at the same time is lost.

    Read, change, write with the resourceVersion that was read; if somebody was faster, again.

    Args:
        cluster: Where it is.
        name: Of the organisation.
        change: From the spec to those of its fields that change; it may be called several times.

    Returns:
        Whether anything changed, and the spec as it is now.

    Raises:
        NotFoundError: There is no such organisation.
        DeniedError: Only an owner may; the hint names them.
        ConflictError: Others were faster for 30 seconds.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        found = named.get(cluster, KIND, name)
        changes = change(found.get("spec") or {})
        if not changes:
            return False, dict(found.get("spec") or {})
        version = found["metadata"]["resourceVersion"]
        try:
            after = cluster.patch(
                KIND, name, {"metadata": {"resourceVersion": version}, "spec": changes}
            )
        except DeniedError as exc:
            named.denied(exc, found)
        except ConflictError as exc:
            if time.monotonic() >= deadline:
                exc.hint = "Others change it all the time; try again in a moment."
                raise
            # Of random length, so that those who met do not meet again.
            time.sleep(random.uniform(0, PAUSE))  # noqa: S311  # no secret
        else:
            return True, dict(after.get("spec") or {})
