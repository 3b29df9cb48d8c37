"""JSON merge patch (RFC 7386), JSON patch (RFC 6902) and strategic merge patch."""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api.cel_values import equal
from sealoshub.hub.api.schema import ANYTHING
from sealoshub.hub.api.status import ApiError, bad_request

if TYPE_CHECKING:
    from sealoshub.hub.api.schema import Schema

MOST_OPERATIONS: Final = 10_000  # of one JSON patch, as in Kubernetes


def merge_patch(target: Any, patch: Any) -> Any:
    """Return *target* with a merge patch applied."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def json_patch(target: Any, operations: Any) -> Any:
    """Return *target* with a JSON patch applied.

    Raises:
        ApiError: 400 if it is none, 422 if it cannot be applied.
    """
    if not isinstance(operations, list) or not all(isinstance(o, dict) for o in operations):
        raise bad_request("error decoding patch: a JSON patch is a list of operations")
    if len(operations) > MOST_OPERATIONS:
        raise ApiError(
            413,
            "RequestEntityTooLarge",
            f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS},"
            f" got {len(operations)}",
        )
    result = copy.deepcopy(target)
    for operation in operations:
        result = _operate(result, operation)
    return result


def strategic_merge(  # noqa: C901  # one branch for each directive
    schema: Schema, target: Any, patch: Any
) -> Any:
    """Return *target* with a strategic merge patch applied.

    Lists with a merge key are united by it, others replaced. `$patch: delete|replace`,
    `$deleteFromPrimitiveList/…`, `$setElementOrder/…` and `$retainKeys` are understood.

    Args:
        schema: Says which lists are merged.
        target: The object.
        patch: The patch.

    Raises:
        ApiError: 400 if a directive makes no sense.
    """
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return {k: copy.deepcopy(v) for k, v in patch.items() if k != "$patch"}
    if directive == "delete":
        return {}
    merged = dict(target) if isinstance(target, dict) else {}
    retained = patch.get("$retainKeys")
    if isinstance(retained, list):
        merged = {k: v for k, v in merged.items() if k in retained}
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge_value(schema.child(name) or ANYTHING, merged.get(name), value)
    for name, value in patch.items():
        directive, _, field = name.partition("/")
        if directive == "$deleteFromPrimitiveList":
            merged[field] = [one for one in merged.get(field) or [] if one not in value]
        elif directive == "$setElementOrder" and isinstance(merged.get(field), list):
            merged[field] = _ordered(schema.child(field) or ANYTHING, merged[field], value)
    return merged


def _merge_value(schema: Schema, current: Any, value: Any) -> Any:
    if not isinstance(value, list):
        return strategic_merge(schema, current, value)
    if schema.merge_key and schema.merge:
        return _merge_list(schema, current if isinstance(current, list) else [], value)
    if schema.merge:
        known = current if isinstance(current, list) else []
        return [*known, *(one for one in value if one not in known)]
    return [copy.deepcopy(one) for one in value if not _is_directive(one)]


def _is_directive(item: Any) -> bool:
    return isinstance(item, dict) and "$patch" in item and len(item) == 1


def _merge_list(schema: Schema, current: list[Any], patch: list[Any]) -> list[Any]:
    key = schema.merge_key
    if any(_is_directive(item) and item["$patch"] == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if not _is_directive(item)]
    merged = list(current)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        found = next((at for at, one in enumerate(merged) if one.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if found is not None:
                del merged[found]
        elif found is None:
            merged.append({k: copy.deepcopy(v) for k, v in item.items() if k != "$patch"})
        else:
            merged[found] = strategic_merge(schema.items or ANYTHING, merged[found], item)
    return merged


def _ordered(schema: Schema, items: list[Any], order: list[Any]) -> list[Any]:
    """Return the items in the order of a `$setElementOrder` directive, unknown ones last."""
    key = schema.merge_key

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    wanted = [identity(one) for one in order]
    return sorted(
        items,
        key=lambda item: wanted.index(identity(item)) if identity(item) in wanted else len(wanted),
    )


def _operate(  # noqa: PLR0911  # one line per operation
    document: Any, operation: dict[str, Any]
) -> Any:
    kind = operation.get("op")
    try:
        path = _pointer(operation["path"])
        match kind:
            case "add":
                return _add(document, path, copy.deepcopy(operation["value"]))
            case "remove":
                return _remove(document, path)[0]
            case "replace":
                _at(document, path)
                if not path:
                    return copy.deepcopy(operation["value"])
                return _add(_remove(document, path)[0], path, copy.deepcopy(operation["value"]))
            case "move":
                rest, value = _remove(document, _pointer(operation["from"]))
                return _add(rest, path, value)
            case "copy":
                return _add(
                    document, path, copy.deepcopy(_at(document, _pointer(operation["from"])))
                )
            case "test":
                if not equal(_at(document, path), operation.get("value")):
                    raise _cannot()
                return document
            case _:
                raise bad_request(f"error decoding patch: unexpected kind: {kind}")
    except (KeyError, IndexError, ValueError, TypeError) as exc:
        raise _cannot() from exc


def _cannot() -> ApiError:
    return ApiError(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
        details={},
    )


def _pointer(text: str) -> list[str]:
    """Split a JSON pointer (RFC 6901)."""
    if text == "":
        return []
    if not text.startswith("/"):
        raise ValueError(text)
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _at(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[_place(document, part)]
    return document


def _place(container: Any, part: str) -> Any:
    if isinstance(container, list):
        index = int(part)
        if index < 0 or (len(part) > 1 and part[0] == "0"):
            raise ValueError(part)
        return index
    if not isinstance(container, dict):
        raise TypeError(part)
    return part


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    container = _at(document, path[:-1])
    if isinstance(container, list):
        if path[-1] == "-":
            container.append(value)
        else:
            place = _place(container, path[-1])
            if place > len(container):
                raise IndexError(path[-1])
            container.insert(place, value)
    else:
        container[_place(container, path[-1])] = value
    return document


def _remove(document: Any, path: list[str]) -> tuple[Any, Any]:
    container = _at(document, path[:-1])
    value = container.pop(_place(container, path[-1]))
    return document, value
