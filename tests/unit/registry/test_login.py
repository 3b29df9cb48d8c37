"""Logging in, proving it, and ending it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import AuthenticationError, UnavailableError
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry


def test_refresh_token(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A login at the hub brings a refresh token, by one POST and one proof."""
    registry.knobs.auth = "bearer"
    result = connect(registry.host).login("alice", Secret("wonder"))
    assert result.refresh_token is not None
    assert result.refresh_token.reveal() == "shr_refresh"
    assert (result.account, result.subject, result.scheme) == ("alice", "alice", "bearer")
    assert [(r.method, r.path.partition("?")[0]) for r in registry.seen] == [
        ("GET", "/v2/"),
        ("POST", "/token"),
        ("GET", "/v2/"),
    ]


def test_without_exchange(registry: FakeRegistry, connect: ClientMaker) -> None:
    """`--no-exchange` asks for no refresh token."""
    registry.knobs.auth = "bearer"
    result = connect(registry.host).login("alice", Secret("wonder"), exchange=False)
    assert result.refresh_token is None
    assert not any(b"offline" in request.body for request in registry.seen)


def test_server_without_post(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A plain docker_auth knows only GET and gives no refresh token."""
    registry.knobs.auth = "bearer"
    registry.knobs.post = False
    registry.knobs.refresh.clear()
    result = connect(registry.host).login("alice", Secret("wonder"))
    assert result.refresh_token is None
    assert not result.anonymous


@pytest.mark.parametrize("post", [True, False])
def test_wrong_password(registry: FakeRegistry, connect: ClientMaker, *, post: bool) -> None:
    """A wrong password is exit code 3 and names the account, not the password."""
    registry.knobs.auth = "bearer"
    registry.knobs.post = post
    with pytest.raises(AuthenticationError, match="alice") as caught:
        connect(registry.host).login("alice", Secret("planted-secret"))
    assert "planted" not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize("jwt", [True, False])
def test_everybody_gets_a_token(registry: FakeRegistry, connect: ClientMaker, *, jwt: bool) -> None:
    """A token server that answers everybody has not accepted anybody."""
    registry.knobs.auth = "bearer"
    registry.knobs.anonymous = True
    registry.knobs.jwt = jwt
    with pytest.raises(AuthenticationError, match="did not look"):
        connect(registry.host).login("alice", Secret("anything"))


def test_opaque_tokens(registry: FakeRegistry, connect: ClientMaker) -> None:
    """Where the token says nothing, a password that nobody has must be refused."""
    registry.knobs.auth = "bearer"
    registry.knobs.jwt = False
    result = connect(registry.host).login("alice", Secret("wonder"))
    assert result.subject is None
    assert not result.anonymous


def test_basic(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A registry with Basic authentication is logged in to as well."""
    registry.knobs.auth = "basic"
    result = connect(registry.host).login("alice", Secret("wonder"))
    assert (result.scheme, result.refresh_token) == ("basic", None)
    with pytest.raises(AuthenticationError):
        connect(registry.host).login("alice", Secret("wrong"))


def test_open_registry(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A registry that asks nobody says so; nothing was checked."""
    assert connect(registry.host).login("alice", Secret("wonder")).anonymous


def test_service_account(registry: FakeRegistry, connect: ClientMaker) -> None:
    """The full name goes by POST; what is to be stored has no colon."""
    name = "system:serviceaccount:user-system:robot"
    registry.knobs.auth = "bearer"
    registry.knobs.users[name] = "wonder"
    result = connect(registry.host).login(name, Secret("wonder"))
    assert (result.account, result.subject) == ("robot", name)


def test_token_not_accepted(registry: FakeRegistry, connect: ClientMaker) -> None:
    """If registry and token server do not fit together, the credential is not blamed."""
    registry.knobs.auth = "bearer"
    registry.tokens = _Forgetful()
    with pytest.raises(UnavailableError, match="its own token server") as caught:
        connect(registry.host).login("alice", Secret("wonder"))
    assert caught.value.code == "TOKEN_REFUSED"


def test_hostile_realm(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A password is not sent to a realm that is not safe."""
    registry.knobs.auth = "bearer"
    registry.knobs.challenge = ('Bearer realm="http://auth.example.com/token",service="hub"',)
    with pytest.raises(UnavailableError) as caught:
        connect(registry.host, plain_http=None).login("alice", Secret("wonder"))
    assert caught.value.code == "REALM_REFUSED"


def test_several_challenges(registry: FakeRegistry, connect: ClientMaker) -> None:
    """Bearer is found among other challenges."""
    registry.knobs.auth = "bearer"
    registry.knobs.challenge = (
        "Negotiate",
        'Basic realm="x", Bearer realm="{realm}",service="hub"',
    )
    assert connect(registry.host).login("alice", Secret("wonder")).scheme == "bearer"


def test_unknown_scheme(registry: FakeRegistry, connect: ClientMaker) -> None:
    """An authentication that is not known is named."""
    registry.knobs.auth = "bearer"
    registry.knobs.challenge = ("Negotiate",)
    with pytest.raises(UnavailableError, match="offered: negotiate"):
        connect(registry.host).login("alice", Secret("wonder"))


def test_revoke(registry: FakeRegistry, connect: ClientMaker) -> None:
    """Logout ends the login at the hub; twice is no error."""
    registry.knobs.auth = "bearer"
    client = connect(registry.host, "alice", "shr_refresh")
    assert client.revoke()
    assert registry.revoked == ["shr_refresh"]
    registry.knobs.refresh.clear()
    assert client.revoke()


def test_whoami(registry: FakeRegistry, connect: ClientMaker) -> None:
    """The hub says who the login is; an ended login is exit code 3."""
    registry.knobs.auth = "bearer"
    assert connect(registry.host, "alice", "shr_refresh").whoami() == {"name": "alice"}
    with pytest.raises(AuthenticationError):
        connect(registry.host, "alice", "shr_ended").whoami()


@pytest.mark.parametrize("auth", [None, "basic"])
def test_registry_that_is_no_hub(
    registry: FakeRegistry, connect: ClientMaker, auth: str | None
) -> None:
    """Other registries know neither whoami nor revocation, which is no error."""
    registry.knobs.auth = auth
    client = connect(registry.host, "alice")
    assert client.whoami() is None
    assert not client.revoke()


class _Forgetful(dict[str, dict[str, object]]):
    """Tokens that nobody remembers."""

    def __setitem__(self, key: str, value: dict[str, object]) -> None:
        """Drop it."""
