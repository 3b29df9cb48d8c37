"""One blob on its way into a registry: what to try, in which order, and what to do when it breaks.

HEAD, mount, open, one PUT. After a break: HEAD again (the answer may have been lost behind a blob
that was stored), then go on from an offset that the registry proves, otherwise from the beginning.
Where a proxy lets no large request through, PATCH chunk by chunk. The whole is one step of the
retry policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealoshub.errors import ContentRefusedError, SealosHubError, UnavailableError
from sealoshub.registry import realm, upload
from sealoshub.registry.chunks import ChunkLimit
from sealoshub.registry.failure import TransientError
from sealoshub.registry.feed import Feed, StoppedError
from sealoshub.registry.pool import Stop
from sealoshub.registry.presence import Presence
from sealoshub.registry.push_events import BlobState
from sealoshub.registry.upload import OffsetError, Session, SessionLostError, TooLargeError
from sealoshub.value import Value, field

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from sealoshub.registry.image import Blob
    from sealoshub.registry.journal import Entry, Journal
    from sealoshub.registry.throttle import Throttle
    from sealoshub.registry.transport import BodySource
    from sealoshub.registry.upload import Repository

__all__ = ["BlobTransfer", "Manner", "StoppedError"]

# distribution 2.8 forgets a session at every break, so this is no sign of a broken registry; but a
# registry that forgets each of them will never have the blob.
MAX_LOST: Final = 5


class Manner(Value):
    """How the blobs of one push are sent; shared by all of them.

    Args:
        mount_from: Repositories of the same registry that may have them.
        throttle: The speed of all together; None: as fast as it goes.
        limit: How much fits into one request.
        journal: Where uploads are written down for the next process; None: nowhere.
        presence: What is known about which blobs are there.
    """

    mount_from: tuple[str, ...] = ()
    throttle: Throttle | None = None
    limit: ChunkLimit = field(default_factory=ChunkLimit)
    journal: Journal | None = None
    presence: Presence = field(default_factory=Presence)


class BlobTransfer:
    """Brings one blob into one repository.

    It is a class because a second try must know what the first one did.

    Args:
        repository: Where to.
        blob: What.
        stop: Set when nobody wants it any more.
        report: Told the state and how many bytes have been sent.
        manner: How.

    Attributes:
        inherited: Bytes that an earlier process had brought there.
    """

    def __init__(
        self,
        repository: Repository,
        blob: Blob,
        stop: threading.Event,
        report: Callable[[BlobState, int], None],
        manner: Manner,
    ) -> None:
        self.repository = repository
        self.blob = blob
        self.report = report
        self.manner = manner
        self.inherited = 0
        self._stop = stop
        self._feed = Feed(blob, stop, manner.throttle)
        self._entry: Entry | None = None
        self._sources = list(manner.mount_from)
        self._session: Session | None = None
        self._sent = 0  # bytes that may be in this session at most
        self._began = False  # this process has sent something
        self._proven = 0  # bytes that the registry said it has
        self._lost = 0
        self._may_resume = True

    def skip(self) -> None:
        """The blob is known to be there: end the upload of a process that died, and report."""
        self._claim()
        try:
            self._inherit()
            if self._session is not None:
                upload.cancel(self.repository, self._session)
                self._set_session(None)
        finally:
            self._release()
        self.report(BlobState.EXISTS, self.blob.size)

    def run(self) -> BlobState:
        """Do it.

        Returns:
            EXISTS, MOUNTED or DONE.

        Raises:
            StoppedError: *stop* was set.
            InvalidInputError: The content is not what its descriptor says.
            SealosHubError: The registry does not take it.
        """
        client = self.repository.client
        self._claim()
        try:
            self._inherit()
            try:
                state = client.retry.run(self._attempt, self._stop, lambda: self._proven)
            except ContentRefusedError:
                self._check_source()
                raise
            self._set_session(None)
        except BaseException:
            # If it could not even be told, the next process may go on from here.
            if not self._is_left() and (
                self._session is None or upload.cancel(self.repository, self._session)
            ):
                self._set_session(None)
            raise
        finally:
            self._feed.close()
            self._release()
        self.report(state, self.blob.size)
        return state

    def _is_left(self) -> bool:
        """Tell whether the program ends by a signal, and its uploads are for the next one."""
        return isinstance(self._stop, Stop) and self._stop.leaves

    def _attempt(self) -> BlobState:
        self._feed.check_stop()
        if self._is_there():
            if self._session is not None:
                # The answer was lost and it is closed, or somebody else was faster and it is open.
                upload.cancel(self.repository, self._session)
            return BlobState.DONE if self._began else BlobState.EXISTS
        try:
            return self._send()
        except SessionLostError as exc:
            self._set_session(None)
            self.inherited = 0
            self._lost += 1
            if self._lost >= MAX_LOST:
                self._check_source()
                raise UnavailableError(exc.message, code=exc.code) from exc
            raise TransientError(exc.message, code=exc.code, retry_after=0.0) from exc

    def _is_there(self) -> bool:
        presence = self.manner.presence
        if self._session is None and not self._lost and not presence.expects(self.blob.size):
            return False
        found = upload.blob_exists(self.repository, self.blob.digest)
        if not self._began:
            presence.note(found=found)
        return found

    def _send(self) -> BlobState:
        if self._session is not None and self._sent:
            proven = self._ask(self._session) if self._may_resume else None
            if proven is not None:
                offset, session = proven
                self._set_session(session)
                if not self._began:
                    self.inherited = offset
                self.report(BlobState.RESUMED, offset)
                return self._upload(session, offset)
            # Nobody knows what is in it: the registry need not keep it.
            upload.cancel(self.repository, self._session)
            self._set_session(None)
        if self._session is None and self._mount():
            return BlobState.MOUNTED
        fresh = self._session or upload.start_upload(self.repository)
        self._set_session(fresh)
        self.report(BlobState.UPLOADING, 0)
        return self._upload(fresh, 0)

    def _upload(self, session: Session, offset: int) -> BlobState:
        """Send what is behind *offset*, in one request if that is possible, and close."""
        whole = self.blob.size
        while offset < whole or not offset:
            length = self.manner.limit.length(whole - offset, session.least)
            try:
                if length == whole:
                    upload.put_blob(self.repository, session, self.blob, self._body(0, whole))
                    return BlobState.DONE
                chunk = range(offset, offset + length)
                # Seconds for each GB before it, in which the registry should not wait for a body.
                self._feed.seek(offset)
                session = upload.patch_blob(
                    self.repository, session, chunk, self._body(chunk.start, chunk.stop)
                )
            except TooLargeError:
                # A proxy that refuses a request has not passed it on: the upload is as it was.
                if not self.manner.limit.refused(length, session.least):
                    raise
                continue
            except (OffsetError, SessionLostError) as exc:
                offset, session = self._set_right(exc, session, offset)
            else:
                offset = chunk.stop
                self._proven = max(self._proven, offset)
                if length < whole - chunk.start:
                    self.manner.limit.passed()
            self._set_session(session)
        try:
            upload.finish_upload(self.repository, session, self.blob.digest)
        except TooLargeError:
            raise
        except ContentRefusedError as exc:
            self._check_source()
            # An offset was a lie (Quay's is one too high): once more, from the beginning.
            self._may_resume = False
            raise SessionLostError(exc.message, code=exc.code) from exc
        return BlobState.DONE

    def _check_source(self) -> None:
        """Find out whether it is our content that the registry refuses, which is sent unread.

        Raises:
            InvalidInputError: It is.
        """
        for _ in self.blob.blocks():
            self._feed.check_stop()

    def _ask(self, session: Session) -> tuple[int, Session] | None:
        proven = upload.proven_offset(self.repository, session, self._sent)
        if proven is not None:
            self._proven = max(self._proven, proven[0])
        return proven

    def _set_right(
        self, exc: OffsetError | SessionLostError, session: Session, offset: int
    ) -> tuple[int, Session]:
        """Ask where the upload is, after the registry did not take what it was sent.

        Raises:
            SessionLostError: It does not say, or says what it has just denied.
        """
        if isinstance(exc, OffsetError):
            session = exc.session
        proven = self._ask(session) if self._sent and self._may_resume else None
        denied = isinstance(exc, OffsetError) and proven is not None and proven[0] == offset
        if proven is None or denied:
            if isinstance(exc, OffsetError):
                upload.cancel(self.repository, session)  # it is there, and of no use
            raise SessionLostError(exc.message, code=exc.code) from exc
        self._lost += 1  # a registry whose answers contradict each other is given up, too
        if self._lost >= MAX_LOST:
            raise UnavailableError(exc.message) from exc
        return proven

    def _mount(self) -> bool:
        while self._sources and self._session is None:
            source = self._sources.pop(0)  # asked once: a retry goes straight to the upload
            try:
                session = upload.mount(self.repository, self.blob.digest, source)
            except TransientError:
                raise
            except SealosHubError:
                continue  # not allowed there, or not known: the upload will tell
            if session is None:
                return True
            self._set_session(session)
        return False

    def _body(self, start: int, end: int) -> BodySource:
        def before(position: int) -> None:
            # Counted before it is sent: the proof of an offset needs an upper bound.
            self._sent = max(self._sent, position)
            self._began = True

        def after(position: int) -> None:
            self.report(BlobState.UPLOADING, position)

        return lambda: self._feed.pieces(start, end, before, after)

    # ------------------------------------------------------------------ what the next process needs

    def _claim(self) -> None:
        if self.manner.journal is not None:
            self._entry = self.manner.journal.claim(
                self.repository.client.host, self.repository.name, self.blob.digest, self.blob.size
            )

    def _release(self) -> None:
        if self._entry is not None:
            self._entry.close()

    def _inherit(self) -> None:
        """Take up the upload of a process that died."""
        if self._entry is None or self._entry.url is None:
            return
        try:
            base = self.repository.client.base().url
            url = self.repository.client.wire.resolve(base, self._entry.url)
        except SealosHubError:
            return  # it is written by hand, or the registry is not there; both will show
        if realm.origin(url) == realm.origin(base):
            self._session, self._sent = Session(url), self.blob.size

    def _set_session(self, session: Session | None) -> None:
        before, self._session = self._session, session
        if session is None:
            self._sent = 0
        if self._entry is None or (before is None) == (session is None):
            return  # the address of a session changes in its query only, which is not kept
        if session is None:
            self._entry.forget()
        elif realm.origin(session.url) == realm.origin(self.repository.client.base().url):
            # Elsewhere (S3, GCS) the query is the permission, and without it the address is void.
            self._entry.remember(str(session.url))
