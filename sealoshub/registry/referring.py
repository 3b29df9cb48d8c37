"""What belongs to an image in a registry without being listed by it: signatures and the like.

Whatever has the image as its subject (distribution specification 1.1, "Listing Referrers"): by the
referrers API, or, where there is none (distribution 2.8 and 3), by the index under the tag
`sha256-DIGITS` that clients keep. And what cosign attaches by a tag
(:mod:`sealoshub.registry.attached`). They go where the image goes. A list is only a hint: what
counts is the subject in the manifest itself.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError, UnavailableError
from sealoshub.reference import INDEX_TYPES, MANIFEST_TYPES, MediaType, Reference
from sealoshub.registry import attached, failure, pool, realm, remote, walk
from sealoshub.registry.image import (
    MAX_DESCRIPTORS,
    MAX_MANIFEST,
    Descriptor,
    Manifest,
    parse_object,
)
from sealoshub.registry.layout import subject_of
from sealoshub.registry.referrers import fallback_tag
from sealoshub.registry.status import Status
from sealoshub.value import Value, field, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sealoshub.reference import Digest
    from sealoshub.registry.failure import Answer
    from sealoshub.registry.remote import Remote

# Seconds in which the API is asked again; afterwards the registry counts as one without it.
API_BUDGET: Final = 5.0
MAX_PAGES: Final = 1000  # of one list; a registry that goes round in circles is left

_LINK: Final = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT: Final = re.compile(r";\s*rel\s*=\s*\"?next\b", re.IGNORECASE)


class Belonging(Value):
    """What belongs to an image.

    Args:
        manifests: All of it, children before parents.
        referrers: Those that nothing else lists, and whose subject leads to the image.
        attached: Those that are known by a tag only.
    """

    manifests: tuple[Manifest, ...] = ()
    referrers: tuple[Descriptor, ...] = ()
    attached: Mapping[str, Descriptor] = field(default_factory=dict)


def find(
    source: Remote, name: str, image: Sequence[Manifest], fetch: Callable[[Descriptor], bytes]
) -> Belonging:
    """Find what belongs to an image, and what belongs to that.

    Args:
        source: Where the image is.
        name: Of it, for messages.
        image: Its manifests.
        fetch: Returns the content of a manifest, compared with its descriptor.

    Raises:
        InvalidInputError: There are more than anybody needs, or one is not what it should be.
        UnavailableError: The network or the registry gave up after the retries.
    """
    known = {manifest.descriptor.digest for manifest in image}
    manifests: dict[Digest, Manifest] = {}
    roots: list[Descriptor] = []
    tags: dict[str, Descriptor] = {}
    looked = weight = 0  # manifests, and their bytes: they stay in memory
    asker = _Asker(source)
    subjects = _subjects(image)
    while subjects:
        asker.ask(subjects)
        new: dict[Digest, None] = {}
        for subject, tag, descriptor in asker.answers(subjects):
            if descriptor.digest in known:
                continue
            if descriptor.digest not in manifests:
                looked += 1
                weight += descriptor.size
                if looked > walk.MAX_MANIFESTS or weight > walk.MAX_MANIFEST_BYTES:
                    raise InvalidInputError(f"more belongs to {name} than anybody needs")
                try:
                    # What is about something else is put away before anything below it is read.
                    content = Manifest.parse(descriptor, fetch(descriptor)).document
                    if tag is None and subject_of(content) != subject:
                        continue
                    found = walk.collect(name, descriptor, fetch)
                except NotFoundError:
                    continue  # it was deleted, and its entry in the list was not
                weight += sum(len(each.content) for each in found[:-1])
                manifests.update((each.descriptor.digest, each) for each in found)
                new[descriptor.digest] = None
                if tag is None:
                    roots.append(descriptor)
            if tag is not None:
                tags[tag] = manifests[descriptor.digest].descriptor
        subjects = list(new)
    return Belonging(tuple(manifests.values()), tuple(roots), tags)


def _subjects(image: Sequence[Manifest]) -> list[Digest]:
    """Return what can be signed: the image, and the images of an index, not their attestations."""
    attestations = {
        child.digest for manifest in image for child in manifest.children if child.is_attestation
    }
    digests = (manifest.descriptor.digest for manifest in reversed(image))
    return [digest for digest in digests if digest not in attestations]


class _Asker:
    """Asks what is about several manifests at once, because each question waits for the network.

    It is a class because the answers, and whether there is an API, are shared.

    Args:
        source: Whom.
    """

    def __init__(self, source: Remote) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._has_api: bool | None = None
        self._listed: dict[Digest, list[Descriptor]] = {}
        self._tagged: dict[str, Descriptor | None] = {}

    def ask(self, subjects: Iterable[Digest]) -> None:
        """Ask everything about *subjects*."""
        questions: list[tuple[Digest, str | None]] = []
        for subject in subjects:
            questions += [(subject, None), *((subject, tag) for tag in attached.tags_of(subject))]
        pool.run_all(questions, self._answer, pool.JOBS, "ask", grace=0.0)

    def answers(
        self, subjects: Iterable[Digest]
    ) -> Iterable[tuple[Digest, str | None, Descriptor]]:
        """Yield what was found: what it is about, the tag it has for that, and what it is."""
        for subject in subjects:
            for descriptor in self._listed[subject]:
                yield subject, None, descriptor
            for tag in attached.tags_of(subject):
                found = self._tagged[tag]
                if found is not None:
                    yield subject, tag, found

    def _answer(self, question: tuple[Digest, str | None], _stop: threading.Event) -> None:
        subject, tag = question
        if tag is None:
            listed = self._by_api(subject)
            self._listed[subject] = _by_tag(self._source, subject) if listed is None else listed
        else:
            self._tagged[tag] = self._find(tag)

    def _find(self, tag: str) -> Descriptor | None:
        source = self._source
        try:
            return remote.root(source, Reference(source.client.host, source.name, tag))[0]
        except NotFoundError:
            return None

    def _by_api(self, subject: Digest) -> list[Descriptor] | None:
        """Ask the API, once if there is none."""
        if self._has_api is None:
            with self._lock:
                if self._has_api is None:
                    listed = _by_api(self._source, subject)
                    self._has_api = listed is not None
                    return listed
        if not self._has_api:
            return None
        return _by_api(self._source, subject)


def _by_api(source: Remote, subject: Digest) -> list[Descriptor] | None:
    """Ask the referrers API, page by page; None if there is none."""
    client = source.client
    brief = replace(client.retry, budget=min(client.retry.budget, API_BUDGET))
    path = source.path(f"referrers/{subject}")
    try:
        answer = brief.run(lambda: _get(source, path, {200, 400, 404, 405}))
    except SealosHubError:
        return None
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    if answer.status != Status.OK or media_type != MediaType.OCI_INDEX:
        return None
    where = f"{source.shown}: the referrers of {subject}"
    entries = _entries(answer, where)
    for _ in range(MAX_PAGES):
        more = _next(source, answer)
        if more is None:
            return entries
        answer = client.retry.run(lambda target=more: _get(source, target, {200}))  # type: ignore[misc]  # a default binds it
        entries += _entries(answer, where)
        if len(entries) > MAX_DESCRIPTORS:
            raise InvalidInputError(f"{where} are more than {MAX_DESCRIPTORS}")
    raise InvalidInputError(f"{where} do not come to an end")


def _next(source: Remote, answer: Answer) -> str | None:
    """Return the path of the next page (RFC 8288); None on the last.

    Raises:
        UnavailableError: It is not at this registry.
    """
    links = _LINK.finditer(answer.headers.get("link", ""))
    target = next((link[1] for link in links if _NEXT.search(link[2])), None)
    if target is None:
        return None
    url = source.client.wire.resolve(answer.url, target)
    if realm.origin(url) != realm.origin(source.client.base().url):
        raise UnavailableError(
            f"{source.shown} continues its list of referrers at {failure.public_url(url)}"
        )
    return url.target


def _by_tag(source: Remote, subject: Digest) -> list[Descriptor]:
    tag = fallback_tag(subject)
    path = source.path(f"manifests/{tag}")
    answer = source.client.retry.run(lambda: _get(source, path, {200, 404}))
    if answer.status != Status.OK:
        return []
    return _entries(answer, f"{source.shown}:{tag}")


def _get(source: Remote, path: str, expect: set[int]) -> Answer:
    return source.client.request(
        "GET",
        path,
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
