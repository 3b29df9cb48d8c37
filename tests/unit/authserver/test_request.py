"""Reading token requests."""

from __future__ import annotations

import base64
import contextlib
import time
from http import HTTPStatus
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.authplugin import Scope
from sealoshub.authserver.request import (
    Login,
    Question,
    RequestRefusedError,
    agree,
    parse_authorization,
    parse_form,
    parse_query,
    parse_scopes,
)
from sealoshub.secret import Secret

FORM = "application/x-www-form-urlencoded"


def scope(name: str, *actions: str, kind: str = "repository") -> Scope:
    """Return a scope."""
    return Scope(kind, name, frozenset(actions))


# ------------------------------------------------------------------ scopes
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("repository:org/repo:pull", [scope("org/repo", "pull")]),
        ("repository:org/repo:pull,push", [scope("org/repo", "pull", "push")]),
        ("repository:org/repo:push,pull", [scope("org/repo", "pull", "push")]),
        ("repository:org/repo:*", [scope("org/repo", "*")]),
        ("repository:host:5000/org/repo:pull", [scope("host:5000/org/repo", "pull")]),
        ("repository(plugin):org/repo:pull", [scope("org/repo", "pull")]),
        ("registry:catalog:*", [scope("catalog", "*", kind="registry")]),
        ("other:x:fly", [scope("x", "fly", kind="other")]),
        ("repository:org/repo:", [scope("org/repo")]),
        ("repository:org/repo:PULL,p1,pull", [scope("org/repo", "pull")]),
        ("repository:a/b:pull repository:c/d:push", [scope("a/b", "pull"), scope("c/d", "push")]),
        ("repository:a/b:pull  repository:a/b:push", [scope("a/b", "pull", "push")]),
        ("repository:a/b:pull repository(x):a/b:push", [scope("a/b", "pull", "push")]),
        ("repository:../x:pull", [scope("../x", "pull")]),
        ("", []),
        (" ", []),
        ("repository", []),
        ("repository:org/repo", []),
        ("repository::pull", []),
        ("::", []),
        (":x:pull", []),
        ("Repository:x:pull", []),
        ("repository(:x:pull", []),
        ("repository(a)(b):x:pull", []),
        ("repository:ö:pull", []),
        ("repository:a\x00b:pull", []),
        ("repository:a\nb:pull", []),
        ("repository:" + "a" * 256 + ":pull", []),
    ],
)
def test_scopes(text: str, expected: list[Scope]) -> None:
    """First colon ends the type, last colon begins the actions; what cannot be read is left out."""
    assert list(parse_scopes([text])) == expected


def test_repeated_and_joined_scopes_are_the_same() -> None:
    """containers/image repeats the parameter, containerd joins with spaces."""
    first, second = "repository:a/b:pull,push", "repository:c/d:pull"
    assert parse_scopes([first, second]) == parse_scopes([f"{first} {second}"])


@pytest.mark.parametrize("values", [["x:y:z"] * 65, [" ".join(["x:y:z"] * 65)], ["a" * 1025]])
def test_too_many_scopes_are_refused(values: list[str]) -> None:
    """64 scopes, 1,024 characters each."""
    with pytest.raises(RequestRefusedError) as caught:
        parse_scopes(values)
    assert (caught.value.status, caught.value.oauth) == (400, "invalid_scope")


_NAMES = st.from_regex(r"[a-z0-9][a-z0-9._/:-]{0,40}", fullmatch=True)
_ACTIONS = st.sets(st.sampled_from(["pull", "push", "delete", "*"]), min_size=1)


@given(name=_NAMES, actions=_ACTIONS, cls=st.sampled_from(["", "(plugin)"]))
def test_a_scope_is_read_as_it_was_written(name: str, actions: set[str], cls: str) -> None:
    """Whatever colons the name holds, in whatever order the actions stand."""
    found = parse_scopes([f"repository{cls}:{name}:{','.join(actions)}"])
    assert list(found) == [scope(name, *actions)]


@given(st.lists(st.text(max_size=80), max_size=5))
def test_any_text_is_scopes_or_a_refusal(values: list[str]) -> None:
    """A grant can only ever speak of printable names and known kinds of words."""
    for found in parse_scopes(values):
        assert found.type.isalnum()
        assert found.name.isascii()
        assert found.name.isprintable()
        assert all(action == "*" or action.isalpha() for action in found.actions)


# ------------------------------------------------------------------ query
def test_a_query() -> None:
    """As docker sends it."""
    query = (
        b"account=alice&client_id=docker&offline_token=true&service=hub"
        b"&scope=repository%3Aa%2Fb%3Apull"
    )
    scopes = (scope("a/b", "pull"),)
    expected = Question("hub", scopes, account="alice", offline=True, client="docker")
    assert parse_query(query) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (b"service=a&service=b", "service is there twice"),
        (b"account=a&account=b", "account is there twice"),
        (b"password=x&service=hub", "password must not be in the address"),
        (b"refresh_token=x", "refresh_token must not be in the address"),
        (b"service=%ff", "not URL-encoded UTF-8"),
        (b"service=\xff", "not URL-encoded UTF-8"),
        (b"&".join([b"a=1"] * 300), "more than 256"),
        (b"service=" + b"a" * 300, "service is longer"),
        (b"account=a%00b", "characters that no name has"),
        (b"account=a%0d%0ab", "characters that no name has"),
    ],
)
def test_queries_that_are_refused(query: bytes, message: str) -> None:
    """400 with the reason, and never the value of a secret."""
    with pytest.raises(RequestRefusedError, match=message) as caught:
        parse_query(query)
    assert caught.value.status == HTTPStatus.BAD_REQUEST


def test_the_same_value_twice_is_harmless() -> None:
    """Some proxies and clients repeat parameters."""
    assert parse_query(b"service=hub&service=hub").service == "hub"


def test_half_a_million_keys_cost_nothing() -> None:
    """They are counted before they are decoded."""
    began = time.process_time()
    with pytest.raises(RequestRefusedError):
        parse_form(b"a=1&" * 30_000, FORM)
    assert time.process_time() - began < 1  # seconds


# ------------------------------------------------------------------ form
def form(**fields: str) -> bytes:
    """Return a body."""
    return urlencode(fields).encode()


def test_a_password_grant() -> None:
    """As containerd sends it."""
    body = form(
        grant_type="password",
        service="hub",
        client_id="containerd-client",
        scope="repository:a/b:pull repository:c/d:pull",
        username="alice",
        password="p w+&=ö",
        access_type="offline",
    )
    question, login = parse_form(body, FORM + "; charset=utf-8")
    scopes = (scope("a/b", "pull"), scope("c/d", "pull"))
    assert question == Question("hub", scopes, offline=True, client="containerd-client")
    assert login == Login("alice", Secret("p w+&=ö"))


def test_a_refresh_grant() -> None:
    """As containers/image sends it."""
    body = form(grant_type="refresh_token", service="hub", refresh_token="shr_x")
    assert parse_form(body, FORM)[1] == Login("", Secret("shr_x"), is_refresh_token=True)


@pytest.mark.parametrize(
    ("body", "kind", "oauth"),
    [
        (form(service="hub"), FORM, "unsupported_grant_type"),
        (form(grant_type="client_credentials"), FORM, "unsupported_grant_type"),
        (form(grant_type="password", username="a"), FORM, "invalid_request"),
        (form(grant_type="refresh_token"), FORM, "invalid_request"),
        (b'{"grant_type": "password"}', "application/json", "invalid_request"),
        (form(grant_type="password", password="a"), "", "invalid_request"),
        (b"grant_type=password&password=a&password=b", FORM, "invalid_request"),
        (form(grant_type="password", password="a" * 100_000), FORM, "invalid_request"),
    ],
)
def test_forms_that_are_refused(body: bytes, kind: str, oauth: str) -> None:
    """400 with the word of RFC 6749."""
    with pytest.raises(RequestRefusedError) as caught:
        parse_form(body, kind)
    assert (caught.value.status, caught.value.oauth) == (400, oauth)


# ------------------------------------------------------------------ Authorization
def basic(text: str) -> str:
    """Return a Basic header."""
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "account", "password"),
    [
        (basic("alice:wonder"), "alice", "wonder"),
        (basic("alice:a:b"), "alice", "a:b"),
        (basic(":x"), "", "x"),
        (basic("alice:"), "alice", ""),
        (basic("<token>:eyJ"), "<token>", "eyJ"),
        (basic("ö:ü\n"), "ö", "ü\n"),
        (basic("alice:wonder").replace("Basic", "bAsIc"), "alice", "wonder"),
        (basic("alice:wonder").rstrip("="), "alice", "wonder"),
        ("Basic   " + basic("a:b")[6:], "a", "b"),
        ("Bearer eyJ.x.y", "", "eyJ.x.y"),
    ],
)
def test_authorization(header: str, account: str, password: str) -> None:
    """RFC 7617, and a bearer of any kind."""
    assert parse_authorization(header) == Login(account, Secret(password))


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 401),
        ("Basic", 401),
        ("Bearer", 401),
        ("Negotiate abc", 401),
        ("Basic !!!", 401),
        ("Basic YQ==", 401),
        ("Basic /w==", 401),
        (basic("a" * 300 + ":x"), 401),
        (basic("a:" + "x" * 60_000), 431),
    ],
)
def test_authorizations_that_are_refused(header: str, status: int) -> None:
    """401 for what cannot be believed, 431 for what is too long; the header is not repeated."""
    with pytest.raises(RequestRefusedError) as caught:
        parse_authorization(header)
    assert caught.value.status == status
    assert len(caught.value.message) < 100


@given(st.text(max_size=200))
def test_any_header_is_a_login_or_a_refusal(header: str) -> None:
    """Nothing else comes out."""
    with contextlib.suppress(RequestRefusedError):
        assert isinstance(parse_authorization(header), Login)


def test_two_names_for_one_request() -> None:
    """`account` may be left away, but not be another name than the credential's."""
    agree(Question("hub"), Login("alice", Secret("x")))
    agree(Question("hub", account="alice"), Login("alice", Secret("x")))
    agree(Question("hub", account="alice"), Login("", Secret("x")))
    with pytest.raises(RequestRefusedError, match="different"):
        agree(Question("hub", account="alice"), Login("mallory", Secret("x")))


@given(st.binary(max_size=300))
def test_any_body_is_a_form_or_a_refusal(body: bytes) -> None:
    """Nothing else comes out, by query either."""
    for read in (parse_query, lambda content: parse_form(content, FORM)):
        with contextlib.suppress(RequestRefusedError):
            read(body)


def test_a_kubeconfig_fits_into_a_form() -> None:
    """The longest kubeconfig, URL-encoded, is under the limits."""
    text = "kind: Config\n" + "a" * 60_000
    body = f"grant_type=password&service=hub&password={quote(text)}".encode()
    assert len(body) < 128 * 1024
    assert parse_form(body, FORM)[1].secret.reveal() == text
