"""Who is asking, what he may, and the reviews that tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sealoshub.hub.api import pki
from tests.unit.hub_api.conftest import RBAC, Client, trust

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.hub_api.conftest import Api

SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
ISSUER = "https://kubernetes.default.svc"


def account(api: Api, name: str, **spec: object) -> str:
    """Make a ServiceAccount and return a token of it."""
    api.admin("POST", ACCOUNTS, {"metadata": {"name": name}})
    made = api.admin("POST", f"{ACCOUNTS}/{name}/token", {"spec": spec})
    assert made.status_code == 201, made.text
    token: str = made.json()["status"]["token"]
    return token


def user_of(client: Client) -> dict[str, Any]:
    """Return who the API thinks that is."""
    info: dict[str, Any] = client("POST", SELF, {}).json()["status"]["userInfo"]
    return info


def test_static_token(api: Api) -> None:
    """A user's token is the user with his groups."""
    assert user_of(api.alice) == {"username": "alice", "groups": ["dev", "system:authenticated"]}


def test_nobody(api: Api) -> None:
    """Without a credential one is anonymous, with a bad one nothing."""
    assert api.nobody("POST", SELF, {}).status_code == 403
    assert api.nobody("GET", "/version").status_code == 200
    assert api.nobody("GET", "/readyz").text == "ok"
    bad = api.nobody("GET", "/version", authorization="Bearer x")
    assert (bad.status_code, bad.json()["reason"]) == (401, "Unauthorized")
    assert api.nobody("GET", "/version", authorization="Basic eDp5").status_code == 200


def test_client_certificate(api: Api, tmp_path: Path) -> None:
    """A client certificate is a user with groups, and wins over a token."""
    certificate, key = pki.issue_client_certificate(api.folder / "pki", "carol", ["ops"], 60)
    pem = tmp_path / "carol.pem"
    pem.write_bytes(certificate + key.reveal().encode())
    context = trust(api.folder)
    context.load_cert_chain(pem)
    with httpx.Client(base_url=api.url, verify=context, trust_env=False) as http:
        info = user_of(Client(http, api.alice.token))
    assert (info["username"], info["groups"]) == ("carol", ["ops", "system:authenticated"])
    assert info["extra"]["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")


def test_account_token(api: Api) -> None:
    """A ServiceAccount's token is the account, as long as that very account lives."""
    token = account(api, "ci")
    client = Client(api.nobody.http, token)
    info = user_of(client)
    assert info["username"] == "system:serviceaccount:default:ci"
    assert info["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:default",
        "system:authenticated",
    ]
    assert info["extra"]["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")
    api.admin("DELETE", f"{ACCOUNTS}/ci")
    assert client("POST", SELF, {}).status_code == 401
    account(api, "ci")
    assert client("POST", SELF, {}).status_code == 401


def test_token_life(api: Api) -> None:
    """A token lives ten minutes at least."""
    api.admin("POST", ACCOUNTS, {"metadata": {"name": "brief"}})
    body = {"spec": {"expirationSeconds": 599}}
    assert api.admin("POST", f"{ACCOUNTS}/brief/token", body).status_code == 422


def test_bound_token(api: Api) -> None:
    """A token bound to a Secret dies with it."""
    secrets = "/api/v1/namespaces/default/secrets"
    api.admin("POST", secrets, {"metadata": {"name": "anchor"}})
    bound = {"kind": "Secret", "apiVersion": "v1", "name": "anchor"}
    client = Client(api.nobody.http, account(api, "bound", boundObjectRef=bound))
    assert client("POST", SELF, {}).status_code == 201
    api.admin("DELETE", f"{secrets}/anchor")
    assert client("POST", SELF, {}).status_code == 401


@pytest.mark.parametrize(
    ("made_for", "asked_for", "audiences"),
    [
        ([], [], [ISSUER]),
        ([], ["hub"], None),
        (["hub"], ["hub", "x"], ["hub"]),
        (["hub"], [], None),
    ],
)
def test_token_review(
    api: Api, made_for: list[str], asked_for: list[str], audiences: list[str] | None
) -> None:
    """A review is always 201; the token must be for one of the audiences asked for."""
    token = account(api, "reviewed", audiences=made_for)
    answer = api.admin("POST", TOKENS, {"spec": {"token": token, "audiences": asked_for}})
    assert answer.status_code == 201
    status = answer.json()["status"]
    assert status.get("audiences") == audiences
    assert status.get("authenticated", False) is (audiences is not None)


def test_foreign_audience_is_no_login(api: Api) -> None:
    """A token for the registry is no credential of the API."""
    client = Client(api.nobody.http, account(api, "foreign", audiences=["hub"]))
    assert client("POST", SELF, {}).status_code == 401


def test_access_review(api: Api) -> None:
    """A review names the binding, and a refusal has no reason."""
    rules = [{"apiGroups": ["g"], "resources": ["r"], "resourceNames": ["x"], "verbs": ["push"]}]
    api.grant("dora", rules)
    asked = {"namespace": "default", "group": "g", "resource": "r", "name": "x", "verb": "push"}

    def ask(**changes: str) -> dict[str, Any]:
        body = {"spec": {"user": "dora", "resourceAttributes": {**asked, **changes}}}
        answer: dict[str, Any] = api.admin("POST", ACCESS, body).json()["status"]
        return answer

    reason = 'RBAC: allowed by RoleBinding "dora-test/default" of Role "dora-test" to User "dora"'
    assert ask() == {"allowed": True, "reason": reason}
    for change in ({"name": "y"}, {"verb": "pull"}, {"namespace": "other"}, {"group": "h"}):
        assert ask(**change) == {"allowed": False}
    assert api.alice("POST", ACCESS, {"spec": {}}).status_code == 403


def test_impersonation(api: Api) -> None:
    """Who may impersonate is the other, with the groups he names; others may not."""
    other = api.admin("POST", SELF, {}, impersonate_user="eve", impersonate_group="g")
    info = other.json()["status"]["userInfo"]
    assert info == {"username": "eve", "groups": ["g", "system:authenticated"]}
    assert api.alice("POST", SELF, {}, impersonate_user="eve").status_code == 403
    assert api.admin("POST", SELF, {}, impersonate_group="g").status_code == 400


def test_nobody_grants_more_than_he_has(api: Api) -> None:
    """A manager of roles hands out what he holds, or what he may bind, and nothing else."""
    manage = {
        "apiGroups": [RBAC.split("/")[2]],
        "resources": ["roles", "rolebindings"],
        "verbs": ["*"],
    }
    manage["verbs"] = ["get", "create", "update", "patch"]
    bind = {
        "apiGroups": [RBAC.split("/")[2]],
        "resources": ["clusterroles"],
        "resourceNames": ["system:basic-user"],
        "verbs": ["bind"],
    }
    api.grant("bob", [manage, bind])
    roles = f"{RBAC}/namespaces/default/roles"
    bindings = f"{RBAC}/namespaces/default/rolebindings"
    evil = {
        "metadata": {"name": "evil"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
    }
    refused = api.bob("POST", roles, evil)
    assert refused.status_code == 403
    assert '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}' in refused.json()["message"]

    def bound(name: str) -> int:
        body = {
            "metadata": {"name": name.replace(":", "-")},
            "roleRef": {"kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "User", "name": "bob"}],
        }
        return api.bob("POST", bindings, body).status_code

    assert bound("cluster-admin") == 403
    assert bound("system:basic-user") == 201
