"""Making signatures and the like findable from the image that they are about.

Distribution specification 1.1, "Pushing Manifests with Subject" and "Unavailable Referrers API": a
registry with a referrers API lists them itself; in all others, distribution 2.8 and 3 among them,
the client keeps the list, as an index under the tag `sha256-DIGITS` of the subject.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.reference import Digest, MediaType, Reference
from sealoshub.registry import attached, failure
from sealoshub.registry.image import MAX_DESCRIPTORS, MAX_MANIFEST, Manifest, parse_object
from sealoshub.registry.layout import subject_of
from sealoshub.registry.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealoshub.registry.failure import Answer
    from sealoshub.registry.upload import Repository

_TAG: Final = 128  # characters; sha512 has too many digits, of which 64 count


def register(repository: Repository, manifests: Iterable[Manifest]) -> None:
    """List those of *manifests* that have a subject, where the registry does not do it.

    Args:
        repository: Where they are stored already.
        manifests: Any; those without a subject cost nothing.

    Raises:
        InvalidInputError: The list that is there is none, or would become too large.
        DeniedError: The user may not push there.
        UnavailableError: The network or the registry gave up after the retries.
    """
    by_subject: dict[Digest, list[Manifest]] = {}
    for manifest in manifests:
        subject = subject_of(manifest.document)
        if subject is not None:
            by_subject.setdefault(subject, []).append(manifest)
    for subject, found in by_subject.items():
        if not _lists_itself(repository, subject):
            _add(repository, subject, found)


def may_replace(repository: Repository, tag: str, manifest: Manifest) -> bool:
    """Tell whether *manifest* may have a *tag* of cosign's: it has all that is attached there.

    An image can have been signed once more where it was copied to; another copy must not take that
    signature away. The user is told then.

    Raises:
        InvalidInputError: What is there is no manifest.
        UnavailableError: The network or the registry gave up after the retries.
    """
    from sealoshub.registry import remote  # noqa: PLC0415  # for few pushes

    if not attached.grows(tag):
        return True
    target = remote.Remote(repository.client, repository.name)
    try:
        found = remote.root(target, Reference(repository.client.host, repository.name, tag))
    except NotFoundError:
        return True
    if _contents(Manifest.parse(*found)) <= _contents(manifest):
        return True
    repository.client.retry.on_note(
        f"{target.shown}:{tag} has signatures that the source does not have; it stays as it is"
    )
    return False


def _contents(manifest: Manifest) -> frozenset[Digest]:
    listed = manifest.children if manifest.config is None else manifest.layers
    return frozenset(each.digest for each in listed)


def fallback_tag(subject: Digest) -> str:
    """Return the tag of the list of what refers to *subject*."""
    return f"{subject.algorithm[:32]}-{subject.hex[:64]}"[:_TAG]


def _lists_itself(repository: Repository, subject: Digest) -> bool:
    """Tell whether the registry has a referrers API: then it has an answer for any digest."""
    answer = _ask(repository, "GET", f"referrers/{subject}", {200, 400, 404, 405})
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    return answer.status == Status.OK and media_type == MediaType.OCI_INDEX


def _add(repository: Repository, subject: Digest, manifests: Iterable[Manifest]) -> None:
    tag = fallback_tag(subject)
    answer = _ask(repository, "GET", f"manifests/{tag}", {200, 404})
    index: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_INDEX,
        "manifests": [],
    }
    where = f"{repository.client.host}/{repository.name}:{tag}"
    if answer.status == Status.OK:
        index = parse_object(answer.body, where)
    entries = index.get("manifests")
    if not isinstance(entries, list) or len(entries) > MAX_DESCRIPTORS:
        raise InvalidInputError(f"{where}: is no list of what refers to an image")
    known = {str(entry.get("digest")) for entry in entries if isinstance(entry, dict)}
    new = [_entry(each) for each in manifests if each.descriptor.digest.text not in known]
    if not new:
        return
    answer = _put(repository, tag, {**index, "manifests": [*entries, *new]})
    if "MANIFEST_BLOB_UNKNOWN" in answer.codes():
        # Something that was listed has been deleted since.
        there = [entry for entry in entries if _is_there(repository, entry)]
        answer = _put(repository, tag, {**index, "manifests": [*there, *new]})
    if answer.status not in {200, 201, 202}:
        raise failure.from_answer(answer)


def _put(repository: Repository, tag: str, index: Mapping[str, object]) -> Answer:
    content = json.dumps(index, separators=(",", ":")).encode()
    if len(content) > MAX_MANIFEST:
        raise InvalidInputError(
            f"{repository.client.host}/{repository.name}:{tag}: the list of what refers to the"
            f" image would be larger than {MAX_MANIFEST} bytes"
        )
    client = repository.client
    return client.retry.run(
        lambda: client.request(
            "PUT",
            repository.path(f"manifests/{tag}"),
            expect={200, 201, 202, 400, 404},
            scopes=repository.scopes,
            headers={"Content-Type": MediaType.OCI_INDEX},
            body=content,
        )
    )


def _is_there(repository: Repository, entry: object) -> bool:
    digest = entry.get("digest") if isinstance(entry, dict) else None
    try:
        path = f"manifests/{Digest.parse(str(digest))}"
    except InvalidInputError:
        return False
    return _ask(repository, "HEAD", path, {200, 404}).status == Status.OK


def _entry(manifest: Manifest) -> dict[str, object]:
    """Describe *manifest* as the specification wants it in such a list."""
    descriptor, document = manifest.descriptor, manifest.document
    kind = document.get("artifactType")
    if not isinstance(kind, str) and manifest.config is not None:
        kind = manifest.config.media_type
    entry: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest.text,
        "size": descriptor.size,
    }
    if isinstance(kind, str):
        entry["artifactType"] = kind
    if isinstance(document.get("annotations"), dict):
        entry["annotations"] = document["annotations"]
    return entry


def _ask(repository: Repository, method: str, path: str, expect: set[int]) -> Answer:
    client = repository.client
    answer = client.retry.run(
        lambda: client.request(
            method,
            repository.path(path),
            expect=expect,
            scopes=repository.scopes,
            headers={"Accept": f"{MediaType.OCI_INDEX}, {MediaType.OCI_MANIFEST}"},
            limit=MAX_MANIFEST + 1,
        )
    )
    if len(answer.body) > MAX_MANIFEST:
        raise failure.from_answer(answer)
    return answer
