"""HTTP statuses by name (RFC 9110), of which `http` makes an enum with all their phrases first."""

from __future__ import annotations

from typing import Final


class Status:
    """Those that mean something to a client of registries."""

    OK: Final = 200
    CREATED: Final = 201
    NO_CONTENT: Final = 204
    PARTIAL_CONTENT: Final = 206
    BAD_REQUEST: Final = 400
    UNAUTHORIZED: Final = 401
    FORBIDDEN: Final = 403
    NOT_FOUND: Final = 404
    METHOD_NOT_ALLOWED: Final = 405
    PROXY_AUTHENTICATION_REQUIRED: Final = 407
    REQUEST_ENTITY_TOO_LARGE: Final = 413
    REQUESTED_RANGE_NOT_SATISFIABLE: Final = 416
    INTERNAL_SERVER_ERROR: Final = 500
