"""What users may write: the CRDs' rules and the admission policies, run by the embedded API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import DeniedError, InvalidInputError, SealosHubError
from tests.unit.imagehub.conftest import People, bind, resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster


@pytest.fixture(scope="module")
def team(people: People) -> People:
    """The organisation `team`: alice owns it, carol is a developer, bob is nobody."""
    people.alice.create(resource("Organization", "team", creator="alice"))
    bind(people.admin, "team", "owner", "alice")
    bind(people.admin, "team", "developer", "carol")
    people.alice.create(resource("Repository", "team/app", creator="alice"))
    people.alice.create(resource("Image", "team/app:v1", creator="alice"))
    return people


def named(obj: Object, name: str) -> Object:
    """Return *obj* under another `metadata.name`."""
    return {**obj, "metadata": {**obj["metadata"], "name": name}}


def labelled(obj: Object, **labels: str) -> Object:
    """Return *obj* with labels of the group."""
    marks = {f"{key}.imagehub.sealos.io": value for key, value in labels.items()}
    return {**obj, "metadata": {**obj["metadata"], "labels": marks}}


def members(*entries: dict[str, str]) -> Object:
    """Return a new organisation of alice with these members."""
    return resource("Organization", "fresh", creator="alice", members=list(entries))


def create(obj: Object) -> Callable[[Cluster], object]:
    """Return the act of creating *obj*, as a dry run, so that the next row starts clean."""
    return lambda cluster: cluster.create(obj, dry_run=True)


def patch(kind: str, name: str, **changes: Any) -> Callable[[Cluster], object]:  # noqa: ANN401  # JSON
    """Return the act of changing an object."""
    return lambda cluster: cluster.patch(kind, name, changes)


def delete(kind: str, name: str) -> Callable[[Cluster], object]:
    """Return the act of deleting an object."""
    return lambda cluster: cluster.delete(kind, name)


USER = {"kind": "User", "name": "x", "role": "viewer"}
DENIED: list[tuple[str, Callable[[Cluster], object], str]] = [
    ("bob", create(resource("Image", "team/app:v2")), "bob may not push to team/app"),
    ("bob", create(resource("Repository", "team/new")), "bob may not push to team/new"),
    ("bob", create(resource("Image", "nobody/app:v1")), "may not push"),
    ("bob", patch("Image", "team.app.v1", spec={"detail": {"docs": "x"}}), "may not push"),
    ("bob", delete("Image", "team.app.v1"), "bob may not delete content of team/app"),
    ("carol", delete("Image", "team.app.v1"), "carol may not delete content"),
    ("carol", delete("Repository", "team.app"), "carol may not delete content"),
    ("carol", patch("Repository", "team.app", spec={"isPrivate": True}), "visibility"),
    ("carol", patch("Repository", "team.app", spec={"members": [USER]}), "members"),
    ("carol", create(resource("Repository", "team/new", members=[USER])), "members"),
    ("carol", patch("Organization", "team", spec={"displayName": "x"}), "not an owner"),
    ("bob", patch("Organization", "team", spec={"members": [USER]}), "not an owner"),
    ("bob", delete("Organization", "team"), "bob is not an owner of organisation team"),
    ("bob", create(resource("Organization", "mine", creator="alice")), "must be bob"),
    ("carol", create(resource("Image", "team/app:v2", creator="bob")), "must be carol"),
    ("carol", create(resource("Repository", "team/new", creator="bob")), "must be carol"),
    ("alice", patch("Organization", "team", spec={"creator": "bob"}), "cannot be changed"),
    ("alice", patch("Image", "team.app.v1", spec={"creator": "carol"}), "cannot be changed"),
    (
        "bob",
        create(resource("Organization", "mine", creator="bob", manager=["bob"])),
        "use spec.members",
    ),
    ("alice", lambda c: c.patch_status("Organization", "team", {"repoCount": 9}), "status"),
    ("alice", lambda c: c.patch_status("Image", "team.app.v1", {}), "status"),
    ("bob", lambda c: c.get("Secret", "x", "imagehub-system"), "secrets"),
    ("bob", lambda c: c.list("Login", "imagehub-system"), "logins"),
    ("alice", patch("Organization", "team", spec={"quota": {"tags": 9}}), "administrator"),
    ("alice", create(resource("Organization", "new", creator="alice", quota={"tags": 1})), "quota"),
    (
        "carol",
        patch("Repository", "team.app", spec={"immutableTags": ["v*"]}),
        "rules for the tags",
    ),
    ("carol", patch("Repository", "team.app", spec={"retention": {"keepLast": 1}}), "rules"),
    ("carol", create(resource("Repository", "team/n", retention={"keepLast": 1})), "rules"),
    # A resource without a name of its own must not take the place of another.
    ("bob", create({**resource("Repository", "team/evil"), "spec": None}), "may not push"),
]

INVALID: list[tuple[str, Callable[[Cluster], object], str]] = [
    ("bob", create(named(resource("Repository", "bobs/app"), "team.app2")), "metadata.name"),
    ("bob", create(named(resource("Image", "bobs/app:v1"), "team.app.v9")), "metadata.name"),
    ("alice", create(named(resource("Organization", "a"), "b")), "metadata.name"),
    ("alice", create(named(resource("Organization", "a.b"), "a.b")), "a.b"),
    ("alice", create(named(resource("Organization", "x" * 60), "x" * 60)), "59"),
    ("alice", create(resource("Image", "team/app")), "spec.name"),
    ("alice", create(named(resource("Repository", "team/a/b"), "team.a.b")), "spec.name"),
    ("alice", create(named(resource("Image", "team/app:v1"), "team.app.v1-0123456789")), "name"),
    ("alice", patch("Image", "team.app.v1", spec={"name": "team/app:v2"}), "cannot be changed"),
    ("alice", patch("Image", "team.app.v1", spec={"name": None}), "cannot be changed"),
    ("alice", create(labelled(resource("Image", "team/app:v3"), organization="x")), "labels"),
    ("alice", create(labelled(resource("Image", "team/app:v3"), tag="v4")), "labels"),
    ("alice", create(labelled(resource("Repository", "team/n"), repository="m")), "labels"),
    ("alice", create(labelled(resource("Organization", "z"), organization="m")), "label"),
    ("alice", create(members({**USER, "name": ""})), "name"),
    ("alice", create(members({**USER, "name": "system:anonymous"})), "nobody and everybody"),
    (
        "alice",
        create(members({**USER, "kind": "Group", "name": "system:unauthenticated"})),
        "nobody and everybody",
    ),
    ("alice", create(members({**USER, "namespace": "ns"})), "ServiceAccount needs a namespace"),
    ("alice", create(members({**USER, "kind": "ServiceAccount"})), "needs a namespace"),
    ("alice", create(members({**USER, "kind": "Robot"})), "kind"),
    ("alice", create(members({**USER, "role": "god"})), "role"),
    ("alice", create(members(USER, {**USER, "role": "owner"})), "uplicate"),
    ("alice", create(members(*({**USER, "name": f"u{i}"} for i in range(501)))), "500"),
    ("alice", create(resource("Image", "team/app:v3", digest="sha256:0")), "digest"),
    ("alice", create(resource("Image", "team/app:v3", shape="round")), "shape"),
    *(
        ("admin", create(resource("Organization", "q", quota=quota)), words)
        for quota, words in (
            ({"size": "10GB"}, "size"),
            ({"size": "-1"}, "size"),
            ({"size": 10}, "size"),
            ({"tags": -1}, "tags"),
            ({"repositories": "1"}, "repositories"),
            ({"images": 1}, "images"),
        )
    ),
    *(
        ("alice", create(resource("Repository", "team/r", **rules)), words)
        for rules, words in (
            ({"immutableTags": ["v/1"]}, "immutableTags"),
            ({"immutableTags": [""]}, "immutableTags"),
            ({"immutableTags": ["v", "v"]}, "uplicate"),
            ({"immutableTags": [f"v{i}" for i in range(33)]}, "32"),
            ({"immutableTags": ["v" * 129]}, "128"),
            ({"retention": {}}, "needs keepLast or olderThan"),
            ({"retention": {"keepTags": ["v*"]}}, "needs keepLast or olderThan"),
            ({"retention": {"keepLast": 0}}, "keepLast"),
            ({"retention": {"olderThan": "30d"}}, "olderThan"),
            ({"retention": {"olderThan": "0h"}}, "longer than nothing"),
            ({"retention": {"olderThan": "1m1h"}}, "olderThan"),
            ({"retention": {"keepLast": 1, "keepTags": ["a b"]}}, "keepTags"),
        )
    ),
]


@pytest.mark.parametrize(("user", "act", "words"), DENIED)
def test_a_user_without_the_right_is_denied(
    team: People, user: str, act: Callable[[Cluster], object], words: str
) -> None:
    """The API server says 403, and why."""
    with pytest.raises(DeniedError, match=words):
        act(getattr(team, user))


@pytest.mark.parametrize(("user", "act", "words"), INVALID)
def test_a_resource_that_breaks_a_rule_is_refused(
    team: People, user: str, act: Callable[[Cluster], object], words: str
) -> None:
    """The rule's own words arrive, and nothing is stored."""
    with pytest.raises(InvalidInputError, match=words):
        act(getattr(team, user))


ALLOWED: list[tuple[str, Callable[[Cluster], object]]] = [
    ("bob", create(resource("Organization", "bobs", creator="bob"))),
    ("carol", create(resource("Image", "team/app:v2", creator="carol"))),
    ("carol", create(resource("Image", "team/app:v2"))),
    ("carol", create(resource("Repository", "team/new", isPrivate=True))),
    ("carol", patch("Image", "team.app.v1", spec={"detail": {"docs": "# Hi"}})),
    ("alice", patch("Organization", "team", spec={"members": [USER]})),
    ("alice", patch("Repository", "team.app", spec={"isPrivate": True, "members": [USER]})),
    ("alice", create(named(resource("Image", "team/a-b:v1-x"), "team.a.b.v1.x"))),
    ("alice", create(resource("Image", "team/app:V1_2"))),
    ("alice", create(resource("Repository", "team/under_score"))),
    ("controller", create(resource("Repository", "team/new", creator="carol"))),
    ("controller", lambda c: c.patch_status("Organization", "team", {"repoCount": 1})),
    ("admin", create(resource("Organization", "old", creator="labring", manager=["labring"]))),
    ("admin", create({**resource("Repository", "repository/sample"), "spec": None})),
]


@pytest.mark.parametrize(("user", "act"), ALLOWED)
def test_who_has_the_right_may(team: People, user: str, act: Callable[[Cluster], object]) -> None:
    """Nothing stands in the way of those who hold the verb."""
    act(getattr(team, user))


def test_the_creator_and_the_labels_fill_themselves_in(team: People) -> None:
    """Where mutations are served, nobody has to write what follows from the rest."""
    made = team.carol.create(resource("Image", "team/app:v5"), dry_run=True)
    assert made["spec"]["creator"] == "carol"
    assert made["metadata"]["labels"] == {
        "organization.imagehub.sealos.io": "team",
        "repository.imagehub.sealos.io": "app",
        "tag.imagehub.sealos.io": "v5",
    }


def test_a_manifest_without_a_creator_leaves_it_as_it_is(team: People) -> None:
    """Somebody else may apply over a resource; its creator stays."""
    manifest = resource("Image", "team/shared:v1")
    assert team.alice.apply(manifest).outcome == "created"
    assert team.alice.apply(manifest).outcome == "unchanged"
    changed = team.carol.apply(resource("Image", "team/shared:v1", digest=f"sha256:{'0' * 64}"))
    assert (changed.outcome, changed.obj["spec"]["creator"]) == ("configured", "alice")


def test_the_bare_name_of_the_original_means_a_service_account(team: People) -> None:
    """The user of an old manifest is the ServiceAccount of that name, and may apply it himself."""
    team.admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "user-system"}})
    account = {"name": "labring", "namespace": "user-system"}
    team.admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    token, _ = team.admin.create_token("user-system", "labring", [], 3600)
    labring = team.api.with_token(token, "labring")
    old = resource("Organization", "labring", creator="labring", manager=["labring"])
    assert labring.create(old, dry_run=True)["spec"]["creator"] == "labring"
    with pytest.raises(SealosHubError, match="ServiceAccount in user-system"):
        team.api.cluster("labring").create(old, dry_run=True)


def test_only_the_controller_removes_the_finalizer(team: People) -> None:
    """An owner cannot make the organisation vanish past its cleaning up."""
    finalizer = "organization.imagehub.sealos.io/finalizer"
    organization = resource("Organization", "kept", creator="alice")
    organization["metadata"]["finalizers"] = [finalizer]
    team.alice.create(organization)
    bind(team.admin, "kept", "owner", "alice")
    with pytest.raises(DeniedError, match="finalizer"):
        team.alice.patch("Organization", "kept", {"metadata": {"finalizers": []}})
    team.controller.patch("Organization", "kept", {"metadata": {"finalizers": []}})


def test_a_data_pack_is_its_creators(team: People) -> None:
    """Nobody else changes or deletes it."""
    pack = {
        "apiVersion": "imagehub.sealos.io/v1",
        "kind": "DataPack",
        "metadata": {"name": "mine"},
        "spec": {"names": ["team/app:v1"]},
    }
    assert team.carol.create(pack)["spec"]["creator"] == "carol"
    with pytest.raises(DeniedError):
        team.bob.delete("DataPack", "mine")
    with pytest.raises(DeniedError):
        team.bob.patch("DataPack", "mine", {"spec": {"type": "grid"}})
    team.carol.patch("DataPack", "mine", {"spec": {"type": "grid"}})
    team.carol.delete("DataPack", "mine")


def test_the_old_default_role_gives_no_right(team: People) -> None:
    """A user with every standard verb on every resource of the group still may not push or pull."""
    team.admin.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "old-editor"},
            "rules": [
                {
                    "apiGroups": ["imagehub.sealos.io"],
                    "resources": ["organizations", "repositories", "images"],
                    "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
                }
            ],
        }
    )
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dora"}
    reference = {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "old-editor",
    }
    team.admin.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "old-editor"},
            "roleRef": reference,
            "subjects": [subject],
        }
    )
    dora = team.api.cluster("dora")
    with pytest.raises(DeniedError, match="may not push"):
        dora.create(resource("Image", "team/app:v2"))
