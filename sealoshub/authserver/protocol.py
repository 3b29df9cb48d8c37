"""uvicorn's HTTP protocol with the limits that it lacks, a quiet end, and a shortcut.

A token request of the form that every client sends is answered right here, at once if everything
is known (a pull of something public, a login that was checked seconds ago); everything else goes
through the framework.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sealoshub.authserver import head
from sealoshub.authserver.reply import Reply

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

MAX_HEAD: Final = 192 * 1024  # bytes: 64 KiB of header values, one of them a kubeconfig in base64
HEAD_SECONDS: Final = 10.0  # from the connection, or the first byte of a request, to its body
MESSAGE_SECONDS: Final = 30.0  # from there to its end, even if the answer went out before
LINGER_SECONDS: Final = 0.3  # at the end: a request may be on its way on a connection that is idle


class ServingConfig(uvicorn.Config):
    """uvicorn's configuration and what is ours.

    `draining` is whether the server is about to end; `recall` answers a whole plain request, or
    returns what finds the answer, and says whether the client wants the connection closed.
    """

    draining = False
    recall: (
        Callable[[bytes, str], tuple[Reply | Coroutine[Any, Any, Reply], bool] | None] | None
    ) = None


class BoundedProtocol(HttpToolsProtocol):
    """Answer 431 to a head that is too large and close one that does not end.

    The parser below keeps whatever it is sent, so a head without end would fill the memory, and one
    byte a minute would keep a connection for ever.
    """

    config: ServingConfig
    _head_bytes = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None
    _answered_at = float("-inf")
    _deciding: asyncio.Task[Reply] | None = None  # what finds the answer to the request under way
    _ends = False  # with the answer that is being found
    _early: bytes = b""  # came before that

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Answer at once what can be; else count the bytes of the head."""
        if self._deciding is not None:
            self._early += data
            self.flow.pause_reading()
            return
        if self._in_head:
            if not self._head_bytes and self._answered(data):
                return
            if self._timer is None:
                self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._too_large()
                return
        super().data_received(data)

    def _answered(self, data: bytes) -> bool:
        """Answer *data* if it is a whole plain request; else do nothing.

        Half of the time of a request would go into tasks and messages between layers.
        """
        recall = self.config.recall
        if recall is None or not self._idle() or self.flow.write_paused or len(data) > MAX_HEAD:
            return False
        found = recall(data, self.client[0] if self.client else "")
        if found is None:
            return False
        answer, self._ends = found
        self._stop_timer()
        if isinstance(answer, Reply):
            self._answer(answer)
        else:
            self._deciding = task = self.loop.create_task(answer)
            self.tasks.add(task)  # type: ignore[arg-type]  # whatever it returns
            task.add_done_callback(self._decided)
        return True

    def _decided(self, task: asyncio.Task[Reply]) -> None:
        """Send the answer that was found, and read on."""
        self.tasks.discard(task)
        self._deciding = None
        if task.cancelled():  # the server ends and waits no longer
            self.transport.close()
        if self.transport.is_closing():
            return
        self._answer(task.result())
        early, self._early = self._early, b""
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if early:
                self.data_received(early)

    def _answer(self, answer: Reply) -> None:
        close = self._ends or self.config.draining
        headers = [*self.server_state.default_headers, *answer.all_headers]
        self.transport.write(head.answer(answer.status, answer.body, headers, close=close))
        if close:
            self.transport.close()
            return
        # One timer for many requests: it looks when the last one was.
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._expect_more(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if nothing came for long enough."""
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0 or self._deciding is not None:
            self._expect_more(max(left, 1.0))
        else:
            super().timeout_keep_alive_handler()

    def _expect_more(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def on_headers_complete(self) -> None:
        """End the head."""
        self._in_head = False
        self._head_bytes = 0
        self._stop_timer()
        self._timer = self.loop.call_later(MESSAGE_SECONDS, self._too_slow)
        super().on_headers_complete()
        if self.config.draining:
            self.end_with_answer()

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._in_head = True
        self._stop_timer()
        super().on_message_complete()

    def end_with_answer(self) -> None:
        """Close after the request under way, if there is one; its answer says so."""
        if self._deciding is not None:
            self._ends = True
        elif not self._idle():
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """End after the request under way, or the one whose first bytes may be on their way."""
        if self._idle():
            self.loop.call_later(LINGER_SECONDS, self._leave)
        self.end_with_answer()

    def _leave(self) -> None:
        if self._idle() and not self._head_bytes:
            self.transport.close()

    def _idle(self) -> bool:
        if self._deciding is not None:
            return False
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # uvicorn begins with None

    def _too_large(self) -> None:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self.transport.write(
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            "content-length: 0\r\nconnection: close\r\n\r\n".encode()
        )
        self.transport.close()

    def _too_slow(self) -> None:
        self._timer = None
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
