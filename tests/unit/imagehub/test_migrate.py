"""What stands between the original ImageHub and this one is found, and said with its repair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from sealoshub.imagehub import migrate
from tests.unit.imagehub.conftest import People, resource

if TYPE_CHECKING:
    from sealoshub.kube import Object


def organization(name: str, **spec: object) -> Object:
    """Return an Organization as the original had it."""
    return {**resource("Organization", name, **spec), "metadata": {"name": name}}


def account(namespace: str, name: str) -> Object:
    """Return a ServiceAccount."""
    return {"kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": name}}


def role(name: str, group: str = "imagehub.sealos.io", verb: str = "update") -> Object:
    """Return a ClusterRole."""
    rule = {"apiGroups": [group], "resources": ["organizations"], "verbs": [verb]}
    return {"kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]}


def binding(name: str, role_name: str, **labels: str) -> Object:
    """Return a ClusterRoleBinding of alice."""
    return {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": labels},
        "roleRef": {"kind": "ClusterRole", "name": role_name},
        "subjects": [{"kind": "User", "name": "alice"}],
    }


def only(**found: list[Object]) -> migrate.Cause:
    """Return the one cause in an inventory."""
    (cause,) = migrate.causes(migrate.Inventory(**found))
    return cause


def test_a_sound_cluster_needs_nothing() -> None:
    """Managers that exist, names that fit and our own roles are no cause."""
    folded = resource("Image", "labring/cert-manager:v1.8.0")
    folded["metadata"]["name"] = "labring.cert.manager.v1.8.0"
    found = migrate.Inventory(
        organizations=[organization("labring", creator="labring", manager=["labring"])],
        repositories=[resource("Repository", "labring/cert-manager")],
        images=[folded],
        accounts=[account("user-system", "labring")],
        roles=[role("imagehub:admin"), role("cluster-admin", "*"), role("read", verb="get")],
        bindings=[
            binding("admins", "imagehub:admin"),
            binding("cluster-admin", "cluster-admin"),
            binding("readers", "read"),
        ],
    )
    assert migrate.causes(found) == []
    assert not migrate.render([])


def test_an_organization_with_a_dot_gets_another_name() -> None:
    """The repair is the organisation, its repositories and images under a name that is free."""
    cause = only(
        organizations=[organization("my.team", manager=["a"]), organization("my-team")],
        repositories=[resource("Repository", "my.team/app", isPrivate=True)],
        images=[resource("Image", "my.team/app:v1")],
        accounts=[account("user-system", "a")],
    )
    assert [(m["kind"], m["metadata"]["name"], m["spec"]["name"]) for m in cause.manifests] == [
        ("Organization", "my-team-2", "my-team-2"),
        ("Repository", "my-team-2.app", "my-team-2/app"),
        ("Image", "my-team-2.app.v1", "my-team-2/app:v1"),
    ]
    assert cause.manifests[0]["spec"]["manager"] == ["a"]
    assert "crane copy REGISTRY/my.team/app:v1 REGISTRY/my-team-2/app:v1" in cause.commands


def test_two_names_of_one_resource() -> None:
    """Names with dots that become the same resource name are named together."""
    cause = only(
        repositories=[resource("Repository", "a/b.c"), resource("Repository", "a.b/c")],
    )
    assert cause.what == "Repository a.b.c"
    assert "a.b/c and of a/b.c" in cause.problem


def test_two_images_of_one_tag() -> None:
    """The canonical one counts, and the other is to be deleted."""
    folded = resource("Image", "a/b-c:v1")
    folded["metadata"]["name"] = "a.b.c.v1"
    cause = only(images=[resource("Image", "a/b-c:v1"), folded])
    assert cause.commands == ("kubectl delete image a.b.c.v1",)


def test_a_manager_that_is_elsewhere_becomes_a_member() -> None:
    """A ServiceAccount of that name in another namespace is made an owner by its full name."""
    cause = only(
        organizations=[organization("lab", creator="lab", manager=["lab", "ops"])],
        accounts=[account("default", "lab"), account("user-system", "ops")],
    )
    (manifest,) = cause.manifests
    assert manifest["spec"] == {
        "name": "lab",
        "members": [
            {"kind": "ServiceAccount", "namespace": "default", "name": "lab", "role": "owner"}
        ],
    }
    (command,) = cause.commands
    assert command == (
        'kubectl patch organization lab --type=merge -p \'{"spec": {"manager": ["ops"]}}\''
    )


def test_a_manager_that_is_nowhere_is_dangerous() -> None:
    """Whoever made that account later would be an owner; a user's full name is no account."""
    cause = only(organizations=[organization("lab", manager=["ghost", "oidc:alice"])])
    assert "does not exist" in cause.problem
    assert cause.manifests == ()
    assert '["oidc:alice"]' in cause.commands[0]


def test_rights_for_the_whole_cluster() -> None:
    """Those of the original go, others that write the hub's resources are named."""
    old = "OrgManagerClusterRoleBinding-lab"
    found = migrate.causes(
        migrate.Inventory(
            organizations=[organization("lab")],
            roles=[role("OrgManagerClusterRole-lab", verb="*"), role("writers")],
            bindings=[
                binding(old, "OrgManagerClusterRole-lab"),
                binding("mine", "writers"),
                binding("theirs", "writers", **{"kubernetes.io/bootstrapping": "rbac-defaults"}),
            ],
        )
    )
    assert [cause.what for cause in found] == [
        f"ClusterRoleBinding {old}",
        "ClusterRoleBinding mine",
    ]
    assert "kubectl delete clusterrole OrgManagerClusterRole-lab" in found[0].commands
    assert "lets User alice write" in found[1].problem


def test_finalizers_of_the_original() -> None:
    """They would keep an object for ever; others are kept."""
    image = resource("Image", "a/b:v1")
    image["metadata"]["finalizers"] = ["image.imagehub.sealos.io/finalizer", "mine.io/x"]
    cause = only(images=[image])
    assert cause.commands[0].endswith('\'{"metadata": {"finalizers": ["mine.io/x"]}}\'')


def test_what_is_printed_is_yaml_that_repairs(people: People) -> None:
    """The stream is read by kubectl: manifests as documents, all else as comments."""
    admin = people.admin
    admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    admin.create(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "lingdie", "namespace": "default"},
        }
    )
    admin.create(organization("lingdie", creator="lingdie", manager=["lingdie"]))
    found = migrate.causes(migrate.read(admin))
    printed = migrate.render(found)
    manifests: list[dict[str, Any]] = list(yaml.safe_load_all(printed))
    assert [manifest["kind"] for manifest in manifests] == ["Organization"]
    admin.apply(manifests[0])
    admin.patch("Organization", "lingdie", {"spec": {"manager": []}})
    assert migrate.causes(migrate.read(admin)) == []


def test_comments_name_every_cause() -> None:
    """What no manifest can say is a comment with its command."""
    printed = migrate.render([migrate.Cause("Image x", "is wrong", commands=("kubectl y",))])
    assert printed == "# Image x: is wrong\n#   kubectl y\n"
