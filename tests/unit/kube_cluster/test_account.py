"""User names of ServiceAccounts."""

from __future__ import annotations

import pytest

from sealoshub.kube.account import account_groups, service_account, user_name


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("system:serviceaccount:ci:builder", ("ci", "builder")),
        ("system:serviceaccount:ci:builder.v2", ("ci", "builder.v2")),
        ("alice", ("", "")),
        ("system:node:worker", ("", "")),
        ("system:serviceaccount", ("", "")),
        ("system:serviceaccount:", ("", "")),
        ("system:serviceaccount:ci", ("", "")),
        ("system:serviceaccount:ci:", ("", "")),
        ("system:serviceaccount::builder", ("", "")),
        ("system:serviceaccount:ci:builder:v2", ("", "")),
        ("System:serviceaccount:ci:builder", ("", "")),
    ],
)
def test_only_a_service_account_has_a_namespace(user: str, expected: tuple[str, str]) -> None:
    """Whoever is called otherwise, or only half so, is none."""
    assert service_account(user) == expected


def test_a_user_name_can_be_taken_apart_again() -> None:
    """What is put together is what comes out."""
    assert user_name("ci", "builder") == "system:serviceaccount:ci:builder"
    assert service_account(user_name("ci", "builder")) == ("ci", "builder")


def test_an_account_is_in_two_groups() -> None:
    """That of every account, and that of the accounts of its namespace."""
    assert account_groups("ci") == ("system:serviceaccounts", "system:serviceaccounts:ci")
