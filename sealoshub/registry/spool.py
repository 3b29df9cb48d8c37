"""Files without a name: what must lie on disk for the time of a push, and is gone however it ends.

A temporary file is unlinked as soon as it is made, so not even `kill -9` leaves one behind.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealoshub.errors import SealosHubError
from sealoshub.registry.image import FileRegion

if TYPE_CHECKING:
    from collections.abc import Mapping

# Beside /tmp, which may be memory: image layers are large (so do podman and skopeo).
_LARGE: Final = Path("/var/tmp")  # noqa: S108  # nothing of a known name is made in it
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class NoRoomError(SealosHubError):
    """The disk is full."""

    code = "NO_ROOM"


def spool_folder(env: Mapping[str, str]) -> Path:
    """Return where large temporary files go: `$TMPDIR`, else `/var/tmp`, else what Python says."""
    if env.get("TMPDIR"):
        return Path(env["TMPDIR"])
    if os.access(_LARGE, os.W_OK):
        return _LARGE
    import tempfile  # noqa: PLC0415  # with shutil and all compressions: 5 ms

    return Path(tempfile.gettempdir())


class Spool:
    """A growing file without a name.

    Args:
        folder: On which disk.
        what: What goes into it, for messages.

    Attributes:
        file: The open file, for readers of its own position.
        size: Bytes written.

    Raises:
        NoRoomError: The disk is full.
        SealosHubError: There can be no file.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self._folder = folder
        self._what = what
        self.size = 0
        import tempfile  # noqa: PLC0415  # as above

        try:
            self.file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # lives as long as this object
        except OSError as exc:
            raise self._failed(exc) from exc

    def write(self, block: bytes) -> None:
        """Append *block*.

        Raises:
            NoRoomError: The disk is full.
        """
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[self.file.write(rest) :]
        except OSError as exc:
            raise self._failed(exc) from exc
        self.size += len(block)

    def region(self) -> FileRegion:
        """Return what has been written, from its beginning."""
        return FileRegion(self.file.fileno(), 0, self.size)

    def close(self) -> None:
        """Give the room back."""
        self.file.close()

    def _failed(self, exc: OSError) -> SealosHubError:
        if exc.errno in _FULL:
            return NoRoomError(
                f"{self._folder}: there is no room for {self._what}",
                hint="Set TMPDIR to a folder on a larger disk.",
            )
        return SealosHubError(
            f"{self._folder}: cannot hold {self._what} ({exc.strerror or exc})",
            hint="Set TMPDIR to a folder that can be written.",
        )
