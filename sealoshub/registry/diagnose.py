"""The whole handshake with a registry, step by step, for `sealoshub doctor`.

Every step says what was found, or what is wrong and how it is repaired. Secrets are never in it:
what a token says is shown, the token is not.
"""

from __future__ import annotations

import email.utils
import os
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

from sealoshub.errors import AuthenticationError, SealosHubError, UnavailableError
from sealoshub.registry import auth, failure, realm
from sealoshub.registry.proxy import ProxySettingError, proxy_for
from sealoshub.registry.url import Url
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sealoshub.registry.auth import Token
    from sealoshub.registry.client import Client
    from sealoshub.registry.failure import Answer
    from sealoshub.registry.realm import Realm

MAX_SKEW: Final = 60.0  # seconds; the leeway of distribution's own check of `exp` and `nbf`
SOON: Final = 24 * 3600.0  # seconds; a certificate or login that ends within them is worth a word
CONNECT_SECONDS: Final = 10.0

_OPERATOR: Final = "The operator of the hub has to repair it."
_LATER: Final = ("token", "claims", "acceptance", "clock", "login")

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step and what came of it.

    Args:
        name: A stable word.
        status: `warning` works today; `skipped` could not be or need not be looked at.
        detail: What was found.
        repair: What to do about it; empty if there is nothing to do.
        error: What failed, for the exit code.
    """

    name: str
    status: Status
    detail: str
    repair: str = ""
    error: SealosHubError | None = None


def failed(name: str, error: SealosHubError) -> Step:
    """Return the step that *error* ended."""
    return Step(name, "failed", error.message, error.hint or "", error)


def examine(
    client: Client,
    context: ssl.SSLContext,
    credential: Step,
    *,
    plain_http: bool,
    now: Callable[[], float] = time.time,
) -> Iterator[Step]:
    """Go through the handshake; stop where nothing further can be found out.

    Args:
        client: Of the registry, with the stored credential if there is one.
        context: How TLS is verified.
        credential: What is known about the stored credential; shown in its place.
        plain_http: The user asked for plain HTTP.
        now: Wall-clock time, seconds since the epoch.

    Yields:
        The steps, in order.
    """
    name = "dns"
    try:
        yield Step("dns", "ok", _resolve(client.host))
        name = "tls"
        yield _tls(client.host, context, plain_http=plain_http, now=now)
        name = "registry"
        base = client.ping()
        yield Step("registry", "ok", f"{failure.public_url(base.url)}v2/ is a registry")
        name = "realm"
        if base.challenge is None:
            yield Step("challenge", "ok", "none: everybody may do everything without a login")
            yield from _skipped(("realm", "credential", *_LATER), "there is no authentication")
            return
        scheme = base.challenge.scheme
        yield Step("challenge", "ok", f"the registry wants {scheme.capitalize()} authentication")
        where = client.realm()
    except SealosHubError as exc:
        yield failed(name, exc)
        after = ("tls", "registry", "challenge", "realm")
        yield from _skipped(after[after.index(name) + 1 :] if name in after else after, "see above")
        yield credential
        yield from _skipped(_LATER, "see above")
        return
    if where is None:
        yield Step("realm", "skipped", "Basic authentication has no token server")
    else:
        url = failure.public_url(where.url)
        yield Step("realm", "ok", f"{url}, service {failure.clean(where.service) or '(none)'}")
    yield credential
    if client.credential is None or credential.status == "failed":
        yield from _skipped(_LATER, "there is no credential")
    elif where is None:
        yield from _skipped(("token", "claims"), "Basic authentication has no tokens")
        yield from _basic(client, now)
    else:
        yield from _bearer(client, where, now)


def _basic(client: Client, now: Callable[[], float]) -> Iterator[Step]:
    if client.credential is None:
        return
    try:
        proof = auth.basic(client.credential)
        answer = client.retry.run(lambda: client.probe(proof))
    except SealosHubError as exc:
        yield failed("acceptance", exc)
        yield from _skipped(("clock", "login"), "see above")
        return
    if answer.status == HTTPStatus.OK:
        yield Step("acceptance", "ok", "the registry accepts user name and password")
    else:
        yield failed("acceptance", _refused(client.host))
    yield _clock(answer, {}, now())
    yield Step("login", "skipped", "a registry without a token server knows no logins")


def _bearer(client: Client, where: Realm, now: Callable[[], float]) -> Iterator[Step]:
    credential = client.credential
    if credential is None:
        return
    try:
        token = client.retry.run(lambda: client.exchange(credential, offline=False))
    except AuthenticationError as exc:
        yield failed("token", _refused(client.host, exc.message))
        yield from _skipped(_LATER[1:], "there is no token")
        return
    except SealosHubError as exc:
        yield failed("token", exc)
        yield from _skipped(_LATER[1:], "there is no token")
        return
    asked = now()
    yield Step("token", "ok", f"got by {token.method}, good for {token.seconds} s")
    yield _claims(token, where, client.host)
    try:
        bearer = Secret(f"Bearer {token.value.reveal()}")
        answer = client.retry.run(lambda: client.probe(bearer))
    except SealosHubError as exc:
        yield failed("acceptance", exc)
        yield from _skipped(("clock", "login"), "see above")
        return
    yield _acceptance(answer)
    yield _clock(answer, token.claims(), asked)
    yield _login(client, now())


def _resolve(host: str) -> str:
    url = Url.parse(f"https://{host}")
    if _has_proxy(url):
        return "left to the proxy that the environment names"
    try:
        found = socket.getaddrinfo(url.host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as exc:
        raise failure.from_transport(exc, "GET", url) from exc
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return f"{url.host} is {', '.join(addresses)}"


def _tls(host: str, context: ssl.SSLContext, *, plain_http: bool, now: Callable[[], float]) -> Step:
    url = Url.parse(f"https://{host}/v2/")
    local = realm.is_loopback(url.host)
    if plain_http:
        repair = "" if local else "Passwords travel readable; use TLS."
        return Step("tls", "warning" if repair else "ok", "plain HTTP, as asked", repair)
    if _has_proxy(url):
        return Step("tls", "skipped", "left to the proxy that the environment names")
    try:
        version, expires = _handshake(url, context)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        error = failure.from_transport(exc, "GET", url)
        if local and error.code in {"NOT_TLS", "CONNECTION_REFUSED", "CONNECTION", "TLS"}:
            # As the client does: this machine is also asked without TLS.
            return Step("tls", "ok", "this machine itself, without TLS")
        raise error from exc
    if context.verify_mode == ssl.CERT_NONE:
        return Step("tls", "warning", f"{version}, not verified", "Give its authority: --ca-file.")
    return _certificate(version, expires, now())


def _certificate(version: str, expires: float | None, now: float) -> Step:
    if expires is None:
        return Step("tls", "ok", f"{version}, verified")
    until = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d")
    detail = f"{version}, verified, certificate good until {until}"
    if expires - now < SOON:
        return Step("tls", "warning", detail, "The operator has to renew it.")
    return Step("tls", "ok", detail)


def _handshake(url: Url, context: ssl.SSLContext) -> tuple[str, float | None]:
    address = (url.host, url.port or 443)
    with (
        socket.create_connection(address, timeout=CONNECT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=url.host) as secure,
    ):
        certificate = secure.getpeercert() or {}
        end = certificate.get("notAfter")
        expires = float(ssl.cert_time_to_seconds(end)) if isinstance(end, str) else None
        return secure.version() or "TLS", expires


def _has_proxy(url: Url) -> bool:
    try:
        return proxy_for(url, os.environ) is not None
    except ProxySettingError:
        return True  # the first contact says what is wrong with it


def _claims(token: Token, where: Realm, host: str) -> Step:
    claims = token.claims()
    if not claims:
        return Step("claims", "skipped", "the token does not say anything that can be read")
    subject = token.subject()
    if subject == "":
        return failed("claims", _refused(host, "the token is nobody's"))
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if where.service and where.service not in audiences:
        error = UnavailableError(
            f"the token is for {failure.clean(str(audience))}, the registry wants"
            f" {failure.clean(where.service)}",
            code="AUDIENCE",
            hint=f"`service` of registry and token server must be the same. {_OPERATOR}",
        )
        return failed("claims", error)
    issuer = failure.clean(str(claims.get("iss") or "(nobody)"))
    who = failure.clean(subject or "(not said)")
    return Step("claims", "ok", f"issuer {issuer}, audience {where.service}, subject {who}")


def _acceptance(answer: Answer) -> Step:
    if answer.status == HTTPStatus.OK:
        return Step("acceptance", "ok", "the registry accepts the token")
    said = failure.words(answer)
    error = UnavailableError(
        "the registry refuses the token of its own token server" + (f": {said}" if said else ""),
        code="TOKEN_REFUSED",
        hint="Compare issuer, service, `rootcertbundle` and `jwks` of the registry's"
        f" configuration with the token server's, and restart the registry. {_OPERATOR}",
    )
    return failed("acceptance", error)


def _clock(answer: Answer, claims: Mapping[str, object], local: float) -> Step:
    registry = _date(answer)
    if registry is None:
        return Step("clock", "skipped", "the registry does not say what time it is")
    issued = claims.get("iat")
    if isinstance(issued, int | float) and abs(issued - registry) > MAX_SKEW:
        apart = abs(issued - registry)
        error = UnavailableError(
            f"the clocks of registry and token server are {apart:.0f} s apart",
            code="CLOCK",
            hint=f"Synchronise them (NTP). {_OPERATOR}",
        )
        return failed("clock", error)
    skew = registry - local
    if abs(skew) > MAX_SKEW:
        which = "behind" if skew > 0 else "ahead of"
        return Step(
            "clock",
            "warning",
            f"this machine is {abs(skew):.0f} s {which} the registry",
            "Synchronise the clock of this machine (NTP); certificates and tokens depend on it.",
        )
    return Step("clock", "ok", f"within {MAX_SKEW:.0f} s of the registry")


def _login(client: Client, now: float) -> Step:
    """Ask our own token server until when the login is good; another one does not know."""
    try:
        found = client.whoami()
    except SealosHubError as exc:
        return failed("login", exc)
    if not found:
        return Step("login", "skipped", "this token server does not say until when it is good")
    end = _time(found.get("expires"))
    if end is None:
        return Step("login", "ok", "known to the hub")
    until = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if end - now < SOON:
        repair = f"Log in again soon: sealoshub login {client.host}"
        return Step("login", "warning", f"good until {until}", repair)
    return Step("login", "ok", f"good until {until}")


def _refused(host: str, said: str = "") -> AuthenticationError:
    return AuthenticationError(
        f"the stored credential is refused{': ' + said if said else ''}",
        hint=f"Log in again: sealoshub login {host}",
    )


def _date(answer: Answer) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _time(text: object) -> float | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if found is None:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _skipped(names: tuple[str, ...], why: str) -> Iterator[Step]:
    for name in names:
        yield Step(name, "skipped", why)
