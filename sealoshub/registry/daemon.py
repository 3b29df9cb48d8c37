"""Images of a running docker, through its Engine API on the unix socket.

`GET /images/NAME/get` gives what `docker save` writes, as a stream whose list of contents comes
last, so it is kept in a file without a name until the push is over.
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from sealoshub.errors import (
    DeniedError,
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.registry.archive import spooled_archive
from sealoshub.registry.failure import clean
from sealoshub.registry.image import BLOCK
from sealoshub.registry.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sealoshub.registry.archive import TarStore

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 300.0  # docker collects a large image before it sends the first byte
MAX_DESCRIPTION: Final = 4 * 1024 * 1024  # bytes; of real images some kB
MAX_ERROR: Final = 64 * 1024  # bytes of an answer that is no image
_OK: Final = 200
_NOT_FOUND: Final = 404
_HINT: Final = (
    "Start docker, set DOCKER_HOST=unix:///path/of/the/socket, or save the image with `docker save`"
    " and push the file."
)


def open_daemon_image(name: str, env: Mapping[str, str], folder: Path) -> TarStore:
    """Fetch an image of a running docker.

    Args:
        name: As docker knows it.
        env: For `DOCKER_HOST`.
        folder: Where the image is kept meanwhile.

    Raises:
        NotFoundError: Docker does not know the image, or there is no docker.
        DeniedError: The user may not talk to docker.
        UnavailableError: Docker does not answer, or breaks off.
        SealosHubError: There is no room for the image.
    """
    if not name:
        raise InvalidInputError("docker-daemon: is followed by the name of an image")
    path = socket_path(env)
    engine = _Engine(path)
    try:
        # Asked first: an old docker answers the export of what it does not know with 500.
        answer = engine.get(f"/images/{quote(name, safe='/:@')}/json", name)
        if len(answer.read(MAX_DESCRIPTION)) == MAX_DESCRIPTION:
            raise UnavailableError(f"docker at {path} says far too much about {name!r}")
        answer = engine.get(f"/images/{quote(name, safe='/:@')}/get", name)
        spool = Spool(folder, f"the image {name} of docker")
        try:
            while block := answer.read(BLOCK):
                spool.write(block)
        except BaseException:
            spool.close()
            raise
    except (OSError, http.client.HTTPException) as exc:
        raise _failed(path, exc) from exc
    finally:
        engine.close()
    return spooled_archive(f"docker-daemon:{name}", spool)


def socket_path(env: Mapping[str, str]) -> str:
    """Return the path of docker's socket.

    Raises:
        InvalidInputError: `DOCKER_HOST` is not a unix socket.
    """
    host = env.get("DOCKER_HOST") or DEFAULT_HOST
    scheme, separator, path = host.partition("://")
    if not separator or scheme != "unix" or not path:
        raise InvalidInputError(
            f"DOCKER_HOST is {clean(host, 200)!r}; only unix sockets are supported",
            hint="Save the image with `docker save` and push the file.",
        )
    return path


class _Engine(http.client.HTTPConnection):
    """HTTP to the Engine API.

    Args:
        path: Of the socket.
    """

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_SECONDS)
        self.sock.connect(self._path)
        self.sock.settimeout(ANSWER_SECONDS)

    def get(self, path: str, image: str) -> http.client.HTTPResponse:
        """Ask for *path* and demand 200.

        Raises:
            NotFoundError: Docker does not know *image*.
            UnavailableError: Docker cannot do it.
        """
        self.request("GET", path)
        answer = self.getresponse()
        if answer.status == _OK:
            return answer
        said = _message(answer.read(MAX_ERROR))
        if answer.status == _NOT_FOUND:
            raise NotFoundError(
                f"docker has no image {image!r}" + (f" ({said})" if said else ""),
                hint="`docker images` lists what there is.",
            )
        raise UnavailableError(
            f"docker answered {answer.status} when it was asked for {image!r}"
            + (f": {said}" if said else "")
        )


def _message(body: bytes) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    said = document.get("message") if isinstance(document, dict) else None
    return clean(said, 300) if isinstance(said, str) else ""


def _failed(path: str, exc: OSError | http.client.HTTPException) -> SealosHubError:
    if isinstance(exc, FileNotFoundError | ConnectionRefusedError):
        return NotFoundError(f"no docker is running at {path}", hint=_HINT)
    if isinstance(exc, PermissionError):
        return DeniedError(
            f"you may not talk to docker at {path}",
            hint="Members of the group docker may; or save the image with `sudo docker save`.",
        )
    return UnavailableError(
        f"docker at {path} broke off ({clean(str(exc) or type(exc).__name__, 200)})"
    )
