"""What a request is about: the path and method, as Kubernetes' `RequestInfo` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# RequestInfoFactory.NewRequestInfo in k8s.io/apiserver/pkg/endpoints/request.
_VERBS: Final = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_NAMESPACE_SUBRESOURCES: Final = frozenset({"status", "finalize"})
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """One request, taken apart.

    Args:
        verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`;
            for paths that are no resource the HTTP method in lower case.
        path: The path of the URL.
        is_resource: Whether it names a resource.
        group: API group; empty for the core group.
        version: API version.
        resource: Plural name.
        subresource: `status`, `token`; empty if none.
        namespace: Empty for cluster scope and for all namespaces.
        name: Empty for collections.
        extra_path: More than four parts; nothing that is served has that.
    """

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    extra_path: bool = False


def parse(  # noqa: C901  # as long as the original, whose steps it keeps
    method: str, path: str, query: Mapping[str, str]
) -> RequestInfo:
    """Take a request apart."""
    plain = RequestInfo(method.lower(), path)
    parts = [part for part in path.split("/") if part]
    if not parts or parts[0] not in {"api", "apis"}:
        return plain
    group = ""
    if parts[0] == "apis":
        if len(parts) < 4:  # noqa: PLR2004  # /apis/GROUP/VERSION/RESOURCE is the shortest resource
            return plain
        group = parts[1]
        version, rest = parts[2], parts[3:]
    else:
        if len(parts) < 3:  # noqa: PLR2004  # /api/VERSION/RESOURCE is the shortest resource
            return plain
        version, rest = parts[1], parts[2:]
    verb = _VERBS.get(method, "")
    if rest[0] == "watch" and len(rest) > 1:
        # The deprecated prefix; it only ever meant the watch parameter.
        verb, rest = "watch", rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:  # noqa: PLR2004
            rest = rest[2:]
    resource = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""  # noqa: PLR2004
    if not name and verb == "get":
        verb = "watch" if is_true(query.get("watch", "")) else "list"
        name = _named(query.get("fieldSelector", ""))
    elif not name and verb == "delete":
        verb = "deletecollection"
        name = _named(query.get("fieldSelector", ""))
    elif name and verb == "get" and is_true(query.get("watch", "")):
        verb = "watch"
    return RequestInfo(
        verb,
        path,
        is_resource=True,
        group=group,
        version=version,
        resource=resource,
        subresource=subresource,
        namespace=namespace,
        name=name,
        extra_path=len(rest) > 3,  # noqa: PLR2004
    )


def is_true(text: str) -> bool:
    """Read a boolean parameter as Go's `strconv.ParseBool` does."""
    return text in _TRUE


def _named(selector: str) -> str:
    """Return the name if a field selector asks for exactly one.

    RBAC with `resourceNames` may so allow `list` and `watch` of single objects.
    """
    if "," in selector:
        return ""
    for operator in ("==", "="):
        left, found, right = selector.partition(operator)
        if found and left == "metadata.name":
            return right
    return ""
