"""Reading a repository of a registry: manifests by name, blobs as streams from any offset on.

Distribution specification 1.1, "Pulling manifests" and "Pulling blobs". A registry is not trusted:
whatever it sends is compared with the digest that was asked for, and what has none is hashed here
and pinned from then on, so that a tag that moves meanwhile does no harm.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, NotFoundError, UnavailableError
from sealoshub.reference import INDEX_TYPES, MANIFEST_TYPES, Digest, MediaType
from sealoshub.registry import failure
from sealoshub.registry.failure import TransientError, clean
from sealoshub.registry.image import MAX_MANIFEST, Descriptor, parse_object
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealoshub.reference import Reference
    from sealoshub.registry.client import Client
    from sealoshub.registry.failure import Answer
    from sealoshub.registry.wire import Arriving

_TYPES: Final = (
    MediaType.OCI_INDEX,
    MediaType.OCI_MANIFEST,
    MediaType.DOCKER_INDEX,
    MediaType.DOCKER_MANIFEST,
)
ACCEPT: Final = ", ".join(_TYPES)
_SCHEMA_1: Final = "application/vnd.docker.distribution.manifest.v1+"
# What servers say that do not know what they store: then the document itself says it.
_VAGUE: Final = frozenset({"", "application/json", "application/octet-stream", "text/plain"})
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
_OK: Final = 200
_PARTIAL: Final = 206
_NOT_SATISFIABLE: Final = 416


class Remote(Value):
    """A repository and the right to pull from it.

    Args:
        client: Of the registry.
        name: `org/repo`.
    """

    client: Client
    name: str

    @property
    def scopes(self) -> tuple[str, ...]:
        """What a token for a pull must hold."""
        return (f"repository:{self.name}:pull",)

    @property
    def shown(self) -> str:
        """`host/org/repo`, for messages."""
        return f"{self.client.host}/{self.name}"

    def path(self, rest: str) -> str:
        """Return the path of *rest* in this repository."""
        return f"/v2/{self.name}/{rest}"


class Stream:
    """The answer to a GET of a blob: its bytes from :attr:`start` on.

    Args:
        answer: What the client opened.
        start: Offset of the first byte.
    """

    def __init__(self, answer: Arriving, start: int) -> None:
        self._answer = answer
        self.start = start

    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes, none at the end.

        Raises:
            TransientError: The connection broke.
        """
        return self._answer.read(size)


def root(remote: Remote, reference: Reference) -> tuple[Descriptor, bytes]:
    """Fetch what *reference* names: its digest if it has one, else its tag, else `latest`.

    Raises:
        NotFoundError: There is no such manifest.
        InvalidInputError: It is not what its digest says, too large, or of an old kind.
        DeniedError: The user may not pull there.
        UnavailableError: The network or the registry gave up after the retries.
    """
    target = str(reference.digest or reference.tag or "latest")
    answer = _get(remote, target, str(reference))
    content = answer.body
    digest = reference.digest or _told(answer) or Digest.of(content)
    compare(digest, content, str(reference))
    media_type = _media_type(answer, str(reference))
    return Descriptor(media_type, digest, len(content)), content


def manifest(remote: Remote, descriptor: Descriptor) -> bytes:
    """Fetch the manifest that *descriptor* is about.

    Raises:
        NotFoundError: The registry does not have it.
        InvalidInputError: It is not what the descriptor says.
        UnavailableError: As :func:`root`.
    """
    name = f"{remote.shown}@{descriptor.digest}"
    content = _get(remote, str(descriptor.digest), name).body
    if len(content) != descriptor.size:
        raise InvalidInputError(
            f"{name} has {len(content)} bytes, its descriptor says {descriptor.size}",
            code="SIZE_MISMATCH",
        )
    compare(descriptor.digest, content, name)
    return content


@contextlib.contextmanager
def blob(remote: Remote, descriptor: Descriptor, start: int = 0) -> Iterator[Stream]:
    """Open a blob, once, without a retry.

    No `If-Range`: the digest in the address already says which content is meant, and object
    storage behind a redirect has other entity tags than the registry.

    Args:
        remote: Where.
        descriptor: Which.
        start: First byte that is wanted; less than its size.

    Yields:
        The stream. It may begin before *start*: then the server knows no ranges, or has another
        idea of them, and what was read before is to be forgotten.

    Raises:
        NotFoundError: The registry does not have it.
        InvalidInputError: It has another size than the descriptor says.
        TransientError: It may work later.
    """
    headers = {"Range": f"bytes={start}-"} if start else {}
    path = remote.path(f"blobs/{descriptor.digest}")
    expect = {_OK, _PARTIAL, _NOT_SATISFIABLE, 404} if start else {_OK, 404}
    with remote.client.open(path, scopes=remote.scopes, headers=headers, expect=expect) as answer:
        if answer.status == 404:  # noqa: PLR2004  # of HTTP
            raise NotFoundError(
                f"{remote.shown} does not have {descriptor.digest}, which its manifest lists",
                code="BLOB_UNKNOWN",
                hint="The image is damaged there; push it again.",
            )
        if answer.status == _NOT_SATISFIABLE:
            # It has fewer bytes than we, or cannot count: from the beginning, without a range.
            raise RangeRefusedError(f"{remote.shown} refuses a range of {descriptor.digest}")
        begin = start if answer.status == _PARTIAL else 0
        if answer.status == _PARTIAL:
            _check_range(remote, descriptor, start, answer)
        length = answer.headers.get("content-length", "")
        if length.isdecimal() and int(length) != descriptor.size - begin:
            raise InvalidInputError(
                f"{remote.shown} has {begin + int(length)} bytes of {descriptor.digest}, its"
                f" descriptor says {descriptor.size}",
                code="SIZE_MISMATCH",
            )
        yield Stream(answer, begin)


class RangeRefusedError(UnavailableError):
    """The registry does not give the rest of a blob; the whole may be had."""


def _check_range(remote: Remote, descriptor: Descriptor, start: int, answer: Arriving) -> None:
    told = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    total = "*" if told is None else told[2]
    if told is None or int(told[1]) != start or total not in {"*", str(descriptor.size)}:
        raise RangeRefusedError(f"{remote.shown} answers another range of {descriptor.digest}")


def _get(remote: Remote, target: str, name: str) -> Answer:
    """Fetch a manifest; a registry without it, or without the repository, has no such image."""
    client = remote.client
    answer = client.retry.run(
        lambda: client.request(
            "GET",
            remote.path(f"manifests/{target}"),
            expect={_OK, 404},
            scopes=remote.scopes,
            headers={"Accept": ACCEPT},
            limit=MAX_MANIFEST + 1,
        )
    )
    if answer.status != _OK:
        said = failure.words(answer)
        raise NotFoundError(f"there is no {name}" + (f": {said}" if said else ""))
    if len(answer.body) > MAX_MANIFEST:
        raise InvalidInputError(f"the manifest of {name} is larger than {MAX_MANIFEST} bytes")
    return answer


def _told(answer: Answer) -> Digest | None:
    """Return what the registry says the digest is; it may use another algorithm than we would."""
    with contextlib.suppress(InvalidInputError):
        return Digest.parse(answer.headers.get("docker-content-digest", ""))
    return None


def short(remote: Remote, descriptor: Descriptor, left: int) -> TransientError:
    """Return the error for a blob that ended before it should."""
    return TransientError(
        f"{remote.shown} ends {left} bytes before the end of {descriptor.digest}", code="SHORT"
    )


def compare(digest: Digest, content: bytes, name: str) -> None:
    """Compare *content* with its digest.

    Raises:
        InvalidInputError: It has another one.
    """
    hasher = digest.hasher(len(content))
    hasher.update(content)
    if hasher.hexdigest() != digest.hex:
        raise InvalidInputError(
            f"what the registry gives as {name} has another digest than {digest}",
            code="DIGEST_MISMATCH",
            hint="Something between here and the registry changes it, or the registry is broken.",
        )


def _media_type(answer: Answer, name: str) -> str:
    told = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if told in _VAGUE:
        document: Mapping[str, object] = parse_object(answer.body, f"manifest {name}")
        told = str(document.get("mediaType") or "")
        if not told and document.get("schemaVersion") == 1:
            told = f"{_SCHEMA_1}json"
    if told.startswith(_SCHEMA_1):
        raise InvalidInputError(
            f"{name} is an image of Docker's schema 1, which has no digests of its content",
            code="SCHEMA_1",
            hint="Pull it with a client that still can (skopeo copy), and push it again.",
        )
    if told not in INDEX_TYPES | MANIFEST_TYPES:
        raise InvalidInputError(f"{name} is no image but {clean(told, 100) or 'of no kind'!r}")
    return told
