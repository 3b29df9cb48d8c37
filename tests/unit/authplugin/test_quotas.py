"""A push to an organisation without room gets no token, whatever RBAC says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.authplugin import Grant, Identity, Scope
from sealoshub.authplugin.watched import FRESH_SECONDS
from tests.unit.authplugin.test_kubernetes import Clock, plugin_on, until
from tests.unit.authserver.fake_kubernetes import ORGANIZATIONS, REPOSITORIES, FakeKubernetes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealoshub.authplugin.kubernetes import Kubernetes

ALICE = Identity("alice", method="token")
ROOT = Identity("root", method="token")
PUSH = Scope("repository", "team/app", frozenset({"pull", "push"}))


@pytest.fixture
def fake() -> Iterator[FakeKubernetes]:
    """An API server on which alice and root may push to `team`, and root is an administrator."""
    with FakeKubernetes() as server:
        for user in ("alice", "root"):
            for name in ("team/app", "team/new", "other/app"):
                server.allow(user, name, "pull", "push", "delete-content")
        server.allowed.add(("root", "", "*", "control"))
        yield server


def organization(name: str, quota: object, *, over: str = "", count: int = 1) -> dict[str, Any]:
    """Return an organisation as its controller leaves it."""
    status: dict[str, Any] = {"repoCount": count, "conditions": [{"type": "Ready"}]}
    if quota:
        state = {"status": "False" if over else "True", "message": over}
        status["conditions"].append({"type": "WithinQuota", **state})
    return {"metadata": {"name": name}, "spec": {"quota": quota}, "status": status}


def put(fake: FakeKubernetes, obj: dict[str, Any]) -> None:
    """Write an organisation."""
    fake.change(f"{ORGANIZATIONS}/{obj['metadata']['name']}", obj)


async def grant(plugin: Kubernetes, who: Identity, scope: Scope = PUSH) -> Grant:
    """Ask as the token server does: from memory, and else the API server."""
    found = plugin.recall_authorize(who, scope) or await plugin.authorize(who, scope)
    assert isinstance(found, Grant)
    return found


def test_who_is_over_his_quota_pulls_and_deletes_and_does_not_push(
    fake: FakeKubernetes, tmp_path: Path
) -> None:
    """The grant says why; other organisations and administrators are not concerned."""
    put(fake, organization("team", {"size": "10Gi"}, over="size 10.4Gi of 10Gi"))

    async def run() -> None:
        everything = Scope("repository", "team/app", frozenset({"*"}))
        other = Scope("repository", "other/app", frozenset({"push"}))
        async with plugin_on(fake, tmp_path, started=True) as plugin:
            for _ in range(2):
                found = await grant(plugin, ALICE, everything)
                assert found.actions == {"pull", "delete"}
                assert found.refused == "team is over its quota: size 10.4Gi of 10Gi"
                assert found.refused in found.reason
                assert (await grant(plugin, ALICE, other)).actions == {"push"}
                assert (await grant(plugin, ROOT)).actions == {"pull", "push"}

    asyncio.run(run())


def test_a_quota_that_is_raised_lets_pushes_through_at_once(
    fake: FakeKubernetes, tmp_path: Path
) -> None:
    """By the watch; a decision from memory does not outlive it in either direction."""
    put(fake, organization("team", {"tags": 2}))

    async def run() -> None:
        async with plugin_on(fake, tmp_path, started=True) as plugin:

            async def pushes() -> bool:
                return "push" in (await grant(plugin, ALICE)).actions

            async def becomes(*, expected: bool) -> None:
                for _ in range(6000):
                    if await pushes() is expected:
                        return
                    await asyncio.sleep(0.01)
                pytest.fail(f"pushes are not {expected}")

            assert await pushes()
            put(fake, organization("team", {"tags": 2}, over="tags 3 of 2"))
            await becomes(expected=False)
            put(fake, organization("team", {"tags": 2}))
            await becomes(expected=True)
            # Over, and the quota taken away: the condition of yesterday counts for nothing.
            put(fake, organization("team", None, over="tags 3 of 2"))
            fake.change(f"{ORGANIZATIONS}/team", None)
            await until(lambda: plugin._quotas.limit("team/app") is None)

    asyncio.run(run())


def test_no_further_repository(fake: FakeKubernetes, tmp_path: Path) -> None:
    """With as many as it may have, a push to one that is there goes on, and to a new one not."""
    put(fake, organization("team", {"repositories": 1}, count=1))
    fake.put_repository("team/app", private=True)

    async def run() -> None:
        new = Scope("repository", "team/new", frozenset({"push"}))
        async with plugin_on(fake, tmp_path, started=True) as plugin:
            assert (await grant(plugin, ALICE)).actions == {"pull", "push"}
            refused = await grant(plugin, ALICE, new)
            assert refused.actions == frozenset()
            assert "repositories 1 of 1" in refused.refused
            assert (await grant(plugin, ROOT, new)).actions == {"push"}
            asked = fake.count(f"{REPOSITORIES}/team.app")
            await grant(plugin, ALICE)
            assert fake.count(f"{REPOSITORIES}/team.app") == asked

    asyncio.run(run())


def test_while_the_api_server_is_silent_the_last_that_was_known_holds(
    fake: FakeKubernetes, tmp_path: Path
) -> None:
    """A quota is no right: not to know it neither opens nor closes anything."""
    clock = Clock()
    put(fake, organization("team", {"tags": 1}, over="tags 2 of 1"))

    async def run() -> None:
        async with plugin_on(fake, tmp_path, clock, started=True) as plugin:
            await until(lambda: plugin._quotas.limit("team/app") is not None)
            await plugin.stop()
            clock.now += FRESH_SECONDS + 1
            assert plugin.unready() is not None  # what is public is not known any more
            found = await plugin.authorize(
                ALICE, Scope("repository", PUSH.name, frozenset({"push"}))
            )
            assert isinstance(found, Grant)
            assert found.refused

    asyncio.run(run())


@pytest.mark.parametrize(
    "obj",
    [
        {"metadata": {"name": "team"}},
        {"metadata": {"name": "team"}, "spec": None, "status": None},
        organization("team", None, over="tags 3 of 2", count=9),
        organization("team", {"tags": 5}, count=9),
        organization("team", {"repositories": 2}, count=1),
        organization("team", {"repositories": "many"}, over="x"),
    ],
)
def test_an_organization_with_room(
    fake: FakeKubernetes, tmp_path: Path, obj: dict[str, Any]
) -> None:
    """Nothing is kept of it, and nobody asks whether its repositories are there."""
    put(fake, obj)

    async def run() -> None:
        async with plugin_on(fake, tmp_path, started=True) as plugin:
            assert (await grant(plugin, ALICE)).actions == {"pull", "push"}
            assert len(plugin._quotas) == 0

    asyncio.run(run())
