"""Bodies of requests: JSON or YAML in, one object out, and what strict decoding complains about."""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import yaml

from sealoshub.hub.api import protobuf
from sealoshub.hub.api import schema as schemas
from sealoshub.hub.api.status import bad_request, invalid, invalid_value, unsupported_media_type
from sealoshub.hub.api.validation import type_of

if TYPE_CHECKING:
    from sealoshub.hub.api.resources import Resource
    from sealoshub.hub.api.schema import Schema

LARGEST_BODY: Final = 3 * 1024 * 1024  # bytes; MaxRequestBodyBytes of Kubernetes
DEEPEST: Final = 200  # levels; Python's parsers recurse
JSON_TYPES: Final = frozenset({"", "application/json", "*/*"})
YAML_TYPES: Final = frozenset({"application/yaml", "application/apply-patch+yaml"})


def media_type(header: str) -> str:
    """Return the media type of a Content-Type header without its parameters."""
    return header.partition(";")[0].strip().lower()


def parse(raw: bytes, content_type: str, duplicates: list[str]) -> Any:
    """Read a body.

    Args:
        raw: The bytes.
        content_type: Media type without parameters.
        duplicates: Takes the names of duplicate fields.

    Raises:
        ApiError: 400 for what is no JSON or YAML, 415 for other media types.
    """
    if content_type == protobuf.MEDIA_TYPE:
        return protobuf.parse(raw)
    if content_type in YAML_TYPES and not raw.lstrip().startswith(b"{"):
        return _yaml(raw)
    if content_type not in JSON_TYPES | YAML_TYPES and not content_type.endswith("+json"):
        raise unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include:"
            " application/json, application/yaml, application/vnd.kubernetes.protobuf"
        )

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in found:
            if name in made:
                duplicates.append(f'duplicate field "{name}"')
            made[name] = value
        return made

    try:
        value = json.loads(raw, object_pairs_hook=pairs, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise bad_request(f"error decoding the body: invalid JSON: {exc}") from exc
    _check_depth(value, 0)
    return value


def _yaml(raw: bytes) -> Any:
    try:
        # Aliases multiply a small text into a large object; no manifest needs them here.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(raw)):
            raise bad_request("error decoding the body: YAML aliases are not accepted")
        value = yaml.load(raw, Loader=_Loader)  # noqa: S506  # a SafeLoader without timestamps
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise bad_request(f"error decoding the body: invalid YAML: {exc}") from exc
    _check_depth(value, 0)
    return value


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: what looks like a time stays a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _check_depth(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise bad_request(f"error decoding the body: nested deeper than {DEEPEST} levels")
    if isinstance(value, dict):
        for item in value.values():
            _check_depth(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_depth(item, depth + 1)


def check_object(resource: Resource, body: Any, *, kind: str | None = None) -> dict[str, Any]:
    """Check what every object must have: it is a map, of this kind, with metadata.

    Raises:
        ApiError: 400.
    """
    if not isinstance(body, dict):
        raise bad_request("error decoding the body: not an object")
    wanted = kind or resource.kind
    given_kind, given_version = body.get("kind"), body.get("apiVersion")
    if resource.custom and not given_kind:
        shown = json.dumps(body, separators=(",", ":"))[:512]
        raise bad_request(
            f"the object provided is unrecognized (must be of type {wanted}): Object 'Kind' is"
            f" missing in '{shown}' ({shown})"
        )
    if resource.custom and given_kind != wanted:
        fault = invalid_value("kind", given_kind, f"must be {wanted}")
        name = (body.get("metadata") or {}).get("name") or ""
        raise invalid(str(given_version or "").rpartition("/")[0], str(given_kind), name, [fault])
    if given_kind not in (None, "", wanted):
        shown_kind = f"{given_kind} in version {json.dumps(given_version or '')}"
        inner = resource.api_version.rpartition("/")[0].partition(".")[0] or "core"
        inner = "authentication" if kind == "TokenRequest" else inner
        raise bad_request(
            f"{shown_kind} cannot be handled as a {wanted}: converting"
            f" ({str(given_version or '').rpartition('/')[2]}.{given_kind}) to ({inner}.{wanted}):"
            " unknown conversion"
        )
    if given_version not in (None, "", resource.api_version) and kind is None:
        raise bad_request(
            f"the API version in the data ({given_version}) does not match the expected API"
            f" version ({resource.api_version})"
        )
    if not isinstance(body.get("metadata") or {}, dict):
        raise bad_request("error decoding the body: metadata is not an object")
    head = {"apiVersion": given_version or resource.api_version, "kind": wanted}
    return {**head, **body, **head, "metadata": body.get("metadata") or {}}


def decode(resource: Resource, body: dict[str, Any]) -> list[str]:
    """Prune and default an object by its schema, in place.

    Returns:
        What strict decoding complains about: unknown fields.

    Raises:
        ApiError: 400 if a built-in kind, or the metadata of any, has a field of a wrong type.
    """
    checked = resource.schema if not resource.custom else resource.schema.properties["metadata"]
    part = body if not resource.custom else body["metadata"]
    path = resource.kind if not resource.custom else f"{resource.kind}.metadata"
    wrong = _wrong_type(checked, part, path)
    if wrong is not None:
        version = json.dumps(resource.version)
        raise bad_request(
            f"{resource.kind} in version {version} cannot be handled as a {resource.kind}: {wrong}"
        )
    unknown = schemas.prune(resource.schema, body)
    finish(resource, body)
    return schemas.unknown_fields(unknown)


def finish(resource: Resource, body: dict[str, Any]) -> None:
    """Fill in defaults and drop nulls, in place; again after each mutation."""
    if resource.custom:
        schemas.fill_defaults(resource.schema, body)
    schemas.drop_nulls(resource.schema, body)
    body.setdefault("metadata", {})


def _wrong_type(schema: Schema, value: Any, path: str) -> str | None:
    """Return the complaint of Go's JSON decoder about the first field of a wrong type."""
    if value is None or schema.int_or_string or schema.preserve:
        return None
    actual = type_of(value)
    if schema.type and actual != schema.type and (schema.type, actual) != ("number", "integer"):
        word = {"boolean": "bool", "integer": "number"}.get(actual, actual)
        kind = {"boolean": "bool", "array": "slice", "integer": "int64"}.get(
            schema.type, schema.type
        )
        return f"json: cannot unmarshal {word} into Go struct field {path} of type {kind}"
    if isinstance(value, dict):
        for name, item in value.items():
            child = schema.child(name)
            found = None if child is None else _wrong_type(child, item, f"{path}.{name}")
            if found is not None:
                return found
    elif isinstance(value, list) and schema.items is not None:
        for item in value:
            found = _wrong_type(schema.items, item, path)
            if found is not None:
                return found
    return None


def complain(resource: Resource, level: str, complaints: list[str]) -> list[str]:
    """Treat the complaints of strict decoding as `fieldValidation` asks.

    Args:
        resource: What the object is.
        level: `Strict`, `Warn` or `Ignore`; empty means `Warn`.
        complaints: What there is to say.

    Returns:
        Warnings to send.

    Raises:
        ApiError: 400 if the level is `Strict` and there is something to say.
    """
    if not complaints or level == "Ignore":
        return []
    if level == "Strict":
        kind, version = resource.kind, resource.version
        head = f"{kind} in version {json.dumps(version)} cannot be handled as a {kind}: "
        raise bad_request(f"{head}strict decoding error: {', '.join(complaints)}")
    return complaints


def new_status(status: str, **details: Any) -> dict[str, Any]:
    """Return the `Status` of a success."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": status,
        "details": details,
    }


def list_of(resource: Resource, items: list[dict[str, Any]], version: int) -> dict[str, Any]:
    """Return a list object."""
    return {
        "kind": resource.list_kind,
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": str(version)},
        "items": items,
    }
