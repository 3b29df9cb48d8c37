"""`sealoshub explain` against a small hub on a real socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from sealoshub.cli.tree import app
from tests.unit.cli.logged_in import log_in
from tests.unit.cli.small_hub import SmallHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.testing import Result

PATH = ("GET", "/v1/explain")
ALLOWED: dict[str, Any] = {
    "user": "bob",
    "allowed": True,
    "reason": 'RBAC: allowed by RoleBinding "imagehub:developer/hub-team"',
    "owners": [],
    "limited": False,
}
DENIED = {
    **ALLOWED,
    "allowed": False,
    "reason": "no binding gives bob the verb push on team/app",
    "owners": ["User alice", "Group ops"],
}


@pytest.fixture
def small() -> Iterator[SmallHub]:
    """A hub that Alice is logged in to."""
    with SmallHub() as server:
        log_in(server.host)
        yield server


def run(*arguments: str) -> Result:
    """Run one command line."""
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize("action", ["pull", "push", "delete"])
def test_allowed_ends_with_0_and_names_the_rule(small: SmallHub, action: str) -> None:
    """The rule is what RBAC said."""
    small.answers[PATH] = (200, ALLOWED)
    done = run("explain", action, f"{small.host}/team/app:v1")
    assert done.exit_code == 0
    assert "bob may" in done.stdout
    assert 'RoleBinding "imagehub:developer/hub-team"' in done.stdout
    tag = {"tag": ["v1"]} if action == "push" else {}
    assert small.seen[0].query == {"verb": [action], "repository": ["team/app"], **tag}


def test_a_quota_sends_nobody_to_the_owners(small: SmallHub) -> None:
    """They cannot raise it; what helps is to delete something."""
    full = {**DENIED, "reason": "team is over its quota: tags 3 of 2", "owners": [], "full": True}
    small.answers[PATH] = (200, full)
    done = run("explain", "push", f"{small.host}/team/app", "--output", "json")
    assert done.exit_code == 4
    answer = json.loads(done.stdout)
    assert answer["data"]["over_quota"] is True
    assert "tags 3 of 2" in json.dumps(answer)
    assert "administrator" in json.dumps(answer)


def test_denied_ends_with_4_and_names_the_owners(small: SmallHub) -> None:
    """Whom to ask is the next step."""
    small.answers[PATH] = (200, DENIED)
    done = run("explain", "push", f"{small.host}/team/app")
    assert done.exit_code == 4
    assert "no binding gives bob the verb push" in done.stderr
    assert "User alice, Group ops" in done.stderr
    answer = json.loads(run("explain", "push", f"{small.host}/team/app", "-o", "json").stdout)
    assert (answer["status"], answer["exit_code"]) == ("error", 4)
    assert answer["data"]["owners"] == ["User alice", "Group ops"]


def test_nobody_to_name(small: SmallHub) -> None:
    """A hub that does not tell, and a token that is limited, have other ways out."""
    small.answers[PATH] = (200, {**DENIED, "owners": []})
    assert "does not tell" in run("explain", "push", f"{small.host}/team/app").stderr
    small.answers[PATH] = (200, {**DENIED, "owners": [], "limited": True})
    assert "wider --scope" in run("explain", "push", f"{small.host}/team/app").stderr


def test_for_somebody_else(small: SmallHub) -> None:
    """User and groups travel; that groups of a user are not known is said."""
    small.answers[PATH] = (200, ALLOWED)
    reference = f"{small.host}/team/app"
    done = run("explain", "pull", reference, "--as", "bob")
    assert "--as-group" in done.stderr
    done = run("explain", "pull", reference, "--as", "bob", "--as-group", "a", "--as-group", "b c")
    assert "--as-group" not in done.stderr
    assert small.seen[-1].query["as"] == ["bob"]
    assert small.seen[-1].query["group"] == ["a", "b c"]
    small.answers[PATH] = small.error(403, "DENIED", "only an owner of the organisation may ask")
    refused = run("explain", "pull", reference, "--as", "bob")
    assert (refused.exit_code, "only an owner" in refused.stderr) == (4, True)


def test_bad_questions(small: SmallHub) -> None:
    """A word, a reference, or a login that is missing."""
    assert run("explain", "fly", f"{small.host}/team/app").exit_code == 2
    assert run("explain", "pull", "app").exit_code == 5
    assert run("explain", "pull", "localhost:1/team/app").exit_code == 3
    assert run("explain", "pull", f"{small.host}/a/b", "--as-group", "x").exit_code == 2
