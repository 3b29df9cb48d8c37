"""An administrator ends the logins of somebody else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_way_through import ACCEPTED, DENIED, eventually, organization

if TYPE_CHECKING:
    from tests.integration.hub import Hub


@pytest.mark.parametrize(
    "hub", ["embedded-registry-3", "kube-registry-3"], indirect=True, scope="session"
)
def test_the_logins_of_a_user_end_and_no_others(hub: Hub, unique: str) -> None:
    """Within seconds, by the rights of `imagehub:admin`; who has not those is refused."""
    alice, bob = hub.user(f"alice-{unique}"), hub.user(f"bob-{unique}")
    organization(alice, unique)
    for person in (alice, bob):
        person.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)

    def whoami(number: int) -> int:
        person = (alice, bob)[number]
        return person.run("sealoshub", "whoami", hub.host, "--quiet").returncode

    assert [whoami(0), whoami(1)] == [ACCEPTED, ACCEPTED]
    refused = bob.run("sealoshub", "hub", "revoke", "--user", alice.name)
    assert refused.returncode == DENIED, refused.stderr
    done = hub.admin.run(
        "sealoshub", "hub", "revoke", "--user", alice.name, "-o", "json", expect=ACCEPTED
    )
    (ended,) = json.loads(done.stdout)["data"]["logins"]
    assert (ended["user"], ended["type"]) == (alice.name, "refresh")
    eventually(lambda: 0 if whoami(0) == ACCEPTED else 1, 1)
    assert whoami(1) == ACCEPTED
    again = hub.admin.run(
        "sealoshub", "hub", "revoke", "--user", alice.name, "-o", "json", expect=ACCEPTED
    )
    assert json.loads(again.stdout)["data"]["logins"] == []
