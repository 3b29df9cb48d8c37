"""The same request to two API servers, and what differs in their answers."""

from __future__ import annotations

import base64
import difflib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
TABLE: Final = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}

_UNORDERED: Final = frozenset({"resourceRules", "nonResourceRules"})
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
_UID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_FINGERPRINT: Final = re.compile(r"X509SHA256=\w+")
_AGE: Final = re.compile(r"(?:\d+[smh])+")
_TOKEN: Final = re.compile(r"eyJ[\w-]+\.(eyJ[\w-]+)\.[\w-]+")
_RANDOM_NAME: Final = re.compile(r"Bad-\w{5}")
_LISTED: Final = re.compile(r" is invalid: \[.*\]$", re.DOTALL)
_TIMES: Final = frozenset(
    {"creationTimestamp", "time", "lastTransitionTime", "deletionTimestamp", "exp", "iat", "nbf"}
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `${name_rv}` in it is what an earlier answer, saved as *name*, had.

    Args:
        title: Unique; names the request in the table of allowed differences.
        who: `admin`, `alice`, `bob` or `anon`.
        method: HTTP method.
        path: With the query.
        body: A string is sent as it is, all else as JSON.
        kind: Content-Type.
        headers: Further headers.
        save: Keep `NAME_rv`, `NAME_uid`, `NAME_token` and `NAME_continue` of the answer.
    """

    title: str
    who: str
    method: str
    path: str
    body: object = None
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    save: str = ""


@dataclass(frozen=True, slots=True)
class Until:
    """Not compared: repeat the request until both answer *code*, because servers have caches."""

    ask: Ask
    code: int = 200


@dataclass(frozen=True, slots=True)
class Side:
    """One API server and its users.

    Args:
        clients: By user.
        saved: What earlier answers left.
    """

    clients: Mapping[str, httpx.Client]
    saved: dict[str, str] = field(default_factory=dict)

    def send(self, ask: Ask) -> httpx.Response:
        """Send *ask*, and keep what it wants kept."""
        headers = {name: self._filled(value) for name, value in ask.headers.items()}
        content: str | None = None
        if ask.body is not None:
            headers["content-type"] = ask.kind
            text = ask.body if isinstance(ask.body, str) else json.dumps(ask.body)
            content = self._filled(text)
        answer = self.clients[ask.who].request(
            ask.method, self._filled(ask.path), content=content, headers=headers
        )
        if ask.save:
            self._keep(ask.save, answer.json())
        return answer

    def _filled(self, text: str) -> str:
        return _VARIABLE.sub(lambda match: self.saved[match[1]], text)

    def _keep(self, name: str, body: Mapping[str, Any]) -> None:
        meta = body.get("metadata") or {}
        status = body.get("status")
        token = status.get("token") if isinstance(status, dict) else None
        found = {
            "rv": meta.get("resourceVersion"),
            "uid": meta.get("uid"),
            "continue": meta.get("continue"),
            "token": token,
        }
        self.saved.update({f"{name}_{key}": value for key, value in found.items() if value})


def lines_of(answer: httpx.Response) -> list[str]:
    """Return an answer as lines `path.to.value = value`, without what each server chooses."""
    body: object
    if "watch=1" in str(answer.url) and answer.status_code == 200:
        body = [normal(json.loads(line)) for line in answer.text.splitlines()]
    else:
        try:
            body = normal(answer.json())
        except ValueError:
            body = answer.text
    whole = {"code": answer.status_code, "warning": answer.headers.get("warning"), "body": body}
    return list(_flat("", whole))


def difference(real: list[str], ours: list[str]) -> list[str]:
    """Return the lines that only one of both has: `-` the real one, `+` ours."""
    found = difflib.unified_diff(real, ours, lineterm="", n=0)
    return [line for line in found if not line.startswith(("---", "+++", "@@"))]


def _flat(path: str, value: object) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name in sorted(value):
            yield from _flat(f"{path}.{name}" if path else str(name), value[name])
    elif isinstance(value, list) and value:
        for at, item in enumerate(value):
            yield from _flat(f"{path}[{at}]", item)
    else:
        yield f"{path} = {json.dumps(value, ensure_ascii=False)}"


def normal(value: Any, key: str = "") -> Any:  # noqa: ANN401  # JSON
    """Return a JSON value without uids, times, versions and the order that Go's maps give."""
    if key == "resourceVersion" and isinstance(value, str):
        return "VERSION"
    if key == "uid" and isinstance(value, str):
        return "UID"
    if key in _TIMES and value is not None:
        return "TIME"
    if isinstance(value, dict):
        result = {name: normal(item, name) for name, item in value.items()}
        if result.get("continue") == "":  # written for our kinds, and never for built-in ones
            del result["continue"]
        if isinstance(managers := result.get("managedFields"), list):
            # Both order them by time first, in whole seconds, which may end between two writes.
            result["managedFields"] = sorted(managers, key=_manager)
        for name in _UNORDERED & set(result):
            result[name] = sorted(result[name] or (), key=str)
        return _one_order(result) if result.get("kind") == "Status" else result
    if isinstance(value, list):
        return [normal(item) for item in value]
    return _normal_text(value) if isinstance(value, str) else value


def _manager(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry.get(key)) for key in ("operation", "manager", "subresource"))


def _normal_text(text: str) -> Any:  # noqa: ANN401  # JSON
    if match := _TOKEN.fullmatch(text):
        return normal(json.loads(base64.urlsafe_b64decode(match[1] + "==")))
    if _AGE.fullmatch(text):
        return "AGE"
    for pattern, word in (
        (_UID, "UID"),
        (_TIME, "TIME"),
        (_FINGERPRINT, "X509"),
        (_RANDOM_NAME, "Bad-RANDOM"),
    ):
        text = pattern.sub(word, text)
    return text


def _one_order(status: dict[str, Any]) -> dict[str, Any]:
    """Sort the causes, each once: validation walks a Go map, and two layers of it say the same."""
    details = status.get("details") or {}
    if "causes" not in details:
        return status
    texts = sorted({json.dumps(cause, sort_keys=True) for cause in details["causes"]})
    causes = [json.loads(text) for text in texts]
    message = _LISTED.sub(" is invalid: [the causes]", str(status.get("message")))
    return {**status, "details": {**details, "causes": causes}, "message": message}
