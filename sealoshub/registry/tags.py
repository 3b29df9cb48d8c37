"""Tags one by one: point one at what is there, or take it away (distribution specification 1.1).

Only distribution 3 deletes a tag alone; 2.8 deletes manifests, and with one all tags that name it.
"""

from __future__ import annotations

import json
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sealoshub.errors import (
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.reference import INDEX_TYPES, MANIFEST_TYPES, Digest
from sealoshub.registry.image import MAX_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.registry.client import Client

_ACCEPT: Final[Mapping[str, str]] = {"Accept": ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))}
MAX_LISTED: Final = 10_000  # manifests of one index; more are no image
_DELETES: Final = {200, 202, 400, 404, 405}


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
    found = _manifest(client, name, digest, scopes)
    if found is None:
        return False
    media_type, content = found
    if len(content) > MAX_MANIFEST:
        raise SealosHubError(f"the manifest {name}@{digest} is too large to be put back")
    put = partial(
        client.request,
        "PUT",
        f"/v2/{name}/manifests/{tag}",
        expect={200, 201, 202, 405},
        scopes=scopes,
        headers={"Content-Type": media_type},
        body=content,
    )
    if client.retry.run(put).status == HTTPStatus.METHOD_NOT_ALLOWED:
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
    return _delete(client, name, tag) != HTTPStatus.BAD_REQUEST


def remove_manifest(client: Client, name: str, digest: str) -> None:
    """Delete the manifest *digest* and every tag that names it; nothing happens without it.

    Raises:
        DeniedError: The user may not delete.
        SealosHubError: The registry does not delete at all, or not now.
    """
    status = _delete(client, name, digest)
    if status == HTTPStatus.BAD_REQUEST:
        raise SealosHubError(f"{client.host} does not delete {name}@{digest}", code="UNSUPPORTED")


def listed(client: Client, name: str, digest: str) -> tuple[str, ...]:
    """Return the digests of all manifests that the index *digest* leads to; none for an image.

    Raises:
        NotFoundError: It is not there.
        SealosHubError: Not now.
    """
    scopes = (f"repository:{name}:pull",)
    found = _manifest(client, name, digest, scopes)
    if found is None:
        raise NotFoundError(f"{client.host} has no {name}@{digest}")
    reached: dict[str, None] = {}
    waiting = [found[1]]
    while waiting and len(reached) < MAX_LISTED:
        for entry, media_type in _entries(waiting.pop()):
            if entry in reached:
                continue
            reached[entry] = None
            if media_type in INDEX_TYPES and (inner := _manifest(client, name, entry, scopes)):
                waiting.append(inner[1])
    return tuple(reached)


def _entries(content: bytes) -> list[tuple[str, str]]:
    """Return digest and media type of each manifest in an index; none of anything else."""
    try:
        found = json.loads(content).get("manifests") or []
        return [
            (Digest.parse(str(entry["digest"])).text, str(entry.get("mediaType")))
            for entry in found
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidInputError):
        return []  # whoever pushed it wrote it


def _manifest(
    client: Client, name: str, digest: str, scopes: tuple[str, ...]
) -> tuple[str, bytes] | None:
    ask = partial(
        client.request,
        "GET",
        f"/v2/{name}/manifests/{digest}",
        expect={200, 404},
        scopes=scopes,
        headers=_ACCEPT,
        limit=MAX_MANIFEST + 1,
    )
    answer = client.retry.run(ask)
    if answer.status == HTTPStatus.NOT_FOUND:
        return None
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    return media_type, answer.body


def _delete(client: Client, name: str, target: str) -> int:
    ask = partial(
        client.request,
        "DELETE",
        f"/v2/{name}/manifests/{target}",
        expect=_DELETES,
        scopes=(f"repository:{name}:delete",),
    )
    status = client.retry.run(ask).status
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        raise SealosHubError(
            f"the registry {client.host} does not delete content",
            hint="Its operator has to set storage.delete.enabled.",
            code="UNSUPPORTED",
        )
    return status
