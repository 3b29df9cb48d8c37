"""Which proxy the environment puts before a host.

`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` in either case, as curl and Go read them.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from sealoshub.registry.response import ExchangeError
from sealoshub.registry.url import Url, UrlError
from sealoshub.secret import Secret
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

SUPPORTED: Final = "Supported are http://, https://, socks5:// and socks5h:// proxies."

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SOCKS: Final = frozenset({"socks5", "socks5h"})
_SOCKS_PORT: Final = 1080
_LONGEST: Final = 255  # characters of a name or password that SOCKS can carry (RFC 1929)


class ProxySettingError(Exception):
    """The environment names a proxy that cannot be used."""


class ProxyError(ExchangeError):
    """The proxy did not open the way; the message says which proxy, and nothing secret.

    Args:
        message: What it did.
        passing: It may do better later.
        hint: What to do about it.
    """

    def __init__(self, message: str, *, passing: bool, hint: str | None = None) -> None:
        super().__init__(message)
        self.passing = passing
        self.hint = hint


class Proxy(Value):
    """A proxy.

    Args:
        scheme: `http` and `https` say how it is spoken to; `socks5` is SOCKS 5.
        host: Name or address.
        port: Of it.
        user: Who asks; empty if it wants nobody's name.
        password: Of *user*.
    """

    scheme: str
    host: str
    port: int
    user: str = ""
    password: Secret = Secret("")

    @property
    def is_socks(self) -> bool:
        """It passes on whatever is sent, and knows nothing of HTTP."""
        return self.scheme in _SOCKS

    @property
    def authorization(self) -> Secret | None:
        """Value of `Proxy-Authorization`; None if it wants nobody's name."""
        if not self.user and not self.password.reveal():
            return None
        import base64  # noqa: PLC0415  # few networks have a proxy

        pair = f"{self.user}:{self.password.reveal()}".encode()
        return Secret("Basic " + base64.b64encode(pair).decode("ascii"))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"the proxy {host}:{self.port}"


def proxy_for(url: Url, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy to ask for *url*; None to ask the host itself.

    Never one for this machine itself, whatever the environment says.

    Raises:
        ProxySettingError: What the environment names is no proxy that can be used.
    """
    if url.host in _LOOPBACK or url.host.endswith(".localhost"):
        return None
    text = _setting(environment, f"{url.scheme}_proxy") or _setting(environment, "all_proxy")
    if not text or _is_excepted(url, _setting(environment, "no_proxy")):
        return None
    try:
        found = Url.parse(text if "://" in text else f"http://{text}")
    except UrlError as exc:
        raise ProxySettingError("the proxy that the environment names is no address") from exc
    # A name of SOCKS 5 is resolved by the proxy under both names, as Go does it, because the proxy
    # is often there for the names as well.
    if found.scheme not in {"http", "https", *_SOCKS}:
        raise ProxySettingError(f"a proxy of the kind {found.scheme}:// is not supported")
    user, _, password = (unquote(part) for part in found.userinfo.partition(":"))
    port = found.connect_port or _SOCKS_PORT
    proxy = Proxy(found.scheme, found.host, port, user, Secret(password))
    if proxy.is_socks and not all(_fits(text) for text in (user, password)):
        raise ProxySettingError("the name or password of the proxy is nothing that SOCKS can carry")
    return proxy


def _fits(text: str) -> bool:
    return text.isascii() and len(text) <= _LONGEST


def _setting(environment: Mapping[str, str], name: str) -> str:
    """Return a setting; the lower-case name wins.

    `HTTP_PROXY` in a CGI program is a header of the request (CVE-2016-5385).
    """
    if name == "http_proxy" and "REQUEST_METHOD" in environment:
        return environment.get(name, "").strip()
    return (environment.get(name) or environment.get(name.upper()) or "").strip()


def _is_excepted(url: Url, exceptions: str) -> bool:
    for word in exceptions.lower().split(","):
        entry = word.strip()
        if not entry:
            continue
        if entry == "*" or _matches(url, entry):
            return True
    return False


def _matches(url: Url, entry: str) -> bool:
    if "/" in entry:
        try:
            network = ipaddress.ip_network(entry, strict=False)
            return ipaddress.ip_address(url.host) in network
        except ValueError:
            return False
    host, port = entry, ""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    if port and port != str(url.connect_port):
        return False
    host = host.removeprefix("*").lstrip(".")
    return bool(host) and (url.host == host or url.host.endswith(f".{host}"))
