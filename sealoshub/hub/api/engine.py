"""The API's state, wired together: store, resources, rights, policies, watchers."""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api import bootstrap, metadata
from sealoshub.hub.api.admission import Policies
from sealoshub.hub.api.builtin_resources import builtin_resources
from sealoshub.hub.api.rbac import GROUP as RBAC
from sealoshub.hub.api.rbac import Rbac
from sealoshub.hub.api.resources import Resource, custom_resources
from sealoshub.hub.api.schema import Builtin
from sealoshub.hub.api.status import no_such_resource
from sealoshub.hub.api.store import KEEP_EVENTS, Event, Store
from sealoshub.hub.api.watch import Broadcaster

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.hub.api.authn import StaticTokens
    from sealoshub.hub.api.tokens import Tokens

CRDS: Final = "apiextensions.k8s.io/customresourcedefinitions"
NAMESPACES: Final = "/namespaces"


class Resources:
    """What is served now.

    It is a class because it follows the stored CRDs.

    Args:
        schemas: The built-in definitions.
    """

    def __init__(self, schemas: Builtin) -> None:
        self._schemas = schemas
        self._builtin = builtin_resources(schemas)
        self._custom: dict[str, list[Resource]] = {}
        self._index: dict[tuple[str, str, str], Resource] = {}
        self._rebuild()

    def put(self, crd: dict[str, Any], *, deleted: bool = False) -> None:
        """Take note of a CRD."""
        name = crd["metadata"]["name"]
        if deleted:
            self._custom.pop(name, None)
        else:
            self._custom[name] = custom_resources(self._schemas, crd)
        self._rebuild()

    def find(self, group: str, version: str, plural: str) -> Resource:
        """Return a resource.

        Raises:
            ApiError: 404; it is not served.
        """
        found = self._index.get((group, version, plural))
        if found is None:
            raise no_such_resource()
        return found

    def everything(self) -> list[Resource]:
        """Return all resources."""
        return list(self._index.values())

    def stored_as(self, key: str) -> Resource | None:
        """Return the resource whose objects the store keeps under *key*."""
        return next((one for one in self._index.values() if one.key == key and one.stored), None)

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource of a kind."""
        group = api_version.rpartition("/")[0]
        return next(
            (r for r in self._index.values() if r.kind == kind and r.group == group and r.stored),
            None,
        )

    def _rebuild(self) -> None:
        every = [*self._builtin, *(one for some in self._custom.values() for one in some)]
        self._index = {(one.group, one.version, one.plural): one for one in every}


@dataclass(slots=True)
class Engine:
    """Everything that answering a request needs.

    Args:
        store: Objects and events.
        schemas: Built-in definitions.
        resources: What is served.
        rbac: Who may do what.
        policies: Admission policies.
        watchers: Who is told about changes.
        tokens: ServiceAccount tokens.
        static: Users' tokens.
        owners: By uid of an owner the resource, namespace and name of what it owns.
    """

    store: Store
    schemas: Builtin
    resources: Resources
    rbac: Rbac
    policies: Policies
    watchers: Broadcaster
    tokens: Tokens
    static: StaticTokens
    owners: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Keep the memory in step with the store; called after each write."""
        self.rbac.apply(event)
        self.policies.apply(event)
        if event.resource == CRDS:
            self.resources.put(event.body, deleted=event.type == "DELETED")
        self._note_owners(event)
        self.watchers.publish(event)

    def load(self) -> None:
        """Fill the memory from the store, and make what every cluster has from the beginning."""
        for plural in ("roles", "clusterroles", "rolebindings", "clusterrolebindings"):
            for body in self.store.scan(f"{RBAC}/{plural}", None):
                self.rbac.put(plural, body)
        for crd in self.store.scan(CRDS, None):
            self.resources.put(crd)
        for resource in self.resources.everything():
            if resource.stored:
                for body in self.store.scan(resource.key, None):
                    self._own(resource.key, body)
        for key, body in bootstrap.objects():
            made = body["metadata"]
            if self.store.get(key, "", made["name"]) is None:
                made["uid"] = str(uuid.uuid4())
                made["creationTimestamp"] = metadata.now()
                self.store.put(key, body, None)

    def _note_owners(self, event: Event) -> None:
        if event.previous is not None:
            self._own(event.resource, event.previous, gone=True)
        if event.type != "DELETED":
            self._own(event.resource, event.body)

    def _own(self, key: str, body: dict[str, Any], *, gone: bool = False) -> None:
        """Remember which objects name which owner, for garbage collection."""
        made = body["metadata"]
        for owner in made.get("ownerReferences") or ():
            entry = (key, made.get("namespace", ""), made["name"])
            known = self.owners.setdefault(owner["uid"], set())
            if gone:
                known.discard(entry)
                if not known:
                    del self.owners[owner["uid"]]
            else:
                known.add(entry)


def open_engine(
    database: Path,
    make_tokens: type[Tokens],
    key: Any,
    static: StaticTokens,
    *,
    keep_events: int = KEEP_EVENTS,
) -> Engine:
    """Open the database and return the API's state.

    Args:
        database: The SQLite file.
        make_tokens: `Tokens`.
        key: Key that signs ServiceAccount tokens.
        static: Users' tokens.
        keep_events: How many events watches can be behind.

    Raises:
        UnavailableError: The database cannot be opened.
    """
    made: list[Engine] = []

    def apply(event: Event) -> None:
        made[0].apply(event)  # the store is made before the engine that listens to it

    store = Store(database, apply, keep_events=keep_events)
    schemas, rbac = Builtin(), Rbac()
    made.append(
        Engine(
            store,
            schemas,
            Resources(schemas),
            rbac,
            Policies(store, rbac),
            Broadcaster(),
            make_tokens(key, store),
            static,
        )
    )
    made[0].load()
    return made[0]
