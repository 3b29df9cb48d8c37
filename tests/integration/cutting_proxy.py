"""A real TCP proxy before a real registry, that breaks what it is told to break, at the byte.

It waits for the registry before it breaks something to the client, so that what has arrived there
is known and no test depends on who is faster: after a cut the registry has read every byte that was
passed on, and has closed its side.
"""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, Self, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

BLOCK: Final = 64 * 1024  # bytes
PATIENCE: Final = 60.0  # seconds that a side may be silent before the proxy gives up
# As nginx says it, in HTML.
HEADER_TOO_LARGE: Final = (
    b"<html><head><title>400 Request Header Or Cookie Too Large</title></head>"
)
BODY_TOO_LARGE: Final = b"<html><head><title>413 Request Entity Too Large</title></head></html>"


@dataclass(slots=True)
class Rule:
    """What is done to the next requests that fit.

    Args:
        method: Of the request.
        path: Regular expression, searched in path and query.
        least: Bytes that the body has at least.
        times: How many requests.
        skip: How many requests are let through before.
        refuse: Close the connection; nothing reaches the registry.
        cut_at: Pass on the head and so many bytes of the body, then close.
        hold: Pass on as many bytes, set :attr:`held`, and close when :attr:`release` is set or the
            client is gone.
        lose: Let the registry do what was asked, then close instead of passing on the answer.
        cut_answer_at: Pass on so many bytes of the answer, counted from its status line.
        hold_answer: Pass on so many bytes of the answer's body, set :attr:`held`, and close when
            :attr:`release` is set or the client is gone.
        status: Read the request, and answer this instead of the registry.
        headers: Of that answer.
        body: Of that answer.
        delay: Seconds between the registry's answer and its passing on.
        then: Called when the registry has answered, or closed, before the client learns of it.
        spoil: Replace the token by one that the registry refuses, as if it had run out.

    Attributes:
        used: How many requests have met it.
        held: Set when so many bytes as :attr:`hold` or :attr:`hold_answer` says have been passed
            on.
        release: To be set by the test, to go on.
        ended: Set when the registry has closed its side after a cut.
    """

    method: str
    path: str = ""
    least: int = 0
    times: int = 1
    skip: int = 0
    refuse: bool = False
    cut_at: int | None = None
    hold: int | None = None
    lose: bool = False
    cut_answer_at: int | None = None
    hold_answer: int | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay: float = 0.0
    then: Callable[[], None] | None = None
    spoil: bool = False
    used: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Seen:
    """A request of a client.

    Args:
        method: Of the request.
        path: With its query.
        header: Bytes of its head.
        length: Bytes that its body should have.
        body: Bytes of its body that were read, which is what the client had to send.
        status: Of the answer that was passed on; None if there was none.
        answered: Bytes of the answer's body that were passed on.
    """

    method: str
    path: str
    header: int
    length: int
    body: int = 0
    status: int | None = None
    answered: int = 0


class CuttingProxy:
    """The proxy; use it in a `with` block.

    Args:
        upstream: `localhost:PORT` of the registry.
        body_limit: Larger requests are answered with 413, as nginx' client_max_body_size does.
        header_limit: Requests with a larger head are answered with 400.
    """

    def __init__(
        self, upstream: str, *, body_limit: int | None = None, header_limit: int | None = None
    ) -> None:
        host, _, port = upstream.rpartition(":")
        self.upstream = (host, int(port))
        self.body_limit = body_limit
        self.header_limit = header_limit
        self.rules: list[Rule] = []
        self.seen: list[Seen] = []
        self.lock = threading.Lock()
        self._server = _Server(("localhost", 0), _Connection)
        self._server.owner = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def host(self) -> str:
        """`localhost:PORT`."""
        return f"localhost:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self.lock:
            for rule in self.rules:
                rule.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def uploaded(self) -> int:
        """Count the bytes of blobs that clients have sent, however often."""
        with self.lock:
            return sum(each.body for each in self.seen if "/blobs/uploads/" in each.path)

    def downloaded(self, path: str) -> int:
        """Count the bytes of answers to GET that were passed on, however often."""
        with self.lock:
            fitting = [each for each in self.seen if re.search(path, each.path)]
            return sum(each.answered for each in fitting if each.method == "GET")

    def count(self, method: str, path: str = "") -> int:
        """Count the requests that fit."""
        with self.lock:
            return sum(
                1 for each in self.seen if each.method == method and re.search(path, each.path)
            )

    def rule_for(self, seen: Seen) -> Rule | None:
        """Return the next rule that fits a request."""
        with self.lock:
            for rule in self.rules:
                fits = rule.method == seen.method and re.search(rule.path, seen.path)
                if fits and rule.times and seen.length >= rule.least:
                    if rule.skip:
                        rule.skip -= 1
                        continue
                    rule.times -= 1
                    rule.used += 1
                    return rule
        return None


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    owner: CuttingProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: broken connections are what the proxy is for."""


class _BrokenError(Exception):
    """This connection ends here."""


class _Connection(socketserver.BaseRequestHandler):
    """One connection of a client, and the one to the registry that belongs to it."""

    def handle(self) -> None:
        self.owner = cast("_Server", self.server).owner
        self.client: socket.socket = self.request
        self.client.settimeout(PATIENCE)
        with contextlib.ExitStack() as stack:
            self.incoming: BinaryIO = stack.enter_context(self.client.makefile("rb"))
            with contextlib.suppress(OSError, _BrokenError):
                self.up = stack.enter_context(socket.create_connection(self.owner.upstream))
                self.up.settimeout(PATIENCE)
                self.answers: BinaryIO = stack.enter_context(self.up.makefile("rb"))
                while self._exchange():
                    pass
            self._hang_up()

    def _exchange(self) -> bool:
        head = _head(self.incoming)
        if not head:
            return False
        method, path, _ = head[0].decode("latin-1").split(" ", 2)
        length = int(_field(head, b"content-length") or 0)
        seen = Seen(method, path, sum(map(len, head)), length)
        with self.owner.lock:
            self.owner.seen.append(seen)
        limit = self.owner.header_limit
        if limit is not None and seen.header > limit:
            self._answer(seen, Rule(method, status=400, body=HEADER_TOO_LARGE))
            return True
        if self.owner.body_limit is not None and length > self.owner.body_limit:
            # At once, as nginx does; what the client sends all the same is read and dropped.
            self._answer(seen, Rule(method, status=413, body=BODY_TOO_LARGE), read=False)
            self._read(seen, seen.length)
            return True
        rule = self.owner.rule_for(seen) or Rule(method)
        if rule.refuse:
            raise _BrokenError
        if rule.status is not None:
            self._answer(seen, rule)
            return True
        if rule.spoil:
            head = [_spoiled(line) for line in head]
        self._pass_request(seen, rule, b"".join(head))
        return self._pass_answer(seen, rule)

    def _answer(self, seen: Seen, rule: Rule, *, read: bool = True) -> None:
        """Answer instead of the registry."""
        if read:
            self._read(seen, seen.length)
        seen.status = rule.status
        lines = [f"HTTP/1.1 {rule.status} Because the test says so"]
        lines += [f"{name}: {value}" for name, value in rule.headers]
        lines += [f"Content-Length: {len(rule.body)}", "", ""]
        body = b"" if seen.method == "HEAD" else rule.body
        self.client.sendall("\r\n".join(lines).encode("latin-1") + body)

    def _pass_request(self, seen: Seen, rule: Rule, head: bytes) -> None:
        self.up.sendall(head)
        stop = rule.cut_at if rule.cut_at is not None else rule.hold
        self._read(seen, seen.length if stop is None else min(stop, seen.length), forward=True)
        if rule.hold is not None:
            rule.held.set()
            self._wait(rule)
        if stop is not None:
            self._end_upload()
            rule.ended.set()
            raise _BrokenError

    def _wait(self, rule: Rule) -> None:
        """Wait for the test, or for the client's end."""
        self.client.settimeout(0.05)
        while not rule.release.is_set():
            try:
                if not self.client.recv(BLOCK):  # what is not passed on is not counted
                    return
            except TimeoutError:
                continue
            except OSError:
                return  # killed, with bytes under way

    def _end_upload(self) -> None:
        """Close towards the registry, and wait until it has read all and closed as well."""
        with contextlib.suppress(OSError):
            self.up.shutdown(socket.SHUT_WR)
            while self.up.recv(BLOCK):
                pass

    def _pass_answer(self, seen: Seen, rule: Rule) -> bool:
        try:
            head = _head(self.answers)
            while head and head[0].split(b" ", 2)[1] == b"100":
                head = _head(self.answers)
        except OSError:
            head = []
        if rule.then is not None:
            rule.then()
        if not head:
            raise _BrokenError
        status = int(head[0].split(b" ", 2)[1])
        empty = seen.method == "HEAD" or status in {204, 304}
        answer = b"".join(head) + (b"" if empty else _body(self.answers, head))
        if rule.lose:
            raise _BrokenError
        rule.release.wait(rule.delay)
        stop = rule.cut_answer_at
        if rule.hold_answer is not None:
            stop = sum(map(len, head)) + rule.hold_answer
        passed = answer[:stop]
        seen.answered = max(0, len(passed) - sum(map(len, head)))
        if stop is None:
            seen.status = status
        self.client.sendall(passed)
        if rule.hold_answer is not None:
            rule.held.set()
            self._wait(rule)
        if stop is not None or seen.body < seen.length:
            raise _BrokenError
        return _field(head, b"connection").lower() != b"close"

    def _read(self, seen: Seen, count: int, *, forward: bool = False) -> None:
        while seen.body < count:
            block = self.incoming.read1(min(BLOCK, count - seen.body))  # type: ignore[attr-defined]  # of a buffered reader
            if not block:
                if forward:
                    self._end_upload()
                raise _BrokenError
            seen.body += len(block)
            if forward:
                try:
                    self.up.sendall(block)
                except OSError:
                    return  # the registry has closed, most likely behind an answer

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)


def _head(stream: BinaryIO) -> list[bytes]:
    """Read the lines up to the empty one, which is the last; nothing at the end of the stream."""
    lines: list[bytes] = []
    while line := stream.readline(BLOCK):
        lines.append(line)
        if line in {b"\r\n", b"\n"}:
            return lines
    return []


def _field(head: list[bytes], name: bytes) -> bytes:
    for line in head[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


def _spoiled(line: bytes) -> bytes:
    if line.lower().startswith(b"authorization:"):
        return b"Authorization: Bearer e30.e30.e30\r\n"
    return line


def _body(stream: BinaryIO, head: list[bytes]) -> bytes:
    if _field(head, b"transfer-encoding").lower() != b"chunked":
        return stream.read(int(_field(head, b"content-length") or 0))
    found = b""
    while True:
        line = stream.readline(BLOCK)
        size = int(line.partition(b";")[0], 16)
        found += line + stream.read(size) + stream.readline(BLOCK)
        if not size:
            return found
