"""The manifests agree with the code that works with them, and with each other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.imagehub import install, names
from sealoshub.kube.resources import RESOURCES, resource_of

if TYPE_CHECKING:
    from collections.abc import Iterator

CRDS = [obj for name in install.CRDS for obj in install.load(name)]


def expressions(value: object) -> Iterator[str]:
    """Yield every CEL expression below *value*."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in {"rule", "expression", "messageExpression"}:
                yield str(item)
            else:
                yield from expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item)


@pytest.mark.parametrize("crd", CRDS, ids=lambda crd: crd["metadata"]["name"])
def test_each_crd_is_where_the_client_looks_for_it(crd: dict[str, Any]) -> None:
    """Kind, group, plural and scope are those of the client's table."""
    spec = crd["spec"]
    found = resource_of(spec["names"]["kind"])
    assert found.api_version == f"{spec['group']}/{spec['versions'][0]['name']}"
    assert found.plural == spec["names"]["plural"]
    assert found.namespaced == (spec["scope"] == "Namespaced")
    assert crd["metadata"]["name"] == f"{found.plural}.{names.GROUP}"
    assert spec["versions"][0]["subresources"] == {"status": {}}


def test_every_object_is_of_a_kind_that_we_can_apply() -> None:
    """The installer's client knows each kind, and each has a name of its own."""
    seen = set()
    for obj in install.manifests():
        meta = obj["metadata"]
        key = (obj["kind"], meta.get("namespace"), meta["name"])
        assert obj["kind"] in RESOURCES
        assert RESOURCES[obj["kind"]].api_version == obj["apiVersion"]
        assert key not in seen
        assert meta["labels"] == {"app.kubernetes.io/part-of": "sealoshub"}
        seen.add(key)


def test_every_policy_is_bound_and_denies() -> None:
    """A policy without a binding does nothing at all."""
    objects = install.load("policies.yaml")
    policies = [o for o in objects if o["kind"] == "ValidatingAdmissionPolicy"]
    bound = {
        o["spec"]["policyName"]: o["spec"]["validationActions"]
        for o in objects
        if o["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    assert bound == {policy["metadata"]["name"]: ["Deny"] for policy in policies}
    assert {policy["spec"]["failurePolicy"] for policy in policies} == {"Fail"}


def test_messages_do_not_depend_on_the_authorizer() -> None:
    """Such a message falls back silently, and the user would never see the reason."""
    for policy in install.load("policies.yaml"):
        spec = policy["spec"]
        tainted = {v["name"] for v in spec.get("variables", ()) if "authorizer" in v["expression"]}
        for validation in spec.get("validations", ()):
            text = validation.get("messageExpression", "")
            assert "authorizer" not in text
            assert not any(f"variables.{name}" in text for name in tainted)
            assert ("authorizer" in validation["expression"]) <= (
                validation.get("reason") == "Forbidden"
            )


def test_expressions_keep_to_what_a_small_engine_can_do() -> None:
    """The embedded API runs them too: no macro or function beyond the agreed ones."""
    known = {
        "split", "replace", "startsWith", "contains", "matches", "size", "has",
        "group", "resource", "namespace", "name", "check", "allowed",
    }  # fmt: skip
    for obj in install.manifests():
        for text in expressions(obj):
            bare = re.sub(r"'[^']*'", "''", text)
            assert set(re.findall(r"([A-Za-z]\w*)\(", bare)) <= known, text


def test_the_policies_use_the_names_of_the_code() -> None:
    """Labels, finalizer, namespaces and prefix are written twice and must be the same."""
    text = "\n".join(
        part
        for name in ("policies.yaml", "mutations.yaml")
        for obj in install.load(name)
        for part in (*expressions(obj), str(obj["spec"].get("validations")))
    )
    for word in (
        names.ORGANIZATION_LABEL,
        names.REPOSITORY_LABEL,
        names.TAG_LABEL,
        names.FINALIZER,
        names.FORCE_DELETE,
        f"'{names.NAMESPACE_PREFIX}' +",
        f"system:serviceaccount:{names.USER_NAMESPACE}:",
    ):
        assert word in text
