"""Another token server to compare with: the one that comes with distribution, in Go.

It knows users of a password file (bcrypt) and refresh tokens in memory, and grants everybody what
begins with his name. Nothing is asked and nothing is written down but log lines.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import httpx

from sealoshub.hub import binary
from sealoshub.hub.binary import Recipe
from tests.integration.servers.process import Server, free_port
from tests.tools import build

if TYPE_CHECKING:
    from collections.abc import Mapping

MODULE: Final = Path(build.__file__).with_name("peers")
PACKAGE: Final = "github.com/docker/distribution/contrib/token-server"
ACCOUNT: Final = "alice"
PASSWORD: Final = "a-password-of-alice"
# bcrypt with cost 5, which is htpasswd's own; each step more doubles the time.
_HTPASSWD: Final = f"{ACCOUNT}:$2b$05$sealoshubsealoshubseae3Gis3q19Y49WJCtWGW/SjKloiPxOuX6\n"
_OK: Final = 200
# As it was before `clean_environment` took the home folder, and with it the cache, away.
_ENV: Final[Mapping[str, str]] = dict(os.environ)


def program() -> Path:
    """Return the path of the program, built the first time (about half a minute)."""
    version = binary.pinned_version(MODULE, "github.com/docker/distribution")
    target = build.directory(_ENV) / f"token-server-{version}"
    with binary.locked(target, print):
        if not target.exists():
            go = binary.find_go(binary.minimum_go(MODULE), _ENV, print)
            binary.build(go, Recipe(MODULE, PACKAGE), target, _ENV, print)
    return target


class DistributionTokenServer:
    """A running token server of distribution; a context manager that starts and stops it.

    Args:
        folder: For its files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        passwords = folder / "htpasswd"
        passwords.write_text(_HTPASSWD)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/token/"
        address = f"127.0.0.1:{port}"
        command = [str(program()), "-addr", address, "-realm", "peer", "-passwd", str(passwords)]
        self._server = Server(command, folder / "log", _ENV)

    def __enter__(self) -> Self:
        self._server.__enter__()
        self._server.wait_ready(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._server.pid

    def refresh_token(self) -> str:
        """Log in."""
        query = {"service": "hub", "offline_token": "true"}
        answer = httpx.get(self.url, params=query, auth=(ACCOUNT, PASSWORD))
        token: str = answer.json()["refresh_token"]
        return token

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url, auth=(ACCOUNT, PASSWORD)).status_code == _OK
        except httpx.HTTPError:
            return False
