"""A token server in a thread, and a client that asks it as docker and OAuth2 clients do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.authserver.server import TokenServer

ALICE = "system:serviceaccount:user-system:alice"
SCOPE = "repository:team/app:pull,push"
SECONDS = 60.0  # for what takes milliseconds; the machine may be busy


def jwt(**claims: object) -> str:
    """Return something with the shape of a token; only the fake knows whose it is."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJFUzI1NiJ9.{payload}.c2lnbmF0dXJl"


TOKEN = jwt(sub=ALICE)
BOB_TOKEN = jwt(sub="bob")


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, parsed."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def access(self) -> dict[str, list[str]]:
        """What the token in the answer grants, by `type:name`."""
        payload = self.json["token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return {f"{entry['type']}:{entry['name']}": entry["actions"] for entry in claims["access"]}

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of the token in the answer."""
        payload = self.json["token"].split(".")[1]
        found: dict[str, Any] = json.loads(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        )
        return found

    @property
    def message(self) -> str:
        """The sentence that docker shows."""
        return str(self.json["errors"][0]["message"])


@dataclass
class RunningServer:
    """A token server in a thread of its own, and requests to it."""

    server: TokenServer
    folder: Path
    thread: threading.Thread = field(init=False)
    loop: asyncio.AbstractEventLoop = field(init=False)
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        """Start, and wait until it serves."""
        up = threading.Event()

        async def main() -> None:
            self.loop = asyncio.get_running_loop()
            serving = asyncio.ensure_future(self.server.serve())
            started = asyncio.ensure_future(self.server.started.wait())
            await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
            started.cancel()
            if serving.done():
                serving.result()
            up.set()
            await serving

        def run() -> None:
            try:
                asyncio.run(main())
            except BaseException as exc:  # noqa: BLE001  # shown by the test
                self.failure = exc
                up.set()

        self.thread = threading.Thread(target=run)
        self.thread.start()
        assert up.wait(SECONDS)
        if self.failure is not None:
            raise self.failure

    def stop(self) -> Self:
        """End it."""
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.server.stop)
            self.thread.join(SECONDS)
        assert not self.thread.is_alive()
        return self

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.address[1]

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request."""
        connection = http.client.HTTPConnection("localhost", self.port, timeout=SECONDS)
        try:
            # A server that refuses a body hangs up without reading it; its answer is there already.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def get(
        self,
        *scopes: str,
        login: tuple[str, str] | None = None,
        service: str | None = "hub",
        path: str = "/token",
        **parameters: str,
    ) -> Answer:
        """Ask for a token as docker does."""
        query = [("scope", scope) for scope in scopes] + list(parameters.items())
        if service is not None:
            query.append(("service", service))
        return self.request("GET", f"{path}?{urlencode(query)}", headers=basic(login))

    def post(self, *scopes: str, **fields: str) -> Answer:
        """Ask for a token as OAuth2 clients do."""
        return self.post_with({}, *scopes, **fields)

    def post_with(self, headers: dict[str, str], *scopes: str, **fields: str) -> Answer:
        """Ask for a token by POST, with more headers than those of a form."""
        pairs = [("scope", scope) for scope in scopes] + [
            ("service", "hub"),
            ("client_id", "test"),
            *fields.items(),
        ]
        kind = {"content-type": "application/x-www-form-urlencoded"}
        body = urlencode(pairs).encode()
        return self.request("POST", "/token", body=body, headers={**kind, **headers})

    def audit(self) -> list[dict[str, Any]]:
        """Stop the server and return its audit log."""
        self.stop()
        lines = (self.folder / "audit.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def ready(self) -> None:
        """Wait until it is ready."""
        deadline = time.monotonic() + SECONDS
        while (answer := self.request("GET", "/readyz")).status != 200:
            assert time.monotonic() < deadline, answer.body
            threading.Event().wait(0.02)


def basic(login: tuple[str, str] | None) -> dict[str, str]:
    """Return the header for user name and password."""
    if login is None:
        return {}
    text = base64.b64encode(":".join(login).encode()).decode()
    return {"authorization": f"Basic {text}"}


def quoted(text: str) -> str:
    """Return *text* for a URL."""
    return quote(text, safe="")
