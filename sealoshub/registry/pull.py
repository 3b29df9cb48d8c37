"""Pulling an image: manifests first, blobs in a pool, and what makes it an image last.

The blobs of an archive are gathered in a hidden directory beside it, which goes when the archive
is complete; so an archive too is continued where it was interrupted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError
from sealoshub.registry import platforms, pool
from sealoshub.registry.download import Download, disk_error
from sealoshub.registry.layout_writer import (
    LayoutFolder,
    index_of,
    plain_json,
    with_entry,
    with_others,
)
from sealoshub.registry.pull_events import ManifestPulled, PullResult, PullStarted
from sealoshub.registry.push_events import BlobProgress
from sealoshub.registry.remote import Remote
from sealoshub.registry.remote_image import RemoteImage, resolve, small_blob
from sealoshub.registry.target import Kind
from sealoshub.registry.throttle import Throttle
from sealoshub.value import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sealoshub.reference import Reference
    from sealoshub.registry.client import Client
    from sealoshub.registry.image import Descriptor, Platform
    from sealoshub.registry.pull_events import PullEvent
    from sealoshub.registry.push_events import BlobState
    from sealoshub.registry.target import Target

STAGING: Final = ".{}.partial"  # the hidden directory beside an archive


def pull(  # noqa: PLR0913  # one keyword per option of the command line
    client: Client,
    reference: Reference,
    target: Target,
    *,
    platform: Platform | None = None,
    jobs: int = pool.JOBS,
    events: Callable[[PullEvent], None] | None = None,
    limit_rate: int | None = None,
) -> PullResult:
    """Bring an image from a registry to the disk, verified.

    Args:
        client: Of the host of *reference*.
        reference: What; without tag and digest `latest`.
        target: Where to.
        platform: The one image of an index to take. None: all of it; of a docker archive, which
            holds one image, that of this machine.
        jobs: Blobs under way at once.
        events: Told what happens; never from two threads at once.
        limit_rate: Bytes per second of all jobs together; None: as fast as it goes.

    Returns:
        What is there now; the same was the last event.

    Raises:
        NotFoundError: There is no such image, or none for *platform*.
        InvalidInputError: The registry has something else than it says, or *target* is something
            that is not overwritten.
        DeniedError: The user may not pull there.
        UnavailableError: The network or the registry gave up after the retries.
        SealosHubError: The disk is full or cannot be written.
    """
    strict = platform is not None
    if platform is None and target.kind is Kind.DOCKER_ARCHIVE:
        platform = platforms.of_this_machine()
    if reference.tag is None and reference.digest is None:
        reference = replace(reference, tag="latest")
    client.ping()
    alone = target.kind is Kind.DOCKER_ARCHIVE  # which has no place for signatures
    source = Remote(client, reference.repository)
    image = resolve(source, reference, platform, strict=strict, alone=alone)
    throttle = Throttle(limit_rate) if limit_rate is not None else None
    pull_ = _Pull(image, reference, jobs, events, throttle)
    if target.kind is Kind.OCI:
        folder = LayoutFolder(target.path)
        folder.prepare()
        pull_.into(folder)
        folder.add(image.root.descriptor, image.others, target.name, _full_name(reference))
    else:
        pull_.archive(target)
    root = image.root.descriptor
    result = PullResult(
        f"{reference.host}/{reference.repository}@{root.digest}",
        root.digest,
        root.media_type,
        image.size,
        pull_.downloaded,
        target.kind,
        target.path,
        image.foreign,
    )
    pull_.tell(result)
    return result


class _Pull:
    """One pull under way: what the steps share."""

    def __init__(
        self,
        image: RemoteImage,
        reference: Reference,
        jobs: int,
        events: Callable[[PullEvent], None] | None,
        throttle: Throttle | None,
    ) -> None:
        self.downloaded = 0
        self._image = image
        self._reference = reference
        self._jobs = jobs
        self._events = events
        self._throttle = throttle
        self._lock = threading.Lock()

    def tell(self, event: PullEvent) -> None:
        if self._events is not None:
            with self._lock:
                self._events(event)

    def into(self, folder: LayoutFolder) -> None:
        """Bring all blobs, then the manifests from the leaves to the root, into *folder*."""
        image = self._image
        self.tell(
            PullStarted(
                str(self._reference),
                len(image.blobs),
                sum(blob.size for blob in image.blobs),
                len(image.manifests),
            )
        )
        paths = {blob.digest: folder.blob(blob.digest) for blob in image.blobs}
        pool.run_all(
            pool.interleave(image.blobs),
            lambda blob, stop: self._fetch(blob, paths[blob.digest], stop),
            self._jobs,
            "pull",
            grace=0.0,  # nothing is to be taken back: what is there stays for the next time
        )
        for manifest in image.manifests:
            descriptor = manifest.descriptor
            folder.put(descriptor.digest, manifest.content)
            self.tell(ManifestPulled(descriptor.digest, descriptor.media_type, descriptor.size))

    def _fetch(self, blob: Descriptor, path: Path, stop: threading.Event) -> None:
        def report(state: BlobState, done: int) -> None:
            self.tell(BlobProgress(blob.digest, blob.media_type, state, done, blob.size))

        download = Download(self._image.source, blob, path, stop, report, self._throttle)
        try:
            download.run()
        finally:
            with self._lock:
                self.downloaded += download.received

    def archive(self, target: Target) -> None:
        """Gather everything beside the archive, write it there, and give it its name."""
        image = self._image
        if target.kind is Kind.DOCKER_ARCHIVE:
            # Before the first layer: it may turn out to be nothing that docker could load.
            config = image.root.config
            from sealoshub.registry import archive_writer  # noqa: PLC0415  # tarfile

            archive_writer.diff_ids(
                image.root, small_blob(image.source, config) if config is not None else b""
            )
        with _staging(target.path) as staging:
            folder = LayoutFolder(staging / "layout")
            folder.prepare()
            self.into(folder)
            temporary = staging / "archive"
            try:
                self._write(target, folder, temporary)
                temporary.replace(target.path)
            except OSError as exc:
                temporary.unlink(missing_ok=True)  # most likely there is no room for it
                raise disk_error(target.path, exc) from exc
            except SealosHubError:
                temporary.unlink(missing_ok=True)
                raise
            import shutil  # noqa: PLC0415  # 3 ms, for archives only

            shutil.rmtree(staging, ignore_errors=True)

    def _write(self, target: Target, folder: LayoutFolder, temporary: Path) -> None:
        from sealoshub.registry import archive_writer  # noqa: PLC0415  # tarfile, for archives only

        name = _full_name(self._reference)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o666)
        try:
            tar = archive_writer.TarWriter(descriptor)
            if target.kind is Kind.OCI_ARCHIVE:
                entries = with_others([], self._image.others)
                entries = with_entry(entries, self._image.root.descriptor, target.name, name)
                digests = [manifest.descriptor.digest for manifest in self._image.manifests]
                digests += [blob.digest for blob in self._image.blobs]
                archive_writer.write_layout(
                    tar, plain_json(index_of(entries)), digests, folder.blob
                )
            else:
                tags = [each for each in (target.name or name,) if each is not None]
                archive_writer.write_docker(tar, self._image.root, folder.blob, tags)
            tar.close()
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Make the hidden directory beside an archive, for one process at a time.

    Raises:
        InvalidInputError: The archive cannot lie there.
        SealosHubError: Another pull writes it, or the directory cannot be made.
    """
    if target.is_dir():
        raise InvalidInputError(f"{target}: is a directory", hint="Name a file in it.")
    if not target.parent.is_dir():
        raise NotFoundError(f"{target.parent}: there is no such directory")
    staging = target.with_name(STAGING.format(target.name))
    try:
        descriptor = _lock(staging)
    except BlockingIOError as exc:
        raise SealosHubError(
            f"another pull writes {target}", code="IN_USE", hint="Wait until it is done."
        ) from exc
    except OSError as exc:
        raise disk_error(staging, exc) from exc
    try:
        yield staging
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> int:
    """Make *folder*, lock it, and return the descriptor that holds the lock.

    Raises:
        BlockingIOError: Another process has it.
        OSError: It cannot be made.
    """
    while True:
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                return descriptor
        except FileNotFoundError:
            pass  # the pull that had it has removed it meanwhile
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _full_name(reference: Reference) -> str | None:
    """Return what others call the image: without its digest; None if it has no tag."""
    if reference.tag is None:
        return None
    return str(replace(reference, digest=None))
