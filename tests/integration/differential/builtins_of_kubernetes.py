"""Namespaces, ServiceAccounts, roles and bindings, Secrets, Leases."""

from __future__ import annotations

from typing import Any, Final

from tests.integration.differential.ask import APPLY, MERGE, STRATEGIC, TABLE, Ask, Until

A: Final = "/apis/rbac.authorization.k8s.io/v1"
N: Final = "/api/v1/namespaces"
L: Final = "/apis/coordination.k8s.io/v1/namespaces/t1/leases"


def o(
    kind: str,
    name: str,
    namespace: str | None = None,
    api: str = "rbac.authorization.k8s.io/v1",
    **rest: object,
) -> dict[str, Any]:
    """Return an object of a built-in kind."""
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **place}, **rest}


ROLES: Final = (
    Ask("ns create", "admin", "POST", N, o("Namespace", "t1", api="v1")),
    Ask("ns again", "admin", "POST", N, o("Namespace", "t1", api="v1")),
    Ask("ns bad", "admin", "POST", N, o("Namespace", "t.1", api="v1")),
    Ask(
        "ns put",
        "admin",
        "PUT",
        N + "/t1",
        {**o("Namespace", "t1", api="v1"), "metadata": {"name": "t1", "labels": {"a": "b"}}},
    ),
    Ask(
        "ns apply",
        "admin",
        "PATCH",
        N + "/t1?fieldManager=x",
        {**o("Namespace", "t1", api="v1"), "metadata": {"name": "t1", "labels": {"a": "c"}}},
        kind=APPLY,
    ),
    Ask(
        "ns smp",
        "admin",
        "PATCH",
        N + "/t1",
        {"metadata": {"labels": {"z": "y", "a": None}}},
        kind=STRATEGIC,
    ),
    Ask("ns default del", "admin", "DELETE", N + "/default"),
    Ask(
        "sa",
        "admin",
        "POST",
        N + "/t1/serviceaccounts",
        o("ServiceAccount", "robot", "t1", api="v1"),
        save="sa",
    ),
    Ask(
        "sa no ns",
        "admin",
        "POST",
        N + "/nope/serviceaccounts",
        o("ServiceAccount", "robot", api="v1"),
    ),
    Ask(
        "sa wrong ns",
        "admin",
        "POST",
        N + "/t1/serviceaccounts",
        o("ServiceAccount", "robot2", "t2", api="v1"),
    ),
    Ask(
        "sa smp secrets",
        "admin",
        "PATCH",
        N + "/t1/serviceaccounts/robot",
        {"secrets": [{"name": "a"}, {"name": "b"}]},
        kind=STRATEGIC,
    ),
    Ask(
        "sa smp secrets del",
        "admin",
        "PATCH",
        N + "/t1/serviceaccounts/robot",
        {
            "secrets": [{"name": "a", "$patch": "delete"}, {"name": "c"}],
            "$setElementOrder/secrets": [{"name": "c"}, {"name": "b"}],
        },
        kind=STRATEGIC,
    ),
    Ask(
        "sa apply",
        "admin",
        "PATCH",
        N + "/t1/serviceaccounts/robot?fieldManager=q",
        {
            **o("ServiceAccount", "robot", "t1", api="v1"),
            "secrets": [{"name": "d"}],
            "imagePullSecrets": [{"name": "p"}],
        },
        kind=APPLY,
    ),
    Ask(
        "sa put",
        "admin",
        "PUT",
        N + "/t1/serviceaccounts/robot",
        {**o("ServiceAccount", "robot", "t1", api="v1"), "automountServiceAccountToken": False},
    ),
    Ask(
        "role wrongtype",
        "admin",
        "POST",
        A + "/namespaces/t1/roles",
        o("Role", "r", "t1", rules="x"),
    ),
    Ask(
        "role",
        "admin",
        "POST",
        A + "/namespaces/t1/roles",
        o(
            "Role",
            "r",
            "t1",
            rules=[{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}],
        ),
    ),
    Ask(
        "role invalid",
        "admin",
        "POST",
        A + "/namespaces/t1/roles",
        o(
            "Role",
            "r2",
            "t1",
            rules=[{"apiGroups": [""], "verbs": ["get"]}, {"nonResourceURLs": ["/x"], "verbs": []}],
        ),
    ),
    Ask(
        "role unknown",
        "admin",
        "POST",
        A + "/namespaces/t1/roles?fieldValidation=Strict",
        o(
            "Role",
            "r3",
            "t1",
            rules=[{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"], "x": 1}],
        ),
    ),
    Ask(
        "role unknown warn",
        "admin",
        "POST",
        A + "/namespaces/t1/roles?dryRun=All",
        o(
            "Role",
            "r3",
            "t1",
            rules=[{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"], "x": 1}],
        ),
    ),
    Ask(
        "clusterrole colon",
        "admin",
        "POST",
        A + "/clusterroles",
        o("ClusterRole", "x:y", rules=[{"apiGroups": ["a"], "resources": ["b"], "verbs": ["*"]}]),
    ),
    Ask("clusterrole empty", "admin", "POST", A + "/clusterroles", o("ClusterRole", "empty")),
    Ask("clusterrole bad name", "admin", "POST", A + "/clusterroles", o("ClusterRole", "x/y")),
    Ask(
        "rb",
        "admin",
        "POST",
        A + "/namespaces/t1/rolebindings",
        o(
            "RoleBinding",
            "rb",
            "t1",
            roleRef={"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
            subjects=[
                {"kind": "User", "name": "alice"},
                {"kind": "ServiceAccount", "name": "robot", "namespace": "t1"},
                {"kind": "Group", "name": "g"},
            ],
        ),
    ),
    Ask(
        "rb roleref",
        "admin",
        "PATCH",
        A + "/namespaces/t1/rolebindings/rb",
        {"roleRef": {"name": "zz"}},
        kind=MERGE,
    ),
    Ask(
        "rb invalid",
        "admin",
        "POST",
        A + "/namespaces/t1/rolebindings",
        o(
            "RoleBinding",
            "rb2",
            "t1",
            roleRef={"kind": "Nope", "name": ""},
            subjects=[
                {"kind": "Robot", "name": "alice"},
                {"kind": "ServiceAccount", "name": "x"},
                {"kind": "User", "name": ""},
            ],
        ),
    ),
    Ask(
        "rb noref",
        "admin",
        "POST",
        A + "/namespaces/t1/rolebindings",
        o("RoleBinding", "rb2", "t1"),
    ),
    Ask(
        "rb put unconditional",
        "admin",
        "PUT",
        A + "/namespaces/t1/rolebindings/rb",
        o(
            "RoleBinding",
            "rb",
            "t1",
            roleRef={"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
            subjects=[{"kind": "User", "name": "alice"}],
        ),
    ),
    Ask(
        "rb put create",
        "admin",
        "PUT",
        A + "/namespaces/t1/rolebindings/rb9",
        o(
            "RoleBinding",
            "rb9",
            "t1",
            roleRef={"kind": "Role", "name": "gone", "apiGroup": "rbac.authorization.k8s.io"},
            subjects=[{"kind": "User", "name": "alice"}],
        ),
    ),
    Ask("rb table", "admin", "GET", A + "/namespaces/t1/rolebindings", headers=TABLE),
    Ask("alice list secrets", "alice", "GET", N + "/t1/secrets"),
    Ask("alice list secrets other", "alice", "GET", N + "/default/secrets"),
    Ask("alice create sec", "alice", "POST", N + "/t1/secrets", o("Secret", "s", api="v1")),
    Ask(
        "grant alice roles",
        "admin",
        "POST",
        A + "/namespaces/t1/roles",
        o(
            "Role",
            "manager",
            "t1",
            rules=[
                {
                    "apiGroups": ["rbac.authorization.k8s.io"],
                    "resources": ["roles", "rolebindings"],
                    "verbs": ["*"],
                }
            ],
        ),
    ),
    Ask(
        "grant alice bind",
        "admin",
        "POST",
        A + "/namespaces/t1/rolebindings",
        o(
            "RoleBinding",
            "manager",
            "t1",
            roleRef={"kind": "Role", "name": "manager", "apiGroup": "rbac.authorization.k8s.io"},
            subjects=[{"kind": "User", "name": "bob"}],
        ),
    ),
    Until(Ask("", "bob", "GET", A + "/namespaces/t1/roles/manager"), 200),
    Ask(
        "bob role escalate",
        "bob",
        "POST",
        A + "/namespaces/t1/roles",
        o(
            "Role",
            "evil",
            "t1",
            rules=[
                {"apiGroups": [""], "resources": ["secrets", "pods"], "verbs": ["get", "list"]},
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            ],
        ),
    ),
    Ask(
        "bob bind",
        "bob",
        "POST",
        A + "/namespaces/t1/rolebindings",
        o(
            "RoleBinding",
            "evil",
            "t1",
            roleRef={
                "kind": "ClusterRole",
                "name": "cluster-admin",
                "apiGroup": "rbac.authorization.k8s.io",
            },
            subjects=[{"kind": "User", "name": "bob"}],
        ),
    ),
    Ask(
        "bob bind missing",
        "bob",
        "POST",
        A + "/namespaces/t1/rolebindings",
        o(
            "RoleBinding",
            "evil",
            "t1",
            roleRef={
                "kind": "ClusterRole",
                "name": "nonex",
                "apiGroup": "rbac.authorization.k8s.io",
            },
            subjects=[{"kind": "User", "name": "bob"}],
        ),
    ),
    Ask(
        "bob bind own",
        "bob",
        "POST",
        A + "/namespaces/t1/rolebindings",
        o(
            "RoleBinding",
            "ok",
            "t1",
            roleRef={"kind": "Role", "name": "manager", "apiGroup": "rbac.authorization.k8s.io"},
            subjects=[{"kind": "User", "name": "carol"}],
        ),
    ),
)
STORED: Final = (
    Ask(
        "secret",
        "admin",
        "POST",
        N + "/t1/secrets",
        o("Secret", "s", api="v1", stringData={"a": "b"}, data={"c": "ZA=="}),
    ),
    Ask(
        "secret bad b64",
        "admin",
        "POST",
        N + "/t1/secrets",
        o("Secret", "s2", api="v1", data={"c": "?"}),
    ),
    Ask("secret type", "admin", "PATCH", N + "/t1/secrets/s", {"type": "x"}, kind=MERGE),
    Ask(
        "secret apply",
        "admin",
        "PATCH",
        N + "/t1/secrets/s?fieldManager=x",
        o("Secret", "s", "t1", api="v1", data={"e": "Zg=="}),
        kind=APPLY,
    ),
    Ask("secret table", "admin", "GET", N + "/t1/secrets", headers=TABLE),
    Ask("secret del", "admin", "DELETE", N + "/t1/secrets/s"),
    Ask(
        "lease",
        "admin",
        "POST",
        L,
        o(
            "Lease",
            "l",
            "t1",
            api="coordination.k8s.io/v1",
            spec={
                "holderIdentity": "a",
                "leaseDurationSeconds": 15,
                "renewTime": "2026-01-01T00:00:00.000000Z",
                "acquireTime": "2026-01-01T00:00:00.000000Z",
            },
        ),
        save="l",
    ),
    Ask(
        "lease put norv",
        "admin",
        "PUT",
        L + "/l",
        o("Lease", "l", "t1", api="coordination.k8s.io/v1", spec={"holderIdentity": "b"}),
    ),
    Ask(
        "lease bad",
        "admin",
        "PUT",
        L + "/l",
        {
            **o(
                "Lease",
                "l",
                "t1",
                api="coordination.k8s.io/v1",
                spec={"leaseDurationSeconds": 0, "leaseTransitions": -1},
            ),
            "metadata": {"name": "l", "resourceVersion": "${l_rv}"},
        },
    ),
    Ask(
        "lease put",
        "admin",
        "PUT",
        L + "/l",
        {
            **o("Lease", "l", "t1", api="coordination.k8s.io/v1", spec={"holderIdentity": "b"}),
            "metadata": {"name": "l", "resourceVersion": "${l_rv}"},
        },
    ),
    Ask("lease del", "admin", "DELETE", L + "/l"),
)
ODD_REQUESTS: Final = (
    Ask("method", "admin", "PUT", N, {}),
    Ask("post name", "admin", "POST", N + "/t1", {}),
    Ask("bad sub", "admin", "GET", N + "/t1/serviceaccounts/robot/nope"),
    Ask("create no body", "admin", "POST", N),
    Ask(
        "create rv",
        "admin",
        "POST",
        N,
        {**o("Namespace", "t8", api="v1"), "metadata": {"name": "t8", "resourceVersion": "5"}},
    ),
    Ask("dryrun bad", "admin", "POST", N + "?dryRun=x", o("Namespace", "t8", api="v1")),
    Ask("fv bad", "admin", "POST", N + "?fieldValidation=x", o("Namespace", "t8", api="v1")),
    Ask("api wrong", "admin", "POST", N, o("Namespace", "t8", api="v2")),
    Ask("kind wrong", "admin", "POST", N, o("Secret", "t8", api="v1")),
    Ask("ns del", "admin", "DELETE", N + "/t1"),
    Ask("root", "alice", "GET", "/version/"),
)
