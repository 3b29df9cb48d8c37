"""Image → its labels and its conditions."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from sealoshub.errors import NotFoundError
from sealoshub.imagehub.controller import held, record
from sealoshub.imagehub.controller.conditions import condition, status_patch
from sealoshub.imagehub.controller.shown import shown
from sealoshub.imagehub.controller.world import write_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.imagehub.controller.kinds import Picture
    from sealoshub.imagehub.controller.world import World


def desired_condition(
    image: Picture, *, has_repository: bool, has_organization: bool, twin: str | None
) -> Mapping[str, Any]:
    """Return the Ready condition of *image*.

    Args:
        image: The image.
        has_repository: Whether its Repository is there.
        has_organization: Whether its Organization is there.
        twin: Name of the canonical Image of the same tag, if this is not it.
    """
    if twin is not None:
        message = f"Image {twin} has the same spec.name, and is the one that counts"
        return condition("Ready", good=False, reason="Shadowed", message=message)
    if not has_organization:
        message = f"there is no Organization {image.path.partition('/')[0]}"
        return condition("Ready", good=False, reason="NoOrganization", message=message)
    if not has_repository:
        message = f"the Repository {image.path} is being made"
        return condition("Ready", good=False, reason="NoRepository", message=message)
    return condition("Ready", good=True, reason="InRepository")


def reconcile(world: World, name: str) -> None:
    """Make the Image *name* true.

    Raises:
        SealosHubError: Something is not possible now; the caller tries again later.
    """
    image = world.images.get(name)
    if image is None or image.deleting or not image.path:
        return
    if image.relabel:
        with contextlib.suppress(NotFoundError):
            world.cluster.patch("Image", name, {"metadata": {"labels": dict(image.relabel)}})
    twins = [
        other.object_name
        for other in world.images.find(image.path)
        if other.tag == image.tag and other.is_canonical and not image.is_canonical
    ]
    ready = desired_condition(
        image,
        has_repository=world.repository(image.path) is not None,
        has_organization=world.organizations.get(image.path.partition("/")[0]) is not None,
        twin=twins[0] if twins else None,
    )
    obj = {
        "kind": "Image",
        "metadata": {"name": name, "generation": image.generation},
        "status": image.status,
    }
    present = held.presence(image, world.held.get(image.path))
    found = [ready] if present is None else [ready, present]
    tag = record.desired(image, world.held.get(image.path), world.moment())
    patch = status_patch(obj, {"tag": tag, "shown": shown(tag)}, found, world.moment())
    write_status(world.cluster, obj, patch, world.images)
