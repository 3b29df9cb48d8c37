"""The only door to Kubernetes: values and errors that both its clients share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sealoshub.errors import SealosHubError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ConflictError", "GoneError", "UserInfo"]


@dataclass(frozen=True, slots=True)
class UserInfo:
    """Who the API server says somebody is (`authentication.k8s.io/v1` UserInfo).

    Args:
        name: Full Kubernetes user name, `system:serviceaccount:<namespace>:<name>` for robots.
        uid: Stable identifier; empty for client certificates.
        groups: All groups.
        extra: Further attributes, as the authenticator set them.
    """

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class ConflictError(SealosHubError):
    """The API server answers 409: the object is there already, or it is not the one we read.

    Args:
        message: What was tried on which object.
        reason: `AlreadyExists` or `Conflict`, as the `Status` of the API server has it.
        hint: The next step; None if there is nothing to suggest.
    """

    code = "CONFLICT"

    def __init__(
        self,
        message: str,
        *,
        reason: Literal["AlreadyExists", "Conflict"] = "Conflict",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=reason)
        self.reason = reason


class GoneError(SealosHubError):
    """A watch cannot go on from this resource version (410): list again."""

    code = "GONE"
