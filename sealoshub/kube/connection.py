"""Requests to one API server: timeouts, the token's renewal, answers as our errors, watches."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from sealoshub.errors import SealosHubError, UnavailableError
from sealoshub.kube.answer import event
from sealoshub.kube.failure import error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sealoshub.kube import Object
    from sealoshub.kube.kubeconfig import ClusterCredential

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
RENEW_BEFORE: Final = timedelta(seconds=60)  # of a token's end; clocks differ

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Args:
        method: HTTP method.
        path: From the root of the server.
        what: What it does, for messages: `create Image team.app.v1`.
        query: Query parameters.
        body: An object, sent as JSON.
        content_type: What the server is to take the body for.
        read_seconds: How long the server may be silent.
    """

    method: str
    path: str
    what: str
    query: Mapping[str, str | int] | None = None
    body: Mapping[str, Any] | None = None
    content_type: str = JSON
    read_seconds: float = READ_SECONDS


class Connection:
    """A connection pool to one API server with one credential. Threads may share it.

    It is a class because the token and the running watches are state of the whole pool.

    Args:
        rest: The official client's `RESTClientObject`; its answers are urllib3's.
        credential: Whose token is sent.
        again: Reads the credential anew; None: it stays as it is.
        failures: What *rest* raises when the network or TLS fails.
    """

    def __init__(
        self,
        rest: Any,  # noqa: ANN401  # the official client has no types, and only cluster.py sees it
        credential: ClusterCredential,
        again: Callable[[], ClusterCredential] | None,
        failures: tuple[type[Exception], ...],
    ) -> None:
        self._failures = failures
        self.server = credential.server.rstrip("/")
        self._rest = rest
        self._token = credential.token
        self._expires = credential.expires
        self._again = again
        if credential.certificate_pem is not None:
            self._token = self._again = None  # the API server prefers the certificate anyway
        self._lock = threading.Lock()
        self._watches: set[Any] = set()

    def close(self) -> None:
        """End running watches and close the connections."""
        self.stop_watches()
        self._rest.close()

    def stop_watches(self) -> None:
        """End every running watch, from any thread; their iterators just end."""
        with self._lock:
            running = list(self._watches)
            self._watches.clear()  # which tells their readers that the end is wanted
        for response in running:
            # A watch that ends on its own at this moment has nothing left to shut down.
            with contextlib.suppress(Exception):
                response.shutdown()

    def call(self, request: Request) -> Object:
        """Send *request* and return the object that answers it.

        Raises:
            SealosHubError: By the status of the answer, see `kube.failure`.
        """
        status, content = self._exchange(request)
        if status == HTTPStatus.UNAUTHORIZED and self._renew(refused=True):
            status, content = self._exchange(request)
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise error_of(status, content, request.what)
        try:
            answer = json.loads(content)
        except ValueError as exc:
            raise UnavailableError(
                f"cannot {request.what}: {self.server} does not answer like an API server",
                hint="Check the server of the kubeconfig, and any proxy in between.",
            ) from exc
        return answer if isinstance(answer, dict) else {}

    def events(self, request: Request) -> Iterator[tuple[str, Object]]:
        """Send *request* and yield type and object of each line that comes.

        Raises:
            GoneError: The watch has to begin with a list again.
            UnavailableError: The connection broke.
        """
        response = self._send(request)
        with self._lock:
            self._watches.add(response)
        try:
            if response.status != HTTPStatus.OK:
                content = self._read(response, request.what)
                if response.status == HTTPStatus.UNAUTHORIZED:
                    self._renew(refused=True)
                raise error_of(response.status, content, request.what)
            for line in self._lines(response, request.what):
                yield event(line)
        finally:
            with self._lock:
                self._watches.discard(response)
            response.close()

    def _exchange(self, request: Request) -> tuple[int, bytes]:
        response = self._send(request)
        try:
            return int(response.status), self._read(response, request.what)
        finally:
            response.release_conn()

    def _send(self, request: Request) -> Any:  # noqa: ANN401  # as in the constructor
        self._renew(refused=False)
        headers = {"Accept": JSON, "User-Agent": "sealoshub"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.reveal()}"
        url = f"{self.server}{request.path}"
        if request.query:
            url += f"?{urlencode(request.query)}"
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        try:
            return self._rest.request(
                request.method,
                url,
                headers=headers,
                # The client writes JSON for the types it knows and takes bytes for the others.
                body=None if request.body is None else _body(request),
                _request_timeout=(CONNECT_SECONDS, request.read_seconds),
            ).response
        except self._failures as exc:
            raise self._unreachable(request.what, exc) from exc

    def _renew(self, *, refused: bool) -> bool:
        """Read the token again where that helps; tell whether there is another one now."""
        if self._again is None:
            return False
        due = self._expires is not None and datetime.now(UTC) > self._expires - RENEW_BEFORE
        if not (due or refused):
            return False
        try:
            found = self._again()
        except SealosHubError:
            # The old token may still do; if it does not, its refusal is the better message.
            return False
        changed = found.token is not None and found.token != self._token
        self._token, self._expires = found.token or self._token, found.expires
        return changed

    def _read(self, response: Any, what: str) -> bytes:  # noqa: ANN401  # as in the constructor
        try:
            return bytes(response.read())
        except self._failures as exc:
            raise self._unreachable(what, exc) from exc

    def _lines(self, response: Any, what: str) -> Iterator[bytes]:  # noqa: ANN401  # as above
        rest = b""
        while True:
            try:
                chunk = response.read1()
            except self._failures as exc:
                with self._lock:
                    wanted = response not in self._watches
                if wanted:
                    return
                raise self._unreachable(what, exc) from exc
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line for line in lines if line.strip())

    def _unreachable(self, what: str, exc: Exception) -> UnavailableError:
        # urllib3 repeats the URL and nests its exceptions; the innermost has the reason.
        reason: BaseException = exc
        while (inner := _inner(reason)) is not None:
            reason = inner
        text = str(reason).rsplit(": ", 1)[-1].strip() or type(reason).__name__
        return UnavailableError(
            f"cannot {what}: {self.server} cannot be reached: {text}",
            hint="Check the server of the kubeconfig, the network, and its certificate authority.",
        )


def _body(request: Request) -> Any:  # noqa: ANN401  # a dict or bytes, as the client wants it
    if request.content_type in {JSON, MERGE}:
        return dict(request.body or {})
    return json.dumps(request.body).encode()


def _inner(exc: BaseException) -> BaseException | None:
    reason = getattr(exc, "reason", None)
    if isinstance(reason, BaseException):
        return reason
    return next((arg for arg in exc.args if isinstance(arg, BaseException)), None)
