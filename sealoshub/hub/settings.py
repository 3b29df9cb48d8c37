"""The settings of a hub: chosen at the first `hub up`, kept for the next ones."""

from __future__ import annotations

import dataclasses
import json
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.hub.paths import write_private

if TYPE_CHECKING:
    from sealoshub.hub.paths import HubPaths

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
REGISTRY_PORT: Final = 5000
AUTH_PORT: Final = 5001
API_PORT: Final = 5002
SERVICE: Final = "hub"
ISSUER: Final = "sealoshub"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that must stay the same so that yesterday's logins and kubeconfigs work today.

    Args:
        listen: Address that registry and token server bind.
        hostname: Name that clients use. On loopback always `localhost`: clients compare the names
            of registry and token server, and some refuse 127.0.0.1 beside localhost.
        registry_port: TCP port of the registry.
        auth_port: TCP port of the token server.
        api_port: TCP port of the embedded API; bound on loopback only.
        registry_binary: Path of the `registry` program.
        kubeconfig: Path of the kubeconfig of an existing cluster; None for the embedded API.
        context: Context in that kubeconfig; None for its current one.
        certificate: Path of a PEM server certificate, None for one of the hub's own CA.
        certificate_key: Path of its key.
        private_names: Whether only administrators list what there is; None: as it is.
        http_secret: Secret that the registry signs its upload state with.
    """

    registry_binary: str
    listen: str = "localhost"
    hostname: str = "localhost"
    registry_port: int = REGISTRY_PORT
    auth_port: int = AUTH_PORT
    api_port: int = API_PORT
    kubeconfig: str | None = None
    context: str | None = None
    certificate: str | None = None
    certificate_key: str | None = None
    private_names: bool | None = None
    http_secret: str = dataclasses.field(default_factory=lambda: secrets.token_hex(32), repr=False)

    @property
    def tls(self) -> bool:
        """Whether registry and token server speak TLS: everywhere but on loopback."""
        return self.listen not in LOOPBACK or self.certificate is not None

    @property
    def scheme(self) -> str:
        """`https` or `http`."""
        return "https" if self.tls else "http"

    @property
    def host(self) -> str:
        """What a user writes before the first slash of a reference."""
        return f"{self.hostname}:{self.registry_port}"

    @property
    def realm(self) -> str:
        """URL of the token endpoint."""
        return f"{self.scheme}://{self.hostname}:{self.auth_port}/token"

    @property
    def embedded(self) -> bool:
        """Whether the API is our own."""
        return self.kubeconfig is None

    @property
    def api_url(self) -> str:
        """URL of the embedded API."""
        return f"https://localhost:{self.api_port}"


def save(paths: HubPaths, settings: Settings) -> None:
    """Write *settings* to the hub's folder."""
    write_private(paths.settings, json.dumps(dataclasses.asdict(settings), indent=2) + "\n")


def load(paths: HubPaths) -> Settings | None:
    """Return the settings of the hub in *paths*, None if there was none yet.

    Raises:
        InvalidInputError: The file is there and is not what we wrote.
    """
    try:
        raw: Any = json.loads(paths.settings.read_text())
        return Settings(**raw)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as exc:
        raise InvalidInputError(
            f"cannot read the hub's settings in {paths.settings}: {exc}",
            hint="Correct the file, or remove it to choose anew; images and resources stay.",
        ) from exc


def free_port() -> int:
    """Return a TCP port that is free on loopback now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def claim_port(listen: str, port: int, part: str) -> int:
    """Return *port* if it can be bound, or a free one for 0.

    Raises:
        SealosHubError: Another program listens there, or the address is not this machine's.
    """
    if port == 0:
        return free_port()
    try:
        found = socket.getaddrinfo(listen, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise SealosHubError(
            f"{listen!r} is not an address of this machine: {exc.strerror}"
        ) from exc
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(address)
        except OSError as exc:
            if family == socket.AF_INET6 and listen == "localhost":
                continue  # a machine without IPv6 still resolves ::1
            raise SealosHubError(
                f"port {port} for the {part} cannot be used on {listen}: {exc.strerror}",
                hint=f"Stop what listens there, or choose another one with --{part}-port"
                " (0 takes any free one).",
            ) from exc
    return port
