"""The token handshake, without a socket."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pytest

from sealoshub.errors import AuthenticationError, UnavailableError
from sealoshub.registry.auth import (
    Credential,
    Token,
    TokenRequest,
    Tokens,
    basic,
    colonless,
    token_flow,
)
from sealoshub.registry.challenge import Challenge
from sealoshub.registry.failure import Answer, TransientError
from sealoshub.registry.realm import Realm, accept
from sealoshub.registry.response import Headers
from sealoshub.registry.url import Url
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

REALM = Realm(Url.parse("https://auth.example.com/token?keep=1"), "hub")
ALICE = Credential("alice", Secret("wonder"))
REFRESH = Credential("alice", Secret("shr_x"), is_refresh_token=True)
LONG = Credential("alice", Secret("k" * 7000))
PUSH = ("repository:o/r:pull,push", "repository:o/base:pull")
GOOD = b'{"token":"t","expires_in":300}'


def answer(request: TokenRequest, status: int, body: bytes = b"") -> Answer:
    """Answer a token request."""
    return Answer(request.method, request.url, status, Headers(), body)


def run(
    credential: Credential | None,
    *answers: tuple[int, bytes],
    offline: bool = False,
    scopes: tuple[str, ...] = PUSH,
) -> tuple[Token, list[TokenRequest]]:
    """Drive the flow with canned answers; return the token and what was asked."""
    flow = token_flow(REALM, scopes, credential, offline=offline)
    request = next(flow)
    asked = [request]
    for status, body in answers:
        try:
            request = flow.send(answer(request, status, body))
        except StopIteration as stop:
            return stop.value, asked
        asked.append(request)
    raise AssertionError("the flow wanted more")


def test_anonymous() -> None:
    """Nobody asks by GET, without an account; the realm's own query stays."""
    token, (asked,) = run(None, (200, GOOD))
    assert (asked.method, asked.authorization) == ("GET", None)
    assert parse_qsl(asked.url.query or "") == [
        ("keep", "1"),
        ("service", "hub"),
        ("scope", PUSH[0]),
        ("scope", PUSH[1]),
        ("client_id", "sealoshub"),
    ]
    assert token.seconds == 300


def test_password_by_get() -> None:
    """A short password goes by GET, in the header and not in the URL."""
    _, (asked,) = run(ALICE, (200, GOOD))
    assert asked.method == "GET"
    assert asked.authorization is not None
    assert asked.authorization.reveal() == "Basic " + base64.b64encode(b"alice:wonder").decode()
    assert ("account", "alice") in parse_qsl(asked.url.query or "")
    assert "wonder" not in str(asked.url)


@pytest.mark.parametrize(
    ("credential", "offline", "kind"),
    [(REFRESH, False, "refresh_token"), (LONG, False, "password"), (ALICE, True, "password")],
)
def test_by_post(credential: Credential, *, offline: bool, kind: str) -> None:
    """Refresh tokens, long secrets and logins go by POST, with one scope field."""
    _, (asked,) = run(credential, (200, GOOD), offline=offline)
    form = {name: value.reveal() for name, value in asked.form.items()}
    assert asked.method == "POST"
    assert asked.authorization is None
    assert form["grant_type"] == kind
    assert form["scope"] == " ".join(PUSH)
    assert form["client_id"] == "sealoshub"
    assert form["service"] == "hub"
    assert form.get("access_type") == ("offline" if offline else None)
    assert form.get("refresh_token" if kind == "refresh_token" else "password") == (
        credential.secret.reveal()
    )


@pytest.mark.parametrize("status", [400, 401, 404, 405])
def test_post_falls_back_to_get(status: int) -> None:
    """A server that does not take the POST is asked once by GET."""
    token, (post, get) = run(ALICE, (status, b""), (200, GOOD), offline=True)
    assert (post.method, get.method, token.method) == ("POST", "GET", "GET")
    assert ("offline_token", "true") in parse_qsl(get.url.query or "")


def test_post_answered_by_a_page() -> None:
    """A 200 without a token is no answer to a POST."""
    token, asked = run(ALICE, (200, b"<html>"), (200, GOOD), offline=True)
    assert len(asked) == 2
    assert token.value.reveal() == "t"


@pytest.mark.parametrize("status", [400, 414, 431])
def test_get_falls_back_to_post(status: int) -> None:
    """A proxy that finds the header too long is avoided by POST."""
    token, (get, post) = run(ALICE, (status, b""), (200, GOOD))
    assert (get.method, post.method, token.method) == ("GET", "POST", "POST")


def test_refused_twice() -> None:
    """Two refusals are one error with the server's words and no secret."""
    body = b'{"errors":[{"code":"UNAUTHORIZED","message":"certificate \\u001b[31mexpired"}]}'
    with pytest.raises(AuthenticationError) as caught:
        run(ALICE, (401, body), (401, body), offline=True)
    assert caught.value.message == (
        "auth.example.com refused the credential of alice: UNAUTHORIZED: certificate expired"
    )


def test_refused_by_the_only_one_that_looked() -> None:
    """If GET is not known, what POST said is told."""
    with pytest.raises(AuthenticationError, match="no such user"):
        run(ALICE, (401, b'{"details":"no such user"}'), (404, b""), offline=True)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 521])
def test_unavailable_is_no_refusal(status: int) -> None:
    """A server in trouble is tried again and never mistaken for a wrong password."""
    with pytest.raises(TransientError):
        run(ALICE, (status, b""))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token":""}', b'{"token":7}', b'{"token":"a\\r\\nX: y"}']
)
def test_no_token(body: bytes) -> None:
    """An answer without a usable token is an error, also one that would write a header."""
    with pytest.raises(UnavailableError, match="without a token"):
        run(None, (200, body))


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("300", 300),
        ("10", 60),
        ("0", 60),
        ("-5", 60),
        ('"900"', 900),
        ('"x"', 60),
        ("null", 60),
        ("true", 60),
        ("1e400", 60),
        ("90.7", 90),
    ],
)
def test_expires_in(told: str, seconds: int) -> None:
    """The life of a token is never under a minute, whatever the server writes."""
    token, _ = run(None, (200, f'{{"access_token":"t","expires_in":{told}}}'.encode()))
    assert token.seconds == seconds


def test_missing_expires_in() -> None:
    """Without `expires_in` it is a minute."""
    assert run(None, (200, b'{"token":"t"}'))[0].seconds == 60


@pytest.mark.parametrize(
    ("account", "sent"),
    [("alice", "alice"), ("system:serviceaccount:ns:robot", "robot"), ("<token>", "<token>")],
)
def test_no_colon_in_basic(account: str, sent: str) -> None:
    """Basic authentication splits at the first colon, so a name has none."""
    assert colonless(account) == sent
    header = basic(Credential(account, Secret("a:b"))).reveal().removeprefix("Basic ")
    assert base64.b64decode(header).decode() == f"{sent}:a:b"


def jwt(claims: object) -> Token:
    """Make a token with *claims*."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return Token(Secret(f"e30.{body}.s"), 60, None, "GET")


def test_claims() -> None:
    """What a JWT says is read for diagnosis, and nonsense says nothing."""
    token = jwt(
        {"sub": "alice", "access": [{"type": "repository", "name": "o/r", "actions": ["pull"]}]}
    )
    assert token.subject() == "alice"
    assert token.lacks(PUSH[:1])
    assert not token.lacks(("repository:o/r:pull",))
    assert jwt({"sub": "system:anonymous"}).subject() == ""
    assert jwt({"sub": 7}).subject() is None
    for text in ("opaque", "a.b.c", "a.!!.c", "a.W10.c"):
        nothing = Token(Secret(text), 60, None, "GET")
        assert nothing.subject() is None
        assert not nothing.lacks(PUSH)


class Clock:
    """A clock that stands still."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


def counting(
    calls: list[TokenRequest], body: Callable[[int], bytes]
) -> Callable[[TokenRequest], Answer]:
    """Answer each request with a token of its own."""

    def exchange(request: TokenRequest) -> Answer:
        calls.append(request)
        return answer(request, 200, body(len(calls)))

    return exchange


def test_cache() -> None:
    """One token per set of scopes, renewed at 80 % of its life by the local clock."""
    clock, calls = Clock(), list[TokenRequest]()
    issued = '{"token":"t%d","expires_in":100,"issued_at":"2001-01-01T00:00:00Z"}'
    tokens = Tokens(counting(calls, lambda n: (issued % n).encode()), clock)
    first = tokens.get(REALM, PUSH, ALICE)
    assert tokens.get(REALM, PUSH[::-1], ALICE) is first
    clock.now += 79
    assert tokens.get(REALM, PUSH, ALICE) is first
    clock.now += 1
    second = tokens.get(REALM, PUSH, ALICE)
    assert second.value.reveal() == "t2"
    assert tokens.get(REALM, PUSH[:1], ALICE).value.reveal() == "t3"


def test_refused_token_is_renewed_once() -> None:
    """Many requests refused with one token fetch one new token."""
    calls: list[TokenRequest] = []
    tokens = Tokens(counting(calls, lambda n: f'{{"token":"t{n}"}}'.encode()))
    old = tokens.get(REALM, PUSH, ALICE)
    renewed = {tokens.get(REALM, PUSH, ALICE, refused=old).value.reveal() for _ in range(5)}
    assert renewed == {"t2"}
    assert len(calls) == 2


def test_single_flight() -> None:
    """Threads that want the same token at once ask for it once."""
    calls: list[TokenRequest] = []
    entered, go = threading.Event(), threading.Event()

    def exchange(request: TokenRequest) -> Answer:
        calls.append(request)
        entered.set()
        assert go.wait(60)
        return answer(request, 200, GOOD)

    tokens = Tokens(exchange)
    threads = [threading.Thread(target=tokens.get, args=(REALM, PUSH, ALICE)) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert entered.wait(60)
    go.set()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("registry", "realm", "good"),
    [
        ("https://hub.example.com", "https://auth.example.com/token", True),
        ("https://hub.example.com", "/token", True),
        ("https://hub.example.com", "http://hub.example.com/token", False),
        ("https://hub.example.com", "https://10.0.0.1/token", False),
        ("https://hub.example.com", "https://127.0.0.1/token", False),
        ("https://hub.example.com", "https://localhost/token", False),
        ("https://hub.example.com", "https://169.254.169.254/latest", False),
        ("https://hub.example.com", "https://2130706433/token", False),
        ("https://hub.example.com", "https://0x7f.1/token", False),
        ("https://hub.example.com", "https://[::1]/token", False),
        ("https://hub.example.com", "https://[::ffff:10.0.0.1]/token", False),
        ("https://hub.example.com", "https://[fe80::1]/token", False),
        ("https://10.0.0.1", "https://10.0.0.1:8443/token", True),
        ("https://10.0.0.1", "https://10.0.0.2/token", True),
        ("http://localhost:5000", "http://localhost:5001/token", True),
        ("http://localhost:5000", "http://127.0.0.1:5001/token", True),
        ("http://localhost:5000", "https://auth.example.com/token", True),
        ("http://localhost:5000", "http://auth.example.com/token", False),
        ("https://hub.example.com", "https://user:pw@auth.example.com/token", False),
        ("https://hub.example.com", "ftp://auth.example.com/", False),
        ("https://hub.example.com", "file:///etc/passwd", False),
        ("https://hub.example.com", "https://[bad", False),
    ],
)
def test_realm(registry: str, realm: str, *, good: bool) -> None:
    """A password goes to a realm that is as safe as the registry, and nowhere else."""
    challenge = Challenge("bearer", {"realm": realm, "service": "hub"})
    if good:
        found = accept(challenge, Url.parse(registry), plain_http=False)
        assert found.url == Url.parse(registry).join(realm)
    else:
        with pytest.raises(UnavailableError):
            accept(challenge, Url.parse(registry), plain_http=False)


def test_trusted_realm() -> None:
    """The user may vouch for a realm, but not for one that is no web address."""
    challenge = Challenge("bearer", {"realm": "http://10.0.0.1/token"})
    url = Url.parse("https://hub.example.com")
    assert accept(challenge, url, plain_http=False, trust=True).url.host == "10.0.0.1"
    with pytest.raises(UnavailableError):
        accept(Challenge("bearer", {"realm": "file:///x"}), url, plain_http=False, trust=True)
