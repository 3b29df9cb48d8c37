"""Tables: what `kubectl get` prints."""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api.resources import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sealoshub.hub.api.resources import Resource

Body = dict[str, Any]
_NAME: Final = Column(
    "Name",
    "string",
    ".metadata.name",
    "Name must be unique within a namespace. Is required when creating resources.",
    format="name",
)
_STEP: Final = re.compile(
    r"\.((?:[^.\[\\]|\\.)+)|\[\?\(@\.([\w.]+)\s*==\s*[\"']([^\"']*)[\"']\)\]|\[['\"]([^'\"]+)['\"]\]|\[(\d+|\*)\]"
)
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


def table(
    resource: Resource, items: Iterable[Body], list_metadata: Body, include: str, *, headers: bool
) -> Body:
    """Return a `Table` of objects.

    Args:
        resource: What they are.
        items: The objects.
        list_metadata: `metadata` of the list.
        include: `None`, `Metadata` or `Object`: what comes with each row.
        headers: Whether to describe the columns; later events of a watch do not.
    """
    columns = [_NAME, *resource.columns]
    made: Body = {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_metadata,
        "columnDefinitions": None,
        "rows": [_row(resource, columns, body, include) for body in items],
    }
    if headers:
        made["columnDefinitions"] = [
            {
                "name": one.name,
                "type": one.type,
                "format": one.format,
                "description": one.description
                or f"Custom resource definition column (in JSONPath format): {one.path}",
                "priority": one.priority,
            }
            for one in columns
        ]
    return made


def partial(body: Body) -> Body:
    """Return only the metadata of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": body.get("metadata", {}),
    }


def _row(resource: Resource, columns: list[Column], body: Body, include: str) -> Body:
    del resource
    row: Body = {"cells": [_cell(column, body) for column in columns]}
    if include == "Object":
        row["object"] = body
    elif include != "None":
        row["object"] = partial(body)
    return row


def _cell(column: Column, body: Body) -> Any:  # noqa: PLR0911  # one line per type
    if column.path.startswith("computed:"):
        return _COMPUTED[column.path.removeprefix("computed:")](body)
    found = find(body, column.path)
    if not found:
        return None
    value = found[0]
    match column.type:
        case "string":
            return " ".join(_text(one) for one in found)
        case "integer":
            return int(value) if isinstance(value, (int, float)) else None
        case "number":
            return float(value) if isinstance(value, (int, float)) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return age(value) if isinstance(value, str) else None
        case _:
            return None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return (
            "["
            + ",".join(f'"{one}"' if isinstance(one, str) else _text(one) for one in value)
            + "]"
        )
    return str(value)


def find(body: Any, path: str) -> list[Any]:
    r"""Return what a JSON path of kubectl's simple kind points to.

    Understood are `.a.b`, `.a\.b`, `['a']`, `[0]`, `[*]` and `[?(@.a=="b")]`.
    """
    values = [body]
    for step in _STEP.finditer(path):
        name, key, wanted, quoted, index = step.groups()
        following: list[Any] = []
        for value in values:
            if name is not None or quoted is not None:
                field = (name or quoted).replace("\\.", ".")
                if isinstance(value, dict) and value.get(field) is not None:
                    following.append(value[field])
            elif isinstance(value, list) and key is not None:
                following += [one for one in value if _text(_first(one, key)) == wanted]
            elif isinstance(value, list) and index == "*":
                following += value
            elif isinstance(value, list) and index is not None and int(index) < len(value):
                following.append(value[int(index)])
        values = following
    return values


def _first(value: Any, key: str) -> Any:
    return next(iter(find(value, f".{key}")), None)


def age(time: str) -> str:
    """Return how long ago *time* was, as kubectl words it."""
    try:
        then = dt.datetime.fromisoformat(time)
    except ValueError:
        return "<invalid>"
    if then.tzinfo is None:
        return "<invalid>"
    return human_duration(int((dt.datetime.now(dt.UTC) - then).total_seconds()))


def human_duration(seconds: int) -> str:  # noqa: C901, PLR0911  # the steps of HumanDuration
    """Return a duration in seconds as `k8s.io/apimachinery/pkg/util/duration` writes it."""
    if seconds < -1:
        return "<invalid>"
    if seconds <= 0:
        return "0s"
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    minutes, hours, days = seconds // _MINUTE, seconds // _HOUR, seconds // _DAY
    if minutes < 10:  # noqa: PLR2004  # minutes
        rest = seconds % _MINUTE
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 3 * 60:
        return f"{minutes}m"
    if hours < 8:  # noqa: PLR2004  # hours
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:  # noqa: PLR2004  # hours
        return f"{hours}h"
    if hours < 24 * 8:
        rest = hours % 24
        return f"{days}d{rest}h" if rest else f"{days}d"
    if hours < 24 * 365 * 2:
        return f"{days}d"
    years = days // 365
    if hours < 24 * 365 * 8:
        rest = days % 365
        return f"{years}y{rest}d" if rest else f"{years}y"
    return f"{years}y"


def _created(body: Body) -> str:
    time = body["metadata"].get("creationTimestamp")
    return age(time) if time else "<unknown>"


def _role(body: Body) -> str:
    reference = body.get("roleRef", {})
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


def _subjects(kind: str) -> Callable[[Body], str]:
    def names(body: Body) -> str:
        found = [one for one in body.get("subjects") or () if one.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{one.get('namespace', '')}/{one['name']}" for one in found)
        return ", ".join(one["name"] for one in found)

    return names


def _param_kind(body: Body) -> str:
    kind = body["spec"].get("paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else "<unset>"


def _param_ref(body: Body) -> str:
    reference = body["spec"].get("paramRef")
    if not reference or not reference.get("name"):
        return "<unset>"
    return f"{reference.get('namespace') or '*'}/{reference['name']}"


_COMPUTED: Final[dict[str, Callable[[Body], Any]]] = {
    "age": _created,
    "role": _role,
    "users": _subjects("User"),
    "groups": _subjects("Group"),
    "accounts": _subjects("ServiceAccount"),
    "data": lambda body: len(body.get("data") or {}),
    "validations": lambda body: len(body["spec"].get("validations") or ()),
    "mutations": lambda body: len(body["spec"].get("mutations") or ()),
    "paramkind": _param_kind,
    "paramref": _param_ref,
}
