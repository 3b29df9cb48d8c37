"""Tags one by one: point one at what is there, or take it away (distribution specification 1.1).

Only distribution 3 deletes a tag alone; 2.8 deletes manifests, and with one all tags that name it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from sealoshub.errors import NotFoundError, SealosHubError, UnavailableError
from sealoshub.reference import INDEX_TYPES
from sealoshub.registry import stored
from sealoshub.registry.image import MAX_MANIFEST
from sealoshub.registry.status import Status

if TYPE_CHECKING:
    from sealoshub.registry.client import Client

MAX_LISTED: Final = 10_000  # manifests of one index; more are no image
_NOT_ALONE: Final = frozenset({400})  # of a registry that does not delete tags


def point(client: Client, name: str, tag: str, digest: str) -> bool:
    """Let *tag* of *name* (`org/repo`) name the manifest *digest*, byte for byte as it is there.

    Returns:
        Whether it does now; False if the registry does not have the manifest any more.

    Raises:
        DeniedError: The user may not push.
        UnavailableError: Not now, or the registry is read-only.
        SealosHubError: The registry does not take it.
    """
    scopes = (f"repository:{name}:pull,push",)
    found = stored.read(client, name, digest, scopes)
    if found is None:
        return False
    if len(found.body) > MAX_MANIFEST:
        raise SealosHubError(f"the manifest {name}@{digest} is too large to be put back")
    media_type = found.headers.get("content-type", "").partition(";")[0].strip()
    put = partial(
        client.request,
        "PUT",
        f"/v2/{name}/manifests/{tag}",
        expect={200, 201, 202, 405},
        scopes=scopes,
        headers={"Content-Type": media_type},
        body=found.body,
    )
    if client.retry.run(put).status == Status.METHOD_NOT_ALLOWED:
        # As during its garbage collection; nobody can move a tag meanwhile.
        raise UnavailableError(f"{client.host} takes no content now")
    return True


def remove(client: Client, name: str, tag: str) -> bool:
    """Take *tag* away and leave what it names.

    Returns:
        Whether it is gone; False if this registry only deletes whole manifests.

    Raises:
        DeniedError: The user may not delete.
        SealosHubError: The registry does not delete at all, or not now.
    """
    return _delete(client, name, tag) != Status.BAD_REQUEST


def remove_manifest(client: Client, name: str, digest: str) -> None:
    """Delete the manifest *digest* and every tag that names it; nothing happens without it.

    Raises:
        DeniedError: The user may not delete.
        SealosHubError: The registry does not delete at all, or not now.
    """
    status = _delete(client, name, digest)
    if status == Status.BAD_REQUEST:
        raise SealosHubError(f"{client.host} does not delete {name}@{digest}", code="UNSUPPORTED")


def listed(client: Client, name: str, digest: str) -> tuple[str, ...]:
    """Return the digests of all manifests that the index *digest* leads to; none for an image.

    Raises:
        NotFoundError: It is not there.
        SealosHubError: Not now.
    """
    scopes = (f"repository:{name}:pull",)
    found = stored.read(client, name, digest, scopes)
    if found is None:
        raise NotFoundError(f"{client.host} has no {name}@{digest}")
    reached: dict[str, None] = {}
    waiting = [found.body]
    while waiting and len(reached) < MAX_LISTED:
        for entry, media_type in stored.entries(waiting.pop()):
            if entry.text in reached:
                continue
            reached[entry.text] = None
            if media_type in INDEX_TYPES and (
                inner := stored.read(client, name, entry.text, scopes)
            ):
                waiting.append(inner.body)
    return tuple(reached)


def _delete(client: Client, name: str, target: str) -> int:
    scopes = (f"repository:{name}:delete",)
    return stored.delete(client, name, target, scopes, also=_NOT_ALONE)
