"""The ASGI application without a socket: slow bodies, addresses, defects."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from sealoshub.authserver import incoming
from sealoshub.authserver.app import App
from sealoshub.authserver.incoming import client_address, read_body
from sealoshub.authserver.request import RequestRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PLANTED = "planted-secret"
TRUSTED = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
        ("10.0.0.1", "garbage", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, garbage", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", " 2001:DB8::7 ", "2001:db8::7"),
    ],
)
def test_the_client_behind_proxies(peer: str, forwarded: str, expected: str) -> None:
    """The last address that is not a trusted proxy; whatever stands before it is hearsay."""
    assert client_address(peer, forwarded, TRUSTED) == expected


def receiver(*messages: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Return a `receive` that gives *messages* and then nothing for ever."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def part(body: bytes, *, more: bool) -> dict[str, Any]:
    """Return a message with a part of the body."""
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_in_parts() -> None:
    """Chunked or not, it is one body."""
    receive = receiver(part(b"a=", more=True), part(b"1", more=False))
    assert asyncio.run(read_body(None, receive)) == b"a=1"


def test_bodies_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too large by its header or by its bytes, and too slow."""
    monkeypatch.setattr(incoming, "BODY_SECONDS", 0.05)
    big = b"a" * incoming.MAX_BODY
    table = [
        (incoming.MAX_BODY + 1, receiver(), 413),
        (None, receiver(part(big, more=True), part(b"a", more=True)), 413),
        (None, receiver(part(b"a", more=True)), 408),
    ]
    for length, receive, status in table:
        with pytest.raises(RequestRefusedError) as caught:
            asyncio.run(read_body(length, receive))
        assert caught.value.status == status


class Broken:
    """An exchange with a defect, whose message quotes what it was given."""

    async def token(self, question: object, login: object, caller: object) -> NoReturn:
        """Fail."""
        raise KeyError(f"{PLANTED} {question} {login} {caller}")

    def record_failure(self, *_: object) -> None:
        """Take the line."""


def test_a_defect_is_500_and_its_text_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the place, and neither answer nor log has the message."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:  # noqa: ANN401  # ASGI messages
        sent.append(dict(message))

    async def run(path: str) -> None:
        async def rest(*_: object) -> NoReturn:
            raise KeyError(PLANTED)

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"service=hub",
            "headers": [],
            "client": ("10.0.0.1", 1),
        }
        await App(Broken(), rest)(scope, receiver(), send)  # type: ignore[arg-type]

    with caplog.at_level(logging.DEBUG):
        asyncio.run(run("/token"))
        asyncio.run(run("/other"))
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"])["error"] == "server_error"
    assert caplog.text.count("defect: KeyError") == 2
    assert "test_app.py" in caplog.text
    assert PLANTED not in caplog.text + str(sent)
