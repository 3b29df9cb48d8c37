"""The rules of CRDs: `x-kubernetes-validations`, evaluated where they stand in the schema."""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api.cel import Program, compile_expression
from sealoshub.hub.api.cel_values import NOTHING, CelError, CelSyntaxError, Optional
from sealoshub.hub.api.status import Cause, forbidden_field, go_value, invalid_value, required
from sealoshub.hub.api.validation import MISSING, child_path, correlations, former

if TYPE_CHECKING:
    from sealoshub.hub.api.schema import Schema

LONGEST_MESSAGE: Final = 5 * 1024  # MaxEvaluatedMessageExpressionSizeBytes of Kubernetes
NOT_CHECKED: Final = Cause(
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid;"
    " correct the existing errors to complete validation",
    "<nil>",
)


def check_rules(schema: Schema, value: Any, old: Any = MISSING, path: str = "") -> list[Cause]:
    """Return the faults that the rules of *schema* find in *value*.

    Args:
        schema: The schema of the object or a part of it.
        value: The object or a part of it.
        old: The same part before the change; `MISSING` if there was none.
        path: Where it stands.
    """
    if value is None:
        return []
    faults: list[Cause] = []
    for rule in schema.rules:
        faults += _check(schema, rule, value, old, path)
    if isinstance(value, dict):
        for name, item in value.items():
            child = schema.child(name)
            if child is not None:
                before = old.get(name, MISSING) if isinstance(old, dict) else MISSING
                is_map = name not in schema.properties
                faults += check_rules(child, item, before, child_path(path, name, is_map=is_map))
    elif isinstance(value, list) and schema.items is not None:
        known = correlations(schema, old)
        for at, item in enumerate(value):
            before = former(schema, known, item)
            faults += check_rules(schema.items, item, before, f"{path}[{at}]")
    return faults


def has_rules(schema: Schema) -> bool:
    """Tell whether a custom resource's schema has any rules."""
    below = [*schema.properties.values(), schema.items, schema.additional]
    return bool(schema.rules) or any(one is not None and has_rules(one) for one in below)


def compile_faults(schema: Schema, path: str, seen: set[int] | None = None) -> list[Cause]:
    """Return the faults of the rules themselves, for the validation of a CRD."""
    visited = set() if seen is None else seen
    if id(schema) in visited:
        return []
    visited.add(id(schema))
    faults: list[Cause] = []
    for at, rule in enumerate(schema.rules):
        for word, name in (("rule", "rule"), ("messageExpression", "messageExpression")):
            if rule.get(word):
                try:
                    compile_expression(rule[word])
                except CelSyntaxError as exc:
                    field = f"{path}.x-kubernetes-validations[{at}].{name}"
                    faults.append(
                        invalid_value(field, rule[word], f"compilation failed: ERROR: {exc}")
                    )
    for name, child in schema.properties.items():
        faults += compile_faults(child, f"{path}.properties[{name}]", visited)
    if schema.items is not None:
        faults += compile_faults(schema.items, f"{path}.items", visited)
    if schema.additional is not None:
        faults += compile_faults(schema.additional, f"{path}.additionalProperties", visited)
    return faults


def _check(schema: Schema, rule: dict[str, Any], value: Any, old: Any, path: str) -> list[Cause]:
    text = rule["rule"].strip()
    shown = str(rule.get("message") or text).strip()
    try:
        program = compile_expression(rule["rule"])
    except CelSyntaxError as exc:
        return [invalid_value(path or "<nil>", schema.type, f"rule compile error: {exc}")]
    env = {"self": value}
    if "oldSelf" in program.names:
        if rule.get("optionalOldSelf"):
            env["oldSelf"] = NOTHING if old is MISSING else Optional(present=True, value=old)
        elif old is MISSING or old is None:
            return []  # a transition rule, and nothing to compare with
        else:
            env["oldSelf"] = old
    try:
        if program.evaluate(env) is True:
            return []
    except CelError as exc:
        return [invalid_value(path or "<nil>", schema.type, f"{exc} evaluating rule: {shown}")]
    detail = _message(rule, env) or str(rule.get("message") or f"failed rule: {text}").strip()
    at = rule.get("fieldPath", "")
    return [
        _cause(
            schema, rule.get("reason"), value, detail, f"{path}{at}".removeprefix(".") or "<nil>"
        )
    ]


def _message(rule: dict[str, Any], env: dict[str, Any]) -> str | None:
    expression = rule.get("messageExpression")
    if not expression:
        return None
    try:
        program: Program = compile_expression(expression)
        return usable_message(program.evaluate(env))
    except (CelError, CelSyntaxError):
        return None  # as Kubernetes: fall back to the fixed message


def usable_message(value: Any) -> str | None:
    """Return what a messageExpression gave if it can be a message, else None."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not text or "\n" in text or len(text.encode()) > LONGEST_MESSAGE:
        return None
    return text


def _cause(schema: Schema, reason: str | None, value: Any, detail: str, path: str) -> Cause:
    plain = schema.type in {"object", "array"}
    match reason:
        case "FieldValueForbidden":
            return forbidden_field(path, detail)
        case "FieldValueRequired":
            return required(path, detail)
        case "FieldValueDuplicate":
            text = "Duplicate value" if plain else f"Duplicate value: {go_value(value)}"
            return Cause("FieldValueDuplicate", f"{text}: {detail}", path)
        case _ if plain:
            return Cause("FieldValueInvalid", f"Invalid value: {detail}", path)
        case _:
            return invalid_value(path, value, detail)
