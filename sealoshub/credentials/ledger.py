"""A list of the logins that this program made, without their secrets.

A refresh token does not say when it ends, and a credential file does not say who wrote an entry.
`whoami --offline`, `logout --all` and a `logout` without a host read both here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sealoshub.credentials import authfile
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class Login(Value):
    """One login.

    Args:
        host: The registry.
        account: Who logged in, in full.
        expires: When the login ends, if the hub said so.
        locations: Where the credential was stored.
    """

    host: str
    account: str
    expires: datetime | None
    locations: tuple[str, ...]


def path(env: Mapping[str, str], home: Path) -> Path:
    """Return `$XDG_STATE_HOME/sealoshub/logins.json`."""
    state = Path(env.get("XDG_STATE_HOME") or home / ".local" / "state")
    return state / "sealoshub" / "logins.json"


def read(file: Path) -> list[Login]:
    """List the logins, oldest first; entries that are not understood are left out.

    Raises:
        InvalidInputError: The file is corrupt.
    """
    found = []
    for host, body in authfile.load(file).items():
        if not isinstance(body, dict):
            continue
        locations = body.get("locations")
        found.append(
            Login(
                host,
                str(body.get("account", "")),
                _moment(body.get("expires")),
                tuple(map(str, locations)) if isinstance(locations, list) else (),
            )
        )
    return found


def remember(file: Path, login: Login) -> None:
    """Add *login*, or replace the one for the same host.

    Raises:
        InvalidInputError: The file is corrupt or cannot be written.
    """

    def change(body: dict[str, object]) -> bool:
        body.pop(login.host, None)  # the newest comes last
        body[login.host] = {
            "account": login.account,
            "expires": login.expires.isoformat() if login.expires else None,
            "locations": list(login.locations),
        }
        return True

    authfile.edit(file, change)


def forget(file: Path, host: str) -> bool:
    """Remove the login for *host*; return whether there was one.

    Raises:
        InvalidInputError: The file is corrupt or cannot be written.
    """
    if host not in authfile.load(file):
        return False
    return authfile.edit(file, lambda body: body.pop(host, None) is not None)


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    from datetime import datetime  # noqa: PLC0415  # 2 ms, for those who are logged in

    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
