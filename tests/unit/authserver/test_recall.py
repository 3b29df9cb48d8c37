"""What is answered without asking is what would be answered with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from sealoshub.authserver.app import App
from sealoshub.authserver.logins import Logins
from tests.unit.authserver.program import wait_for
from tests.unit.authserver.running import ALICE, BOB_TOKEN, SCOPE, TOKEN, basic
from tests.unit.authserver.test_clients import FILES, claims, granted, raw, send

if TYPE_CHECKING:
    from tests.unit.authserver.conftest import Serve
    from tests.unit.authserver.fake_kubernetes import FakeKubernetes
    from tests.unit.authserver.running import RunningServer


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what an answer says, without what differs each time."""
    found = claims(answer["token"])
    assert answer["token"] == answer["access_token"]
    return {
        **{key: answer[key] for key in answer if key not in {"token", "access_token"}},
        "claims": {key: found[key] for key in ("iss", "sub", "aud", "access")},
        "life": found["exp"] - found["nbf"],
    }


def test_the_second_answer_is_the_first(token_server: RunningServer) -> None:
    """For every request of every client, with its own headers; the second costs no question."""
    refresh = token_server.get(login=("alice", TOKEN), offline_token="true").json["refresh_token"]
    files = [file for file in FILES if file.stem != "docker-login"]
    requests = [raw(file, password, refresh) for file in files for password in (TOKEN, refresh)]
    long_way = [send(token_server, request) for request in requests]
    with pytest.MonkeyPatch.context() as patch:

        async def fail(*_: object) -> NoReturn:
            raise AssertionError("asked")

        patch.setattr(App, "_token", fail)
        short_way = [send(token_server, request) for request in requests]
    assert len(requests) > 50
    for (_, _, before), (status, headers, after) in zip(long_way, short_way, strict=True):
        assert status == 200
        assert headers["cache-control"] == "no-store"
        assert told(after) == told(before)
        assert claims(after["token"])["jti"] != claims(before["token"])["jti"]


def test_what_is_not_known_is_asked(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """Another repository, another user, a new login, a wrong name, a wrong credential."""
    assert token_server.get(SCOPE, login=("alice", TOKEN)).status == 200
    asked = len(fake.asked)
    assert token_server.get("repository:team/new:pull", login=("alice", TOKEN)).status == 200
    assert len(fake.asked) > asked
    assert token_server.get(SCOPE, login=("bob", BOB_TOKEN)).access == {"repository:team/app": []}
    assert token_server.get(SCOPE, login=("carol", TOKEN)).status == 401
    assert token_server.get(SCOPE, login=("alice", TOKEN[:-2])).status == 401
    assert token_server.get(SCOPE, login=("alice", TOKEN), service="other").status == 400
    assert token_server.get(SCOPE, login=("alice", TOKEN), account="bob").status == 400
    answer = token_server.get(SCOPE, login=("alice", TOKEN), offline_token="true")
    assert answer.json["refresh_token"].startswith("shr_")


def test_what_is_made_private_is_private_at_once(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """The public comes from the watch, in memory or not."""
    assert token_server.get("repository:team/open:pull").access["repository:team/open"] == ["pull"]
    fake.put_repository("team/open", private=True)
    wait_for(
        lambda: token_server.get("repository:team/open:pull").access["repository:team/open"] == [],
        "the repository to be private",
        5,
    )


def test_a_narrow_token_stays_narrow(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """Also when every decision about its owner is known."""
    fake.allow(ALICE, "team/other", "pull", "push")
    body = {"name": "ci", "seconds": 3600, "scopes": ["repository:team/app:pull"]}
    made = token_server.request(
        "POST", "/v1/logins", body=json.dumps(body).encode(), headers=basic(("alice", TOKEN))
    )
    narrow = made.json["token"]
    scopes = (SCOPE, "repository:team/other:pull,push")
    for _ in range(2):
        wide = token_server.get(*scopes, login=("alice", TOKEN))
        assert list(wide.access.values()) == [["pull", "push"]] * 2
    for _ in range(3):
        answer = token_server.get(*scopes, login=("", narrow))
        assert answer.access == {"repository:team/app": ["pull"], "repository:team/other": []}


def test_revoked_is_revoked(
    serve: Serve, fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here at once, elsewhere when what was read has aged."""
    monkeypatch.setattr("sealoshub.authserver.logins.LOGIN_SECONDS", 0.3)
    here = serve()
    refresh = here.get(login=("alice", TOKEN), offline_token="true").json["refresh_token"]
    assert [here.get(SCOPE, login=("", refresh)).status for _ in range(2)] == [200, 200]
    for path in [path for path in fake.objects if "/logins/" in path]:
        fake.change(path, None)
    wait_for(lambda: here.get(SCOPE, login=("", refresh)).status == 401, "the revocation", 5)


def test_logged_out_is_logged_out(token_server: RunningServer) -> None:
    """Also for a request that was answered a moment ago, and only for that login."""
    tokens = [
        token_server.get(login=("alice", TOKEN), offline_token="true").json["refresh_token"]
        for _ in range(2)
    ]
    for token in tokens * 2:
        assert token_server.get(SCOPE, login=("", token)).status == 200
    path, headers = "/v1/logins/self", basic(("x", tokens[0]))
    assert token_server.request("DELETE", path, headers=headers).status == 204
    assert [token_server.get(SCOPE, login=("", token)).status for token in tokens] == [401, 200]


def test_the_same_request_for_a_second_and_no_longer(
    token_server: RunningServer, fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a credential is worth is looked up again a second after it was, whoever repeats it."""
    monkeypatch.setattr("sealoshub.authserver.app.SEEN_SECONDS", 0.2)
    monkeypatch.setattr("sealoshub.authplugin.kubernetes.IDENTITY_SECONDS", 0.2)
    assert token_server.get(SCOPE, login=("alice", TOKEN)).status == 200
    del fake.users[TOKEN]
    wait_for(
        lambda: token_server.get(SCOPE, login=("alice", TOKEN)).status == 401, "the end of it", 5
    )


def test_it_is_counted_and_written_down(token_server: RunningServer) -> None:
    """A line and a number for each, as for any other."""
    for _ in range(5):
        token_server.get("repository:team/open:pull")
    metrics = token_server.server._metrics.text()
    assert 'sealoshub_token_requests_total{status="200"} 5' in metrics
    lines = [line for line in token_server.audit() if line["event"] == "token"]
    assert len({line["jti"] for line in lines}) == 5
    assert {line["reasons"][0] for line in lines} == {"the repository is public"}


def test_a_use_is_noted(token_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a login is used keeps it alive, whichever way it is answered.

    But for the same request within a second, which says nothing new.
    """
    noted: list[str] = []
    monkeypatch.setattr(Logins, "_note_use", lambda _self, record: noted.append(record.id))
    refresh = token_server.get(login=("alice", TOKEN), offline_token="true").json["refresh_token"]
    for number in range(3):
        assert token_server.get(SCOPE, login=(str(number), refresh)).status == 200
    assert len(noted) == 3
    for _ in range(3):
        assert token_server.get(SCOPE, login=("again", refresh)).status == 200
    assert 3 < len(noted) <= 6
    assert granted(claims(token_server.get(SCOPE, login=("", refresh)).json["token"]))
