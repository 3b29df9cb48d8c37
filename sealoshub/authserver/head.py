"""Read a plain GET or POST, and write the answer to it, without a framework in between.

Strictly: whatever is not exactly of the one form that clients send is left to the real parser,
which decides what it means. So the two can never disagree about where a request ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEAD: Final = re.compile(
    rb"(GET|POST) (/[!-\"$-~]*) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]{1,64}: ?[\x21-\x7e][\x20-\x7e]*\r\n)+)\r\n"
)
_LENGTH: Final = re.compile(rb"[1-9][0-9]{0,5}")
_CHUNK: Final = re.compile(rb"([1-9a-fA-F][0-9a-fA-F]{0,4})\r\n")
_LAST_CHUNK: Final = b"0\r\n\r\n"
MAX_CHUNKS: Final = 16  # clients write a form at once; many small ones are no form
_STATUS_LINES: Final = {
    int(status): f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
# What trailers, another protocol or a wait would begin with.
_OTHER: Final = frozenset({b"expect", b"te", b"trailer", b"upgrade"})


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
    """Return the request if *data* is one whole GET or POST, and nothing else."""
    found = _HEAD.match(data)
    if found is None:
        return None
    method, target, lines = found.groups()
    headers = [_header(line) for line in lines[:-2].split(b"\r\n")]
    framing = _framing(headers)
    body = None if framing is None else _body(data[found.end() :], framing)
    # A POST has a body and a GET has none, or it is for the real parser.
    if framing is None or body is None or (method == b"POST") is not bool(body):
        return None
    path, _, query = target.partition(b"?")
    return Head(path, query, headers, framing.close, body or None)


@dataclass(frozen=True, slots=True)
class _Framing:
    """How long the body is, by `Content-Length` or chunks, and whether the connection ends."""

    length: bytes | None
    chunked: bool
    close: bool


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()


def _framing(headers: Iterable[tuple[bytes, bytes]]) -> _Framing | None:
    """Return what the headers say about the end of the request; None if that is not plain."""
    close = chunked = False
    length: bytes | None = None
    for name, value in headers:
        plain = name not in _OTHER
        if name == b"connection":
            option = value.lower()
            plain = option in {b"close", b"keep-alive"}
            close = close or option == b"close"
        elif name == b"content-length":
            plain = length is None and _LENGTH.fullmatch(value) is not None
            length = value
        elif name == b"transfer-encoding":
            plain = not chunked and value.lower() == b"chunked"
            chunked = True
        if not plain:
            return None
    return _Framing(length, chunked, close)


def _body(rest: bytes, framing: _Framing) -> bytes | None:
    """Return the body if *rest*, which follows the head, is all of it and nothing else."""
    if framing.chunked:
        return _unchunked(rest) if framing.length is None else None
    return rest if len(rest) == int(framing.length or 0) else None


def _unchunked(rest: bytes) -> bytes | None:
    """Return the content of a few plain chunks (RFC 9112, 7.1), without extensions or trailers."""
    content = b""
    at = 0
    for _ in range(MAX_CHUNKS):
        found = _CHUNK.match(rest, at)
        if found is None:
            break
        end = found.end() + int(found[1], 16)
        if rest[end : end + 2] != b"\r\n":
            return None
        content += rest[found.end() : end]
        at = end + 2
    return content if rest[at:] == _LAST_CHUNK else None


def answer(
    status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]], *, close: bool
) -> bytes:
    """Return a whole answer.

    Args:
        status: Of HTTP.
        body: Its body.
        headers: Its headers, `content-length` among them.
        close: Whether the connection ends with it.
    """
    lines = [b"%s: %s\r\n" % header for header in headers]
    if close:
        lines.append(b"connection: close\r\n")
    return b"%s%s\r\n%s" % (_STATUS_LINES[status], b"".join(lines), body)
