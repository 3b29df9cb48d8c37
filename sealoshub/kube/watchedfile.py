"""A file that somebody else replaces: a mounted token, a CA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealoshub.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

LOOK_SECONDS: Final = 1.0  # between two looks at the file


class WatchedFile:
    """Hold the content of *path* and read it again when it changes; at most one look a second.

    Kubernetes replaces mounted files by turning a symbolic link, so size and time alone would not
    do: the inode counts as well.

    Args:
        path: The file. It need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._signature: tuple[int, int, int] | None = None
        self._content = b""
        self._generation = 0
        self._next = 0.0

    def read(self, now: float) -> tuple[bytes, int]:
        """Return the content, and a number that grows with every change.

        Args:
            now: Monotonic time in seconds.

        Raises:
            UnavailableError: It cannot be read and never could.
        """
        if now < self._next:
            return self._content, self._generation
        try:
            found = self._path.stat()
            signature = (found.st_mtime_ns, found.st_size, found.st_ino)
            content = self._path.read_bytes() if signature != self._signature else self._content
        except OSError as exc:
            if self._signature is not None:  # being replaced; the old one serves on
                return self._content, self._generation
            raise UnavailableError(f"cannot read {self._path}: {exc.strerror}") from exc
        self._generation += content != self._content
        self._signature, self._content, self._next = signature, content, now + LOOK_SECONDS
        return self._content, self._generation
