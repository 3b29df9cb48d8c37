"""Rows 21 and 22: rights that were taken away, and tokens of the hub that are not good."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from sealoshub.imagehub.names import API_VERSION, HUB_NAMESPACE
from sealoshub.kube import ConflictError
from tests.attacks.cast import repository
from tests.attacks.target import OTHER_SERVICE, TOKEN_SECONDS
from tests.integration.servers.process import wait_until
from tests.unit.authserver.running import basic

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.attacks.cast import Cast
    from tests.attacks.target import Client, Target
    from tests.unit.authserver.running import Answer

SLACK: Final = 50.0  # seconds for a machine that is busy
REVOKED: Final = 10.0 + SLACK  # seconds; a decision is kept for ten
AT_ONCE: Final = 1.0  # seconds, of which some hundredths are needed; what is read is kept for nine
TRIES: Final = 3


def actions(answer: Answer, name: str) -> list[str]:
    """Return what a token grants for a repository."""
    assert answer.status == 200, answer.body
    found: list[str] = answer.access[f"repository:{name}"]
    return found


def test_row_21_rights_that_were_taken_away(target: Target, cast: Cast) -> None:
    """The next token after the cache has none of them, and those handed out end by themselves.

    So it is for a ServiceAccount that another one of its name has followed.
    """
    stranger, mark = target.stranger(), os.urandom(3).hex()
    robot = cast.robot(f"robot-{mark}")
    login = stranger.refresh_token(robot.login)
    carol, first, second = cast.user(f"carol-{mark}"), f"first-{mark}", f"second-{mark}"
    member = {"kind": "User", "name": carol.name, "role": "developer"}
    cast.make_organization(cast.alice, first, members=[member])
    cast.make_organization(cast.alice, second)
    opened = repository(f"{first}/opened", private=False)
    cast.alice.cluster.create(opened)
    questions: dict[str, Callable[[], Answer]] = {
        f"{first}/app": lambda: stranger.get(
            f"repository:{first}/app:pull,push", login=carol.login
        ),
        f"{second}/app": lambda: stranger.get(
            f"repository:{second}/app:pull,push", login=cast.alice.login
        ),
        f"{first}/opened": lambda: stranger.get(f"repository:{first}/opened:pull"),
    }
    for name, ask in questions.items():
        wait_until(lambda a=ask, n=name: bool(actions(a(), n)), f"rights on {name}", SLACK)  # type: ignore[misc]  # defaults bind the loop's values
    last = max(ask().claims["exp"] for ask in questions.values())

    cast.alice.cluster.patch("Organization", first, {"spec": {"members": []}})
    cast.alice.cluster.patch("Repository", f"{first}.opened", {"spec": {"isPrivate": True}})
    cast.alice.cluster.delete("Organization", second)
    # By the clock of the server: what was handed out ends in time.
    assert last - time.time() <= TOKEN_SECONDS
    wait_until(lambda: _made_again(cast, second), "the name to be free", SLACK)
    cast.hub.remove_robot(f"robot-{mark}")
    again = cast.robot(f"robot-{mark}")
    assert stranger.get(login=again.login).claims["sub"] == robot.name
    assert target.stranger().get(login=("", login)).status == 401
    for name, ask in questions.items():
        wait_until(lambda a=ask, n=name: not actions(a(), n), f"no rights on {name}", REVOKED)  # type: ignore[misc]  # as above
    # The API server itself remembers a token for ten seconds.
    old = ("", robot.secret + " ")
    wait_until(lambda: target.stranger().get(login=old).status == 401, "the token's end", REVOKED)


def _made_again(cast: Cast, name: str) -> bool:
    """Let Mallory make an organisation of a name that was Alice's, once it is free."""
    try:
        cast.make_organization(cast.mallory, name)
    except ConflictError:
        return False
    return True


def test_row_22_tokens_that_are_not_good(target: Target, cast: Cast) -> None:
    """Revoked, ended, of another service, cut, guessed: one and the same 401 for all of them."""
    alice, stranger = cast.alice, target.stranger()
    revoked = stranger.refresh_token(alice.login)
    gone = stranger.request("DELETE", "/v1/logins/self", headers=basic(("", revoked)))
    assert gone.status == 204
    elsewhere = stranger.refresh_token(alice.login, service=OTHER_SERVICE)
    good = stranger.refresh_token(alice.login)
    assert stranger.get(login=("", good)).status == 200
    ended, unhashed = _stored(cast, good, expires="2020-01-01T00:00:00Z"), _half_guessed(cast, good)
    bad = {
        "revoked": revoked,
        "of another service": elsewhere,
        "ended": ended,
        "half of its hash guessed": unhashed,
        "never made": "shr_" + secrets.token_urlsafe(32),
        "of another kind": good.replace("shr_", "shp_"),
        "a prefix": good[:-1],
        "a longer one": good + "A",
        "the stored hash": "shr_" + hashlib.sha256(good.encode()).hexdigest()[:43],
        "nothing but the prefix": "shr_",
        "a login's id": "shr_" + hashlib.sha256(good.encode()).hexdigest()[:32],
    }
    bodies = set()
    for kind, token in bad.items():
        by_basic = target.stranger().get("repository:a/b:pull", login=("", token))
        by_form = target.stranger().post(
            "repository:a/b:pull", grant_type="refresh_token", refresh_token=token
        )
        for answer in (by_basic, by_form):
            assert answer.status == 401, (kind, answer.body)
            assert token not in answer.body.decode()
            bodies.add(answer.body)
    assert len(bodies) == 1, bodies


def test_row_22_a_token_that_was_revoked_elsewhere(target: Target, cast: Cast) -> None:
    """Deleted in the API server, it is refused at once, though it was used a moment ago."""
    took = []
    for _ in range(TRIES):
        token = target.stranger().refresh_token(cast.alice.login)
        stranger = target.stranger()
        assert stranger.get(login=("", token)).status == 200
        cast.admin.delete("Login", hashlib.sha256(token.encode()).hexdigest()[:32], HUB_NAMESPACE)
        began = time.monotonic()
        wait_until(lambda t=token: target.stranger().get(login=("", t)).status == 401, "it", SLACK)  # type: ignore[misc]  # as above
        took.append(time.monotonic() - began)
        if took[-1] < AT_ONCE:
            break
    assert min(took) < AT_ONCE, took


def test_row_22_tokens_that_want_more_than_they_are(stranger: Client, cast: Cast) -> None:
    """A limited token grants its limits, and begets neither a login nor another token."""
    alice, name = cast.alice, cast.private
    wish = {"name": "ci", "seconds": 600, "service": "hub", "scopes": [f"repository:{name}:pull"]}
    made = stranger.request(
        "POST",
        "/v1/logins",
        body=json.dumps(wish).encode(),
        headers={**basic(alice.login), "content-type": "application/json"},
    )
    assert made.status == 201, made.body
    token = ("ci", made.json["token"])
    wide = f"repository:{name}:pull,push,delete"
    assert actions(stranger.get(wide, login=token), name) == ["pull"]
    other = f"{cast.organization}/other"
    assert actions(stranger.get(f"repository:{other}:pull,push", login=token), other) == []
    assert stranger.get("registry:catalog:*", login=token).access == {"registry:catalog": []}
    offline = stranger.get(wide, login=token, offline_token="true")
    assert "refresh_token" not in offline.json
    form = {"grant_type": "password", "username": "ci", "password": token[1]}
    assert "refresh_token" not in stranger.post(wide, **form, access_type="offline").json
    heir = stranger.request(
        "POST", "/v1/logins", body=json.dumps(wish).encode(), headers=basic(token)
    )
    assert heir.status in {401, 403}, heir.body
    # A login is what it is: no other user by `account`, no other token in the answer.
    refresh = stranger.refresh_token(alice.login)
    again = stranger.get(wide, login=("", refresh), offline_token="true", account="admin")
    assert again.claims["sub"] == alice.name
    assert again.json["refresh_token"] == refresh


def _stored(cast: Cast, like: str, **changes: str) -> str:
    """Store a login like that of the token *like*, with other fields; return its token."""
    token = "shr_" + secrets.token_urlsafe(32)
    _create(cast, like, hashlib.sha256(token.encode()).hexdigest(), changes)
    return token


def _half_guessed(cast: Cast, like: str) -> str:
    """Store a login whose id, the first half of the hash, is that of a token it is not for."""
    token = "shr_" + secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    _create(cast, like, digest[:32] + "0" * 32, {})
    return token


def _create(cast: Cast, like: str, digest: str, changes: dict[str, str]) -> None:
    found = cast.admin.get("Login", hashlib.sha256(like.encode()).hexdigest()[:32], HUB_NAMESPACE)
    manifest: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "Login",
        "metadata": {"name": digest[:32], "namespace": HUB_NAMESPACE},
        "spec": {**found["spec"], "tokenHash": digest, **changes},
    }
    cast.admin.create(manifest)
