"""Ask the one configured API server: who is this, may he; and the few objects that go with it.

The token server's side of Kubernetes. Nothing here reads a kubeconfig, an environment variable or
a proxy setting: the address, the CA and the credential are arguments, and a caller of the token
server has influence on none of them. Every call ends within :data:`CALL_SECONDS`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from sealoshub.errors import (
    AuthenticationError,
    DeniedError,
    InvalidInputError,
    UnavailableError,
)
from sealoshub.kube import answer as answers
from sealoshub.kube.answer import Decision, ResourceAttributes, TokenReview
from sealoshub.kube.watchedfile import WatchedFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from sealoshub.kube import UserInfo
    from sealoshub.secret import Secret

CALL_SECONDS: Final = 4.0  # a stalled API server must be a 503 of ours within 5 s
CONNECT_SECONDS: Final = 2.0
WATCH_SILENCE_SECONDS: Final = 15.0  # on top of a watch's own length: then the connection is dead
MAX_CONNECTIONS: Final = 64
MAX_ANSWER: Final = 8 * 1024 * 1024  # bytes; a page of 500 objects is far below it
MAX_LINE: Final = 4 * 1024 * 1024  # bytes of one watch event; etcd's own limit is 1.5 MiB
PAGE: Final = 500  # objects of one list answer
SMALLER: Final = 8  # times, if that was too much at once

_AUTHENTICATION: Final = "/apis/authentication.k8s.io/v1"
_AUTHORIZATION: Final = "/apis/authorization.k8s.io/v1"
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_CUT_OFF: Final = (
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
    ConnectionError,
)


class _TooLargeError(UnavailableError):
    """An answer is longer than any that is believed."""


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
        parts = urlsplit(server)
        local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise InvalidInputError(f"{server!r} is not the URL of an API server")
        if parts.scheme == "http" and not local:
            raise InvalidInputError(
                f"{server!r} is not encrypted", hint="Use https; http is for loopback only."
            )
        self._server = server.rstrip("/")
        self._ca = WatchedFile(ca_file) if ca_file else None
        self._token = WatchedFile(token_file) if token_file else None
        self._seconds = call_seconds
        self._client: httpx.AsyncClient | None = None
        self._generation = 0
        self._retired: list[httpx.AsyncClient] = []

    async def aclose(self) -> None:
        """Close every connection."""
        clients, self._retired = [*self._retired, self._client], []
        self._client = None
        for client in clients:
            if client is not None:
                await client.aclose()

    # ------------------------------------------------------------------ reviews
    async def self_subject_review(self, token: Secret | None = None) -> UserInfo:
        """Return who the bearer of *token* is; of the token server itself for None.

        Raises:
            AuthenticationError: 401, the API server does not accept the token.
            DeniedError: 403, it accepts the token and lets the bearer not even ask.
            UnavailableError: No sensible answer in time.
        """
        path, body = _self_review()
        if token is None:
            return answers.user(await self._own("POST", path, body), "userInfo")
        headers = {"authorization": f"Bearer {token.reveal()}"}
        async with self._deadline():
            answer = await self._send(self._pool(), "POST", path, headers, body)
        return answers.user(answers.checked(answer, "SelfSubjectReview"), "userInfo")

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
        """Ask once; None if the server cut the connection off without a word.

        With TLS 1.3 the server judges a certificate after the handshake, while the request is
        on its way already; the reset that follows may overtake its alert.
        """
        path, body = _self_review()
        # A connection of its own: TLS authenticates connections, so they cannot be shared.
        client = self._make_client(context, connections=1)
        try:
            async with self._deadline():
                return await self._send(client, "POST", path, {}, body)
        except UnavailableError as exc:
            if _refused_by_tls(exc):
                raise AuthenticationError("the API server refused the client certificate") from exc
            if isinstance(exc.__cause__, _CUT_OFF):
                return None
            raise
        finally:
            await client.aclose()

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
        body = answers.subject_access_review(user, asked)
        answer = await self._own("POST", f"{_AUTHORIZATION}/subjectaccessreviews", body)
        return answers.decision(answer)

    # ------------------------------------------------------------------ objects
    async def get(self, path: str) -> dict[str, Any]:
        """Return the object at *path*.

        Raises:
            NotFoundError: It does not exist.
            UnavailableError: No sensible answer, or the token server may not read it.
        """
        return await self._own("GET", path)

    async def metadata(self, path: str) -> dict[str, Any]:
        """Return the metadata of the object at *path*; its content is not asked for.

        Raises:
            NotFoundError: It does not exist.
            DeniedError: The token server may not look, where it need not be allowed to.
            UnavailableError: No sensible answer.
        """
        headers = {**self._own_headers(), "accept": _METADATA}
        async with self._deadline():
            status, content = await self._send(self._pool(), "GET", path, headers, None)
        if status == httpx.codes.FORBIDDEN:
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
            except _TooLargeError:
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
        request = self._pool().build_request(
            "GET",
            self._server + path,
            params=parameters,
            headers=self._own_headers(),
            timeout=httpx.Timeout(CONNECT_SECONDS, read=seconds + WATCH_SILENCE_SECONDS),
        )
        async with self._stream(request) as answer:
            if answer.status_code != httpx.codes.OK:
                body = await answer.aread()
                answers.own_checked(answer.status_code, body, path)
                raise UnavailableError(f"the API server answered a watch {answer.status_code}")
            pending = b""
            async for chunk in answer.aiter_bytes():
                *lines, pending = (pending + chunk).split(b"\n")
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

    # ------------------------------------------------------------------ transport
    def client_context(self) -> ssl.SSLContext:
        """Return a fresh TLS context that trusts the configured CA and nothing else.

        Raises:
            UnavailableError: The CA file cannot be read.
        """
        # Not `create_default_context`, which writes session keys to $SSLKEYLOGFILE.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._ca is None:
            if self._server.startswith("https:"):
                context.load_default_certs()
            return context
        content, _ = self._ca.read(_now())
        try:
            context.load_verify_locations(cadata=content.decode("ascii"))
        except (ssl.SSLError, ValueError) as exc:
            raise UnavailableError("the CA file of the API server holds no certificate") from exc
        return context

    @property
    def ca_generation(self) -> int:
        """A number that grows when the CA changes; contexts made before are stale then."""
        return 0 if self._ca is None else self._ca.read(_now())[1]

    def _pool(self) -> httpx.AsyncClient:
        generation = self.ca_generation
        if self._client is not None and generation != self._generation:
            # Calls under way finish on the old pool; it is closed with this object.
            self._retired.append(self._client)
            self._client = None
        if self._client is None:
            self._client = self._make_client(self.client_context(), connections=MAX_CONNECTIONS)
            self._generation = generation
        return self._client

    def _make_client(self, context: ssl.SSLContext, *, connections: int) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=context
            if self._server.startswith("https:")
            else False,  # http on loopback has nothing to verify
            trust_env=False,  # no proxy, no .netrc, no SSL_CERT_FILE
            follow_redirects=False,
            timeout=httpx.Timeout(self._seconds, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            headers={"accept": "application/json", "user-agent": "sealoshub-auth-server"},
        )

    def _own_headers(self) -> dict[str, str]:
        if self._token is None:
            return {}
        text = self._token.read(_now())[0].decode("ascii", "replace").strip()
        if not text or not text.isascii() or not text.isprintable():
            raise UnavailableError("the token server's own token file holds no token")
        return {"authorization": f"Bearer {text}"}

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
            headers["content-type"] = content_type
        async with self._deadline():
            answer = await self._send(
                self._pool(), method, path, headers, body, parameters=parameters
            )
        return answers.own_checked(answer[0], answer[1], path)

    async def _send(  # noqa: PLR0913  # the parts of an HTTP request
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
        *,
        parameters: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        kind = {} if content is None else {"content-type": "application/json"}
        request = client.build_request(
            method,
            self._server + path,
            params=parameters,
            headers={**kind, **headers},
            content=content,
        )
        async with self._stream(request, client) as answer:
            received = bytearray()
            async for chunk in answer.aiter_bytes():
                received += chunk
                if len(received) > MAX_ANSWER:
                    raise _TooLargeError(f"the API server answered {path} without end")
            return answer.status_code, bytes(received)

    @asynccontextmanager
    async def _stream(
        self, request: httpx.Request, client: httpx.AsyncClient | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Open the answer; httpx's exceptions do not leave this method."""
        answer: httpx.Response | None = None
        try:
            answer = await (client or self._pool()).send(request, stream=True)
            yield answer
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, RuntimeError) as exc:
            # OSError: a TLS alert that comes with the first read passes httpx as it is.
            # RuntimeError: a pool that was closed under a call, at shutdown.
            what = type(exc).__name__
            raise UnavailableError(f"the API server does not answer ({what})") from exc
        finally:
            if answer is not None:
                await answer.aclose()

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError as exc:
            raise UnavailableError(
                f"the API server did not answer within {self._seconds:g} s"
            ) from exc


def _self_review() -> tuple[str, dict[str, Any]]:
    return f"{_AUTHENTICATION}/selfsubjectreviews", {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "SelfSubjectReview",
    }


def _refused_by_tls(exc: BaseException) -> bool:
    """Tell whether a TLS alert of the server, and no failing network, is behind *exc*.

    With TLS 1.3 the refusal of a client certificate arrives with the first read, after the
    handshake; a certificate without its key fails in the handshake.
    """
    seen: BaseException | None = exc
    while seen is not None:
        if isinstance(seen, ssl.SSLError) and "ALERT" in (seen.reason or ""):
            return "INTERNAL_ERROR" not in (seen.reason or "")
        seen = seen.__cause__ or seen.__context__
    return False


def _now() -> float:
    return asyncio.get_running_loop().time()
