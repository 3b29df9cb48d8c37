"""Read a plain GET or POST, and write the answer to it, without a framework in between.

Strictly: whatever is not exactly of the one form that clients send is left to the real parser,
which decides what it means. So the two can never disagree about where a request ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEAD: Final = re.compile(
    rb"(GET|POST) (/[!-\"$-~]*) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]{1,64}: ?[\x21-\x7e][\x20-\x7e]*\r\n)+)\r\n"
)
_LENGTH: Final = re.compile(rb"[1-9][0-9]{0,5}")
# What another kind of body, another protocol or a wait would begin with.
_OTHER: Final = frozenset({b"expect", b"te", b"trailer", b"transfer-encoding", b"upgrade"})


@dataclass(frozen=True, slots=True)
class Head:
    """A request.

    Args:
        path: As it was sent, without decoding.
        query: Behind the question mark; empty if there is none.
        headers: Names in lower case, as ASGI has them.
        close: Whether the client wants the connection closed.
        body: Of a POST; None for a GET.
    """

    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    close: bool
    body: bytes | None = None


def read(data: bytes) -> Head | None:
    """Return the request if *data* is one whole GET, or POST of known length, and nothing else."""
    found = _HEAD.match(data)
    if found is None:
        return None
    method, target, lines = found.groups()
    headers = []
    close = False
    length: bytes | None = None
    for line in lines[:-2].split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.lower()
        value = value.strip()
        if name in _OTHER:
            return None
        if name == b"connection":
            option = value.lower()
            if option not in {b"close", b"keep-alive"}:
                return None
            close = close or option == b"close"
        elif name == b"content-length":
            if length is not None or not _LENGTH.fullmatch(value):
                return None
            length = value
        headers.append((name, value))
    body = data[found.end() :]
    if (method == b"POST") is not (length is not None) or len(body) != int(length or 0):
        return None
    path, _, query = target.partition(b"?")
    return Head(path, query, headers, close, body if method == b"POST" else None)


def ok(body: bytes, headers: Iterable[tuple[bytes, bytes]], *, close: bool) -> bytes:
    """Return a whole answer of status 200.

    Args:
        body: Its body.
        headers: Its headers, `content-length` among them.
        close: Whether the connection ends with it.
    """
    lines = [b"%s: %s\r\n" % header for header in headers]
    if close:
        lines.append(b"connection: close\r\n")
    return b"HTTP/1.1 200 OK\r\n%s\r\n%s" % (b"".join(lines), body)
