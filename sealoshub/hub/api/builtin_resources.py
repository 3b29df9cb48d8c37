"""The resources that are served without any CRD: those of Kubernetes that a hub needs."""

# ruff: noqa: ANN401  # JSON and CEL values are whatever was sent

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealoshub.hub.api.resources import ALL_VERBS, Column, Resource

if TYPE_CHECKING:
    from sealoshub.hub.api.schema import Builtin

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
