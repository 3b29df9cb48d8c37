"""`Status` objects: how Kubernetes says no, in its own words.

The texts follow `k8s.io/apimachinery/pkg/api/errors` and `.../util/validation/field`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealoshub.errors import SealosHubError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class ApiError(SealosHubError):
    """A request that is answered with a `Status` of failure.

    It is a class of the error tree so that a function deep below can refuse and the one boundary
    in `app.py` can answer.

    Args:
        http: HTTP status code.
        reason: `NotFound`, `Conflict`, …; machines read it.
        message: The sentence people read.
        details: The `details` field: name, group, kind, causes, retryAfterSeconds.
        headers: Additional headers of the answer.
    """

    def __init__(
        self,
        http: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=reason)
        self.http = http
        self.reason = reason
        self.details = details
        self.headers = dict(headers or {})

    def status(self) -> dict[str, Any]:
        """Return the `Status` object."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = {k: v for k, v in self.details.items() if v not in ("", None)}
        body["code"] = self.http
        return body


@dataclass(frozen=True, slots=True)
class Cause:
    """One fault of an object.

    Args:
        reason: `FieldValueInvalid`, `FieldValueRequired`, `FieldValueForbidden`, …
        message: As `field.Error.ErrorBody()` words it.
        field: Path of the field, `spec.name`; empty for the whole object.
    """

    reason: str
    message: str
    field: str

    def as_dict(self) -> dict[str, str]:
        """Return the shape of a `StatusCause`."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


def go_value(value: object) -> str:
    """Write *value* as Kubernetes does inside an `Invalid value: …`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float)):
        return json.dumps(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def invalid_value(field: str, value: object, message: str) -> Cause:
    """Return the cause of a value that breaks a rule."""
    return Cause("FieldValueInvalid", f"Invalid value: {go_value(value)}: {message}", field)


def required(field: str, message: str = "") -> Cause:
    """Return the cause of a field that is missing."""
    return Cause("FieldValueRequired", f"Required value{': ' + message if message else ''}", field)


def forbidden_field(field: str, message: str) -> Cause:
    """Return the cause of a field that must not be set or changed."""
    return Cause("FieldValueForbidden", f"Forbidden: {message}", field)


def unsupported(field: str, value: object, allowed: Sequence[object]) -> Cause:
    """Return the cause of a value that is not in an enumeration."""
    names = ", ".join(go_value(one) for one in allowed)
    return Cause(
        "FieldValueNotSupported",
        f"Unsupported value: {go_value(value)}: supported values: {names}",
        field,
    )


def invalid(group: str, kind: str, name: str, causes: Iterable[Cause]) -> ApiError:
    """Return the 422 for an object with faults."""
    faults = list(causes)
    texts = [f"{c.field}: {c.message}" if c.field else c.message for c in faults]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    shown = f"{kind}.{group}" if group else kind
    details = {
        "name": name,
        "group": group,
        "kind": kind,
        "causes": [c.as_dict() for c in faults],
    }
    return ApiError(422, "Invalid", f'{shown} "{name}" is invalid: {text}', details=details)


def qualified(group: str, resource: str) -> str:
    """Return `resource.group`, or the resource alone for the core group."""
    return f"{resource}.{group}" if group else resource


def not_found(group: str, resource: str, name: str) -> ApiError:
    """Return the 404 for one object."""
    return ApiError(
        404,
        "NotFound",
        f'{qualified(group, resource)} "{name}" not found',
        details={"name": name, "group": group, "kind": resource},
    )


def no_such_resource() -> ApiError:
    """Return the 404 for what this API does not serve."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(group: str, resource: str, name: str) -> ApiError:
    """Return the 409 of a create."""
    return ApiError(
        409,
        "AlreadyExists",
        f'{qualified(group, resource)} "{name}" already exists',
        details={"name": name, "group": group, "kind": resource},
    )


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def conflict(group: str, resource: str, name: str, message: str = MODIFIED) -> ApiError:
    """Return the 409 of an update that comes too late."""
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {qualified(group, resource)} "{name}": {message}',
        details={"name": name, "group": group, "kind": resource},
    )


def forbidden(group: str, resource: str, name: str, message: str) -> ApiError:
    """Return the 403 for an object or resource."""
    shown = qualified(group, resource)
    text = (
        f'{shown} "{name}" is forbidden: {message}' if name else f"{shown} is forbidden: {message}"
    )
    return ApiError(
        403, "Forbidden", text, details={"name": name, "group": group, "kind": resource}
    )


def bad_request(message: str) -> ApiError:
    """Return the 400."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """Return the 401; it never says why."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    """Return the 405."""
    return ApiError(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        details={},
    )


def expired(message: str) -> ApiError:
    """Return the 410 of a list or watch from a resourceVersion that is gone."""
    return ApiError(410, "Expired", message)


def unsupported_media_type(message: str) -> ApiError:
    """Return the 415."""
    return ApiError(415, "UnsupportedMediaType", message)


def internal() -> ApiError:
    """Return the 500; what happened stays in the log."""
    return ApiError(
        500,
        "InternalError",
        "Internal error occurred: the request could not be served; see the log of the API",
        details={"causes": [{"message": "see the log of the API"}]},
    )
