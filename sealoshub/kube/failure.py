"""What the API server's error answers mean to a user (`meta/v1` Status)."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import (
    AuthenticationError,
    DeniedError,
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.kube import ConflictError, GoneError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_MESSAGE: Final = 4096  # characters; an error page of a proxy is not worth more
_KINDS: Final[Mapping[int, type[SealosHubError]]] = {
    HTTPStatus.FORBIDDEN: DeniedError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.GONE: GoneError,
}
_MANAGER: Final = re.compile(r'conflict with "([^"]+)"')
_TYPED_PATCH: Final = "failed to create typed patch object"
_LOG_IN_AGAIN: Final = (
    "The credential of the kubeconfig has expired or is not of this cluster. Get a new one where"
    " this one came from, then repeat this command."
)


def error_of(code: int, body: bytes, what: str) -> SealosHubError:
    """Return the error for an answer that is not a success.

    Args:
        code: HTTP status code.
        body: The answer's body, a `Status` unless a proxy answered.
        what: What was tried, for the message: `create Image team.app.v1`.
    """
    status = _status(body)
    said = _text(status.get("message"))
    reason = _text(status.get("reason"))
    message = f"cannot {what}: {said or _phrase(code)}"
    if code == HTTPStatus.UNAUTHORIZED:
        return AuthenticationError(
            f"cannot {what}: the cluster does not accept the credential", hint=_LOG_IN_AGAIN
        )
    if code == HTTPStatus.CONFLICT:
        exists = reason == "AlreadyExists"
        return ConflictError(
            message,
            reason="AlreadyExists" if exists else "Conflict",
            managers=_managers(status),
        )
    if (kind := _KINDS.get(code)) is not None:
        return kind(message)
    if _is_input(code) or _TYPED_PATCH in said:
        # An unknown or misplaced field in a server-side apply is HTTP 500 and still the input.
        return InvalidInputError(message + _causes(status, said), code=reason or None)
    hint = "Try again in a moment." if code == HTTPStatus.TOO_MANY_REQUESTS else None
    return UnavailableError(message, hint=hint)


def _is_input(code: int) -> bool:
    return code in {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }


def _managers(status: Mapping[str, Any]) -> frozenset[str]:
    """Return the managers that a failed server-side apply names, one cause for each field."""
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    found = (
        _MANAGER.match(_text(cause.get("message")))
        for cause in causes or ()
        if isinstance(cause, dict) and cause.get("reason") == "FieldManagerConflict"
    )
    return frozenset(match[1] for match in found if match)


def _status(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value[:MAX_MESSAGE] if isinstance(value, str) else ""


def _phrase(code: int) -> str:
    try:
        return f"the API server answered {code} {HTTPStatus(code).phrase}"
    except ValueError:
        return f"the API server answered {code}"


def _causes(status: Mapping[str, Any], said: str) -> str:
    """List the causes that the message does not name already, a line each."""
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    lines: list[str] = []
    for cause in causes if isinstance(causes, list) else []:
        if not isinstance(cause, dict):
            continue
        text = _text(cause.get("message"))
        if text and text not in said:
            field = _text(cause.get("field"))
            lines.append(f"\n  {field}: {text}" if field else f"\n  {text}")
    return "".join(lines)
