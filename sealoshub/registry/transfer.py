"""One blob on its way into a registry: what to try, in which order, and what to do when it breaks.

HEAD, mount, open, one PUT. After a break: HEAD again (the answer may have been lost behind a blob
that was stored), then go on from an offset that the registry proves, otherwise from the beginning.
The whole is one step of the retry policy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sealoshub.errors import ContentRefusedError, SealosHubError, UnavailableError
from sealoshub.registry import upload
from sealoshub.registry.failure import TransientError
from sealoshub.registry.upload import SessionLostError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from sealoshub.registry.image import Blob
    from sealoshub.registry.upload import Repository, Session

# distribution 2.8 forgets a session at every break, so this is no sign of a broken registry; but a
# registry that forgets each of them will never have the blob.
MAX_LOST: Final = 5


class BlobState(StrEnum):
    """Where a blob is on its way, into a registry or out of it."""

    EXISTS = "exists"
    MOUNTED = "mounted"
    UPLOADING = "uploading"
    DOWNLOADING = "downloading"
    RESUMED = "resumed"
    DONE = "done"


class StoppedError(SealosHubError):
    """Another blob failed or the user pressed Ctrl-C: this one need not arrive."""


@dataclass(slots=True)
class BlobTransfer:
    """Brings one blob into one repository.

    It is a class because a second try must know what the first one did.

    Args:
        repository: Where to.
        blob: What.
        stop: Set when nobody wants it any more.
        report: Told the state and how many bytes have been sent.
        mount_from: Repositories of the same registry that may have it.
    """

    repository: Repository
    blob: Blob
    stop: threading.Event
    report: Callable[[BlobState, int], None]
    mount_from: tuple[str, ...] = ()
    _session: Session | None = field(default=None, init=False)
    _sent: int = field(default=0, init=False)  # bytes handed to the network in this session
    _proven: int = field(default=0, init=False)  # bytes that the registry said it has
    _lost: int = field(default=0, init=False)
    _may_resume: bool = field(default=True, init=False)

    def run(self) -> BlobState:
        """Do it.

        Returns:
            EXISTS, MOUNTED or DONE.

        Raises:
            StoppedError: *stop* was set.
            InvalidInputError: The content is not what its descriptor says.
            SealosHubError: The registry does not take it.
        """
        try:
            state = self.repository.client.retry.run(self._attempt, self.stop, lambda: self._proven)
        except BaseException:
            if self._session is not None:
                upload.cancel(self.repository, self._session)
            raise
        self.report(state, self.blob.size)
        return state

    def _attempt(self) -> BlobState:
        self._check_stop()
        if upload.blob_exists(self.repository, self.blob.digest):
            # A session left behind by a lost answer is closed; one that broke would stay open.
            return BlobState.DONE if self._sent else BlobState.EXISTS
        try:
            return self._send()
        except SessionLostError as exc:
            self._forget()
            self._lost += 1
            if self._lost >= MAX_LOST:
                raise UnavailableError(exc.message, code=exc.code) from exc
            raise TransientError(exc.message, code=exc.code, retry_after=0.0) from exc

    def _send(self) -> BlobState:
        if self._session is not None and self._sent and self._may_resume:
            proven = upload.proven_offset(self.repository, self._session, self._sent)
            if proven is not None:
                return self._resume(*proven)
        if self._session is not None and self._sent:
            # Nobody knows what is in it: the registry need not keep it.
            upload.cancel(self.repository, self._session)
            self._forget()
        if self._session is None:
            if self.mount_from and self._mount():
                return BlobState.MOUNTED
            if self._session is None:
                self._session = upload.start_upload(self.repository)
        self.report(BlobState.UPLOADING, 0)
        upload.put_blob(self.repository, self._session, self.blob, self._body)
        return BlobState.DONE

    def _resume(self, offset: int, session: Session) -> BlobState:
        self._session = session
        self._proven = max(self._proven, offset)
        self.report(BlobState.RESUMED, offset)
        if offset < self.blob.size:
            self._session = upload.patch_blob(
                self.repository, session, self.blob, offset, lambda: self._blocks(offset)
            )
        try:
            upload.finish_upload(self.repository, self._session, self.blob.digest)
        except ContentRefusedError as exc:
            # The offset was a lie (Quay's is one too high): once more, from the beginning.
            self._may_resume = False
            raise SessionLostError(exc.message, code=exc.code) from exc
        return BlobState.DONE

    def _mount(self) -> bool:
        while self.mount_from and self._session is None:
            source, *rest = self.mount_from
            self.mount_from = tuple(rest)  # asked once: a retry goes straight to the upload
            try:
                self._session = upload.mount(self.repository, self.blob.digest, source)
            except TransientError:
                raise
            except SealosHubError:
                continue  # not allowed there, or not known: the upload will tell
            if self._session is None:
                return True
        return False

    def _body(self) -> Iterator[bytes]:
        return self._blocks(0)

    def _blocks(self, start: int) -> Iterator[bytes]:
        sent = start
        for block in self.blob.blocks(start):
            self._check_stop()
            sent += len(block)
            # Counted before it is sent: the proof of an offset needs an upper bound.
            self._sent = max(self._sent, sent)
            yield block
            self.report(BlobState.UPLOADING, sent)

    def _forget(self) -> None:
        self._session = None
        self._sent = 0

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise StoppedError("stopped")
