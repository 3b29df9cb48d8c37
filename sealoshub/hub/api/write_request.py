"""One write request, and what it must agree with before anything is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealoshub.hub.api import status
from sealoshub.hub.api.admission_env import Attributes
from sealoshub.hub.api.authn import refusal
from sealoshub.hub.api.engine import NAMESPACES
from sealoshub.hub.api.rbac import Question

if TYPE_CHECKING:
    from sealoshub.hub.api.admission_env import Operation
    from sealoshub.hub.api.engine import Engine
    from sealoshub.hub.api.rbac import User
    from sealoshub.hub.api.resources import Resource

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """One write request.

    Args:
        engine: The API's state.
        user: Who writes.
        resource: What.
        namespace: Where; empty for cluster scope.
        name: Which; empty when creating.
        subresource: `status`, or empty.
        manager: Name of the field manager.
        dry_run: Do everything but keep it.
        level: `fieldValidation`.
        force: For apply.
        options: The options as policies see them.
        warnings: Takes what to tell the client beside the answer.
    """

    engine: Engine
    user: User
    resource: Resource
    namespace: str
    name: str
    subresource: str
    manager: str
    dry_run: bool
    level: str
    force: bool = False
    options: Body = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def attributes(self, operation: Operation, body: Body | None, old: Body | None) -> Attributes:
        """Return the write as admission sees it."""
        space = None
        if self.namespace and self.resource.key != NAMESPACES:
            space = self.engine.store.get(NAMESPACES, "", self.namespace)
        return Attributes(
            self.resource,
            operation,
            self.user,
            self.namespace,
            self.name,
            body,
            old,
            self.subresource,
            self.dry_run,
            space,
            self.options,
        )

    def stored(self) -> Body | None:
        """Return the object as it is stored."""
        return self.engine.store.get(self.resource.key, self.namespace, self.name)

    def not_found(self) -> status.ApiError:
        """Return the 404 for this object."""
        return status.not_found(self.resource.group, self.resource.plural, self.name)


def check_uid(write: Write, new: Body, old: Body) -> None:
    """Refuse an update that means another object of the same name.

    Raises:
        ApiError: 409.
    """
    given, stored = new["metadata"].get("uid"), old["metadata"]["uid"]
    if given and given != stored:
        text = f"Precondition failed: UID in precondition: {given}, UID in object meta: {stored}"
        raise status.conflict(write.resource.group, write.resource.plural, write.name, text)


def check_name(write: Write, made: Body) -> None:
    """Refuse a name or namespace that contradicts the URL; fill in what is missing.

    Raises:
        ApiError: 400.
    """
    check_namespace(write, made)
    if not made.get("name"):
        made["name"] = write.name
    elif made["name"] != write.name:
        raise status.bad_request(
            f"the name of the object ({made['name']}) does not match the name on the URL"
            f" ({write.name})"
        )


def check_namespace(write: Write, made: Body) -> None:
    """Refuse a namespace that contradicts the URL; fill it in if it is missing.

    Raises:
        ApiError: 400.
    """
    given = made.get("namespace") or ""
    wanted = write.namespace if write.resource.namespaced else ""
    if given and given != wanted:
        if not write.resource.namespaced:
            made.pop("namespace")
            return
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if wanted:
        made["namespace"] = wanted


def check_home(write: Write, seen: Attributes) -> None:
    """Refuse objects in namespaces that are not there or are going (NamespaceLifecycle).

    Raises:
        ApiError: 404 or 403.
    """
    space = seen.namespace_object
    if space is None:
        raise status.not_found("", "namespaces", write.namespace)
    if space["metadata"].get("deletionTimestamp"):
        name = write.name or "Unknown"
        text = (
            f"unable to create new content in namespace {write.namespace} because it is being"
            " terminated"
        )
        raise status.forbidden(write.resource.group, write.resource.plural, name, text)


def may_create(write: Write) -> None:
    """Refuse a user who may not create what his apply or update would make.

    Raises:
        ApiError: 403.
    """
    resource = write.resource
    question = Question("create", resource.group, resource.plural, "", write.namespace, write.name)
    answer = write.engine.rbac.authorize(write.user, question)
    if not answer.allowed:
        raise refusal(write.user, question, answer.reason)
