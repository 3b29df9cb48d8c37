"""Ask the one configured API server: who is this, may he; and the few objects that go with it.

The token server's side of Kubernetes. Nothing here reads a kubeconfig, an environment variable or
a proxy setting: the address, the CA and the credential are arguments, and a caller of the token
server has influence on none of them. Every call ends within :data:`CALL_SECONDS`.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sealoshub.errors import AuthenticationError, DeniedError, NotFoundError, UnavailableError
from sealoshub.kube import answer as answers
from sealoshub.kube.answer import Decision, ResourceAttributes, TokenReview
from sealoshub.kube.channel import Channel, now, posted
from sealoshub.kube.httpconnection import CutOffError, RefusedByTlsError, TooLargeError
from sealoshub.kube.watchedfile import WatchedFile

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from sealoshub.kube import UserInfo
    from sealoshub.secret import Secret

CALL_SECONDS: Final = 4.0  # a stalled API server must be a 503 of ours within 5 s
WATCH_SILENCE_SECONDS: Final = 15.0  # on top of a watch's own length: then the connection is dead
MAX_ANSWER: Final = 8 * 1024 * 1024  # bytes; a page of 500 objects is far below it
MAX_LINE: Final = 4 * 1024 * 1024  # bytes of one watch event; etcd's own limit is 1.5 MiB
PAGE: Final = 500  # objects of one list answer
SMALLER: Final = 8  # times, if that was too much at once

_T = TypeVar("_T")

_AUTHENTICATION: Final = "/apis/authentication.k8s.io/v1"
_AUTHORIZATION: Final = "/apis/authorization.k8s.io/v1"
_ACCESS_REVIEWS: Final = f"{_AUTHORIZATION}/subjectaccessreviews"
_SELF_REVIEWS: Final = f"{_AUTHENTICATION}/selfsubjectreviews"
_SELF_REVIEW: Final[Mapping[str, str]] = {
    "apiVersion": "authentication.k8s.io/v1",
    "kind": "SelfSubjectReview",
}
_SELF_REVIEW_CONTENT: Final = json.dumps(_SELF_REVIEW, separators=(",", ":")).encode()
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class ApiServer:
    """One API server, the token server's own credential for it, and a pool of connections.

    It is a class because the pool, the CA and the token are opened once and used by everybody.

    Args:
        server: `https://host:port`; plain http only for loopback.
        ca_file: PEM file of the CA; None for the system's. Read again when it changes.
        token_file: File with the token server's own bearer token, read again when it changes;
            None asks everything as nobody, which only tests do.
        call_seconds: Limit of one call, in seconds.

    Raises:
        InvalidInputError: *server* is no such URL.
    """

    def __init__(
        self,
        server: str,
        *,
        ca_file: Path | None = None,
        token_file: Path | None = None,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._channel = Channel(server, ca_file=ca_file, seconds=call_seconds)
        self._token = WatchedFile(token_file) if token_file else None
        self._heads: tuple[Mapping[str, str], bytes] | None = None
        self._heads_of = b""
        content_type = {"content-type": "application/json"}
        self._self_review_head = self._channel.head("POST", _SELF_REVIEWS, content_type)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._channel.aclose()

    # ------------------------------------------------------------------ reviews
    async def self_subject_review(self, token: Secret | None = None) -> UserInfo:
        """Return who the bearer of *token* is; of the token server itself for None.

        Raises:
            AuthenticationError: 401, the API server does not accept the token.
            DeniedError: 403, it accepts the token and lets the bearer not even ask.
            UnavailableError: No sensible answer in time.
        """
        if token is None:
            answer = await self._own("POST", _SELF_REVIEWS, _SELF_REVIEW)
            return answers.user(answer, "userInfo")
        text = token.reveal()
        if not text.isascii() or not text.isprintable():
            raise AuthenticationError("no API server has such a token")
        head = b"%bauthorization: Bearer %b\r\n" % (self._self_review_head, text.encode("ascii"))
        request = posted(head, _SELF_REVIEW_CONTENT)
        said = await self._channel.ask(request, limit=MAX_ANSWER, repeatable=True)
        return answers.user(answers.checked(said, "SelfSubjectReview"), "userInfo")

    async def self_subject_review_by_certificate(self, context: ssl.SSLContext) -> UserInfo:
        """Return who the client certificate loaded in *context* is (mutual TLS).

        Args:
            context: From :meth:`client_context`, with the certificate and its key loaded.

        Raises:
            AuthenticationError: The API server does not accept the certificate or its key.
            DeniedError: It accepts it and lets the bearer not even ask.
            UnavailableError: No sensible answer in time.
        """
        answer = await self._by_certificate(context)
        if answer is None:
            answer = await self._by_certificate(context)
        if answer is None:
            # Twice cut off with this certificate. If the server speaks to us, it is not down.
            await self.self_subject_review()
            raise AuthenticationError("the API server refuses connections with this certificate")
        return answers.user(answers.checked(answer, "SelfSubjectReview"), "userInfo")

    async def _by_certificate(self, context: ssl.SSLContext) -> tuple[int, bytes] | None:
        """Ask once; None if the server cut the connection off without a word."""
        try:
            return await self._channel.send_by(
                context, "POST", _SELF_REVIEWS, _SELF_REVIEW, limit=MAX_ANSWER
            )
        except RefusedByTlsError as exc:
            raise AuthenticationError("the API server refused the client certificate") from exc
        except CutOffError:
            return None

    async def token_review(self, token: Secret, audiences: Sequence[str] = ()) -> TokenReview:
        """Return who the bearer of *token* is, when it is for one of *audiences*.

        Args:
            token: The token in question.
            audiences: Accepted audiences; empty for the API server's own.

        Raises:
            AuthenticationError: The token is not accepted, or is for somebody else.
            UnavailableError: No sensible answer, or the token server may not ask.
        """
        spec: dict[str, Any] = {"token": token.reveal()}
        if audiences:
            spec["audiences"] = list(audiences)
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        status = (await self._own("POST", f"{_AUTHENTICATION}/tokenreviews", body)).get("status")
        if not isinstance(status, dict) or status.get("authenticated") is not True:
            raise AuthenticationError("the API server does not accept the token")
        found = answers.strings(status.get("audiences"))
        # An authenticator that knows no audiences answers with the API server's own.
        if audiences and not set(audiences) & set(found):
            raise AuthenticationError("the token is for another audience")
        return TokenReview(answers.user(status, "user"), found)

    async def subject_access_review(self, user: UserInfo, asked: ResourceAttributes) -> Decision:
        """Ask whether *user*, with all his groups, uid and extra, may do *asked*.

        Raises:
            UnavailableError: No sensible answer, or the token server may not ask.
        """
        return await self.begin_subject_access_review(answers.subject(user), asked)

    def begin_subject_access_review(
        self, who: str, asked: ResourceAttributes
    ) -> asyncio.Future[Decision]:
        """Begin to ask as :meth:`subject_access_review` does; the question is on its way at once.

        Args:
            who: The user, written by :func:`sealoshub.kube.answer.subject`.
            asked: What he wants to do.

        Raises:
            UnavailableError: The token server has no token.
        """
        request = posted(self._own_heads()[1], answers.subject_access_review(who, asked))
        return self._channel.begin(request, _decision, limit=MAX_ANSWER)

    # ------------------------------------------------------------------ objects
    async def get(self, path: str) -> dict[str, Any]:
        """Return the object at *path*.

        Raises:
            NotFoundError: It does not exist.
            UnavailableError: No sensible answer, or the token server may not read it.
        """
        return await self._own("GET", path)

    def begin_get(
        self, path: str, read: Callable[[dict[str, Any] | None], _T]
    ) -> asyncio.Future[_T]:
        """Begin to read the object at *path*; the question is on its way at once.

        Args:
            path: Of the object.
            read: Gets it, or None if it does not exist, and returns what the future will hold.

        Raises:
            UnavailableError: The token server has no token. The future fails with it without a
                sensible answer, or if the token server may not read the object.
        """

        def found(answer: tuple[int, bytes]) -> _T:
            try:
                return read(answers.own_checked(*answer, path))
            except NotFoundError:
                return read(None)

        request = self._channel.get(path, self._own_headers())
        return self._channel.begin(request, found, limit=MAX_ANSWER)

    async def metadata(self, path: str) -> dict[str, Any]:
        """Return the metadata of the object at *path*; its content is not asked for.

        Raises:
            NotFoundError: It does not exist.
            DeniedError: The token server may not look, where it need not be allowed to.
            UnavailableError: No sensible answer.
        """
        headers = {**self._own_headers(), "accept": _METADATA}
        status, content = await self._channel.send("GET", path, headers, limit=MAX_ANSWER)
        if status == HTTPStatus.FORBIDDEN:
            raise DeniedError(f"the token server may not look at {path}")
        found = answers.own_checked(status, content, path).get("metadata")
        return found if isinstance(found, dict) else {}

    async def list(
        self, path: str, *, label_selector: str = ""
    ) -> tuple[list[dict[str, Any]], str]:
        """Return all objects of the collection at *path*, and its resource version.

        Raises:
            NotFoundError: The API server does not serve the resource.
            UnavailableError: No sensible answer, or the token server may not read it.
        """
        items: list[dict[str, Any]] = []
        version = ""
        async for page, version in self.pages(path, label_selector=label_selector):  # noqa: B007  # that of the last page
            items.extend(page)
        return items, version

    async def pages(
        self, path: str, *, label_selector: str = ""
    ) -> AsyncIterator[tuple[Sequence[dict[str, Any]], str]]:
        """Yield the objects of the collection at *path* in pages, each with the resource version.

        For whoever keeps a little of each: 100,000 whole objects take 400 MB.

        Raises:
            NotFoundError: The API server does not serve the resource.
            UnavailableError: No sensible answer, or the token server may not read it.
        """
        limit = PAGE
        parameters = {"limit": str(limit)}
        if label_selector:
            parameters["labelSelector"] = label_selector
        while True:
            try:
                answer = await self._own("GET", path, parameters=parameters)
            except TooLargeError:
                # The longest lists in a status make a hundred times of a usual object.
                if limit == 1:
                    raise
                limit = max(1, limit // SMALLER)
                parameters["limit"] = str(limit)
                continue
            metadata = answer.get("metadata") or {}
            page = [item for item in answer.get("items") or () if isinstance(item, dict)]
            yield page, str(metadata.get("resourceVersion") or "")
            if not metadata.get("continue"):
                return
            parameters["continue"] = str(metadata["continue"])

    async def version(self, path: str) -> str:
        """Return the resource version of the collection at *path* as of now.

        It is no older than the question, whatever the API server remembers: whoever was told by a
        watch of everything up to this version knows all that had happened before he asked.

        Raises:
            NotFoundError: The API server does not serve the resource.
            UnavailableError: No sensible answer, or the token server may not read it.
        """
        nothing = {"fieldSelector": "metadata.name=none"}
        metadata = (await self._own("GET", path, parameters=nothing)).get("metadata") or {}
        return str(metadata.get("resourceVersion") or "")

    async def watch(
        self, path: str, *, resource_version: str, seconds: int
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield `(type, object)` of the changes since *resource_version*, for *seconds*.

        Types: `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK`.

        Raises:
            GoneError: The version is too old; list again.
            NotFoundError: The API server does not serve the resource.
            UnavailableError: The connection broke, or the token server may not watch.
        """
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        async with self._channel.stream(
            path, self._own_headers(), parameters, silence=seconds + WATCH_SILENCE_SECONDS
        ) as (status, pieces):
            if status != HTTPStatus.OK:
                body = b""
                async for piece in pieces:
                    body = (body + piece)[:MAX_LINE]
                answers.own_checked(status, body, path)
                raise UnavailableError(f"the API server answered a watch {status}")
            pending = b""
            async for piece in pieces:
                *lines, pending = (pending + piece).split(b"\n")
                if len(pending) > MAX_LINE:
                    raise UnavailableError("the API server sent an endless watch event")
                for line in lines:
                    yield answers.event(line)

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create *body* in the collection at *path*.

        Raises:
            ConflictError: It exists already.
            UnavailableError: No sensible answer, or the token server may not.
        """
        return await self._own("POST", path, body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge *body* into the object at *path* (RFC 7396).

        Raises:
            NotFoundError: It does not exist.
            UnavailableError: No sensible answer, or the token server may not.
        """
        return await self._own("PATCH", path, body, content_type="application/merge-patch+json")

    async def delete(self, path: str, *, uid: str = "") -> None:
        """Delete the object at *path*; only the one with *uid* if that is given.

        Raises:
            NotFoundError: It does not exist.
            ConflictError: Another object has the name now.
            UnavailableError: No sensible answer, or the token server may not.
        """
        options = {"apiVersion": "v1", "kind": "DeleteOptions"}
        body = {**options, "preconditions": {"uid": uid}} if uid else options
        await self._own("DELETE", path, body)

    # ------------------------------------------------------------------ our own credential
    def client_context(self) -> ssl.SSLContext:
        """Return a fresh TLS context that trusts the configured CA and nothing else.

        Raises:
            UnavailableError: The CA file cannot be read.
        """
        return self._channel.client_context()

    @property
    def ca_generation(self) -> int:
        """A number that grows when the CA changes; contexts made before are stale then."""
        return self._channel.ca_generation

    def _own_headers(self) -> Mapping[str, str]:
        return self._own_heads()[0]

    def _own_heads(self) -> tuple[Mapping[str, str], bytes]:
        """Return the headers of a question of our own, and the head of the most frequent one.

        Both are made anew when the token changes; its bytes are what is remembered of it.
        """
        token = b"" if self._token is None else self._token.read(now())[0]
        if self._heads is None or token is not self._heads_of:
            headers = {} if self._token is None else {"authorization": f"Bearer {_text(token)}"}
            fields = {"content-type": "application/json", **headers}
            self._heads = headers, self._channel.head("POST", _ACCESS_REVIEWS, fields)
            self._heads_of = token
        return self._heads

    async def _own(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Send a request with the token server's own credential."""
        headers = self._own_headers()
        if body is not None:
            headers = {**headers, "content-type": content_type}
        status, content = await self._channel.send(
            method, path, headers, body, parameters=parameters, limit=MAX_ANSWER
        )
        return answers.own_checked(status, content, path)


def _text(token: bytes) -> str:
    """Return the token server's own token.

    Raises:
        UnavailableError: It is none.
    """
    text = token.decode("ascii", "replace").strip()
    if not text or not text.isascii() or not text.isprintable():
        raise UnavailableError("the token server's own token file holds no token")
    return text


def _decision(answer: tuple[int, bytes]) -> Decision:
    said = answers.own_checked(*answer, _ACCESS_REVIEWS, answers.status_of_review)
    return answers.decision(said)
