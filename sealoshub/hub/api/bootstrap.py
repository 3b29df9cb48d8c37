"""What is there from the beginning: namespaces, and the roles that every cluster has.

After `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go` of Kubernetes, as far as a hub has
use for it.
"""

from __future__ import annotations

from typing import Any, Final

from sealoshub.hub.api.rbac import AUTHENTICATED, GROUP, MASTERS, UNAUTHENTICATED

NAMESPACES: Final = ("default", "kube-node-lease", "kube-public", "kube-system")
_LABELS: Final = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_ANNOTATIONS: Final = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
_DISCOVERY: Final = (
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
)
_PUBLIC: Final = ("/healthz", "/livez", "/readyz", "/version", "/version/")


def objects() -> list[tuple[str, dict[str, Any]]]:
    """Return the objects with the store's names of their resources."""
    found: list[tuple[str, dict[str, Any]]] = [
        (
            "/namespaces",
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            },
        )
        for name in NAMESPACES
    ]
    reviews = [
        _rule("authorization.k8s.io", ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        _rule("authentication.k8s.io", ["selfsubjectreviews"]),
    ]
    delegation = [
        _rule("authentication.k8s.io", ["tokenreviews"]),
        _rule("authorization.k8s.io", ["subjectaccessreviews"]),
    ]
    everything = [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]
    found += _role("cluster-admin", everything, [MASTERS])
    found += _role("system:auth-delegator", delegation, [])
    found += _role("system:basic-user", reviews, [AUTHENTICATED])
    found += _role("system:discovery", [_paths(_DISCOVERY)], [AUTHENTICATED])
    found += _role("system:public-info-viewer", [_paths(_PUBLIC)], [AUTHENTICATED, UNAUTHENTICATED])
    return found


def _rule(group: str, resources: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": ["create"]}


def _paths(paths: tuple[str, ...]) -> dict[str, Any]:
    return {"nonResourceURLs": list(paths), "verbs": ["get"]}


def _role(
    name: str, rules: list[dict[str, Any]], groups: list[str]
) -> list[tuple[str, dict[str, Any]]]:
    def made() -> dict[str, Any]:
        return {"name": name, "labels": dict(_LABELS), "annotations": dict(_ANNOTATIONS)}

    role = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": made(),
        "rules": rules,
    }
    found = [(f"{GROUP}/clusterroles", role)]
    if groups:
        binding = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": made(),
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in groups],
        }
        found.append((f"{GROUP}/clusterrolebindings", binding))
    return found
