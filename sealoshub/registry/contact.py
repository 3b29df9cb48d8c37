"""The first contact with a registry: where it is, and how it wants to be authenticated to."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from sealoshub.errors import UnavailableError
from sealoshub.registry import challenge, failure, realm
from sealoshub.registry.status import Status
from sealoshub.registry.url import Url
from sealoshub.registry.wire import Request
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.registry.challenge import Challenge
    from sealoshub.registry.failure import Answer
    from sealoshub.registry.wire import Arriving, Wire

Scheme = Literal["http", "https"]

# How a loopback server shows that it speaks the other one.
_TRY_OTHER: Final[Mapping[Scheme, frozenset[str]]] = MappingProxyType(
    {
        "http": frozenset({"NOT_PLAIN", "CONNECTION"}),
        # Refused: nothing listens on 443.
        "https": frozenset({"NOT_TLS", "TLS", "CONNECTION", "CONNECTION_REFUSED"}),
    }
)


class Base(Value):
    """What the first contact found out.

    Args:
        url: `scheme://host:port/`.
        challenge: How the registry wants to be authenticated to; None if it does not.
    """

    url: Url
    challenge: Challenge | None


def greet(wire: Wire, plain_http: bool | None) -> Base:  # noqa: FBT001  # a setting passed on
    """Ask `GET /v2/` of the registry.

    Args:
        wire: To the registry.
        plain_http: True: HTTP. False: HTTPS. None: HTTPS, but for a loopback host HTTP if it does
            not speak TLS.

    Raises:
        TransientError: It cannot be reached or cannot serve now.
        UnavailableError: It never will: no such host, no trust, no registry.
    """
    if plain_http:
        return _ask(wire, "http")
    place = Url.parse(f"http://{wire.host}")
    if plain_http is False or not realm.is_loopback(place.host):
        return _ask(wire, "https")
    # A port speaks one of the two, so the order is a question of cost alone: the first request
    # carries nothing secret, and a failed handshake costs 30 ms of TLS. Without a port in the host
    # they are two ports, and TLS comes first.
    has_port = wire.host.endswith(f":{place.connect_port}")
    order: tuple[Scheme, Scheme] = ("http", "https") if has_port else ("https", "http")
    try:
        return _ask(wire, order[0])
    except UnavailableError as exc:
        if exc.code not in _TRY_OTHER[order[0]]:
            raise
    return _ask(wire, order[1])


def challenges(answer: Answer | Arriving) -> tuple[Challenge, ...]:
    """Return every challenge of *answer*."""
    return challenge.parse(answer.headers.get_list("www-authenticate"))


def _ask(wire: Wire, scheme: Scheme) -> Base:
    asked = Url.parse(f"{scheme}://{wire.host}/v2/")
    answer = wire.follow(Request("GET", asked))
    base = answer.url.join("/")
    if base.host != asked.host:
        raise UnavailableError(
            f"{wire.host} sends its visitors to {failure.public_url(answer.url)}",
            hint="Use the name that it points to, if that is the registry.",
        )
    page = answer.headers.get("content-type", "").startswith("text/html")
    if answer.status == Status.OK and not page:
        return Base(base, None)
    if answer.status == Status.UNAUTHORIZED:
        offered = challenges(answer)
        chosen = challenge.choose(offered)
        if chosen is not None:
            return Base(base, chosen)
        names = ", ".join(sorted({failure.clean(c.scheme, 30) for c in offered})) or "none"
        raise UnavailableError(
            f"{wire.host} wants an authentication that is not known here (offered: {names})"
        )
    raise _no_registry(wire.host, answer)


def _no_registry(host: str, answer: Answer) -> UnavailableError:
    if answer.status in failure.TRANSIENT or answer.status == Status.PROXY_AUTHENTICATION_REQUIRED:
        error = failure.from_answer(answer)
        if isinstance(error, UnavailableError):
            return error
    if answer.status == Status.BAD_REQUEST and b"HTTPS" in answer.body.upper():
        return UnavailableError(
            f"{host} speaks TLS on this port", code="NOT_PLAIN", hint="Leave --plain-http away."
        )
    said = failure.words(answer)
    return UnavailableError(
        f"{host} is not a registry: GET {failure.public_url(answer.url)} was answered with"
        f" {answer.status}" + (f" ({said})" if said else ""),
        code="NOT_A_REGISTRY",
        hint="Check the host and the port.",
    )
