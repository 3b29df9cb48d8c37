"""From members to subjects: nobody gets a right that was meant for another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.imagehub.rights import Role
from sealoshub.imagehub.subjects import (
    Subject,
    of_manager,
    of_organization,
    of_repository,
    of_user,
)

LABRING = Subject("ServiceAccount", "user-system", "labring")


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("alice", Subject("User", "", "alice")),
        ("alice@example.com", Subject("User", "", "alice@example.com")),
        ("system:serviceaccount:ci:bot", Subject("ServiceAccount", "ci", "bot")),
        ("system:serviceaccount:ci", Subject("User", "", "system:serviceaccount:ci")),
        ("system:serviceaccount:a:b:c", Subject("User", "", "system:serviceaccount:a:b:c")),
        ("system:node:x", Subject("User", "", "system:node:x")),
    ],
)
def test_a_user_name_has_one_subject(name: str, subject: Subject) -> None:
    """ServiceAccounts are told by their full name; everything else is a user."""
    assert of_user(name) == subject


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("labring", LABRING),
        ("5827f347-2fce-4549-9d76-a1f8979fd499",
         Subject("ServiceAccount", "user-system", "5827f347-2fce-4549-9d76-a1f8979fd499")),
        ("system:serviceaccount:ci:bot", Subject("ServiceAccount", "ci", "bot")),
        ("alice@example.com", Subject("User", "", "alice@example.com")),
        ("Alice", Subject("User", "", "Alice")),
    ],
)  # fmt: skip
def test_a_bare_manager_is_a_service_account(name: str, subject: Subject) -> None:
    """As in the original, whose users were ServiceAccounts in user-system."""
    assert of_manager(name) == subject


def test_an_old_organization_has_one_owner() -> None:
    """Creator and manager of the same bare name are one ServiceAccount, and no certificate user."""
    roster = of_organization({"creator": "labring", "manager": ["labring"]})
    assert roster.subjects == {Role.OWNER: (LABRING,)}


def test_a_new_organization_is_owned_by_its_creator() -> None:
    """The creator's user name counts as it is."""
    roster = of_organization({"creator": "alice", "manager": ["labring"]})
    assert roster.subjects == {Role.OWNER: (LABRING, Subject("User", "", "alice"))}


def test_the_same_name_of_three_kinds_is_three_subjects() -> None:
    """Kind and namespace tell them apart."""
    members = [
        {"kind": "User", "name": "dev", "role": "viewer"},
        {"kind": "Group", "name": "dev", "role": "developer"},
        {"kind": "ServiceAccount", "namespace": "a", "name": "dev", "role": "owner"},
        {"kind": "ServiceAccount", "namespace": "b", "name": "dev", "role": "owner"},
    ]
    assert of_repository({"members": members}).subjects == {
        Role.DEVELOPER: (Subject("Group", "", "dev"),),
        Role.OWNER: (
            Subject("ServiceAccount", "a", "dev"),
            Subject("ServiceAccount", "b", "dev"),
        ),
        Role.VIEWER: (Subject("User", "", "dev"),),
    }


@pytest.mark.parametrize(
    "member",
    [
        "alice",
        None,
        {},
        {"kind": "User", "name": "", "role": "owner"},
        {"kind": "User", "name": "system:anonymous", "role": "owner"},
        {"kind": "Group", "name": "system:unauthenticated", "role": "owner"},
        {"kind": "User", "name": "x", "role": "god"},
        {"kind": "Robot", "name": "x", "role": "owner"},
        {"kind": "User", "name": "x", "namespace": "y", "role": "owner"},
        {"kind": "ServiceAccount", "name": "x", "role": "owner"},
        {"kind": "ServiceAccount", "name": "X Y", "namespace": "y", "role": "owner"},
    ],
)
def test_a_bad_entry_is_refused_and_the_others_stay(member: object) -> None:
    """One entry that RBAC would refuse must not take everybody's binding along."""
    good = {"kind": "User", "name": "bob", "role": "owner"}
    roster = of_repository({"members": [member, good]})
    assert roster.subjects == {Role.OWNER: (Subject("User", "", "bob"),)}
    assert len(roster.refused) == 1


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(st.lists(json, max_size=5), st.lists(json, max_size=3), json)
def test_no_entry_makes_anonymous_or_nobody_a_member(
    members: list[Any], manager: list[Any], creator: object
) -> None:
    """Whatever is written there, and it never fails."""
    roster = of_organization({"members": members, "manager": manager, "creator": creator})
    for found in roster.subjects.values():
        for subject in found:
            assert subject.name not in {"", "system:anonymous", "system:unauthenticated"}
            assert (subject.kind == "ServiceAccount") == bool(subject.namespace)
