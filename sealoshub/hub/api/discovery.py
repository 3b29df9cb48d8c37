"""Discovery: which groups, versions and resources there are."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealoshub.hub.api.resources import Resource

Body = dict[str, Any]
# kubectl compares its own version with this one and warns when they are far apart.
MAJOR: Final = "1"
MINOR: Final = "37"
GIT_VERSION: Final = "v1.37.2+sealoshub"
_STATUS_VERBS: Final = ("get", "patch", "update")


def version() -> Body:
    """Return `/version`."""
    return {
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{platform.system().lower()}/{platform.machine().lower()}",
    }


def api_versions() -> Body:
    """Return `/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
    }


def groups(resources: Iterable[Resource]) -> Body:
    """Return `/apis`."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, versions) for name, versions in _groups(resources).items() if name],
    }


def group(resources: Iterable[Resource], name: str) -> Body | None:
    """Return `/apis/GROUP`, or None if there is no such group."""
    versions = _groups(resources).get(name)
    if not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def resource_list(resources: Iterable[Resource], group_name: str, of_version: str) -> Body | None:
    """Return `/apis/GROUP/VERSION`, or None if there is no such version."""
    found: list[Body] = []
    for one in _sorted(resources):
        if (one.group, one.version) != (group_name, of_version):
            continue
        entry: Body = {
            "name": one.plural,
            "singularName": one.singular,
            "namespaced": one.namespaced,
            "kind": one.kind,
            "verbs": list(one.verbs),
        }
        if one.short_names:
            entry["shortNames"] = list(one.short_names)
        if one.categories:
            entry["categories"] = list(one.categories)
        found.append(entry)
        for name, (kind, verbs) in _subresources(one).items():
            below: Body = {
                "name": f"{one.plural}/{name}",
                "singularName": "",
                "namespaced": one.namespaced,
                "kind": kind,
                "verbs": list(verbs),
            }
            if kind == "TokenRequest":
                below |= {"group": "authentication.k8s.io", "version": "v1"}
            found.append(below)
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group_name}/{of_version}" if group_name else of_version,
        "resources": found,
    }


def aggregated(resources: Iterable[Resource], *, core: bool) -> Body:
    """Return `/api` or `/apis` as one document (`APIGroupDiscoveryList`)."""
    listing = list(resources)
    items: list[Body] = []
    for name, versions in _groups(listing).items():
        if bool(name) == core:
            continue
        items.append(
            {
                "metadata": {"name": name, "creationTimestamp": None} if name else {},
                "versions": [
                    {
                        "version": one,
                        "freshness": "Current",
                        "resources": [
                            _aggregated(r)
                            for r in _sorted(listing)
                            if r.group == name and r.version == one
                        ],
                    }
                    for one in versions
                ],
            }
        )
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated(one: Resource) -> Body:
    scope = "Namespaced" if one.namespaced else "Cluster"
    made: Body = {
        "resource": one.plural,
        "responseKind": {"group": one.group, "version": one.version, "kind": one.kind},
        "scope": scope,
        "singularResource": one.singular,
        "verbs": list(one.verbs),
    }
    if one.short_names:
        made["shortNames"] = list(one.short_names)
    if one.categories:
        made["categories"] = list(one.categories)
    below = []
    for name, (kind, verbs) in _subresources(one).items():
        owner = (
            ("authentication.k8s.io", "v1") if kind == "TokenRequest" else (one.group, one.version)
        )
        below.append(
            {
                "subresource": name,
                "responseKind": {"group": owner[0], "version": owner[1], "kind": kind},
                "verbs": list(verbs),
            }
        )
    if below:
        made["subresources"] = below
    return made


def _subresources(one: Resource) -> dict[str, tuple[str, tuple[str, ...]]]:
    found: dict[str, tuple[str, tuple[str, ...]]] = {
        name: (kind, ("create",)) for name, kind in one.subresources.items()
    }
    if one.has_status:
        found["status"] = (one.kind, _STATUS_VERBS)
    if one.kind == "Namespace" and not one.group:
        found["finalize"] = ("Namespace", ("update",))
    return found


def _groups(resources: Iterable[Resource]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in _sorted(resources):
        versions = found.setdefault(one.group, [])
        if one.version not in versions:
            versions.append(one.version)
    return found


def _sorted(resources: Iterable[Resource]) -> list[Resource]:
    return sorted(resources, key=lambda one: (one.group, one.version, one.plural))


def _group(name: str, versions: list[str]) -> Body:
    entries = [{"groupVersion": f"{name}/{one}", "version": one} for one in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}
