"""The hub's own CRDs and policies, from their YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.imagehub import install
from tests.unit.hub_api.conftest import RBAC

if TYPE_CHECKING:
    from tests.unit.hub_api.conftest import Api

GROUP = "/apis/imagehub.sealos.io/v1"
MERGE = "application/merge-patch+json"
Body = dict[str, Any]


@pytest.fixture(scope="module")
def installed(api: Api) -> Api:
    """The API with everything that the hub installs; alice owns `lab`, bob develops in it."""
    first = ("CustomResourceDefinition", "Namespace")
    for body in sorted(install.manifests(), key=lambda one: one["kind"] not in first):
        resource = api.engine.resources.of_kind(body["apiVersion"], body["kind"])
        assert resource is not None
        base = f"/apis/{body['apiVersion']}" if "/" in body["apiVersion"] else "/api/v1"
        if resource.namespaced:
            base += f"/namespaces/{body['metadata']['namespace']}"
        answer = api.admin("POST", f"{base}/{resource.plural}?fieldValidation=Strict", body)
        assert answer.status_code == 201, answer.text
    assert (
        api.alice("POST", f"{GROUP}/organizations", made("Organization", "lab")).status_code == 201
    )
    api.admin("POST", "/api/v1/namespaces", {"metadata": {"name": "hub-lab"}})
    for user, role in (("alice", "owner"), ("bob", "developer")):
        binding = {
            "metadata": {"name": role},
            "roleRef": {"kind": "ClusterRole", "name": f"imagehub:{role}"},
            "subjects": [{"kind": "User", "name": user}],
        }
        api.admin("POST", f"{RBAC}/namespaces/hub-lab/rolebindings", binding)
    return api


def made(kind: str, name: str, **spec: object) -> Body:
    """Return one of the hub's objects; its name follows from spec.name."""
    return {
        "apiVersion": "imagehub.sealos.io/v1",
        "kind": kind,
        "metadata": {"name": name.replace("/", ".").replace(":", ".")},
        "spec": {"name": name, **spec},
    }


def test_creator_and_labels_are_filled_in(installed: Api) -> None:
    """The mutating policies write what people leave out."""
    answer = installed.bob("POST", f"{GROUP}/images", made("Image", "lab/app:v1"))
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["spec"]["creator"] == "bob"
    assert body["metadata"]["labels"] == {
        "organization.imagehub.sealos.io": "lab",
        "repository.imagehub.sealos.io": "app",
        "tag.imagehub.sealos.io": "v1",
    }


def test_push_is_needed(installed: Api) -> None:
    """Without push in the organisation nothing is made in it; the answer says who may not what."""
    answer = installed.bob("POST", f"{GROUP}/repositories", made("Repository", "other/app"))
    assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")
    assert answer.json()["message"].endswith("denied request: bob may not push to other/app")


def test_developer_is_no_owner(installed: Api) -> None:
    """A developer makes a repository; deleting and publishing it are the owner's."""
    path = f"{GROUP}/repositories"
    assert installed.bob("POST", path, made("Repository", "lab/tool")).status_code == 201
    public = {"spec": {"isPrivate": True}}
    assert installed.bob("PATCH", f"{path}/lab.tool", public, MERGE).status_code == 403
    assert installed.bob("DELETE", f"{path}/lab.tool").status_code == 403
    assert installed.alice("PATCH", f"{path}/lab.tool", public, MERGE).status_code == 200
    assert installed.alice("DELETE", f"{path}/lab.tool").status_code == 200


def test_name_cannot_lie(installed: Api) -> None:
    """metadata.name follows from spec.name."""
    body = made("Repository", "evil/app")
    body["metadata"]["name"] = "lab.app"
    assert installed.bob("POST", f"{GROUP}/repositories", body).status_code == 422


def test_creator_cannot_be_another(installed: Api) -> None:
    """Nobody creates in another's name, or changes it afterwards."""
    body = made("Organization", "mine", creator="alice")
    assert installed.bob("POST", f"{GROUP}/organizations", body).status_code == 403
    change = {"spec": {"creator": "bob"}}
    path = f"{GROUP}/organizations/lab"
    assert installed.alice("PATCH", path, change, MERGE).status_code == 403
    assert installed.alice("PATCH", path, {"spec": {"creator": None}}, MERGE).status_code == 200


def test_status_is_the_controllers(installed: Api) -> None:
    """Users write no status."""
    path = f"{GROUP}/organizations/lab/status"
    assert installed.alice("PATCH", path, {"status": {"repoCount": 9}}, MERGE).status_code == 403
    assert installed.admin("PATCH", path, {"status": {"repoCount": 9}}, MERGE).status_code == 200


@pytest.mark.parametrize(
    "member",
    [
        {"kind": "User", "name": "system:anonymous", "role": "viewer"},
        {"kind": "ServiceAccount", "name": "ci", "role": "viewer"},
        {"kind": "User", "name": "", "role": "viewer"},
        {"kind": "Robot", "name": "x", "role": "viewer"},
    ],
)
def test_bad_members(installed: Api, member: Body) -> None:
    """Members that mean everybody or nobody are refused."""
    change = {"spec": {"members": [member]}}
    assert installed.alice("PATCH", f"{GROUP}/organizations/lab", change, MERGE).status_code == 422


def test_a_broken_policy_fails_closed(api: Api) -> None:
    """A policy whose expression cannot be evaluated refuses, unless it says Ignore."""
    group = "/apis/admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["secrets"],
    }
    for name, policy, code in (("closed", "Fail", 422), ("open", "Ignore", 201)):
        api.admin(
            "POST",
            f"{group}/validatingadmissionpolicies",
            {
                "metadata": {"name": name},
                "spec": {
                    "failurePolicy": policy,
                    "matchConstraints": {"resourceRules": [rule]},
                    "validations": [{"expression": "object.nope.nope"}],
                },
            },
        )
        binding = {
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        }
        api.admin("POST", f"{group}/validatingadmissionpolicybindings", binding)
        body = {"metadata": {"name": f"by-{name}"}}
        answer = api.admin("POST", "/api/v1/namespaces/default/secrets", body)
        assert answer.status_code == code
        api.admin("DELETE", f"{group}/validatingadmissionpolicies/{name}")
