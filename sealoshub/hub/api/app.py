"""One request: who, may he, what, answer. The only place that turns failures into answers."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from sealoshub.errors import SealosHubError
from sealoshub.hub.api import (
    authn,
    bodies,
    deletion,
    discovery,
    openapi,
    reading,
    request,
    reviews,
    selectors,
    status,
    watch,
    write_request,
    writes,
)
from sealoshub.hub.api.rbac import Question
from sealoshub.hub.api.reading import Shape
from sealoshub.hub.api.tokens import ACCOUNTS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from sealoshub.hub.api.engine import Engine
    from sealoshub.hub.api.rbac import User
    from sealoshub.hub.api.request import RequestInfo
    from sealoshub.hub.api.resources import Resource

Body = dict[str, Any]
# Everybody may ask whether the server lives; a real one has the same exemption.
HEALTH: Final = frozenset({"/healthz", "/livez", "/readyz"})
TLS: Final = "sealoshub.tls"  # extension of the scope: {"certificate": DER or None}
_LOG: Final = logging.getLogger(__name__)
_LONGEST_MANAGER: Final = 128


@dataclass(slots=True)
class _Call:
    """One request on its way."""

    engine: Engine
    request: Request
    info: RequestInfo
    user: User
    query: dict[str, str]
    shape: Shape
    warnings: list[str] = field(default_factory=list)

    async def body(self, content_type: str | None = None) -> tuple[Any, list[str]]:
        """Read the body; an empty one is None."""
        raw = bytearray()
        async for chunk in self.request.stream():
            raw += chunk
            if len(raw) > bodies.LARGEST_BODY:
                raise status.ApiError(
                    413,
                    "RequestEntityTooLarge",
                    f"Request entity too large: limit is {bodies.LARGEST_BODY}",
                )
        if not raw:
            return None, []
        kind = bodies.media_type(self.request.headers.get("content-type", ""))
        complaints: list[str] = []
        return bodies.parse(bytes(raw), content_type or kind, complaints), complaints

    def reply(self, body: Body, code: int = 200) -> Response:
        """Return the answer with the warnings that gathered."""
        indent = (
            2 if self.query.get("pretty") in {"true", "1", ""} and "pretty" in self.query else None
        )
        separators = None if indent else (",", ":")
        text = json.dumps(body, ensure_ascii=False, indent=indent, separators=separators)
        answer = Response(text.encode() + b"\n", code, media_type="application/json")
        for warning in dict.fromkeys(self.warnings):
            shown = re.sub(r"[^\x20-\x7e]", "?", warning).replace("\\", "\\\\").replace('"', '\\"')
            answer.headers.append("warning", f'299 - "{shown}"')
        return answer


def build(engine: Engine) -> ASGIApp:
    """Return the application."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        incoming = Request(scope, receive)
        try:
            response = await _answer(engine, incoming)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    return app


async def _answer(engine: Engine, incoming: Request) -> Response:
    try:
        return await _serve(engine, incoming)
    except status.ApiError as exc:
        return _failure(exc)
    except ClientDisconnect:
        raise
    except SealosHubError as exc:
        _LOG.warning("%s %s: %s", incoming.method, incoming.url.path, exc.message)
        return _failure(
            status.ApiError(503, "ServiceUnavailable", exc.message, headers={"retry-after": "1"})
        )
    except Exception:  # noqa: BLE001  # the boundary: the client gets a 500 and the log the cause
        _LOG.exception("%s %s failed", incoming.method, incoming.url.path)
        return _failure(status.internal())


def _failure(exc: status.ApiError) -> Response:
    text = json.dumps(exc.status(), ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode() + b"\n", exc.http, exc.headers, "application/json")


async def _serve(  # noqa: PLR0911  # one line per verb
    engine: Engine, incoming: Request
) -> Response:
    query = dict(incoming.query_params)
    path = unquote(incoming.url.path)
    info = request.parse(incoming.method, path, query)
    if path in HEALTH or path.startswith(("/livez/", "/readyz/", "/healthz/")):
        return Response(b"ok", media_type="text/plain; charset=utf-8")
    headers = authn.headers_of(incoming.scope)
    tls = incoming.scope.get("extensions", {}).get(TLS) or {}
    user = authn.authenticate(
        tls.get("certificate"),
        incoming.headers.get("authorization"),
        engine.tokens,
        engine.static,
    )
    user = authn.impersonate(engine.rbac, user, headers)
    question = Question(
        info.verb,
        info.group,
        info.resource,
        info.subresource,
        info.namespace,
        info.name,
        "" if info.is_resource else path,
    )
    verdict = engine.rbac.authorize(user, question)
    if not verdict.allowed:
        raise authn.refusal(user, question, verdict.reason)
    if not info.is_resource:
        return _document(_Call(engine, incoming, info, user, query, Shape()))
    shape = reading.shape_of(incoming.headers.get("accept", ""), query)
    call = _Call(engine, incoming, info, user, query, shape)
    resource = engine.resources.find(info.group, info.version, info.resource)
    _check_path(resource, info)
    if not resource.stored:
        return await _review(call, resource)
    if info.subresource == "token" and resource.key == ACCOUNTS:
        return await _token(call, resource)
    match info.verb:
        case "get":
            return call.reply(shape.one(resource, reading.get(engine, resource, info)))
        case "list":
            found = reading.list_objects(engine, resource, info, query)
            return call.reply(shape.several(resource, found))
        case "watch":
            wanted = reading.watch_request(resource, info, query, shape)
            stream = watch.stream(engine.store, engine.watchers, wanted)
            return StreamingResponse(stream, media_type="application/json")
        case "create" | "update" | "patch" | "delete" | "deletecollection":
            return await _write(call, resource)
        case _:
            raise status.method_not_allowed()


def _check_path(resource: Resource, info: RequestInfo) -> None:
    """Refuse URLs that name no resource: wrong scope, unknown subresource, wrong method."""
    if not info.name and info.verb in {"update", "patch"}:
        raise status.method_not_allowed()
    inside = bool(info.namespace) and resource.key != "/namespaces"
    single = bool(info.name) or info.verb in {"update", "patch", "delete", "get"}
    if inside != resource.namespaced and (inside or single or info.verb == "create"):
        raise status.no_such_resource()
    known = {"", *resource.subresources, *(("status",) if resource.has_status else ())}
    if resource.key == "/namespaces":
        known.add("finalize")
    if info.subresource not in known or info.extra_path:
        raise status.no_such_resource()
    if info.subresource == "status" and info.verb not in {"get", "update", "patch"}:
        raise status.method_not_allowed()
    if not info.subresource and info.verb not in resource.verbs:
        raise status.method_not_allowed()


def _document(call: _Call) -> Response:
    """Answer discovery and the other paths that are no resources."""
    path = call.info.path.rstrip("/") or "/"
    if call.request.method not in {"GET", "HEAD"}:
        raise status.no_such_resource()
    found = _discovery(call, path)
    if found is None:
        raise status.no_such_resource()
    answer = call.reply(found)
    if found.get("kind") == "APIGroupDiscoveryList":
        kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        answer.headers["content-type"] = kind
    return answer


def _discovery(  # noqa: C901, PLR0911, PLR0912  # one line per document
    call: _Call, path: str
) -> Body | None:
    resources = call.engine.resources.everything()
    accept = call.request.headers.get("accept", "")
    wants_all = "as=APIGroupDiscoveryList" in accept and "v=v2;" in f"{accept};".replace(",", ";")
    parts = path.strip("/").split("/")
    match parts:
        case ["version"]:
            return discovery.version()
        case ["api"] if wants_all:
            return discovery.aggregated(resources, core=True)
        case ["api"]:
            return discovery.api_versions()
        case ["apis"] if wants_all:
            return discovery.aggregated(resources, core=False)
        case ["apis"]:
            return discovery.groups(resources)
        case ["api", version]:
            return discovery.resource_list(resources, "", version)
        case ["apis", group]:
            return discovery.group(resources, group)
        case ["apis", group, version]:
            return discovery.resource_list(resources, group, version)
        case ["openapi", "v3"]:
            return openapi.index(call.engine.schemas, resources)
        case ["openapi", "v3", "api", version]:
            return openapi.document(call.engine.schemas, resources, "", version)
        case ["openapi", "v3", "apis", group, version]:
            return openapi.document(call.engine.schemas, resources, group, version)
        case [""]:
            names = sorted({one.group for one in resources if one.group})
            return {"paths": ["/api", "/api/v1", "/apis", *(f"/apis/{name}" for name in names)]}
        case _:
            return None


async def _review(call: _Call, resource: Resource) -> Response:
    sent, complaints = await call.body()
    body = bodies.check_object(resource, sent)
    found = [*complaints, *bodies.decode(resource, body)]
    call.warnings += bodies.complain(resource, call.query.get("fieldValidation", ""), found)
    return call.reply(reviews.answer(call.engine, call.user, body, call.info.namespace), 201)


async def _token(call: _Call, resource: Resource) -> Response:
    if call.info.verb != "create":
        raise status.method_not_allowed()
    sent, _ = await call.body()
    account = reading.get(call.engine, resource, call.info)
    body = bodies.check_object(resource, sent or {}, kind="TokenRequest")
    return call.reply(call.engine.tokens.request(account, body), 201)


async def _write(call: _Call, resource: Resource) -> Response:
    info, verb = call.info, call.info.verb
    kind = bodies.media_type(call.request.headers.get("content-type", ""))
    patching = writes.PATCHES.get(kind, "") if verb == "patch" else ""
    if verb == "patch" and not patching:
        offered = [k for k, v in writes.PATCHES.items() if v != "strategic" or not resource.custom]
        accepted = ", ".join(offered)
        raise status.unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include:"
            f" {accepted}"
        )
    content, complaints = await call.body()
    write = _options(call, resource, patching)
    if verb in {"delete", "deletecollection"}:
        if isinstance(content, dict) and content.get("dryRun"):
            write = _options(call, resource, patching, content["dryRun"])
        options = deletion.options_of(content, call.query)
        if verb == "delete":
            found = deletion.delete(write, options)
            return call.reply(call.shape.one(resource, found))
        labels, fields = call.query.get("labelSelector", ""), call.query.get("fieldSelector", "")
        selector = selectors.parse(resource, labels, fields)
        return call.reply(deletion.delete_all(write, selector, options))
    if content is None:
        raise status.bad_request("EOF")
    if verb == "create":
        if info.name:
            raise status.method_not_allowed()
        code, body = 201, writes.create(write, content, complaints)
    elif verb == "update":
        code, body = writes.update(write, content, complaints)
    else:
        code, body = writes.patch_object(write, patching, content, complaints)
    return call.reply(call.shape.one(resource, body), code)


def _options(
    call: _Call, resource: Resource, patching: str, dry_run: list[str] | None = None
) -> write_request.Write:
    """Read the options that all writes have in common."""
    query = call.query
    given = dry_run if dry_run is not None else call.request.query_params.getlist("dryRun")
    if any(one != "All" for one in given):
        fault = status.unsupported("dryRun", given, ["All"])
        raise status.invalid("meta.k8s.io", "CreateOptions", "", [fault])
    level = query.get("fieldValidation", "")
    if level not in {"", "Ignore", "Warn", "Strict"}:
        fault = status.unsupported("fieldValidation", level, ["", "Ignore", "Strict", "Warn"])
        raise status.invalid("meta.k8s.io", "CreateOptions", "", [fault])
    manager = query.get("fieldManager", "")
    faults: list[status.Cause] = []
    if len(manager) > _LONGEST_MANAGER:
        text = f"may not be more than {_LONGEST_MANAGER} bytes"
        faults.append(status.Cause("FieldValueTooLong", f"Too long: {text}", "fieldManager"))
    if patching == "apply" and not manager:
        faults.append(status.required("fieldManager", "is required for apply patch"))
    if patching and patching != "apply" and "force" in query:
        faults.append(status.forbidden_field("force", "may not be specified for non-apply patch"))
    if faults:
        raise status.invalid("meta.k8s.io", "PatchOptions", "", faults)
    if not manager:
        agent = call.request.headers.get("user-agent", "")
        manager = agent.partition("/")[0][:_LONGEST_MANAGER] or "unknown"
    options = {"fieldManager": manager} if query.get("fieldManager") else {}
    return write_request.Write(
        call.engine,
        call.user,
        resource,
        call.info.namespace if resource.namespaced else "",
        call.info.name,
        call.info.subresource,
        manager,
        dry_run=bool(given),
        level=level,
        force=request.is_true(query.get("force", "")),
        options=options,
        warnings=call.warnings,
    )
