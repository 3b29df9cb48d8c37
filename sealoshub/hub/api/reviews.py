"""Reviews: questions that are answered and not stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api import authn, metadata
from sealoshub.hub.api.rbac import MASTERS, Question, User
from sealoshub.hub.api.status import Cause, bad_request, invalid, invalid_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.hub.api.engine import Engine

Body = dict[str, Any]
_AUTHORIZATION: Final = "authorization.k8s.io"


def answer(engine: Engine, user: User, body: Body, namespace: str) -> Body:
    """Answer a review.

    Args:
        engine: The API's state.
        user: Who asks.
        body: The review, decoded.
        namespace: Namespace of a LocalSubjectAccessReview.

    Raises:
        ApiError: The review makes no sense.
    """
    body["status"] = _ANSWERS[body["kind"]](engine, user, body, namespace)
    if body["kind"] == "SelfSubjectReview":
        body["metadata"]["creationTimestamp"] = metadata.now()
    return body


def _self_subject(_engine: Engine, user: User, _body: Body, _namespace: str) -> Body:
    return {"userInfo": user.info()}


def _token(engine: Engine, _user: User, body: Body, _namespace: str) -> Body:
    spec = body.get("spec") or {}
    token = spec.get("token") or ""
    if not token:
        raise bad_request("token is required for TokenReview in authentication")
    audiences = tuple(spec.get("audiences") or (engine.tokens.issuer,))
    found = authn.review(token, audiences, engine.tokens, engine.static)
    if found is None:
        return {"user": {}, "error": "invalid bearer token"}
    return {
        "authenticated": True,
        "user": found.user.info(),
        "audiences": list(found.audiences),
    }


def _subject_access(engine: Engine, _user: User, body: Body, _namespace: str) -> Body:
    spec = body.get("spec") or {}
    faults = _faults(spec)
    if not spec.get("user") and not spec.get("groups"):
        faults.insert(
            0, invalid_value("spec.user", "", "at least one of user or group must be specified")
        )
    if faults:
        raise invalid(_AUTHORIZATION, "", "", faults)
    asked = User(
        spec.get("user") or "",
        spec.get("uid") or "",
        tuple(spec.get("groups") or ()),
        {key: tuple(values) for key, values in (spec.get("extra") or {}).items()},
    )
    return _verdict(engine, asked, spec)


def _local_access(engine: Engine, user: User, body: Body, namespace: str) -> Body:
    attributes = (body.get("spec") or {}).get("resourceAttributes") or {}
    given = body["metadata"].get("namespace") or namespace
    if attributes.get("namespace", "") != namespace or given != namespace:
        text = "must match metadata.namespace"
        field = "spec.resourceAttributes.namespace"
        fault = invalid_value(field, attributes.get("namespace", ""), text)
        raise invalid(_AUTHORIZATION, "", "", [fault])
    body["metadata"]["namespace"] = namespace
    return _subject_access(engine, user, body, namespace)


def _self_access(engine: Engine, user: User, body: Body, _namespace: str) -> Body:
    spec = body.get("spec") or {}
    faults = _faults(spec)
    if faults:
        raise invalid(_AUTHORIZATION, "", "", faults)
    return _verdict(engine, user, spec)


def _self_rules(engine: Engine, user: User, body: Body, _namespace: str) -> Body:
    namespace = (body.get("spec") or {}).get("namespace") or ""
    if not namespace:
        raise bad_request("no namespace on request")
    rules = list(engine.rbac.rules_for(user, namespace))
    if MASTERS in user.groups:
        rules += [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            {"verbs": ["*"], "nonResourceURLs": ["*"]},
        ]
    body["metadata"], body["spec"] = {}, {}  # as a real server answers
    resources, paths = [], []
    for rule in rules:
        if rule.get("resources"):
            words = ("verbs", "apiGroups", "resources", "resourceNames")
            resources.append({word: rule[word] for word in words if rule.get(word)})
        if rule.get("nonResourceURLs"):
            paths.append({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]})
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}


def _faults(spec: Body) -> list[Cause]:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
    if resource is not None and path is not None:
        # The names of Go's fields, as the real one shows its own structure here.
        shown = {str(name).capitalize(): path[name] for name in sorted(path)}
        return [invalid_value("spec", shown, text)]
    if resource is None and path is None:
        return [Cause("FieldValueInvalid", f"Invalid value: null: {text}", "spec")]
    return []


def _verdict(engine: Engine, user: User, spec: Body) -> Body:
    resource = spec.get("resourceAttributes")
    if resource is not None:
        question = Question(
            resource.get("verb", ""),
            resource.get("group", ""),
            resource.get("resource", ""),
            resource.get("subresource", ""),
            resource.get("namespace", ""),
            resource.get("name", ""),
        )
    else:
        path = spec.get("nonResourceAttributes") or {}
        question = Question(path.get("verb", ""), path=path.get("path", ""))
    found = engine.rbac.authorize(user, question)
    made: Body = {"allowed": found.allowed}
    if found.reason:
        made["reason"] = found.reason
    return made


_ANSWERS: Final[dict[str, Callable[[Engine, User, Body, str], Body]]] = {
    "SelfSubjectReview": _self_subject,
    "TokenReview": _token,
    "SubjectAccessReview": _subject_access,
    "LocalSubjectAccessReview": _local_access,
    "SelfSubjectAccessReview": _self_access,
    "SelfSubjectRulesReview": _self_rules,
}
