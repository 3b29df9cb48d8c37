"""Cut the schemas of the embedded API's built-in kinds out of a Kubernetes source tree.

    python tests/tools/api_schemas.py $GOPATH/pkg/mod/k8s.io/kubernetes@v1.37.2

writes `sealoshub/hub/api/schemas.json`: the OpenAPI definitions, unchanged, of the kinds that the
embedded API serves and of everything they refer to.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

TARGET: Final = Path(__file__).parents[2] / "sealoshub/hub/api/schemas.json"
DOCUMENTS: Final = (
    "api__v1",
    "apis__admissionregistration.k8s.io__v1",
    "apis__apiextensions.k8s.io__v1",
    "apis__authentication.k8s.io__v1",
    "apis__authorization.k8s.io__v1",
    "apis__coordination.k8s.io__v1",
    "apis__rbac.authorization.k8s.io__v1",
)
ROOTS: Final = (
    *(f"io.k8s.api.core.v1.{k}" for k in ("Namespace", "ServiceAccount", "Secret", "Event")),
    *(
        f"io.k8s.api.rbac.v1.{k}"
        for k in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    ),
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    *(
        f"io.k8s.api.admissionregistration.v1.{k}{suffix}"
        for k in ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy")
        for suffix in ("", "Binding")
    ),
    "io.k8s.api.authentication.v1.TokenReview",
    "io.k8s.api.authentication.v1.SelfSubjectReview",
    "io.k8s.api.authentication.v1.TokenRequest",
    *(
        f"io.k8s.api.authorization.v1.{k}"
        for k in (
            "SubjectAccessReview",
            "SelfSubjectAccessReview",
            "LocalSubjectAccessReview",
            "SelfSubjectRulesReview",
        )
    ),
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
)


def references(node: object) -> set[str]:
    """Return the names of the definitions to which *node* refers."""
    found: set[str] = set()
    if isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str):
            found.add(target.rsplit("/", 1)[-1])
        for value in node.values():
            found |= references(value)
    elif isinstance(node, list):
        for value in node:
            found |= references(value)
    return found


def main(source: Path) -> None:
    """Write the file from the source tree at *source*."""
    everything: dict[str, object] = {}
    for name in DOCUMENTS:
        file = source / "api/openapi-spec/v3" / f"{name}_openapi.json"
        everything |= json.loads(file.read_text())["components"]["schemas"]
    wanted: dict[str, object] = {}
    pending = list(ROOTS)
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted[name] = everything[name]
            pending += references(everything[name])
    body = json.dumps(dict(sorted(wanted.items())), indent=1, ensure_ascii=False)
    TARGET.write_text(body + "\n", encoding="utf-8")
    print(f"{TARGET}: {len(wanted)} definitions")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
