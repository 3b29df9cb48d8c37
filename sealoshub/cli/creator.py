"""`spec.creator`, on API servers that do not fill it in themselves.

From Kubernetes 1.36 on a MutatingAdmissionPolicy of the hub does it (`manifests/mutations.yaml`).
Below, an organisation without a creator would have no owner, and a server-side apply that leaves
the field away would take it from one that has it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from sealoshub.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster


def filler(cluster: Cluster) -> Callable[[Object], Object]:
    """Return a function that fills the creator into a manifest of the hub that has none.

    The creator is whoever made the resource, or the user if there is none yet. Where the API
    server does it by itself, and for a manifest that names one, nothing is asked and changed.
    """

    @functools.cache
    def is_needed() -> bool:
        return not cluster.supports("MutatingAdmissionPolicy")

    @functools.cache
    def user() -> str:
        return cluster.whoami().name

    def fill(manifest: Object) -> Object:
        spec = manifest.get("spec") or {}
        if "creator" in spec or not is_needed():
            return manifest
        try:
            current = cluster.look_up(manifest["kind"], manifest["metadata"]["name"])
        except NotFoundError:
            creator: str | None = user()
        else:
            creator = (current.get("spec") or {}).get("creator")
        if creator is None:
            return manifest  # it was made without, and that cannot be changed
        return {**manifest, "spec": {**spec, "creator": creator}}

    return fill
