"""Why a push is refused, in words that help: a quota, or a tag that never moves.

A registry says no more than that the token lacks `push`; the hub knows why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealoshub.errors import DeniedError, SealosHubError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.reference import Digest, Reference
    from sealoshub.registry.client import Client

ROOM: Final = (
    "Delete tags or images that nobody needs, or ask an administrator of the hub for a larger"
    " quota; `sealoshub org quota ORG` shows it."
)


class ImmutableTagError(DeniedError):
    """The tag is there, names another image, and must not move."""

    code = "TAG_IMMUTABLE"


def guard(client: Client, target: Reference) -> Callable[[str, Digest], None]:
    """Return what refuses to move a tag of *target* that must not move.

    It asks the hub, and only for a tag that would be moved. What does not answer, or is no hub of
    ours, forbids nothing: where the rule holds the hub puts the tag back.
    """

    def moving(tag: str, now: Digest) -> None:
        from sealoshub.registry import hubapi  # noqa: PLC0415  # only for a tag that is moved

        try:
            found = hubapi.explain(client, "push", target.repository, None, (), tag=tag)
        except SealosHubError:
            return
        if found.immutable:
            raise ImmutableTagError(
                f"{target.host}/{target.repository}:{tag} names {now} and never names another"
                " image; nothing was sent",
                hint="Push under a new tag. An owner of the organization can delete this one, or"
                " change spec.immutableTags of the repository.",
            )

    return moving


def explained(error: DeniedError, client: Client, target: Reference) -> DeniedError:
    """Return *error*, with the words of the hub if it is the quota that forbids the push."""
    from sealoshub.registry import hubapi  # noqa: PLC0415  # only for a push that was refused

    if client.credential is None or isinstance(error, ImmutableTagError):
        return error
    try:
        found = hubapi.explain(client, "push", target.repository, None, ())
    except SealosHubError:
        return error
    if found.full:
        place = f"{target.host}/{target.repository}"
        error.message = f"{found.user} may not push to {place}: {found.reason}"
        error.hint = ROOM
    return error
