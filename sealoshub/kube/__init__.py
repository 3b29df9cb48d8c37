"""The only door to Kubernetes. This module holds the plain values that pass through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sealoshub.errors import SealosHubError
from sealoshub.value import Value, field

if TYPE_CHECKING:
    from collections.abc import Mapping

Object = dict[str, Any]  # a Kubernetes object as JSON has it; the one place where `Any` is right
Outcome = Literal["created", "configured", "unchanged"]


class UserInfo(Value):
    """Who the API server says somebody is (`authentication.k8s.io/v1`, UserInfo).

    Args:
        name: User name, for example `alice` or `system:serviceaccount:ns:name`.
        uid: Unique over time where the authenticator knows one, else empty.
        groups: Every group, `system:authenticated` among them.
        extra: What the authenticator adds, for example the credential's ID.
    """

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class ApplyResult(Value):
    """What an apply did: the object as it is now, and whether that is new.

    Args:
        obj: The object as the API server answered.
        outcome: `created`, `configured` (changed) or `unchanged`.
    """

    obj: Object
    outcome: Outcome


class ConflictError(SealosHubError):
    """Somebody else was there first (409).

    Kubernetes answers 409 for two different things, so *reason* tells them apart.

    Args:
        message: What the API server said.
        reason: `AlreadyExists` or `Conflict`, as the `Status` of the API server has it.
        hint: As in every error of ours.
        managers: The field managers that own what a server-side apply wanted to change.
    """

    code = "CONFLICT"

    def __init__(
        self,
        message: str,
        *,
        reason: Literal["AlreadyExists", "Conflict"] = "Conflict",
        hint: str | None = None,
        managers: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(message, hint=hint, code=reason)
        self.reason = reason
        self.managers = managers


class GoneError(SealosHubError):
    """The resourceVersion of a watch is too old (410): list again, then watch from there."""

    code = "GONE"
