"""Delete: preconditions, finalizers, what hangs on the deleted object, namespaces and CRDs."""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api import bodies, metadata, status
from sealoshub.hub.api.engine import CRDS, NAMESPACES

if TYPE_CHECKING:
    from sealoshub.hub.api.engine import Engine
    from sealoshub.hub.api.resources import Resource
    from sealoshub.hub.api.selectors import Selector
    from sealoshub.hub.api.write_request import Write

Body = dict[str, Any]
_IMMORTAL: Final = frozenset({"default", "kube-public", "kube-system"})
_RETURNS_OBJECT: Final = frozenset({"Namespace", "ServiceAccount"})


@dataclass(frozen=True, slots=True)
class Options:
    """`DeleteOptions`.

    Args:
        uid: Delete only the object with this uid.
        version: Delete only this version.
        propagation: `Foreground`, `Background` or `Orphan`.
    """

    uid: str | None = None
    version: str | None = None
    propagation: str = "Background"


def options_of(body: Any, query: dict[str, str]) -> Options:
    """Read DeleteOptions from the body, or the propagation from the query.

    Raises:
        ApiError: 400 or 422 if they make no sense.
    """
    given = body if isinstance(body, dict) else {}
    conditions = given.get("preconditions") or {}
    policy = given.get("propagationPolicy") or query.get("propagationPolicy") or ""
    if given.get("orphanDependents"):
        policy = "Orphan"
    if policy not in {"", "Background", "Foreground", "Orphan"}:
        fault = status.unsupported(
            "propagationPolicy", policy, ["Background", "Foreground", "Orphan"]
        )
        raise status.invalid("", "DeleteOptions", "", [fault])
    return Options(conditions.get("uid"), conditions.get("resourceVersion"), policy or "Background")


def delete(write: Write, options: Options) -> Body:
    """Delete an object, or mark it for deletion if it has finalizers.

    Returns:
        A `Status`, or the object if it is still there.

    Raises:
        ApiError: It is not there, not the one that was meant, or a policy refuses.
    """
    resource, engine = write.resource, write.engine
    body = write.stored()
    if body is None:
        raise write.not_found()
    made = body["metadata"]
    _check(write, made, options)
    if resource.key == NAMESPACES and write.name in _IMMORTAL:
        text = "this namespace may not be deleted"
        raise status.forbidden("", "namespaces", write.name, text)
    write.warnings.extend(engine.policies.validate(write.attributes("DELETE", None, body)))
    if write.dry_run:
        return _answer(resource, body)
    if options.propagation == "Orphan":
        _orphan(engine, made["uid"])
    elif options.propagation == "Foreground":
        _collect(engine, made["uid"])
    if resource.key == NAMESPACES:
        return _delete_namespace(engine, resource, body)
    if resource.key == CRDS:
        _delete_customs(engine, body)
    return _answer(resource, remove(engine, resource, body))


def delete_all(write: Write, selector: Selector, options: Options) -> Body:
    """Delete the objects of a collection; the first that is refused ends it.

    Raises:
        ApiError: One of them cannot be deleted.
    """
    found = [
        body
        for body in write.engine.store.scan(write.resource.key, write.namespace or None)
        if selector.matches(body)
    ]
    for body in found:
        made = body["metadata"]
        one = replace(write, namespace=made.get("namespace", ""), name=made["name"])
        delete(one, options)
    return bodies.list_of(write.resource, found, write.engine.store.version)


def remove(engine: Engine, resource: Resource, body: Body) -> Body:
    """Remove an object and what it owns, or mark it if it has finalizers.

    Returns:
        Its last state, without `metadata.deletionTimestamp` if it is gone.
    """
    made = body["metadata"]
    if made.get("finalizers"):
        if made.get("deletionTimestamp"):
            return body
        marked = copy.deepcopy(body)
        marked["metadata"]["deletionTimestamp"] = metadata.now()
        marked["metadata"]["deletionGracePeriodSeconds"] = 0
        if marked["metadata"].get("generation"):
            marked["metadata"]["generation"] += 1
        engine.store.put(resource.key, marked, body)
        return marked
    last = engine.store.remove(resource.key, body)
    last["metadata"].pop("deletionTimestamp", None)
    _collect(engine, made["uid"])
    _after(engine, body)
    return last


def finish_if_emptied(engine: Engine, resource: Resource, new: Body, old: Body) -> bool:
    """Remove an object whose last finalizer went with this update.

    Returns:
        Whether it is gone.
    """
    made = new["metadata"]
    if not old["metadata"].get("deletionTimestamp") or made.get("finalizers"):
        return False
    if resource.key == NAMESPACES:
        return False
    last = engine.store.remove(resource.key, new)
    made["resourceVersion"] = last["metadata"]["resourceVersion"]
    _collect(engine, made["uid"])
    _after(engine, new)
    return True


def _check(write: Write, made: Body, options: Options) -> None:
    resource = write.resource
    if options.uid is not None and options.uid != made["uid"]:
        text = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record"
            f" ({made['uid']}). The object might have been deleted and then recreated"
        )
        raise status.conflict(resource.group, resource.kind, write.name, text)
    if options.version is not None and options.version != made["resourceVersion"]:
        text = (
            f"the ResourceVersion in the precondition ({options.version}) does not match the"
            f" ResourceVersion in record ({made['resourceVersion']}). The object might have been"
            " modified"
        )
        raise status.conflict(resource.group, resource.kind, write.name, text)


def _answer(resource: Resource, body: Body) -> Body:
    made = body["metadata"]
    if made.get("deletionTimestamp") or resource.kind in _RETURNS_OBJECT:
        return body
    details = {
        "name": made["name"],
        "group": resource.group,
        "kind": resource.plural,
        "uid": made["uid"],
    }
    return bodies.new_status("Success", **{k: v for k, v in details.items() if v})


def _delete_namespace(engine: Engine, resource: Resource, body: Body) -> Body:
    """Remove a namespace with everything in it.

    Objects with finalizers stay until their controllers let go, and the namespace until then.
    """
    name = body["metadata"]["name"]
    going = body
    if not body["metadata"].get("deletionTimestamp"):
        going = copy.deepcopy(body)
        going["metadata"]["deletionTimestamp"] = metadata.now()
        going["status"] = {**going.get("status", {}), "phase": "Terminating"}
        engine.store.put(resource.key, going, body)
    for key in engine.store.resources_with(name):
        below = engine.resources.stored_as(key)
        if below is not None:
            for one in list(engine.store.scan(key, name)):
                remove(engine, below, one)
    _end_namespace(engine, name)
    return going


def _end_namespace(engine: Engine, name: str) -> None:
    """Remove a namespace that is being deleted and has become empty."""
    body = engine.store.get(NAMESPACES, "", name)
    if body is None or not body["metadata"].get("deletionTimestamp"):
        return
    if not engine.store.resources_with(name) and not body["metadata"].get("finalizers"):
        engine.store.remove(NAMESPACES, body)
        _collect(engine, body["metadata"]["uid"])


def _delete_customs(engine: Engine, crd: Body) -> None:
    """Remove the objects of a CRD, whatever their finalizers say: nobody could serve them."""
    key = f"{crd['spec']['group']}/{crd['spec']['names']['plural']}"
    for one in list(engine.store.scan(key, None)):
        engine.store.remove(key, one)


def _collect(engine: Engine, uid: str) -> None:
    """Delete the objects whose only owner was the object *uid* (garbage collection)."""
    for key, namespace, name in sorted(engine.owners.get(uid, ())):
        resource = engine.resources.stored_as(key)
        body = engine.store.get(key, namespace, name)
        if resource is None or body is None:
            continue
        others = [o for o in body["metadata"].get("ownerReferences") or () if o["uid"] != uid]
        if any(_alive(engine, owner, namespace) for owner in others):
            changed = copy.deepcopy(body)
            changed["metadata"]["ownerReferences"] = others
            engine.store.put(key, changed, body)
        else:
            remove(engine, resource, body)


def _alive(engine: Engine, owner: Body, namespace: str) -> bool:
    resource = engine.resources.of_kind(owner["apiVersion"], owner["kind"])
    if resource is None:
        return False
    home = namespace if resource.namespaced else ""
    found = engine.store.get(resource.key, home, owner["name"])
    return found is not None and found["metadata"]["uid"] == owner["uid"]


def _orphan(engine: Engine, uid: str) -> None:
    """Take the owner *uid* out of what it owns, which then stays."""
    for key, namespace, name in sorted(engine.owners.get(uid, ())):
        body = engine.store.get(key, namespace, name)
        if body is not None:
            changed = copy.deepcopy(body)
            kept = [o for o in changed["metadata"]["ownerReferences"] if o["uid"] != uid]
            changed["metadata"]["ownerReferences"] = kept
            engine.store.put(key, changed, body)


def _after(engine: Engine, body: Body) -> None:
    namespace = body["metadata"].get("namespace")
    if namespace:
        _end_namespace(engine, namespace)
