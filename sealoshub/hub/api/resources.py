"""Which resources are served: the built-in ones and those of the stored CRDs."""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

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


_CREATED: Final = Column("Created At", "date", ".metadata.creationTimestamp")
_AGE: Final = Column("Age", "string", "computed:age")
_BINDING: Final = (
    Column("Role", "string", "computed:role"),
    _AGE,
    Column("Users", "string", "computed:users", priority=1),
    Column("Groups", "string", "computed:groups", priority=1),
    Column("ServiceAccounts", "string", "computed:accounts", priority=1),
)


def builtin_resources(schemas: Builtin) -> list[Resource]:
    """Return the resources that are there without any CRD."""

    def make(  # the columns of the table below
        package: str,
        group: str,
        plural: str,
        kind: str,
        *,
        namespaced: bool,
        **more: Any,
    ) -> Resource:
        definition = f"{package}.{kind}"
        return Resource(
            group,
            "v1",
            plural,
            kind.lower(),
            kind,
            namespaced,
            schemas.schema(definition),
            definition=definition,
            list_kind=f"{kind}List",
            **more,
        )

    core, rbac = "io.k8s.api.core.v1", "io.k8s.api.rbac.v1"
    rbac_group, admission_group = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
    admission = "io.k8s.api.admissionregistration.v1"
    policies = {
        "generation": True,
        "categories": ("api-extensions",),
        "empty": {"metadata": {}, "spec": {}},
    }
    role = {"create_on_update": True, "unconditional_update": True, "path_names": True}
    no_ref = {"roleRef": {"apiGroup": "", "kind": "", "name": ""}}
    listing = [
        make(
            core,
            "",
            "namespaces",
            "Namespace",
            namespaced=False,
            short_names=("ns",),
            has_status=True,
            unconditional_update=True,
            verbs=tuple(v for v in ALL_VERBS if v != "deletecollection"),
            columns=(Column("Status", "string", ".status.phase"), _AGE),
            selectable=(".status.phase",),
            empty={"metadata": {}, "spec": {}, "status": {}},
        ),
        make(
            core,
            "",
            "serviceaccounts",
            "ServiceAccount",
            namespaced=True,
            unconditional_update=True,
            short_names=("sa",),
            columns=(_AGE,),
            subresources={"token": "TokenRequest"},
        ),
        make(
            core,
            "",
            "secrets",
            "Secret",
            namespaced=True,
            unconditional_update=True,
            columns=(
                Column("Type", "string", ".type"),
                Column("Data", "string", "computed:data"),
                _AGE,
            ),
            selectable=(".type",),
        ),
        make(
            core,
            "",
            "events",
            "Event",
            namespaced=True,
            create_on_update=True,
            unconditional_update=True,
            short_names=("ev",),
            columns=(
                Column("Last Seen", "date", ".lastTimestamp"),
                Column("Type", "string", ".type"),
                Column("Reason", "string", ".reason"),
                Column("Object", "string", ".involvedObject.name"),
                Column("Message", "string", ".message"),
            ),
            selectable=(
                ".involvedObject.kind",
                ".involvedObject.name",
                ".involvedObject.namespace",
                ".involvedObject.uid",
                ".reason",
                ".type",
            ),
        ),
        make(
            rbac,
            rbac_group,
            "clusterroles",
            "ClusterRole",
            namespaced=False,
            columns=(_CREATED,),
            empty={"metadata": {}, "rules": None},
            **role,
        ),
        make(
            rbac,
            rbac_group,
            "clusterrolebindings",
            "ClusterRoleBinding",
            namespaced=False,
            columns=_BINDING,
            empty={"metadata": {}, **no_ref},
            **role,
        ),
        make(
            rbac,
            rbac_group,
            "roles",
            "Role",
            namespaced=True,
            columns=(_CREATED,),
            empty={"metadata": {}, "rules": None},
            **role,
        ),
        make(
            rbac,
            rbac_group,
            "rolebindings",
            "RoleBinding",
            namespaced=True,
            columns=_BINDING,
            empty={"metadata": {}, **no_ref},
            **role,
        ),
        make(
            "io.k8s.api.coordination.v1",
            "coordination.k8s.io",
            "leases",
            "Lease",
            namespaced=True,
            create_on_update=True,
            columns=(Column("Holder", "string", ".spec.holderIdentity"), _AGE),
            empty={"metadata": {}, "spec": {}},
        ),
        make(
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            "CustomResourceDefinition",
            namespaced=False,
            short_names=("crd", "crds"),
            has_status=True,
            generation=True,
            empty={
                "metadata": {},
                "spec": {
                    "group": "",
                    "names": {"plural": "", "kind": ""},
                    "scope": "",
                    "versions": None,
                },
                "status": {},
            },
            columns=(_CREATED,),
            categories=("api-extensions",),
        ),
        make(
            admission,
            admission_group,
            "validatingadmissionpolicies",
            "ValidatingAdmissionPolicy",
            namespaced=False,
            has_status=True,
            columns=(
                Column("Validations", "integer", "computed:validations"),
                Column("ParamKind", "string", "computed:paramkind"),
                _AGE,
            ),
            **policies,
        ),
        make(
            admission,
            admission_group,
            "mutatingadmissionpolicies",
            "MutatingAdmissionPolicy",
            namespaced=False,
            columns=(
                Column("Mutations", "integer", "computed:mutations"),
                Column("ParamKind", "string", "computed:paramkind"),
                _AGE,
            ),
            **policies,
        ),
        *(
            make(
                admission,
                admission_group,
                f"{kind.lower()}s",
                kind,
                namespaced=False,
                columns=(
                    Column("PolicyName", "string", ".spec.policyName"),
                    Column("ParamRef", "string", "computed:paramref"),
                    _AGE,
                ),
                **policies,
            )
            for kind in ("ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicyBinding")
        ),
    ]
    authentication, authorization = "authentication", "authorization"
    for domain, plural, kind, namespaced in (
        (authentication, "tokenreviews", "TokenReview", False),
        (authentication, "selfsubjectreviews", "SelfSubjectReview", False),
        (authorization, "subjectaccessreviews", "SubjectAccessReview", False),
        (authorization, "selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
        (authorization, "selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
        (authorization, "localsubjectaccessreviews", "LocalSubjectAccessReview", True),
    ):
        listing.append(
            make(
                f"io.k8s.api.{domain}.v1",
                f"{domain}.k8s.io",
                plural,
                kind,
                namespaced=namespaced,
                verbs=("create",),
                stored=False,
            )
        )
    return listing


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
