"""Manifests that a registry has: read one, see what it lists, delete one (distribution 1.1)."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.reference import INDEX_TYPES, MANIFEST_TYPES, Digest
from sealoshub.registry.image import MAX_MANIFEST
from sealoshub.registry.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.registry.client import Client
    from sealoshub.registry.failure import Answer

_ACCEPT: Final[Mapping[str, str]] = {"Accept": ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))}
_DELETES: Final = frozenset({200, 202, 404, 405})


def read(client: Client, name: str, target: str, scopes: tuple[str, ...]) -> Answer | None:
    """Return the manifest that a tag or digest of *name* names; None if there is none.

    Raises:
        DeniedError: The user may not pull.
        SealosHubError: Not now.
    """
    ask = partial(
        client.request,
        "GET",
        f"/v2/{name}/manifests/{target}",
        expect={200, 404},
        scopes=scopes,
        headers=_ACCEPT,
        limit=MAX_MANIFEST + 1,
    )
    answer = client.retry.run(ask)
    return None if answer.status == Status.NOT_FOUND else answer


def entries(content: bytes) -> list[tuple[Digest, str]]:
    """Return digest and media type of each manifest in an index; none of anything else."""
    try:
        found = json.loads(content).get("manifests") or []
        return [
            (Digest.parse(str(entry["digest"])), str(entry.get("mediaType"))) for entry in found
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidInputError):
        return []  # whoever pushed it wrote it


def delete(
    client: Client,
    name: str,
    target: str,
    scopes: tuple[str, ...],
    *,
    also: frozenset[int] = frozenset(),
) -> int:
    """Delete what a tag or digest of *name* names; return the HTTP status.

    Args:
        client: Of the registry.
        name: `org/repo`.
        target: Tag or digest.
        scopes: With `delete`.
        also: Statuses that the caller understands, beside that of one that is not there.

    Raises:
        DeniedError: The user may not.
        SealosHubError: The registry does not delete at all, or not now.
    """
    ask = partial(
        client.request,
        "DELETE",
        f"/v2/{name}/manifests/{target}",
        expect=_DELETES | also,
        scopes=scopes,
    )
    status = client.retry.run(ask).status
    if status == Status.METHOD_NOT_ALLOWED:
        raise SealosHubError(
            f"the registry {client.host} does not delete content",
            hint="Its operator has to set storage.delete.enabled.",
            code="UNSUPPORTED",
        )
    return status
