"""How many logins and personal tokens somebody may have, and what becomes of one more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.unit.authserver.fake_kubernetes import LOGINS
from tests.unit.authserver.program import wait_for
from tests.unit.authserver.running import BOB_TOKEN, SCOPE, TOKEN, basic

if TYPE_CHECKING:
    import pytest

    from tests.unit.authserver.conftest import Serve
    from tests.unit.authserver.fake_kubernetes import FakeKubernetes
    from tests.unit.authserver.running import Answer, RunningServer


def personal(server: RunningServer, login: tuple[str, str]) -> Answer:
    """Ask for a personal token."""
    body = json.dumps({"name": "ci", "seconds": 3600}).encode()
    return server.request("POST", "/v1/logins", body=body, headers=basic(login))


def test_one_personal_token_too_many_is_refused(serve: Serve) -> None:
    """With the way out; somebody else's do not count, and a revoked one makes room."""
    server = serve(login={"most_tokens": 2})
    made = [personal(server, ("alice", TOKEN)) for _ in range(3)]
    assert [answer.status for answer in made] == [201, 201, 403]
    assert "2 personal tokens" in made[2].message
    assert "token revoke" in made[2].message
    assert personal(server, ("bob", BOB_TOKEN)).status == 201
    path = f"/v1/logins/{made[0].json['login']['id']}"
    assert server.request("DELETE", path, headers=basic(("alice", TOKEN))).status == 204
    assert personal(server, ("alice", TOKEN)).status == 201


def test_one_login_too_many_ends_the_one_that_was_idle_longest(
    serve: Serve, fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that logs in every minute always gets in, and leaves no more than its share."""
    monkeypatch.setattr("sealoshub.authserver.logins.PRUNE_SECONDS", 0.0)
    server = serve(login={"most_logins": 2, "most_tokens": 1})
    kept = personal(server, ("alice", TOKEN)).json["token"]
    bobs = server.get(login=("bob", BOB_TOKEN), offline_token="true").json["refresh_token"]

    def stored() -> int:
        return sum(path.startswith(f"{LOGINS}/") for path in fake.objects)

    newest = ""
    for number in range(5):
        answer = server.get(SCOPE, login=("alice", TOKEN), offline_token="true")
        newest = answer.json["refresh_token"]
        # Two of others' and of other kinds, and at most two of these.
        wait_for(lambda: stored() <= 4, f"room after login {number}")
    assert stored() == 4
    for token in (kept, bobs, newest):
        assert server.get(SCOPE, login=("", token)).status == 200


def test_logins_are_counted_at_most_once_a_minute(serve: Serve, fake: FakeKubernetes) -> None:
    """It costs a list, which a herd of logins must not cost each."""
    server = serve()
    for _ in range(10):
        assert server.get(login=("alice", TOKEN), offline_token="true").status == 200
    server.stop()
    assert fake.count("labelSelector") <= 6  # pages of two
