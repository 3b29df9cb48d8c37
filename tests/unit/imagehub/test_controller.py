"""The controller at work on an API server: what a change of a resource leads to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import NotFoundError
from sealoshub.imagehub import names
from tests.unit.imagehub.conftest import (
    People,
    allowed,
    condition,
    gone,
    ready,
    resource,
    running,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster

FORCE = {"metadata": {"annotations": {names.FORCE_DELETE: "true"}}}


@pytest.fixture(scope="module")
def live(people: People) -> Iterator[People]:
    """The people with a controller that runs as its own ServiceAccount."""
    with running(people.controller):
        yield people


def subjects(cluster: Cluster, organization: str, binding: str) -> list[dict[str, str]] | None:
    """Return whom a binding is for; None if there is no such binding."""
    try:
        obj = cluster.get("RoleBinding", binding, f"hub-{organization}")
    except NotFoundError:
        return None
    found: list[dict[str, str]] = obj["subjects"]
    return found


def user(name: str) -> dict[str, str]:
    """Return a user as RBAC has it."""
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}


def test_whoever_makes_an_organization_owns_it(live: People) -> None:
    """The creator becomes owner, members get their roles, and Ready comes after that."""
    live.alice.create(
        resource(
            "Organization",
            "acme",
            creator="alice",
            members=[{"kind": "Group", "name": "ops", "role": "viewer"}],
        )
    )
    made = ready(live.admin, "Organization", "acme")
    assert subjects(live.admin, "acme", "imagehub:owner") == [user("alice")]
    assert subjects(live.admin, "acme", "imagehub:viewer") == [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "ops"}
    ]
    assert made["status"]["namespace"] == "hub-acme"
    live.alice.patch("Organization", "acme", {"spec": {"displayName": "Acme"}})


def test_members_come_and_go(live: People) -> None:
    """A change of the members is a change of the bindings; an empty role has none."""
    live.alice.create(resource("Organization", "change", creator="alice"))
    ready(live.admin, "Organization", "change")
    account = {"kind": "ServiceAccount", "namespace": "ci", "name": "bot"}
    member = [{**account, "role": "developer"}]
    live.alice.patch("Organization", "change", {"spec": {"members": member}})
    until(
        lambda: subjects(live.admin, "change", "imagehub:developer") == [account],
        "the account is bound",
    )
    live.alice.patch("Organization", "change", {"spec": {"members": []}})
    until(
        lambda: subjects(live.admin, "change", "imagehub:developer") is None,
        "the empty binding is gone",
    )


def test_what_somebody_breaks_is_made_whole(live: People) -> None:
    """A binding that is deleted or changed by hand comes back as it should be."""
    live.alice.create(resource("Organization", "heal", creator="alice"))
    ready(live.admin, "Organization", "heal")
    live.admin.delete("RoleBinding", "imagehub:owner", "hub-heal")
    until(lambda: subjects(live.admin, "heal", "imagehub:owner") == [user("alice")], "it is back")
    live.admin.patch("RoleBinding", "imagehub:owner", {"subjects": [user("eve")]}, "hub-heal")
    until(lambda: subjects(live.admin, "heal", "imagehub:owner") == [user("alice")], "eve is out")


@pytest.mark.parametrize(("visibility", "private"), [("public", False), ("private", True)])
def test_content_brings_its_repository_into_being(
    live: People, visibility: str, *, private: bool
) -> None:
    """The first Image makes the Repository, by the organisation's default, for its creator."""
    org = f"first-{visibility}"
    live.alice.create(resource("Organization", org, creator="alice", defaultVisibility=visibility))
    ready(live.admin, "Organization", org)
    digest = f"sha256:{'a' * 64}"
    live.alice.apply(
        resource(
            "Image",
            f"{org}/app:v1",
            digest=digest,
            detail={"size": 5, "keywords": ["Storage"], "creatTime": "2024-01-01T00:00:00Z"},
        )
    )
    image = ready(live.admin, "Image", f"{org}.app.v1")
    assert image["metadata"]["labels"]["keyword.imagehub.sealos.io/Storage"] == ""
    tag = {
        "name": "v1",
        "metaName": f"{org}.app.v1",
        "size": 5,
        "creatTime": "2024-01-01T00:00:00Z",
        "digest": digest,
    }
    until(
        lambda: (
            live.admin.get("Repository", f"{org}.app").get("status", {}).get("latestTag") == tag
        ),
        "the tag is listed",
    )
    made = live.admin.get("Repository", f"{org}.app")
    assert made["spec"] == {"name": f"{org}/app", "isPrivate": private, "creator": "alice"}
    until(
        lambda: live.admin.get("Organization", org)["status"]["repos"] == [f"{org}/app"],
        "the organisation lists it",
    )
    live.alice.delete("Image", f"{org}.app.v1")
    until(
        lambda: live.admin.get("Repository", f"{org}.app")["status"].get("tagCount") == 0,
        "the tag is gone",
    )
    assert "latestTag" not in live.admin.get("Repository", f"{org}.app")["status"]


def test_a_member_of_one_repository_has_rights_there_alone(live: People) -> None:
    """A repository's own members get a Role that names it, and lose it again."""
    live.alice.create(resource("Organization", "narrow", creator="alice"))
    ready(live.admin, "Organization", "narrow")
    member = [{"kind": "User", "name": "bob", "role": "developer"}]
    until(lambda: created(live.alice, "narrow/open"), "alice may make repositories")
    live.alice.apply(resource("Repository", "narrow/other"))
    live.alice.patch("Repository", "narrow.open", {"spec": {"members": member}})
    until(
        lambda: allowed(live.admin, "bob", "hub-narrow", "open", "push"),
        "bob may push",
    )
    assert not allowed(live.admin, "bob", "hub-narrow", "other", "push")
    assert not allowed(live.admin, "bob", "hub-narrow", "open", "manage")
    live.alice.patch("Repository", "narrow.open", {"spec": {"members": []}})
    until(
        lambda: not allowed(live.admin, "bob", "hub-narrow", "open", "push"),
        "bob may not push any more",
    )
    until(lambda: live.admin.list("Role", "hub-narrow") == [], "the Role is gone as well")


def created(cluster: Cluster, path: str) -> bool:
    """Make a Repository, as soon as the API server has seen the owner's binding."""
    try:
        cluster.apply(resource("Repository", path))
    except Exception:  # noqa: BLE001  # not yet; the deadline of the caller decides
        return False
    return True


def test_an_organization_with_content_stays(live: People) -> None:
    """Its deletion waits, and says why, until it is empty or the owner insists."""
    live.alice.create(resource("Organization", "full", creator="alice"))
    ready(live.admin, "Organization", "full")
    until(lambda: created(live.alice, "full/app"), "alice may make repositories")
    live.admin.apply(resource("Image", "full/app:v1"))
    ready(live.admin, "Image", "full.app.v1")
    live.alice.delete("Organization", "full")
    until(
        lambda: (
            condition(live.admin.get("Organization", "full")).get("reason") == "HasRepositories"
        ),
        "the deletion is refused",
    )
    assert subjects(live.admin, "full", "imagehub:owner") == [user("alice")]
    live.alice.patch("Organization", "full", FORCE)
    until(lambda: gone(live.admin, "Organization", "full"), "it is gone after all")
    assert gone(live.admin, "Repository", "full.app")
    assert gone(live.admin, "Image", "full.app.v1")
    assert gone(live.admin, "RoleBinding", "imagehub:owner", "hub-full")
    assert gone(live.admin, "Namespace", "hub-full")


def test_the_next_organization_of_a_name_inherits_no_right(live: People) -> None:
    """After a deletion, alice has nothing in bob's organisation of the same name."""
    live.alice.create(resource("Organization", "again", creator="alice"))
    ready(live.admin, "Organization", "again")
    until(lambda: deleted(live.alice, "again"), "alice may delete it")
    until(lambda: gone(live.admin, "Organization", "again"), "it is gone")
    live.bob.create(resource("Organization", "again", creator="bob"))
    until(
        lambda: condition(live.admin.get("Organization", "again")),
        "the controller has looked at it",
    )
    assert not allowed(live.admin, "alice", "hub-again", "app", "pull")


def deleted(cluster: Cluster, name: str) -> bool:
    """Delete an Organization, as soon as the API server has seen the owner's binding."""
    try:
        cluster.delete("Organization", name)
    except Exception:  # noqa: BLE001  # not yet; the deadline of the caller decides
        return False
    return True


def test_a_namespace_of_somebody_else_is_left_alone(live: People) -> None:
    """An organisation whose namespace is taken is not ready, and nothing is bound there."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hub-taken"}}
    live.admin.create(namespace)
    live.alice.create(resource("Organization", "taken", creator="alice"))
    until(
        lambda: (
            condition(live.admin.get("Organization", "taken")).get("reason") == "NamespaceConflict"
        ),
        "the condition says so",
    )
    assert live.admin.list("RoleBinding", "hub-taken") == []


def test_ended_logins_are_removed(live: People) -> None:
    """A login is deleted once it is over, and not before."""
    for digit, hours in (("a", -1), ("b", 1)):
        live.admin.create(login(digit, datetime.now(UTC) + timedelta(hours=hours)))
    until(lambda: gone(live.admin, "Login", "a" * 32, names.HUB_NAMESPACE), "the old one is gone")
    assert not gone(live.admin, "Login", "b" * 32, names.HUB_NAMESPACE)


def login(digit: str, expires: datetime) -> Object:
    """Return a Login that ends then."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Login",
        "metadata": {"name": digit * 32, "namespace": names.HUB_NAMESPACE},
        "spec": {
            "tokenHash": digit * 64,
            "type": "refresh",
            "user": {"name": "alice"},
            "created": "2024-01-01T00:00:00Z",
            "expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }


def pack(name: str, **spec: object) -> Object:
    """Return a DataPack."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "DataPack",
        "metadata": {"name": name},
        "spec": spec,
    }


def test_a_data_pack_says_only_what_its_creator_may_pull(live: People) -> None:
    """A private image, and one that is not there, are left out alike."""
    for visibility in ("public", "private"):
        org = f"pack-{visibility}"
        live.alice.create(
            resource("Organization", org, creator="alice", defaultVisibility=visibility)
        )
        ready(live.admin, "Organization", org)
        live.admin.apply(resource("Image", f"{org}/app:v1", detail={"docs": "x", "size": 1}))
        ready(live.admin, "Image", f"{org}.app.v1")
    until(lambda: allowed(live.admin, "alice", "hub-pack-private", "app", "pull"), "alice may")
    wanted = ["pack-public/app:v1", "pack-private/app:v1", "pack-public/no:v1", "?"]
    for who, name in ((live.alice, "of-alice"), (live.bob, "of-bob")):
        who.create(pack(name, names=wanted, type="detail"))
    of_alice = ready(live.admin, "DataPack", "of-alice")["status"]
    of_bob = ready(live.admin, "DataPack", "of-bob")["status"]
    assert (sorted(of_alice["datas"]), sorted(of_bob["datas"])) == (
        ["pack-private/app:v1", "pack-public/app:v1"],
        ["pack-public/app:v1"],
    )
    assert of_bob["datas"]["pack-public/app:v1"]["docs"] == "x"
    assert of_bob["code"] == 1
    live.alice.patch("DataPack", "of-alice", {"spec": {"names": [], "type": "base"}})
    until(
        lambda: live.admin.get("DataPack", "of-alice")["status"].get("datas") == {},
        "the new question is answered",
    )


def test_a_data_pack_ends(live: People) -> None:
    """After its expireTime, by itself."""
    live.alice.create(pack("short", expireTime="1ms"))
    until(lambda: gone(live.admin, "DataPack", "short"), "it is gone")
