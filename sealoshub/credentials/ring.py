"""The system's keyring: Secret Service, KWallet, macOS Keychain, Windows Credential Locker.

The only door to the `keyring` library, which is imported when a secret lies there: it takes longer
than everything else that a credential helper does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealoshub.errors import SealosHubError
from sealoshub.secret import MASK, Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Never, TypeVar

    from keyring.backend import KeyringBackend

    Answer = TypeVar("Answer")

# What the library itself recommends. Below it are its backends that keep nothing, that only fail,
# and those of keyrings.alt that write plain files: a login that asked for a keyring gets none.
MIN_PRIORITY: Final = 1


class KeyringError(SealosHubError):
    """There is no usable keyring, it is locked, or it failed."""

    code = "KEYRING"


def name() -> str:
    """Return the name of the keyring, for messages.

    Raises:
        KeyringError: There is no usable one.
    """
    return _backend().name


def get(server: str, account: str) -> Secret | None:
    """Return what the keyring keeps for *account* of *server*; None if nothing.

    Raises:
        KeyringError: It cannot be asked.
    """
    backend = _backend()
    found = _call("be read", lambda: backend.get_password(_service(server), account))
    return Secret(found) if found else None


def put(server: str, account: str, secret: Secret) -> None:
    """Keep *secret* for *account* of *server*.

    Raises:
        KeyringError: It was not kept.
    """
    backend, text = _backend(), secret.reveal()
    _call("be written", lambda: backend.set_password(_service(server), account, text), text)
    # Some backends accept everything; what cannot be read again was not kept.
    if get(server, account) != secret:
        raise KeyringError(f"the system keyring ({backend.name}) did not keep the secret")


def remove(server: str, account: str) -> None:
    """Forget what is kept for *account* of *server*, if anything is.

    Raises:
        KeyringError: It cannot be removed.
    """
    backend = _backend()
    if get(server, account) is not None:
        _call("be changed", lambda: backend.delete_password(_service(server), account))


def _service(server: str) -> str:
    """Return the name that a person sees in the keyring's own program."""
    return f"sealoshub {server}"


def _backend() -> KeyringBackend:
    import keyring  # noqa: PLC0415  # 100 ms; see above

    try:
        found = keyring.get_keyring()
        usable = found.priority >= MIN_PRIORITY
    except Exception as exc:  # noqa: BLE001  # a backend is somebody else's and raises what it likes
        _refuse(f"the system keyring cannot be opened: {type(exc).__name__}", exc)
    if not usable:
        _refuse("there is no usable system keyring here", None)
    return found


def _refuse(message: str, cause: Exception | None) -> Never:
    raise KeyringError(
        message,
        hint="Unlock or install one (`python -m keyring --list-backends` shows what is there),"
        " or log in with --store file.",
    ) from cause


def _call(what: str, action: Callable[[], Answer], secret: str = "") -> Answer:
    from keyring.errors import KeyringError as TheirError  # noqa: PLC0415  # see above

    try:
        return action()
    except Exception as exc:  # noqa: BLE001  # as in _backend
        reason = str(exc) if isinstance(exc, TheirError) else ""
        reason = reason.replace(secret, MASK) if secret else reason
        error = KeyringError(
            f"the system keyring cannot {what}: {reason or type(exc).__name__}",
            hint="Unlock it and try again.",
        )
    # Outside of the handler: the backend's exception may hold the secret.
    raise error
