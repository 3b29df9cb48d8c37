"""Field managers: `managedFields`, server-side apply, and its conflicts.

After `merge/update.go` of structured-merge-diff and `util/managedfields` of apimachinery.
"""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api import fields
from sealoshub.hub.api.cel_values import equal
from sealoshub.hub.api.metadata import now
from sealoshub.hub.api.status import ApiError, bad_request
from sealoshub.hub.api.validation import MISSING

if TYPE_CHECKING:
    from sealoshub.hub.api.fields import Fields
    from sealoshub.hub.api.resources import Resource
    from sealoshub.hub.api.schema import Schema

MOST_UPDATERS: Final = 10  # managers of updates; the oldest are merged into one
_BEFORE: Final = "before-first-apply"
_ANCIENT: Final = "ancient-changes"


@dataclass(frozen=True, slots=True)
class Manager:
    """Who owns fields.

    Args:
        name: Name of the field manager.
        operation: `Apply` or `Update`.
        version: apiVersion of the fields; empty in the key of an applier.
        subresource: Subresource through which it wrote.
    """

    name: str
    operation: str
    version: str
    subresource: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """An applier is the same in every version."""
        version = "" if self.operation == "Apply" else self.version
        return (self.name, self.operation, version, self.subresource)

    def shown(self) -> str:
        """Return the name as conflicts show it."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.version}" if self.operation == "Update" else text


@dataclass(slots=True)
class _Entry:
    """What one manager owns; the fields change while a write is worked out."""

    manager: Manager
    fields: Fields
    time: str


def track_update(  # noqa: PLR0913  # the objects, and who changes what of them
    resource: Resource,
    old: dict[str, Any],
    new: dict[str, Any],
    manager: Manager,
    reset: tuple[str, ...],
    *,
    created: bool,
) -> None:
    """Set `managedFields` of *new*, which *manager* made of *old* by other means than apply.

    Args:
        resource: What they are.
        old: The object before; the resource's empty object if there was none.
        new: The object after; its own managedFields count if it brings some. Changed in place.
        manager: Who writes.
        reset: Top-level fields that this request cannot change.
        created: Whether there was no object before.
    """
    given = new["metadata"].pop("managedFields", None)
    current = old.get("metadata", {}).get("managedFields")
    if given == [{}]:
        return  # the documented way to forget all managers
    entries = _read(given if given and not manager.subresource else current)
    if not entries and not created:
        return  # was never tracked; only an apply begins to
    _take(resource, _untracked(old), new, manager, entries, reset)
    _write(new, _capped(entries))


def apply_configuration(  # noqa: PLR0913  # the objects, and who changes what of them
    resource: Resource,
    live: dict[str, Any] | None,
    config: dict[str, Any],
    manager: Manager,
    reset: tuple[str, ...],
    *,
    force: bool,
) -> dict[str, Any]:
    """Return *live* with *config* applied, `managedFields` included.

    Args:
        resource: What they are.
        live: The stored object; None if there is none.
        config: What the manager wants.
        manager: Who applies.
        reset: Top-level fields that this request cannot change.
        force: Take fields from others instead of failing.

    Raises:
        ApiError: 409 with a cause for each field that somebody else owns; 400 if the
            configuration brings managedFields.
    """
    schema = resource.schema
    if config.get("metadata", {}).get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    base = _untracked(live or resource.empty)
    base.setdefault("apiVersion", resource.api_version)
    base.setdefault("kind", resource.kind)
    entries = _read((live or {}).get("metadata", {}).get("managedFields"))
    if not entries and live is not None:
        before = Manager(_BEFORE, "Update", manager.version, "")
        _take(resource, resource.empty, base, before, entries, ())
    last = next((e.fields for e in entries if e.manager.key == manager.key), fields.NONE)
    wanted = fields.without(fields.strip(fields.fields_of(schema, config)), reset)
    entries = [e for e in entries if e.manager.key != manager.key]
    mine = _Entry(manager, wanted, now())
    merged: dict[str, Any] = merge(schema, base, config)
    owned = wanted.union(*(e.fields for e in entries))
    gone = fields.parents(last) - fields.parents(owned)
    _remove(schema, merged, gone, ())
    difference = fields.compare(schema, base, merged)
    _yield_fields(entries, difference, reset, force=force)
    entries = [e for e in entries if e.fields]
    if wanted:
        if live is not None and equal(base, merged):
            # Nothing but ownership changes: Kubernetes then leaves the time as it was, or out.
            previous = _find(live, manager)
            mine.time = previous.time if previous is not None else ""
        entries.append(mine)
    _write(merged, entries)
    return merged


def merge(schema: Schema, live: Any, config: Any) -> Any:
    """Return *live* with the values of *config* laid over it."""
    if live is MISSING or live is None or fields.is_leaf(schema, config):
        return copy.deepcopy(config)
    if isinstance(config, dict) and isinstance(live, dict):
        merged = dict(live)
        for name, item in config.items():
            child = schema.child(name)
            if child is not None:
                merged[name] = merge(child, live.get(name, MISSING), item)
        return merged
    if isinstance(config, list) and isinstance(live, list) and schema.items is not None:
        return _merge_list(schema, live, config)
    return copy.deepcopy(config)


def untyped(schema: Schema, value: Any, path: str = "") -> list[str]:
    """Return what keeps a configuration from being applied, as apply words it.

    Fields that the schema does not know, and two items of a list with the same key.
    """
    found: list[str] = []
    if isinstance(value, dict):
        for name, item in value.items():
            child = schema.child(name)
            if child is None:
                found.append(f"{path}.{name}: field not declared in schema")
            else:
                found += untyped(child, item, f"{path}.{name}")
    elif isinstance(value, list) and schema.items is not None:
        seen: set[str] = set()
        for at, item in enumerate(value):
            element = fields.element_of(schema, item, at)
            below = fields.show((element,))
            if element in seen:
                found.append(f"{path}: duplicate entries for key {below}")
            seen.add(element)
            found += untyped(schema.items, item, f"{path}{below}")
    return found


def _merge_list(schema: Schema, live: list[Any], config: list[Any]) -> list[Any]:
    """Unite two lists: shared items in the order of *config*, the others where they stood."""
    items = schema.items
    if items is None:
        return copy.deepcopy(config)
    mine = {fields.element_of(schema, item, at): item for at, item in enumerate(config)}
    theirs = {fields.element_of(schema, item, at): item for at, item in enumerate(live)}
    pending = list(mine)
    merged: list[Any] = []

    def emit(element: str) -> None:
        merged.append(merge(items, theirs.get(element, MISSING), mine[element]))

    for element, item in theirs.items():
        if element not in mine:
            merged.append(item)
            continue
        while pending:
            following = pending.pop(0)
            emit(following)
            if following in theirs:
                break
    for element in pending:
        emit(element)
    return merged


def _remove(schema: Schema, value: Any, gone: Fields, path: fields.Path) -> None:
    """Take the fields *gone* out of *value*, in place."""
    if isinstance(value, dict):
        for name in list(value):
            below = (*path, f"f:{name}")
            if below in gone:
                del value[name]
                continue
            child = schema.child(name)
            if child is not None:
                value[name] = _unshared(value[name])
                _remove(child, value[name], gone, below)
    elif isinstance(value, list) and schema.list_type != "atomic" and schema.items is not None:
        kept: list[Any] = []
        for at, item in enumerate(value):
            below = (*path, fields.element_of(schema, item, at))
            if below not in gone:
                kept.append(_unshared(item))
                _remove(schema.items, kept[-1], gone, below)
        value[:] = kept


def _unshared(value: Any) -> Any:
    """Return a copy of one level, because `merge` shares what did not change with the old."""
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list) else value


def _take(  # noqa: PLR0913, PLR0917  # the objects, and who changes what of them
    resource: Resource,
    old: dict[str, Any],
    new: dict[str, Any],
    manager: Manager,
    entries: list[_Entry],
    reset: tuple[str, ...],
) -> None:
    """Give *manager* the fields that changed and take them from the others, in *entries*."""
    difference = fields.compare(resource.schema, old, new)
    others = [e for e in entries if e.manager.key != manager.key]
    _yield_fields(others, difference, reset, force=True)
    changed = fields.without(fields.strip(difference.added | difference.modified), reset)
    mine = next((e for e in entries if e.manager.key == manager.key), None)
    kept = mine.fields - difference.removed if mine is not None else fields.NONE
    time = mine.time if mine is not None and not changed else now()
    entries[:] = [e for e in others if e.fields]
    if kept | changed:
        entries.append(_Entry(manager, kept | changed, time))


def _yield_fields(
    entries: list[_Entry], difference: fields.Difference, reset: tuple[str, ...], *, force: bool
) -> None:
    """Take changed and removed fields from the managers in *entries*, or fail."""
    changed = fields.without(difference.modified | difference.added, reset)
    removed = fields.without(difference.removed, reset)
    conflicts = [(e.manager, path) for e in entries for path in sorted(e.fields & changed)]
    if conflicts and not force:
        raise _conflict(conflicts)
    for entry in entries:
        entry.fields = entry.fields - changed - removed


def _conflict(conflicts: list[tuple[Manager, fields.Path]]) -> ApiError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {manager.shown()}",
            "field": fields.show(path),
        }
        for manager, path in conflicts
    ]
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        message = f"1 conflict: conflict with {manager.shown()}: {fields.show(path)}"
    else:
        lines: list[str] = []
        for manager in dict.fromkeys(manager for manager, _ in conflicts):
            lines.append(f"conflicts with {manager.shown()}:")
            lines += [f"- {fields.show(path)}" for one, path in conflicts if one == manager]
        message = f"{len(conflicts)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", f"Apply failed with {message}", details={"causes": causes})


def _find(live: dict[str, Any] | None, manager: Manager) -> _Entry | None:
    entries = _read((live or {}).get("metadata", {}).get("managedFields"))
    return next((e for e in entries if e.manager.key == manager.key), None)


def _untracked(body: dict[str, Any]) -> dict[str, Any]:
    """Return the object without its managedFields."""
    metadata = {k: v for k, v in body.get("metadata", {}).items() if k != "managedFields"}
    return {**body, "metadata": metadata}


def _read(managed: list[dict[str, Any]] | None) -> list[_Entry]:
    entries: list[_Entry] = []
    for one in managed or ():
        manager = Manager(
            one.get("manager", ""),
            one.get("operation", "Update"),
            one.get("apiVersion", ""),
            one.get("subresource", ""),
        )
        owned = fields.from_fields_v1(one.get("fieldsV1") or {})
        entries.append(_Entry(manager, owned, one.get("time", "")))
    return entries


def _write(body: dict[str, Any], entries: list[_Entry]) -> None:
    written: list[dict[str, Any]] = []
    order = sorted(entries, key=lambda e: (e.manager.operation, e.time, *_identity(e.manager)))
    for entry in order:
        one: dict[str, Any] = {
            "manager": entry.manager.name,
            "operation": entry.manager.operation,
            "apiVersion": entry.manager.version,
            **({"time": entry.time} if entry.time else {}),
            "fieldsType": "FieldsV1",
            "fieldsV1": fields.to_fields_v1(entry.fields),
        }
        if entry.manager.subresource:
            one["subresource"] = entry.manager.subresource
        written.append(one)
    body["metadata"] = dict(body["metadata"])
    if written:
        body["metadata"]["managedFields"] = written
    else:
        body["metadata"].pop("managedFields", None)


def _identity(manager: Manager) -> tuple[str, str, str]:
    return (manager.name, manager.version, manager.subresource)


def _capped(entries: list[_Entry]) -> list[_Entry]:
    """Unite the oldest updaters, so that the list does not grow with every client's name."""
    updates = sorted(
        (e for e in entries if e.manager.operation == "Update"),
        key=lambda e: (e.time, e.manager.key),
    )
    if len(updates) <= MOST_UPDATERS:
        return entries
    old = updates[: len(updates) - MOST_UPDATERS + 1]
    rest = [e for e in entries if e not in old]
    manager = Manager(_ANCIENT, "Update", old[-1].manager.version, "")
    return [*rest, _Entry(manager, fields.NONE.union(*(e.fields for e in old)), old[-1].time)]
