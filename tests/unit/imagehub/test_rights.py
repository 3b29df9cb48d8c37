"""Roles and verbs, in code and in the manifests."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sealoshub.imagehub import install, names
from sealoshub.imagehub.rights import CLUSTER_ROLE_OF, VERBS_OF_ROLE, Role, Verb, verb_of_action

RULES = {
    obj["metadata"]["name"]: obj["rules"]
    for obj in install.load("roles.yaml") + install.load("grant.yaml")
    if obj["kind"] == "ClusterRole"
}


@pytest.mark.parametrize("role", list(Role))
def test_the_manifest_says_what_the_code_says(role: Role) -> None:
    """Each shared ClusterRole holds exactly the verbs of its role."""
    ours = [rule for rule in RULES[CLUSTER_ROLE_OF[role]] if rule["apiGroups"] == [names.GROUP]]
    assert len(ours) == 1
    assert set(ours[0]["verbs"]) == set(VERBS_OF_ROLE[role])
    assert ours[0]["resources"] == ["organizations", "repositories"]


def test_each_role_holds_all_of_the_one_before() -> None:
    """Viewer ⊂ developer ⊂ maintainer ⊂ owner."""
    held = [set(VERBS_OF_ROLE[role]) for role in Role]
    assert all(less < more for less, more in pairwise(held))


def test_only_the_controller_and_administrators_may_control() -> None:
    """The verb that opens every policy is in two roles."""
    holders = {name for name, rules in RULES.items() for r in rules if Verb.CONTROL in r["verbs"]}
    assert holders == {"imagehub:controller", "imagehub:admin"}


def test_nobody_deletes_collections_or_escalates() -> None:
    """No role has `deletecollection`, `escalate`, `impersonate` or a star."""
    verbs = {verb for rules in RULES.values() for rule in rules for verb in rule["verbs"]}
    assert verbs.isdisjoint({"deletecollection", "escalate", "impersonate", "*"})


def test_the_controller_binds_the_four_roles_only() -> None:
    """`bind` is limited by name."""
    binds = [rule for rule in RULES["imagehub:controller"] if "bind" in rule["verbs"]]
    assert [set(rule["resourceNames"]) for rule in binds] == [set(CLUSTER_ROLE_OF.values())]


@pytest.mark.parametrize(
    ("action", "verb"),
    [
        ("pull", Verb.PULL),
        ("push", Verb.PUSH),
        ("delete", Verb.DELETE_CONTENT),
        ("*", None),
        ("Pull", None),
        ("", None),
        ("get", None),
    ],
)
def test_an_action_of_the_registry_needs_a_verb(action: str, verb: Verb | None) -> None:
    """Unknown actions grant nothing."""
    assert verb_of_action(action) == verb
