"""`/openapi/v3`: one document for each group and version.

`kubectl explain` reads the schemas; `kubectl apply` and `create` look whether PATCH takes
`fieldValidation`, and then leave validation to the server.
"""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api.discovery import GIT_VERSION
from sealoshub.hub.api.schema import META

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealoshub.hub.api.resources import Resource
    from sealoshub.hub.api.schema import Builtin

Body = dict[str, Any]
_REFERENCE: Final = "#/components/schemas/"
_TEXT: Final = {"type": "string", "uniqueItems": True}
_WRITE: Final = [
    {"name": "dryRun", "in": "query", "schema": _TEXT},
    {"name": "fieldManager", "in": "query", "schema": _TEXT},
    {"name": "fieldValidation", "in": "query", "schema": _TEXT},
]
_FORCE: Final = {"name": "force", "in": "query", "schema": {"type": "boolean"}}
_LIST: Final = [
    {"name": name, "in": "query", "schema": _TEXT}
    for name in ("continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "watch")
]
_API_VERSION: Final = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should"
    " convert recognized schemas to the latest internal value, and may reject unrecognized values."
)
_KIND: Final = (
    "Kind is a string value representing the REST resource this object represents. Servers may"
    " infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase."
)


def index(schemas: Builtin, resources: Iterable[Resource]) -> Body:
    """Return `/openapi/v3`: where the documents are."""
    listing = list(resources)
    paths: Body = {}
    for group, version in sorted({(one.group, one.version) for one in listing}):
        name = f"apis/{group}/{version}" if group else f"api/{version}"
        text = json.dumps(document(schemas, listing, group, version), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:32].upper()
        paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
    return {"paths": paths}


def document(
    schemas: Builtin, resources: Iterable[Resource], group: str, version: str
) -> Body | None:
    """Return the document of a group and version, or None if there is none."""
    found = [one for one in resources if (one.group, one.version) == (group, version)]
    if not found:
        return None
    paths: Body = {}
    components: Body = {}
    for one in sorted(found, key=lambda r: r.plural):
        paths |= _paths(one)
        if one.custom:
            components[one.definition] = _custom_schema(one)
            _close(schemas, META, components)
        else:
            _close(schemas, one.definition, components)
        components[f"{one.definition}List"] = _list_schema(one)
    _close(schemas, "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta", components)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": GIT_VERSION},
        "paths": paths,
        "components": {"schemas": dict(sorted(components.items()))},
    }


def _custom_schema(one: Resource) -> Body:
    properties = {
        **one.openapi.get("properties", {}),
        "apiVersion": {"type": "string", "description": _API_VERSION},
        "kind": {"type": "string", "description": _KIND},
        "metadata": {
            "description": "Standard object's metadata.",
            "allOf": [{"$ref": f"{_REFERENCE}{META}"}],
        },
    }
    return {
        **one.openapi,
        "type": "object",
        "properties": properties,
        "x-kubernetes-group-version-kind": [_gvk(one)],
    }


def _list_schema(one: Resource) -> Body:
    meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
    return {
        "type": "object",
        "description": f"{one.list_kind} is a list of {one.kind}",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": _API_VERSION},
            "kind": {"type": "string", "description": _KIND},
            "metadata": {"allOf": [{"$ref": f"{_REFERENCE}{meta}"}]},
            "items": {
                "type": "array",
                "items": {"allOf": [{"$ref": f"{_REFERENCE}{one.definition}"}], "default": {}},
            },
        },
        "x-kubernetes-group-version-kind": [{**_gvk(one), "kind": one.list_kind}],
    }


def _close(schemas: Builtin, name: str, components: Body) -> None:
    """Add a built-in definition and everything it refers to."""
    pending = [name]
    while pending:
        one = pending.pop()
        if one not in components and one in schemas.definitions:
            components[one] = schemas.definitions[one]
            pending += _references(schemas.definitions[one])


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        target = node.get("$ref")
        own = [target.removeprefix(_REFERENCE)] if isinstance(target, str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


def _gvk(one: Resource) -> Body:
    return {"group": one.group, "version": one.version, "kind": one.kind}


def _paths(one: Resource) -> Body:
    base = f"/apis/{one.group}/{one.version}" if one.group else f"/api/{one.version}"
    space = "/namespaces/{namespace}" if one.namespaced else ""
    collection = f"{base}{space}/{one.plural}"
    operations: Body = {}
    if "list" in one.verbs:
        operations["get"] = _operation(one, "list", f"{one.definition}List", _LIST)
    if "create" in one.verbs:
        operations["post"] = _operation(one, "post", one.definition, _WRITE, body=True)
    paths: Body = {collection: operations}
    if "get" in one.verbs:
        paths[f"{collection}/{{name}}"] = {
            "get": _operation(one, "get", one.definition, []),
            "put": _operation(one, "put", one.definition, _WRITE, body=True),
            "patch": _operation(one, "patch", one.definition, [*_WRITE, _FORCE], body=True),
            "delete": _operation(one, "delete", one.definition, []),
        }
    return paths


def _operation(
    one: Resource, action: str, schema: str, parameters: list[Body], *, body: bool = False
) -> Body:
    content = {"application/json": {"schema": {"$ref": f"{_REFERENCE}{schema}"}}}
    made: Body = {
        "description": f"{action} {one.kind}",
        "operationId": f"{action}{one.group.title().replace('.', '')}{one.version}{one.kind}",
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(one),
    }
    if body:
        made["requestBody"] = {"required": True, "content": content}
    return made
