"""RBAC and its escalation prevention."""

from __future__ import annotations

from typing import Any

import pytest

from sealoshub.hub.api.escalation import uncovered
from sealoshub.hub.api.rbac import Question, Rbac, User, rule_allows

Body = dict[str, Any]


@pytest.mark.parametrize(
    ("rule", "question", "allowed"),
    [
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, Question("a", "g", "r"), True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["r"]}, Question("get", "", "r"), True),
        (
            {"verbs": ["get"], "apiGroups": [""], "resources": ["r"]},
            Question("get", "g", "r"),
            False,
        ),
        (
            {"verbs": ["get"], "apiGroups": ["g"], "resources": ["r"]},
            Question("get", "g", "r", "status"),
            False,
        ),
        (
            {"verbs": ["get"], "apiGroups": ["g"], "resources": ["r/status"]},
            Question("get", "g", "r", "status"),
            True,
        ),
        (
            {"verbs": ["get"], "apiGroups": ["g"], "resources": ["*/status"]},
            Question("get", "g", "r", "status"),
            True,
        ),
        (
            {"verbs": ["get"], "apiGroups": ["g"], "resources": ["r"], "resourceNames": ["x"]},
            Question("get", "g", "r", name="x"),
            True,
        ),
        (
            {"verbs": ["get"], "apiGroups": ["g"], "resources": ["r"], "resourceNames": ["x"]},
            Question("get", "g", "r"),
            False,
        ),
        ({"verbs": ["get"], "nonResourceURLs": ["/a/*"]}, Question("get", path="/a/b"), True),
        ({"verbs": ["get"], "nonResourceURLs": ["/a"]}, Question("get", path="/a/b"), False),
        (
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            Question("get", path="/a"),
            False,
        ),
    ],
)
def test_rules(rule: Body, question: Question, allowed: bool) -> None:  # noqa: FBT001  # a table
    """A rule covers a question as in Kubernetes."""
    assert rule_allows(rule, question) is allowed


def rbac_with(*bindings: Body) -> Rbac:
    """Return an index with a role that may get things, and bindings."""
    index = Rbac()
    rules = [{"verbs": ["get"], "apiGroups": ["g"], "resources": ["things"]}]
    index.put("clusterroles", {"metadata": {"name": "getter"}, "rules": rules})
    for body in bindings:
        plural = "rolebindings" if "namespace" in body["metadata"] else "clusterrolebindings"
        index.put(plural, body)
    return index


def binding(subject: Body, namespace: str | None = "n", role: str = "getter") -> Body:
    """Return a binding of a ClusterRole."""
    metadata = {"name": "b", **({"namespace": namespace} if namespace else {})}
    reference = {"kind": "ClusterRole", "name": role}
    return {"metadata": metadata, "roleRef": reference, "subjects": [subject]}


ASKED = Question("get", "g", "things", namespace="n")


def test_reason_names_the_binding() -> None:
    """An approval says which binding gives the right, in Kubernetes' words."""
    answer = rbac_with(binding({"kind": "User", "name": "alice"})).authorize(User("alice"), ASKED)
    text = 'RBAC: allowed by RoleBinding "b/n" of ClusterRole "getter" to User "alice"'
    assert (answer.allowed, answer.reason) == (True, text)


def test_service_account_is_a_subject() -> None:
    """A ServiceAccount is found by the user that it acts as, in the binding's namespace."""
    index = rbac_with(binding({"kind": "ServiceAccount", "name": "ci"}))
    assert index.authorize(User("system:serviceaccount:n:ci"), ASKED).allowed
    assert not index.authorize(User("system:serviceaccount:m:ci"), ASKED).allowed
    assert not index.authorize(User("ci"), ASKED).allowed


def test_binding_counts_in_its_namespace_only() -> None:
    """A RoleBinding gives nothing in another namespace, a ClusterRoleBinding everywhere."""
    inside = rbac_with(binding({"kind": "Group", "name": "dev"}))
    everywhere = rbac_with(binding({"kind": "Group", "name": "dev"}, namespace=None))
    elsewhere = Question("get", "g", "things", namespace="m")
    assert not inside.authorize(User("a", groups=("dev",)), elsewhere).allowed
    assert everywhere.authorize(User("a", groups=("dev",)), elsewhere).allowed


def test_removed_binding_gives_nothing() -> None:
    """A deleted or changed binding loses its subjects at once."""
    body = binding({"kind": "User", "name": "alice"})
    index = rbac_with(body)
    index.put("rolebindings", {**body, "subjects": [{"kind": "User", "name": "bob"}]})
    assert not index.authorize(User("alice"), ASKED).allowed
    index.put("rolebindings", body, deleted=True)
    assert not index.authorize(User("bob"), ASKED).allowed


def test_missing_role_is_told() -> None:
    """A binding of a role that is not there is named in the refusal."""
    index = rbac_with(binding({"kind": "User", "name": "alice"}, role="gone"))
    answer = index.authorize(User("alice"), ASKED)
    assert not answer.allowed
    assert 'clusterrole.rbac.authorization.k8s.io "gone" not found' in answer.reason


@pytest.mark.parametrize(
    ("held", "wanted", "missing"),
    [
        (["get", "list"], ["get"], 0),
        (["get"], ["get", "list"], 1),
        (["*"], ["get", "list"], 0),
        (["get"], ["*"], 1),
    ],
)
def test_cover(held: list[str], wanted: list[str], missing: int) -> None:
    """What is granted must be held, verb by verb."""
    rule = {"apiGroups": ["g"], "resources": ["r"]}
    assert len(uncovered([{**rule, "verbs": held}], [{**rule, "verbs": wanted}])) == missing


def test_named_right_does_not_cover_all() -> None:
    """A right on one name is no right on all."""
    rule = {"apiGroups": ["g"], "resources": ["r"], "verbs": ["get"]}
    assert uncovered([{**rule, "resourceNames": ["x"]}], [rule])
    assert not uncovered([rule], [{**rule, "resourceNames": ["x"]}])
