"""What a served resource is, and which ones a stored CRD defines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api.rules import has_rules

if TYPE_CHECKING:
    from sealoshub.hub.api.schema import Builtin, Schema

ALL_VERBS: Final = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        name: Its title.
        type: `string`, `integer`, `date`, …
        path: JSON path, `.spec.name`; `computed:NAME` for those that `tables.py` computes.
        description: For people.
        priority: 0 always, 1 with `-o wide`.
        format: `name` for the column of names.
    """

    name: str
    type: str
    path: str
    description: str = ""
    priority: int = 0
    format: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource in one version.

    Args:
        group: API group; empty for the core group.
        version: API version.
        plural: Name in the URL.
        singular: Name of one.
        kind: Kind of the objects.
        namespaced: Whether the objects live in namespaces.
        schema: What an object looks like.
        verbs: What can be done; reviews only know `create`.
        short_names: For kubectl.
        categories: For kubectl, `all`.
        columns: Of `kubectl get`.
        has_status: Whether `status` is a subresource of its own.
        custom: Whether a CRD defines it.
        definition: Name of the OpenAPI definition.
        openapi: The schema as OpenAPI; for CRDs.
        stored: False for reviews.
        list_kind: Kind of lists.
        selectable: JSON paths that field selectors may use besides name and namespace.
        empty: What Go's zero value of the type looks like; the base of the first field set.
        create_on_update: PUT creates what is missing.
        unconditional_update: PUT needs no resourceVersion.
        generation: Whether `metadata.generation` counts changes.
        path_names: Names are path segments (`system:admin`), not DNS names.
        subresources: Further subresources and their kinds.
        has_rules: Whether the schema has rules in CEL.
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    schema: Schema
    verbs: tuple[str, ...] = ALL_VERBS
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    has_status: bool = False
    custom: bool = False
    definition: str = ""
    openapi: dict[str, Any] = field(default_factory=dict)
    stored: bool = True
    list_kind: str = ""
    selectable: tuple[str, ...] = ()
    empty: dict[str, Any] = field(default_factory=dict)
    create_on_update: bool = False
    unconditional_update: bool = False
    generation: bool = False
    path_names: bool = False
    subresources: dict[str, str] = field(default_factory=dict)
    has_rules: bool = False

    @property
    def key(self) -> str:
        """Name of the resource in the store."""
        return f"{self.group}/{self.plural}"

    @property
    def api_version(self) -> str:
        """`apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


def custom_resources(schemas: Builtin, crd: dict[str, Any]) -> list[Resource]:
    """Return the resources that a stored CRD defines, one for each served version."""
    spec = crd["spec"]
    names = spec["names"]
    found: list[Resource] = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        openapi = version.get("schema", {}).get("openAPIV3Schema", {})
        columns = tuple(
            Column(
                one["name"],
                one["type"],
                one["jsonPath"],
                one.get("description", ""),
                one.get("priority", 0),
                one.get("format", ""),
            )
            for one in version.get("additionalPrinterColumns", ())
        )
        found.append(
            Resource(
                spec["group"],
                version["name"],
                names["plural"],
                names.get("singular") or names["kind"].lower(),
                names["kind"],
                spec["scope"] == "Namespaced",
                schemas.custom(openapi, preserve=bool(spec.get("preserveUnknownFields"))),
                short_names=tuple(names.get("shortNames", ())),
                categories=tuple(names.get("categories", ())),
                columns=columns or (Column("Age", "date", ".metadata.creationTimestamp"),),
                has_status="status" in version.get("subresources", {}),
                custom=True,
                definition=".".join(
                    [*reversed(spec["group"].split(".")), version["name"], names["kind"]]
                ),
                openapi=openapi,
                list_kind=names.get("listKind") or f"{names['kind']}List",
                selectable=tuple(one["jsonPath"] for one in version.get("selectableFields", ())),
                generation=True,
                has_rules=has_rules(schemas.compile(openapi)),
            )
        )
    return found
