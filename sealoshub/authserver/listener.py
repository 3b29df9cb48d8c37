"""The sockets that a token server listens on; made once, and shared by its workers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from sealoshub.authserver.config import Address


def bind(address: Address) -> list[socket.socket]:
    """Listen on every address of a name; with port 0 all on the same free port.

    Raises:
        InvalidInputError: The address is not this machine's, or in use.
    """
    where = f"{address.host}:{address.port}"
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as exc:
        raise InvalidInputError(f"listen: {where} is no address: {exc.strerror}") from exc
    sockets: list[socket.socket] = []
    port = address.port
    # IPv4 first: it is the one that must work, and it chooses the free port.
    for family, kind, protocol, _, where_to in sorted(found, key=lambda entry: entry[0]):
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((where_to[0], port))
        except OSError as exc:
            listener.close()
            if sockets and family == socket.AF_INET6:
                continue  # `localhost` names ::1 on machines without IPv6 as well
            close_all(sockets)
            raise InvalidInputError(f"listen: cannot use {where}: {exc.strerror}") from exc
        port = listener.getsockname()[1]
        sockets.append(listener)
    return sockets


def close_all(sockets: list[socket.socket]) -> None:
    """Close *sockets*; in a worker only its own copies of them."""
    for opened in sockets:
        opened.close()
