"""The way to a host through a proxy: HTTP `CONNECT` (RFC 9110, 9.3.6), TLS to the proxy, SOCKS 5.

Apart from the transport, because few networks have a proxy. SOCKS is spoken by python-socks.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Final

from sealoshub import __version__
from sealoshub.registry.connection import Connection, connect
from sealoshub.registry.proxy import ProxyError
from sealoshub.registry.response import ExchangeError

if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from sealoshub.registry.proxy import Proxy
    from sealoshub.registry.url import Url

_SUCCESS: Final = range(200, 300)
_SERVER_ERRORS: Final = range(500, 600)
_AUTHENTICATE: Final = 407
_DENIED: Final = frozenset({2, 7, 8})  # replies of SOCKS that time does not change (RFC 1928, 6)
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER")


def through(
    proxy: Proxy, url: Url, context: Callable[[], ssl.SSLContext], seconds: float
) -> _socket.socket:
    """Return a connection that leads to the host of *url*.

    A proxy that speaks HTTP is itself the other end for an `http://` address, and is asked for the
    whole of it.

    Args:
        proxy: Which.
        url: Where to.
        context: Makes the TLS settings for a proxy that is spoken to with TLS.
        seconds: For a connection, and as many for each handshake.

    Raises:
        ProxyError: It did not open the way.
    """
    if proxy.is_socks:
        return _socks(proxy, url, seconds)
    try:
        plain = connect(proxy.host, proxy.port, seconds)
    except (OSError, UnicodeError) as exc:
        raise _unreachable(proxy, exc) from exc
    try:
        if proxy.scheme == "https":
            plain.settimeout(seconds)
            plain = _sealed(plain, proxy, context())
        if url.scheme == "https":
            _ask(plain, url, proxy)
    except BaseException:
        plain.close()
        raise
    return plain


def _sealed(plain: _socket.socket, proxy: Proxy, context: ssl.SSLContext) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(
            plain,  # type: ignore[arg-type]  # it asks for nothing that only `socket` has
            server_hostname=proxy.host,
            suppress_ragged_eofs=False,
        )
    except ssl.SSLCertVerificationError as exc:
        raise ProxyError(
            f"the certificate of {proxy} is not trusted: {exc.verify_message}",
            passing=False,
            hint="Give the authority that signed it with --ca-file.",
        ) from exc
    except (OSError, UnicodeError) as exc:
        if isinstance(exc, ssl.SSLError) and any(sign in str(exc) for sign in _NOT_TLS):
            raise ProxyError(
                f"{proxy} does not speak TLS",
                passing=False,
                hint="The address of a proxy without TLS begins with http://.",
            ) from exc
        raise ProxyError(f"{proxy} broke the TLS handshake off", passing=True) from exc


def _ask(plain: _socket.socket, url: Url, proxy: Proxy) -> None:
    """Ask the proxy for a way to the host of *url*."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    target = f"{host}:{url.connect_port}"
    headers = {"Host": target, "User-Agent": f"sealoshub/{__version__}"}
    if proxy.authorization is not None:
        headers["Proxy-Authorization"] = proxy.authorization.reveal()
    try:
        status = Connection(plain).ask("CONNECT", target, headers).status
    except TimeoutError as exc:
        raise ProxyError(f"{proxy} does not answer", passing=True) from exc
    except OSError as exc:
        raise ProxyError(f"{proxy} broke the connection", passing=True) from exc
    except ExchangeError as exc:
        raise ProxyError(f"{proxy} does not answer as a proxy does: {exc}", passing=True) from exc
    if status == _AUTHENTICATE:
        raise _unauthenticated(proxy)
    if status not in _SUCCESS:
        passing = status in _SERVER_ERRORS
        raise ProxyError(f"{proxy} answered CONNECT {target} with {status}", passing=passing)


def _socks(proxy: Proxy, url: Url, seconds: float) -> socket.socket:
    import python_socks  # noqa: PLC0415  # 25 ms
    from python_socks import sync  # noqa: PLC0415  # as above

    user, password = proxy.user or None, proxy.password.reveal() if proxy.user else None
    # The name is resolved by the proxy.
    client = sync.Proxy(
        python_socks.ProxyType.SOCKS5, proxy.host, proxy.port, user, password, rdns=True
    )
    try:
        return client.connect(url.host, url.connect_port, timeout=seconds)
    except python_socks.ProxyConnectionError as exc:
        raise _unreachable(proxy, exc.__cause__ or exc) from exc
    except python_socks.ProxyTimeoutError as exc:
        raise ProxyError(f"{proxy} does not answer", passing=True) from exc
    except python_socks.ProxyError as exc:
        if exc.error_code is not None:
            raise ProxyError(
                f"{proxy} found no way to {url.host}:{url.connect_port}: {exc}",
                passing=exc.error_code not in _DENIED,
            ) from exc
        if "authentication" in str(exc).lower():
            raise _unauthenticated(proxy) from exc
        raise ProxyError(f"{proxy} does not answer as a SOCKS proxy does", passing=True) from exc
    except UnicodeError as exc:  # a label of more than 63 characters
        said = f"the host of {proxy} is unknown, or {url.host} is no name"
        raise ProxyError(said, passing=False) from exc
    except OSError as exc:
        raise ProxyError(f"{proxy} broke the connection", passing=True) from exc


def _unauthenticated(proxy: Proxy) -> ProxyError:
    known = proxy.authorization is not None
    did = "refused the name and the password" if known else "wants a name and a password"
    return ProxyError(
        f"{proxy} {did}",
        passing=False,
        hint=f"They stand in its address: {proxy.scheme}://NAME:PASSWORD@{proxy.host}:{proxy.port}",
    )


def _unreachable(proxy: Proxy, cause: BaseException) -> ProxyError:
    if isinstance(cause, (socket.gaierror, UnicodeError)):
        passing = getattr(cause, "errno", None) == socket.EAI_AGAIN
        return ProxyError(f"the host of {proxy} is unknown", passing=passing)
    if isinstance(cause, ConnectionRefusedError):
        return ProxyError(f"{proxy} refused the connection", passing=True)
    if isinstance(cause, TimeoutError):
        return ProxyError(f"{proxy} cannot be reached: no connection in time", passing=True)
    reason = getattr(cause, "strerror", None) or "no reason given"
    return ProxyError(f"{proxy} cannot be reached: {reason}", passing=True)
