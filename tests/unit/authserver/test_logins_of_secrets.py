"""Logins by tokens that are kept in a Secret: they end with it, or are short."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from sealoshub.authserver.loginrecord import read
from tests.unit.authserver.fake_kubernetes import LOGINS, FakeKubernetes, FakeUser
from tests.unit.authserver.running import ALICE, RunningServer, basic, jwt
from tests.unit.authserver.test_logins import log_in, plant, refresh, stored
from tests.unit.authserver.test_personal import made

if TYPE_CHECKING:
    from collections.abc import Callable

    Serve = Callable[..., RunningServer]

SECRET: Final = "/api/v1/namespaces/user-system/secrets/alice-token"
LEGACY: Final = jwt(sub=ALICE, **{"kubernetes.io/serviceaccount/secret.name": "alice-token"})
DAY: Final = 24 * 3600
MONTH: Final = 30 * DAY


@pytest.fixture(autouse=True)
def secret(fake: FakeKubernetes) -> None:
    """Let Alice have a token in a Secret."""
    fake.users[LEGACY] = FakeUser(ALICE, "uid-1")
    fake.change(SECRET, {"metadata": {"uid": "secret-1"}})


def life(spec: dict[str, Any]) -> timedelta:
    """Return how long a login lives."""
    return datetime.fromisoformat(spec["expires"]) - datetime.fromisoformat(spec["created"])


def test_it_ends_with_the_secret(serve: Serve, fake: FakeKubernetes) -> None:
    """Its life is that of any login while the Secret is there, and a personal token's as well."""
    server = serve()
    token = log_in(server, LEGACY)
    (login,) = (item["spec"] for item in stored(fake))
    assert (login["origin"]["secretName"], login["origin"]["secretUID"]) == (
        "alice-token",
        "secret-1",
    )
    assert life(login) == timedelta(days=90)
    personal = made(server, token, seconds=MONTH)["token"]
    other = serve()  # which has not looked yet
    assert [refresh(other, each).status for each in (token, personal)] == [200, 200]
    fake.change(SECRET, {"metadata": {"uid": "secret-2"}})
    third = serve()
    assert [refresh(third, each).status for each in (token, personal)] == [401, 401]


def test_it_is_short_where_nobody_may_look(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """A day, which is what `whoami` tells; what is made with it ends with it."""
    fake.forbidden.add("/secrets/")
    token = log_in(token_server, LEGACY)
    (login,) = (item["spec"] for item in stored(fake))
    assert "secretUID" not in login["origin"]
    assert life(login) == timedelta(days=1)
    told = token_server.request("GET", "/v1/whoami", headers=basic(("x", token))).json
    assert told["expires"] == login["expires"]
    fake.change(SECRET, None)
    assert refresh(token_server, token).status == 200
    assert made(token_server, token, seconds=MONTH)["login"]["expires"] <= login["expires"]
    assert made(token_server, token, seconds=3600)["login"]["expires"] < login["expires"]


def test_a_secret_that_lost_its_name_is_no_login(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """A resource without the field, as an older definition of it stores, is worth nothing."""
    token = "shr_" + "s" * 43
    plant(fake, token, origin={"secretUID": "secret-1"})
    assert refresh(token_server, token).status == 401
    plant(fake, "shr_" + "t" * 43, origin={"secretUID": "secret-1", "secretName": "alice-token"})
    assert refresh(token_server, "shr_" + "t" * 43).status == 200
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert read(fake.objects[f"{LOGINS}/{digest[:32]}"]) is None


def test_a_token_made_with_a_short_login_ends_with_it(
    token_server: RunningServer, fake: FakeKubernetes
) -> None:
    """However little time is left, so that no chain of them becomes long."""
    fake.forbidden.add("/secrets/")
    token = "shr_" + "u" * 43
    expires = datetime.now(UTC) + timedelta(seconds=30)
    plant(fake, token, origin={"secretName": "alice-token"}, expires=expires.isoformat())
    personal = made(token_server, token, seconds=DAY)["login"]
    assert datetime.fromisoformat(personal["expires"]) <= expires
