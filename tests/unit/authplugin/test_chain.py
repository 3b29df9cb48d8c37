"""Several plugins asked as one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sealoshub.authplugin import (
    ANONYMOUS,
    NO_OPINION,
    Credential,
    CredentialsRejected,
    Grant,
    Identity,
    Plugin,
    PluginContext,
    Scope,
    Unavailable,
)
from sealoshub.authplugin.chain import Chain, load
from sealoshub.errors import InvalidInputError, UnavailableError
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from sealoshub.authplugin import NoOpinion

CREDENTIAL = Credential("alice", Secret("pw"))
SCOPE = Scope("repository", "team/app", frozenset({"pull"}))
CONTEXT = PluginContext(("hub",), "imagehub-system")


class Fake(Plugin):
    """A plugin that answers what it was told to."""

    name = "fake"

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked = 0

    def _answer(self) -> object:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def authenticate(self, credential: Credential) -> Identity | NoOpinion:
        """Answer."""
        del credential
        answer = self._answer()
        return answer if isinstance(answer, Identity) else NO_OPINION

    async def authorize(self, identity: Identity, scope: Scope) -> Grant | NoOpinion:
        """Answer."""
        del identity, scope
        answer = self._answer()
        return answer if isinstance(answer, Grant) else NO_OPINION

    async def confirm(self, identity: Identity) -> bool | NoOpinion:
        """Answer."""
        del identity
        answer = self._answer()
        return answer if isinstance(answer, bool) else NO_OPINION


def test_the_first_opinion_wins() -> None:
    """A plugin without opinion passes on, one with an opinion ends the question."""
    silent, first, second = Fake(NO_OPINION), Fake(Identity("a")), Fake(Identity("b"))
    found = asyncio.run(Chain([silent, first, second]).authenticate(CREDENTIAL))
    assert (found.name, silent.asked, first.asked, second.asked) == ("a", 1, 1, 0)


def test_no_opinion_is_a_denial() -> None:
    """Unknown credentials are rejected, unknown rights are none."""
    chain = Chain([Fake(NO_OPINION), Fake(NO_OPINION)])
    with pytest.raises(CredentialsRejected, match="none that this hub accepts"):
        asyncio.run(chain.authenticate(CREDENTIAL))
    assert asyncio.run(chain.authorize(ANONYMOUS, SCOPE)).actions == frozenset()
    assert asyncio.run(chain.confirm(Identity("a"))) is True


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CredentialsRejected("no"), CredentialsRejected),
        (Unavailable("down"), Unavailable),
        (UnavailableError("down"), Unavailable),
    ],
)
def test_an_error_ends_the_question(error: Exception, expected: type[Exception]) -> None:
    """Nobody after a plugin that could not find out is asked: its opinion might have won."""
    after = Fake(Identity("b"))
    with pytest.raises(expected):
        asyncio.run(Chain([Fake(error), after]).authenticate(CREDENTIAL))
    assert after.asked == 0


def test_more_than_was_asked_is_never_granted() -> None:
    """Whatever a plugin answers, the grant is a part of the question."""
    chain = Chain([Fake(Grant(frozenset({"pull", "push", "delete", "*"})))])
    assert asyncio.run(chain.authorize(ANONYMOUS, SCOPE)).actions == {"pull"}
    everything = Scope("repository", "team/app", frozenset({"*"}))
    granted = asyncio.run(chain.authorize(ANONYMOUS, everything)).actions
    assert granted == {"pull", "push", "delete"}


def test_all_faults_of_the_configuration_at_once() -> None:
    """Each wrong plugin is named with its position."""
    with pytest.raises(InvalidInputError) as caught:
        load([("nope", {}), ("static", {"x": 1}), ("kubernetes", {"audiences": []})], CONTEXT)
    lines = caught.value.message.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "plugins[0]",
        "plugins[1] (static)",
        "plugins[2] (kubernetes)",
    ]


def test_the_key_of_an_identity_is_its_whole_user() -> None:
    """Same name but other groups, uid or extra is another key; the order does not matter."""
    base = Identity("a", "u", ("x", "y"), {"k": ("v",)})
    assert base.key == Identity("a", "u", ("y", "x"), {"k": ("v",)}, method="login").key
    others = [
        Identity("b", "u", ("x", "y"), {"k": ("v",)}),
        Identity("a", "w", ("x", "y"), {"k": ("v",)}),
        Identity("a", "u", ("x",), {"k": ("v",)}),
        Identity("a", "u", ("x", "y"), {"k": ("w",)}),
    ]
    assert all(other.key != base.key for other in others)
