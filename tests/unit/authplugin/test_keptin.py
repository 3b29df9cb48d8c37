"""Tokens that die with a Secret."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from sealoshub.authplugin import CredentialsRejected, Identity, KeptIn
from sealoshub.authplugin.keptin import SECRET_SECONDS, Secrets
from sealoshub.errors import UnavailableError
from sealoshub.kube.review import ApiServer
from tests.unit.authplugin.test_kubernetes import ALICE, Clock, identify, jwt, plugin_on
from tests.unit.authserver.fake_kubernetes import OWN_TOKEN, FakeKubernetes, FakeUser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

SECRET: Final = "/api/v1/namespaces/user-system/secrets/alice-token"
KEPT: Final = KeptIn("user-system", "alice-token", "secret-1")
LEGACY: Final = jwt(sub=ALICE, **{"kubernetes.io/serviceaccount/secret.name": "alice-token"})


@pytest.fixture
def fake() -> Iterator[FakeKubernetes]:
    """A fake API server with a Secret that keeps a token of Alice."""
    with FakeKubernetes() as server:
        server.users[LEGACY] = FakeUser(ALICE, "uid-1")
        server.accounts["user-system", "alice"] = "uid-1"
        server.change(SECRET, {"metadata": {"uid": "secret-1"}})
        yield server


@asynccontextmanager
async def secrets_on(fake: FakeKubernetes, folder: Path, clock: Clock) -> AsyncIterator[Secrets]:
    """Open the Secrets of *fake*."""
    file = folder / "token"
    file.write_text(OWN_TOKEN)
    api = ApiServer(fake.url, token_file=file, call_seconds=1.0)
    try:
        yield Secrets(api, clock)
    finally:
        await api.aclose()


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ({"kubernetes.io/serviceaccount/secret.name": "alice-token"}, KEPT),
        ({"kubernetes.io": {"secret": {"name": "alice-token", "uid": "x"}}}, KEPT),
        ({"kubernetes.io": {"pod": {"name": "alice-token"}}}, None),
        ({"kubernetes.io": "alice-token"}, None),
        ({"kubernetes.io/serviceaccount/secret.name": ["alice-token"]}, None),
        ({"kubernetes.io/serviceaccount/secret.name": "../serviceaccounts/alice"}, None),
        ({"kubernetes.io/serviceaccount/secret.name": "a" * 254}, None),
        ({}, None),
    ],
)
def test_which_secret_it_is(
    fake: FakeKubernetes, tmp_path: Path, claims: dict[str, object], found: KeptIn | None
) -> None:
    """Claims of both kinds name it; what is no name of an object becomes no path."""

    async def ask() -> KeptIn | None:
        async with secrets_on(fake, tmp_path, Clock()) as secrets:
            return await secrets.behind(claims, "user-system")

    assert asyncio.run(ask()) == found
    assert {path for _, path in fake.asked} <= {SECRET}


def test_whose_token_it_is_says_the_api_server(fake: FakeKubernetes, tmp_path: Path) -> None:
    """The namespace is that of the ServiceAccount; claims of other users mean nothing."""
    assert identify(fake, tmp_path, LEGACY).kept_in == KEPT
    fake.users[LEGACY] = FakeUser("oidc:alice")
    assert identify(fake, tmp_path, LEGACY).kept_in is None
    assert fake.count("/secrets/") == 1


def test_a_gone_secret_and_a_missing_right(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Gone is a rejection, no right is no UID, an outage is neither."""
    fake.forbidden.add("/secrets/")
    assert identify(fake, tmp_path, LEGACY).kept_in == KeptIn("user-system", "alice-token")
    fake.forbidden.clear()
    fake.change(SECRET, {"metadata": {"uid": "secret-1", "deletionTimestamp": "now"}})
    with pytest.raises(CredentialsRejected, match="is gone"):
        identify(fake, tmp_path, LEGACY)
    fake.change(SECRET, None)
    with pytest.raises(CredentialsRejected, match="is gone"):
        identify(fake, tmp_path, LEGACY)

    async def behind() -> None:
        async with secrets_on(fake, tmp_path, Clock()) as secrets:
            fake.status = 500
            claims = {"kubernetes.io/serviceaccount/secret.name": "alice-token"}
            with pytest.raises(UnavailableError):
                await secrets.behind(claims, "user-system")

    asyncio.run(behind())


def test_a_login_ends_with_the_secret(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Deleted, made again, or not to be looked for any more: gone within a minute."""
    clock = Clock()
    alice = Identity(ALICE, "uid-1", kept_in=KEPT)
    found: list[object] = []

    async def ask() -> None:
        async with plugin_on(fake, tmp_path, clock) as plugin:

            async def look() -> None:
                found.append((await plugin.confirm(alice), plugin.recall_confirm(alice)))

            await look()
            fake.change(SECRET, {"metadata": {"uid": "secret-2"}})
            clock.now += SECRET_SECONDS - 1
            await look()
            clock.now += 1.1
            await look()
            fake.change(SECRET, {"metadata": {"uid": "secret-1"}})
            clock.now += SECRET_SECONDS
            await look()
            fake.forbidden.add("/secrets/")
            clock.now += SECRET_SECONDS
            await look()
            fake.forbidden.clear()
            fake.change(SECRET, None)
            clock.now += SECRET_SECONDS
            await look()
            fake.status = 500
            clock.now += SECRET_SECONDS
            with pytest.raises(UnavailableError):
                await plugin.confirm(alice)

    asyncio.run(ask())
    yes, no = (True, True), (False, False)
    assert found == [yes, yes, no, yes, no, no]


def test_a_secret_without_a_uid_is_not_looked_for(fake: FakeKubernetes, tmp_path: Path) -> None:
    """Such a login is short instead; its ServiceAccount is looked for as ever."""
    alice = Identity(ALICE, "uid-1", kept_in=KeptIn("user-system", "alice-token"))

    async def ask() -> list[object]:
        clock = Clock()
        async with plugin_on(fake, tmp_path, clock) as plugin:
            found: list[object] = [await plugin.confirm(alice), plugin.recall_confirm(alice)]
            del fake.accounts["user-system", "alice"]
            clock.now += 61
            found += [await plugin.confirm(alice), plugin.recall_confirm(alice)]
            return found

    assert asyncio.run(ask()) == [True, True, False, False]
    assert fake.count("/secrets/") == 0
