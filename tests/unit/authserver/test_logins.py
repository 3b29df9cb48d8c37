"""Logins: the short credential of the hub."""

from __future__ import annotations

import hashlib
import re
import time
from datetime import UTC, datetime, timedelta
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


def log_in(token_server: RunningServer, token: str = TOKEN) -> str:
    """Log in as docker does and return the refresh token."""
    answer = token_server.get(login=("token", token), offline_token="true", client_id="docker")
    assert answer.status == 200, answer.body
    found: str = answer.json["refresh_token"]
    return found


def refresh(token_server: RunningServer, token: str, *scopes: str, **fields: str) -> Answer:
    """Use a refresh token as docker does."""
    return token_server.post(*scopes, grant_type="refresh_token", refresh_token=token, **fields)


def stored(fake: FakeKubernetes) -> list[dict[str, Any]]:
    """Return the Login objects."""
    return [body for path, body in fake.objects.items() if path.startswith(LOGINS)]


def plant(fake: FakeKubernetes, token: str, **spec: object) -> None:
    """Store a login as somebody else's server would have."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    now = datetime.now(UTC)
    full = {
        "tokenHash": digest,
        "type": "personal" if token.startswith("shp_") else "refresh",
        "user": {"name": ALICE, "uid": "uid-1", "groups": ["system:authenticated"]},
        "service": "hub",
        "created": now.isoformat(),
        "expires": (now + timedelta(days=1)).isoformat(),
        "idleSeconds": 0,
        **spec,
    }
    fake.change(f"{LOGINS}/{digest[:32]}", {"metadata": {"name": digest[:32]}, "spec": full})


REFRESH, PERSONAL = "shr_" + "r" * 43, "shp_" + "p" * 43


# ------------------------------------------------------------------ making one
def test_a_login_hands_out_a_short_token(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """At most 64 bytes; stored is only its hash, with everything that the next token needs."""
    token = log_in(token_server)
    assert re.fullmatch(r"shr_[A-Za-z0-9_-]{43}", token)
    (found,) = stored(fake)
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert found["metadata"]["name"] == digest[:32]
    spec = found["spec"]
    assert (spec["tokenHash"], spec["type"], spec["service"]) == (digest, "refresh", "hub")
    assert spec["user"] == {
        "name": ALICE,
        "uid": "uid-1",
        "groups": ["system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]},
    }
    assert spec["origin"] == {
        "serviceAccount": {"namespace": "user-system", "name": "alice", "uid": "uid-1"},
        "credentialID": "JTI=1",
    }
    assert (spec["client"], spec["idleSeconds"]) == ("docker", 30 * 86400)
    created, expires = (datetime.fromisoformat(spec[key]) for key in ("created", "expires"))
    assert expires - created == timedelta(days=90)
    assert token not in str(fake.objects)


def test_it_is_made_only_when_asked_for(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """By `offline_token=true` or `access_type=offline`, and not for anonymous."""
    assert "refresh_token" not in token_server.get(login=("alice", TOKEN)).json
    assert "refresh_token" not in token_server.get(offline_token="true").json
    assert stored(fake) == []
    fields = {"grant_type": "password", "username": "alice", "password": TOKEN}
    assert "refresh_token" not in token_server.post(**fields).json
    assert (
        token_server.post(access_type="offline", **fields).json["refresh_token"].startswith("shr_")
    )


def test_it_is_not_handed_out_when_it_cannot_be_stored(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """503: it would not work."""
    token_server.get(login=("alice", TOKEN))
    fake.status = 500
    assert token_server.get(login=("alice", TOKEN), offline_token="true").status == 503


# ------------------------------------------------------------------ using it
def test_it_is_good_again_and_again(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """For the rights of its user, without the cluster's token, and it is never replaced."""
    token = log_in(token_server)
    del fake.users[TOKEN]  # expired
    for _ in range(3):
        answer = refresh(token_server, token, SCOPE)
        assert answer.access == {"repository:team/app": ["pull", "push"]}
        assert answer.claims["sub"] == ALICE
        assert "refresh_token" not in answer.json
    assert refresh(token_server, token, access_type="offline").json["refresh_token"] == token
    assert len(stored(fake)) == 1


@pytest.mark.parametrize("account", ["alice", "<token>", "anything", ""])
def test_it_works_as_a_plain_password(token_server: RunningServer, account: str) -> None:
    """In clients that know no refresh tokens; a login with it gives the same one back."""
    token = log_in(token_server)
    assert token_server.get(SCOPE, login=(account, token)).access == {
        "repository:team/app": ["pull", "push"]
    }
    again = token_server.get(login=(account, token), offline_token="true")
    assert again.json["refresh_token"] == token


def test_rights_are_those_of_today(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """Taken away from the user, they are gone from his login."""
    token = log_in(token_server)
    fake.allowed.clear()
    assert refresh(token_server, token, SCOPE).access == {"repository:team/app": []}


def test_the_review_is_asked_as_the_stored_user(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """With the groups, uid and extra of the login."""
    token = log_in(token_server)
    refresh(token_server, token, "repository:team/fresh:push")
    spec = fake.bodies[-1]["spec"]
    assert (spec["user"], spec["uid"], spec["groups"]) == (ALICE, "uid-1", ["system:authenticated"])
    assert spec["extra"] == {"authentication.kubernetes.io/credential-id": ["JTI=1"]}


def test_a_login_by_another_replica(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """Whatever is stored is good here."""
    plant(fake, REFRESH)
    assert refresh(token_server, REFRESH, SCOPE).status == 200


def test_a_login_of_a_certificate_user_goes_on(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """The end of the certificate is written down and does not end the login."""
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    user = {"name": "carol", "groups": ["dev"]}
    plant(fake, REFRESH, user=user, origin={"certificateNotAfter": past})
    assert refresh(token_server, REFRESH, SCOPE).claims["sub"] == "carol"


# ------------------------------------------------------------------ refusing it
def _iso(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


REFUSED: dict[str, dict[str, Any]] = {
    "expired": {"expires": _iso(seconds=-1)},
    "idle": {"created": _iso(days=-3), "idleSeconds": 86400},
    "another service": {"service": "other"},
    "another type": {"type": "personal"},
    "another hash": {"tokenHash": hashlib.sha256(b"other").hexdigest()},
    "a gone ServiceAccount": {
        "user": {"name": "system:serviceaccount:user-system:gone", "uid": "uid-1"}
    },
    "a ServiceAccount made again": {"user": {"name": ALICE, "uid": "uid-0"}},
    "no uid": {"user": {"name": ALICE}},
    "broken": {"created": "yesterday"},
    "no user": {"user": None},
}


def test_every_refusal_looks_the_same(serve: Serve, fake: FakeKubernetes) -> None:
    """401 with one sentence, so that nobody learns which part was right."""
    messages = {}
    server = serve(trusted_proxies=["127.0.0.0/8", "::1/128"])
    for number, (name, spec) in enumerate(REFUSED.items()):
        token = "shr_" + str(number) * 43
        plant(fake, token, **spec)
        headers = {"x-forwarded-for": f"10.0.0.{number}"}
        answer = server.post_with(headers, SCOPE, grant_type="refresh_token", refresh_token=token)
        assert answer.status == 401, name
        messages[name] = answer.message
    messages["unknown"] = refresh(server, "shr_" + "x" * 43).message
    messages["malformed"] = refresh(server, "shr_short").message
    messages["slash"] = refresh(server, "shr_../../secrets/" + "x" * 30).message
    assert len(set(messages.values())) == 1


def test_a_revoked_login_is_refused(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """Deleted by an administrator: gone after ten seconds here, at once if not cached."""
    plant(fake, REFRESH)
    fake.change(f"{LOGINS}/{hashlib.sha256(REFRESH.encode()).hexdigest()[:32]}", None)
    assert refresh(token_server, REFRESH, SCOPE).status == 401


def test_an_outage_is_no_revocation(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """Login or ServiceAccount cannot be read: 503."""
    plant(fake, REFRESH)
    fake.status = 500
    assert refresh(token_server, REFRESH, SCOPE).status == 503
    fake.status = None
    assert refresh(token_server, REFRESH, SCOPE).status == 200


def test_a_last_use_is_written_once(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """In the background and at most once an hour."""
    plant(fake, REFRESH, created=_iso(hours=-2))
    for _ in range(3):
        assert refresh(token_server, REFRESH).status == 200
    deadline = time.monotonic() + 60
    while not any(method == "PATCH" for method, _ in fake.asked):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    token_server.stop()
    assert sum(method == "PATCH" for method, _ in fake.asked) == 1
    assert stored(fake)[0]["status"]["lastUsed"]


def test_use_keeps_a_login_alive(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """Idle time counts from the last use."""
    plant(fake, REFRESH, created=_iso(days=-3), idleSeconds=86400)
    path = f"{LOGINS}/{hashlib.sha256(REFRESH.encode()).hexdigest()[:32]}"
    fake.change(path, {**fake.objects[path], "status": {"lastUsed": _iso(hours=-1)}})
    assert refresh(token_server, REFRESH).status == 200


# ------------------------------------------------------------------ personal tokens
def test_a_personal_token_is_a_password(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """It works everywhere and never turns into a second credential."""
    plant(fake, PERSONAL)
    answer = token_server.get(SCOPE, login=("alice", PERSONAL), offline_token="true")
    assert answer.access == {"repository:team/app": ["pull", "push"]}
    assert "refresh_token" not in answer.json
    assert "refresh_token" not in refresh(token_server, PERSONAL, access_type="offline").json


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        (["repository:team/app:pull"], ["pull"]),
        (["repository:team/*:push"], ["push"]),
        (["repository:*:*"], ["pull", "push"]),
        (["repository:team/other:pull"], []),
        (["repository:te/*:pull"], []),
        (["registry:team/app:pull"], []),
        (["nonsense"], []),
        ([], []),
    ],
)
def test_a_personal_token_may_be_narrower(
    token_server: RunningServer, fake: FakeKubernetes, scopes: list[str], expected: list[str]
) -> None:
    """Its scopes limit every token made with it."""
    plant(fake, PERSONAL, scopes=scopes)
    answer = token_server.get("repository:team/app:pull,push", login=("alice", PERSONAL))
    assert answer.access == {"repository:team/app": expected}


# ------------------------------------------------------------------ one's own
def test_listing_and_revoking_ones_own(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """Mine are shown without a secret and can be revoked; others' can be neither."""
    mine, other_mine, bobs = (
        log_in(token_server),
        log_in(token_server),
        log_in(token_server, BOB_TOKEN),
    )
    ids = {token: hashlib.sha256(token.encode()).hexdigest()[:32] for token in (mine, other_mine)}
    shown = token_server.request("GET", "/v1/logins", headers=basic(("x", mine)))
    assert {entry["id"] for entry in shown.json["logins"]} == set(ids.values())
    current = [entry["id"] for entry in shown.json["logins"] if entry["current"]]
    assert current == [ids[mine]]
    assert mine not in shown.body.decode()
    assert hashlib.sha256(mine.encode()).hexdigest() not in shown.body.decode()

    def revoke(login_id: str, credential: str) -> int:
        path = f"/v1/logins/{login_id}"
        return token_server.request("DELETE", path, headers=basic(("x", credential))).status

    assert revoke(ids[mine], bobs) == 404
    assert revoke("0" * 32, mine) == 404
    assert revoke("..%2fsecrets", mine) == 404
    assert revoke(ids[other_mine], mine) == 204
    assert refresh(token_server, other_mine).status == 401
    assert refresh(token_server, mine).status == 200
    assert revoke(ids[mine], "sealoshub") in {401, 429}
    assert len(stored(fake)) == 2


def test_logout(token_server: RunningServer, fake: FakeKubernetes) -> None:
    """The token that is the credential is revoked, at once on this server."""
    token = log_in(token_server)
    assert refresh(token_server, token).status == 200
    headers = basic(("x", token))
    assert token_server.request("DELETE", "/v1/logins/self", headers=headers).status == 204
    assert stored(fake) == []
    assert refresh(token_server, token).status == 401
    assert token_server.request("DELETE", "/v1/logins/self", headers=headers).status == 401
    own = basic(("alice", TOKEN))
    assert token_server.request("DELETE", "/v1/logins/self", headers=own).status == 400
    assert [line["event"] for line in token_server.audit()].count("logout") == 1


def test_whoami_of_a_login(token_server: RunningServer) -> None:
    """It says whose and until when, and the id to revoke it by."""
    token = log_in(token_server)
    found = token_server.request("GET", "/v1/whoami", headers=basic(("x", token))).json
    assert (found["user"]["name"], found["method"]) == (ALICE, "login")
    assert found["login"]["id"] == hashlib.sha256(token.encode()).hexdigest()[:32]
    assert found["login"]["current"] is True


def test_a_personal_token_revokes_only_itself(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """A CI secret that leaked must not log its owner out."""
    token = log_in(token_server)
    login_id = hashlib.sha256(token.encode()).hexdigest()[:32]
    plant(fake, PERSONAL)
    headers = basic(("x", PERSONAL))
    assert token_server.request("DELETE", f"/v1/logins/{login_id}", headers=headers).status == 401
    assert token_server.request("DELETE", "/v1/logins/self", headers=headers).status == 204
