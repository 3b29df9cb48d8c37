"""What is answered without asking is what would be answered with it."""

from __future__ import annotations

import base64
import json
import socket
import time
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import pytest

from sealoshub.authserver.app import App
from sealoshub.authserver.exchange import Exchange
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


def test_all_ways_give_the_same_answer(token_server: RunningServer) -> None:
    """For every request of every client: by the framework, by ourselves, and without a question."""
    refresh = token_server.get(login=("alice", TOKEN), offline_token="true").json["refresh_token"]
    files = [file for file in FILES if file.stem != "docker-login"]
    requests = [raw(file, password, refresh) for file in files for password in (TOKEN, refresh)]

    async def fail(*_: object) -> NoReturn:
        raise AssertionError("the long way")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "recall", lambda *_: None)
        by_framework = [send(token_server, request) for request in requests]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "_token", fail)
        patch.setattr(Exchange, "recall", lambda *_: None)
        by_ourselves = [send(token_server, request) for request in requests]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "_token", fail)
        patch.setattr(App, "_decide", fail)
        at_once = [send(token_server, request) for request in requests]
    assert len(requests) > 50
    for first, *others in zip(by_framework, by_ourselves, at_once, strict=True):
        for status, headers, answer in others:
            assert status == first[0] == 200
            assert set(headers) == set(first[1])
            assert headers["cache-control"] == "no-store"
            assert told(answer) == told(first[2])
            assert claims(answer["token"])["jti"] != claims(first[2]["token"])["jti"]


@pytest.mark.parametrize(
    ("login", "scope", "service"),
    [
        (("alice", "wrong"), SCOPE, "hub"),
        (("alice", TOKEN), SCOPE, "other"),
        (None, "x" * 3000, "hub"),
    ],
)
def test_both_ways_refuse_alike(
    token_server: RunningServer, login: tuple[str, str] | None, scope: str, service: str
) -> None:
    """Status, headers and words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "recall", lambda *_: None)
        long_way = token_server.get(scope, login=login, service=service)
    short_way = token_server.get(scope, login=login, service=service)
    assert long_way.status == short_way.status
    assert long_way.body == short_way.body
    assert set(long_way.headers) == set(short_way.headers)


def asking(port: int, *scopes: str) -> socket.socket:
    """Send a request for each of *scopes*, one by one and without waiting for an answer."""
    password = base64.b64encode(f"alice:{TOKEN}".encode()).decode()
    sock = socket.create_connection(("localhost", port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for scope in scopes:
        target = f"/token?service=hub&scope={scope}"
        lines = f"Host: x\r\nAuthorization: Basic {password}\r\n\r\n"
        sock.sendall(f"GET {target} HTTP/1.1\r\n{lines}".encode())
        time.sleep(0.01)  # that they come apart; together they are the framework's
    return sock


def is_listening(port: int) -> bool:
    """Tell whether anybody takes a connection."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_what_comes_early_waits_for_its_turn(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """Several requests behind each other on one connection are answered in order."""
    fake.allow(ALICE, "team/b", "pull")
    fake.stalled = True
    names = ["app", "b", "open", "app", "b"]
    sock = asking(token_server.port, *(f"repository:team/{name}:pull" for name in names))
    wait_for(lambda: len(fake.asked) > 0, "the first question", 60)
    fake.stalled = False
    with sock, sock.makefile("rb") as file:
        found = [json.loads(_body(file))["scope"] for _ in names]
    assert found == [f"repository:team/{name}:pull" for name in names]


def test_the_end_of_the_server_waits_for_an_answer(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """It comes, and says that the connection ends with it."""
    before = len(fake.asked)
    fake.stalled = True
    sock = asking(token_server.port, SCOPE)
    wait_for(lambda: len(fake.asked) > before, "the question", 60)
    token_server.loop.call_soon_threadsafe(token_server.server.stop)
    wait_for(lambda: not is_listening(token_server.port), "the end to begin", 60)
    fake.stalled = False
    with sock, sock.makefile("rb") as file:
        assert file.readline().split()[1] == b"200"
        assert b"connection: close" in file.read().lower()
    token_server.stop()


def test_who_goes_away_leaves_nothing(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """A client that hangs up before its answer is no defect; others are served on."""
    before = len(fake.asked)
    fake.stalled = True
    sock = asking(token_server.port, SCOPE)
    wait_for(lambda: len(fake.asked) > before, "the question", 60)
    sock.close()
    fake.stalled = False
    assert token_server.get(SCOPE, login=("alice", TOKEN)).status == 200
    token_server.stop()


def _body(file: BinaryIO) -> bytes:
    """Read an answer of status 200 and return its body."""
    assert file.readline().split()[1] == b"200"
    length = 0
    while header := file.readline().strip().lower():
        length = int(header[15:]) if header.startswith(b"content-length:") else length
    return file.read(length)


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
