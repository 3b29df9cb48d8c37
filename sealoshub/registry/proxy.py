"""Which proxy the environment puts before a host.

`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` in either case, as curl and Go read them.
"""

from __future__ import annotations

import base64
import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from sealoshub.registry.url import Url, UrlError
from sealoshub.secret import Secret
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class ProxySettingError(Exception):
    """The environment names a proxy that cannot be used."""


class Proxy(Value):
    """An HTTP proxy.

    Args:
        host: Name or address.
        port: Of it.
        authorization: Value of `Proxy-Authorization`; None if it wants nobody's name.
    """

    host: str
    port: int
    authorization: Secret | None = None


def proxy_for(url: Url, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy to ask for *url*; None to ask the host itself.

    Never one for this machine itself, whatever the environment says.

    Raises:
        ProxySettingError: The proxy is no `http://` address.
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
    if found.scheme != "http":
        raise ProxySettingError(f"a proxy of the kind {found.scheme}:// is not supported")
    authorization = None
    if found.userinfo:
        user, _, password = found.userinfo.partition(":")
        pair = f"{unquote(user)}:{unquote(password)}".encode()
        authorization = Secret("Basic " + base64.b64encode(pair).decode("ascii"))
    return Proxy(found.host, found.connect_port, authorization)


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
