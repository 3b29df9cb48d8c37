"""Requests of the stock clients, byte by byte as they send them.

`requests/` has one file for each, most of them recorded. `BASIC`, `PASSWORD` and `REFRESH-TOKEN`
stand for the credential; lengths follow from it, and a chunked body is one chunk.
"""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.unit.authserver.running import ALICE, TOKEN

if TYPE_CHECKING:
    from tests.unit.authserver.running import RunningServer

FILES: Final = sorted((Path(__file__).parent / "requests").glob("*.http"))
APP: Final = "repository:team/app"
OPEN: Final = "repository:team/open"
WRONG: Final = TOKEN[:-4] + "AAAA"


def raw(file: Path, password: str, refresh: str) -> bytes:
    """Return the request with a credential in it."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    head, _, body = "\n".join(lines).partition("\n\n")
    body = body.strip().replace("PASSWORD", password).replace("REFRESH-TOKEN", refresh)
    basic = base64.b64encode(f"alice:{password}".encode()).decode()
    head = head.strip().replace("BASIC", basic).replace("LENGTH", str(len(body)))
    if "chunked" in head:
        body = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"
    return (head.replace("\n", "\r\n") + "\r\n\r\n" + body).encode()


def send(server: RunningServer, request: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Send bytes; return status, headers and JSON of the answer."""
    with socket.create_connection(("localhost", server.port), timeout=60) as sock:
        sock.sendall(request)
        answer = sock.makefile("rb")
        status = int(answer.readline().split()[1])
        headers = {}
        while line := answer.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, json.loads(answer.read(int(headers["content-length"])))


@pytest.fixture
def refresh(token_server: RunningServer) -> str:
    """A refresh token of Alice."""
    answer = token_server.get(login=("alice", TOKEN), offline_token="true")
    found: str = answer.json["refresh_token"]
    return found


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a token."""
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return found


def granted(found: dict[str, Any]) -> dict[str, list[str]]:
    """Return what claims grant, by `type:name`."""
    return {f"{entry['type']}:{entry['name']}": entry["actions"] for entry in found["access"]}


def wanted(name: str) -> dict[str, list[str]]:
    """Return what the token for a request has to grant, by the name of its file."""
    client, what, credential = f"{name}-".split("-", 2)
    if what == "login":
        return {}
    if credential.startswith("anonymous"):
        return {OPEN: ["pull"]} if client == "containerd" else {APP: []}
    if what == "mount":
        return {APP: ["pull", "push"], OPEN: ["pull"]}
    return {APP: ["pull", "push"] if what == "push" else ["pull"]}


def test_every_client_gets_its_token(token_server: RunningServer, refresh: str) -> None:
    """With both names that clients look for, what it asked for, and a life; no time of ours."""
    for file in FILES:
        status, headers, body = send(token_server, raw(file, TOKEN, refresh))
        assert status == 200, file
        assert headers["content-type"] == "application/json"
        assert headers["cache-control"] == "no-store"
        assert body["token"] == body["access_token"]
        assert body["expires_in"] >= 60
        assert "issued_at" not in body
        assert ("refresh_token" in body) == (file.stem == "docker-login"), file
        found = claims(body["token"])
        anonymous = file.stem.endswith("anonymous")
        assert found["sub"] == ("system:anonymous" if anonymous else ALICE), file
        assert isinstance(found["aud"], str)
        assert granted(found) == wanted(file.stem), file


def test_every_client_is_told_that_its_credential_is_wrong(
    token_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401 with the sentence where docker looks for it and the word where OAuth2 clients do."""
    for limit in ("FREE_BY_CREDENTIAL", "FREE_BY_ADDRESS"):  # the guard is another test's
        monkeypatch.setattr(f"sealoshub.authserver.guard.{limit}", 1000)
    for file in FILES:
        if file.stem.endswith("anonymous"):
            continue
        status, headers, body = send(token_server, raw(file, WRONG, "shr_" + "A" * 43))
        assert status == 401, file
        assert headers["content-type"] == "application/json"
        assert headers["www-authenticate"].startswith("Basic ")
        (error,) = body["errors"]
        assert error["code"] == "UNAUTHORIZED"
        assert error["message"] == body["error_description"]
        assert body["error"] == "invalid_grant"
        assert not body.keys() & {"token", "access_token", "refresh_token"}


def test_every_path_is_answered(token_server: RunningServer, refresh: str) -> None:
    """By GET and by POST; distribution's `autoredirect` points at two of them."""
    for file in FILES:
        if file.stem in {"crane-push-password", "skopeo-push-refresh-token"}:
            for path in (b"/token", b"/token/", b"/auth/token", b"/auth/token/"):
                request = raw(file, TOKEN, refresh).replace(b" /token", b" " + path, 1)
                assert send(token_server, request)[0] == 200, (file, path)


def test_all_clients_on_one_connection(token_server: RunningServer, refresh: str) -> None:
    """A proxy in front mixes them; one answer never becomes another's."""
    kept = [file for file in FILES if "Connection: close" not in file.read_text()]
    with socket.create_connection(("localhost", token_server.port), timeout=60) as sock:
        sock.sendall(b"".join(raw(file, TOKEN, refresh) for file in kept))  # pipelined
        answer = sock.makefile("rb")
        for file in kept:
            assert answer.readline().startswith(b"HTTP/1.1 200"), file
            length = 0
            while line := answer.readline().strip().lower():
                if line.startswith(b"content-length:"):
                    length = int(line.split()[1])
            found = claims(json.loads(answer.read(length))["token"])
            assert granted(found) == wanted(file.stem), file
