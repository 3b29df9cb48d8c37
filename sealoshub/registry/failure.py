"""From what a server or the network did to an error that a user understands.

Everything a server wrote is hostile text: HTML is cut, escape sequences and control characters are
removed, and no more than 64 KiB of a body is ever read. URLs lose their query, which carries upload
state and sometimes signatures.
"""

from __future__ import annotations

import email.utils
import html
import json
import re
import socket
import ssl
import time
import unicodedata
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import httpx

from sealoshub.errors import (
    AuthenticationError,
    ContentRefusedError,
    DeniedError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_ERROR_BODY: Final = 64 * 1024  # bytes of an error's body that are read
MAX_TEXT: Final = 500  # characters of a server's words that are shown

# 425 and 520 to 529: proxies in front of a registry that restarts.
TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 530)})

# How OpenSSL reads the answer of a server that speaks HTTP on this port.
_PLAIN_SIGNS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER")

_ESCAPE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x1b\\|\x07|$)|\x1b.", re.DOTALL
)
_INVISIBLE: Final = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<[^<>]{0,2000}>")
_TITLE: Final = re.compile(r"<title[^>]*>([^<]*)</title>", re.IGNORECASE)


_BY_STATUS: Final[Mapping[int, tuple[type[SealosHubError], str | None]]] = MappingProxyType(
    {
        401: (AuthenticationError, None),
        403: (DeniedError, None),
        404: (NotFoundError, None),
        413: (
            ContentRefusedError,
            "A proxy before the registry limits the size of a request; ask the operator.",
        ),
    }
)


class TransientError(UnavailableError):
    """A failure that may pass: the retry policy tries the step again.

    Args:
        message: As for every error.
        hint: As for every error.
        code: As for every error.
        retry_after: Seconds that the server asked to wait; None if it did not.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of a server.

    Args:
        method: Of the request.
        url: Where it came from in the end, behind redirects.
        status: HTTP status.
        headers: As received.
        body: At most the number of bytes the caller allowed.
    """

    method: str
    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes = b""

    def codes(self) -> tuple[str, ...]:
        """The registry's error codes (distribution spec, "Error Codes"), in order."""
        return tuple(code for code, _ in _problems(self.body))


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Return *text* on one line, without escape sequences, control or invisible characters."""
    text = _ESCAPE.sub("", text)
    kept = (" " if char.isspace() else char for char in text if _is_shown(char))
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def public_url(url: httpx.URL) -> str:
    """Return *url* without what may be secret: user, query, fragment."""
    return str(url.copy_with(username="", password="", query=None, fragment=None))


def words(answer: Answer) -> str:
    """Return what the server said: its codes and messages, or the text of its page."""
    problems = [
        f"{code}: {message}" if message and message.lower() != code.lower() else code
        for code, message in _problems(answer.body)
    ]
    if problems:
        return clean("; ".join(problems))
    text = answer.body[:MAX_ERROR_BODY].decode("utf-8", "replace")
    if "<" in text:
        title = _TITLE.search(text)
        text = title[1] if title else _TAG.sub(" ", _INVISIBLE.sub(" ", text))
        text = html.unescape(text)
    return clean(text)


def from_answer(answer: Answer) -> SealosHubError:
    """Return the error for an answer that the step did not expect."""
    said = words(answer)
    what = f"{answer.method} {public_url(answer.url)} was answered with {answer.status}"
    message = f"{what}: {said}" if said else what
    codes = answer.codes()
    code = clean(codes[0], 80) if codes else None
    if answer.status in TRANSIENT:
        return TransientError(message, code=code, retry_after=retry_after(answer.headers))
    if answer.status in _BY_STATUS:
        kind, hint = _BY_STATUS[answer.status]
        return kind(message, code=code, hint=hint)
    if httpx.codes.is_client_error(answer.status):
        return ContentRefusedError(message, code=code)
    return UnavailableError(message, code=code, hint="This does not look like a registry.")


def retry_after(headers: httpx.Headers, now: float | None = None) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds or a date; None if missing or unreadable."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return max(0.0, when.timestamp() - (time.time() if now is None else now))


def from_transport(exc: Exception, method: str, url: httpx.URL) -> UnavailableError:
    """Return the error for a request that got no answer, each cause with its own sentence.

    Causes that time does not heal (an unknown name, a certificate, a missing TLS) are plain
    :class:`UnavailableError`; everything else is :class:`TransientError`.
    """
    where = url.netloc.decode("ascii", "replace").rpartition("@")[2]
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLError):
            return _from_tls(cause, where)
        if isinstance(cause, (socket.gaierror, UnicodeError)):
            passing = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN
            return (TransientError if passing else UnavailableError)(
                f"the host {url.host} is unknown",
                code="UNKNOWN_HOST",
                hint="Check the name of the registry and the network.",
            )
        if isinstance(cause, ConnectionRefusedError):
            return TransientError(
                f"{where} refused the connection",
                code="CONNECTION_REFUSED",
                hint="Nothing listens there: check host and port, and that the registry runs.",
            )
    return _from_kind(exc, f"{method} {public_url(url)}", where)


def _from_tls(exc: ssl.SSLError, where: str) -> UnavailableError:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return UnavailableError(
            f"the certificate of {where} is not trusted: {clean(exc.verify_message)}",
            code="CERTIFICATE",
            hint="Give the authority that signed it with --ca-file.",
        )
    text = f"{exc.reason} {exc}".upper()
    if any(sign in text for sign in _PLAIN_SIGNS):
        return UnavailableError(
            f"{where} does not speak TLS on this port",
            code="NOT_TLS",
            hint="If it is meant to be plain HTTP, say so with --plain-http.",
        )
    reason = clean(exc.reason or str(exc))
    return TransientError(f"the TLS connection to {where} failed: {reason}", code="TLS")


def _from_kind(  # noqa: PLR0911  # one line for each cause
    exc: Exception, request: str, where: str
) -> UnavailableError:
    if isinstance(exc, httpx.LocalProtocolError):
        # Its text quotes the header that could not be sent, which may be the credential.
        return UnavailableError(f"{request} cannot be sent: a header is malformed")
    if isinstance(exc, (httpx.UnsupportedProtocol, httpx.InvalidURL)):
        return UnavailableError(f"{request}: this is no address that can be asked")
    text = clean(str(exc))
    if "\\x15\\x03" in text:  # the alert of a TLS server, read as a status line
        return UnavailableError(
            f"{where} speaks TLS on this port", code="NOT_PLAIN", hint="Leave --plain-http away."
        )
    if isinstance(exc, (httpx.ConnectTimeout, httpx.PoolTimeout)):
        return TransientError(f"{where} cannot be reached: no connection in time", code="TIMEOUT")
    if isinstance(exc, httpx.TimeoutException):
        return TransientError(f"{request}: no answer in time", code="TIMEOUT")
    if isinstance(exc, httpx.ProxyError):
        return TransientError(f"the proxy before {where} failed: {text}", code="PROXY")
    return TransientError(
        f"{request}: the connection broke ({text or 'no reason given'})", code="CONNECTION"
    )


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    # httpx raises from httpcore raises from the operating system's exception.
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


def _problems(body: bytes) -> list[tuple[str, str]]:
    try:
        document = json.loads(body[:MAX_ERROR_BODY])
    except (ValueError, RecursionError):
        return []
    if not isinstance(document, dict):
        return []
    found = []
    errors = document.get("errors")
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict) and isinstance(error.get("code"), str):
            message = error.get("message")
            found.append((error["code"], message if isinstance(message, str) else ""))
    if not found and isinstance(document.get("error"), str):  # RFC 6749, 5.2
        message = document.get("error_description")
        found.append((document["error"], message if isinstance(message, str) else ""))
    if not found and isinstance(document.get("details"), str):  # older token servers
        found.append((document["details"], ""))
    return found


def _is_shown(char: str) -> bool:
    # Cc control, Cf invisible and direction marks, Cs surrogates, Co private use, Cn unassigned.
    return char.isspace() or not unicodedata.category(char).startswith("C")
