"""From what a server or the network did to an error that a user understands.

Everything a server wrote is hostile text: HTML is cut, escape sequences and control characters are
removed, and no more than 64 KiB of a body is ever read. URLs lose their query, which carries upload
state and sometimes signatures.
"""

from __future__ import annotations

import _socket
import json
import re
import sys
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sealoshub.errors import (
    AuthenticationError,
    ContentRefusedError,
    DeniedError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.pattern import pattern
from sealoshub.registry.connection import ConnectTimeoutError, HeaderError
from sealoshub.registry.proxy import SUPPORTED, ProxyError, ProxySettingError
from sealoshub.registry.response import Headers, NotPlainError
from sealoshub.registry.transport import PoolClosedError
from sealoshub.registry.url import Url, UrlError
from sealoshub.value import Value

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

MAX_ERROR_BODY: Final = 64 * 1024  # bytes of an error's body that are read
MAX_TEXT: Final = 500  # characters of a server's words that are shown

# 425 and 520 to 529: proxies in front of a registry that restarts.
TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 530)})

# How OpenSSL reads the answer of a server that speaks HTTP on this port.
_PLAIN_SIGNS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER")

_ESCAPE: Final = pattern(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x1b\\|\x07|$)|\x1b.", re.DOTALL
)
_INVISIBLE: Final = pattern(r"<(script|style|head)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG: Final = pattern(r"<[^<>]{0,2000}>")
_TITLE: Final = pattern(r"<title[^>]*>([^<]*)</title>", re.IGNORECASE)


_BY_STATUS: Final[Mapping[int, tuple[type[SealosHubError], str | None]]] = MappingProxyType(
    {
        401: (AuthenticationError, None),
        403: (DeniedError, None),
        404: (NotFoundError, None),
        407: (
            UnavailableError,
            "The proxy wants a name and a password: http://NAME:PASSWORD@HOST:PORT.",
        ),
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


class Answer(Value):
    """A complete answer of a server.

    Args:
        method: Of the request.
        url: Where it came from in the end, behind redirects.
        status: HTTP status.
        headers: As received.
        body: At most the number of bytes the caller allowed.
    """

    method: str
    url: Url
    status: int
    headers: Headers
    body: bytes = b""

    def codes(self) -> tuple[str, ...]:
        """The registry's error codes (distribution spec, "Error Codes"), in order."""
        return tuple(code for code, _ in _problems(self.body))


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Return *text* on one line, without escape sequences, control or invisible characters."""
    if text.isascii() and text.isprintable():  # nearly always; an image has hundreds of them
        line = " ".join(text.split())
        return line if len(line) <= limit else line[: limit - 1] + "…"
    text = _ESCAPE.sub("", text)
    kept = (" " if char.isspace() else char for char in text if _is_shown(char))
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def public_url(url: Url) -> str:
    """Return *url* without what may be secret: user and query."""
    return url.public()


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
        import html  # noqa: PLC0415  # its table of names, for pages only

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
    if 400 <= answer.status < 500:  # noqa: PLR2004  # the client's errors
        return ContentRefusedError(message, code=code)
    return UnavailableError(message, code=code, hint="This does not look like a registry.")


def retry_after(headers: Headers, now: float | None = None) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds or a date; None if missing or unreadable."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    import email.utils  # noqa: PLC0415  # 5 ms, for few answers

    try:
        when = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return max(0.0, when - (time.time() if now is None else now))


def from_transport(exc: Exception, method: str, url: Url) -> UnavailableError:
    """Return the error for a request that got no answer, each cause with its own sentence.

    Causes that time does not heal (an unknown name, a certificate, a missing TLS) are plain
    :class:`UnavailableError`; everything else is :class:`TransientError`.
    """
    where = url.netloc
    if isinstance(exc, ProxyError):
        return (TransientError if exc.passing else UnavailableError)(
            f"{where} cannot be asked: {clean(str(exc))}", code="PROXY", hint=exc.hint
        )
    tls = sys.modules.get("ssl")  # where TLS was never spoken it was never imported
    for cause in _causes(exc):
        if tls is not None and isinstance(cause, tls.SSLError):
            return _from_tls(cause, where)
        if isinstance(cause, (_socket.gaierror, UnicodeError)):
            passing = isinstance(cause, _socket.gaierror) and cause.errno == _socket.EAI_AGAIN
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
    untrusted = getattr(exc, "verify_message", None)  # ssl.SSLCertVerificationError has it
    if untrusted is not None:
        return UnavailableError(
            f"the certificate of {where} is not trusted: {clean(untrusted)}",
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
    text = clean(str(exc))
    if isinstance(exc, HeaderError):
        return UnavailableError(f"{request} cannot be sent: {text}")
    if isinstance(exc, PoolClosedError):
        return UnavailableError(f"{request}: {text}")
    if isinstance(exc, ProxySettingError):
        return UnavailableError(f"{where} cannot be asked: {text}", code="PROXY", hint=SUPPORTED)
    if isinstance(exc, UrlError):
        return UnavailableError(f"{request}: this is no address that can be asked")
    if isinstance(exc, NotPlainError):
        return UnavailableError(
            f"{where} speaks TLS on this port", code="NOT_PLAIN", hint="Leave --plain-http away."
        )
    if isinstance(exc, ConnectTimeoutError):
        return TransientError(f"{where} cannot be reached: no connection in time", code="TIMEOUT")
    if isinstance(exc, TimeoutError):
        return TransientError(f"{request}: no answer in time", code="TIMEOUT")
    return TransientError(
        f"{request}: the connection broke ({text or 'no reason given'})", code="CONNECTION"
    )


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
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
    import unicodedata  # noqa: PLC0415  # for what somebody else wrote, which is rare

    # Cc control, Cf invisible and direction marks, Cs surrogates, Co private use, Cn unassigned.
    return char.isspace() or not unicodedata.category(char).startswith("C")
