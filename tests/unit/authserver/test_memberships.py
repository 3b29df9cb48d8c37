"""One's own organisations and roles, and nobody else's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.authplugin import Identity
from sealoshub.authserver.memberships import roles
from sealoshub.imagehub.rights import Role
from tests.unit.authserver.fake_kubernetes import ORGANIZATIONS
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


def ask(server: RunningServer, token: str) -> Answer:
    """Send `GET /v1/organizations`."""
    headers = {"authorization": f"Bearer {token}"}
    return server.request("GET", "/v1/organizations", headers=headers)


def put(fake: FakeKubernetes, name: str, **spec: object) -> None:
    """Create an organisation."""
    fake.change(f"{ORGANIZATIONS}/{name}", {"metadata": {"name": name}, "spec": spec})


def lists(fake: FakeKubernetes) -> int:
    """Count how often all organisations were read; the fake has several pages of them."""
    return sum(
        path.startswith(f"{ORGANIZATIONS}?") and "continue=" not in path for _, path in fake.asked
    )


def test_everybody_gets_his_own(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """Two callers, one reading of the organisations for both."""
    put(fake, "team", creator="bob")
    put(fake, "web", creator=ALICE)
    put(fake, "open", members=[{"kind": "Group", "name": "system:authenticated", "role": "viewer"}])
    before = lists(fake)
    assert ask(token_server, TOKEN).json == {
        "organizations": [{"name": "open", "role": "viewer"}, {"name": "web", "role": "owner"}]
    }
    assert ask(token_server, BOB_TOKEN).json == {
        "organizations": [{"name": "team", "role": "owner"}]
    }
    assert lists(fake) == before + 1


def test_a_limited_token_is_not_told(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """It learns nothing beyond its scopes; nor does a caller without credential."""
    put(fake, "team", creator=ALICE)
    wish = {"name": "ci", "seconds": 3600, "scopes": ["repository:team/app:pull"]}
    body = json.dumps(wish).encode()
    made = token_server.request("POST", "/v1/logins", body=body, headers=basic(("token", TOKEN)))
    assert ask(token_server, made.json["token"]).json == {"organizations": None}
    assert token_server.request("GET", "/v1/organizations").status == 401


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, None),
        ({"creator": "carol"}, Role.OWNER),
        ({"creator": "bob", "manager": ["carol"]}, None),  # the ServiceAccount of that name
        ({"members": [{"kind": "User", "name": "carol", "role": "developer"}]}, Role.DEVELOPER),
        ({"members": [{"kind": "Group", "name": "devs", "role": "maintainer"}]}, Role.MAINTAINER),
        ({"members": [{"kind": "Group", "name": "carol", "role": "owner"}]}, None),
        (
            {
                "members": [
                    {"kind": "Group", "name": "devs", "role": "maintainer"},
                    {"kind": "User", "name": "carol", "role": "viewer"},
                ]
            },
            Role.MAINTAINER,
        ),
        ({"members": [{"kind": "User", "name": "carol", "role": "king"}, "nonsense"]}, None),
    ],
)
def test_the_strongest_role_counts(spec: dict[str, Any], expected: Role | None) -> None:
    """By name or by a group; kind and name must both be right."""
    found = roles(
        [{"metadata": {"name": "team"}, "spec": spec}, {}], Identity("carol", groups=("devs",))
    )
    assert found == ([] if expected is None else [("team", expected)])


@pytest.mark.parametrize(
    "member",
    [
        {"kind": "ServiceAccount", "namespace": "user-system", "name": "alice"},
        {"kind": "User", "name": ALICE},
    ],
)
def test_a_service_account_however_it_is_written(member: dict[str, str]) -> None:
    """RBAC knows it by both names."""
    organization = {
        "metadata": {"name": "team"},
        "spec": {"members": [{**member, "role": "viewer"}]},
    }
    assert roles([organization], Identity(ALICE)) == [("team", Role.VIEWER)]
