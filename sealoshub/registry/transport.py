"""The httpx client under a registry client: TLS, proxies, pool, time-outs. It repeats nothing."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import httpx

from sealoshub import __version__
from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT: Final = 10.0  # seconds
WRITE: Final = 60.0  # seconds without a byte taken by the other side
# A registry on object storage copies a whole blob before it answers the closing PUT.
READ: Final = 300.0  # seconds
IDLE: Final = 60.0  # seconds that an unused connection is kept
MAX_CONNECTIONS: Final = 64  # more than any pool of jobs; a bound against our own mistakes


class Body(httpx.SyncByteStream):
    """A request body that can be sent more than once.

    Args:
        source: Opened anew for each sending; yields the blocks.
        length: Bytes it yields altogether, which becomes `Content-Length`.
    """

    def __init__(self, source: BodySource, length: int) -> None:
        self._source = source
        self.length = length

    def __iter__(self) -> Iterator[bytes]:
        return self._source()


if TYPE_CHECKING:
    from collections.abc import Callable

    BodySource = Callable[[], Iterator[bytes]]


def tls_context(ca_file: str | None, *, insecure_skip_tls_verify: bool) -> ssl.SSLContext:
    """Return the TLS settings of one registry: the system's authorities and *ca_file*.

    Raises:
        InvalidInputError: *ca_file* cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as exc:
            reason = exc.strerror if not isinstance(exc, ssl.SSLError) else None
            raise InvalidInputError(
                f"{ca_file}: {reason or 'holds no certificate in PEM form'}",
                hint="--ca-file wants the PEM file of the authority that signed the registry's"
                " certificate.",
            ) from exc
    if insecure_skip_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def http_client(context: ssl.SSLContext) -> httpx.Client:
    """Return the HTTP client: HTTP/1.1 (faster for uploads than 2), kept-alive connections.

    Proxies come from the environment as usual, but never stand before this machine itself.
    """
    limits = httpx.Limits(
        max_connections=MAX_CONNECTIONS,
        max_keepalive_connections=MAX_CONNECTIONS,
        keepalive_expiry=IDLE,
    )
    return httpx.Client(
        verify=context,
        limits=limits,
        timeout=httpx.Timeout(READ, connect=CONNECT, write=WRITE),
        follow_redirects=False,
        headers={
            "User-Agent": f"sealoshub/{__version__}",
            # Never a compressed answer: its size could not be bounded before it is unpacked.
            "Accept-Encoding": "identity",
        },
        mounts={
            "all://localhost": None,
            "all://127.0.0.1": None,
            "all://[::1]": None,
        },
    )
