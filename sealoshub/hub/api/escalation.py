"""Nobody grants what he does not have: escalation prevention of roles and bindings.

After `pkg/registry/rbac` and `rbac/validation/policy_comparator.go` of Kubernetes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealoshub.hub.api.rbac import GROUP, MASTERS, Question, Rbac, Rule, User
from sealoshub.hub.api.status import ApiError, forbidden, not_found

if TYPE_CHECKING:
    from collections.abc import Iterator


def check(
    rbac: Rbac, user: User, plural: str, body: dict[str, Any], old: dict[str, Any] | None
) -> None:
    """Refuse a role or binding that gives more than *user* has.

    Args:
        rbac: What everybody has.
        user: Who writes.
        plural: `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`.
        body: The object.
        old: The object before; None if it is new.

    Raises:
        ApiError: 403 naming the rules that are missing, or 404 for a missing role.
    """
    if MASTERS in user.groups:
        return
    namespace = body["metadata"].get("namespace", "")
    name = body["metadata"].get("name", "")
    if plural in {"roles", "clusterroles"}:
        rules = body.get("rules") or []
        if old is not None and (old.get("rules") or []) == rules:
            return
        question = Question("escalate", GROUP, plural, namespace=namespace, name=name)
        if rbac.authorize(user, question).allowed:
            return
    else:
        if old is not None and all(old.get(k) == body.get(k) for k in ("subjects", "roleRef")):
            return
        reference = body.get("roleRef") or {}
        kind, role = reference.get("kind", ""), reference.get("name", "")
        target = "clusterroles" if kind == "ClusterRole" else "roles"
        question = Question("bind", GROUP, target, namespace=namespace, name=role)
        if rbac.authorize(user, question).allowed:
            return
        found = rbac.role_rules(kind, namespace, role)
        if found is None:
            raise not_found(GROUP, plural, role)  # Kubernetes names the binding here
        rules = found
    missing = uncovered(rbac.rules_for(user, namespace), rules)
    if missing:
        raise _refusal(user, plural, name, missing)


def uncovered(held: list[Rule], wanted: list[Rule]) -> list[Rule]:
    """Return the parts of the rules *wanted* that no rule of *held* covers."""
    return [
        part for rule in wanted for part in _parts(rule) if not any(_covers(h, part) for h in held)
    ]


def _parts(rule: Rule) -> Iterator[Rule]:
    """Yield a rule for each verb, group, resource and name."""
    for verb in rule.get("verbs") or ():
        for path in rule.get("nonResourceURLs") or ():
            yield {"nonResourceURLs": [path], "verbs": [verb]}
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule.get("verbs") or ():
                part = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                names = rule.get("resourceNames") or ()
                if not names:
                    yield part
                for name in names:
                    yield {**part, "resourceNames": [name]}


def _covers(held: Rule, part: Rule) -> bool:
    verb = part["verbs"][0]
    if not _listed(held.get("verbs"), verb):
        return False
    if "nonResourceURLs" in part:
        wanted = part["nonResourceURLs"][0]
        return any(
            one in {"*", wanted} or (one.endswith("*") and wanted.startswith(one[:-1]))
            for one in held.get("nonResourceURLs") or ()
        )
    names = held.get("resourceNames")
    return (
        _listed(held.get("apiGroups"), part["apiGroups"][0])
        and _resource_listed(held.get("resources") or [], part["resources"][0])
        and (not names or ("resourceNames" in part and part["resourceNames"][0] in names))
    )


def _listed(values: list[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


def _resource_listed(values: list[str], wanted: str) -> bool:
    if "*" in values or wanted in values:
        return True
    _, slash, subresource = wanted.partition("/")
    return bool(slash) and f"*/{subresource}" in values


def _refusal(user: User, plural: str, name: str, missing: list[Rule]) -> ApiError:
    groups = ", ".join(f'"{group}"' for group in user.groups)
    lines = "\n".join(_shown(rule) for rule in _compact(missing))
    return forbidden(
        GROUP,
        plural,
        name,
        f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not'
        f" currently held:\n{lines}",
    )


def _compact(rules: list[Rule]) -> list[Rule]:
    """Unite rules that differ only in their verbs."""
    united: dict[str, Rule] = {}
    for rule in rules:
        key = str({k: v for k, v in rule.items() if k != "verbs"})
        known = united.setdefault(key, {**rule, "verbs": []})
        known["verbs"] += [verb for verb in rule["verbs"] if verb not in known["verbs"]]
    return sorted(united.values(), key=_shown)


def _shown(rule: Rule) -> str:
    words = (
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("ResourceNames", "resourceNames"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("Verbs", "verbs"),
    )
    parts = []
    for word, key in words:
        if rule.get(key):
            values = ", ".join(f'"{value}"' for value in rule[key])
            parts.append(f"{word}:[{values}]")
    return "{" + ", ".join(parts) + "}"
