"""Get, list and watch, in the shape that the client asked for: objects, metadata or a table."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api import bodies, selectors, status, tables, watch
from sealoshub.hub.api.request import RequestInfo, is_true

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealoshub.hub.api.engine import Engine
    from sealoshub.hub.api.resources import Resource

Body = dict[str, Any]
_LONGEST: Final = 24 * 3600.0  # seconds a watch may ask for


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of the answer.

    Args:
        kind: `Object`, `Table` or `Metadata`.
        include: For tables: what comes with each row.
    """

    kind: str = "Object"
    include: str = "Metadata"

    def one(self, resource: Resource, body: Body) -> Body:
        """Give the form to one object."""
        if body.get("kind") == "Status":
            return body
        if self.kind == "Table":
            meta = {"resourceVersion": body["metadata"].get("resourceVersion", "")}
            return tables.table(resource, [body], meta, self.include, headers=True)
        return tables.partial(body) if self.kind == "Metadata" else body

    def several(self, resource: Resource, body: Body) -> Body:
        """Give the form to a list."""
        if self.kind == "Table":
            items, meta = body["items"], body["metadata"]
            return tables.table(resource, items, meta, self.include, headers=True)
        if self.kind == "Metadata":
            return {
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": body["metadata"],
                "items": [tables.partial(one) for one in body["items"]],
            }
        return body

    def events(self, resource: Resource) -> Callable[[Body], Body]:
        """Return the function that gives the form to the objects of a watch."""
        first = True

        def render(body: Body) -> Body:
            nonlocal first
            if self.kind == "Table":
                meta = {"resourceVersion": body["metadata"].get("resourceVersion", "")}
                made = tables.table(resource, [_named(body)], meta, self.include, headers=first)
                first = False
                return made
            return tables.partial(body) if self.kind == "Metadata" else body

        return render


def shape_of(accept: str, query: Mapping[str, str]) -> Shape:
    """Read the form from an Accept header.

    Raises:
        ApiError: 406 if no JSON is accepted.
    """
    include = query.get("includeObject") or "Metadata"
    if not accept:
        return Shape()
    for part in accept.split(","):
        media, *parameters = (one.strip() for one in part.split(";"))
        named = dict(one.split("=", 1) for one in parameters if "=" in one)
        if media not in {"application/json", "application/*", "*/*"}:
            continue
        match named.get("as"):
            case None:
                return Shape()
            case "Table" if named.get("v") == "v1":
                return Shape("Table", include)
            case "PartialObjectMetadata" | "PartialObjectMetadataList":
                return Shape("Metadata")
            case _:
                continue
    raise status.ApiError(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json",
    )


def get(engine: Engine, resource: Resource, info: RequestInfo) -> Body:
    """Return one object.

    Raises:
        ApiError: 404.
    """
    body = engine.store.get(resource.key, home(resource, info), info.name)
    if body is None:
        raise status.not_found(resource.group, resource.plural, info.name)
    return body


def home(resource: Resource, info: RequestInfo) -> str:
    """Return the namespace that a URL names; a Namespace itself is in none."""
    return info.namespace if resource.namespaced else ""


def list_objects(
    engine: Engine, resource: Resource, info: RequestInfo, query: Mapping[str, str]
) -> Body:
    """Return a list, or a page of it.

    Raises:
        ApiError: 400 for a bad selector or parameter, 410 for a version that is gone.
    """
    selector = _selector(resource, query)
    limit = _number(query, "limit")
    namespace = home(resource, info) or None
    version, after = engine.store.version, ("", "")
    if query.get("continue"):
        version, after = _read_continue(query["continue"])
    _check_version(engine, query)
    items: list[Body] = []
    token, more = "", 0
    for body in engine.store.scan(resource.key, namespace, after):
        if not selector.matches(body):
            continue
        if limit and len(items) == limit:
            made = items[-1]["metadata"]
            last = (made.get("namespace", ""), made["name"])
            token = _write_continue(version, last)
            more = 0 if selector else engine.store.count(resource.key, namespace, last)
            break
        items.append(body)
    found = bodies.list_of(resource, items, version)
    if token:
        found["metadata"]["continue"] = token
        if more:
            found["metadata"]["remainingItemCount"] = more
    return found


def watch_request(
    resource: Resource, info: RequestInfo, query: Mapping[str, str], shape: Shape
) -> watch.Request:
    """Return what a watch asks for.

    Raises:
        ApiError: 400 for a bad selector or parameter.
    """
    selector = _selector(resource, query)
    if info.name and not query.get("fieldSelector"):
        selector = selectors.parse(
            resource, query.get("labelSelector", ""), f"metadata.name={info.name}"
        )
    version = _number(query, "resourceVersion")
    seconds = _number(query, "timeoutSeconds") or watch.DEFAULT_SECONDS
    return watch.Request(
        resource,
        home(resource, info) or None,
        selector,
        version or None,
        is_true(query.get("allowWatchBookmarks", "")),
        is_true(query.get("sendInitialEvents", "")),
        min(float(seconds), _LONGEST),
        shape.events(resource),
    )


def _selector(resource: Resource, query: Mapping[str, str]) -> selectors.Selector:
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    return selectors.parse(resource, labels, fields)


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not text:
        return 0
    if not text.isdecimal():
        raise status.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _check_version(engine: Engine, query: Mapping[str, str]) -> None:
    version = _number(query, "resourceVersion")
    if version > engine.store.version:
        raise status.ApiError(
            504,
            "Timeout",
            f"Too large resource version: {version}, current: {engine.store.version}",
            details={
                "causes": [
                    {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
                ],
                "retryAfterSeconds": 1,
            },
        )
    if query.get("resourceVersionMatch") == "Exact" and 0 < version < engine.store.version:
        raise status.expired(f"The resourceVersion for the provided list is too old: {version}")


def _write_continue(version: int, last: tuple[str, str]) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": list(last)})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_continue(token: str) -> tuple[int, tuple[str, str]]:
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, name = found["start"]
        return int(found["rv"]), (str(namespace), str(name))
    except (ValueError, KeyError, TypeError) as exc:
        raise status.bad_request(f"continue key is not valid: {type(exc).__name__}") from exc


def _named(body: Body) -> Body:
    """Return *body* with a name: bookmarks have none, and rows show one."""
    if "name" in body["metadata"]:
        return body
    return {**body, "metadata": {**body["metadata"], "name": ""}}
