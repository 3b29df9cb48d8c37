"""The content of one blob as request bodies: the whole, or one range after the other.

What lies in a plain file is given out as slices of it, which the kernel sends: the registry
compares the digest when the upload is closed. Other content is hashed here from its first byte, so
its chunks come out of one pass over it; only a step back opens it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.registry.connection import FileSlice
from sealoshub.registry.image import BLOCK, FileRegion
from sealoshub.value import replace

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from sealoshub.registry.connection import Piece
    from sealoshub.registry.image import Blob
    from sealoshub.registry.throttle import Throttle

_CLOSED: Final = -1  # no offset


class StoppedError(SealosHubError):
    """Another blob failed or the user pressed Ctrl-C: this one need not arrive."""


class Feed:
    """Gives out the bytes of a blob.

    It is a class because it keeps its place from one chunk to the next.

    Args:
        blob: What.
        stop: Set when nobody wants it any more.
        throttle: How fast; None: as fast as it goes.
    """

    def __init__(self, blob: Blob, stop: threading.Event, throttle: Throttle | None) -> None:
        self._blob = blob
        self._stop = stop
        self._throttle = throttle
        self._region: FileRegion | None = None  # where the content is, if it lies in a plain file
        self._blocks: Iterator[bytes] = iter(())
        self._rest = b""  # read and not yet given out
        self._position = _CLOSED  # of the first byte of the rest

    def pieces(
        self, start: int, end: int, before: Callable[[int], None], after: Callable[[int], None]
    ) -> Iterator[Piece]:
        """Yield the bytes from *start* to *end*, in order.

        Args:
            start: Offset of the first byte.
            end: Offset behind the last byte.
            before: Told the offset behind each piece before it is given out.
            after: Told the same when the next piece is asked for.

        Raises:
            StoppedError: *stop* was set.
            InvalidInputError: The content is not what its descriptor says, and that is not left to
                the registry to find out.
        """
        self.seek(start)
        while self._position < end:
            self.check_stop()
            piece = self._take(end - self._position)
            if self._throttle is not None:
                self._throttle.take(len(piece), self._stop)
                self.check_stop()
            self._position += len(piece)
            position = self._position
            before(position)
            yield piece
            after(position)
        if end == self._blob.size and self._region is None:
            self._read()  # only so is the digest of an empty blob looked at

    def seek(self, start: int) -> None:
        """Read up to byte *start* what is hashed here, because the digest is of the whole.

        Raises:
            InvalidInputError: The content is not what its descriptor says.
        """
        if start == self._position:
            return
        self._open(start)
        if start and self._region is None:
            self._rest = self._read()

    def check_stop(self) -> None:
        """Raise StoppedError if *stop* is set."""
        if self._stop.is_set():
            raise StoppedError("stopped")

    def close(self) -> None:
        """Close the blob; it is opened again by the next :meth:`pieces`."""
        close = getattr(self._blocks, "close", None)  # of a generator, not of an iterator
        if close is not None:
            close()
        if self._region is not None:
            self._region.close()
        self._region = None
        self._blocks, self._rest, self._position = iter(()), b"", _CLOSED

    def _open(self, start: int) -> None:
        self.close()
        self._position = start
        file = self._blob.open()
        if isinstance(file, FileRegion) and file.size == self._blob.size:
            self._region = file
        else:
            self._blocks = replace(self._blob, open=lambda: file).blocks(start)

    def _read(self) -> bytes:
        """Return the next block; none at the end."""
        try:
            return next(self._blocks, b"")
        except BaseException:
            # What failed once is at its end: the next try begins with the content opened anew.
            self.close()
            raise

    def _take(self, wanted: int) -> Piece:
        if self._throttle is not None:
            wanted = min(wanted, self._throttle.piece)
        if self._region is not None:
            begin = self._region.start + self._position
            size = min(wanted, BLOCK)
            return FileSlice(self._region.descriptor, begin, size, self._blob.digest.text)
        if not self._rest:
            self._rest = self._read()
        if not self._rest:
            raise InvalidInputError(
                f"the content of {self._blob.digest} ends early",
                hint="The image is damaged; make it again.",
            )
        piece, self._rest = self._rest[:wanted], self._rest[wanted:]
        return piece
