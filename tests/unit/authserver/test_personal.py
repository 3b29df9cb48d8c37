"""Personal tokens: made once, narrower than their owner, and never the parent of another."""

from __future__ import annotations

import hashlib
import json
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.authserver.fake_kubernetes import LOGINS
from tests.unit.authserver.running import (
    ALICE,
    BOB_TOKEN,
    SCOPE,
    TOKEN,
    Answer,
    RunningServer,
    basic,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.authserver.fake_kubernetes import FakeKubernetes

    Serve = Callable[..., RunningServer]

DAY = 24 * 3600


def ask(server: RunningServer, credential: str, body: object) -> Answer:
    """Send `POST /v1/logins`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.request("POST", "/v1/logins", body=content, headers=basic(("", credential)))


def made(server: RunningServer, credential: str = TOKEN, **fields: object) -> dict[str, Any]:
    """Make a token that must be possible."""
    answer = ask(server, credential, {"name": "ci", "seconds": DAY, **fields})
    assert answer.status == 201, answer.body
    return answer.json


def refresh_token(server: RunningServer) -> str:
    """Log in."""
    found: str = server.get(login=("token", TOKEN), offline_token="true").json["refresh_token"]
    return found


def test_a_token_is_shown_once_and_stored_as_its_hash(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """The answer holds it; the resource holds its hash, its name, its end and its limits."""
    scopes = ["repository:team/app:pull"]
    answer = made(token_server, scopes=scopes)
    token = answer["token"]
    assert re.fullmatch(r"shp_[A-Za-z0-9_-]{43}", token)
    digest = hashlib.sha256(token.encode()).hexdigest()
    spec = fake.objects[f"{LOGINS}/{digest[:32]}"]["spec"]
    assert (spec["tokenHash"], spec["type"], spec["service"]) == (digest, "personal", "hub")
    assert (spec["name"], spec["scopes"], spec["user"]["name"]) == ("ci", scopes, ALICE)
    created, expires = (datetime.fromisoformat(spec[key]) for key in ("created", "expires"))
    assert ((expires - created).total_seconds(), spec["idleSeconds"]) == (DAY, 0)
    assert token not in str(fake.objects)
    assert answer["login"] == {
        "id": digest[:32],
        "type": "personal",
        "name": "ci",
        "service": "hub",
        "scopes": scopes,
        "created": spec["created"],
        "lastUsed": None,
        "expires": spec["expires"],
        "client": "",
        "address": answer["login"]["address"],
        "current": False,
    }
    assert token not in (token_server.folder / "audit.log").read_text()
    line = next(line for line in token_server.audit() if line["event"] == "create")
    assert (line["login"], line["user"], line["scopes"]) == (digest[:32], ALICE, scopes)


def test_it_is_a_password_with_the_rights_of_both(token_server: RunningServer) -> None:
    """Rights of the user and scopes of the token: what is in both is granted."""
    narrow = made(token_server, scopes=["repository:team/*:pull,delete"])["token"]
    wide = made(token_server)["token"]
    for token, actions in ((narrow, ["pull"]), (wide, ["pull", "push"])):
        answer = token_server.get(
            "repository:team/app:pull,push,delete", login=("anything", token), offline_token="true"
        )
        assert answer.access == {"repository:team/app": actions}
        assert "refresh_token" not in answer.json


def test_a_refresh_token_may_make_one_and_a_personal_token_may_not(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """After `sealoshub login` no cluster credential is needed; a leaked CI secret has no heirs."""
    token = made(token_server, refresh_token(token_server))["token"]
    before = len(fake.objects)
    refused = ask(token_server, token, {"name": "heir", "seconds": DAY})
    assert (refused.status, refused.json["errors"][0]["code"]) == (403, "DENIED")
    assert ask(token_server, "shp_" + "x" * 43, {"name": "n", "seconds": DAY}).status == 401
    assert token_server.request("POST", "/v1/logins", body=b"{}").status == 401
    assert len(fake.objects) == before


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON"),
        (b"[" * 5000, "JSON"),
        ([], "object"),
        ({"seconds": DAY}, "name"),
        ({"name": " ", "seconds": DAY}, "name"),
        ({"name": "a\nb", "seconds": DAY}, "name"),
        ({"name": "a" * 101, "seconds": DAY}, "name"),
        ({"name": "n"}, "seconds"),
        ({"name": "n", "seconds": "90"}, "seconds"),
        ({"name": "n", "seconds": True}, "seconds"),
        ({"name": "n", "seconds": 59}, "60 to 7776000 seconds (90 days)"),
        ({"name": "n", "seconds": 91 * DAY}, "60 to 7776000 seconds (90 days)"),
        ({"name": "n", "seconds": DAY, "user": "bob"}, "user"),
        ({"name": "n", "seconds": DAY, "service": "other"}, "service"),
        ({"name": "n", "seconds": DAY, "scopes": []}, "scopes"),
        ({"name": "n", "seconds": DAY, "scopes": "repository:a/b:pull"}, "scopes"),
        ({"name": "n", "seconds": DAY, "scopes": ["repository:a/b:pull"] * 65}, "scopes"),
    ],
)
def test_a_wish_that_is_refused(token_server: RunningServer, body: object, said: str) -> None:
    """400 with what is wrong; nothing is guessed and nothing is made."""
    answer = ask(token_server, refresh_token(token_server), body)
    assert answer.status == 400
    assert said in answer.message


@pytest.mark.parametrize(
    ("scope", "good"),
    [
        ("repository:team/app:pull", True),
        ("repository:team/app:push,pull", True),
        ("repository:team/*:pull", True),
        ("repository:*:pull", True),
        ("repository:team/app:*", True),
        ("registry:catalog:*", True),
        ("repository:team/app:fly", False),
        ("repository:team/app:", False),
        ("repository:team/app", False),
        ("repository:te*:pull", False),
        ("repository:team/a*:pull", False),
        ("repository:Team/app:pull", False),
        ("repository:team:pull", False),
        ("repository:../x:pull", False),
        ("registry:other:*", False),
        ("repository(plugin):team/app:pull", False),
        ("", False),
        (7, False),
        (None, False),
        (["repository:team/app:pull"], False),
    ],
)
def test_a_scope_that_cannot_be_understood_is_refused(
    token_server: RunningServer, scope: object, good: object
) -> None:
    """A limit that was misread would be none."""
    body = {"name": "n", "seconds": DAY, "scopes": [scope]}
    assert ask(token_server, refresh_token(token_server), body).status == (201 if good else 400)


def test_the_longest_life_is_that_of_a_login(serve: Serve) -> None:
    """`login.absolute_seconds` bounds personal tokens too."""
    server = serve(login={"absolute_seconds": 3600, "idle_seconds": 600})
    token = refresh_token(server)
    assert ask(server, token, {"name": "n", "seconds": 3600}).status == 201
    assert "1 hours" in ask(server, token, {"name": "n", "seconds": 3601}).message


def test_listing_shows_everything_but_secrets(token_server: RunningServer) -> None:
    """One's own tokens and logins; a personal token sees itself only."""
    login = refresh_token(token_server)
    first, second = made(token_server, login), made(token_server, login, name="other")

    def listed(credential: str) -> list[dict[str, Any]]:
        headers = basic(("x", credential))
        answer = token_server.request("GET", "/v1/logins", headers=headers)
        assert "shp_" not in answer.body.decode()
        found: list[dict[str, Any]] = answer.json["logins"]
        return found

    assert {entry["name"] for entry in listed(login)} == {"", "ci", "other"}
    assert [entry["id"] for entry in listed(second["token"])] == [second["login"]["id"]]
    assert listed(second["token"])[0]["current"] is True
    assert token_server.request("GET", "/v1/logins", headers=basic(("bob", BOB_TOKEN))).json == {
        "logins": []
    }
    path = f"/v1/logins/{first['login']['id']}"
    assert token_server.request("DELETE", path, headers=basic(("x", login))).status == 204
    assert token_server.get(SCOPE, login=("x", first["token"])).status == 401
    assert token_server.get(SCOPE, login=("x", second["token"])).status == 200


def test_the_first_use_is_written_down_at_once(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """Its owner sees whether it is in use; after that once an hour will do."""
    login = refresh_token(token_server)
    token = made(token_server, login)["token"]
    for _ in range(3):
        assert token_server.get(SCOPE, login=("x", token)).status == 200

    def last_used() -> dict[str, Any]:
        answer = token_server.request("GET", "/v1/logins", headers=basic(("x", login)))
        return {entry["type"]: entry["lastUsed"] for entry in answer.json["logins"]}

    deadline = time.monotonic() + 60
    while last_used()["personal"] is None:
        assert time.monotonic() < deadline
    assert last_used()["refresh"] is None
    assert sum(method == "PATCH" for method, _ in fake.asked) == 1


def test_a_token_that_cannot_be_stored_is_not_shown(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """503, and no token in the answer."""
    token_server.get(login=("alice", TOKEN))
    fake.status = 500
    answer = ask(token_server, TOKEN, {"name": "n", "seconds": DAY})
    assert answer.status == 503
    assert b"shp_" not in answer.body


def test_a_body_without_end_is_refused(token_server: RunningServer) -> None:
    """413, as at the token endpoint."""
    assert ask(token_server, refresh_token(token_server), b" " * 140_000).status == 413
