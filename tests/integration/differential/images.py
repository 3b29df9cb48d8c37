"""Repositories, images and DataPacks, under the rights that an organisation gives."""

from __future__ import annotations

from typing import Any, Final

from tests.integration.differential.ask import APPLY, MERGE, Ask, Until

G: Final = "/apis/imagehub.sealos.io/v1"
WATCH: Final = G + "/images?watch=1&timeoutSeconds=1"
R: Final = "/apis/rbac.authorization.k8s.io/v1"
N: Final = "/api/v1/namespaces"


def r(kind: str, name: str, spec: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return an object of a hub, without a spec if none is given."""
    body = {} if spec is None else {"spec": spec}
    return {
        "apiVersion": "imagehub.sealos.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        **body,
    }


def rb(name: str, role: str, user: str) -> dict[str, Any]:
    """Return a RoleBinding of *user* to a ClusterRole."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": user, "apiGroup": group}],
    }


REPOSITORIES: Final = (
    Ask("org", "alice", "POST", G + "/organizations", r("Organization", "lab", {"name": "lab"})),
    Ask("ns", "admin", "POST", N, {"metadata": {"name": "hub-lab"}}),
    Ask(
        "owner",
        "admin",
        "POST",
        R + "/namespaces/hub-lab/rolebindings",
        rb("owner", "imagehub:owner", "alice"),
    ),
    Ask(
        "dev",
        "admin",
        "POST",
        R + "/namespaces/hub-lab/rolebindings",
        rb("dev", "imagehub:developer", "bob"),
    ),
    Until(
        Ask(
            "",
            "bob",
            "POST",
            G + "/repositories?dryRun=All",
            r("Repository", "lab.probe", {"name": "lab/probe"}),
        ),
        201,
    ),
    Until(
        Ask(
            "",
            "alice",
            "PATCH",
            G + "/organizations/lab?dryRun=All",
            {"spec": {"displayName": "probe"}},
            kind=MERGE,
        )
    ),
    Ask(
        "repo bob",
        "bob",
        "POST",
        G + "/repositories",
        r("Repository", "lab.app", {"name": "lab/app"}),
    ),
    Ask(
        "repo bob other",
        "bob",
        "POST",
        G + "/repositories",
        r("Repository", "other.app", {"name": "other/app"}),
    ),
    Ask(
        "repo mismatch",
        "bob",
        "POST",
        G + "/repositories",
        r("Repository", "lab.app2", {"name": "evil/app2"}),
    ),
    Ask(
        "repo public bob",
        "bob",
        "PATCH",
        G + "/repositories/lab.app",
        {"spec": {"isPrivate": True}},
        kind=MERGE,
    ),
    Ask(
        "repo public alice",
        "alice",
        "PATCH",
        G + "/repositories/lab.app",
        {"spec": {"isPrivate": True}},
        kind=MERGE,
    ),
    Ask(
        "repo creator",
        "alice",
        "PATCH",
        G + "/repositories/lab.app",
        {"spec": {"creator": "x"}},
        kind=MERGE,
    ),
    Ask(
        "repo creator null",
        "alice",
        "PATCH",
        G + "/repositories/lab.app",
        {"spec": {"creator": None}},
        kind=MERGE,
    ),
    Ask(
        "repo null spec",
        "alice",
        "POST",
        G + "/repositories",
        r("Repository", "lab.nul") | {"spec": None},
    ),
    Ask("repo nospec", "alice", "POST", G + "/repositories", r("Repository", "lab.non")),
    Ask(
        "repo label",
        "alice",
        "PATCH",
        G + "/repositories/lab.app",
        {"metadata": {"labels": {"organization.imagehub.sealos.io": "x"}}},
        kind=MERGE,
    ),
    Ask("repo del bob", "bob", "DELETE", G + "/repositories/lab.app"),
    Ask(
        "img bob",
        "bob",
        "POST",
        G + "/images",
        r("Image", "lab.app.v1", {"name": "lab/app:v1", "detail": {"size": 5, "keywords": ["a"]}}),
    ),
    Ask(
        "img fold",
        "bob",
        "POST",
        G + "/images",
        r("Image", "lab.cert.manager.v1.8.0", {"name": "lab/cert-manager:v1.8.0"}),
    ),
    Ask("img bad", "bob", "POST", G + "/images", r("Image", "lab.x.v1", {"name": "lab/y:v1"})),
    Ask("img badname", "bob", "POST", G + "/images", r("Image", "lab.x", {"name": "lab"})),
    Ask(
        "img apply",
        "bob",
        "PATCH",
        G + "/images/lab.app.v2?fieldManager=sealoshub",
        r(
            "Image",
            "lab.app.v2",
            {"name": "lab/app:v2", "digest": "sha256:" + "a" * 64, "platforms": ["linux/amd64"]},
        ),
        kind=APPLY,
    ),
    Ask(
        "img apply again",
        "bob",
        "PATCH",
        G + "/images/lab.app.v2?fieldManager=sealoshub",
        r("Image", "lab.app.v2", {"name": "lab/app:v2", "digest": "sha256:" + "b" * 64}),
        kind=APPLY,
    ),
    Ask(
        "img status",
        "bob",
        "PATCH",
        G + "/images/lab.app.v2/status?fieldManager=x",
        {"status": {}},
        kind=MERGE,
    ),
)
LISTS: Final = (
    Ask(
        "list label",
        "bob",
        "GET",
        G
        + "/images?labelSelector=repository.imagehub.sealos.io%3Dapp"
        + ",tag.imagehub.sealos.io%20in%20(v1,v2)",
    ),
    Ask(
        "list notin",
        "bob",
        "GET",
        G + "/images?labelSelector=tag.imagehub.sealos.io%20notin%20(v1),!foo",
    ),
    Ask("list field", "bob", "GET", G + "/images?fieldSelector=metadata.name%3Dlab.app.v1"),
    Ask("page 1", "bob", "GET", G + "/images?limit=2", save="page"),
    Ask("page 2", "bob", "GET", G + "/images?limit=2&continue=${page_continue}"),
    Ask("cont bad", "bob", "GET", G + "/images?limit=2&continue=zzz"),
)
SHARING: Final = (
    Ask(
        "dp",
        "bob",
        "POST",
        G + "/datapacks",
        r("DataPack", "dp1", {"names": ["lab/app:v1"], "type": "base"}),
    ),
    Ask(
        "dp bad",
        "bob",
        "POST",
        G + "/datapacks",
        r("DataPack", "dp2", {"names": ["lab/app:v1"], "type": "nope"}),
    ),
    Ask("dp del", "alice", "DELETE", G + "/datapacks/dp1"),
    Ask("org del alice", "alice", "DELETE", G + "/organizations/lab?dryRun=All"),
    Ask(
        "fin",
        "alice",
        "PATCH",
        G + "/organizations/lab",
        {"metadata": {"finalizers": ["organization.imagehub.sealos.io/finalizer"]}},
        kind=MERGE,
    ),
    Ask(
        "fin remove",
        "alice",
        "PATCH",
        G + "/organizations/lab",
        {"metadata": {"finalizers": []}},
        kind=MERGE,
    ),
    Ask(
        "members",
        "alice",
        "PATCH",
        G + "/organizations/lab?fieldManager=m",
        r(
            "Organization",
            "lab",
            {
                "name": "lab",
                "members": [
                    {"kind": "User", "name": "bob", "role": "developer"},
                    {
                        "kind": "ServiceAccount",
                        "name": "ci",
                        "namespace": "hub-lab",
                        "role": "viewer",
                    },
                ],
            },
        ),
        kind=APPLY,
    ),
    Ask(
        "members dup",
        "alice",
        "PATCH",
        G + "/organizations/lab?fieldManager=m",
        r(
            "Organization",
            "lab",
            {
                "name": "lab",
                "members": [
                    {"kind": "User", "name": "bob", "role": "developer"},
                    {"kind": "User", "name": "bob", "role": "viewer"},
                ],
            },
        ),
        kind=APPLY,
    ),
    Ask(
        "members dup put",
        "alice",
        "PATCH",
        G + "/organizations/lab",
        {
            "spec": {
                "members": [
                    {"kind": "User", "name": "bob", "role": "developer"},
                    {"kind": "User", "name": "bob", "role": "viewer"},
                ]
            }
        },
        kind=MERGE,
    ),
    Ask(
        "members 501",
        "alice",
        "PATCH",
        G + "/organizations/lab",
        {
            "spec": {
                "members": [
                    {"kind": "User", "name": f"u{i}", "role": "developer"} for i in range(501)
                ]
            }
        },
        kind=MERGE,
    ),
    Ask(
        "members 500",
        "admin",
        "PATCH",
        G + "/organizations/lab?fieldManager=b500",
        {
            "spec": {
                "members": [
                    {"kind": "User", "name": f"u{i}", "role": "developer"} for i in range(500)
                ]
            }
        },
        kind=MERGE,
    ),
)
WATCHES: Final = (
    Ask("watch from now", "bob", "GET", G + "/images?watch=1&timeoutSeconds=1"),
    Ask(
        "watch from the beginning",
        "bob",
        "GET",
        G + "/images?watch=1&resourceVersion=1&timeoutSeconds=1",
    ),
    Ask(
        "watch from any",
        "bob",
        "GET",
        WATCH + "&resourceVersion=0&labelSelector=tag.imagehub.sealos.io%3Dv1",
    ),
    Ask(
        "watch of a list",
        "bob",
        "GET",
        WATCH
        + "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
    ),
    Ask(
        "watch from nonsense",
        "bob",
        "GET",
        G + "/images?watch=1&resourceVersion=x&timeoutSeconds=1",
    ),
    Ask("now", "bob", "GET", G + "/images?labelSelector=none%3Dhere", save="then"),
    Ask(
        "label 0",
        "bob",
        "PATCH",
        G + "/images/lab.app.v1",
        {"metadata": {"labels": {"x": "y"}}},
        kind=MERGE,
    ),
    Ask(
        "label 1",
        "bob",
        "PATCH",
        G + "/images/lab.app.v1",
        {"metadata": {"labels": {"x": "y", "z": "1"}}},
        kind=MERGE,
    ),
    Ask(
        "label 2",
        "bob",
        "PATCH",
        G + "/images/lab.app.v1",
        {"metadata": {"labels": {"x": "n"}}},
        kind=MERGE,
    ),
    Ask(
        "label 3",
        "bob",
        "PATCH",
        G + "/images/lab.app.v1",
        {"metadata": {"labels": {"x": "y"}}},
        kind=MERGE,
    ),
    Ask("image gone", "admin", "DELETE", G + "/images/lab.app.v1"),
    Ask(
        "watch what happened",
        "bob",
        "GET",
        G + "/images?watch=1&timeoutSeconds=1&labelSelector=x%3Dy&resourceVersion=${then_rv}",
    ),
)
