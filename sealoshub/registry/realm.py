"""Which address may be told a password.

A registry names its token server in the challenge, so a hostile one could name anything: a service
inside the user's network, a plain-text address, somebody else's machine. The history of
google/go-containerregistry (#2243, #2258, #2440) is why a private address is allowed for a private
registry and for nobody else.
"""

from __future__ import annotations

import _socket
import ipaddress
from typing import TYPE_CHECKING

from sealoshub.errors import UnavailableError
from sealoshub.registry.failure import clean, public_url
from sealoshub.registry.url import UrlError
from sealoshub.value import Value

if TYPE_CHECKING:
    from sealoshub.registry.challenge import Challenge
    from sealoshub.registry.url import Url


class Realm(Value):
    """A token server that was found acceptable.

    Args:
        url: Of its token endpoint, absolute, with the query the registry gave.
        service: What the token will be for; empty if the registry named none.
    """

    url: Url
    service: str


def origin(url: Url) -> tuple[str, str, int]:
    """Return scheme, host and port of *url*: what must be equal for a credential to be sent."""
    return url.scheme, url.host, url.connect_port


def is_loopback(host: str) -> bool:
    """Tell whether *host* (a name or an address, no port) is this machine, by its spelling."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_private(host: str) -> bool:
    """Tell whether *host* is spelled as an address that the Internet does not route."""
    if is_loopback(host):
        return True
    address = _address(host)
    return address is not None and not address.is_global


def accept(challenge: Challenge, registry: Url, *, plain_http: bool, trust: bool = False) -> Realm:
    """Check the realm of a Bearer *challenge* that came from *registry*.

    Args:
        challenge: With a realm, absolute or relative to the registry.
        registry: The URL that sent it.
        plain_http: The user asked for plain HTTP in so many words.
        trust: The user vouches for whatever the registry says (`--trust-realm`).

    Raises:
        UnavailableError: The realm is no URL, or no place to send a password to.
    """
    try:
        url = registry.join(challenge.realm)
    except UrlError:
        url = None
    if url is None or url.scheme not in {"http", "https"} or url.userinfo:
        raise UnavailableError(
            f"{registry.host} names a token server that is no web address:"
            f" {clean(challenge.realm, 200)!r}"
        )
    reason = None if trust else _objection(url, registry, plain_http=plain_http)
    if reason:
        raise UnavailableError(
            f"{registry.host} sends the login to {public_url(url)}, which {reason}",
            code="REALM_REFUSED",
            hint="If you know that this is right, allow it with --trust-realm.",
        )
    return Realm(url, challenge.service)


def _objection(url: Url, registry: Url, *, plain_http: bool) -> str | None:
    if url.scheme == "http":
        if registry.scheme == "https":
            return "is not encrypted although the registry is"
        if not (plain_http or is_loopback(url.host) or url.host == registry.host):
            return "is not encrypted"
    if is_private(url.host) and not is_private(registry.host) and url.host != registry.host:
        return "is a private address although the registry is not"
    return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        # `127.1`, `0x7f000001` and `2130706433` are addresses to the resolver.
        try:
            return ipaddress.IPv4Address(_socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
