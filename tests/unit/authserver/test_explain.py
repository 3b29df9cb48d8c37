"""Explanations: the rule or whom to ask, and never more than the asker may know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from sealoshub.authserver.explain import owners_of
from tests.unit.authserver.fake_kubernetes import REPOSITORIES, FakeUser
from tests.unit.authserver.program import wait_for
from tests.unit.authserver.running import (
    ALICE,
    BOB_TOKEN,
    TOKEN,
    Answer,
    RunningServer,
    basic,
)

if TYPE_CHECKING:
    from tests.unit.authserver.fake_kubernetes import FakeKubernetes

ORGANIZATIONS = "/apis/imagehub.sealos.io/v1/organizations"


def ask(server: RunningServer, token: str, **query: object) -> Answer:
    """Send `GET /v1/explain`."""
    path = f"/v1/explain?{urlencode(query, doseq=True)}"
    return server.request("GET", path, headers={"authorization": f"Bearer {token}"})


def put_organization(fake: FakeKubernetes, name: str, **spec: object) -> None:
    """Create an organisation."""
    fake.change(f"{ORGANIZATIONS}/{name}", {"metadata": {"name": name}, "spec": spec})


@pytest.mark.parametrize("verb", ["pull", "push"])
def test_allowed_names_the_binding(token_server: RunningServer, verb: str) -> None:
    """The reason is the one that RBAC gave."""
    found = ask(token_server, TOKEN, verb=verb, repository="team/app").json
    assert found == {
        "user": ALICE,
        "verb": verb,
        "repository": "team/app",
        "allowed": True,
        "reason": "RBAC: allowed by a binding",
        "owners": [],
        "limited": False,
        "full": False,
        "immutable": False,
    }


@pytest.mark.parametrize(
    ("query", "immutable"),
    [
        ({"verb": "push", "tag": "v1"}, True),
        ({"verb": "push", "tag": "latest"}, False),
        ({"verb": "push"}, False),
        ({"verb": "pull", "tag": "v1"}, False),
        ({"verb": "delete", "tag": "v1"}, False),  # not allowed, so nothing is told
    ],
)
def test_a_tag_that_never_moves(
    token_server: RunningServer, fake: FakeKubernetes, query: dict[str, str], *, immutable: bool
) -> None:
    """Whoever may push is told by the patterns of the repository."""
    spec = {"name": "team/app", "isPrivate": True, "immutableTags": ["v*"]}
    fake.change(f"{REPOSITORIES}/team.app", {"metadata": {"name": "team.app"}, "spec": spec})
    found = ask(token_server, TOKEN, repository="team/app", **query).json
    assert found["immutable"] is immutable


def test_a_quota_is_not_a_missing_right(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """Whoever may push hears how much of it is used; no owner could help, and none is named."""
    over = {"type": "WithinQuota", "status": "False", "message": "size 10.4Gi of 10Gi"}
    body = {
        "metadata": {"name": "team"},
        "spec": {"creator": "root", "quota": {"size": "10Gi"}},
        "status": {"conditions": [over]},
    }
    fake.change(f"{ORGANIZATIONS}/team", body)
    fake.allowed.add((ALICE, "", "team", "get"))

    def found() -> dict[str, Any]:
        answer: dict[str, Any] = ask(token_server, TOKEN, verb="push", repository="team/app").json
        return answer

    wait_for(lambda: bool(found()["full"]), "the quota to be known")
    assert found() == {
        "user": ALICE,
        "verb": "push",
        "repository": "team/app",
        "allowed": False,
        "reason": "team is over its quota: size 10.4Gi of 10Gi",
        "owners": [],
        "limited": False,
        "full": True,
        "immutable": False,
    }
    stranger = ask(token_server, BOB_TOKEN, verb="push", repository="team/app").json
    assert "no binding" in stranger["reason"]


def test_a_public_repository_says_so(token_server: RunningServer) -> None:
    """Anybody may pull it, and nobody push."""
    found = ask(token_server, BOB_TOKEN, verb="pull", repository="team/open").json
    assert (found["allowed"], found["reason"]) == (True, "the repository is public")
    assert (
        ask(token_server, BOB_TOKEN, verb="push", repository="team/open").json["allowed"] is False
    )


@pytest.mark.parametrize("word", ["delete", "delete-content"])
def test_the_owners_are_told_to_who_may_read_the_organisation(
    token_server: RunningServer, fake: FakeKubernetes, word: str
) -> None:
    """`delete` is the registry's word and `delete-content` that of RBAC."""
    put_organization(
        fake, "team", creator="root", members=[{"kind": "Group", "name": "ops", "role": "owner"}]
    )
    fake.allowed.add((ALICE, "", "team", "get"))
    found = ask(token_server, TOKEN, verb=word, repository="team/app").json
    assert (found["allowed"], found["verb"]) == (False, "delete-content")
    assert found["owners"] == ["User root", "Group ops"]
    assert f"no binding gives {ALICE} the verb delete-content on team/app" in found["reason"]


def test_missing_and_forbidden_are_the_same(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """Row 28 of the security page: same status, same body, the same calls behind it."""
    put_organization(fake, "secret", creator="root")
    bodies, calls = [], []
    token_server.get(login=("bob", BOB_TOKEN))  # who he is is known from now on
    for name in ("secret", "absent"):
        fake.asked.clear()
        answer = ask(token_server, BOB_TOKEN, verb="pull", repository=f"{name}/app")
        assert answer.status == 200
        bodies.append(answer.body.replace(name.encode(), b"NAME"))
        asked = (f"{method} {path}" for method, path in fake.asked if "watch=" not in path)
        calls.append(sorted(line.replace(name, "NAME") for line in asked))
        refused = ask(
            token_server, BOB_TOKEN, verb="pull", repository=f"{name}/app", **{"as": "carol"}
        )
        assert refused.status == 403
        bodies.append(refused.body)
    assert bodies[0] == bodies[2]
    assert bodies[1] == bodies[3]
    assert calls[0] == calls[1]


def test_for_somebody_else_one_must_own_the_organisation(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """`manage` there, or the right to impersonate that user; nothing else will do."""
    query: dict[str, Any] = {"verb": "push", "repository": "team/app", "as": "bob"}
    assert ask(token_server, TOKEN, **query).status == 403
    fake.allowed.add((ALICE, "hub-team", "team", "manage"))
    found = ask(token_server, TOKEN, **query).json
    assert (found["user"], found["allowed"]) == ("bob", False)
    assert ask(token_server, TOKEN, **query, group=["dev"]).json["allowed"] is False
    fake.allow("group:dev", "team/app", "push")
    assert ask(token_server, TOKEN, **query, group=["dev", "ops"]).json["allowed"] is True
    assert ask(token_server, TOKEN, **{**query, "repository": "other/app"}).status == 403


def test_an_impersonator_may_ask(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """Users and ServiceAccounts, as `kubectl --as` has it."""
    token = "eyJhbGciOiJFUzI1NiJ9.e30.b3BlcmF0b3I"
    fake.users[token] = FakeUser("operator")
    fake.allowed.add(("operator", "", "bob", "impersonate"))
    fake.allowed.add(("operator", "user-system", "alice", "impersonate"))
    query = {"verb": "push", "repository": "team/app"}
    assert ask(token_server, token, **query, **{"as": "bob"}).json["allowed"] is False
    assert ask(token_server, token, **query, **{"as": ALICE}).json["allowed"] is True
    assert ask(token_server, token, **query, **{"as": "carol"}).status == 403


def test_oneself_by_name_is_no_impersonation(token_server: RunningServer) -> None:
    """`--as` with one's own name needs no right."""
    found = ask(token_server, TOKEN, verb="push", repository="team/app", **{"as": ALICE})
    assert found.json["allowed"] is True


def test_a_limited_token_learns_only_of_its_limit(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """No owners, nobody else's rights."""
    put_organization(fake, "team", creator="root")
    fake.allowed |= {(ALICE, "", "team", "get"), (ALICE, "hub-team", "team", "manage")}
    wish = {"name": "ci", "seconds": 3600, "scopes": ["repository:team/app:pull"]}
    headers = basic(("token", TOKEN))
    body = json.dumps(wish).encode()
    token = token_server.request("POST", "/v1/logins", body=body, headers=headers).json["token"]
    found = ask(token_server, token, verb="push", repository="team/app").json
    assert (found["allowed"], found["owners"], found["limited"]) == (False, [], True)
    assert found["reason"] == "this personal token is not for push on team/app"
    assert ask(token_server, token, verb="pull", repository="team/app").json["allowed"] is True
    query = {"verb": "pull", "repository": "team/app", "as": "bob"}
    assert ask(token_server, token, **query).status == 403


@pytest.mark.parametrize(
    "query",
    [
        {"verb": "fly", "repository": "x/y"},
        {"verb": "pull"},
        {"verb": "pull", "repository": "x" * 256},
        {"verb": "pull", "repository": "x/y", "as": ""},
        {"verb": "push", "repository": "x/y", "tag": "a/b"},
        {"verb": "pull", "repository": "x/y", "as": "a\x00"},
        {"verb": "pull", "repository": "x/y", "as": "a" * 300},
        {"verb": "pull", "repository": "x/y", "group": "dev"},
        {"verb": "pull", "repository": "x/y", "as": "a", "group": ["g"] * 33},
    ],
)
def test_a_malformed_question_is_400(token_server: RunningServer, query: dict[str, object]) -> None:
    """With what is wrong."""
    assert ask(token_server, TOKEN, **query).status == 400


@pytest.mark.parametrize("name", ["/", "org/", "../x", "a/b/c", "Org/x", "org.x/y"])
def test_a_name_that_nothing_has_is_a_denial(token_server: RunningServer, name: str) -> None:
    """Nobody may, and nobody can be asked."""
    found = ask(token_server, TOKEN, verb="pull", repository=name).json
    assert (found["allowed"], found["owners"]) == (False, [])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"creator": "bob"}, ["User bob"]),
        ({"creator": "system:serviceaccount:ns:bob"}, ["ServiceAccount ns/bob"]),
        ({"creator": "bob", "manager": ["bob"]}, ["ServiceAccount user-system/bob"]),
        ({"manager": ["Bob", "a@b.c"]}, ["User Bob", "User a@b.c"]),
        (
            {
                "members": [
                    {"kind": "ServiceAccount", "namespace": "ci", "name": "x", "role": "owner"},
                    {"kind": "User", "name": "y", "role": "maintainer"},
                    "nonsense",
                ]
            },
            ["ServiceAccount ci/x"],
        ),
    ],
)
def test_owners_are_named_as_rbac_names_them(spec: dict[str, Any], expected: list[str]) -> None:
    """Creator, managers of the original, and members who are owners."""
    assert owners_of({"spec": spec}) == expected
