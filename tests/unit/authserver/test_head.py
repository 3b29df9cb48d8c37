"""The reader of plain requests never disagrees with the real parser."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.authserver import head

PLAIN = b"GET /token?service=hub HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x/1 (y)\r\n\r\n"


POST = (
    b"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\na=b"
)
CHUNKED = POST.replace(b"Content-Length: 3", b"Transfer-Encoding: chunked").replace(
    b"a=b", b"3\r\na=b\r\n0\r\n\r\n"
)


class Parsed:
    """What httptools makes of bytes."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.messages = 0
        self.body = b""
        self.keep_alive = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Note what is decided now."""
        self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Count a request."""
        self.messages += 1


def agrees(data: bytes) -> bool:
    """Hold that both readers see the same request; tell whether ours took it."""
    found = head.read(data)
    if found is None:
        return False
    parsed = Parsed(data)
    target = httptools.parse_url(parsed.url)
    assert parsed.messages == 1
    assert parsed.body == (found.body or b"")
    assert parsed.parser.get_method() == (b"GET" if found.body is None else b"POST")
    assert parsed.parser.get_http_version() == "1.1"
    assert parsed.keep_alive is not found.close
    assert not parsed.parser.should_upgrade()
    assert (target.path, target.query or b"") == (found.path, found.query)
    assert [(name, value.strip()) for name, value in parsed.headers] == found.headers
    return True


def test_the_heads_of_clients_are_read() -> None:
    """With and without a query, a space behind the colon, a wish to close, chunks."""
    assert agrees(PLAIN)
    assert agrees(PLAIN.replace(b"?service=hub", b""))
    assert agrees(PLAIN.replace(b"Host: ", b"Host:"))
    assert agrees(PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert agrees(PLAIN.replace(b"\r\n\r\n", b"\r\nconnection: Keep-Alive\r\n\r\n"))
    assert agrees(PLAIN.replace(b"\r\n\r\n", b"\r\nAuthorization: Basic YTpi  \r\n\r\n"))
    assert agrees(POST)
    assert agrees(CHUNKED)
    assert agrees(CHUNKED.replace(b"chunked", b"Chunked"))
    assert agrees(CHUNKED.replace(b"3\r\na=b", b"1\r\na\r\n2\r\n=b"))
    assert agrees(CHUNKED.replace(b"3\r\na=b", b"1a\r\n" + b"\r\n" * 13))
    assert agrees(CHUNKED.replace(b"3\r\na=b", b"A\r\n0123456789"))
    assert agrees(POST.replace(b"3", b"100").replace(b"a=b", b"\x00" * 100))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN[:-1],
        PLAIN + b"G",
        PLAIN + PLAIN,
        PLAIN.replace(b"GET", b"POST"),
        POST.replace(b"POST", b"GET"),
        POST.replace(b"POST", b"PUT"),
        POST[:-1],
        POST + b"c",
        POST + PLAIN,
        *(
            POST.replace(b"Content-Length: 3", line)
            for line in (
                b"X: 3",
                b"Content-Length: 03",
                b"Content-Length: +3",
                b"Content-Length: 3, 3",
                b"Content-Length: 3\r\nContent-Length: 3",
                b"Content-Length: 3\r\nTransfer-Encoding: chunked",
                b"Content-Length: 2",
                b"Content-Length: 4",
                b"Content-Length: 0x3",
                b"Content-Length: 9999999",
            )
        ),
        CHUNKED[:-1],
        CHUNKED[:-2],
        CHUNKED + b"\r\n",
        CHUNKED + POST,
        CHUNKED.replace(b"POST", b"GET"),
        *(
            CHUNKED.replace(b"3\r\na=b\r\n0\r\n", body)
            for body in (
                b"",
                b"0\r\n",
                b"03\r\na=b\r\n0\r\n",
                b"3 \r\na=b\r\n0\r\n",
                b"+3\r\na=b\r\n0\r\n",
                b"0x3\r\na=b\r\n0\r\n",
                b"3;x=y\r\na=b\r\n0\r\n",
                b"3\na=b\r\n0\r\n",
                b"3\r\na=b\n0\r\n",
                b"2\r\na=b\r\n0\r\n",
                b"4\r\na=b\r\n0\r\n",
                b"fffff\r\na=b\r\n0\r\n",
                b"100000\r\n" + b"a" * 0x100000 + b"\r\n0\r\n",
                b"3\r\na=b\r\n00\r\n",
                b"3\r\na=b\r\n0\r\nX: y\r\n",
                b"1\r\na\r\n" * 17 + b"0\r\n",
            )
        ),
        *(
            CHUNKED.replace(b"Transfer-Encoding: chunked", line)
            for line in (
                b"Transfer-Encoding: gzip, chunked",
                b"Transfer-Encoding: identity",
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                b"Transfer-Encoding: chunked\r\nContent-Length: 3",
                b"Transfer-Encoding: chunked\r\nTrailer: X",
                b"Transfer-Encoding: xchunked",
            )
        ),
        PLAIN.replace(b"GET", b"get"),
        PLAIN.replace(b"1.1", b"1.0"),
        PLAIN.replace(b"/token", b"http://x/token"),
        PLAIN.replace(b"/token", b"//token\x01"),
        PLAIN.replace(b"hub", b"hub#x"),
        PLAIN.replace(b"hub", b"h b"),
        PLAIN.replace(b"\r\n", b"\n"),
        PLAIN.replace(b"Host:", b"Host :"),
        PLAIN.replace(b"Host: ", b"Host:\t"),
        PLAIN.replace(b"(y)", b"(\xff)"),
        PLAIN.replace(b"(y)", b"(\x00)"),
        PLAIN.replace(b"User-Agent", b" User-Agent"),
        *(
            PLAIN.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")
            for line in (
                b"Content-Length: 0",
                b"Content-Length: 5",
                b"Transfer-Encoding: chunked",
                b"Upgrade: h2c",
                b"Expect: 100-continue",
                b"Connection: upgrade",
                b"Connection: close, x",
                b"Connection:",
                b"X:",
                b": x",
            )
        ),
    ],
)
def test_everything_else_is_left_to_the_parser(data: bytes) -> None:
    """Bodies, other protocols, halves, pairs, and what one could read in two ways."""
    assert head.read(data) is None


_TOKENS = st.sampled_from(
    [b"Host", b"connection", b"Content-Length", b"Transfer-Encoding", b"X-A", b"expect", b"a b"]
)
_VALUES = st.one_of(
    st.sampled_from(
        [b"close", b"keep-alive", b"chunked", b"0", b"1", b"2", b"x", b"", b" y ", b"a: b"]
    ),
    st.binary(max_size=8),
)
_CHUNKS = st.sampled_from(
    [
        b"3\r\na=b\r\n",
        b"0\r\n",
        b"0\r\n\r\n",
        b"\r\n",
        b"1\r\n",
        b"a",
        b"3;x\r\na=b\r\n",
        b"X: y\r\n",
    ]
)
_COLONS = st.sampled_from([b":", b": ", b" :", b":  "])


@given(
    st.sampled_from([b"GET", b"HEAD", b"POST"]),
    st.one_of(st.sampled_from([b"/", b"/token?a=b", b"/a?b?c", b"*", b"/%2e"]), st.binary()),
    st.lists(st.tuples(_TOKENS, _COLONS, _VALUES), max_size=4),
    st.one_of(
        st.sampled_from([b"", b"x", b"\r\n", PLAIN, POST, CHUNKED]),
        st.lists(_CHUNKS, max_size=4).map(b"".join),
    ),
)
def test_what_is_read_is_what_the_parser_reads(
    method: bytes, target: bytes, headers: list[tuple[bytes, bytes, bytes]], more: bytes
) -> None:
    """Whatever comes: either it is left alone, or both see one request, and the same."""
    lines = b"".join(name + colon + value + b"\r\n" for name, colon, value in headers)
    agrees(method + b" " + target + b" HTTP/1.1\r\n" + lines + b"\r\n" + more)
