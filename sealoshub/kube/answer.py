"""Read what an API server answers: values, and its `Status` as our errors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from sealoshub.errors import (
    AuthenticationError,
    DeniedError,
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.kube import ConflictError, GoneError, UserInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MAX_MESSAGE: Final = 500  # characters of a Status message that are worth keeping
_DECODER: Final = json.JSONDecoder()  # `json.loads` guesses an encoding first
_STATUS_MEMBER: Final = ',"status":'
_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_SUCCESS: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED})
_STATUS_BYTES: Final = 65536  # a Status is short; the rest is not ours to parse


class _Attributes(NamedTuple):
    """Its fields. A tuple, because it is a key of caches: its hash costs next to nothing."""

    verb: str
    group: str
    resource: str
    name: str
    namespace: str


class ResourceAttributes(_Attributes):
    """What a SubjectAccessReview asks (`authorization.k8s.io/v1` ResourceAttributes).

    Raises:
        ValueError: An empty name, which the API server would read as "all of them".
    """

    __slots__ = ()

    def __new__(cls, verb: str, group: str, resource: str, name: str, namespace: str = "") -> Self:
        """Hold the one rule that a mistake here must never break."""
        if not name or not verb:
            raise ValueError("a review of an empty name asks about everything")
        return super().__new__(cls, verb, group, resource, name, namespace)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of a SubjectAccessReview; *reason* names the binding when it is allowed."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TokenReview:
    """The answer of a TokenReview: the user and the audiences that the token is really for."""

    user: UserInfo
    audiences: tuple[str, ...]


def subject(user: UserInfo) -> str:
    """Return the fields of a SubjectAccessReview that say who *user* is.

    JSON by hand, because nothing is asked more often: an encoder takes ten times as long.
    """
    fields = f'"user":{quoted(user.name)}'
    if user.groups:
        fields += f',"groups":{_list(user.groups)}'
    if user.uid:
        fields += f',"uid":{quoted(user.uid)}'
    if user.extra:
        extra = [f"{quoted(key)}:{_list(values)}" for key, values in user.extra.items()]
        fields += f',"extra":{{{",".join(extra)}}}'
    return fields


def subject_access_review(who: str, asked: ResourceAttributes) -> bytes:
    """Return the body of the question whether the user of :func:`subject` may do *asked*."""
    namespace = f',"namespace":{quoted(asked.namespace)}' if asked.namespace else ""
    return (
        '{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{'
        f'{who},"resourceAttributes":{{"verb":{quoted(asked.verb)}'
        f',"group":{quoted(asked.group)},"resource":{quoted(asked.resource)}'
        f',"name":{quoted(asked.name)}{namespace}}}}}}}'
    ).encode("ascii")


def _list(texts: Iterable[str]) -> str:
    return f"[{','.join(map(quoted, texts))}]"


def decision(review: Mapping[str, Any]) -> Decision:
    """Return the decision in an answered SubjectAccessReview.

    Raises:
        UnavailableError: There is none, or the authorizer could not read all it needed.
    """
    status = review.get("status")
    if not isinstance(status, dict) or not isinstance(status.get("allowed"), bool):
        raise UnavailableError("the API server answered a review without a decision")
    allowed = status["allowed"] and status.get("denied") is not True
    failed = str(status.get("evaluationError") or "")[:MAX_MESSAGE]
    if failed and not allowed:  # an error is not a denial
        raise UnavailableError(f"the API server could not decide: {failed}")
    return Decision(allowed, str(status.get("reason") or "")[:MAX_MESSAGE])


def checked(answer: tuple[int, bytes], what: str) -> dict[str, Any]:
    """Translate the answer to a question asked with a caller's credential.

    Args:
        answer: HTTP status and body.
        what: The question, for messages.

    Raises:
        AuthenticationError: 401.
        DeniedError: 403.
        SealosHubError: Everything else, by its status.
    """
    status, content = answer
    if status in _REFUSED:
        if status == HTTPStatus.UNAUTHORIZED:
            raise AuthenticationError("the API server does not accept the credential")
        raise DeniedError(_status(content) or "the API server does not answer this user")
    return _success(status, content, what, status_of_review)


def own_checked(
    status: int, content: bytes, what: str, read: Callable[[str], object] = _DECODER.decode
) -> dict[str, Any]:
    """Translate the answer to one of our own questions: a refusal is nobody else's fault.

    Args:
        status: Of HTTP.
        content: The answer.
        what: The question, for messages.
        read: Reads JSON.

    Raises:
        UnavailableError: 401 and 403 too, because our own credential is at fault.
        SealosHubError: Everything else, by its status.
    """
    if status in _REFUSED:
        raise UnavailableError(
            f"the API server refuses the token server itself ({status}):"
            f" {_status(content) or what}",
            hint="Is its token file current, and imagehub:auth-server bound to it?",
            code="MISCONFIGURED",
        )
    return _success(status, content, what, read)


def status_of_review(text: str) -> object:
    """Return an object that has the `status` of a review, and perhaps nothing else of it.

    It comes last and says it all; what was asked and who manages which field is a kilobyte before.
    No string holds the quotes of the member's name, and what only a brace follows is a member of
    the outermost object. Whatever looks different is read as a whole.

    Raises:
        ValueError: It is no JSON.
    """
    at = text.rfind(_STATUS_MEMBER)
    if at > 0:
        found, end = _DECODER.raw_decode(text, at + len(_STATUS_MEMBER))
        if text[end:].strip() == "}":
            return {"status": found}
    return _DECODER.decode(text)


def _success(
    status: int, content: bytes, what: str, read: Callable[[str], object]
) -> dict[str, Any]:
    if status in _SUCCESS:
        try:
            answer = read(content.decode())
        except (ValueError, RecursionError) as exc:
            raise UnavailableError(f"the API server answered {what} without JSON") from exc
        if not isinstance(answer, dict):
            raise UnavailableError(f"the API server answered {what} without an object")
        return answer
    raise _failure(status, content, what)


def _failure(status: int, content: bytes, what: str) -> SealosHubError:
    message = _status(content) or f"{what} was answered {status}"
    if status == HTTPStatus.NOT_FOUND:
        return NotFoundError(message)
    if status == HTTPStatus.CONFLICT:
        exists = _reason(content) == "AlreadyExists"
        return ConflictError(message, reason="AlreadyExists" if exists else "Conflict")
    if status == HTTPStatus.GONE:
        return GoneError(message)
    if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}:
        return InvalidInputError(message)
    return UnavailableError(f"the API server answered {status}: {message}")


def event(line: bytes) -> tuple[str, dict[str, Any]]:
    """Return type and object of one line of a watch.

    Raises:
        GoneError: The watch must begin anew with a list.
        UnavailableError: The line is broken, or the server ended the watch with an error.
    """
    try:
        found = json.loads(line)
        kind, item = found["type"], found["object"]
    except (ValueError, RecursionError, KeyError, TypeError) as exc:
        raise UnavailableError("the API server sent a broken watch event") from exc
    if not isinstance(item, dict) or not isinstance(kind, str):
        raise UnavailableError("the API server sent a broken watch event")
    if kind == "ERROR":
        code = item.get("code")
        message = str(item.get("message") or "")[:MAX_MESSAGE]
        if code == HTTPStatus.GONE:
            raise GoneError(message)
        raise UnavailableError(f"the API server ended a watch: {message}")
    return kind, item


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        status = json.loads(content[:_STATUS_BYTES])
    except (ValueError, RecursionError):
        return {}
    return status if isinstance(status, dict) else {}


def _status(content: bytes) -> str:
    """Return the message of a `Status`; it never repeats the request."""
    return str(_parsed(content).get("message") or "")[:MAX_MESSAGE]


def _reason(content: bytes) -> str:
    return str(_parsed(content).get("reason") or "")


def user(answer: Mapping[str, Any], field: str) -> UserInfo:
    """Return the user of a review: `status.userInfo`, or *field* `user` of a status itself.

    Raises:
        UnavailableError: There is none.
    """
    holder = answer if field == "user" else answer.get("status")
    raw = holder.get(field) if isinstance(holder, dict) else None
    if not isinstance(raw, dict) or not isinstance(raw.get("username"), str):
        raise UnavailableError("the API server answered a review without a user")
    extra = raw.get("extra")
    return UserInfo(
        name=raw["username"],
        uid=str(raw.get("uid") or ""),
        groups=strings(raw.get("groups")),
        extra={str(key): strings(values) for key, values in extra.items()}
        if isinstance(extra, dict)
        else {},
    )


def strings(raw: object) -> tuple[str, ...]:
    """Return the strings of a JSON list; nothing if it is none."""
    if not isinstance(raw, list):
        return ()
    return tuple(item for item in raw if isinstance(item, str))
