"""Cut the schemas of the embedded API's built-in kinds out of a Kubernetes source tree.

    python tests/tools/api_schemas.py $GOPATH/pkg/mod/k8s.io/kubernetes@v1.37.2

writes to `sealoshub/hub/api/`

- `schemas.json`: the OpenAPI definitions, unchanged, of the kinds that the embedded API serves and
  of everything they refer to;
- `protobuf.json`: the fields of the same kinds as protobuf messages, `{message: {number: [name,
  type, kind]}}` with the kinds `one`, `many` and `map`, because kubectl sends them so.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "sealoshub/hub/api"
PROTOS: Final = {
    "api": (
        "admissionregistration/v1",
        "authentication/v1",
        "authorization/v1",
        "coordination/v1",
        "core/v1",
        "rbac/v1",
    ),
    "apimachinery": ("pkg/apis/meta/v1", "pkg/runtime"),
}
MESSAGE: Final = re.compile(r"^message (\w+) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
FIELD: Final = re.compile(
    r"^\s*(optional|repeated|map<string, ([\w.]+)>) ?([\w.]*) (\w+) = (\d+);$", re.MULTILINE
)
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
    _write("schemas.json", wanted)
    _write("protobuf.json", _messages(source, wanted))


def _messages(source: Path, wanted: dict[str, object]) -> dict[str, object]:
    """Return the protobuf messages of the definitions *wanted*; the modules lie side by side."""
    version = source.name.partition("@")[2].replace("v1.", "v0.", 1)
    everything: dict[str, dict[str, list[str]]] = {}
    for module, folders in PROTOS.items():
        for folder in folders:
            file = source.parent / f"{module}@{version}" / folder / "generated.proto"
            package = f"io.k8s.{module}.{folder.replace('/', '.')}"
            for name, content in MESSAGE.findall(file.read_text()):
                everything[f"{package}.{name}"] = _fields(content, package)
    roots = [*wanted, "io.k8s.apimachinery.pkg.runtime.Unknown"]
    pending = [name for name in roots if name in everything]
    found: dict[str, object] = {}
    while pending:
        name = pending.pop()
        if name not in found:
            found[name] = everything[name]
            pending += [kind for _, kind, _ in everything[name].values() if kind in everything]
    return found


def _fields(content: str, package: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for label, value, kind, name, number in FIELD.findall(content):
        type_name = value or kind
        if type_name.startswith(".k8s.io."):
            type_name = f"io.k8s.{type_name.removeprefix('.k8s.io.')}"
        elif type_name[0].isupper():
            type_name = f"{package}.{type_name}"
        cardinality = "map" if value else "many" if label == "repeated" else "one"
        found[number] = [name, type_name, cardinality]
    return found


def _write(name: str, content: dict[str, object]) -> None:
    body = json.dumps(dict(sorted(content.items())), indent=1, ensure_ascii=False)
    (FOLDER / name).write_text(body + "\n", encoding="utf-8")
    print(f"{name}: {len(content)} definitions")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
