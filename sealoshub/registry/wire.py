"""Requests without identity: one exchange, redirects, what a `Location` may say.

Below :mod:`sealoshub.registry.client`, which adds authentication; above
:mod:`sealoshub.registry.transport`, whose exceptions become errors of ours here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from sealoshub.errors import UnavailableError
from sealoshub.registry import failure, realm
from sealoshub.registry.failure import Answer
from sealoshub.registry.proxy import ProxySettingError
from sealoshub.registry.response import ExchangeError
from sealoshub.registry.url import Url, UrlError
from sealoshub.value import Value, field, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from sealoshub.registry.transport import Body, Opened, Transport
    from sealoshub.secret import Secret

# UnicodeError: the resolver's idna codec, for a label of more than 63 characters.
TRANSPORT_ERRORS: Final = (OSError, ExchangeError, ProxySettingError, UnicodeError)

MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD: Final = frozenset({307, 308})
# What a redirect to another host may see: the request itself, nothing about who asks.
_FOREIGN_HEADERS: Final = frozenset(
    {"accept", "content-type", "content-length", "content-range", "range"}
)


class Request(Value):
    """One request, without who asks.

    Args:
        method: Of HTTP.
        url: Where to.
        headers: Without `Authorization` and `Content-Length`.
        body: What to send; a :class:`Body` can be sent again.
        limit: Bytes of the answer's body that are read; the rest is dropped.
    """

    method: str
    url: Url
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | bytes | None = None
    limit: int = failure.MAX_ERROR_BODY


class Arriving:
    """An answer whose body is still to be read; use it in a `with` block.

    It is a class because it holds a connection until the body has been read.

    Args:
        request: What was asked, and where in the end, behind redirects.
        opened: The answer.
    """

    def __init__(self, request: Request, opened: Opened) -> None:
        self._request = request
        self._opened = opened
        self.method = request.method
        self.url = request.url
        self.status = opened.status
        self.headers = opened.headers

    def read(self, size: int) -> bytes:
        """Return up to *size* bytes of the body, at least one; none at the end.

        Raises:
            TransientError: The connection broke, or time ran out.
        """
        try:
            return self._opened.read(size)
        except TRANSPORT_ERRORS as exc:
            raise failure.from_transport(exc, self.method, self.url) from exc

    def answer(self) -> Answer:
        """Return it as a whole, its body up to the limit of the request.

        Raises:
            TransientError: As :meth:`read`.
        """
        try:
            body = self._opened.read_up_to(self._request.limit)
        except TRANSPORT_ERRORS as exc:
            raise failure.from_transport(exc, self.method, self.url) from exc
        return Answer(self.method, self.url, self.status, self.headers, body)

    def discard(self) -> None:
        """Read a short body to its end, so that the connection can be used again, and close it."""
        try:
            self._opened.read_up_to(failure.MAX_ERROR_BODY)
        except TRANSPORT_ERRORS:
            return
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection back; if the body was not read to its end, it is closed."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Wire:
    """The connections to one registry and to where it sends its visitors, safe for threads.

    It is a class because it owns the connections and remembers which warnings were said.

    Args:
        host: Of the registry, for messages.
        http: Follows no redirects and repeats nothing.
        on_note: Told about `Warning` headers, once each.
    """

    def __init__(self, host: str, http: Transport, on_note: Callable[[str], None]) -> None:
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
        with self.open(request, authorization) as arriving:
            return arriving.answer()

    def open(self, request: Request, authorization: Secret | None = None) -> Arriving:
        """Send *request* as :meth:`follow` does; the body of the answer is left to be read.

        Raises:
            UnavailableError: As :meth:`follow`.
        """
        url = request.url
        for _ in range(MAX_REDIRECTS):
            if url is request.url:
                arriving = self._ask(request, authorization)
            elif realm.origin(url) == realm.origin(request.url):
                arriving = self._ask(replace(request, url=url), authorization)
            else:
                kept = {k: v for k, v in request.headers.items() if k.lower() in _FOREIGN_HEADERS}
                arriving = self._ask(replace(request, url=url, headers=kept), None)
            try:
                target = self.redirect(arriving)
            except BaseException:
                arriving.close()
                raise
            if target is None:
                return arriving
            arriving.discard()
            url = target
        raise UnavailableError(f"{self.host} redirects in a circle")

    def redirect(self, answer: Answer | Arriving) -> Url | None:
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
        with self._ask(request, authorization) as arriving:
            return arriving.answer()

    def _ask(self, request: Request, authorization: Secret | None) -> Arriving:
        headers = dict(request.headers)
        if authorization is not None:
            headers["Authorization"] = authorization.reveal()
        try:
            opened = self._http.ask(request.method, request.url, headers, request.body)
        except TRANSPORT_ERRORS as exc:
            raise failure.from_transport(exc, request.method, request.url) from exc
        for warning in opened.headers.get_list("warning"):
            self._warn(warning)
        return Arriving(request, opened)

    def resolve(self, base: Url, location: str) -> Url:
        """Resolve a `Location` against the URL of the request that it answers (RFC 9110, 10.2.2).

        A registry behind a TLS proxy often says `http` for itself (distribution#479): the same host
        stays on https, another one is refused. The query is kept as it is, it is signed.

        Raises:
            UnavailableError: It leaves https, or is no web address.
        """
        try:
            url = base.join(location)
        except UrlError as exc:
            raise UnavailableError(f"{self.host} sent an address that is no URL") from exc
        if url.scheme not in {"http", "https"}:
            raise UnavailableError(f"{self.host} sent an address that is no web address")
        if base.scheme == "https" and url.scheme == "http":
            if url.host != base.host:
                raise UnavailableError(
                    f"{self.host} sends the request to {failure.public_url(url)}, which is not"
                    " encrypted",
                    code="DOWNGRADE",
                )
            port = base.port if url.port in {None, base.port} else url.port
            url = url.with_scheme("https", port)
        return url

    def _warn(self, header: str) -> None:
        # `299 - "text"` (distribution spec 1.1, "Warnings"); said once, however often it is sent.
        code, _, text = header.partition(" ")
        said = failure.clean(text.partition(" ")[2].strip('" '))
        if code == "299" and said and said not in self._warnings:
            self._warnings.add(said)
            self._note(f"{self.host} warns: {said}")
