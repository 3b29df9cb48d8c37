"""Requests without identity: one exchange, redirects, what a `Location` may say.

Below :mod:`sealoshub.registry.client`, which adds authentication. The only module that calls httpx
to send something.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import httpx

from sealoshub.errors import UnavailableError
from sealoshub.registry import failure, realm
from sealoshub.registry.failure import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sealoshub.registry.transport import Body
    from sealoshub.secret import Secret

MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD: Final = frozenset({307, 308})
# What a redirect to another host may see: the request itself, nothing about who asks.
_FOREIGN_HEADERS: Final = frozenset(
    {"accept", "content-type", "content-length", "content-range", "range"}
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, without who asks.

    Args:
        method: Of HTTP.
        url: Where to.
        headers: Without `Authorization` and `Content-Length`.
        body: What to send; a :class:`Body` can be sent again.
        limit: Bytes of the answer's body that are read; the rest is dropped.
    """

    method: str
    url: httpx.URL
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | bytes | None = None
    limit: int = failure.MAX_ERROR_BODY

    @property
    def length(self) -> int:
        """Bytes of the body."""
        if self.body is None:
            return 0
        return len(self.body) if isinstance(self.body, bytes) else self.body.length


class Wire:
    """The connections to one registry and to where it sends its visitors, safe for threads.

    It is a class because it owns the connections and remembers which warnings were said.

    Args:
        host: Of the registry, for messages.
        http: Follows no redirects and repeats nothing.
        on_note: Told about `Warning` headers, once each.
    """

    def __init__(self, host: str, http: httpx.Client, on_note: Callable[[str], None]) -> None:
        self.host = host
        self._http = http
        self._note = on_note
        self._warnings: set[str] = set()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def follow(self, request: Request, authorization: Secret | None = None) -> Answer:
        """Send *request*, behind redirects too; *authorization* never leaves its origin.

        Raises:
            UnavailableError: No answer, a circle, or a redirect out of https.
        """
        url = request.url
        for _ in range(MAX_REDIRECTS):
            if realm.origin(url) == realm.origin(request.url):
                answer = self.send(replace(request, url=url), authorization)
            else:
                kept = {k: v for k, v in request.headers.items() if k.lower() in _FOREIGN_HEADERS}
                answer = self.send(replace(request, url=url, headers=kept))
            target = self.redirect(answer)
            if target is None:
                return answer
            url = target
        raise UnavailableError(f"{self.host} redirects in a circle")

    def redirect(self, answer: Answer) -> httpx.URL | None:
        """Return where *answer* sends the same request; None if it is not such an answer."""
        location = answer.headers.get("location")
        if answer.status not in _REDIRECTS or not location:
            return None
        if answer.method not in {"GET", "HEAD"} and answer.status not in _KEEP_METHOD:
            return None
        return self.resolve(answer.url, location)

    def send(self, request: Request, authorization: Secret | None = None) -> Answer:
        """Send *request* once, to its URL and nowhere else.

        Raises:
            TransientError: The connection broke or was refused, or time ran out.
            UnavailableError: The name is unknown, the certificate is not trusted, or no TLS.
        """
        headers = dict(request.headers)
        if authorization is not None:
            headers["Authorization"] = authorization.reveal()
        if request.method in {"POST", "PUT", "PATCH"}:
            headers["Content-Length"] = str(request.length)
        try:
            with self._http.stream(
                request.method, request.url, headers=headers, content=request.body
            ) as response:
                body = _limited(response.iter_raw(), request.limit)
                status, received = response.status_code, response.headers
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
            # UnicodeError: the resolver's idna codec, for a label of more than 63 characters.
            raise failure.from_transport(exc, request.method, request.url) from exc
        for warning in received.get_list("warning"):
            self._warn(warning)
        return Answer(request.method, request.url, status, received, body)

    def resolve(self, base: httpx.URL, location: str) -> httpx.URL:
        """Resolve a `Location` against the URL of the request that it answers (RFC 9110, 10.2.2).

        A registry behind a TLS proxy often says `http` for itself (distribution#479): the same host
        stays on https, another one is refused. The query is kept as it is, it is signed.

        Raises:
            UnavailableError: It leaves https, or is no web address.
        """
        try:
            url = base.join(location)
        except (httpx.InvalidURL, ValueError) as exc:
            raise UnavailableError(f"{self.host} sent an address that is no URL") from exc
        if url.scheme not in {"http", "https"} or not url.host:
            raise UnavailableError(f"{self.host} sent an address that is no web address")
        if base.scheme == "https" and url.scheme == "http":
            if url.host != base.host:
                raise UnavailableError(
                    f"{self.host} sends the request to {failure.public_url(url)}, which is not"
                    " encrypted",
                    code="DOWNGRADE",
                )
            port = base.port if url.port in {None, base.port} else url.port
            url = url.copy_with(scheme="https", port=port)
        return url

    def _warn(self, header: str) -> None:
        # `299 - "text"` (distribution spec 1.1, "Warnings"); said once, however often it is sent.
        code, _, text = header.partition(" ")
        said = failure.clean(text.partition(" ")[2].strip('" '))
        if code == "299" and said and said not in self._warnings:
            self._warnings.add(said)
            self._note(f"{self.host} warns: {said}")


def _limited(blocks: Iterator[bytes], limit: int) -> bytes:
    received = bytearray()
    for block in blocks:
        received += block
        if len(received) >= limit:
            break
    return bytes(received[:limit])
