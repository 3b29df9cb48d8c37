"""Deleting a whole repository's manifests (distribution specification 1.1, "Content Management").

A registry has no request for "all of it": every tag is looked up and every manifest deleted by its
digest, an index before the manifests it lists. The space is free after the registry's own garbage
collection.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.reference import INDEX_TYPES, MANIFEST_TYPES, Digest
from sealoshub.registry import catalog
from sealoshub.registry.image import MAX_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealoshub.registry.client import Client


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted.

    Args:
        tags: How many tags there were.
        manifests: How many manifests, those of an index included.
    """

    tags: int
    manifests: int


def delete_repository(client: Client, name: str) -> Deleted:
    """Delete every tag of *name* (`org/repo`) and every manifest that they lead to.

    Raises:
        DeniedError: The user may not.
        SealosHubError: The registry does not delete (405), or not now. What was deleted before
            stays deleted.
    """
    scopes = (f"repository:{name}:delete,pull",)
    tags = list(catalog.tags(client, name, scopes))
    manifests: dict[Digest, None] = {}
    for tag in tags:
        for digest in _manifests(client, name, tag, scopes):
            manifests.setdefault(digest)
    deleted = sum(_delete(client, name, digest, scopes) for digest in manifests)
    return Deleted(len(tags), deleted)


def _manifests(client: Client, name: str, tag: str, scopes: tuple[str, ...]) -> Iterator[Digest]:
    """Yield the digest that *tag* names; of an index, also those that it lists."""
    ask = partial(
        client.request,
        "GET",
        f"/v2/{name}/manifests/{tag}",
        expect={200, 404},
        scopes=scopes,
        headers={"Accept": ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))},
        limit=MAX_MANIFEST + 1,
    )
    answer = client.retry.run(ask)
    if answer.status == HTTPStatus.NOT_FOUND:
        return  # somebody else was faster
    told = answer.headers.get("docker-content-digest", "")
    yield Digest.parse(told) if told else Digest.of(answer.body)
    try:
        listed = json.loads(answer.body).get("manifests") or []
        children = [Digest.parse(str(item["digest"])) for item in listed]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, InvalidInputError):
        return  # not for us to judge; the tag goes all the same
    yield from children


def _delete(client: Client, name: str, digest: Digest, scopes: tuple[str, ...]) -> bool:
    """Delete one manifest; tell whether it was there."""
    ask = partial(
        client.request,
        "DELETE",
        f"/v2/{name}/manifests/{digest}",
        expect={200, 202, 404, 405},
        scopes=scopes,
    )
    answer = client.retry.run(ask)
    if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
        raise SealosHubError(
            f"the registry {client.host} does not delete content",
            hint="Its operator has to set storage.delete.enabled.",
            code="UNSUPPORTED",
        )
    return answer.status != HTTPStatus.NOT_FOUND
