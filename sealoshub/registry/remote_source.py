"""An image in a registry as the source of a push: `docker://HOST/REPO[:TAG|@DIGEST]`.

Blobs are streamed from one registry to the other and never lie on the disk. Within one registry
they are mounted, which is what `mount_from` of a push is for, and nothing is opened here at all.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from sealoshub.errors import UnavailableError
from sealoshub.registry import remote
from sealoshub.registry.failure import TransientError
from sealoshub.registry.image import BLOCK, Blob
from sealoshub.registry.remote import RangeRefusedError, Remote, Stream
from sealoshub.registry.remote_image import resolve
from sealoshub.registry.source import ImageSource
from sealoshub.registry.store import Contents
from sealoshub.value import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealoshub.reference import Reference
    from sealoshub.registry.client import Client
    from sealoshub.registry.image import Descriptor, Platform


def open_remote(
    client: Client, reference: Reference, platform: Platform | None = None
) -> ImageSource:
    """Open an image in a registry.

    Args:
        client: Of the host of *reference*; closed with the source.
        reference: Which; without tag and digest `latest`.
        platform: The one image of an index to take; None: all of it.

    Raises:
        NotFoundError: There is no such image, or none for *platform*.
        InvalidInputError: The registry gives something else than it says.
        DeniedError: The user may not pull there.
        UnavailableError: The network or the registry gave up after the retries.
    """
    if reference.tag is None and reference.digest is None:
        reference = replace(reference, tag="latest")
    with contextlib.ExitStack() as stack:
        stack.callback(client.close)
        client.ping()
        source = Remote(client, reference.repository)
        image = resolve(source, reference, platform)
        blobs = tuple(
            RemoteBlob(descriptor, partial(RemoteFile, source, descriptor), source=source)
            for descriptor in image.blobs
        )
        names = (str(replace(reference, digest=None)),) if reference.tag is not None else ()
        tags = {tag: found.digest for tag, found in image.others.attached.items()}
        contents = Contents(image.manifests, blobs, names, attached=tags)
        return ImageSource(f"docker://{reference}", contents, stack.pop_all().close)


class RemoteBlob(Blob, kw_only=True):
    """A blob that can be had from any offset on.

    Args:
        source: Where it is.
    """

    source: Remote

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the content from byte *start* on.

        From the beginning it is compared with its digest, as every blob. From an offset on it is
        not, because what lies before would have to come through the network again: the registry
        that has the first part compares the whole when the upload is closed.

        Raises:
            InvalidInputError: The content is not what the descriptor says.
            UnavailableError: The registry gave up after the retries.
        """
        if not start:
            yield from Blob.blocks(self)
            return
        file = RemoteFile(self.source, self.descriptor, start)
        try:
            while block := file.read(BLOCK):
                yield block
        finally:
            file.close()


class RemoteFile:
    """A blob in a registry, read like a file; what breaks is asked for again where it broke.

    It is a class because it holds the connection and the position.

    Args:
        source: Where.
        descriptor: Which.
        start: First byte.
    """

    def __init__(self, source: Remote, descriptor: Descriptor, start: int = 0) -> None:
        self._source = source
        self._descriptor = descriptor
        self._position = start
        self._ranges = True  # the server knows ranges
        self._answer = contextlib.ExitStack()
        self._stream: Stream | None = None

    def read(self, size: int, /) -> bytes:
        """Return at most *size* bytes; none at the end.

        Raises:
            NotFoundError: The registry does not have it.
            InvalidInputError: It has another size than the descriptor says.
            UnavailableError: The registry gave up after the retries.
        """
        wanted = min(size, self._descriptor.size - self._position)
        if wanted <= 0:
            return b""
        try:
            block = self._source.client.retry.run(lambda: self._read(wanted))
        except TransientError as exc:
            # Its budget is spent here; the upload must not begin another one because of it.
            raise UnavailableError(exc.message, hint=exc.hint, code=exc.code) from exc
        self._position += len(block)
        return block

    def close(self) -> None:
        """Close the connection, unless everything was read; then it can be used again."""
        self._stream = None
        self._answer.close()

    def _read(self, wanted: int) -> bytes:
        try:
            if self._stream is None:
                self._stream = self._open()
            block = self._stream.read(wanted)
            if not block:
                left = self._descriptor.size - self._position
                raise remote.short(self._source, self._descriptor, left)
        except TransientError:
            self.close()
            raise
        return block

    def _open(self) -> Stream:
        """Open the blob at the position; a server without ranges sends what is skipped as well."""
        try:
            start = self._position if self._ranges else 0
            stream = self._answer.enter_context(remote.blob(self._source, self._descriptor, start))
        except RangeRefusedError as exc:
            self._ranges = False
            raise TransientError(exc.message, code=exc.code, retry_after=0.0) from exc
        skip = self._position - stream.start
        while skip:
            block = stream.read(min(skip, BLOCK))
            if not block:
                raise remote.short(self._source, self._descriptor, skip)
            skip -= len(block)
        return stream
