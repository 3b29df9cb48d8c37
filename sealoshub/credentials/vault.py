"""The store behind our own credential helper: a private file, or the system's keyring.

The file also says for each server which of the two keeps its secret, so that a login by any client
goes where the person once chose. A keyring cannot list what it keeps; the file can.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sealoshub.credentials import authfile, entry, ring
from sealoshub.credentials.program import Kept
from sealoshub.errors import InvalidInputError
from sealoshub.pattern import pattern
from sealoshub.reference import parse_host
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "sealoshub"  # of our helper, as in credHelpers: {"host": "sealoshub"}
PROGRAM: Final = f"docker-credential-{NAME}"

_SCHEME: Final = pattern(r"^(?:https?:)?//")


class Where(StrEnum):
    """What keeps the secret of one server."""

    FILE = "file"
    KEYRING = "keyring"


def server_key(server: str) -> str:
    """Return the key of *server*: its host and port, of `host`, `host:port` or a URL.

    docker keeps two secrets more beside the login of Docker Hub, under
    `https://index.docker.io/v1/access-token` and `…/refresh-token`; those stay apart.

    Raises:
        InvalidInputError: It names no host.
    """
    host, _, rest = _SCHEME.sub("", server.strip()).partition("/")
    key = entry.family(parse_host(host).lower())
    rest = rest.strip("/")
    if key == entry.HUB_HOST and rest not in {"", "v1", "v2"}:
        return f"{key}/{rest}"
    return key


def get(file: Path, server: str) -> Kept | None:
    """Return what is kept for *server*; None if nothing.

    Raises:
        InvalidInputError: The file is corrupt, or *server* names no host.
        KeyringError: The secret lies in the keyring, which cannot be asked.
    """
    key = server_key(server)
    body = _entry(authfile.load(file), key)
    account = body.get("account")
    if not account:
        return None
    if _where(body) is Where.KEYRING:
        found = ring.get(key, account)
        return Kept(account, found) if found else None
    return Kept(account, Secret(body["secret"])) if body.get("secret") else None


def store(file: Path, server: str, kept: Kept, where: Where | None = None) -> Where:
    """Keep *kept* for *server*, and what was kept for it no longer.

    Args:
        file: See :attr:`sealoshub.credentials.places.Places.vault`.
        server: Host or URL.
        kept: Account and secret.
        where: None: where it was kept before, or else the file.

    Returns:
        Where it is kept.

    Raises:
        InvalidInputError: The file is corrupt or cannot be written, or *server* names no host.
        KeyringError: The keyring did not take it; nothing was stored elsewhere.
    """
    key = server_key(server)
    chosen = where or where_of(file, server)
    if chosen is Where.KEYRING:
        ring.put(key, kept.account, kept.secret)
    replaced: dict[str, str] = {}

    def change(body: dict[str, object]) -> bool:
        replaced.update(_entry(body, key))
        body[key] = {"server": server, "account": kept.account, "store": str(chosen)}
        if chosen is Where.FILE:
            body[key] |= {"secret": kept.secret.reveal()}  # type: ignore[operator]  # set above
        return True

    authfile.edit(file, change)
    if _where(replaced) is Where.KEYRING and replaced.get("account"):
        stays = chosen is Where.KEYRING and replaced["account"] == kept.account
        if not stays:
            ring.remove(key, replaced["account"])
    return chosen


def erase(file: Path, server: str, *, forget: bool = False) -> bool:
    """Remove the secret of *server*; return whether there was one.

    Args:
        file: See :attr:`sealoshub.credentials.places.Places.vault`.
        server: Host or URL.
        forget: Forget too that its secrets go to the keyring. A client's logout does not: the
            next login by that client must not end in a file.

    Raises:
        InvalidInputError: The file is corrupt or cannot be written, or *server* names no host.
        KeyringError: The keyring cannot be asked; nothing was erased.
    """
    key = server_key(server)
    old = _entry(authfile.load(file), key)
    if not old:
        return False
    held = bool(old.get("account"))
    if held and _where(old) is Where.KEYRING:
        ring.remove(key, old["account"])

    def change(body: dict[str, object]) -> bool:
        if _where(old) is Where.KEYRING and not forget:
            body[key] = {"store": str(Where.KEYRING)}
        else:
            body.pop(key, None)
        return True

    authfile.edit(file, change)
    return held


def accounts(file: Path) -> dict[str, str]:
    """Return the account of each server, under the server's address as it was stored.

    Raises:
        InvalidInputError: The file is corrupt.
    """
    content = authfile.load(file)
    entries = {key: _entry(content, key) for key in content}
    return {
        body.get("server") or key: body["account"]
        for key, body in entries.items()
        if body.get("account")
    }


def where_of(file: Path, server: str) -> Where:
    """Tell where the secret of *server* is kept, or would be.

    Raises:
        InvalidInputError: The file is corrupt, or *server* names no host.
    """
    return _where(_entry(authfile.load(file), server_key(server)))


def shown(file: Path, server: str) -> str:
    """Say where the secret of *server* is kept, for messages.

    Raises:
        InvalidInputError: The file is corrupt, or *server* names no host.
    """
    where = file if where_of(file, server) is Where.FILE else "system keyring"
    return f"{PROGRAM} ({where})"


def _entry(content: dict[str, object], key: str) -> dict[str, str]:
    body = content.get(key, {})
    if isinstance(body, dict) and all(isinstance(value, str) for value in body.values()):
        return body
    raise InvalidInputError(f"the entry of {key} in sealoshub's own credential store is damaged")


def _where(body: dict[str, str]) -> Where:
    try:
        return Where(body.get("store", Where.FILE))
    except ValueError:
        raise InvalidInputError("sealoshub's own credential store names an unknown place") from None
