"""The pure parts of the reconcilers: what should be, computed from what is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sealoshub.imagehub.controller import datapack, image, login, organization, repository
from sealoshub.imagehub.controller.conditions import condition, replacing, status_patch
from sealoshub.imagehub.controller.kinds import Picture, picture
from sealoshub.imagehub.subjects import of_organization, of_repository

NOW = "2024-01-01T00:00:00Z"


def seen(name: str, object_name: str = "", **detail: object) -> Picture:
    """Return what is kept of an Image."""
    return picture(
        {
            "metadata": {
                "name": object_name or name.replace("/", ".").replace(":", "."),
                "creationTimestamp": NOW,
            },
            "spec": {"name": name, "creator": detail.pop("creator", "alice"), "detail": detail},
        }
    )


def obj(**status: object) -> dict[str, Any]:
    """Return an object of generation 2 with this status."""
    return {"metadata": {"name": "x", "generation": 2}, "status": status}


GOOD = condition("Ready", good=True, reason="Fine")


def test_a_status_that_is_right_is_not_written() -> None:
    """The second look at an object writes nothing."""
    first = status_patch(obj(), {"a": 1}, [GOOD], NOW)
    assert first is not None
    assert status_patch(obj(**first), {"a": 1}, [GOOD], "later") is None


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    """Another message is no transition."""
    first = status_patch(obj(), {}, [GOOD], NOW)
    assert first is not None
    other = status_patch(obj(**first), {}, [{**GOOD, "message": "new"}], "later")
    assert other is not None
    assert other["conditions"][0]["lastTransitionTime"] == NOW
    bad = condition("Ready", good=False, reason="Bad")
    changed = status_patch(obj(**first), {}, [bad], "later")
    assert changed is not None
    assert changed["conditions"][0]["lastTransitionTime"] == "later"


def test_a_new_object_leaves_nothing_of_the_old_one() -> None:
    """A merge patch merges objects, so what is lost must be said."""
    old = {"name": "v1", "size": 5, "deep": {"a": 1, "b": 2}}
    assert replacing(old, {"name": "v2", "deep": {"a": 3}}) == {
        "name": "v2",
        "size": None,
        "deep": {"a": 3, "b": None},
    }
    assert replacing([1], [2]) == [2]
    assert replacing({"a": 1}, None) is None


def test_one_binding_for_each_role_that_is_held() -> None:
    """Named after the ClusterRole, in the organisation's namespace."""
    found = organization.desired_bindings(
        "team",
        of_organization(
            {
                "creator": "alice",
                "members": [
                    {"kind": "User", "name": "bob", "role": "owner"},
                    {"kind": "Group", "name": "dev", "role": "viewer"},
                ],
            }
        ),
    )
    assert [
        (b["metadata"]["namespace"], b["metadata"]["name"], len(b["subjects"])) for b in found
    ] == [("hub-team", "imagehub:owner", 2), ("hub-team", "imagehub:viewer", 1)]
    assert {b["roleRef"]["kind"] for b in found} == {"ClusterRole"}


def test_a_repository_role_names_its_repository_and_nothing_else() -> None:
    """`resourceNames` is never empty: that would mean all."""
    roster = of_repository({"members": [{"kind": "User", "name": "bob", "role": "developer"}]})
    (role,), (binding,) = repository.desired_grants("team/app", roster)
    assert role["rules"] == [
        {
            "apiGroups": ["imagehub.sealos.io"],
            "resources": ["repositories"],
            "resourceNames": ["app"],
            "verbs": ["pull", "catalog", "push"],
        }
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"] == "imagehub:developer:app"


@pytest.mark.parametrize(
    ("visibility", "private"), [("public", False), ("private", True), (None, True), ("x", True)]
)
def test_a_repository_is_private_unless_the_organization_says_public(
    visibility: str | None, *, private: bool
) -> None:
    """Nothing but the word makes content public."""
    organization = {"spec": {"defaultVisibility": visibility}}
    made = repository.desired_repository("team/app", organization, "alice")
    assert made["spec"]["isPrivate"] is private


def test_the_creator_of_a_repository_made_its_oldest_image() -> None:
    """By the time that the image says, and else by that of its resource."""
    old = seen("team/app:v0", creatTime="2020-01-01T00:00:00Z", creator="bob")
    assert repository.first_creator([seen("team/app:v1"), old]) == "bob"
    assert repository.desired_repository("team/app", {}, "bob")["spec"]["creator"] == "bob"
    assert "creator" not in repository.desired_repository("team/app", {}, "")["spec"]


def test_tags_are_listed_the_newest_first_and_once() -> None:
    """Of two Images of one tag, the canonical one counts."""
    images = [
        seen("team/a-b:v1", "team.a.b.v1", size=1),
        seen("team/a-b:v1", size=2, creatTime="2020-01-01T00:00:00Z"),
        seen("team/a-b:v2", creatTime="2023-01-01T00:00:00Z"),
    ]
    for order in (images, images[::-1]):
        assert repository.desired_tags(order) == [
            {"name": "v2", "metaName": "team.a-b.v2", "creatTime": "2023-01-01T00:00:00Z"},
            {
                "name": "v1",
                "metaName": "team.a-b.v1",
                "size": 2,
                "creatTime": "2020-01-01T00:00:00Z",
            },
        ]


def test_the_latest_tag_is_no_signature() -> None:
    """Nor a list of referrers, however new; what only looks like one is a tag of somebody's own."""
    digits = "0123456789abcdef" * 4
    beside = [{"name": f"sha256-{digits}{end}"} for end in ("", ".sig", ".att", ".sbom")]
    assert repository.latest([]) is None
    assert repository.latest(beside) is None
    assert repository.latest([*beside, {"name": "v2"}, {"name": "v1"}]) == {"name": "v2"}
    for name in (f"sha256-{digits}.1", f"sha256-{digits[1:]}", f"x-sha256-{digits}", "sha256"):
        assert repository.latest([*beside, {"name": name}]) == {"name": name}


def test_labels_follow_the_name_and_the_keywords() -> None:
    """What is right is left alone, and the label of a lost keyword goes."""
    found = picture(
        {
            "metadata": {
                "name": "team.app.v1",
                "labels": {
                    "organization.imagehub.sealos.io": "team",
                    "keyword.imagehub.sealos.io/Old": "",
                    "mine": "x",
                },
            },
            "spec": {"name": "team/app:v1", "detail": {"keywords": ["New"]}},
        }
    )
    assert found.relabel == {
        "repository.imagehub.sealos.io": "app",
        "tag.imagehub.sealos.io": "v1",
        "keyword.imagehub.sealos.io/New": "",
        "keyword.imagehub.sealos.io/Old": None,
    }


@pytest.mark.parametrize(
    ("twin", "has_organization", "has_repository", "reason"),
    [
        ("other", True, True, "Shadowed"),
        (None, False, False, "NoOrganization"),
        (None, True, False, "NoRepository"),
        (None, True, True, "InRepository"),
    ],
)
def test_an_image_says_why_it_is_not_ready(
    twin: str | None, reason: str, *, has_organization: bool, has_repository: bool
) -> None:
    """One reason at a time, the first that has to be dealt with."""
    found = image.desired_condition(
        seen("team/app:v1"),
        has_repository=has_repository,
        has_organization=has_organization,
        twin=twin,
    )
    assert (found["reason"], found["status"] == "True") == (reason, reason == "InRepository")


@pytest.mark.parametrize(
    ("spec", "status", "end"),
    [
        ({"expires": "2024-02-01T00:00:00Z"}, {}, datetime(2024, 2, 1, tzinfo=UTC)),
        (
            {"expires": "2024-02-01T00:00:00Z", "idleSeconds": 3600, "created": NOW},
            {},
            datetime(2024, 1, 1, 3, tzinfo=UTC),
        ),
        (
            {"expires": "2024-02-01T00:00:00Z", "idleSeconds": 3600, "created": NOW},
            {"lastUsed": "2024-01-15T00:00:00Z"},
            datetime(2024, 1, 15, 3, tzinfo=UTC),
        ),
        ({"expires": "2024-02-01T00:00:00Z", "idleSeconds": 0, "created": NOW}, {},
         datetime(2024, 2, 1, tzinfo=UTC)),
        ({"expires": "never"}, {}, None),
        ({}, {}, None),
    ],
)  # fmt: skip
def test_a_login_ends_at_the_first_of_its_ends(
    spec: dict[str, Any], status: dict[str, Any], end: datetime | None
) -> None:
    """Absolute or idle; what cannot be read ends nothing."""
    assert login.end_of(spec, status) == end


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("1h30m", 5400), ("90s", 90), ("1.5m", 90), ("500ms", 0.5), ("x", 7200),
     ("", 7200), ("5", 7200), ("999999999h", 365 * 86400)],
)  # fmt: skip
def test_a_go_duration_is_read(text: str, seconds: float) -> None:
    """Two hours, the default, where there is none."""
    assert datapack.life_of(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("base", {"name", "repoName", "description"}),
        ("grid", {"name", "repoName", "description", "size"}),
        ("detail", {"name", "repoName", "description", "size", "docs", "tags"}),
    ],
)
def test_a_data_pack_has_as_much_as_its_type(kind: str, fields: set[str]) -> None:
    """Each type holds all of the one before."""
    found = {"name": "a/b:c", "detail": {"docs": "d", "size": 1, "description": "e", "x": 2}}
    assert set(datapack.data_of({"spec": found}, kind, [])) == fields


def test_a_data_pack_asks_for_what_it_answers_once() -> None:
    """A public repository that the controller's own copy does not have yet is not left out."""
    objects = {
        ("Repository", "a.b"): {"spec": {"name": "a/b", "isPrivate": False}},
        ("Image", "a.b.c"): {"spec": {"name": "a/b:c"}},
    }
    written: list[Any] = []
    cluster = SimpleNamespace(
        get=lambda kind, name: objects[kind, name],
        patch_status=lambda *arguments, **_: written.append(arguments[-1]),
    )
    pack = {
        "kind": "DataPack",
        "metadata": {"name": "p", "creationTimestamp": NOW},
        "spec": {"names": ["a/b:c"]},
    }
    world: Any = SimpleNamespace(
        cluster=cluster,
        datapacks={"p": pack},
        now=lambda: datetime(2024, 1, 1, tzinfo=UTC),
        moment=lambda: NOW,
    )
    datapack.reconcile(world, "p")
    assert list(written[0]["datas"]) == ["a/b:c"]


def test_only_groups_that_are_certain_are_assumed() -> None:
    """Those of every user, and those of every ServiceAccount of a namespace."""
    assert datapack.groups_of("alice") == ["system:authenticated"]
    assert datapack.groups_of("system:serviceaccount:ci:bot") == [
        "system:authenticated",
        "system:serviceaccounts",
        "system:serviceaccounts:ci",
    ]
