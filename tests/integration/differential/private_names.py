"""What remains of reading where the right to read is taken away: the answers to writes."""

from __future__ import annotations

from typing import Final

from tests.integration.differential.ask import APPLY, JSON_PATCH, MERGE, TABLE, Ask, Until
from tests.integration.differential.images import G, N, R, r, rb

_READER: Final = R + "/clusterrolebindings/imagehub:reader"
_SECRET: Final = G + "/organizations/secret"
_APP: Final = G + "/repositories/secret.app"
_OBJECTS: Final = {"org": (_SECRET, "Organization"), "repo": (_APP, "Repository")}
_NAMES: Final = {"org": "secret", "repo": "secret/app"}
_EMPTY: Final[dict[str, object]] = {}


def _patch(title: str, who: str, path: str, changes: object = None, query: str = "") -> Ask:
    """Return a merge patch; without *changes* one that changes nothing."""
    return Ask(title, who, "PATCH", path + query, changes or _EMPTY, kind=MERGE)


PRIVATE_NAMES: Final[tuple[Ask | Until, ...]] = (
    Ask(
        "private org",
        "alice",
        "POST",
        G + "/organizations",
        r("Organization", "secret", {"name": "secret", "creator": "alice"}),
    ),
    Ask("private ns", "admin", "POST", N, {"metadata": {"name": "hub-secret"}}),
    Ask(
        "private owner",
        "admin",
        "POST",
        R + "/namespaces/hub-secret/rolebindings",
        rb("owner", "imagehub:owner", "alice"),
    ),
    Until(_patch("", "alice", _SECRET, query="?dryRun=All")),
    Ask(
        "private repo",
        "alice",
        "POST",
        G + "/repositories",
        r("Repository", "secret.app", {"name": "secret/app", "creator": "alice"}),
    ),
    Ask("names private", "admin", "DELETE", _READER),
    Until(Ask("", "bob", "GET", G + "/organizations"), 403),
    *(
        ask
        for who in ("alice", "bob")
        for kind in ("organizations", "repositories", "images", "datapacks")
        for ask in (
            Ask(f"private list {kind} {who}", who, "GET", f"{G}/{kind}"),
            Ask(f"private watch {kind} {who}", who, "GET", f"{G}/{kind}?watch=1&timeoutSeconds=1"),
        )
    ),
    Ask("private table", "bob", "GET", G + "/images", headers=TABLE),
    Ask("private list admin", "admin", "GET", G + "/repositories?labelSelector=a%3Db"),
    *(
        ask
        for who in ("alice", "bob")
        for word, (path, kind) in _OBJECTS.items()
        for ask in (
            Ask(f"private get {word} {who}", who, "GET", path),
            Ask(f"private status {word} {who}", who, "GET", path + "/status"),
            _patch(f"private nothing dry {word} {who}", who, path, query="?dryRun=All"),
            _patch(f"private nothing {word} {who}", who, path),
            _patch(f"private nothing gone {word} {who}", who, path + "x"),
            Ask(f"private json nothing {word} {who}", who, "PATCH", path, [], kind=JSON_PATCH),
            Ask(
                f"private test right {word} {who}",
                who,
                "PATCH",
                path + "?dryRun=All",
                [{"op": "test", "path": "/spec/name", "value": _NAMES[word]}],
                kind=JSON_PATCH,
            ),
            Ask(
                f"private test wrong {word} {who}",
                who,
                "PATCH",
                path + "?dryRun=All",
                [{"op": "test", "path": "/spec/name", "value": "other"}],
                kind=JSON_PATCH,
            ),
            Ask(
                f"private apply {word} {who}",
                who,
                "PATCH",
                path + "?fieldManager=private&dryRun=All",
                r(kind, path.rpartition("/")[2], {"name": _NAMES[word]}),
                kind=APPLY,
            ),
        )
    ),
    *(
        Ask(f"private delete {word} bob", "bob", "DELETE", path + "?dryRun=All")
        for word, (path, _) in _OBJECTS.items()
    ),
    Ask(
        "private twin",
        "bob",
        "POST",
        G + "/organizations",
        r("Organization", "secret", {"name": "secret", "creator": "bob"}),
    ),
    Ask(
        "names public",
        "admin",
        "POST",
        R + "/clusterrolebindings",
        {
            "metadata": {"name": "imagehub:reader"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "imagehub:reader",
            },
            "subjects": [
                {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "Group",
                    "name": "system:authenticated",
                }
            ],
        },
    ),
    Until(Ask("", "bob", "GET", G + "/organizations")),
    Ask("public again", "bob", "GET", _SECRET),
)
