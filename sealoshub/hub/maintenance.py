"""A lock that says: the registry must change nothing now, because its storage is worked on.

Whoever works on the storage holds it; the supervisor sees that and lets the registry run read-only
for as long. It is the kernel's lock on a file: it ends with the last process that has the file
open, so a collection that is killed leaves no hub behind that refuses pushes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING, Final

from sealoshub.errors import SealosHubError, UnavailableError
from sealoshub.hub.paths import PRIVATE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealoshub.hub.paths import HubPaths

PATIENCE: Final = 2.0  # seconds; the supervisor holds it for an instant to see whether it is free
_POLL: Final = 0.02  # seconds


@contextlib.contextmanager
def hold(paths: HubPaths) -> Iterator[int]:
    """Hold the lock inside the block.

    Yields:
        The descriptor of the lock; a process that inherits it holds the lock too.

    Raises:
        UnavailableError: Somebody else works on the storage.
        SealosHubError: The file system says no.
    """
    try:
        descriptor = os.open(paths.maintenance, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    except OSError as exc:
        raise SealosHubError(f"cannot write {paths.maintenance}: {exc.strerror}") from exc
    try:
        deadline = time.monotonic() + PATIENCE
        while not _locked(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise UnavailableError(
                    "another process collects garbage in this hub", hint="Wait until it is done."
                )
            time.sleep(_POLL)
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(paths: HubPaths) -> bool:
    """Tell whether somebody holds the lock."""
    try:
        descriptor = os.open(paths.maintenance, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _locked(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
