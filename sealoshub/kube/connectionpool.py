"""Connections to one address that are kept between questions."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealoshub.errors import UnavailableError
from sealoshub.kube.httpconnection import HttpConnection, RefusedByTlsError, is_refusal

if TYPE_CHECKING:
    import ssl

MAX_CONNECTIONS: Final = 64
IDLE_SECONDS: Final = 15.0  # well before an API server, or what is in front of it, hangs up

CLOSE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where an API server listens, and how TLS is spoken there.

    Args:
        host: Name or address; what its certificate must be for.
        port: TCP port.
        context: Of TLS; None for plain HTTP.
    """

    host: str
    port: int
    context: ssl.SSLContext | None


class ConnectionPool:
    """At most so many connections; who finds none free waits for his turn.

    It is a class because the connections are shared by everybody who asks.

    Args:
        address: Of the server.
        most: Connections at once.
    """

    def __init__(self, address: Address, most: int = MAX_CONNECTIONS) -> None:
        self._address = address
        self._most = most
        self._idle: list[HttpConnection] = []  # the one that was used last is taken first
        self._all: set[HttpConnection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[HttpConnection | None]] = deque()
        self._is_retired = False
        self._sweep: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()

    @property
    def size(self) -> int:
        """How many connections are open."""
        return len(self._all)

    def take_idle(self) -> HttpConnection | None:
        """Return a connection that is open and has nothing to do; None if there is none."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def take(self) -> HttpConnection:
        """Return a connection: an idle one, a new one, or after a wait the one of somebody else.

        Raises:
            RefusedByTlsError: The server does not take the certificate.
            UnavailableError: The server cannot be reached.
        """
        while (connection := self.take_idle()) is None:
            if not self._is_full():
                return await self._open()
            connection = await self._turn()
            if connection is not None and connection.is_open:
                break
        return connection

    def give_back(self, connection: HttpConnection) -> None:
        """Keep *connection* for the next question, or hang up if it can carry none."""
        if self._is_retired or not connection.is_reusable:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        if self._call_next(connection):
            return
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_SECONDS, self._hang_up)

    def retire(self) -> None:
        """Keep nothing from now on; who asks at this moment gets his answer."""
        self._is_retired = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    async def aclose(self) -> None:
        """Hang up everywhere, and wait until that is done."""
        self.retire()
        for connection in self._all:
            connection.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._all:
                    self._emptied.clear()
                    await self._emptied.wait()

    async def _open(self) -> HttpConnection:
        host, port, context = self._address.host, self._address.port, self._address.context
        self._opening += 1
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: HttpConnection(self._lost),
                host,
                port,
                ssl=context,
                server_hostname=None if context is None else host,
            )
        except OSError as exc:  # an ssl.SSLError is one
            text = f"the API server does not answer ({type(exc).__name__})"
            if is_refusal(exc):
                raise RefusedByTlsError(text) from exc
            raise UnavailableError(text) from exc
        else:
            if connection.is_open:
                self._all.add(connection)
        finally:
            self._opening -= 1
            if not self._is_full():
                self._call_next()
        return connection

    async def _turn(self) -> HttpConnection | None:
        """Wait; return the connection of somebody else, or None if there is room for one more."""
        turn: asyncio.Future[HttpConnection | None]
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was called, and goes away
                connection = turn.result()
                if connection is None:
                    self._call_next()
                else:
                    self.give_back(connection)
            raise

    def _is_full(self) -> bool:
        return len(self._all) + self._opening >= self._most

    def _call_next(self, connection: HttpConnection | None = None) -> bool:
        """Call who waits longest; False if nobody does."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _lost(self, connection: HttpConnection) -> None:
        self._all.discard(connection)
        if not self._all:
            self._emptied.set()
        self._call_next()

    def _hang_up(self) -> None:
        """End what has been idle for long; look again when the next one may be."""
        loop = asyncio.get_running_loop()
        kept = []
        for connection in self._idle:
            if connection.idle_since + IDLE_SECONDS <= loop.time():
                connection.abort()
            else:
                kept.append(connection)
        self._idle = kept
        self._sweep = None
        if kept:
            first = min(connection.idle_since for connection in kept)
            self._sweep = loop.call_at(first + IDLE_SECONDS, self._hang_up)
