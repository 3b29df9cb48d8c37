"""What expressions of policies can see: `object`, `request`, `authorizer`, `variables`."""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from sealoshub.hub.api.cel import Program, compile_expression
from sealoshub.hub.api.cel_values import CelError, CelSyntaxError, no_overload
from sealoshub.hub.api.rbac import Question, Rbac, User
from sealoshub.hub.api.tokens import account_user

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealoshub.hub.api.resources import Resource

Operation = Literal["CREATE", "UPDATE", "DELETE"]


@dataclass(frozen=True, slots=True)
class Attributes:
    """One write, as admission sees it.

    Args:
        resource: What is written.
        operation: `CREATE`, `UPDATE` or `DELETE`.
        user: Who writes.
        namespace: Empty for cluster scope.
        name: May be empty when a name is generated.
        body: The new object; None for a deletion.
        old: The object before; None for a creation.
        subresource: `status`, or empty.
        dry_run: Whether nothing is to be kept.
        namespace_object: The namespace; None for cluster scope.
        options: The options of the request.
    """

    resource: Resource
    operation: Operation
    user: User
    namespace: str
    name: str
    body: dict[str, Any] | None
    old: dict[str, Any] | None
    subresource: str = ""
    dry_run: bool = False
    namespace_object: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def request(self) -> dict[str, Any]:
        """Return the variable `request`."""
        kind = {
            "group": self.resource.group,
            "version": self.resource.version,
            "kind": self.resource.kind,
        }
        resource = {
            "group": self.resource.group,
            "version": self.resource.version,
            "resource": self.resource.plural,
        }
        return {
            "kind": kind,
            "resource": resource,
            "subResource": self.subresource,
            "requestKind": kind,
            "requestResource": resource,
            "requestSubResource": self.subresource,
            "name": self.name,
            "namespace": self.namespace,
            "operation": self.operation,
            "userInfo": {"uid": "", "groups": [], "extra": {}, **self.user.info()},
            "dryRun": self.dry_run,
            "options": self.options,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """`check(…)` of an authorizer."""

    is_allowed: bool
    why: str

    def select(self, name: str) -> Any:
        """Refuse: a decision has no fields."""
        raise no_overload(name)

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Offer `allowed`, `reason`, `errored` and `error`."""
        match name, arguments:
            case "allowed", []:
                return self.is_allowed
            case "reason", []:
                return self.why
            case "errored", []:
                return False
            case "error", []:
                return ""
            case _:
                raise no_overload(name)


@dataclass(frozen=True, slots=True)
class Check:
    """A question that an expression puts together: `authorizer.group(…).resource(…)…`."""

    rbac: Rbac
    user: User
    question: Question

    def select(self, name: str) -> Any:
        """Refuse: a question has no fields."""
        raise no_overload(name)

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Offer `resource`, `subresource`, `namespace`, `name` and `check`."""
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            raise no_overload(name)
        text = arguments[0]
        if name == "check":
            question = replace(self.question, verb=text)
            answer = self.rbac.authorize(self.user, question)
            return Decision(answer.allowed, answer.reason)
        if name in {"resource", "subresource", "namespace", "name"}:
            return replace(self, question=replace(self.question, **{name: text}))
        raise no_overload(name)


@dataclass(frozen=True, slots=True)
class Authorizer:
    """The variable `authorizer`."""

    rbac: Rbac
    user: User
    attributes: Attributes

    def select(self, name: str) -> Any:
        """Offer `requestResource`."""
        if name != "requestResource":
            raise CelError(f"no such key: {name}")
        seen = self.attributes
        question = Question(
            "",
            seen.resource.group,
            seen.resource.plural,
            seen.subresource,
            seen.namespace,
            seen.name,
        )
        return Check(self.rbac, self.user, question)

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Offer `group`, `path` and `serviceAccount`."""
        match name, arguments:
            case "group", [str(group)]:
                return Check(self.rbac, self.user, Question("", group))
            case "path", [str(path)]:
                return Check(self.rbac, self.user, Question("", path=path))
            case "serviceAccount", [str(namespace), str(account)]:
                return replace(self, user=account_user(namespace, account))
            case _:
                raise no_overload(name)


class Variables:
    """The variable `variables`: each is evaluated when it is first used.

    It is a class because it remembers the values for one request.

    Args:
        programs: The expressions by name.
        env: What they can see besides each other.
    """

    def __init__(self, programs: Mapping[str, Program], env: Mapping[str, Any]) -> None:
        self._programs = programs
        self._env = {**env, "variables": self}
        self._values: dict[str, Any] = {}

    def select(self, name: str) -> Any:
        """Return a variable's value."""
        if name not in self._values:
            program = self._programs.get(name)
            if program is None:
                raise CelError(f"no such key: {name}")
            try:
                self._values[name] = program.evaluate(self._env)
            except CelError as exc:
                raise CelError(f"composited variable {name!r} fails to evaluate: {exc}") from exc
        return self._values[name]

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Refuse: variables have no methods."""
        del arguments
        raise no_overload(name)


def compile_all(expressions: Mapping[str, str]) -> dict[str, Program]:
    """Compile named expressions.

    Raises:
        CelSyntaxError: One of them is no CEL; the message names it.
    """
    made: dict[str, Program] = {}
    for name, text in expressions.items():
        try:
            made[name] = compile_expression(text)
        except CelSyntaxError as exc:
            raise CelSyntaxError(f"{name}: {exc}") from exc
    return made


def environment(
    rbac: Rbac, seen: Attributes, variables: Mapping[str, Program], *, authorizer: bool = True
) -> dict[str, Any]:
    """Return the variables of one evaluation.

    Args:
        rbac: Answers the authorizer's questions.
        seen: The write.
        variables: The policy's own variables.
        authorizer: False for message expressions, which may not ask.
    """
    env: dict[str, Any] = {
        "object": seen.body,
        "oldObject": seen.old,
        "request": seen.request(),
        "params": None,
        "namespaceObject": seen.namespace_object,
    }
    if authorizer:
        env["authorizer"] = Authorizer(rbac, seen.user, seen)
    env["variables"] = Variables(variables, env)
    return env
