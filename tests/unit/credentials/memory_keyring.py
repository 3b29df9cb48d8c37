"""A keyring in memory, with knobs for what real ones do."""

from __future__ import annotations

from typing import Any, ClassVar

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class MemoryKeyring(KeyringBackend):
    """Keeps everything until the test ends.

    Args:
        locked: Nobody unlocks it.
        deaf: It accepts secrets and forgets them.
        fault: Raised by every call.
    """

    priority: ClassVar[float] = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False
        self.deaf = False
        self.fault: Exception | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return "memory"

    def _knobs(self, text: str = "") -> None:
        if self.locked:
            raise KeyringLocked(f"Failed to unlock the collection! {text}")
        if self.fault is not None:
            raise self.fault

    def get_password(self, service: str, username: str) -> str | None:
        """Return what is kept."""
        self._knobs()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep it."""
        self._knobs(password)
        if not self.deaf:
            self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Forget it."""
        self._knobs()
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError("not found")


class PlainKeyring(MemoryKeyring):
    """Stands for the backends of keyrings.alt, which write plain files."""

    priority: ClassVar[Any] = 0.5
