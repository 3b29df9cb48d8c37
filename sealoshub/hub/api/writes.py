"""Create, update, patch and apply: one pipeline, in the order of the real API server.

    decode → managed fields → mutating policies → conflict check → prepare and validate (422)
           → validating policies → store

Nothing here awaits, so that no other request comes between reading and writing an object.
"""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api import (
    apply,
    bodies,
    builtin_kinds,
    escalation,
    metadata,
    patch,
    rules,
    status,
    validation,
    write_request,
)
from sealoshub.hub.api.cel_values import equal
from sealoshub.hub.api.deletion import finish_if_emptied
from sealoshub.hub.api.engine import CRDS, NAMESPACES
from sealoshub.hub.api.rbac import GROUP as RBAC

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.hub.api.resources import Resource
    from sealoshub.hub.api.write_request import Write

Body = dict[str, Any]
PATCHES: Final = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}


def create(write: Write, body: Any, complaints: list[str]) -> Body:
    """Create an object.

    Args:
        write: The request.
        body: What was sent.
        complaints: What reading the body complained about.

    Raises:
        ApiError: It cannot be created.
    """
    new = bodies.check_object(write.resource, body)
    _decode(write, new, complaints)
    made = new["metadata"]
    write_request.check_namespace(write, made)
    named = replace(write, name=made.get("name") or "")
    _track(named, None, new)
    return _create(named, new)


def update(write: Write, body: Any, complaints: list[str]) -> tuple[int, Body]:
    """Replace an object.

    Returns:
        HTTP status (200, or 201 if it was made) and the object.

    Raises:
        ApiError: It cannot be updated.
    """
    new = bodies.check_object(write.resource, body)
    _decode(write, new, complaints)
    write_request.check_name(write, new["metadata"])
    old = write.stored()
    if old is None:
        if not write.resource.create_on_update or write.subresource:
            raise write.not_found()
        write_request.may_create(write)
        _track(write, None, new)
        return 201, _create(write, new)
    write_request.check_uid(write, new, old)
    version = new["metadata"].get("resourceVersion") or ""
    if not version and not write.resource.unconditional_update:
        text = "must be specified for an update"
        fault = status.invalid_value("metadata.resourceVersion", 0, text)
        raise status.invalid(write.resource.group, write.resource.plural, write.name, [fault])
    return 200, _replace(write, old, new)


def patch_object(write: Write, kind: str, content: Any, complaints: list[str]) -> tuple[int, Body]:
    """Patch an object.

    Args:
        write: The request.
        kind: `json`, `merge`, `strategic` or `apply`.
        content: The patch.
        complaints: What reading it complained about.

    Returns:
        HTTP status (200, or 201 if apply made it) and the object.

    Raises:
        ApiError: It cannot be patched.
    """
    old = write.stored()
    if kind == "apply":
        return _apply(write, old, content, complaints)
    if old is None:
        raise write.not_found()
    current = copy.deepcopy(old)
    if kind == "json":
        changed = patch.json_patch(current, content)
    elif not isinstance(content, dict):
        raise status.bad_request("error decoding patch: not an object")
    elif kind == "merge" or write.resource.custom:
        if kind == "strategic":
            raise status.unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include:"
                " application/json-patch+json, application/merge-patch+json,"
                " application/apply-patch+yaml"
            )
        changed = patch.merge_patch(current, content)
    else:
        changed = patch.strategic_merge(write.resource.schema, current, content)
    new = bodies.check_object(write.resource, changed)
    _decode(write, new, complaints)
    write_request.check_name(write, new["metadata"])
    return 200, _replace(write, old, new)


def _apply(write: Write, old: Body | None, content: Any, complaints: list[str]) -> tuple[int, Body]:
    resource = write.resource
    config = bodies.check_object(resource, content)
    if not isinstance(content, dict) or not content.get("kind") or not content.get("apiVersion"):
        raise status.bad_request("error decoding patch: apiVersion and kind must be set")
    write_request.check_name(write, config["metadata"])
    bodies.complain(resource, write.level, complaints)
    unknown = apply.untyped(resource.schema, config)
    if unknown:
        shown = f"{write.namespace}/{write.name}; {resource.api_version}, Kind={resource.kind}"
        message = f"failed to create typed patch object ({shown}): {'; '.join(unknown)}"
        raise status.ApiError(500, "", message)
    version = config["metadata"].pop("resourceVersion", None)
    if old is not None and version and version != old["metadata"]["resourceVersion"]:
        raise status.conflict(resource.group, resource.plural, write.name)
    manager = apply.Manager(write.manager, "Apply", resource.api_version, write.subresource)
    if not resource.custom:
        _normalize(resource, config)
    new = apply.apply_configuration(
        resource, old, config, manager, _reset(write), force=write.force
    )
    bodies.finish(resource, new)
    if old is not None:
        return 200, _replace(write, old, new, tracked=True)
    if write.subresource:
        raise write.not_found()
    write_request.may_create(write)
    return 201, _create(write, new)


def _normalize(resource: Resource, config: Body) -> None:
    """Give built-in objects in a configuration the defaults that make comparison fair."""
    if resource.kind == "Secret" and "stringData" in config:
        builtin_kinds.fill("Secret", config)
    if resource.kind in {"RoleBinding", "ClusterRoleBinding"}:
        builtin_kinds.fill(resource.kind, config)


def _create(write: Write, new: Body) -> Body:  # noqa: C901  # the pipeline, step by step
    resource, engine = write.resource, write.engine
    seen = write.attributes("CREATE", new, None)
    if write.namespace and resource.key != NAMESPACES:
        write_request.check_home(write, seen)
    if new["metadata"].get("resourceVersion"):
        message = "resourceVersion should not be set on objects to be created"
        raise status.ApiError(500, "", message)
    managed = new["metadata"].get("managedFields")
    mutated = engine.policies.mutate(seen)
    if managed is not None:
        mutated["metadata"]["managedFields"] = managed
    if resource.custom and resource.has_status:
        mutated.pop("status", None)
    metadata.begin(resource, mutated, write.namespace)
    if not resource.custom:
        builtin_kinds.fill(resource.kind, mutated)
        if resource.group == RBAC:
            escalation.check(engine.rbac, write.user, resource.plural, mutated, None)
        if resource.key != CRDS:
            builtin_kinds.begin(resource.kind, mutated)
    faults = _validate(write, mutated, None, metadata.validate_new(resource, mutated))
    _fail(write, mutated, faults)
    named = replace(write, name=mutated["metadata"]["name"])
    write.warnings.extend(engine.policies.validate(named.attributes("CREATE", mutated, None)))
    if engine.store.get(resource.key, write.namespace, named.name) is not None:
        raise status.already_exists(resource.group, resource.plural, named.name)
    if resource.key == CRDS:
        builtin_kinds.begin(resource.kind, mutated)
    if not write.dry_run:
        engine.store.put(resource.key, mutated, None)
    return mutated


def _replace(write: Write, old: Body, new: Body, *, tracked: bool = False) -> Body:
    resource, engine = write.resource, write.engine
    made, before = new["metadata"], old["metadata"]
    write_request.check_uid(write, new, old)
    if not tracked:
        _track(write, old, new)
    version = made.get("resourceVersion")
    managed = new["metadata"].get("managedFields")
    mutated = engine.policies.mutate(write.attributes("UPDATE", new, old))
    if managed is not None:
        mutated["metadata"]["managedFields"] = managed
    if version and version != before["resourceVersion"]:
        raise status.conflict(resource.group, resource.plural, write.name)
    _prepare_update(write, mutated, old)
    if resource.group == RBAC:
        escalation.check(engine.rbac, write.user, resource.plural, mutated, old)
    faults = _validate(write, mutated, old, metadata.validate_change(mutated, old))
    _fail(write, mutated, faults)
    _keep_times(mutated, old)
    write.warnings.extend(engine.policies.validate(write.attributes("UPDATE", mutated, old)))
    mutated["metadata"]["resourceVersion"] = before["resourceVersion"]
    if equal(mutated, old):
        return old
    if write.dry_run:
        return mutated
    if resource.key == CRDS and not write.subresource:
        builtin_kinds.establish(mutated)
    if finish_if_emptied(engine, resource, mutated, old):
        return mutated
    engine.store.put(resource.key, mutated, old)
    return mutated


def _prepare_update(write: Write, new: Body, old: Body) -> None:
    """Put back what this request cannot change, and count the generation."""
    resource = write.resource
    if write.subresource == "status":
        wanted = new.get("status")
        managed = new["metadata"].get("managedFields")
        for key in list(new):
            del new[key]
        new.update(copy.deepcopy(old))
        new.pop("status", None)
        if wanted is not None:
            new["status"] = wanted
        if managed is not None:
            new["metadata"]["managedFields"] = managed
        else:
            new["metadata"].pop("managedFields", None)
        return
    if write.subresource == "finalize":
        spec = new.get("spec")
        new.update(copy.deepcopy(old))
        new["spec"] = spec or {}
        return
    metadata.keep_system_fields(new, old)
    if resource.custom:
        if resource.has_status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
    else:
        builtin_kinds.fill(resource.kind, new)
        builtin_kinds.keep_on_update(resource.kind, new, old)
    if resource.generation:
        skipped = {"metadata"} if resource.custom else {"metadata", "status"}
        changed = any(
            not equal(new.get(key), old.get(key)) for key in {*new, *old} if key not in skipped
        )
        new["metadata"]["generation"] = old["metadata"].get("generation", 1) + int(changed)


def _validate(
    write: Write, new: Body, old: Body | None, found: list[status.Cause]
) -> list[status.Cause]:
    """Return all faults: those that were *found* in the metadata, then the schema's and rules'."""
    resource = write.resource
    before: Any = validation.MISSING if old is None else old
    if not resource.custom:
        faults = builtin_kinds.faults(resource.kind, new, old, write.engine.schemas)
        if not faults:
            # An empty list of rules is written null.
            given = {key: value for key, value in new.items() if value is not None}
            faults = validation.validate(resource.schema, given, before)
        return found + faults
    faults = found + validation.validate(resource.schema, new, before)
    if not resource.has_rules:
        return faults
    if any(one.reason in validation.BLOCKING for one in faults):
        return [*faults, rules.NOT_CHECKED]
    return faults + rules.check_rules(resource.schema, new, before)


def _fail(write: Write, new: Body, faults: list[status.Cause]) -> None:
    if faults:
        name = new["metadata"].get("name") or ""
        raise status.invalid(write.resource.group, write.resource.kind, name, faults)


def _decode(write: Write, body: Body, complaints: list[str]) -> None:
    found = [*complaints, *bodies.decode(write.resource, body)]
    if not write.resource.custom:
        builtin_kinds.fill(write.resource.kind, body)
    write.warnings.extend(bodies.complain(write.resource, write.level, found))


def _track(write: Write, old: Body | None, new: Body) -> None:
    resource = write.resource
    manager = apply.Manager(write.manager, "Update", resource.api_version, write.subresource)
    apply.track_update(
        resource, old or resource.empty, new, manager, _reset(write), created=old is None
    )


def _reset(write: Write) -> tuple[str, ...]:
    """Return the top-level fields that this request cannot change."""
    if write.subresource == "status":
        return ("apiVersion", "kind", "metadata", "spec")
    return ("status",) if write.resource.has_status else ()


def _keep_times(new: Body, old: Body) -> None:
    """Keep the times of managedFields if nothing but them changed."""
    entries = new["metadata"].get("managedFields") or []
    before = old["metadata"].get("managedFields") or []

    def timeless(listed: list[Body]) -> list[Body]:
        kept = [{k: v for k, v in one.items() if k != "time"} for one in listed]
        return sorted(kept, key=str)

    rest: Callable[[Body], Body] = lambda body: {  # noqa: E731  # two uses, one line
        **body,
        "metadata": {
            k: v
            for k, v in body["metadata"].items()
            if k not in {"managedFields", "resourceVersion"}
        },
    }
    if equal(timeless(entries), timeless(before)) and equal(rest(new), rest(old)) and before:
        new["metadata"]["managedFields"] = before
