"""HTTP/1.1 to an API server: what a connection reads, and when it is used again."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import uvloop

from sealoshub.errors import InvalidInputError, UnavailableError
from sealoshub.kube import UserInfo, connectionpool, httpconnection
from sealoshub.kube.answer import Decision, ResourceAttributes, subject
from sealoshub.kube.channel import Channel
from sealoshub.kube.connectionpool import Address, ConnectionPool
from sealoshub.kube.httpconnection import CutOffError, TooLargeError
from sealoshub.kube.review import ApiServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

SECONDS: Final = 30.0  # for what takes milliseconds
LIMIT: Final = 1000
QUESTION: Final = b"GET /a HTTP/1.1\r\nhost: localhost\r\n\r\n"
HANG_UP: Final = b""

_LOOPS: Final = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=list(_LOOPS))
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run something in an event loop of each kind."""
    factory: Callable[[], asyncio.AbstractEventLoop] = _LOOPS[request.param]

    def in_loop(work: Coroutine[Any, Any, Any]) -> object:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(work)

    return in_loop


class Scripted:
    """A server on loopback that answers each question with the next of *answers*.

    Knob: `answers`, raw bytes; :data:`HANG_UP` closes the connection. `connections` counts those
    that were taken, `asked` has the heads of the questions, `gate` holds answers back.
    """

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.asked: list[bytes] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the script or the connection ends."""
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head)
                await self.gate.wait()
                answer = self.answers.pop(0)
                writer.write(answer)
                if answer == HANG_UP or answer.endswith(b"(closed)"):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scripted(*answers: bytes) -> AsyncIterator[Scripted]:
    """Serve a script as long as the block lasts."""
    script = Scripted(*answers)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()


@asynccontextmanager
async def pool_of(script: Scripted, most: int = 4) -> AsyncIterator[ConnectionPool]:
    """Have connections to *script*, and none afterwards."""
    pool = ConnectionPool(Address("127.0.0.1", script.port, None), most)
    try:
        yield pool
    finally:
        await pool.aclose()


async def ask(pool: ConnectionPool, limit: int = LIMIT) -> tuple[int, bytes]:
    """Ask as the channel does."""
    connection = await pool.take()
    try:
        async with asyncio.timeout(SECONDS):
            return await connection.ask(QUESTION, limit)
    finally:
        pool.give_back(connection)


async def until(condition: Callable[[], object]) -> None:
    """Wait until *condition* is true."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0.001)


def answer(content: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer of known length."""
    length = b"content-length: %d" % len(content)
    return b"HTTP/1.1 %s\r\n%s\r\n\r\n%s" % (status, b"\r\n".join([length, *lines]), content)


CHUNKED: Final = b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (answer(b"abc"), (200, b"abc")),
        (answer(b"", status=b"204 No Content"), (204, b"")),
        (answer(b"no", status=b"404 Not Found"), (404, b"no")),
        (CHUNKED + b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\nx-trailer: 1\r\n\r\n", (201, b"abc")),
        (b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + answer(b"abc"), (200, b"abc")),
        (answer(gzip.compress(b"abc"), b"Content-Encoding: GZIP"), (200, b"abc")),
        (answer(b"abc", b"content-encoding: identity"), (200, b"abc")),
        (b"HTTP/1.0 200 OK\r\n\r\nup to the end (closed)", (200, b"up to the end (closed)")),
    ],
    ids=[
        "length",
        "no content",
        "not found",
        "chunks",
        "interim",
        "gzip",
        "identity",
        "until the end",
    ],
)
def test_answers(
    run: Callable[[Awaitable[Any]], Any], raw: bytes, expected: tuple[int, bytes]
) -> None:
    """Every framing of HTTP/1.1 gives status and content."""

    async def work() -> None:
        async with scripted(raw) as script, pool_of(script) as pool:
            assert await ask(pool) == expected

    run(work())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (HANG_UP, CutOffError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nabc (closed)", UnavailableError),
        (CHUNKED + b"3\r\nabc (closed)", UnavailableError),
        (b"SSH-2.0-OpenSSH\r\n\r\n", UnavailableError),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", UnavailableError),
        (answer(b"x" * (LIMIT + 1)), TooLargeError),
        (answer(gzip.compress(b"x" * (LIMIT + 1)), b"content-encoding: gzip"), TooLargeError),
        (answer(b"x", b"content-encoding: gzip"), UnavailableError),
        (answer(gzip.compress(b"abc")[:-3], b"content-encoding: gzip"), UnavailableError),
        (answer(b"x", b"content-encoding: br"), UnavailableError),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 40_000, UnavailableError),
    ],
    ids=[
        "nothing",
        "cut off",
        "cut off in a chunk",
        "ssh",
        "upgrade",
        "too long",
        "packed too well",
        "not packed",
        "packed and cut off",
        "another packing",
        "a header without end",
    ],
)
def test_what_is_no_answer(
    run: Callable[[Awaitable[Any]], Any], raw: bytes, expected: type[Exception]
) -> None:
    """Nothing that is cut off, endless, packed too well or no HTTP passes for an answer."""

    async def work() -> None:
        async with scripted(raw) as script, pool_of(script) as pool:
            with pytest.raises(expected):
                await ask(pool)

    run(work())


def test_one_connection_carries_many_questions(run: Callable[[Awaitable[Any]], Any]) -> None:
    """Whoever asks after the other finds his connection."""

    async def work() -> None:
        async with scripted(answer(b"1"), answer(b"2"), answer(b"3")) as script:
            async with pool_of(script) as pool:
                assert [await ask(pool) for _ in range(3)] == [
                    (200, b"1"),
                    (200, b"2"),
                    (200, b"3"),
                ]
            assert script.connections == 1

    run(work())


@pytest.mark.parametrize(
    "first",
    [answer(b"1", b"connection: close"), answer(b"1") + b"HTTP/1.1 200 OK\r\n", answer(b"1") * 2],
    ids=["close", "half an answer more", "an answer more"],
)
def test_a_connection_that_is_not_used_again(
    run: Callable[[Awaitable[Any]], Any], first: bytes
) -> None:
    """What the server says too much is never taken for the answer to the next question."""

    async def work() -> None:
        async with scripted(first, answer(b"2")) as script, pool_of(script) as pool:
            assert await ask(pool) == (200, b"1")
            assert await ask(pool) == (200, b"2")
            assert script.connections == 2

    run(work())


def test_a_question_that_was_given_up(run: Callable[[Awaitable[Any]], Any]) -> None:
    """Its connection is closed: the late answer belongs to nobody."""

    async def work() -> None:
        async with scripted(answer(b"late"), answer(b"2")) as script, pool_of(script, 1) as pool:
            script.gate.clear()
            asking = asyncio.create_task(ask(pool))
            await until(lambda: script.asked)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            script.gate.set()
            assert await ask(pool) == (200, b"2")

    run(work())


def test_who_finds_no_room_waits_for_his_turn(run: Callable[[Awaitable[Any]], Any]) -> None:
    """Never more connections than allowed; everybody is answered, also after somebody gave up."""

    async def work() -> None:
        async with scripted(*[answer(b"x")] * 40) as script, pool_of(script, 2) as pool:
            script.gate.clear()
            asking = [asyncio.create_task(ask(pool)) for _ in range(20)]
            await until(lambda: len(script.asked) == 2)
            for task in asking[5:8]:
                task.cancel()
            script.gate.set()
            done = await asyncio.gather(*asking, return_exceptions=True)
            given_up = [one for one in done if isinstance(one, asyncio.CancelledError)]
            assert len(given_up) == 3
            assert done.count((200, b"x")) == 17
            assert script.connections == 2

    run(work())


def test_a_server_that_refuses_lets_the_next_one_try(
    run: Callable[[Awaitable[Any]], Any],
) -> None:
    """A connection that cannot be opened takes no room."""

    async def work() -> None:
        async with scripted() as script:
            pass
        pool = ConnectionPool(Address("127.0.0.1", script.port, None), 1)
        found = await asyncio.gather(*(ask(pool) for _ in range(5)), return_exceptions=True)
        assert [type(one) for one in found] == [UnavailableError] * 5
        await pool.aclose()

    run(work())


def test_idle_connections_are_hung_up(
    run: Callable[[Awaitable[Any]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing stays open that nobody needs."""
    monkeypatch.setattr(connectionpool, "IDLE_SECONDS", 0.01)

    async def work() -> None:
        async with scripted(answer(b"1"), answer(b"2")) as script, pool_of(script) as pool:
            await ask(pool)
            await until(lambda: not pool.size)
            assert await ask(pool) == (200, b"2")
            assert script.connections == 2

    run(work())


@pytest.mark.parametrize(
    ("method", "path", "asked_twice"),
    [
        ("GET", "/api/v1/namespaces/a", True),
        ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", True),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", True),
        ("POST", "/apis/imagehub.sealos.io/v1/namespaces/a/logins", False),
        ("DELETE", "/apis/imagehub.sealos.io/v1/namespaces/a/logins/b", False),
    ],
)
def test_a_server_that_hangs_up_on_an_old_connection(
    run: Callable[[Awaitable[Any]], Any],
    method: str,
    path: str,
    asked_twice: bool,  # noqa: FBT001  # the last column
) -> None:
    """What changes nothing is asked again on a new one; nothing is ever created twice."""

    async def work() -> None:
        async with scripted(answer(b"1"), HANG_UP, answer(b"2")) as script:
            channel = Channel(f"http://localhost:{script.port}", ca_file=None, seconds=SECONDS)
            try:
                assert await channel.send("GET", "/a", {}, limit=LIMIT) == (200, b"1")
                if asked_twice:
                    assert await channel.send(method, path, {}, limit=LIMIT) == (200, b"2")
                else:
                    with pytest.raises(CutOffError):
                        await channel.send(method, path, {}, limit=LIMIT)
            finally:
                await channel.aclose()
            assert len(script.asked) == 2 + asked_twice

    run(work())


REVIEWED: Final = answer(b'{"status":{"allowed":true,"reason":"a rule"}}', status=b"201 Created")
PULL: Final = ResourceAttributes("pull", "imagehub.sealos.io", "repositories", "app", "hub-a")
WHO: Final = subject(UserInfo("alice"))


@asynccontextmanager
async def api_of(script: Scripted, idle: int, seconds: float = SECONDS) -> AsyncIterator[ApiServer]:
    """Have an API server with so many idle connections to *script*."""
    api = ApiServer(f"http://localhost:{script.port}", call_seconds=seconds)
    script.answers[:0] = [answer(b"{}")] * idle
    try:
        await asyncio.gather(*(api.get("/a") for _ in range(idle)))
        yield api
    finally:
        await api.aclose()


def test_reviews_that_begin_are_on_their_way_together(
    run: Callable[[Awaitable[Any]], Any],
) -> None:
    """The second does not wait for the answer to the first."""

    async def work() -> None:
        async with scripted(REVIEWED, REVIEWED) as script, api_of(script, idle=2) as api:
            script.gate.clear()
            begun = [api.begin_subject_access_review(WHO, PULL) for _ in range(2)]
            await until(lambda: len(script.asked) == 2 + 2)
            assert not any(one.done() for one in begun)
            script.gate.set()
            assert await asyncio.gather(*begun) == [Decision(allowed=True, reason="a rule")] * 2

    run(work())


@pytest.mark.parametrize("idle", [0, 1], ids=["no connection", "one that is cut off"])
def test_a_review_that_begins_without_a_connection(
    run: Callable[[Awaitable[Any]], Any], idle: int
) -> None:
    """One is opened for it, also after the server hung up on an old one."""

    async def work() -> None:
        script_of = scripted(*[HANG_UP] * idle, REVIEWED)
        async with script_of as script, api_of(script, idle=idle) as api:
            assert await api.begin_subject_access_review(WHO, PULL) == Decision(
                allowed=True, reason="a rule"
            )
            assert script.connections == 1 + idle

    run(work())


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"HTTP/1.1 201 Cr(closed)", "hung up"),
        (answer(b"{}"), "without a decision"),
        (answer(b"no JSON"), "without JSON"),
        (answer(b"{}", status=b"403 Forbidden"), "refuses the token server itself"),
        (b"nonsense\r\n\r\n", "does not speak HTTP"),
    ],
    ids=["half an answer", "no decision", "no JSON", "403", "no HTTP"],
)
def test_a_review_that_fails_after_it_began(
    run: Callable[[Awaitable[Any]], Any], said: bytes, message: str
) -> None:
    """It is asked once, and the failure is that of a review that was waited for."""

    async def work() -> None:
        async with scripted(said) as script, api_of(script, idle=1) as api:
            with pytest.raises(UnavailableError, match=message):
                await api.begin_subject_access_review(WHO, PULL)
            assert len(script.asked) == 1 + 1

    run(work())


def test_a_review_that_nobody_answers_ends_in_time(run: Callable[[Awaitable[Any]], Any]) -> None:
    """The limit of a call holds for it, and its connection is given up."""

    async def work() -> None:
        async with scripted(REVIEWED) as script, api_of(script, idle=1, seconds=0.5) as api:
            script.gate.clear()
            with pytest.raises(UnavailableError, match="did not answer within"):
                await api.begin_subject_access_review(WHO, PULL)
            script.gate.set()

    run(work())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/a b", "x"),
        ("/a\r\nx: y", "x"),
        ("/ä", "x"),
        ("/a", "x\r\ny: z"),
        ("/a", "x\x00"),
        ("/a", "ä"),
    ],
    ids=["blank", "line in the path", "no ASCII in the path", "line", "NUL", "no ASCII"],
)
def test_nothing_is_smuggled_into_a_request(
    run: Callable[[Awaitable[Any]], Any], path: str, value: str
) -> None:
    """A name or a token that cannot stand in a request is refused and not repeated."""

    async def work() -> None:
        channel = Channel("http://localhost:1", ca_file=None, seconds=SECONDS)
        with pytest.raises(InvalidInputError) as caught:
            await channel.send("GET", path, {"authorization": value}, limit=LIMIT)
        assert value not in str(caught.value)

    run(work())


def test_a_stream_comes_piece_by_piece(
    run: Callable[[Awaitable[Any]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it arrives, in order, however little is taken at a time."""
    monkeypatch.setattr(httpconnection, "PENDING", 10)
    content = bytes(range(256)) * 2000
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(piece), piece)
        for piece in (content[at : at + 1000] for at in range(0, len(content), 1000))
    )

    async def work() -> None:
        async with scripted(CHUNKED + chunks + b"0\r\n\r\n") as script:
            channel = Channel(f"http://localhost:{script.port}", ca_file=None, seconds=SECONDS)
            found = []
            async with channel.stream("/w", {}, {"watch": "true"}, silence=SECONDS) as opened:
                status, pieces = opened
                async for piece in pieces:
                    found.append(piece)
                    await asyncio.sleep(0)
            assert (status, b"".join(found)) == (201, content)
            assert b"accept-encoding: identity" in script.asked[0]
            await channel.aclose()

    run(work())


def test_a_stream_that_falls_silent(run: Callable[[Awaitable[Any]], Any]) -> None:
    """It is given up; so is one whose server hangs up."""

    async def work() -> None:
        async with scripted(CHUNKED + b"1\r\na\r\n", CHUNKED + b"1\r\na (closed)") as script:
            channel = Channel(f"http://localhost:{script.port}", ca_file=None, seconds=SECONDS)

            async def listen(silence: float) -> list[bytes]:
                async with channel.stream("/w", {}, {}, silence=silence) as (_, pieces):
                    return [piece async for piece in pieces]

            for silence in (0.05, SECONDS):
                with pytest.raises(UnavailableError):
                    await listen(silence)
            await channel.aclose()

    run(work())
