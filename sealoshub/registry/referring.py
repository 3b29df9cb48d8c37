"""What refers to an image in a registry: signatures, bills of materials, whatever has a subject.

Distribution specification 1.1, "Listing Referrers": by the referrers API, or, where there is none
(distribution 2.8 and 3), by the index under the tag `sha256-DIGITS` that clients keep. They go
where the image goes. A list is only a hint: what counts is the subject in the manifest itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError
from sealoshub.reference import INDEX_TYPES, MANIFEST_TYPES, MediaType
from sealoshub.registry import walk
from sealoshub.registry.image import MAX_DESCRIPTORS, MAX_MANIFEST, Descriptor, parse_object
from sealoshub.registry.layout import subject_of
from sealoshub.registry.referrers import fallback_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sealoshub.reference import Digest
    from sealoshub.registry.failure import Answer
    from sealoshub.registry.image import Manifest
    from sealoshub.registry.remote import Remote

# Seconds in which the API is asked again; afterwards the registry counts as one without it.
API_BUDGET: Final = 5.0


def find(
    source: Remote, name: str, image: Sequence[Manifest], fetch: Callable[[Descriptor], bytes]
) -> tuple[tuple[Manifest, ...], tuple[Descriptor, ...]]:
    """Find what refers to an image, and what refers to that.

    Args:
        source: Where the image is.
        name: Of it, for messages.
        image: Its manifests.
        fetch: Returns the content of a manifest, compared with its descriptor.

    Returns:
        All manifests, children before parents; and those among them that nothing else lists.

    Raises:
        InvalidInputError: There are more than anybody needs, or one is not what it should be.
        UnavailableError: The network or the registry gave up after the retries.
    """
    known = {manifest.descriptor.digest for manifest in image}
    subjects = deque(_subjects(image))
    manifests: dict[Digest, Manifest] = {}
    roots: list[Descriptor] = []
    has_api = True
    while subjects:
        subject = subjects.popleft()
        listed = _by_api(source, subject) if has_api else None
        has_api = listed is not None
        for descriptor in _by_tag(source, subject) if listed is None else listed:
            if descriptor.digest in known | manifests.keys():
                continue
            if len(manifests) >= walk.MAX_MANIFESTS:
                raise InvalidInputError(f"more than {walk.MAX_MANIFESTS} manifests refer to {name}")
            try:
                found = walk.collect(name, descriptor, fetch)
            except NotFoundError:
                continue  # it was deleted, and its entry in the list was not
            if subject_of(found[-1].document) == subject:
                manifests.update((each.descriptor.digest, each) for each in found)
                roots.append(found[-1].descriptor)
                subjects.append(descriptor.digest)
    return tuple(manifests.values()), tuple(roots)


def _subjects(image: Sequence[Manifest]) -> list[Digest]:
    """Return what can be signed: the image, and the images of an index, not their attestations."""
    attestations = {
        child.digest for manifest in image for child in manifest.children if child.is_attestation
    }
    digests = (manifest.descriptor.digest for manifest in reversed(image))
    return [digest for digest in digests if digest not in attestations]


def _by_api(source: Remote, subject: Digest) -> list[Descriptor] | None:
    """Ask the referrers API; None if there is none."""
    client = source.client
    retry = replace(client.retry, budget=min(client.retry.budget, API_BUDGET))
    try:
        answer = retry.run(lambda: _get(source, f"referrers/{subject}", {200, 400, 404, 405}))
    except SealosHubError:
        return None
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    if answer.status != HTTPStatus.OK or media_type != MediaType.OCI_INDEX:
        return None
    return _entries(answer, f"{source.shown}: the referrers of {subject}")


def _by_tag(source: Remote, subject: Digest) -> list[Descriptor]:
    path = f"manifests/{fallback_tag(subject)}"
    answer = source.client.retry.run(lambda: _get(source, path, {200, 404}))
    if answer.status != HTTPStatus.OK:
        return []
    return _entries(answer, f"{source.shown}:{fallback_tag(subject)}")


def _get(source: Remote, path: str, expect: set[int]) -> Answer:
    return source.client.request(
        "GET",
        source.path(path),
        expect=expect,
        scopes=source.scopes,
        headers={"Accept": MediaType.OCI_INDEX},
        limit=MAX_MANIFEST + 1,
    )


def _entries(answer: Answer, where: str) -> list[Descriptor]:
    if len(answer.body) > MAX_MANIFEST:
        raise InvalidInputError(f"{where} is larger than {MAX_MANIFEST} bytes")
    listed = parse_object(answer.body, where).get("manifests")
    if not isinstance(listed, list) or len(listed) > MAX_DESCRIPTORS:
        raise InvalidInputError(f"{where}: is no list of what refers to an image")
    entries: Iterable[Descriptor] = (Descriptor.parse(entry, where) for entry in listed)
    return [entry for entry in entries if entry.media_type in INDEX_TYPES | MANIFEST_TYPES]
