"""One blob on its way into a file: what is there already, what is missing, and what was wrong.

The bytes go into a hidden file beside the target, which gets its name only when the digest is
right. The hidden file outlives the process: the next pull hashes what is there, asks for the rest,
and compares the digest of the whole. Whoever cannot be resumed is fetched from the beginning.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.registry import remote
from sealoshub.registry.failure import TransientError
from sealoshub.registry.feed import StoppedError
from sealoshub.registry.image import BLOCK
from sealoshub.registry.push_events import BlobState

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from hashlib import _Hash
    from pathlib import Path

    from sealoshub.reference import Digest
    from sealoshub.registry.image import Descriptor
    from sealoshub.registry.remote import Remote
    from sealoshub.registry.throttle import Throttle

MAX_RESTARTS: Final = 3  # of a content that came in pieces and was wrong each time
LOCKED_WAIT: Final = 0.1  # seconds between two looks whether another process is done with a blob
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DiskError(SealosHubError):
    """A file cannot be written: no room, no right, a broken disk."""

    code = "DISK"


def disk_error(path: Path, exc: OSError) -> DiskError:
    """Say what the operating system did not want to do with *path*."""
    if exc.errno in _FULL:
        return DiskError(
            f"{path}: there is no room for it ({exc.strerror})",
            code="DISK_FULL",
            hint="Make room and repeat the command: what has arrived is kept.",
        )
    return DiskError(f"{path} cannot be written: {exc.strerror or exc}")


def partial(target: Path) -> Path:
    """Return the hidden file in which *target* grows."""
    return target.with_name(f".{target.name}.partial")


def is_intact(target: Path, digest: Digest, size: int) -> bool:
    """Tell whether *target* is there and holds what it should."""
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if os.fstat(descriptor).st_size != size:
            return False
        hasher = digest.hasher()
        while block := os.read(descriptor, BLOCK):
            hasher.update(block)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return hasher.hexdigest() == digest.hex


class Download:
    """Brings one blob into one file.

    It is a class because a second try must know what the first one has got.

    Args:
        source: Where from.
        descriptor: What.
        target: Where to; a blob that lies there already is verified, and replaced if it is wrong.
        stop: Set when nobody wants it any more.
        report: Told the state and how many bytes are there.
        throttle: Bounds the rate; None does not.
    """

    _hasher: _Hash

    def __init__(  # noqa: PLR0913, PLR0917  # what, from where to where, and who wants to know
        self,
        source: Remote,
        descriptor: Descriptor,
        target: Path,
        stop: threading.Event,
        report: Callable[[BlobState, int], None],
        throttle: Throttle | None = None,
    ) -> None:
        self.source = source
        self.descriptor = descriptor
        self.target = target
        self.stop = stop
        self.report = report
        self.throttle = throttle
        self.received = 0  # bytes that came through the network
        self._file = -1
        self._have = 0  # bytes in the file, all of them hashed
        self._most = 0  # the most there ever were
        self._pieces = 0  # times that the content was put together
        self._ranges = True  # the server knows ranges

    def run(self) -> BlobState:
        """Do it.

        Returns:
            EXISTS or DONE.

        Raises:
            StoppedError: *stop* was set.
            InvalidInputError: The registry has something else under this digest.
            DiskError: The file cannot be written.
            SealosHubError: The registry does not give it.
        """
        size = self.descriptor.size
        if is_intact(self.target, self.descriptor.digest, size):
            self.report(BlobState.EXISTS, size)
            return BlobState.EXISTS
        try:
            state = self._into_place()
        except OSError as exc:
            raise disk_error(self.target, exc) from exc
        finally:
            if self._file >= 0:
                os.close(self._file)  # and with it the lock
        self.report(state, size)
        return state

    def _into_place(self) -> BlobState:
        self._lock()
        if is_intact(self.target, self.descriptor.digest, self.descriptor.size):
            # Another process has finished it since we looked, perhaps while we waited.
            partial(self.target).unlink()
            return BlobState.EXISTS
        self._recall()
        for _ in range(MAX_RESTARTS):
            self.source.client.retry.run(self._attempt, self.stop, lambda: self._most)
            if self._hasher.hexdigest() == self.descriptor.digest.hex:
                os.fsync(self._file)
                partial(self.target).replace(self.target)
                return BlobState.DONE
            # Of several pieces one may be damaged, by a crash of this machine or a change there;
            # what came in one go is what the registry has.
            whole = self._pieces == 1
            self._restart()
            if whole:
                break
        partial(self.target).unlink()
        raise InvalidInputError(
            f"what {self.source.shown} gives as {self.descriptor.digest} has another digest",
            code="DIGEST_MISMATCH",
            hint="Something between here and the registry changes it, or the registry is broken.",
        )

    def _lock(self) -> None:
        """Open the hidden file for us alone; wait for another process that fetches this blob."""
        path = partial(self.target)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        while True:
            self._check_stop()
            self._file = os.open(path, flags, 0o666)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(self._file), path.stat()):
                    return
            except BlockingIOError:
                self.stop.wait(LOCKED_WAIT)
            except FileNotFoundError:
                pass  # it has got its name between our opening and our locking it
            os.close(self._file)
            self._file = -1

    def _recall(self) -> None:
        """Hash what an earlier process has left."""
        self._hasher = self.descriptor.digest.hasher()
        if os.fstat(self._file).st_size > self.descriptor.size:
            os.ftruncate(self._file, 0)
        while block := os.pread(self._file, BLOCK, self._have):
            self._check_stop()
            self._hasher.update(block)
            self._have += len(block)
        self._most = self._have
        self._pieces = 1 if self._have else 0

    def _restart(self) -> None:
        os.ftruncate(self._file, 0)
        self._hasher = self.descriptor.digest.hasher()
        self._have = self._pieces = 0

    def _attempt(self) -> None:
        self._check_stop()
        left = self.descriptor.size - self._have
        if not left:
            return
        if self._have and not self._ranges:
            self._restart()
        try:
            with remote.blob(self.source, self.descriptor, self._have) as stream:
                if stream.start < self._have:
                    self._ranges = False
                    self._restart()
                self._receive(stream)
        except remote.RangeRefusedError as exc:
            self._ranges = False
            raise TransientError(exc.message, code=exc.code, retry_after=0.0) from exc

    def _receive(self, stream: remote.Stream) -> None:
        self._pieces += 1
        self.report(BlobState.RESUMED if self._have else BlobState.DOWNLOADING, self._have)
        most = BLOCK if self.throttle is None else self.throttle.piece
        while left := self.descriptor.size - self._have:
            self._check_stop()
            if self.throttle is not None:
                self.throttle.take(min(most, left), self.stop)
            block = stream.read(min(most, left))
            if not block:
                raise remote.short(self.source, self.descriptor, left)
            self._write(block)
            self.report(BlobState.DOWNLOADING, self._have)

    def _write(self, block: bytes) -> None:
        self._hasher.update(block)
        view = memoryview(block)
        while view:
            count = os.pwrite(self._file, view, self._have)
            self._have += count
            self.received += count
            view = view[count:]
        self._most = max(self._most, self._have)

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise StoppedError("stopped")
