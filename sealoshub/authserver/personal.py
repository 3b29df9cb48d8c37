"""Personal tokens: what a user may ask for, read strictly.

A limit that is misread would be no limit, so that here, unlike in a token request, a scope that
cannot be understood is refused.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from sealoshub.authplugin import REPOSITORY_ACTIONS, Scope
from sealoshub.authserver.loginrecord import Wish
from sealoshub.authserver.request import RequestRefusedError
from sealoshub.errors import DeniedError, InvalidInputError
from sealoshub.imagehub.names import is_organization, split_repository

if TYPE_CHECKING:
    from sealoshub.authserver.exchange import Caller, Proved

MAX_NAME: Final = 100  # characters of a token's name; it is shown in lists
MAX_SCOPES: Final = 64
SHORTEST: Final = 60  # seconds

_FIELDS: Final = frozenset({"name", "seconds", "scopes", "service"})
_SCOPE: Final = re.compile(r"repository:([a-z0-9*][a-z0-9._/*-]{0,254}):([a-z*]+(?:,[a-z*]+){0,3})")
_CATALOG: Final = "registry:catalog:*"


def may_ask(proved: Proved) -> None:
    """Hold that whoever asks may make tokens.

    Raises:
        DeniedError: He asks with a personal token: one that leaked would never end.
    """
    if proved.login is not None and proved.login.type == "personal":
        raise DeniedError(
            "a personal token cannot make another", hint="Log in with sealoshub login and try again"
        )


def wish_of(
    body: bytes, proved: Proved, services: tuple[str, ...], longest: int, caller: Caller
) -> Wish:
    """Read the body of `POST /v1/logins`.

    Args:
        body: `{"name", "seconds", "scopes"?, "service"?}`.
        proved: Who asks.
        services: The audiences of this server.
        longest: Longest life, in seconds.
        caller: Where the request came from.

    Raises:
        RequestRefusedError: It is malformed; the message names the field.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestRefusedError("the body is not JSON") from None
    if not isinstance(content, dict):
        raise RequestRefusedError("the body is no JSON object")
    unknown = sorted(set(content) - _FIELDS)
    if unknown:
        raise RequestRefusedError(f"unknown field {unknown[0][:50]!r}")
    return Wish(
        type="personal",
        service=_service(content.get("service"), proved, services),
        seconds=_seconds(content.get("seconds"), longest),
        name=_name(content.get("name")),
        scopes=_scopes(content.get("scopes")),
        client=caller.client,
        address=caller.address,
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise RequestRefusedError("name must be a text that can be shown")
    if len(value) > MAX_NAME:
        raise RequestRefusedError(f"name is longer than {MAX_NAME} characters")
    return value.strip()


def _seconds(value: object, longest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestRefusedError("seconds must be a whole number")
    if not SHORTEST <= value <= longest:
        raise RequestRefusedError(
            f"a token of this hub lives {SHORTEST} to {longest} seconds ({_days(longest)})"
        )
    return value


def _days(seconds: int) -> str:
    return f"{seconds / 86400:g} days" if seconds >= 86400 else f"{seconds / 3600:.3g} hours"  # noqa: PLR2004  # a day


def _service(value: object, proved: Proved, services: tuple[str, ...]) -> str:
    own = proved.login.service if proved.login is not None else ""
    service = value or own or (services[0] if len(services) == 1 else "")
    if not isinstance(service, str) or service not in services:
        raise RequestRefusedError("service must be one that this token server serves")
    if own and own != service:
        raise RequestRefusedError("this login is of another service")
    return service


def _scopes(value: object) -> tuple[Scope, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not 0 < len(value) <= MAX_SCOPES:
        raise RequestRefusedError(f"scopes must be a list of 1 to {MAX_SCOPES}")
    return tuple(dict.fromkeys(_scope(text) for text in value))


def _scope(text: object) -> Scope:
    if text == _CATALOG:
        return Scope("registry", "catalog", frozenset("*"))
    found = _SCOPE.fullmatch(text) if isinstance(text, str) else None
    if found is None or not _is_name(found[1]):
        raise _misread(text)
    actions = frozenset(found[2].split(","))
    if not actions <= REPOSITORY_ACTIONS | {"*"}:
        raise _misread(text)
    return Scope("repository", found[1], actions)


def _is_name(name: str) -> bool:
    """Tell whether a limit may name *name*: `org/repo`, `org/*` or `*`."""
    if name == "*" or (name.endswith("/*") and is_organization(name[:-2])):
        return True
    try:
        split_repository(name)
    except InvalidInputError:
        return False
    return True


def _misread(text: object) -> RequestRefusedError:
    shown = text[:100] if isinstance(text, str) else text if isinstance(text, int) else "…"
    return RequestRefusedError(
        f"{shown!r} is no scope of a token",
        hint="Write repository:org/repo:pull, or repository:org/*:pull,push",
    )
