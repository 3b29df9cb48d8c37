"""From the original ImageHub (v4.3.0) to this one: what stands in the way, and what repairs it.

Its manifests apply unchanged, with five exceptions that this finds in a cluster. Nothing is
changed: what is found is printed with the manifests, and where a manifest cannot say it the
command, that repair it.
"""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from sealoshub.imagehub import names, subjects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sealoshub.kube import Object
    from sealoshub.kube.reader import Reader

# Its controllers are gone and nobody else would remove them, so nothing with one would ever end.
_OLD_FINALIZERS: Final = frozenset(
    {
        "repository.imagehub.sealos.io/finalizer",
        "image.imagehub.sealos.io/finalizer",
        "datapack.hub.sealos.io/finalizer",
    }
)
_OLD_BINDING: Final = "OrgManagerClusterRoleBinding-"
_WRITES: Final = frozenset({"*", "create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that stands in the way.

    Args:
        what: `Kind name`.
        problem: One sentence.
        manifests: That repair it, when they are applied.
        commands: That repair what no manifest can.
    """

    what: str
    problem: str
    manifests: tuple[Object, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is in a cluster of the original.

    Args:
        organizations: Every Organization.
        repositories: Every Repository.
        images: Every Image.
        datapacks: Every DataPack.
        accounts: Every ServiceAccount.
        roles: Every ClusterRole.
        bindings: Every ClusterRoleBinding.
    """

    organizations: Sequence[Object] = ()
    repositories: Sequence[Object] = ()
    images: Sequence[Object] = ()
    datapacks: Sequence[Object] = ()
    accounts: Sequence[Object] = ()
    roles: Sequence[Object] = ()
    bindings: Sequence[Object] = ()


def read(cluster: Reader) -> Inventory:
    """Return what is in *cluster*.

    Raises:
        SealosHubError: The user may not list it, or the kinds are not there.
    """
    return Inventory(
        organizations=cluster.list("Organization"),
        repositories=cluster.list("Repository"),
        images=cluster.list("Image"),
        datapacks=cluster.list("DataPack"),
        accounts=cluster.list("ServiceAccount"),
        roles=cluster.list("ClusterRole"),
        bindings=cluster.list("ClusterRoleBinding"),
    )


def causes(found: Inventory) -> list[Cause]:
    """Return everything that stands in the way, in a steady order."""
    return [
        *_names(found),
        *_collisions(found),
        *_managers(found),
        *_grants(found),
        *_finalizers(found),
    ]


def render(found: Sequence[Cause]) -> str:
    """Return one YAML stream: a comment for each cause, and the manifests that repair it."""
    lines: list[str] = []
    for cause in found:
        lines.append(f"# {cause.what}: {cause.problem}")
        lines += [f"#   {command}" for command in cause.commands]
        for manifest in cause.manifests:
            lines += ["---", yaml.safe_dump(manifest, sort_keys=False, width=100).rstrip()]
    return "".join(f"{line}\n" for line in lines)


def _names(found: Inventory) -> Iterator[Cause]:
    """Organisations whose names cannot be those of a namespace, and what hangs on them."""
    taken = {_name(obj) for obj in found.organizations}
    for organization in found.organizations:
        old = _name(organization)
        if names.is_organization(old):
            continue
        new = _free(old, taken)
        taken.add(new)
        manifests = [_renamed(organization, new, new)]
        commands = []
        for obj in [*found.repositories, *found.images]:
            name = str((obj.get("spec") or {}).get("name") or "")
            owner, slash, rest = name.partition("/")
            if slash and owner == old:
                path = f"{new}/{rest}"
                manifests.append(_renamed(obj, names.object_name(path), path))
                if obj["kind"] == "Image":
                    commands.append(f"crane copy REGISTRY/{name} REGISTRY/{path}")
        yield Cause(
            f"Organization {old}",
            f"an organisation's name is a DNS label of at most {names.MAX_ORGANIZATION} characters"
            f" without dots, and cannot be changed; {new} would do, with its content copied",
            tuple(manifests),
            (*commands, f"kubectl delete organization {old}"),
        )


def _free(old: str, taken: set[str]) -> str:
    """Return a name like *old* that is allowed and that nobody has."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in old)
    base = kept.lower().strip("-")[: names.MAX_ORGANIZATION - 4].strip("-") or "organization"
    new, number = base, 2
    while new in taken:
        new, number = f"{base}-{number}", number + 1
    return new


def _renamed(obj: Object, name: str, spec_name: str) -> Object:
    """Return *obj* as a new object under another name, without what the server writes."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": obj["kind"],
        "metadata": {"name": name},
        "spec": {**(obj.get("spec") or {}), "name": spec_name},
    }


def _collisions(found: Inventory) -> Iterator[Cause]:
    """Names that are two things, or two names of one thing."""
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    twins: dict[str, list[str]] = defaultdict(list)
    for obj in [*found.repositories, *found.images]:
        name = str((obj.get("spec") or {}).get("name") or "")
        if not name:
            continue
        wanted[str(obj["kind"]), names.object_name(name)].add(name)
        if obj["kind"] == "Image":
            twins[name].append(_name(obj))
    for (kind, name), spec_names in sorted(wanted.items()):
        if len(spec_names) > 1:
            yield Cause(
                f"{kind} {name}",
                f"is the resource of {' and of '.join(sorted(spec_names))}; only one of them can"
                " have it, push the others under another name",
            )
    for spec_name, objects in sorted(twins.items()):
        if len(objects) > 1:
            canonical = names.object_name(spec_name)
            others = sorted(set(objects) - {canonical})
            yield Cause(
                f"Image {', '.join(others)}",
                f"{spec_name} has the Image {canonical} too, which is the one that counts",
                commands=tuple(f"kubectl delete image {name}" for name in others),
            )


def _managers(found: Inventory) -> Iterator[Cause]:
    """Managers that are ServiceAccounts elsewhere, or nowhere."""
    places: dict[str, list[str]] = defaultdict(list)
    for account in found.accounts:
        places[_name(account)].append(str(account["metadata"].get("namespace")))
    for organization in found.organizations:
        spec = organization.get("spec") or {}
        for manager in spec.get("manager") or ():
            subject = subjects.of_manager(str(manager))
            if subject.kind != "ServiceAccount" or subject.namespace in places[subject.name]:
                continue
            yield _stray_manager(organization, subject, sorted(places[subject.name]))


def _stray_manager(organization: Object, subject: subjects.Subject, places: Sequence[str]) -> Cause:
    name, spec = _name(organization), organization["spec"]
    what = f"Organization {name}"
    left = [name for name in spec["manager"] if subjects.of_manager(str(name)) != subject]
    drop = _patch(organization, {"spec": {"manager": left}})
    if not places:
        return Cause(
            what,
            f"its manager {subject} does not exist, and whoever makes it would be an owner",
            commands=(drop,),
        )
    more = [
        {"kind": "ServiceAccount", "namespace": place, "name": subject.name, "role": "owner"}
        for place in places
    ]
    members = [*(spec.get("members") or ()), *more]
    repaired = {
        "apiVersion": names.API_VERSION,
        "kind": "Organization",
        "metadata": {"name": name},
        "spec": {"name": spec.get("name") or name, "members": members},
    }
    return Cause(
        what,
        f"its manager {subject} does not exist; there is one of that name in {', '.join(places)}",
        (repaired,),
        (drop,),
    )


def _grants(found: Inventory) -> Iterator[Cause]:
    """Bindings for the whole cluster that let somebody write the hub's resources."""
    writing = {_name(role) for role in found.roles if _writes(role)}
    organizations = {_name(obj) for obj in found.organizations}
    for binding in found.bindings:
        name = _name(binding)
        role = str((binding.get("roleRef") or {}).get("name") or "")
        if role not in writing or role.startswith("imagehub:") or _is_built_in(binding):
            continue
        who = ", ".join(_who(entry) for entry in binding.get("subjects") or ()) or "nobody"
        organization = name.removeprefix(_OLD_BINDING)
        if name.startswith(_OLD_BINDING) and organization in organizations:
            yield Cause(
                f"ClusterRoleBinding {name}",
                f"of the original; the rights of {organization} are in its namespace now",
                commands=(
                    f"kubectl delete clusterrolebinding {name}",
                    f"kubectl delete clusterrole {role}",
                ),
            )
        else:
            yield Cause(
                f"ClusterRoleBinding {name}",
                f"lets {who} write resources of every organisation (ClusterRole {role}); rights of"
                " one organisation are spec.members",
                commands=(f"kubectl delete clusterrolebinding {name}",),
            )


def _writes(role: Object) -> bool:
    return any(
        names.GROUP in (rule.get("apiGroups") or ()) and _WRITES & set(rule.get("verbs") or ())
        for rule in role.get("rules") or ()
    )


def _is_built_in(obj: Object) -> bool:
    return "kubernetes.io/bootstrapping" in (obj["metadata"].get("labels") or {})


def _who(entry: dict[str, Any]) -> str:
    place = f"{entry['namespace']}/" if entry.get("namespace") else ""
    return f"{entry.get('kind')} {place}{entry.get('name')}"


def _finalizers(found: Inventory) -> Iterator[Cause]:
    """Objects that wait for a controller that is gone."""
    for obj in [*found.organizations, *found.repositories, *found.images, *found.datapacks]:
        meta = obj["metadata"]
        waiting = [name for name in meta.get("finalizers") or () if name in _OLD_FINALIZERS]
        if waiting:
            left = [name for name in meta["finalizers"] if name not in _OLD_FINALIZERS]
            yield Cause(
                f"{obj['kind']} {_name(obj)}",
                f"would never end: it waits for {', '.join(waiting)} of the original",
                commands=(_patch(obj, {"metadata": {"finalizers": left}}),),
            )


def _patch(obj: Object, changes: dict[str, Any]) -> str:
    """Return the command that merges *changes* into *obj*."""
    kind = str(obj["kind"]).lower()
    return shlex.join(
        ["kubectl", "patch", kind, _name(obj), "--type=merge", "-p", json.dumps(changes)]
    )


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])
