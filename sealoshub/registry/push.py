"""Pushing an image: blobs in a pool, then manifests from the leaves to the root, then a look back.

The events (`push_events`) tell everything a person or a program may want to see; there is no other
output.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from sealoshub.errors import ContentRefusedError, InvalidInputError, SealosHubError
from sealoshub.reference import Digest, Reference, is_tag
from sealoshub.registry import failure, pool, referrers
from sealoshub.registry.chunks import ChunkLimit
from sealoshub.registry.image import MAX_MANIFEST, Blob
from sealoshub.registry.layout import subject_of
from sealoshub.registry.push_events import (
    BlobProgress,
    BlobState,
    Compressing,
    ManifestPushed,
    PushResult,
    Started,
)
from sealoshub.registry.status import Status
from sealoshub.registry.throttle import Throttle
from sealoshub.registry.transfer import BlobTransfer, Manner, StoppedError
from sealoshub.registry.upload import Repository, blob_exists

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sealoshub.registry.client import Client
    from sealoshub.registry.image import Descriptor, Manifest, Pending
    from sealoshub.registry.journal import Journal
    from sealoshub.registry.push_events import Event
    from sealoshub.registry.source import ImageSource


def push(  # noqa: PLR0913  # one keyword per option of the command line
    client: Client,
    image: ImageSource,
    reference: Reference,
    tags: Sequence[str] = (),
    *,
    jobs: int = pool.JOBS,
    events: Callable[[Event], None] | None = None,
    mount_from: Sequence[str] = (),
    chunk_size: int | None = None,
    limit_rate: int | None = None,
    journal: Journal | None = None,
    moving: Callable[[str, Digest], None] | None = None,
) -> PushResult:
    """Push *image*, and look whether it has arrived.

    Args:
        client: Of the host of *reference*.
        image: What. Its manifests are read only after its pending layers have been sent.
        reference: Where to; its tag is the first one, its digest must be the image's.
        tags: Further tags.
        jobs: Blobs under way at once.
        events: Told what happens; never from two threads at once.
        mount_from: Repositories of the same registry that may have the blobs.
        chunk_size: Bytes in one request; None: as many as the host is known to take.
        limit_rate: Bytes per second of all jobs together; None: as fast as it goes.
        journal: Where uploads are written down, so that the next push goes on if this one is
            killed; None: nowhere.
        moving: Told, before anything is sent, that the first tag names this digest now and would
            be moved, where that is known without asking once more; may raise.

    Returns:
        What is in the registry now; the same was the last event.

    Raises:
        InvalidInputError: The image is damaged, or is not the digest that was asked for.
        ContentRefusedError: The registry does not take the content, or has another one now.
        DeniedError: The user may not push there.
        UnavailableError: The network or the registry gave up after the retries.
    """
    wanted = tuple(dict.fromkeys([*([reference.tag] if reference.tag else []), *tags]))
    bad = [tag for tag in wanted if not is_tag(tag)]
    if bad:
        raise InvalidInputError(f"{bad[0]!r} is not a tag")
    if reference.digest is not None and reference.digest != image.root.descriptor.digest:
        # With layers to compress this takes a while, but pushing first would be worse.
        raise InvalidInputError(
            f"{image.name} is {image.root.descriptor.digest}, not {reference.digest}",
            hint="Leave the digest away, or push the image it belongs to.",
        )
    manner = Manner(
        tuple(mount_from),
        Throttle(limit_rate) if limit_rate is not None else None,
        _limit(client.host, chunk_size, journal),
        journal,
    )
    push_ = _Push(Repository(client, reference.repository), jobs, manner, events)
    todo: tuple[Blob | Pending, ...] = (*image.ready, *image.pending)
    push_.tell(
        Started(str(reference), len(todo), sum(each.size for each in todo), image.manifest_count)
    )
    client.ping()
    if journal is not None:
        journal.sweep()
    done = push_.find(image, wanted, moving)
    if done is None:
        push_.send_blobs(todo)
        for manifest in image.manifests[:-1]:
            push_.send_other(image, manifest)
    root = image.root.descriptor
    for tag in wanted or (None,):
        push_.send_manifest(image, image.root, tag, known=done is not None and tag in done)
    referrers.register(push_.repository, image.manifests)
    result = PushResult(
        f"{reference.host}/{reference.repository}@{root.digest}",
        root.digest,
        root.media_type,
        image.size,
        wanted,
        push_.uploaded,
    )
    push_.tell(result)
    return result


def _limit(host: str, chunk_size: int | None, journal: Journal | None) -> ChunkLimit:
    if journal is None:
        return ChunkLimit(chunk_size)
    return ChunkLimit(
        journal.limit(host) if chunk_size is None else chunk_size,
        lambda size: journal.remember_limit(host, size),
    )


class _Push:
    """One push under way: what the steps share."""

    def __init__(
        self,
        repository: Repository,
        jobs: int,
        manner: Manner,
        events: Callable[[Event], None] | None,
    ) -> None:
        self.repository = repository
        self.uploaded = 0
        self._jobs = jobs
        self._manner = manner
        self._events = events
        self._lock = threading.Lock()

    def tell(self, event: Event) -> None:
        if self._events is not None:
            with self._lock:
                self._events(event)

    # ------------------------------------------------------------------ blobs

    def send_blobs(self, blobs: Iterable[Blob | Pending]) -> None:
        """Bring *blobs* into the repository, the smallest beside the largest."""
        pool.run_all(pool.interleave(blobs), self._send, self._jobs, "push")

    def _send(self, item: Blob | Pending, stop: threading.Event) -> None:
        if isinstance(item, Blob):
            self._send_blob(item, stop)
        else:
            self._send_pending(item, stop)

    def _send_pending(self, pending: Pending, stop: threading.Event) -> None:
        def watch(done: int) -> None:
            if stop.is_set():
                raise StoppedError("stopped")
            self.tell(Compressing(pending.digest, done, pending.size))

        blob = pending.resolve(watch)
        there = not pending.is_ready and self._exists(blob)
        if not there:
            # If its digest was only remembered, it may be another one.
            blob = pending.prepare(watch)
        self._tell_compressed(pending, blob)
        if there:
            self._report(blob, BlobState.EXISTS, blob.size)
        else:
            self._send_blob(blob, stop)

    def _tell_compressed(self, pending: Pending, blob: Blob) -> None:
        self.tell(Compressing(pending.digest, pending.size, pending.size, blob.digest, blob.size))

    def _exists(self, blob: Blob) -> bool:
        retry = self.repository.client.retry
        return retry.run(lambda: blob_exists(self.repository, blob.digest))

    def _report(self, blob: Blob, state: BlobState, done: int) -> None:
        self.tell(BlobProgress(blob.digest, blob.descriptor.media_type, state, done, blob.size))

    def _send_blob(self, blob: Blob, stop: threading.Event) -> None:
        transfer = self._transfer(blob, stop)
        if transfer.run() is BlobState.DONE:
            with self._lock:
                self.uploaded += blob.size - transfer.inherited

    def _transfer(self, blob: Blob, stop: threading.Event) -> BlobTransfer:
        report = partial(self._report, blob)
        return BlobTransfer(self.repository, blob, stop, report, self._manner)

    # ------------------------------------------------------------------ manifests

    def find(
        self,
        image: ImageSource,
        tags: Sequence[str],
        moving: Callable[[str, Digest], None] | None,
    ) -> Collection[str | None] | None:
        """Look for the whole image: a registry that has a manifest has what it needs.

        Returns:
            Tags that are known to lead to it (None: it has been found by its digest); None if it is
            not there, if only compression will tell what it is called, or if something refers to
            it: a signature may be newer than what it is about.
        """
        if not image.is_known or image.attached:
            return None
        if any(subject_of(each.document) for each in image.manifests[:-1]):
            return None
        root = image.root.descriptor
        by_tag = tags[:1]
        now = self._digest_at(by_tag[0], root) if by_tag else None
        found = now == root.digest
        if now is not None and not found and moving is not None:
            moving(by_tag[0], now)
        if not found and not self._stored(root.digest.text, root):
            return None
        for pending in image.pending:
            self._tell_compressed(pending, pending.resolve())
        for blob in image.blobs:
            self._transfer(blob, threading.Event()).skip()
        for manifest in image.manifests[:-1]:
            self._tell_manifest(manifest.descriptor, None, existed=True)
        return by_tag if found else (None,)

    def send_other(self, image: ImageSource, manifest: Manifest) -> None:
        """Put a manifest that is not the root: by its digest, or by the name it must have."""
        tags = [tag for tag, it in image.attached.items() if it == manifest.descriptor.digest]
        if not tags:
            self.send_manifest(image, manifest, None)
        for tag in tags:
            if referrers.may_replace(self.repository, tag, manifest):
                self.send_manifest(image, manifest, tag)

    def send_manifest(
        self, image: ImageSource, manifest: Manifest, tag: str | None, *, known: bool = False
    ) -> None:
        """Put *manifest*, heal the registry once if it misses something, and look back.

        Args:
            image: It belongs to it.
            manifest: What.
            tag: What to call it, beside its digest.
            known: It has been found under that name just now.
        """
        descriptor = manifest.descriptor
        target = tag or descriptor.digest.text
        # Where nothing was sent, most likely nothing has to be put either.
        existed = known or (not self.uploaded and self._stored(target, descriptor))
        if not existed:
            answer = self._put(target, manifest)
            if _is_refused(answer):
                # It said it had them: a replica behind, a garbage collection meanwhile.
                self._heal(image, manifest)
                answer = self._put(target, manifest)
            if answer.status not in {200, 201, 202}:
                raise _refusal(answer, manifest)
            self._verify(target, descriptor)
        self._tell_manifest(descriptor, tag, existed=existed)

    def _tell_manifest(self, descriptor: Descriptor, tag: str | None, *, existed: bool) -> None:
        digest, kind = descriptor.digest, descriptor.media_type
        self.tell(ManifestPushed(digest, kind, descriptor.size, tag, existed=existed))

    def _put(self, target: str, manifest: Manifest) -> failure.Answer:
        client = self.repository.client

        def put() -> failure.Answer:
            answer = client.request(
                "PUT",
                self.repository.path(f"manifests/{target}"),
                expect={200, 201, 202, 400, 404, 500},
                scopes=self.repository.scopes,
                headers={"Content-Type": manifest.descriptor.media_type},
                body=manifest.content,
            )
            # distribution answers 500 to a foreign layer from an address that it does not allow,
            # and would do so for as long as the retries last.
            if answer.status == Status.INTERNAL_SERVER_ERROR and not _is_refused(answer):
                raise failure.from_answer(answer)
            return answer

        return client.retry.run(put)

    def _heal(self, image: ImageSource, manifest: Manifest) -> None:
        listed = {blob.digest for blob in manifest.blobs}
        self.send_blobs(blob for blob in image.blobs if blob.digest in listed)
        children = {child.digest for child in manifest.children}
        for child in image.manifests:
            if child.descriptor.digest in children:
                answer = self._put(child.descriptor.digest.text, child)
                if answer.status not in {200, 201, 202}:
                    raise failure.from_answer(answer)

    def _stored(self, target: str, descriptor: Descriptor) -> bool:
        return self._digest_at(target, descriptor) == descriptor.digest

    def _verify(self, target: str, descriptor: Descriptor) -> None:
        """Compare what the registry has under *target* now: a web server says 201 to anything."""
        found = self._digest_at(target, descriptor)
        if found != descriptor.digest:
            raise ContentRefusedError(
                f"{self.repository.client.host}/{self.repository.name}:{target} is"
                f" {found or 'missing'} after the push, and should be {descriptor.digest}",
                hint="Somebody else may have pushed the same tag, or this is no registry.",
            )

    def _digest_at(self, target: str, descriptor: Descriptor) -> Digest | None:
        """Return what is stored under a tag or digest; None if nothing is."""
        answer = self._look("HEAD", target, descriptor.media_type)
        if answer.status != Status.OK:
            return None
        told = answer.headers.get("docker-content-digest")
        if told is None:
            # Optional in the specification: then the content itself says it.
            answer = self._look("GET", target, descriptor.media_type)
            hasher = descriptor.digest.hasher(len(answer.body))
            hasher.update(answer.body)
            return Digest(f"{descriptor.digest.algorithm}:{hasher.hexdigest()}")
        try:
            return Digest.parse(told)
        except InvalidInputError:
            return None

    def _look(self, method: str, target: str, media_type: str) -> failure.Answer:
        client = self.repository.client
        return client.retry.run(
            lambda: client.request(
                method,
                self.repository.path(f"manifests/{target}"),
                expect={200, 404},
                scopes=self.repository.scopes,
                headers={"Accept": media_type},
                limit=MAX_MANIFEST + 1,
            )
        )


def _is_refused(answer: failure.Answer) -> bool:
    return "MANIFEST_BLOB_UNKNOWN" in answer.codes()


def _refusal(answer: failure.Answer, manifest: Manifest) -> SealosHubError:
    """Say why a manifest was not taken."""
    error = failure.from_answer(answer)
    if any(layer.is_foreign for layer in manifest.layers):
        return ContentRefusedError(
            error.message,
            hint="The image has layers that are distributed elsewhere; the registry's operator"
            " decides from where it may be (validation.manifests.urls of distribution).",
            code=error.code,
        )
    return (
        ContentRefusedError(error.message, hint=error.hint, code=error.code)
        if (answer.status == Status.INTERNAL_SERVER_ERROR)
        else error
    )
