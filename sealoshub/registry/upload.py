"""The steps of a blob upload, one function each (distribution specification 1.1, "Pushing blobs").

Every function sends one request and says which statuses it expects; none of them repeats anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sealoshub.errors import ContentRefusedError, SealosHubError, UnavailableError
from sealoshub.pattern import pattern
from sealoshub.registry import failure
from sealoshub.registry.status import Status
from sealoshub.registry.transport import Body
from sealoshub.value import Value, replace

if TYPE_CHECKING:
    from sealoshub.reference import Digest
    from sealoshub.registry.client import Client
    from sealoshub.registry.failure import Answer
    from sealoshub.registry.image import Blob
    from sealoshub.registry.transport import BodySource
    from sealoshub.registry.url import Url

OCTETS: Final = {"Content-Type": "application/octet-stream"}
# Quay writes `bytes=0-N`; everybody else `0-N`.
_RANGE: Final = pattern(r"(?:bytes=)?0-([0-9]{1,18})")


class Repository(Value):
    """A repository of a registry and the right to push to it.

    Args:
        client: Of the registry.
        name: `org/repo`.
    """

    client: Client
    name: str

    @property
    def scopes(self) -> tuple[str, ...]:
        """What a token for a push must hold."""
        return (f"repository:{self.name}:pull,push",)

    def path(self, rest: str) -> str:
        """Return the path of *rest* in this repository."""
        return f"/v2/{self.name}/{rest}"


class Session(Value):
    """An upload that a registry opened.

    Args:
        url: The newest `Location`; it changes with every answer.
        least: Bytes that the registry wants in every chunk but the last.
    """

    url: Url
    least: int = 0


class SessionLostError(SealosHubError):
    """The registry has forgotten the upload, or is not where we thought it was."""


class OffsetError(SealosHubError):
    """The registry has the upload, but not as much of it as we thought, or more.

    Args:
        message: What it said.
        session: With its newest address.
    """

    def __init__(self, message: str, session: Session) -> None:
        super().__init__(message)
        self.session = session


class TooLargeError(ContentRefusedError):
    """The request has too large a body (413): a smaller one may pass."""


def blob_exists(repository: Repository, digest: Digest) -> bool:
    """Tell whether the registry has the blob in this repository."""
    answer = repository.client.request(
        "HEAD",
        repository.path(f"blobs/{digest}"),
        expect={200, 404},
        scopes=repository.scopes,
    )
    return answer.status == Status.OK


def mount(repository: Repository, digest: Digest, source: str) -> Session | None:
    """Ask the registry to take the blob from its repository *source*.

    Returns:
        None if that was done; a session to upload it if the registry would rather have it sent.

    Raises:
        SealosHubError: It cannot be mounted; a plain upload may still work.
    """
    # The target first: some token servers look at the first scope only (go-containerregistry).
    answer = repository.client.request(
        "POST",
        repository.path(f"blobs/uploads/?mount={digest}&from={source}"),
        expect={201, 202},
        scopes=(*repository.scopes, f"repository:{source}:pull"),
    )
    if answer.status == Status.CREATED:
        _compare(answer, digest)
        return None
    return _opened(repository.client, answer)


def start_upload(repository: Repository) -> Session:
    """Open an upload.

    The form with `?digest=` and the body at once is not used: distribution 2.8 and 3.1 answer 202
    without reading the body and close the connection.
    """
    answer = repository.client.request(
        "POST", repository.path("blobs/uploads/"), expect={202}, scopes=repository.scopes
    )
    return _opened(repository.client, answer)


def put_blob(repository: Repository, session: Session, blob: Blob, body: BodySource) -> None:
    """Send all of *blob* in the request that closes the upload.

    Args:
        repository: Where to.
        session: Of this blob.
        blob: Its digest and size.
        body: Yields its content, anew with each call.

    Raises:
        TooLargeError: A proxy, or the registry, does not take so much at once.
        ContentRefusedError: The registry does not take it, or calls it something else.
        SessionLostError: The registry does not know the session.
    """
    answer = repository.client.request(
        "PUT",
        _with_digest(session.url, blob.digest),
        expect={201, 204, 400, 404, 413, 416},
        scopes=repository.scopes,
        headers=OCTETS,
        body=Body(body, blob.size),
    )
    _closed(answer, blob.digest)


def finish_upload(repository: Repository, session: Session, digest: Digest) -> None:
    """Close an upload whose bytes are all there.

    Raises:
        ContentRefusedError: What is there is not *digest*.
        SessionLostError: The registry does not know the session.
    """
    answer = repository.client.request(
        "PUT",
        _with_digest(session.url, digest),
        expect={201, 204, 400, 404, 413, 416},
        scopes=repository.scopes,
        headers=OCTETS,
    )
    _closed(answer, digest)


def patch_blob(
    repository: Repository,
    session: Session,
    chunk: range,
    body: BodySource,
) -> Session:
    """Send a part of a blob.

    Args:
        repository: Where to.
        session: Of this blob.
        chunk: The offsets of the bytes.
        body: Yields them, anew with each call.

    Raises:
        TooLargeError: A proxy, or the registry, does not take so much at once.
        OffsetError: The registry has another offset.
        SessionLostError: The registry does not know the session.
    """
    answer = repository.client.request(
        "PATCH",
        session.url,
        # 201 and 204: ECR and Quay.
        expect={201, 202, 204, 404, 413, 416},
        scopes=repository.scopes,
        # Inclusive and without `bytes `, unlike RFC 9110: Azure refuses the other form.
        headers={**OCTETS, "Content-Range": f"{chunk.start}-{chunk.stop - 1}"},
        body=Body(body, len(chunk)),
    )
    newest = _newest(repository.client, answer, session)
    if answer.status == Status.REQUESTED_RANGE_NOT_SATISFIABLE:
        # Quay says where it is in this very answer, distribution 3 only when asked.
        raise OffsetError(failure.from_answer(answer).message, newest)
    if answer.status == Status.NOT_FOUND:
        raise _lost(answer)
    _demand_room(answer)
    return newest


def proven_offset(
    repository: Repository, session: Session, sent: int
) -> tuple[int, Session] | None:
    """Ask how much of an upload has arrived.

    Args:
        repository: Where to.
        session: The upload that broke.
        sent: Bytes that may have arrived at most.

    Returns:
        The offset to go on from and the session with its newest address; None if the answer proves
        nothing.
    """
    answer = _status(repository, session.url)
    if answer.status != Status.NO_CONTENT and session.url.query is not None:
        # Signed by a secret that the registry has no longer: distribution makes a new one at each
        # start if it is given none, and 3.x knows its uploads without it.
        answer = _status(repository, session.url.with_target(session.url.path))
    if answer.status != Status.NO_CONTENT:
        return None
    offset = received(answer.headers.get("range", ""))
    if offset is None or offset > sent:
        return None
    return offset, _newest(repository.client, answer, session)


def _status(repository: Repository, url: Url) -> Answer:
    answer = repository.client.request("GET", url, expect=range(200, 500), scopes=repository.scopes)
    if answer.status in failure.TRANSIENT:
        raise failure.from_answer(answer)
    return answer


def received(header: str) -> int | None:
    """Return how many bytes a `Range` of an upload's status stands for.

    Returns:
        At least two, or None if it proves nothing: `0-0` stands for no byte as well as for one.
    """
    found = _RANGE.fullmatch(header.strip(" \t"))
    count = int(found[1]) + 1 if found is not None else 0
    return count if count > 1 else None


def cancel(repository: Repository, session: Session) -> bool:
    """Tell the registry to forget an upload.

    Returns:
        Whether it was told: no matter what it answered, but that it did.
    """
    try:
        repository.client.request(
            "DELETE", session.url, expect=range(200, 600), scopes=repository.scopes
        )
    except SealosHubError:
        return False
    return True


def _closed(answer: Answer, digest: Digest) -> None:
    if answer.status in {201, 204}:
        _compare(answer, digest)
        return
    codes = answer.codes()
    if answer.status in {404, 416} or any(code.startswith("BLOB_UPLOAD_") for code in codes):
        raise _lost(answer)
    _demand_room(answer)
    raise failure.from_answer(answer)


def _demand_room(answer: Answer) -> None:
    if answer.status == Status.REQUEST_ENTITY_TOO_LARGE:
        error = failure.from_answer(answer)
        raise TooLargeError(error.message, hint=error.hint, code=error.code)


def _compare(answer: Answer, digest: Digest) -> None:
    told = answer.headers.get("docker-content-digest")
    if told is not None and told != digest.text:
        # distribution 2.8 takes a sha512 name with 201 and stores the content as sha256.
        raise ContentRefusedError(
            f"{answer.url.host} stored {digest} under another name: {failure.clean(told, 150)}"
        )


def _lost(answer: Answer) -> SessionLostError:
    error = failure.from_answer(answer)
    return SessionLostError(error.message, code=error.code)


def _opened(client: Client, answer: Answer) -> Session:
    location = answer.headers.get("location")
    if not location:
        raise UnavailableError(
            f"{answer.method} {failure.public_url(answer.url)} was answered without saying where to"
            " upload",
            hint="This does not look like a registry.",
        )
    least = answer.headers.get("oci-chunk-min-length", "").strip()
    return Session(
        client.wire.resolve(answer.url, location),
        int(least) if re.fullmatch(r"[0-9]{1,12}", least, re.ASCII) else 0,
    )


def _newest(client: Client, answer: Answer, session: Session) -> Session:
    location = answer.headers.get("location")
    if not location:
        return session
    return replace(session, url=client.wire.resolve(answer.url, location))


def _with_digest(url: Url, digest: Digest) -> Url:
    # The query is signed: it stays byte for byte, and the digest is added behind it.
    return url.add_query(f"digest={digest}")
