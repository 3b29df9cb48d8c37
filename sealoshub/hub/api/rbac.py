"""Role based access control: who may do what, answered from memory.

The rules are those of `plugin/pkg/auth/authorizer/rbac` and `pkg/registry/rbac/validation` of
Kubernetes. Bindings are indexed by namespace and subject, so that a question costs the same with
ten organisations as with ten thousand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealoshub.hub.api.store import Event

GROUP: Final = "rbac.authorization.k8s.io"
MASTERS: Final = "system:masters"
AUTHENTICATED: Final = "system:authenticated"
UNAUTHENTICATED: Final = "system:unauthenticated"
ANONYMOUS: Final = "system:anonymous"
ACCOUNT_PREFIX: Final = "system:serviceaccount:"
Rule = dict[str, Any]
Subject = tuple[str, str]  # "User" or "Group", and its name; an account is the user it acts as


@dataclass(frozen=True, slots=True)
class User:
    """Who asks.

    Args:
        name: User name.
        uid: Unique identifier; empty if there is none.
        groups: Groups.
        extra: Further facts, `authentication.kubernetes.io/credential-id`.
    """

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def info(self) -> dict[str, Any]:
        """Return the shape of a `UserInfo`."""
        made: dict[str, Any] = {"username": self.name}
        if self.uid:
            made["uid"] = self.uid
        if self.groups:
            made["groups"] = list(self.groups)
        if self.extra:
            made["extra"] = {key: list(values) for key, values in self.extra.items()}
        return made


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for.

    Args:
        verb: `get`, `push`, …
        group: API group.
        resource: Plural name; empty for a path.
        subresource: Empty if none.
        namespace: Empty for cluster scope.
        name: Empty for all.
        path: The path, if it is no resource.
        version: API version; for the messages only.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict.

    Args:
        allowed: Whether it may be done.
        reason: Which binding allows it, or what is wrong with the bindings.
    """

    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Binding:
    """A binding as the index keeps it."""

    kind: str
    namespace: str
    name: str
    role_kind: str
    role: str
    subjects: tuple[tuple[Subject, str], ...]  # and how a reason shows the subject

    def shown(self) -> str:
        name = f"{self.name}/{self.namespace}" if self.namespace else self.name
        return f'{self.kind} "{name}" of {self.role_kind} "{self.role}"'


class Rbac:
    """Keep roles and bindings in memory and answer from them.

    It is a class because it is the index; `apply` keeps it in step with the store.
    """

    def __init__(self) -> None:
        self._roles: dict[tuple[str, str], list[Rule]] = {}
        self._bindings: dict[tuple[str, str], _Binding] = {}
        # namespace → subject → names of bindings; the namespace "" holds the cluster-wide ones
        self._by_subject: dict[str, dict[Subject, set[str]]] = {}

    def apply(self, event: Event) -> None:
        """Take note of a change of a role or binding."""
        group, _, plural = event.resource.partition("/")
        if group == GROUP:
            self.put(plural, event.body, deleted=event.type == "DELETED")

    def put(self, plural: str, body: dict[str, Any], *, deleted: bool = False) -> None:
        """Take note of a role or binding."""
        namespace = body["metadata"].get("namespace", "")
        key = (namespace, body["metadata"]["name"])
        if plural in {"roles", "clusterroles"}:
            if deleted:
                self._roles.pop(key, None)
            else:
                self._roles[key] = body.get("rules") or []
            return
        old = self._bindings.pop(key, None)
        subjects = self._by_subject.setdefault(namespace, {})
        if old is not None:
            for subject, _ in old.subjects:
                names = subjects.get(subject, set())
                names.discard(old.name)
                if not names:
                    subjects.pop(subject, None)
        if deleted:
            if not subjects:
                del self._by_subject[namespace]
            return
        made = _binding(body, namespace)
        self._bindings[key] = made
        for subject, _ in made.subjects:
            subjects.setdefault(subject, set()).add(made.name)

    def authorize(self, user: User, question: Question) -> Answer:
        """Answer whether *user* may do what *question* asks."""
        if MASTERS in user.groups:
            return Answer(allowed=True)
        missing: list[str] = []
        for binding, shown, rules in self._reach(user, question.namespace, missing):
            if any(rule_allows(rule, question) for rule in rules):
                return Answer(allowed=True, reason=f"RBAC: allowed by {binding.shown()} to {shown}")
        if missing:
            text = missing[0] if len(missing) == 1 else f"[{', '.join(missing)}]"
            return Answer(allowed=False, reason=f"rbac: RBAC: {text}")
        return Answer(allowed=False)

    def rules_for(self, user: User, namespace: str) -> list[Rule]:
        """Return all rules that apply to *user* in *namespace* (and in all)."""
        return [rule for _, _, rules in self._reach(user, namespace, []) for rule in rules]

    def role_rules(self, kind: str, namespace: str, name: str) -> list[Rule] | None:
        """Return the rules of a role, or None if there is no such role."""
        return self._roles.get(("" if kind == "ClusterRole" else namespace, name))

    def _reach(
        self, user: User, namespace: str, missing: list[str]
    ) -> Iterator[tuple[_Binding, str, list[Rule]]]:
        """Yield the bindings that apply: cluster-wide ones first, each by name."""
        subjects: list[Subject] = [("User", user.name), *(("Group", g) for g in user.groups)]
        for scope in dict.fromkeys(("", namespace)):
            table = self._by_subject.get(scope, {})
            names: set[str] = set()
            for subject in subjects:
                names |= table.get(subject, set())
            for name in sorted(names):
                binding = self._bindings[scope, name]
                shown = next(text for one, text in binding.subjects if one in subjects)
                rules = self.role_rules(binding.role_kind, scope, binding.role)
                if rules is None:
                    plural = f"{binding.role_kind.lower()}.{GROUP}"
                    missing.append(f'{plural} "{binding.role}" not found')
                else:
                    yield binding, shown, rules


def _binding(body: dict[str, Any], namespace: str) -> _Binding:
    subjects: list[tuple[Subject, str]] = []
    for one in body.get("subjects") or ():
        kind, name = one.get("kind"), one.get("name", "")
        if kind == "ServiceAccount":
            home = one.get("namespace") or namespace
            user = f"{ACCOUNT_PREFIX}{home}:{name}"
            subjects.append((("User", user), f'ServiceAccount "{name}/{home}"'))
        elif kind in {"User", "Group"}:
            subjects.append(((kind, name), f'{kind} "{name}"'))
    reference = body.get("roleRef") or {}
    return _Binding(
        "RoleBinding" if namespace else "ClusterRoleBinding",
        namespace,
        body["metadata"]["name"],
        reference.get("kind", ""),
        reference.get("name", ""),
        tuple(subjects),
    )


def rule_allows(rule: Rule, question: Question) -> bool:
    """Tell whether one rule covers the question."""
    if not _has(rule.get("verbs"), question.verb):
        return False
    if not question.resource:
        return any(_path_fits(one, question.path) for one in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames")
    return (
        _has(rule.get("apiGroups"), question.group)
        and _resource_fits(rule.get("resources") or (), question.resource, question.subresource)
        and (not names or question.name in names)
    )


def _has(values: list[str] | None, wanted: str) -> bool:
    return bool(values) and ("*" in values or wanted in values)  # type: ignore[operator]  # bool()


def _resource_fits(listed: list[str] | tuple[()], resource: str, subresource: str) -> bool:
    full = f"{resource}/{subresource}" if subresource else resource
    return any(one in {"*", full} or (subresource and one == f"*/{subresource}") for one in listed)


def _path_fits(listed: str, path: str) -> bool:
    if listed in {"*", path}:
        return True
    return listed.endswith("*") and path.startswith(listed.rstrip("*"))
