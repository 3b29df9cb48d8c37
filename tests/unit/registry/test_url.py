"""Addresses: read once, printed as they came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.registry.url import MAX_URL, Url, UrlError


@pytest.mark.parametrize(
    ("text", "host", "port", "target"),
    [
        ("https://h", "h", None, "/"),
        ("HTTPS://Hub.Example.COM:443/v2/", "hub.example.com", None, "/v2/"),
        ("http://h:443/", "h", 443, "/"),
        ("http://h:/", "h", None, "/"),
        ("http://[::1]:5000/v2/?a=b", "::1", 5000, "/v2/?a=b"),
        ("http://u:p@h/x#fragment", "h", None, "/x"),
        ("https://h/a/./b/../c?x=../y", "h", None, "/a/c?x=../y"),
        ("https://h/a/..", "h", None, "/"),
        ("https://h/../../a", "h", None, "/a"),
        ("https://h?q=1", "h", None, "/?q=1"),
        ("https://h/a b\u00e9?c d\u00e9", "h", None, "/a%20b%C3%A9?c%20d%C3%A9"),
        ("https://h/x?_state=a%2Fb+c%3D=&sig=~'()*!\"<>", "h", None, None),
        ("https://b\u00fccher.example/", "xn--bcher-kva.example", None, "/"),
    ],
)
def test_parse(text: str, host: str, port: int | None, target: str | None) -> None:
    """Hosts are made uniform; path and query stay, but for what no request line can carry."""
    url = Url.parse(text)
    assert (url.host, url.port) == (host, port)
    assert url.target == (text.partition("//h")[2] if target is None else target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "/v2/",
        "//h/v2/",
        "https:",
        "https:///v2/",
        "https://:5000/",
        "https://h:port/",
        "https://h:99999/",
        "https://h:-1/",
        "https://[::1/",
        "https://[bad]/",
        "https://[::1]x/",
        "https://h\n/",
        "https://h/\x00",
        "https://h h/",
        "https://h%2fevil/",
        "https://h\\@evil/",
        "https://" + "a" * MAX_URL,
        "https://\u00ad/",
        "https://a..\u00fc/",
    ],
)
def test_no_address(text: str) -> None:
    """What cannot be asked for is refused, never guessed."""
    with pytest.raises(UrlError):
        Url.parse(text)


# RFC 3986, 5.4.1 and 5.4.2; without those that have a fragment or another scheme.
@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        (";x", "http://a/b/c/;x"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        ("..g", "http://a/b/c/..g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("https://h:1/x", "https://h:1/x"),
    ],
)
def test_join(reference: str, expected: str) -> None:
    """References are resolved as the RFC's own examples are."""
    assert str(Url.parse("http://a/b/c/d;p?q").join(reference)) == expected


def test_parts() -> None:
    """The parts that requests and messages are made of."""
    url = Url.parse("https://user:planted@[::1]:8443/v2/?a=b")
    assert url.netloc == "[::1]:8443"
    assert url.connect_port == 8443
    assert url.public() == "https://[::1]:8443/v2/"
    assert url.add_query("digest=d").query == "a=b&digest=d"
    assert Url.parse("https://h/").add_query("n=1").target == "/?n=1"
    assert url.with_target("/x?y").target == "/x?y"
    assert str(Url.parse("http://h:80/").with_scheme("https", 443)) == "https://h/"
    assert Url.parse("http://h/").connect_port == 80


@given(st.text(max_size=200))
def test_any_location(text: str) -> None:
    """Whatever a server sends as an address is an address with a host, or an error."""
    base = Url.parse("https://hub.example.com/v2/")
    try:
        url = base.join(text)
    except UrlError:
        return
    assert url.host
    assert url.target.startswith("/")
    assert url.target.isascii()
    assert url.target.isprintable()
    assert " " not in str(url)
