"""Where each kind lives in the API: group, version, plural, scope.

A table and not discovery: the hub uses few kinds, discovery costs two requests for each program
start, and a server that does not serve a kind answers 404 anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind and its place.

    Args:
        kind: `Organization`.
        api_version: `imagehub.sealos.io/v1`, or `v1` for the core group.
        plural: `organizations`.
        namespaced: Whether its objects live in namespaces.
    """

    kind: str
    api_version: str
    plural: str
    namespaced: bool

    def path(self, name: str | None = None, namespace: str | None = None, sub: str = "") -> str:
        """Return the URL path of the collection, or of the object *name* and its subresource.

        A namespaced kind without *namespace* is the collection of all namespaces; the namespace of
        a cluster-scoped kind is ignored.
        """
        root = "/apis/" if "/" in self.api_version else "/api/"
        parts = [root + self.api_version]
        if self.namespaced and namespace:
            parts.append(f"namespaces/{quote(namespace, safe='')}")
        parts.append(self.plural)
        if name is not None:
            if not name:
                # An empty name would quietly turn an object's path into its collection's.
                raise InvalidInputError(f"a {self.kind} needs a name")
            parts.append(quote(name, safe=""))
        if sub:
            parts.append(sub)
        return "/".join(parts)


def _table(*resources: Resource) -> Mapping[str, Resource]:
    return {resource.kind: resource for resource in resources}


_HUB: Final = "imagehub.sealos.io/v1"
_RBAC: Final = "rbac.authorization.k8s.io/v1"
_ADMISSION: Final = "admissionregistration.k8s.io/v1"

RESOURCES: Final = _table(
    Resource("Organization", _HUB, "organizations", namespaced=False),
    Resource("Repository", _HUB, "repositories", namespaced=False),
    Resource("Image", _HUB, "images", namespaced=False),
    Resource("DataPack", _HUB, "datapacks", namespaced=False),
    Resource("Login", _HUB, "logins", namespaced=True),
    Resource("Namespace", "v1", "namespaces", namespaced=False),
    Resource("ServiceAccount", "v1", "serviceaccounts", namespaced=True),
    Resource("Secret", "v1", "secrets", namespaced=True),
    Resource("Event", "v1", "events", namespaced=True),
    Resource("Role", _RBAC, "roles", namespaced=True),
    Resource("RoleBinding", _RBAC, "rolebindings", namespaced=True),
    Resource("ClusterRole", _RBAC, "clusterroles", namespaced=False),
    Resource("ClusterRoleBinding", _RBAC, "clusterrolebindings", namespaced=False),
    Resource("Lease", "coordination.k8s.io/v1", "leases", namespaced=True),
    Resource(
        "CustomResourceDefinition",
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        namespaced=False,
    ),
    Resource(
        "ValidatingAdmissionPolicy", _ADMISSION, "validatingadmissionpolicies", namespaced=False
    ),
    Resource(
        "ValidatingAdmissionPolicyBinding",
        _ADMISSION,
        "validatingadmissionpolicybindings",
        namespaced=False,
    ),
    Resource("MutatingAdmissionPolicy", _ADMISSION, "mutatingadmissionpolicies", namespaced=False),
    Resource(
        "MutatingAdmissionPolicyBinding",
        _ADMISSION,
        "mutatingadmissionpolicybindings",
        namespaced=False,
    ),
    Resource(
        "SelfSubjectReview", "authentication.k8s.io/v1", "selfsubjectreviews", namespaced=False
    ),
    Resource("TokenReview", "authentication.k8s.io/v1", "tokenreviews", namespaced=False),
    Resource(
        "SelfSubjectAccessReview",
        "authorization.k8s.io/v1",
        "selfsubjectaccessreviews",
        namespaced=False,
    ),
    Resource(
        "SubjectAccessReview", "authorization.k8s.io/v1", "subjectaccessreviews", namespaced=False
    ),
)


def resource_of(kind: str) -> Resource:
    """Return the place of *kind*.

    Raises:
        InvalidInputError: The hub has nothing to do with this kind.
    """
    resource = RESOURCES.get(kind)
    if resource is None:
        raise InvalidInputError(
            f"the hub does not handle resources of kind {kind!r}",
            hint=f"It handles {', '.join(sorted(RESOURCES))}.",
        )
    return resource
