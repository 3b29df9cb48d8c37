"""Admission policies: the stored ValidatingAdmissionPolicies and MutatingAdmissionPolicies.

They take effect with the write that stores them; on a real API server it takes about a second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api import bodies, patch
from sealoshub.hub.api.admission_env import Attributes, compile_all, environment
from sealoshub.hub.api.apply import merge
from sealoshub.hub.api.cel import Program, compile_expression
from sealoshub.hub.api.cel_values import CelError, CelSyntaxError
from sealoshub.hub.api.rules import usable_message
from sealoshub.hub.api.selectors import Requirement
from sealoshub.hub.api.status import ApiError, forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealoshub.hub.api.rbac import Rbac
    from sealoshub.hub.api.store import Event, Store

GROUP: Final = "admissionregistration.k8s.io"
# Policies do not judge policies, nor reviews, or nobody could repair a bad one.
_EXEMPT: Final = frozenset({GROUP, "authentication.k8s.io", "authorization.k8s.io"})
_CODES: Final = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413}


@dataclass(frozen=True, slots=True)
class _Match:
    """`matchConstraints` of a policy or `matchResources` of a binding."""

    rules: tuple[dict[str, Any], ...]
    excluded: tuple[dict[str, Any], ...]
    objects: tuple[Requirement, ...]
    namespaces: tuple[Requirement, ...]
    everything: bool

    def holds(self, seen: Attributes) -> bool:
        if not self.everything and not any(_rule_fits(rule, seen) for rule in self.rules):
            return False
        if any(_rule_fits(rule, seen) for rule in self.excluded):
            return False
        if self.objects and not any(
            body is not None and _labels_fit(self.objects, body) for body in (seen.body, seen.old)
        ):
            return False
        space = seen.namespace_object
        if seen.resource.kind == "Namespace" and not seen.resource.group:
            space = seen.body or seen.old
        return not self.namespaces or space is None or _labels_fit(self.namespaces, space)


@dataclass(frozen=True, slots=True)
class _Binding:
    """A binding of a policy."""

    name: str
    match: _Match
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Policy:
    """A policy with its bindings, compiled."""

    name: str
    match: _Match
    bindings: tuple[_Binding, ...]
    fails_open: bool
    conditions: tuple[tuple[str, Program], ...]
    variables: Mapping[str, Program]
    validations: tuple[dict[str, Any], ...]
    mutations: tuple[tuple[str, Program], ...]
    fault: str


class Policies:
    """The policies that are stored now.

    It is a class because it remembers them compiled until one changes.

    Args:
        store: Where they are.
        rbac: Answers the expressions' questions.
    """

    def __init__(self, store: Store, rbac: Rbac) -> None:
        self._store = store
        self._rbac = rbac
        self._known: dict[str, list[_Policy]] = {}

    def apply(self, event: Event) -> None:
        """Take note of a change."""
        if event.resource.startswith(f"{GROUP}/"):
            self._known = {}

    def mutate(self, seen: Attributes) -> dict[str, Any]:
        """Return the object after all mutating policies.

        Raises:
            ApiError: A policy that must not fail failed.
        """
        body = seen.body or {}
        if seen.resource.group in _EXEMPT:
            return body
        for policy in self._policies("mutatingadmissionpolicies"):
            for binding in policy.bindings:
                now = replace(seen, body=body)
                if policy.match.holds(now) and binding.match.holds(now):
                    body = self._mutate(policy, binding, now)
        return body

    def validate(self, seen: Attributes) -> list[str]:
        """Ask all validating policies.

        Returns:
            Warnings of bindings whose action is to warn.

        Raises:
            ApiError: A policy refuses; the first one words the answer.
        """
        warnings: list[str] = []
        if seen.resource.group in _EXEMPT:
            return warnings
        for policy in self._policies("validatingadmissionpolicies"):
            if not policy.match.holds(seen):
                continue
            for binding in policy.bindings:
                if binding.match.holds(seen):
                    warnings += self._validate(policy, binding, seen)
        return warnings

    def _policies(self, plural: str) -> list[_Policy]:
        known = self._known.get(plural)
        if known is None:
            bindings = plural.replace("policies", "policybindings")
            by_policy: dict[str, list[dict[str, Any]]] = {}
            for one in self._store.scan(f"{GROUP}/{bindings}", None):
                by_policy.setdefault(one["spec"].get("policyName", ""), []).append(one)
            known = self._known[plural] = [
                _compile(one, by_policy.get(one["metadata"]["name"], []))
                for one in self._store.scan(f"{GROUP}/{plural}", None)
            ]
        return known

    def _applies(self, policy: _Policy, env: dict[str, Any]) -> bool:
        failure: CelError | None = None
        for name, program in policy.conditions:
            try:
                if program.evaluate(env) is not True:
                    return False
            except CelError as exc:
                failure = failure or CelError(f"matchCondition {name!r}: {exc}")
        if failure is not None:
            raise failure
        return True

    def _mutate(self, policy: _Policy, binding: _Binding, seen: Attributes) -> dict[str, Any]:
        body = seen.body or {}
        where = f"policy '{policy.name}' with binding '{binding.name}' denied request"
        try:
            if policy.fault:
                raise CelError(policy.fault)  # noqa: TRY301  # one place decides about failures
            if not self._applies(policy, environment(self._rbac, seen, policy.variables)):
                return body
            for kind, program in policy.mutations:
                now = replace(seen, body=body)
                value = program.evaluate(environment(self._rbac, now, policy.variables))
                if kind == "JSONPatch":
                    body = patch.json_patch(body, value)
                else:
                    body = merge(seen.resource.schema, body, value)
        except (CelError, ApiError) as exc:
            if policy.fails_open:
                return body
            # Kubernetes answers 403 with the reason Invalid here, and without the usual prefix.
            details = {**(_refusal(seen, "", "").details or {})}
            details["causes"] = [{"message": f"{where}: {exc}"}]
            raise ApiError(403, "Invalid", f"{where}: {exc}", details=details) from exc
        bodies.finish(seen.resource, body)
        return body

    def _validate(self, policy: _Policy, binding: _Binding, seen: Attributes) -> list[str]:
        env = environment(self._rbac, seen, policy.variables)
        head = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}'"
        try:
            if policy.fault:
                raise CelError(policy.fault)  # noqa: TRY301  # one place decides about failures
            if not self._applies(policy, env):
                return []
        except CelError as exc:
            if policy.fails_open:
                return []
            raise _refusal(seen, f"{head} denied request: {exc}", "Invalid") from exc
        warnings: list[str] = []
        for validation in policy.validations:
            refusal = self._judge(policy, validation, env, seen)
            if refusal is None:
                continue
            message, reason = refusal
            if "Deny" in binding.actions:
                raise _refusal(seen, f"{head} denied request: {message}", reason)
            if "Warn" in binding.actions:
                warnings.append(
                    f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with"
                    f" binding '{binding.name}': {message}"
                )
        return warnings

    def _judge(
        self, policy: _Policy, validation: dict[str, Any], env: dict[str, Any], seen: Attributes
    ) -> tuple[str, str] | None:
        """Return why a validation refuses, and its reason; None if it does not."""
        try:
            if validation["program"].evaluate(env) is True:
                return None
            return self._message(policy, validation, seen), validation.get("reason") or "Invalid"
        except CelError as exc:
            if policy.fails_open:
                return None
            text = validation["expression"].strip()
            return f"expression '{text}' resulted in error: {exc}", "Invalid"

    def _message(self, policy: _Policy, validation: dict[str, Any], seen: Attributes) -> str:
        program: Program | None = validation["messageProgram"]
        if program is not None:
            env = environment(self._rbac, seen, policy.variables, authorizer=False)
            try:
                text = usable_message(program.evaluate(env))
            except CelError:
                text = None  # as Kubernetes: fall back to the fixed message
            if text:
                return text
        fixed = str(validation.get("message") or "").strip()
        return fixed or f"failed expression: {validation['expression'].strip()}"


def _refusal(seen: Attributes, message: str, reason: str) -> ApiError:
    metadata = (seen.body or {}).get("metadata", {})
    name = seen.name or metadata.get("name") or metadata.get("generateName") or "Unknown"
    plain = forbidden(seen.resource.group, seen.resource.plural, name, message)
    details = {**(plain.details or {}), "causes": [{"message": message}]}
    return ApiError(_CODES.get(reason, 422), reason, plain.message, details=details)


def _compile(source: dict[str, Any], bindings: list[dict[str, Any]]) -> _Policy:
    spec = source["spec"]
    fault = ""
    conditions: tuple[tuple[str, Program], ...] = ()
    variables: dict[str, Program] = {}
    validations: list[dict[str, Any]] = []
    mutations: list[tuple[str, Program]] = []
    try:
        conditions = tuple(
            compile_all(
                {one["name"]: one["expression"] for one in spec.get("matchConditions") or ()}
            ).items()
        )
        variables = compile_all(
            {one["name"]: one["expression"] for one in spec.get("variables") or ()}
        )
        for one in spec.get("validations") or ():
            message = one.get("messageExpression")
            validations.append(
                {
                    **one,
                    "program": compile_expression(one["expression"]),
                    "messageProgram": compile_expression(message) if message else None,
                }
            )
        for one in spec.get("mutations") or ():
            part = one.get("jsonPatch") or one.get("applyConfiguration") or {}
            mutations.append((one["patchType"], compile_expression(part["expression"])))
    except CelSyntaxError as exc:
        fault = f"compilation error: {exc}"
    return _Policy(
        source["metadata"]["name"],
        _match(spec.get("matchConstraints")),
        tuple(
            _Binding(
                one["metadata"]["name"],
                _match(one["spec"].get("matchResources"), optional=True),
                tuple(one["spec"].get("validationActions") or ()),
            )
            for one in bindings
        ),
        spec.get("failurePolicy") == "Ignore",
        conditions,
        variables,
        tuple(validations),
        tuple(mutations),
        fault,
    )


def _match(source: dict[str, Any] | None, *, optional: bool = False) -> _Match:
    given = source or {}
    rules = tuple(given.get("resourceRules") or ())
    return _Match(
        rules,
        tuple(given.get("excludeResourceRules") or ()),
        _requirements(given.get("objectSelector") or {}),
        _requirements(given.get("namespaceSelector") or {}),
        optional and not rules,
    )


def _requirements(selector: dict[str, Any]) -> tuple[Requirement, ...]:
    operators: dict[str, Callable[[list[str]], tuple[str, tuple[str, ...]]]] = {
        "In": lambda values: ("in", tuple(values)),
        "NotIn": lambda values: ("notin", tuple(values)),
        "Exists": lambda _values: ("exists", ()),
        "DoesNotExist": lambda _values: ("missing", ()),
    }
    found = [
        Requirement(key, "in", (value,))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for one in selector.get("matchExpressions") or ():
        operator, values = operators[one["operator"]](one.get("values") or [])
        found.append(Requirement(one["key"], operator, values))
    return tuple(found)


def _labels_fit(requirements: tuple[Requirement, ...], body: dict[str, Any]) -> bool:
    labels = body.get("metadata", {}).get("labels") or {}
    return all(one.holds(labels) for one in requirements)


def _rule_fits(rule: dict[str, Any], seen: Attributes) -> bool:
    scope = rule.get("scope") or "*"
    namespaced = "Namespaced" if seen.resource.namespaced else "Cluster"
    names = rule.get("resourceNames")
    return (
        _listed(rule.get("apiGroups"), seen.resource.group)
        and _listed(rule.get("apiVersions"), seen.resource.version)
        and _listed(rule.get("operations"), seen.operation)
        and scope in {"*", namespaced}
        and any(_resource_fits(one, seen) for one in rule.get("resources") or ())
        and (not names or seen.name in names)
    )


def _listed(values: list[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


def _resource_fits(listed: str, seen: Attributes) -> bool:
    resource, _, subresource = listed.partition("/")
    return resource in {"*", seen.resource.plural} and subresource in (
        {"*", seen.subresource} if subresource else {seen.subresource}
    )
