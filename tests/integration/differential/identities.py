"""Tokens, reviews of who and whether, impersonation."""

from __future__ import annotations

from typing import Any, Final

from tests.integration.differential.ask import Ask

N: Final = "/api/v1/namespaces"
T: Final = N + "/t1/serviceaccounts/robot/token"
SSR: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
TR: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
SAR: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
ssr: Final = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


def request(**spec: object) -> dict[str, Any]:
    """Return a TokenRequest."""
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}


def tr(token: str, audiences: list[str] | None = None) -> dict[str, Any]:
    """Return a TokenReview."""
    spec = {"token": token, **({"audiences": audiences} if audiences else {})}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}


def sar(kind: str = "SubjectAccessReview", **spec: object) -> dict[str, Any]:
    """Return a review of a right."""
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}


TOKENS: Final = (
    Ask("token short", "admin", "POST", T, {"spec": {"expirationSeconds": 10}}),
    Ask("token nosa", "admin", "POST", N + "/t1/serviceaccounts/none/token", {}),
    Ask("token kind", "admin", "POST", T, {"apiVersion": "v1", "kind": "ServiceAccount"}),
    Ask(
        "token bound bad",
        "admin",
        "POST",
        T,
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "none"}},
        },
    ),
    Ask(
        "token bound kind",
        "admin",
        "POST",
        T,
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "none"}},
        },
    ),
    Ask("token", "admin", "POST", T, request(expirationSeconds=600), save="tok"),
    Ask(
        "token for the hub",
        "admin",
        "POST",
        T,
        request(audiences=["hub"], expirationSeconds=600),
        save="hub",
    ),
    Ask(
        "whoami by token",
        "anon",
        "POST",
        SSR,
        ssr,
        headers={"authorization": "Bearer ${tok_token}"},
    ),
    Ask("ssr hub aud", "anon", "POST", SSR, ssr, headers={"authorization": "Bearer ${hub_token}"}),
    Ask("ssr basic", "anon", "POST", SSR, ssr, headers={"authorization": "Basic YTpi"}),
    Ask("cert wins", "alice", "POST", SSR, ssr, headers={"authorization": "Bearer ${tok_token}"}),
    Ask("review of a token 0", "admin", "POST", TR, tr("${tok_token}", None)),
    Ask("review of a token 1", "admin", "POST", TR, tr("${tok_token}", ["hub"])),
    Ask("review of a token 2", "admin", "POST", TR, tr("${hub_token}", ["hub"])),
    Ask("review of a token 3", "admin", "POST", TR, tr("${hub_token}", ["x", "hub"])),
    Ask("review of a token 4", "admin", "POST", TR, tr("garbage", None)),
    Ask("review of a token 5", "admin", "POST", TR, tr("${hub_token}", None)),
    Ask("tr empty", "admin", "POST", TR, tr("")),
    Ask("tr alice", "alice", "POST", TR, tr("x")),
)
REVIEWS: Final = (
    Ask(
        "sar ok",
        "admin",
        "POST",
        SAR,
        sar(
            user="alice",
            resourceAttributes={"namespace": "t1", "verb": "get", "resource": "secrets"},
        ),
    ),
    Ask(
        "sar no",
        "admin",
        "POST",
        SAR,
        sar(
            user="alice",
            resourceAttributes={"namespace": "t1", "verb": "delete", "resource": "secrets"},
        ),
    ),
    Ask(
        "sar missing role",
        "admin",
        "POST",
        SAR,
        sar(
            user="alice",
            resourceAttributes={
                "namespace": "t1",
                "verb": "delete",
                "resource": "secrets",
                "name": "x",
            },
        ),
    ),
    Ask(
        "sar masters",
        "admin",
        "POST",
        SAR,
        sar(
            user="x",
            groups=["system:masters"],
            resourceAttributes={"verb": "delete", "resource": "secrets"},
        ),
    ),
    Ask(
        "sar path",
        "admin",
        "POST",
        SAR,
        sar(
            user="x",
            groups=["system:authenticated"],
            nonResourceAttributes={"verb": "get", "path": "/openapi/v3"},
        ),
    ),
    Ask("sar none", "admin", "POST", SAR, sar(user="x")),
    Ask(
        "sar both",
        "admin",
        "POST",
        SAR,
        sar(
            user="x",
            resourceAttributes={"verb": "a"},
            nonResourceAttributes={"verb": "get", "path": "/openapi/v3"},
        ),
    ),
    Ask("sar nouser", "admin", "POST", SAR, sar(resourceAttributes={"verb": "a"})),
    Ask(
        "sar custom",
        "admin",
        "POST",
        SAR,
        sar(
            user="bob",
            groups=["system:authenticated"],
            resourceAttributes={
                "verb": "create",
                "group": "imagehub.sealos.io",
                "resource": "organizations",
            },
        ),
    ),
    Ask(
        "ssar",
        "alice",
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        sar(
            "SelfSubjectAccessReview",
            resourceAttributes={"namespace": "t1", "verb": "get", "resource": "secrets"},
        ),
    ),
    Ask(
        "lsar",
        "admin",
        "POST",
        "/apis/authorization.k8s.io/v1/namespaces/t1/localsubjectaccessreviews",
        sar(
            "LocalSubjectAccessReview",
            user="alice",
            resourceAttributes={"namespace": "t1", "verb": "get", "resource": "secrets"},
        ),
    ),
    Ask(
        "lsar mismatch",
        "admin",
        "POST",
        "/apis/authorization.k8s.io/v1/namespaces/t1/localsubjectaccessreviews",
        sar(
            "LocalSubjectAccessReview",
            user="alice",
            resourceAttributes={"namespace": "t2", "verb": "get", "resource": "secrets"},
        ),
    ),
    Ask(
        "ssrr",
        "alice",
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        sar("SelfSubjectRulesReview", namespace="t1"),
    ),
    Ask(
        "ssrr none",
        "alice",
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        sar("SelfSubjectRulesReview"),
    ),
    Ask("imp denied", "alice", "GET", N, headers={"Impersonate-User": "bob"}),
    Ask("imp", "admin", "POST", SSR, ssr, headers={"Impersonate-User": "bob"}),
    Ask(
        "imp sa",
        "admin",
        "POST",
        SSR,
        ssr,
        headers={"Impersonate-User": "system:serviceaccount:t1:robot"},
    ),
    Ask(
        "imp group",
        "admin",
        "POST",
        SSR,
        ssr,
        headers={
            "Impersonate-User": "bob",
            "Impersonate-Group": "g1",
            "Impersonate-Extra-Foo%2fbar": "x",
        },
    ),
    Ask("imp group only", "admin", "POST", SSR, ssr, headers={"Impersonate-Group": "g1"}),
    Ask("imp anon", "admin", "GET", N, headers={"Impersonate-User": "system:anonymous"}),
)
