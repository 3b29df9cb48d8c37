"""Everything but tokens: keys, health, and what a user may see and revoke of his own.

`/v1` takes any credential that `/token` takes, as Basic or as Bearer. A registry's access token is
not one of them.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from sealoshub.authplugin import CredentialsRejected, Unavailable
from sealoshub.authserver import events as events_module
from sealoshub.authserver import explain, personal, reply
from sealoshub.authserver.exchange import (
    ANSWER_SECONDS,
    Caller,
    Exchange,
    MustWaitError,
    Proved,
    as_unavailable,
)
from sealoshub.authserver.incoming import ClientGoneError, read_body
from sealoshub.authserver.keys import jwks
from sealoshub.authserver.memberships import Memberships
from sealoshub.authserver.request import RequestRefusedError, parse_authorization
from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from starlette.requests import Request

    from sealoshub.authserver.events import Events
    from sealoshub.authserver.keys import KeySet
    from sealoshub.authserver.loginrecord import LoginRecord
    from sealoshub.authserver.logins import Logins
    from sealoshub.kube.review import ApiServer


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the routes show and use.

    Args:
        exchange: Knows who is asking.
        keys: The keys of now.
        unready: Returns why requests would fail now; empty if they would not.
        realm: Of the challenge in a 401.
        address: Returns the address of the client, behind trusted proxies too.
        api: The API server, for questions that only explanations need; None if there is none.
        events: Takes the notifications of registries; None if there are none.
    """

    exchange: Exchange
    keys: Callable[[], KeySet]
    unready: Callable[[], Awaitable[list[str]]]
    realm: str
    address: Callable[[Any], str]
    api: ApiServer | None = None
    events: Events | None = None


def application(around: Surroundings) -> Starlette:
    """Return the application for every path but those of tokens."""
    routes = _Routes(around)
    return Starlette(
        routes=[
            Route("/jwks.json", routes.jwks, methods=["GET"]),
            Route("/healthz", routes.healthz, methods=["GET"]),
            Route("/readyz", routes.readyz, methods=["GET"]),
            Route("/v1/whoami", routes.whoami, methods=["GET"]),
            Route("/v1/organizations", routes.organizations, methods=["GET"]),
            Route("/v1/explain", routes.explain, methods=["GET"]),
            Route("/v1/logins", routes.logins, methods=["GET", "POST"]),
            Route("/v1/logins/self", routes.logout, methods=["DELETE"]),
            Route("/v1/events", routes.events, methods=["POST"]),
            Route("/v1/logins/{login_id}", routes.revoke, methods=["DELETE"]),
        ],
        exception_handlers={
            MustWaitError: routes.limited,
            ClientGoneError: _gone,
            SealosHubError: routes.failed,
            TimeoutError: routes.failed,
            HTTPException: _unknown_path,
            Exception: _defect,
        },
    )


class _Routes:
    """The handlers; a class so that they share *around*."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._exchange = around.exchange
        self._memberships = None if around.api is None else Memberships(around.api)

    # ------------------------------------------------------------------ for machines
    async def jwks(self, request: Request) -> Response:
        """`GET /jwks.json`: the public keys (RFC 7517)."""
        del request
        content = json.dumps(jwks(self._around.keys()))
        return Response(
            content, media_type="application/jwk-set+json", headers={"cache-control": "max-age=60"}
        )

    async def healthz(self, request: Request) -> Response:
        """`GET /healthz`: the process answers."""
        del self, request
        return Response("ok", media_type="text/plain")

    async def readyz(self, request: Request) -> Response:
        """`GET /readyz`: 200 when tokens can be decided and signed, else 503 with the reasons."""
        del request
        reasons = await self._around.unready()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return _response(reply.success({"ready": not reasons, "reasons": reasons}, status))

    async def events(self, request: Request) -> Response:
        """`POST /v1/events`: what registries say has changed; 202 when it is queued.

        The registry repeats whatever is not answered by 2xx, for ever and in order, so that a full
        queue here keeps the notifications there.
        """
        events = self._around.events
        if events is None:
            raise NotFoundError("this token server takes no notifications")
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not events.allows(bearer.strip()):
            raise CredentialsRejected("notifications need the token of this hub's registry")
        length = request.headers.get("content-length", "")
        body = await read_body(
            int(length) if length.isdecimal() else None, request.receive, events_module.MAX_BODY
        )
        try:
            queued = events.take(body)
        except InvalidInputError as exc:
            raise RequestRefusedError(exc.message) from exc
        if not queued:
            raise Unavailable("too many notifications wait already")
        return Response(status_code=HTTPStatus.ACCEPTED)

    # ------------------------------------------------------------------ for users
    async def whoami(self, request: Request) -> Response:
        """`GET /v1/whoami`: who the hub takes the caller for."""
        proved = await self._prove(request)
        identity = proved.identity
        content: dict[str, object] = {
            "user": {
                "name": identity.name,
                "uid": identity.uid,
                "groups": list(identity.groups),
            },
            "method": identity.method,
            "credential": identity.credential_id,
            "expires": _text(identity.expires),
        }
        if proved.login is not None:
            content["login"] = _shown(proved.login, proved)
            content["expires"] = _text(proved.login.ends)
        return _response(reply.success(content))

    async def organizations(self, request: Request) -> Response:
        """`GET /v1/organizations`: where the caller has which role; null to a limited token."""
        proved = await self._prove(request)
        if self._memberships is None:
            raise NotFoundError("this hub knows no organisations")
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await self._memberships.of(proved)
        return _response(reply.success({"organizations": found}))

    async def explain(self, request: Request) -> Response:
        """`GET /v1/explain?verb=&repository=&as=&group=`: may he, by which rule, or whom to ask."""
        proved = await self._prove(request)
        asked = explain.read(request.query_params)
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await explain.answer(self._exchange, self._around.api, proved, asked)
        return _response(reply.success(found))

    async def _create(self, request: Request) -> Response:
        """`POST /v1/logins`: make a personal token; the only answer that ever holds it."""
        proved = await self._prove(request)
        personal.may_ask(proved)
        logins = self._logins()
        length = request.headers.get("content-length", "")
        body = await read_body(int(length) if length.isdecimal() else None, request.receive)
        wish = personal.wish_of(
            body, proved, self._exchange.services, logins.lifetimes.absolute, self._caller(request)
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            token, record = await logins.make(proved.identity, wish)
        self._exchange.record(
            "create",
            proved,
            login=record.id,
            name=record.name,
            expires=_text(record.expires),
            scopes=None if record.scopes is None else [str(scope) for scope in record.scopes],
        )
        content = {"token": token.reveal(), "login": _shown(record, proved)}
        return _response(reply.success(content, HTTPStatus.CREATED))

    async def logins(self, request: Request) -> Response:
        """`GET /v1/logins`: the caller's own; a personal token sees itself only. POST makes one."""
        if request.method == "POST":
            return await self._create(request)
        proved = await self._prove(request)
        found = await self._logins().of_user(proved.identity)
        if proved.login is not None and proved.login.type == "personal":
            found = [record for record in found if record.id == proved.login.id]
        return _response(reply.success({"logins": [_shown(record, proved) for record in found]}))

    async def logout(self, request: Request) -> Response:
        """`DELETE /v1/logins/self`: revoke the token that is the credential of this request."""
        proved = await self._prove(request)
        if proved.login is None:
            raise RequestRefusedError(
                "this credential is none of the hub's tokens, there is nothing to revoke"
            )
        await self._logins().revoke(proved.identity, proved.login.id)
        self._exchange.record("logout", proved, login=proved.login.id)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def revoke(self, request: Request) -> Response:
        """`DELETE /v1/logins/{id}`: revoke one of the caller's own."""
        proved = await self._prove(request)
        if proved.login is not None and proved.login.type == "personal":
            raise CredentialsRejected(
                "a personal token can only revoke itself", hint="Log in and try again."
            )
        login_id = request.path_params["login_id"]
        if not await self._logins().revoke(proved.identity, login_id):
            raise NotFoundError("you have no login of that id")
        self._exchange.record("revoke", proved, login=login_id)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    # ------------------------------------------------------------------ failures
    async def failed(self, request: Request, exc: Exception) -> Response:
        """Answer an error of ours."""
        del request
        if isinstance(exc, TimeoutError | UnavailableError):
            exc = as_unavailable(exc)
        if not isinstance(exc, SealosHubError):
            return _response(reply.internal())
        return _response(reply.failure(exc, self._around.realm))

    async def limited(self, request: Request, exc: Exception) -> Response:
        """Answer somebody who has to wait."""
        del self, request
        if not isinstance(exc, MustWaitError):
            return _response(reply.limited(1.0))
        return _response(reply.limited(exc.seconds, exc.why))

    async def _prove(self, request: Request) -> Proved:
        sent = request.headers.getlist("authorization")
        if len(sent) != 1:
            raise CredentialsRejected("send one credential, as Basic or Bearer")
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._exchange.prove(
                parse_authorization(sent[0]), None, self._caller(request)
            )

    def _caller(self, request: Request) -> Caller:
        return Caller(
            self._around.address(request.scope), request.headers.get("user-agent", "")[:256]
        )

    def _logins(self) -> Logins:
        if self._exchange.logins is None:
            raise NotFoundError("this hub keeps no logins")
        return self._exchange.logins


def _shown(record: LoginRecord, proved: Proved) -> dict[str, object]:
    return {
        "id": record.id,
        "type": record.type,
        "name": record.name,
        "service": record.service,
        "scopes": None if record.scopes is None else [str(scope) for scope in record.scopes],
        "created": _text(record.created),
        "lastUsed": _text(record.last_used) if record.noted else None,
        "expires": _text(record.ends),
        "client": record.client,
        "address": record.address,
        "current": proved.login is not None and proved.login.id == record.id,
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _response(answer: reply.Reply) -> Response:
    response = Response(answer.body, status_code=answer.status)
    response.raw_headers = answer.all_headers
    return response


async def _unknown_path(request: Request, exc: Exception) -> Response:
    del request
    found = exc if isinstance(exc, HTTPException) else HTTPException(HTTPStatus.NOT_FOUND)
    status = HTTPStatus(found.status_code)
    message = "there is nothing at this path"
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        message = "that method is not for this path"
    allow = (found.headers or {}).get("Allow", "")
    refused = RequestRefusedError(message, status=status, allow=allow)
    return _response(reply.failure(refused, ""))


async def _gone(request: Request, exc: Exception) -> Response:
    """Answer nobody."""
    del request, exc
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _defect(request: Request, exc: Exception) -> Response:
    """Answer a defect; the framework raises it again, and the application in front logs it."""
    del request, exc
    return _response(reply.internal())
