"""What comes with a request: its headers, its body, and the address that it comes from."""

from __future__ import annotations

import asyncio
import ipaddress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sealoshub.authserver.request import RequestRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]

MAX_BODY: Final = 128 * 1024  # bytes; a kubeconfig of 64 KiB in base64, URL-encoded
BODY_SECONDS: Final = 10.0  # for the whole body


class ClientGoneError(Exception):
    """The client went away before it had sent everything."""


class Headers:
    """The few headers that matter here, found in one pass.

    Args:
        headers: As ASGI has them, names in lower case.

    Raises:
        RequestRefusedError: Two credentials.
    """

    __slots__ = ("agent", "authorization", "content_type", "forwarded", "length")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.authorization: str | None = None
        self.content_type = self.agent = self.forwarded = ""
        self.length: int | None = None
        for name, value in headers:
            if name == b"authorization":
                if self.authorization is not None:
                    raise RequestRefusedError("two Authorization headers")
                self.authorization = value.decode("latin-1")
            elif name == b"content-type":
                self.content_type = value.decode("latin-1")
            elif name == b"content-length":
                self.length = int(value) if value.isdigit() else None
            elif name == b"user-agent":
                self.agent = value.decode("ascii", "replace")
            elif name == b"x-forwarded-for":
                text = value.decode("latin-1")
                self.forwarded = f"{self.forwarded},{text}" if self.forwarded else text


async def read_body(length: int | None, receive: Receive, most: int = MAX_BODY) -> bytes:
    """Return the whole body, chunked or not.

    Args:
        length: `Content-Length`, if there is one.
        receive: Of ASGI.
        most: Most bytes.

    Raises:
        RequestRefusedError: More than *most* bytes (413), or slower than
            :data:`BODY_SECONDS` (408).
        ClientGoneError: The client went away.
    """
    too_large = RequestRefusedError(
        f"the body is larger than {most} bytes", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    )
    if length is not None and length > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                body += message.get("body", b"")
                if len(body) > most:
                    raise too_large
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise RequestRefusedError(
            f"the body did not come within {BODY_SECONDS:g} s", status=HTTPStatus.REQUEST_TIMEOUT
        ) from None


def caller_address(
    scope: Message, trusted: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]
) -> str:
    """Return the address of the client of an ASGI request, behind trusted proxies too."""
    peer = scope.get("client")
    address = peer[0] if peer else ""
    forwarded = Headers(scope["headers"]).forwarded if trusted else ""
    return client_address(address, forwarded, trusted) if forwarded else address


def client_address(
    peer: str,
    forwarded: str,
    trusted: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> str:
    """Return the address of the client behind trusted proxies.

    The list is read from its end, where our own proxies wrote; the first address that is not a
    trusted proxy is the client. What stands before it anybody could have sent.

    Args:
        peer: Address of the connection.
        forwarded: `X-Forwarded-For`.
        trusted: Networks of the proxies.
    """
    found = peer
    hops = [*(part.strip() for part in forwarded.split(",")), peer]
    for hop in reversed(hops):
        try:
            address = ipaddress.ip_address(hop.partition("%")[0])
        except ValueError:
            return found
        found = str(address)
        if not any(address in network for network in trusted):
            return found
    return found
