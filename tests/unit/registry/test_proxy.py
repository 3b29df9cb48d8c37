"""Which requests go through a proxy."""

from __future__ import annotations

import pytest

from sealoshub.registry.proxy import Proxy, ProxySettingError, proxy_for
from sealoshub.registry.url import Url

P = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://h/", {}, False),
        ("https://h/", {"HTTPS_PROXY": P}, True),
        ("https://h/", {"https_proxy": P}, True),
        ("https://h/", {"https_proxy": "", "HTTPS_PROXY": P}, True),
        ("https://h/", {"HTTP_PROXY": P}, False),
        ("http://h/", {"HTTP_PROXY": P}, True),
        ("http://h/", {"HTTP_PROXY": P, "REQUEST_METHOD": "GET"}, False),
        ("http://h/", {"http_proxy": P, "REQUEST_METHOD": "GET"}, True),
        ("http://h/", {"ALL_PROXY": P}, True),
        ("https://h/", {"all_proxy": "proxy.example:3128"}, True),
        ("https://h/", {"ALL_PROXY": P, "NO_PROXY": "*"}, False),
        ("https://h/", {"ALL_PROXY": P, "NO_PROXY": "h"}, False),
        ("https://h/", {"ALL_PROXY": P, "no_proxy": "x, H"}, False),
        ("https://a.h/", {"ALL_PROXY": P, "NO_PROXY": ".h"}, False),
        ("https://a.h/", {"ALL_PROXY": P, "NO_PROXY": "*.h"}, False),
        ("https://ah/", {"ALL_PROXY": P, "NO_PROXY": "h"}, True),
        ("https://h:5000/", {"ALL_PROXY": P, "NO_PROXY": "h:5000"}, False),
        ("https://h:5000/", {"ALL_PROXY": P, "NO_PROXY": "h:5001"}, True),
        ("https://10.1.2.3/", {"ALL_PROXY": P, "NO_PROXY": "10.0.0.0/8"}, False),
        ("https://11.1.2.3/", {"ALL_PROXY": P, "NO_PROXY": "10.0.0.0/8"}, True),
        ("https://h/", {"ALL_PROXY": P, "NO_PROXY": "10.0.0.0/99,,/"}, True),
        ("https://[2001:db8::1]:5/", {"ALL_PROXY": P, "NO_PROXY": "[2001:db8::1]:5"}, False),
        ("https://[2001:db8::1]/", {"ALL_PROXY": P, "NO_PROXY": "2001:db8::1"}, False),
        ("https://localhost:5000/", {"ALL_PROXY": P}, False),
        ("https://127.0.0.1/", {"ALL_PROXY": P}, False),
        ("http://[::1]/", {"ALL_PROXY": P}, False),
        ("http://hub.localhost/", {"ALL_PROXY": P}, False),
    ],
)
def test_which(url: str, environment: dict[str, str], *, expected: bool) -> None:
    """The environment decides as it does for curl, and never for this machine itself."""
    found = proxy_for(Url.parse(url), environment)
    assert found == (Proxy("http", "proxy.example", 3128) if expected else None)


def test_who() -> None:
    """A name and password in the proxy's address are sent to it, unescaped, and not shown."""
    found = proxy_for(Url.parse("https://h/"), {"HTTPS_PROXY": "http://al%40ice:pl%3Aanted@p:1"})
    assert found is not None
    assert found.authorization is not None
    assert found.authorization.reveal() == "Basic YWxAaWNlOnBsOmFudGVk"
    assert "planted" not in repr(found)


@pytest.mark.parametrize(
    ("setting", "port"),
    [
        ("http://p", 80),
        ("p", 80),
        ("https://p", 443),
        ("https://p:3129/", 3129),
        ("socks5://p", 1080),
        ("SOCKS5H://p:1", 1),
    ],
)
def test_kinds(setting: str, port: int) -> None:
    """Every kind of proxy has its own port."""
    found = proxy_for(Url.parse("https://h/"), {"ALL_PROXY": setting})
    assert found is not None
    assert (found.port, found.is_socks) == (port, "socks" in setting.lower())
    assert str(found) == f"the proxy p:{port}"


@pytest.mark.parametrize(
    "setting",
    [
        "socks4://p:1",
        "ftp://p:1",
        "http://",
        "http://p:port",
        f"socks5://al:{'planted' * 40}@p:1",
        "socks5://al:pl%C3%A4nted@p:1",
    ],
)
def test_unusable(setting: str) -> None:
    """A proxy that cannot be used is an error, and never passed by."""
    with pytest.raises(ProxySettingError) as caught:
        proxy_for(Url.parse("https://h/"), {"ALL_PROXY": setting})
    assert "p:1" not in str(caught.value)
    assert "nted" not in str(caught.value)
