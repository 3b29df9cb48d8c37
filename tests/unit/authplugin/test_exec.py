"""The plugin that asks a program of the operator's own."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from sealoshub.authplugin import (
    NO_OPINION,
    Credential,
    CredentialsRejected,
    Identity,
    PluginContext,
    Scope,
    Unavailable,
)
from sealoshub.authplugin.chain import load
from sealoshub.authplugin.exec import Exec, create
from sealoshub.errors import InvalidInputError
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CONTEXT: Final = PluginContext(("hub",), "imagehub-system")
PROGRAM: Final = Path(__file__).with_name("answerer.py")
SECONDS: Final = 60.0
PULL: Final = Scope("repository", "team/app", frozenset({"pull", "push"}))


def config(folder: Path, **changes: object) -> dict[str, object]:
    """Return a configuration that runs the program of these tests."""
    command = [sys.executable, "-IS", str(PROGRAM), str(folder)]
    return {"command": command, "timeout_seconds": 4.0, **changes}


def starts(folder: Path) -> int:
    """Return how often the program was started."""
    return len(noted(folder, "starts"))


def noted(folder: Path, name: str) -> list[str]:
    """Return what the program wrote down."""
    file = folder / name
    return file.read_text().splitlines() if file.exists() else []


@asynccontextmanager
async def running(folder: Path, **changes: object) -> AsyncIterator[Exec]:
    """Run a plugin, and wait for its program: a question has four seconds, the start included."""
    plugin = create(config(folder, **changes), CONTEXT)
    await plugin.start()
    try:
        await until(lambda: starts(folder) > 0)
        yield plugin
    finally:
        await plugin.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Poll *condition*."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def sent(account: str, word: str = "wonder") -> Credential:
    """Return a credential."""
    return Credential(account, Secret(word), "10.0.0.1", "test")


def test_its_answers_are_those_of_the_program(tmp_path: Path) -> None:
    """Identity, rejection, no opinion, and a grant that is never more than was asked for."""

    async def main() -> None:
        async with running(tmp_path, ask=["authenticate", "authorize", "confirm"]) as plugin:
            alice = await plugin.authenticate(sent("alice"))
            assert alice == Identity(
                "alice",
                "1",
                ("dev",),
                {"floor": ("3",)},
                expires=datetime(2030, 1, 1, tzinfo=UTC),
            )
            assert isinstance(alice, Identity)
            with pytest.raises(CredentialsRejected, match="wrong password") as caught:
                await plugin.authenticate(sent("alice", "wrong"))
            assert caught.value.hint == "Ask the porter."
            assert await plugin.authenticate(sent("bob")) is NO_OPINION
            grant = await plugin.authorize(alice, PULL)
            assert grant is not NO_OPINION
            assert (grant.actions, grant.reason) == (frozenset({"pull"}), "she is Alice")
            assert await plugin.authorize(Identity("bob"), PULL) is NO_OPINION
            assert await plugin.confirm(alice) is True
            assert await plugin.confirm(Identity("bob")) is False
            assert plugin.unready() is None
        assert starts(tmp_path) == 1

    asyncio.run(main())


def test_it_has_no_opinion_on_what_its_program_is_not_asked(tmp_path: Path) -> None:
    """By default nobody is confirmed; `ask` leaves more away."""

    async def main() -> None:
        async with running(tmp_path, ask=["authorize"]) as plugin:
            assert await plugin.authenticate(sent("alice")) is NO_OPINION
            assert await plugin.confirm(Identity("alice")) is NO_OPINION
            assert await plugin.authorize(Identity("alice"), PULL) is not NO_OPINION

    asyncio.run(main())


def test_answers_may_come_in_any_order(tmp_path: Path) -> None:
    """A slow question does not hold up those after it, and each gets its own answer."""

    async def main() -> None:
        async with running(tmp_path) as plugin:
            await plugin.authenticate(sent("alice"))
            done: list[str] = []

            async def ask(account: str) -> None:
                answer = await plugin.authenticate(sent(account))
                assert isinstance(answer, Identity)
                assert answer.name == account
                done.append(account)

            slow = [asyncio.ensure_future(ask("slow")) for _ in range(2)]
            await until(lambda: noted(tmp_path, "asked").count("slow") == 2)
            await asyncio.gather(ask("alice"), ask("alice"))
            (tmp_path / "go").touch()
            await asyncio.gather(*slow)
            assert done == ["alice", "alice", "slow", "slow"]

    asyncio.run(main())


@pytest.mark.parametrize(
    "habit", ["dies", "garbage", "echo", "endless", "nobody", "silent"], ids=str
)
def test_a_program_that_fails_is_unavailable_and_comes_back(tmp_path: Path, habit: str) -> None:
    """Whatever it does is no denial, and the next question is answered by a fresh one."""

    async def main() -> None:
        seconds = 1.0 if habit == "silent" else 4.0
        async with running(tmp_path, timeout_seconds=seconds) as plugin:
            with pytest.raises(Unavailable) as caught:
                await plugin.authenticate(sent(habit, "a password that is nobody's business"))
            assert "business" not in str(caught.value)
            if habit not in {"nobody", "echo"}:
                await until(lambda: starts(tmp_path) == 2)
            deadline = time.monotonic() + SECONDS
            while True:
                try:
                    assert isinstance(await plugin.authenticate(sent("alice")), Identity)
                    break
                except Unavailable:
                    assert time.monotonic() < deadline

    asyncio.run(main())


def test_a_program_that_cannot_find_out_says_so(tmp_path: Path) -> None:
    """Its own `unavailable` carries message and time."""

    async def main() -> None:
        async with running(tmp_path) as plugin:
            with pytest.raises(Unavailable, match="directory is closed") as caught:
                await plugin.authenticate(sent("down"))
            assert caught.value.retry_after == 7

    asyncio.run(main())


def test_no_more_questions_are_under_way_than_configured(tmp_path: Path) -> None:
    """The others wait for their turn."""

    async def main() -> None:
        async with running(tmp_path, concurrency=1) as plugin:
            first = asyncio.ensure_future(plugin.authenticate(sent("slow")))
            await until(lambda: noted(tmp_path, "asked") == ["slow"])
            second = asyncio.ensure_future(plugin.authenticate(sent("alice")))
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert noted(tmp_path, "asked") == ["slow"]
            (tmp_path / "go").touch()
            assert isinstance(await first, Identity)
            assert isinstance(await second, Identity)

    asyncio.run(main())


def test_a_program_that_cannot_run_makes_the_server_unready(tmp_path: Path) -> None:
    """It is tried again, later and later, and questions fail at once while it is far away."""
    broken = tmp_path / "broken"
    broken.write_text("#!/nowhere/at/all\n")
    broken.chmod(0o755)

    async def main() -> None:
        plugin = create({"command": [str(broken)], "timeout_seconds": 0.2}, CONTEXT)
        await plugin.start()
        try:
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await plugin.authenticate(sent("alice"))
            assert plugin.unready() == "broken does not run"
        finally:
            await plugin.stop()

    asyncio.run(main())


def test_it_ends_with_the_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The end of its input ends it; its standard error was logged, without control characters."""
    caplog.set_level(logging.INFO)

    async def main() -> None:
        began = time.monotonic()
        async with running(tmp_path) as plugin:
            await plugin.authenticate(sent("alice"))
            await until(lambda: "ready" in caplog.text)
        assert time.monotonic() - began < SECONDS

    asyncio.run(main())
    assert "ready ?[31m" in caplog.text
    assert "wonder" not in caplog.text


def test_the_program_sees_only_the_environment_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret in the environment of the token server is none of its business."""
    monkeypatch.setenv("PLANTED", "secret")
    shown = tmp_path / "shown"
    program = f"env > {shown}.new; mv {shown}.new {shown}; cat > /dev/null"

    async def main() -> None:
        command = ["/bin/sh", "-c", program]
        plugin = create({"command": command, "env": {"GIVEN": "yes"}}, CONTEXT)
        await plugin.start()
        await until(shown.exists)
        await plugin.stop()

    asyncio.run(main())
    text = shown.read_text()
    assert "GIVEN=yes" in text
    assert "PLANTED" not in text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "command must be a list"),
        ({"command": "/bin/sh"}, "command must be a list"),
        ({"command": ["sh"]}, "absolute path"),
        ({"command": ["/nonexistent"]}, "no program"),
        ({"command": ["/tmp"]}, "no program"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": True}, "timeout_seconds"),
        ({"concurrency": 0}, "concurrency"),
        ({"ask": ["everything"]}, "ask must be"),
        ({"env": ["A=b"]}, "env must map"),
        ({"timeout": 1}, "unknown key 'timeout'"),
    ],
    ids=str,
)
def test_a_wrong_configuration_is_refused(wrong: dict[str, object], said: str) -> None:
    """Every fault is named."""
    content = {"command": ["/bin/sh"], **wrong} if wrong else {}
    with pytest.raises(InvalidInputError, match=said):
        create(content, CONTEXT)


def test_it_is_an_entry_point(tmp_path: Path) -> None:
    """A configuration names it `exec`, as it names the others."""

    async def main() -> None:
        chain = load([("exec", config(tmp_path))], CONTEXT)
        await chain.start()
        await until(lambda: starts(tmp_path) > 0)
        assert (await chain.authenticate(sent("alice"))).name == "alice"
        await chain.stop()

    asyncio.run(main())
