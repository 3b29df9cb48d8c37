"""Until when a credential is good, read from the credential itself.

What is read here serves messages and an early, clear refusal. It is never evidence: signatures are
not checked, that is the API server's part.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import Final

from sealoshub.pattern import pattern

_UTC_TIME: Final = 0x17  # DER tag: YYMMDDhhmmssZ
_GENERALIZED_TIME: Final = 0x18  # DER tag: YYYYMMDDhhmmssZ
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0  # [0] EXPLICIT, the optional first field of a TBSCertificate
_LONG_FORM: Final = 0x80  # a DER length of more than one byte has this bit
_CENTURY_PIVOT: Final = 50  # RFC 5280 4.1.2.5.1: a two-digit year below 50 is 20YY

_PEM: Final = pattern(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


def of_token(token: str) -> datetime | None:
    """Return the `exp` of a JSON web token; None if *token* is none, or has no `exp`."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004  # RFC 7515: header, payload, signature
        return None
    payload = parts[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return None


def of_certificate(pem: bytes) -> datetime | None:
    """Return `notAfter` of the first certificate in *pem*; None if it cannot be read.

    The few fields before it (RFC 5280, 4.1) are walked by hand, so that the client side needs no
    cryptography library for one date.
    """
    match = _PEM.search(pem)
    if match is None:
        return None
    try:
        der = base64.b64decode(match.group(1))
        certificate, _ = _content(der, _SEQUENCE)
        fields, _ = _content(certificate, _SEQUENCE)
        if fields[:1] == bytes([_VERSION]):
            _, fields = _content(fields, _VERSION)
        for _ in range(3):  # serial number, signature algorithm, issuer
            _, fields = _content(fields, fields[0])
        validity, _ = _content(fields, _SEQUENCE)
        _, rest = _content(validity, validity[0])  # notBefore
        text, _ = _content(rest, rest[0])
        return _time(rest[0], text.decode("ascii"))
    except (ValueError, IndexError, binascii.Error):
        return None


def _content(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """Split the element at the start of *der* into its content and what follows it."""
    if der[0] != tag:
        raise ValueError("another element was expected")
    length, start = der[1], 2
    if length & _LONG_FORM:
        count = length & ~_LONG_FORM
        length, start = int.from_bytes(der[2 : 2 + count]), 2 + count
    end = start + length
    if end > len(der):
        raise ValueError("the element is cut off")
    return der[start:end], der[end:]


def _time(tag: int, text: str) -> datetime:
    if tag == _UTC_TIME:
        text = ("20" if int(text[:2]) < _CENTURY_PIVOT else "19") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("not a time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
