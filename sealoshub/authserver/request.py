"""Read a token request: pure functions from bytes to a value, or a refusal with its status.

Sources: distribution, "Token Authentication Specification", "Token scope documentation" and
"OAuth2 token authentication"; RFC 7617 (Basic); RFC 6749, 5.2 (error words).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from sealoshub.authplugin import Scope
from sealoshub.errors import SealosHubError
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_SCOPES: Final = 64
MAX_NAME: Final = 255  # characters; the registry's own limit for repositories
MAX_SCOPE: Final = 1024  # characters of one scope, actions and all
MAX_FIELDS: Final = 256  # of a query or form; MAX_SCOPES repeated scopes and a few others
MAX_VALUE: Final = 256  # characters of account, service and client_id
MAX_HEADER: Final = 64 * 1024  # characters of one header
MAX_PASSWORD: Final = 96 * 1024  # characters; base64 of the longest kubeconfig

_FORM: Final = "application/x-www-form-urlencoded"
_TYPE: Final = re.compile(r"([a-z0-9]+)(?:\([a-z0-9]+\))?")
_NAME: Final = re.compile(r"[\x21-\x7e]+")
_ACTION: Final = re.compile(r"[a-z]+|\*")
_SINGLE: Final = (
    "service",
    "account",
    "client_id",
    "offline_token",
    "access_type",
    "grant_type",
    "username",
    "password",
    "refresh_token",
)
_SECRET_FIELDS: Final = frozenset({"password", "refresh_token"})


class RequestRefusedError(SealosHubError):
    """A request that is answered without looking at who sent it.

    Args:
        message: What is wrong with it, for the user.
        status: HTTP status.
        oauth: The word of RFC 6749 for it.
        hint: The way out.
        allow: Methods that the path knows, for a 405.
    """

    code = "UNSUPPORTED"

    def __init__(
        self,
        message: str,
        *,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        oauth: str = "invalid_request",
        hint: str | None = None,
        allow: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.oauth = oauth
        self.allow = allow


@dataclass(frozen=True, slots=True)
class Login:
    """A credential as it was sent.

    Args:
        account: User name, perhaps empty.
        secret: Password or token.
        is_refresh_token: Sent as `grant_type=refresh_token`.
    """

    account: str
    secret: Secret
    is_refresh_token: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What a token request asks for; nothing in it is secret.

    Args:
        service: The audience.
        scopes: What is asked for, each resource once.
        account: The query's or form's hint about the user; must fit the credential.
        offline: Whether a refresh token is wanted.
        client: `client_id`.
    """

    service: str
    scopes: tuple[Scope, ...] = ()
    account: str = ""
    offline: bool = False
    client: str = ""


def parse_query(query: bytes) -> Question:
    """Read the query of a GET.

    Raises:
        RequestRefusedError: It is malformed, over a limit, or carries a secret.
    """
    fields = _fields(query)
    for name in _SECRET_FIELDS & fields.keys():
        raise RequestRefusedError(
            f"{name} must not be in the address, where logs keep it",
            hint="Send it as HTTP Basic, or in the form of a POST.",
        )
    return _question(fields)


def parse_form(body: bytes, content_type: str) -> tuple[Question, Login]:
    """Read the form of a POST (OAuth2).

    Raises:
        RequestRefusedError: It is malformed, over a limit, or of an unknown grant type.
    """
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise RequestRefusedError(f"the body must be {_FORM}")
    fields = _fields(body)
    question = _question(fields)
    grant = _one(fields, "grant_type")
    if grant == "password":
        login = Login(_one(fields, "username"), Secret(_one(fields, "password", MAX_PASSWORD)))
    elif grant == "refresh_token":
        token = Secret(_one(fields, "refresh_token", MAX_PASSWORD))
        login = Login("", token, is_refresh_token=True)
    else:
        raise RequestRefusedError(
            "grant_type must be password or refresh_token", oauth="unsupported_grant_type"
        )
    if not login.secret:
        raise RequestRefusedError(f"grant_type={grant} without its credential")
    return question, login


def parse_authorization(header: str) -> Login:
    """Read an `Authorization` header: `Basic`, or `Bearer` with a credential of any kind.

    Raises:
        RequestRefusedError: It is neither, or malformed (401, because it cannot be believed), or
            too long (431).
    """
    if len(header) > MAX_HEADER:
        raise RequestRefusedError(
            f"the Authorization header is longer than {MAX_HEADER} characters",
            status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        )
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return Login("", Secret(value))
    if scheme.lower() != "basic":
        raise _unreadable("the Authorization header is neither Basic nor Bearer")
    try:
        # Some clients leave the padding away.
        text = base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode("utf-8")
    except (ValueError, binascii.Error):
        raise _unreadable("the Basic credential is not base64 of UTF-8") from None
    account, colon, password = text.partition(":")
    if not colon:
        raise _unreadable("the Basic credential has no colon")
    if len(account) > MAX_VALUE or len(password) > MAX_PASSWORD:
        raise _unreadable("the credential is too long")
    return Login(account, Secret(password))


def agree(question: Question, login: Login) -> None:
    """Hold that the hint `account` and the credential do not speak of two users.

    Raises:
        RequestRefusedError: They do.
    """
    if question.account and login.account and question.account != login.account:
        raise RequestRefusedError("account and user name are different")


def parse_scopes(values: Iterable[str]) -> tuple[Scope, ...]:
    """Read scopes, repeated or joined by spaces; the same resource twice becomes one scope.

    First colon ends the type, last colon starts the actions: names may contain `host:port`. A scope
    that cannot be read, or that nobody could ever be granted, is left out: it grants nothing.

    Raises:
        RequestRefusedError: Too many, or one too long.
    """
    texts = [text for value in values for text in value.split(" ") if text]
    if len(texts) > MAX_SCOPES:
        raise RequestRefusedError(f"more than {MAX_SCOPES} scopes", oauth="invalid_scope")
    found: dict[tuple[str, str], frozenset[str]] = {}
    for text in texts:
        if len(text) > MAX_SCOPE:
            raise RequestRefusedError(
                f"a scope longer than {MAX_SCOPE} characters", oauth="invalid_scope"
            )
        scope = _scope(text)
        if scope is not None:
            key = scope.type, scope.name
            found[key] = found.get(key, frozenset()) | scope.actions
    return tuple(Scope(kind, name, actions) for (kind, name), actions in found.items())


def _scope(text: str) -> Scope | None:
    kind, first, rest = text.partition(":")
    name, last, actions = rest.rpartition(":")
    matched = _TYPE.fullmatch(kind)
    if not first or not last or matched is None:
        return None
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        return None
    # The class, as in repository(plugin), is deprecated: accepted, ignored, never answered.
    known = frozenset(action for action in actions.split(",") if _ACTION.fullmatch(action))
    return Scope(matched.group(1), name, known)


def _fields(content: bytes) -> Mapping[str, Sequence[str]]:
    try:
        pairs = parse_qsl(
            content.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:  # UnicodeDecodeError as well
        raise RequestRefusedError(
            f"the fields are not URL-encoded UTF-8, or more than {MAX_FIELDS}"
        ) from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _question(fields: Mapping[str, Sequence[str]]) -> Question:
    for name in _SINGLE:
        if len(set(fields.get(name, ()))) > 1:
            raise RequestRefusedError(f"{name} is there twice, with different values")
    return Question(
        service=_one(fields, "service"),
        scopes=parse_scopes(fields.get("scope", ())),
        account=_one(fields, "account"),
        offline=_one(fields, "offline_token") == "true" or _one(fields, "access_type") == "offline",
        client=_one(fields, "client_id"),
    )


def _one(fields: Mapping[str, Sequence[str]], name: str, limit: int = MAX_VALUE) -> str:
    values = fields.get(name)
    value = values[0] if values else ""
    if len(value) > limit:
        raise RequestRefusedError(f"{name} is longer than {limit} characters")
    if limit == MAX_VALUE and not value.isprintable():
        raise RequestRefusedError(f"{name} has characters that no name has")
    return value


def _unreadable(message: str) -> RequestRefusedError:
    return RequestRefusedError(message, status=HTTPStatus.UNAUTHORIZED, oauth="invalid_client")
