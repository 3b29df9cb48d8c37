"""Deleting a whole repository's manifests (distribution specification 1.1, "Content Management").

A registry has no request for "all of it": every tag is looked up and every manifest deleted by its
digest, an index before the manifests it lists. The space is free after the registry's own garbage
collection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealoshub.reference import Digest
from sealoshub.registry import catalog, stored
from sealoshub.registry.status import Status

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
    answer = stored.read(client, name, tag, scopes)
    if answer is None:
        return  # somebody else was faster
    told = answer.headers.get("docker-content-digest", "")
    yield Digest.parse(told) if told else Digest.of(answer.body)
    # An index that cannot be read is not for us to judge; the tag goes all the same.
    yield from (child for child, _ in stored.entries(answer.body))


def _delete(client: Client, name: str, digest: Digest, scopes: tuple[str, ...]) -> bool:
    """Delete one manifest; tell whether it was there."""
    return stored.delete(client, name, str(digest), scopes) != Status.NOT_FOUND
