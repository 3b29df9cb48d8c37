"""Rows 18 to 20 and 24 to 26: resources that would give rights to the wrong people."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from sealoshub.errors import DeniedError, InvalidInputError
from sealoshub.imagehub.names import API_VERSION, GROUP, ORGANIZATION_LABEL
from tests.attacks.cast import image, organization, repository
from tests.integration.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.attacks.cast import Actor, Cast
    from tests.attacks.target import Client

SECONDS: Final = 60.0
REFUSED: Final = (DeniedError, InvalidInputError)


def granted(stranger: Client, who: Actor, name: str) -> list[str]:
    """Return what *who* may do in a repository."""
    found: list[str] = stranger.get(f"repository:{name}:pull,push,delete", login=who.login).access[
        f"repository:{name}"
    ]
    return found


@pytest.mark.parametrize(
    "spec",
    [
        {"manager": [""]},
        {"manager": [" "]},
        {"manager": ["system:anonymous"]},
        {"manager": ["system:unauthenticated"]},
        {"members": [{"kind": "User", "name": "", "role": "owner"}]},
        {"members": [{"kind": "User", "name": " ", "role": "owner"}]},
        {"members": [{"kind": "User", "name": "system:anonymous", "role": "viewer"}]},
        {"members": [{"kind": "Group", "name": "system:unauthenticated", "role": "viewer"}]},
        {"members": [{"kind": "ServiceAccount", "name": "dev", "role": "owner"}]},
        {"members": [{"kind": "User", "name": "dev", "namespace": "user-system", "role": "owner"}]},
        {"members": [{"kind": "Everybody", "name": "dev", "role": "owner"}]},
        {
            "members": [
                {"kind": "User", "name": "dev", "role": role} for role in ("viewer", "owner")
            ]
        },
    ],
    ids=str,
)
def test_row_18_members_who_are_nobody(cast: Cast, spec: dict[str, Any]) -> None:
    """Empty names, everybody, twins and kinds that do not exist are refused at admission."""
    name = f"nobody-{os.urandom(3).hex()}"
    with pytest.raises(InvalidInputError):
        cast.admin.create(organization(name, creator=cast.alice.name, **spec))
    with pytest.raises(InvalidInputError):
        cast.alice.cluster.patch("Organization", cast.organization, {"spec": spec})


def test_row_18_members_of_the_same_name(stranger: Client, cast: Cast) -> None:
    """A ServiceAccount `dev` and a certificate for `CN=dev` are two people."""
    name = f"dev-{os.urandom(3).hex()}"
    robot, user = cast.robot(name), cast.user(name)
    member = {"kind": "User", "name": name, "role": "developer"}
    of_robot, of_user = f"{name}-robot", f"{name}-user"
    cast.admin.create(organization(of_robot, creator=cast.alice.name, manager=[name]))
    cast.admin.create(organization(of_user, creator=cast.alice.name, members=[member]))
    for organisation in (of_robot, of_user):
        cast.wait_ready(organisation)
    assert granted(stranger, robot, f"{of_robot}/app") == ["delete", "pull", "push"]
    assert granted(stranger, user, f"{of_robot}/app") == []
    assert granted(stranger, robot, f"{of_user}/app") == []
    assert granted(stranger, user, f"{of_user}/app") == ["pull", "push"]


def test_row_19_one_name_for_two_repositories(stranger: Client, cast: Cast) -> None:
    """`a.b/c` cannot be, so that it is never confused with `a/b.c`."""
    dotted = f"{cast.own}.{cast.organization}"
    with pytest.raises(REFUSED):
        cast.mallory.cluster.create(organization(dotted, creator=cast.mallory.name))
    with pytest.raises(REFUSED):
        cast.admin.create(organization(f"{cast.organization}.x", creator=cast.mallory.name))
    with pytest.raises(REFUSED):
        cast.mallory.cluster.create(repository(f"{cast.organization}.x/app", private=False))
    assert granted(stranger, cast.mallory, f"{dotted}/app") == []
    assert granted(stranger, cast.alice, f"{cast.organization}.private/x") == []


def test_row_20_an_object_that_speaks_for_another(stranger: Client, cast: Cast) -> None:
    """An object named after a victim's repository is refused, and would not count."""
    victim, evil = cast.private, f"{cast.own}/private"
    for name, object_name in (
        (evil, victim.replace("/", ".")),
        (victim, evil.replace("/", ".")),
        (victim, f"{cast.own}.other"),
        (victim, victim.replace("/", ".")),
    ):
        with pytest.raises(REFUSED):
            cast.mallory.cluster.create(
                repository(name, private=False, object_name=object_name), dry_run=True
            )
        if (name, object_name) != (victim, victim.replace("/", ".")):
            with pytest.raises(REFUSED):  # not even by an administrator, by mistake
                cast.admin.create(repository(name, private=False, object_name=object_name))
    assert granted(stranger, cast.mallory, victim) == []
    anonymous = stranger.get(f"repository:{victim}:pull")
    assert anonymous.access == {f"repository:{victim}": []}


def test_row_24_a_question_about_an_image_of_somebody_else(cast: Cast) -> None:
    """A DataPack tells its creator nothing that he may not pull, whoever he says he is."""
    wanted = f"{cast.private}:v1"

    def pack(creator: str | None) -> dict[str, Any]:
        spec = {"names": [wanted], "type": "detail", **({"creator": creator} if creator else {})}
        name = f"pack-{os.urandom(4).hex()}"
        return {
            "apiVersion": API_VERSION, "kind": "DataPack", "metadata": {"name": name}, "spec": spec,
        }  # fmt: skip

    with pytest.raises(DeniedError, match="creator"):
        cast.mallory.cluster.create(pack(cast.alice.name))
    asked = {who: pack(who.name) for who in (cast.alice, cast.mallory)}
    for who, question in asked.items():
        who.cluster.create(question)
    answers = {
        who: _answered(lambda name=question["metadata"]["name"]: cast.admin.get("DataPack", name))  # type: ignore[misc]  # a default binds the loop's value
        for who, question in asked.items()
    }
    assert wanted in answers[cast.alice]["datas"]
    assert "secret" in answers[cast.alice]["datas"][wanted]["description"]
    assert not answers[cast.mallory].get("datas")
    name = asked[cast.mallory]["metadata"]["name"]
    with pytest.raises(DeniedError):
        cast.mallory.cluster.patch("DataPack", name, {"spec": {"creator": cast.alice.name}})
    with pytest.raises(DeniedError):
        cast.mallory.cluster.patch_status("DataPack", name, {"code": 1, "datas": {wanted: {}}})


def _answered(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    wait_until(lambda: (read().get("status") or {}).get("code") == 1, "an answer", SECONDS)
    found: dict[str, Any] = read()["status"]
    return found


def test_row_25_resources_of_somebody_else(cast: Cast) -> None:
    """Members, creators, names, labels and status: each rule refuses, and says which it is."""
    mallory, org, mine = cast.mallory.cluster, cast.organization, cast.own
    me = {"kind": "User", "name": cast.mallory.name, "role": "owner"}
    stolen = {ORGANIZATION_LABEL: org}
    labelled = repository(f"{mine}/labelled", private=True)
    labelled["metadata"]["labels"] = stolen
    attempts: list[tuple[Callable[[], object], str]] = [
        (lambda: mallory.patch("Organization", org, {"spec": {"members": [me]}}), "not an owner"),
        (lambda: mallory.patch("Organization", org, {"spec": {"manager": ["x"]}}), "not an owner"),
        (lambda: mallory.delete("Organization", org), "not an owner"),
        (
            lambda: mallory.patch("Organization", mine, {"spec": {"creator": "somebody"}}),
            "spec.creator cannot be changed",
        ),
        (
            lambda: mallory.create(
                organization(f"x-{os.urandom(3).hex()}", creator=cast.alice.name)
            ),
            "spec.creator must be",
        ),
        (
            lambda: cast.admin.patch("Organization", mine, {"spec": {"name": org}}),
            "metadata.name must equal spec.name",
        ),
        (lambda: mallory.patch("Organization", mine, {"metadata": {"labels": stolen}}), "label"),
        (lambda: mallory.create(labelled), "labels must say what spec.name says"),
        (lambda: mallory.create(image(f"{cast.private}:mine", "x")), "may not push"),
        (lambda: mallory.delete("Image", f"{cast.private}.v1".replace("/", ".")), "may not delete"),
        (
            lambda: cast.bob.cluster.patch(
                "Repository", cast.private.replace("/", "."), {"spec": {"isPrivate": False}}
            ),
            "may not change the visibility",
        ),
        (
            lambda: mallory.patch_status("Organization", mine, {"namespace": f"hub-{org}"}),
            "organizations/status",
        ),
        (
            lambda: mallory.patch("Organization", mine, {"metadata": {"finalizers": []}}),
            "only the controller removes the finalizer",
        ),
    ]
    for attempt, rule in attempts:
        with pytest.raises(REFUSED, match=re.escape(rule)):
            attempt()
    assert cast.admin.get("Organization", org)["spec"].get("members") != [me]


def test_row_26_rights_on_objects_are_none_in_the_registry(stranger: Client, cast: Cast) -> None:
    """Whoever may get, change and delete every object of the hub may neither pull nor push."""
    name = f"editor-{os.urandom(3).hex()}"
    editor = cast.user(name)
    rbac = "rbac.authorization.k8s.io"
    verbs = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
    rules = [{"apiGroups": [GROUP], "resources": ["*"], "verbs": verbs}]
    for manifest in (
        {"kind": "ClusterRole", "rules": rules},
        {
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": name}],
        },
    ):
        cast.admin.create({"apiVersion": f"{rbac}/v1", "metadata": {"name": name}, **manifest})
    wait_until(
        lambda: cast.admin.review(_may_update(name))["status"]["allowed"], "the role", SECONDS
    )
    assert granted(stranger, editor, cast.private) == []
    assert stranger.get("registry:catalog:*", login=editor.login).access == {"registry:catalog": []}
    with pytest.raises(DeniedError, match="not an owner"):
        editor.cluster.patch("Organization", cast.organization, {"spec": {"displayName": "x"}})


def _may_update(user: str) -> dict[str, Any]:
    asked = {"verb": "update", "group": GROUP, "resource": "organizations", "name": "any"}
    spec = {"user": user, "resourceAttributes": asked}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
