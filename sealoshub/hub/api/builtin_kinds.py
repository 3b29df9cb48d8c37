"""What is special about the built-in kinds: their defaults, and rules that no schema says."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api import metadata, rules
from sealoshub.hub.api.cel import compile_expression
from sealoshub.hub.api.cel_values import CelSyntaxError
from sealoshub.hub.api.rbac import GROUP as RBAC
from sealoshub.hub.api.status import (
    Cause,
    bad_request,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.hub.api.schema import Builtin

Body = dict[str, Any]
_IMMUTABLE: Final = "field is immutable"
_SECRET_SIZE: Final = 1024 * 1024  # bytes
_REASONS: Final = ("Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge")
# The real one takes Unauthorized and does not name it.
_NAMED_REASONS: Final = ("Forbidden", "Invalid", "RequestEntityTooLarge")


def fill(kind: str, body: Body) -> None:
    """Fill in the defaults of a built-in kind, in place."""
    filler = _FILLERS.get(kind)
    if filler is not None:
        filler(body)


def begin(kind: str, body: Body) -> None:
    """Fill in what the server adds to a new object beyond its defaults, in place."""
    if kind == "Namespace":
        _fill_namespace(body)
        body["spec"] = {"finalizers": ["kubernetes"]}
        body["status"] = {"phase": "Active"}
    elif kind == "CustomResourceDefinition":
        establish(body)


def faults(kind: str, body: Body, old: Body | None, schemas: Builtin) -> list[Cause]:
    """Return the faults of an object of a built-in kind that its schema does not find."""
    checker = _CHECKERS.get(kind)
    return [] if checker is None else checker(body, old, schemas)


def keep_on_update(kind: str, body: Body, old: Body) -> None:
    """Take from *old* what an update of the main resource cannot change, in place."""
    if kind == "Namespace":
        body["spec"] = old.get("spec", {})
    if kind in {"Namespace", "CustomResourceDefinition", "ValidatingAdmissionPolicy"}:
        if "status" in old:
            body["status"] = old["status"]
        else:
            body.pop("status", None)


def _fill_namespace(body: Body) -> None:
    labels = body["metadata"].setdefault("labels", {})
    if body["metadata"].get("name"):
        labels["kubernetes.io/metadata.name"] = body["metadata"]["name"]


def _fill_secret(body: Body) -> None:
    body.setdefault("type", "Opaque")
    texts = body.pop("stringData", None)
    for key, text in (texts or {}).items():
        body.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()
    for text in (body.get("data") or {}).values():
        try:
            base64.b64decode(text or "", validate=True)
        except (binascii.Error, ValueError) as exc:
            raise bad_request(
                'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at'
                f" input byte {_first_bad(text)}"
            ) from exc


def _first_bad(text: str) -> int:
    """Return where base64 ends to be base64, as Go counts it."""
    found = re.match("[A-Za-z0-9+/]*={0,2}", text)
    end = found.end() if found is not None else 0
    return end if end < len(text) else len(text) // 4 * 4


def _fill_role(body: Body) -> None:
    body.setdefault("rules", None)


def _fill_binding(body: Body) -> None:
    reference = body.setdefault("roleRef", {})
    reference["apiGroup"] = reference.get("apiGroup") or RBAC
    for subject in body.get("subjects") or ():
        if subject.get("kind") in {"User", "Group"}:
            subject["apiGroup"] = subject.get("apiGroup") or RBAC


def _fill_policy(body: Body) -> None:
    spec = body.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    _fill_match(spec.get("matchConstraints"))
    if body["kind"] == "MutatingAdmissionPolicy":
        spec.setdefault("reinvocationPolicy", "Never")
    else:
        body.setdefault("status", {})


def _fill_policy_binding(body: Body) -> None:
    spec = body.setdefault("spec", {})
    _fill_match(spec.get("matchResources"))


def _fill_match(match: Body | None) -> None:
    if match is None:
        return
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    for word in ("resourceRules", "excludeResourceRules"):
        for rule in match.get(word) or ():
            rule.setdefault("scope", "*")


def _fill_crd(body: Body) -> None:
    spec = body.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind", "")
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List")
    spec.setdefault("conversion", {"strategy": "None"})
    body.setdefault("status", {})


def establish(body: Body) -> None:
    """Write the status that the API server's own controllers give a CRD, in place."""
    time = metadata.now()
    known = {c["type"]: c for c in body.get("status", {}).get("conditions") or ()}
    fresh = [
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ]
    stored = [v["name"] for v in body["spec"]["versions"] if v.get("storage")]
    body["status"] = {
        "conditions": [
            known.get(kind)
            or {
                "type": kind,
                "status": "True",
                "lastTransitionTime": time,
                "reason": reason,
                "message": message,
            }
            for kind, reason, message in fresh
        ],
        "acceptedNames": body["spec"]["names"],
        "storedVersions": stored,
    }


def _check_secret(body: Body, old: Body | None, _schemas: Builtin) -> list[Cause]:
    found: list[Cause] = []
    if old is not None:
        if old.get("type") != body.get("type"):
            found.append(invalid_value("type", body.get("type"), _IMMUTABLE))
        if old.get("immutable") and (
            not body.get("immutable") or old.get("data") != body.get("data")
        ):
            found.append(forbidden_field("data", "field is immutable when `immutable` is set"))
    size = sum(len(text or "") * 3 // 4 for text in (body.get("data") or {}).values())
    if size > _SECRET_SIZE:
        text = f"Too long: may not be more than {_SECRET_SIZE} bytes"
        found.append(Cause("FieldValueTooLong", text, "data"))
    return found


def _check_rules(body: Body, _old: Body | None, _schemas: Builtin) -> list[Cause]:
    found: list[Cause] = []
    verbs: list[Cause] = []
    for at, rule in enumerate(body.get("rules") or ()):
        field = f"rules[{at}]"
        if not rule.get("verbs"):
            verbs.append(required(f"{field}.verbs"))
        if rule.get("nonResourceURLs"):
            if body["kind"] == "Role":
                text = "namespaced rules cannot apply to non-resource URLs"
                found.append(
                    invalid_value(f"{field}.nonResourceURLs", rule["nonResourceURLs"], text)
                )
            if any(rule.get(k) for k in ("apiGroups", "resources", "resourceNames")):
                text = "rules cannot apply to both regular resources and non-resource URLs"
                found.append(
                    invalid_value(f"{field}.nonResourceURLs", rule["nonResourceURLs"], text)
                )
            continue
        if not rule.get("apiGroups"):
            text = "resource rules must supply at least one api group"
            found.append(required(f"{field}.apiGroups", text))
        if not rule.get("resources"):
            text = "resource rules must supply at least one resource"
            found.append(required(f"{field}.resources", text))
    return found + verbs


def _check_binding(body: Body, old: Body | None, _schemas: Builtin) -> list[Cause]:
    found: list[Cause] = []
    reference = body.get("roleRef") or {}
    kinds = ["ClusterRole"] if body["kind"] == "ClusterRoleBinding" else ["Role", "ClusterRole"]
    if reference.get("apiGroup") != RBAC:
        found.append(unsupported("roleRef.apiGroup", reference.get("apiGroup"), [RBAC]))
    if reference.get("kind") not in kinds:
        found.append(unsupported("roleRef.kind", reference.get("kind", ""), kinds))
    for at, subject in enumerate(body.get("subjects") or ()):
        found += _check_subject(subject, f"subjects[{at}]", body["kind"])
    if not reference.get("name"):
        found.append(required("roleRef.name"))
    if old is not None and old.get("roleRef") != reference:
        shown = {
            "APIGroup": reference.get("apiGroup"),
            "Kind": reference.get("kind"),
            "Name": reference.get("name"),
        }
        found.append(invalid_value("roleRef", shown, _IMMUTABLE))
    return found


def _check_subject(subject: Body, field: str, kind: str) -> list[Cause]:
    found: list[Cause] = []
    if not subject.get("name"):
        found.append(required(f"{field}.name"))
    match subject.get("kind"):
        case "ServiceAccount":
            if subject.get("apiGroup"):
                found.append(unsupported(f"{field}.apiGroup", subject["apiGroup"], [""]))
            if subject.get("name"):
                found += [
                    invalid_value(f"{field}.name", subject["name"], text)
                    for text in metadata.dns_subdomain(subject["name"])
                ]
            if kind == "ClusterRoleBinding" and not subject.get("namespace"):
                found.append(required(f"{field}.namespace"))
        case "User" | "Group":
            if subject.get("apiGroup") != RBAC:
                found.append(unsupported(f"{field}.apiGroup", subject.get("apiGroup"), [RBAC]))
        case other:
            kinds = ["ServiceAccount", "User", "Group"]
            found.append(unsupported(f"{field}.kind", other or "", kinds))
    return found


def _check_lease(body: Body, _old: Body | None, _schemas: Builtin) -> list[Cause]:
    spec = body.get("spec") or {}
    found: list[Cause] = []
    seconds, changes = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        found.append(invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if changes is not None and changes < 0:
        text = "must be greater than or equal to 0"
        found.append(invalid_value("spec.leaseTransitions", changes, text))
    return found


def _check_policy(body: Body, _old: Body | None, _schemas: Builtin) -> list[Cause]:
    spec = body.get("spec") or {}
    found = _missing_of_policy(body["kind"], spec)
    for word in ("matchConditions", "variables", "validations"):
        for at, one in enumerate(spec.get(word) or ()):
            field = f"spec.{word}[{at}]"
            found += _check_expression(f"{field}.expression", one.get("expression"))
            if one.get("messageExpression"):
                found += _check_expression(f"{field}.messageExpression", one["messageExpression"])
            if one.get("reason", "Invalid") not in _REASONS:
                found.append(unsupported(f"{field}.reason", one["reason"], list(_NAMED_REASONS)))
            if word != "validations" and not one.get("name"):
                found.append(required(f"{field}.name"))
    for at, one in enumerate(spec.get("mutations") or ()):
        field = f"spec.mutations[{at}]"
        words = {"JSONPatch": "jsonPatch", "ApplyConfiguration": "applyConfiguration"}
        word_of = words.get(one.get("patchType", ""))
        if word_of is None:
            found.append(unsupported(f"{field}.patchType", one.get("patchType", ""), sorted(words)))
        else:
            part = one.get(word_of) or {}
            found += _check_expression(f"{field}.{word_of}.expression", part.get("expression"))
    return found


def _missing_of_policy(kind: str, spec: Body) -> list[Cause]:
    found: list[Cause] = []
    if spec.get("matchConstraints") is None:
        found.append(required("spec.matchConstraints"))
    elif not spec["matchConstraints"].get("resourceRules"):
        found.append(required("spec.matchConstraints.resourceRules"))
    if kind == "MutatingAdmissionPolicy":
        if not spec.get("mutations"):
            found.append(required("spec.mutations", "must specify at least one mutation"))
    elif not spec.get("validations") and not spec.get("auditAnnotations"):
        text = "validations or auditAnnotations must contain at least one item"
        found += [required(f"spec.{word}", text) for word in ("validations", "auditAnnotations")]
    return found


def _check_expression(field: str, text: str | None) -> list[Cause]:
    if not text or not text.strip():
        return [required(field)]
    try:
        compile_expression(text)
    except CelSyntaxError as exc:
        return [invalid_value(field, text, f"compilation failed: {exc}")]
    return []


def _check_policy_binding(body: Body, _old: Body | None, _schemas: Builtin) -> list[Cause]:
    spec = body.get("spec") or {}
    found: list[Cause] = []
    if not spec.get("policyName"):
        found.append(required("spec.policyName"))
    if body["kind"] == "ValidatingAdmissionPolicyBinding":
        actions = spec.get("validationActions") or []
        if not actions:
            found.append(
                required("spec.validationActions", "at least one validation action is required")
            )
        found += [
            unsupported(f"spec.validationActions[{at}]", one, ["Audit", "Deny", "Warn"])
            for at, one in enumerate(actions)
            if one not in {"Audit", "Deny", "Warn"}
        ]
    return found


def _check_crd(body: Body, old: Body | None, schemas: Builtin) -> list[Cause]:
    spec = body["spec"]
    names = spec.get("names") or {}
    found: list[Cause] = []
    wanted = f"{names.get('plural', '')}.{spec.get('group', '')}"
    if body["metadata"].get("name") != wanted:
        text = 'must be spec.names.plural+"."+spec.group'
        found.append(invalid_value("metadata.name", body["metadata"].get("name"), text))
    if spec.get("scope") not in {"Cluster", "Namespaced"}:
        found.append(unsupported("spec.scope", spec.get("scope", ""), ["Cluster", "Namespaced"]))
    versions = spec.get("versions") or []
    if sum(1 for one in versions if one.get("storage")) != 1:
        text = "must have exactly one version marked as storage version"
        found.append(invalid_value("spec.versions", versions, text))
    for at, version in enumerate(versions):
        # Kubernetes keeps the schema of an only version in one place for all.
        place = "spec.validation" if len(versions) == 1 else f"spec.versions[{at}].schema"
        field = f"{place}.openAPIV3Schema"
        openapi = (version.get("schema") or {}).get("openAPIV3Schema")
        if openapi is None:
            found.append(required(field, "schemas are required"))
        else:
            found += rules.compile_faults(schemas.compile(openapi), field)
    return found if old is None else found + _check_crd_change(spec, old["spec"])


def _check_crd_change(spec: Body, before: Body) -> list[Cause]:
    names, old_names = spec.get("names") or {}, before["names"]
    pairs = [(f"spec.{word}", spec.get(word), before.get(word)) for word in ("group", "scope")]
    pairs += [
        (f"spec.names.{word}", names.get(word), old_names.get(word)) for word in ("plural", "kind")
    ]
    return [invalid_value(field, new, _IMMUTABLE) for field, new, old in pairs if new != old]


_FILLERS: Final[dict[str, Callable[[Body], None]]] = {
    "Namespace": _fill_namespace,
    "Secret": _fill_secret,
    "ClusterRole": _fill_role,
    "Role": _fill_role,
    "ClusterRoleBinding": _fill_binding,
    "RoleBinding": _fill_binding,
    "ValidatingAdmissionPolicy": _fill_policy,
    "MutatingAdmissionPolicy": _fill_policy,
    "ValidatingAdmissionPolicyBinding": _fill_policy_binding,
    "MutatingAdmissionPolicyBinding": _fill_policy_binding,
    "CustomResourceDefinition": _fill_crd,
}
_CHECKERS: Final[dict[str, Callable[[Body, Body | None, Builtin], list[Cause]]]] = {
    "Lease": _check_lease,
    "Secret": _check_secret,
    "ClusterRole": _check_rules,
    "Role": _check_rules,
    "ClusterRoleBinding": _check_binding,
    "RoleBinding": _check_binding,
    "ValidatingAdmissionPolicy": _check_policy,
    "MutatingAdmissionPolicy": _check_policy,
    "ValidatingAdmissionPolicyBinding": _check_policy_binding,
    "MutatingAdmissionPolicyBinding": _check_policy_binding,
    "CustomResourceDefinition": _check_crd,
}
