"""Answers of the token server: a value, and how a failure becomes one.

docker shows the first message of `errors`; OAuth2 clients read `error` and `error_description`
(RFC 6749, 5.2). Both are always there.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sealoshub.authplugin import Unavailable
from sealoshub.authserver.request import RequestRefusedError
from sealoshub.errors import (
    AuthenticationError,
    DeniedError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_JSON: Final = (b"content-type", b"application/json")
_NO_STORE: Final = (b"cache-control", b"no-store")  # RFC 6749, 5.1
_RETRY_SECONDS: Final = 2
_UNREAD: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, JSON body and headers of an answer, as ASGI wants them."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def __repr__(self) -> str:
        return f"Reply(status={self.status})"

    @property
    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers, with those that every answer has."""
        length = (b"content-length", str(len(self.body)).encode())
        return [_JSON, _NO_STORE, length, *self.headers]


def success(content: Mapping[str, object], status: HTTPStatus = HTTPStatus.OK) -> Reply:
    """Return *content* as an answer."""
    return Reply(status, json.dumps(content, separators=(",", ":")).encode())


def failure(exc: SealosHubError, realm: str) -> Reply:
    """Return the answer for *exc*.

    Args:
        exc: What went wrong; its message and hint are shown.
        realm: Of the challenge in a 401.
    """
    headers: list[tuple[bytes, bytes]] = []
    status, code, oauth = HTTPStatus.INTERNAL_SERVER_ERROR, "UNKNOWN", "server_error"
    if isinstance(exc, RequestRefusedError):
        status, oauth = exc.status, exc.oauth
        if exc.allow:
            headers.append((b"allow", exc.allow.encode()))
        code = "UNAUTHORIZED" if status == HTTPStatus.UNAUTHORIZED else exc.code
    elif isinstance(exc, AuthenticationError):
        status, code, oauth = HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", "invalid_grant"
    elif isinstance(exc, UnavailableError):
        status, code = HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"
        oauth = "temporarily_unavailable"
        seconds = exc.retry_after if isinstance(exc, Unavailable) else _RETRY_SECONDS
        headers.append((b"retry-after", str(seconds).encode()))
    elif isinstance(exc, DeniedError):
        status, code, oauth = HTTPStatus.FORBIDDEN, "DENIED", "access_denied"
    elif isinstance(exc, NotFoundError):
        status, code, oauth = HTTPStatus.NOT_FOUND, "NOT_FOUND", "invalid_request"
    if status in _UNREAD:
        headers.append((b"connection", b"close"))  # the rest of the body is not waited for
    if status == HTTPStatus.UNAUTHORIZED:
        # Basic only: a Bearer challenge here would send clients in a circle.
        headers.append((b"www-authenticate", f'Basic realm="{realm}"'.encode()))
    return _error(status, code, oauth, sentences(exc), tuple(headers))


def sentences(exc: SealosHubError) -> str:
    """Return what went wrong and the way out."""
    return f"{exc.message}. {exc.hint}" if exc.hint else exc.message


def limited(seconds: float, why: str = "") -> Reply:
    """Return 429 for somebody who has to wait *seconds*.

    Args:
        seconds: How long.
        why: What was wrong with his credential. docker asks once for every layer and shows the
            last answer, so that this is the only one its user sees.
    """
    wait = max(1, math.ceil(seconds))
    too_many = f"too many wrong credentials from here. Try again in {wait} s"
    return _error(
        HTTPStatus.TOO_MANY_REQUESTS,
        "TOOMANYREQUESTS",
        "slow_down",
        f"{why.removesuffix('.')}; {too_many}" if why else too_many,
        ((b"retry-after", str(wait).encode()),),
    )


def internal() -> Reply:
    """Return 500 for a defect, without any detail of it."""
    return _error(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "UNKNOWN",
        "server_error",
        "the token server failed; its log says where",
        (),
    )


def _error(
    status: HTTPStatus,
    code: str,
    oauth: str,
    message: str,
    headers: tuple[tuple[bytes, bytes], ...],
) -> Reply:
    content = {
        "errors": [{"code": code, "message": message, "detail": None}],
        "error": oauth,
        "error_description": message,
    }
    return Reply(status, json.dumps(content, separators=(",", ":")).encode(), headers)
