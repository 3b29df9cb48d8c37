"""Web addresses as a client of registries needs them (RFC 3986, RFC 9110 4.2).

A registry's upload addresses are signed, so what lies behind the host is kept byte for byte:
nothing is decoded, sorted or escaped anew, apart from characters that no request line can carry.
"""

from __future__ import annotations

import re
from typing import Final, Self

from sealoshub.pattern import pattern
from sealoshub.value import Value, replace

MAX_URL: Final = 64 * 1024  # characters; signed addresses of object stores have about 2,000

# RFC 3986, appendix B.
_PARTS: Final = pattern(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL
)
_NAME: Final = pattern(r"[a-z0-9._-]+")
_LITERAL: Final = pattern(r"[0-9a-f:.]+(?:%[a-z0-9._-]+)?")
_PORT: Final = pattern(r"[0-9]{1,5}")
_UNSENDABLE: Final = pattern(r"[^!-~]")
_CONTROL: Final = pattern(r"[\x00-\x1f\x7f]")
_DEFAULT_PORTS: Final = (("http", 80), ("https", 443))
_MAX_PORT: Final = 65535


class UrlError(ValueError):
    """The text is no address that can be asked for."""


class Url(Value):
    """An absolute address with a host.

    Args:
        scheme: In lower case.
        host: In lower case and ASCII, IPv6 without brackets.
        port: None for the scheme's own.
        path: As it came, beginning with a slash, without dot segments.
        query: As it came, without the question mark; None if there is none.
        userinfo: What stood before the host; never sent.
    """

    scheme: str
    host: str
    port: int | None = None
    path: str = "/"
    query: str | None = None
    userinfo: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an absolute address.

        Raises:
            UrlError: It has no scheme or host, or characters that no address has.
        """
        scheme, authority, path, query = _split(text)
        if scheme is None or authority is None:
            raise UrlError("has no scheme or no host")
        userinfo, host, port = _authority(scheme, authority)
        return cls(scheme, host, port, _clean_path(path), query, userinfo)

    def join(self, reference: str) -> Url:
        """Resolve *reference* against this address (RFC 3986, 5.2.2).

        Raises:
            UrlError: It is no address.
        """
        scheme, authority, path, query = _split(reference)
        if scheme is not None:
            return Url.parse(reference)
        if authority is not None:
            return Url.parse(f"{self.scheme}:{reference}")
        if not path:
            kept = self.query if query is None else query
            return replace(self, query=kept)
        if not path.startswith("/"):
            path = self.path.rpartition("/")[0] + "/" + path
        return replace(self, path=_clean_path(path), query=query)

    @property
    def netloc(self) -> str:
        """Host and port as the `Host` header wants them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query: what a request line names."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def connect_port(self) -> int:
        """The port to connect to."""
        return self.port or dict(_DEFAULT_PORTS).get(self.scheme, 0)

    def with_scheme(self, scheme: str, port: int | None) -> Url:
        """Return the same with another scheme and port."""
        return replace(self, scheme=scheme, port=_plain_port(scheme, port))

    def with_target(self, target: str) -> Url:
        """Return the same host with another path and query, both already escaped."""
        path, mark, query = target.partition("?")
        return replace(self, path=path, query=query if mark else None)

    def add_query(self, pairs: str) -> Url:
        """Return the same with *pairs* (already escaped) behind the query."""
        return replace(self, query=f"{self.query}&{pairs}" if self.query else pairs)

    def public(self) -> str:
        """Return it without what may be secret: user and query."""
        return f"{self.scheme}://{self.netloc}{self.path}"

    def __str__(self) -> str:
        user = f"{self.userinfo}@" if self.userinfo else ""
        return f"{self.scheme}://{user}{self.netloc}{self.target}"


def _split(text: str) -> tuple[str | None, str | None, str, str | None]:
    if len(text) > MAX_URL or _CONTROL.search(text):
        raise UrlError("is too long or has control characters")
    found = _PARTS.fullmatch(text)
    if found is None:  # cannot be: every part may be missing
        raise UrlError("is no address")
    scheme, authority, path, query, _fragment = found.groups()
    return (
        scheme.lower() if scheme is not None else None,
        authority,
        _UNSENDABLE.sub(_escaped, path),
        _UNSENDABLE.sub(_escaped, query) if query is not None else None,
    )


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def _authority(scheme: str, authority: str) -> tuple[str, str, int | None]:
    if "\\" in authority:
        raise UrlError("has a backslash, which browsers take for a slash")
    userinfo, _, place = authority.rpartition("@")
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        host = host.lower()
        if not bracket or not _LITERAL.fullmatch(host) or ":" not in host:
            raise UrlError("has a malformed address")
        if rest and not rest.startswith(":"):
            raise UrlError("has a malformed port")
        port = rest[1:]
    else:
        host, _, port = place.partition(":")
        host = _ascii(host)
        if not _NAME.fullmatch(host):
            raise UrlError("has no host, or a malformed one")
    if port and (not _PORT.fullmatch(port) or int(port) > _MAX_PORT):
        raise UrlError("has a malformed port")
    return userinfo, host, _plain_port(scheme, int(port) if port else None)


def _ascii(host: str) -> str:
    if host.isascii():
        return host.lower()
    import idna  # noqa: PLC0415  # for hardly any host; 10 ms

    try:
        return idna.encode(host.lower(), uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as exc:
        raise UrlError("has a host that is no name") from exc


def _plain_port(scheme: str, port: int | None) -> int | None:
    return None if (scheme, port) in _DEFAULT_PORTS else port


def _clean_path(path: str) -> str:
    """Remove dot segments (RFC 3986, 5.2.4)."""
    if not path.startswith("/"):
        path = f"/{path}"
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path[1:].split("/")
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)
