"""Claims about organisations: sharing loses nothing and gives nothing that was not asked."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.cli import changing, members, session
from sealoshub.errors import DeniedError, InvalidInputError, NotFoundError, UsageError
from sealoshub.imagehub.rights import Role
from sealoshub.imagehub.subjects import Subject
from tests.unit.cli.memory_cluster import MemoryCluster

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Program

BOB = {"kind": "User", "name": "bob", "role": "viewer"}


@pytest.fixture
def cluster() -> MemoryCluster:
    """Return the cluster that the commands talk to, with the organisation `team` of alice."""
    found = MemoryCluster()
    found.add("Organization", "team", creator="alice")
    return found


@pytest.fixture
def program(program: Program, monkeypatch: pytest.MonkeyPatch, cluster: MemoryCluster) -> Program:
    """Return the program on that cluster."""
    monkeypatch.setattr(session, "user_cluster", lambda *_: cluster)
    return program


def _spec(cluster: MemoryCluster) -> dict[str, Any]:
    spec: dict[str, Any] = cluster.get("Organization", "team")["spec"]
    return spec


def _json(result: Any) -> Any:  # noqa: ANN401  # JSON
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["data"]


@pytest.mark.parametrize(
    ("options", "visibility"),
    [([], "private"), (["--private"], "private"), (["--public"], "public")],
)
def test_create(
    program: Program, cluster: MemoryCluster, options: list[str], visibility: str
) -> None:
    """Whoever makes an organisation is its creator; repositories are private unless asked."""
    result = program("org", "create", "hub.example.com/new", *options)
    assert result.stdout == "organization new created\n"
    assert cluster.get("Organization", "new")["spec"] == {
        "name": "new",
        "creator": "alice",
        "defaultVisibility": visibility,
    }


def test_create_what_is_there(program: Program) -> None:
    """A name that is taken is an error that says whom to ask."""
    result = program("org", "create", "team")
    assert result.exit_code == 1
    assert "there is an organization team already" in result.stderr
    assert "ask an owner of team to share it: User alice" in result.stderr


@pytest.mark.parametrize(
    ("who", "entry"),
    [
        (["--user", "bob"], {"kind": "User", "name": "bob"}),
        (["--group", "devs"], {"kind": "Group", "name": "devs"}),
        (
            ["--service-account", "ci/robot"],
            {"kind": "ServiceAccount", "namespace": "ci", "name": "robot"},
        ),
        (
            ["--user", "system:serviceaccount:ci:robot"],
            {"kind": "ServiceAccount", "namespace": "ci", "name": "robot"},
        ),
    ],
)
def test_share_and_unshare(
    program: Program, cluster: MemoryCluster, who: list[str], entry: dict[str, str]
) -> None:
    """A member is added, gets another role in place of the first, and is removed."""
    assert program("org", "share", "team", *who, "--role", "viewer").exit_code == 0
    assert _spec(cluster)["members"] == [{**entry, "role": "viewer"}]
    result = program("org", "share", "team", *who, "--role", "maintainer")
    assert "(was viewer)" in result.stdout
    assert _spec(cluster)["members"] == [{**entry, "role": "maintainer"}]
    writes = len(cluster.writes)
    assert "already" in program("org", "share", "team", *who, "--role", "maintainer").stdout
    assert len(cluster.writes) == writes
    assert program("org", "unshare", "team", *who).exit_code == 0
    assert _spec(cluster)["members"] == []


def test_share_reads_again_when_somebody_was_faster(
    program: Program, cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write on an old version is refused by the server and done again on the new one."""
    monkeypatch.setattr(changing, "PAUSE", 0.001)
    cluster.lags = 3
    assert program("org", "share", "team", "--user", "bob", "--role", "viewer").exit_code == 0
    assert _spec(cluster)["members"] == [BOB]


def test_concurrent_shares_lose_nothing(
    cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty shares at the same time are fifty members."""
    monkeypatch.setattr(changing, "PAUSE", 0.01)
    wanted = [Subject("User", "", f"user-{number:02}") for number in range(50)]

    def share(subject: Subject) -> None:
        changing.change_spec(
            cluster,  # type: ignore[arg-type]  # stands for it
            "team",
            lambda spec: members.with_member(spec, subject, Role.VIEWER)[0],
        )

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(share, wanted))
    assert sorted(item["name"] for item in _spec(cluster)["members"]) == [
        subject.name for subject in wanted
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["share", "team", "--role", "viewer"], 2, "Exactly one of"),
        (["share", "team", "--user", "a", "--group", "b", "--role", "viewer"], 2, "Exactly one"),
        (["share", "team", "--user", "", "--role", "viewer"], 2, "must not be empty"),
        (["share", "team", "--service-account", "robot", "--role", "viewer"], 2, "namespace/name"),
        (["share", "team", "--user", "bob"], 2, "--role"),
        (["share", "team", "--user", "bob", "--role", "king"], 2, "--role"),
        (["share", "nobody", "--user", "bob", "--role", "viewer"], 5, "no organization nobody"),
        (["share", "Team", "--user", "bob", "--role", "viewer"], 5, "not the name of an org"),
        (["unshare", "team", "--user", "bob"], 5, "User bob is no member"),
        (["unshare", "team", "--user", "alice"], 5, "its creator always is an owner"),
        (["create", "a.b"], 5, "not the name of an organization"),
        (["create", "new", "--public", "--private"], 2, "exclude each other"),
        (["create", "new", "--wait", "soon"], 2, "'soon' is not a time"),
        (["members", "nobody"], 5, "there is no organization nobody"),
        (["delete", "nobody"], 5, "there is no organization nobody"),
    ],
)
def test_wrong_input(
    program: Program, cluster: MemoryCluster, arguments: list[str], code: int, message: str
) -> None:
    """Wrong input is refused, and nothing is written."""
    result = program("org", *arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert cluster.writes == []


def test_denied_names_the_owners(program: Program, cluster: MemoryCluster) -> None:
    """Who may not share hears the server's words and who could."""
    cluster.add("Organization", "team", creator="alice", manager=["dev"])
    cluster.refuses = DeniedError("carol is not an owner of organisation team")
    result = program("org", "share", "team", "--user", "carol", "--role", "owner")
    assert result.exit_code == 4
    assert "carol is not an owner" in result.stderr
    assert "owner of team: ServiceAccount user-system/dev, User alice." in result.stderr


def test_the_last_owner_stays(program: Program, cluster: MemoryCluster) -> None:
    """An organisation keeps an owner, unless it is forced to have none."""
    cluster.add("Organization", "team", members=[{**BOB, "role": "owner"}])
    for words in (["unshare", "team", "--user", "bob"], ["share", "team", "--user", "bob"]):
        role = ["--role", "viewer"] if words[0] == "share" else []
        result = program("org", *words, *role)
        assert result.exit_code == 5
        assert "would have no owner" in result.stderr
    assert program("org", "unshare", "team", "--user", "bob", "--force").exit_code == 0
    assert _spec(cluster)["members"] == []


def test_members(program: Program, cluster: MemoryCluster) -> None:
    """Everybody with a role is listed, with the field that it comes from."""
    robot = {"kind": "ServiceAccount", "namespace": "ci", "name": "robot", "role": "developer"}
    cluster.add("Organization", "team", creator="alice", manager=["dev"], members=[BOB, robot])
    lines = [line.split() for line in program("org", "members", "team").stdout.splitlines()]
    assert lines == [
        ["ROLE", "KIND", "NAME", "FROM"],
        ["owner", "ServiceAccount", "user-system/dev", "manager"],
        ["owner", "User", "alice", "creator"],
        ["developer", "ServiceAccount", "ci/robot", "member"],
        ["viewer", "User", "bob", "member"],
    ]
    assert _json(program("org", "members", "team", "-o", "json"))["members"][0] == {
        "kind": "ServiceAccount",
        "namespace": "user-system",
        "name": "dev",
        "role": "owner",
        "from": "manager",
    }


def test_delete(program: Program, cluster: MemoryCluster) -> None:
    """One with repositories or images is only deleted together with them."""
    cluster.add("Image", "team/app:v1")
    result = program("org", "delete", "team")
    assert result.exit_code == 5
    assert "1 images; nothing was deleted" in result.stderr
    assert cluster.deleted == []
    result = program("org", "delete", "team", "--with-repositories")
    assert result.exit_code == 0
    assert "deletes the content of team in the registry too" in result.stderr
    assert cluster.deleted == ["Organization team"]
    assert cluster.writes == [
        {"metadata": {"annotations": {"imagehub.sealos.io/force-delete": "true"}}}
    ]


def test_delete_an_empty_one(program: Program, cluster: MemoryCluster) -> None:
    """An empty organisation needs no option and no annotation."""
    assert program("org", "delete", "team", "--wait", "1s").stdout == "organization team deleted\n"
    assert cluster.writes == []


# ---------------------------------------------------------------- the rules


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"creator": "alice"}, [("User", "", "alice", "creator")]),
        ({"manager": ["dev"]}, [("ServiceAccount", "user-system", "dev", "manager")]),
        (
            {"creator": "dev", "manager": ["dev"]},
            [
                ("ServiceAccount", "user-system", "dev", "creator"),
                ("ServiceAccount", "user-system", "dev", "manager"),
            ],
        ),
        (
            {"creator": "system:serviceaccount:a:b", "manager": ["c d"]},
            [("ServiceAccount", "a", "b", "creator"), ("User", "", "c d", "manager")],
        ),
        (
            {"members": [{"kind": "User", "name": "system:serviceaccount:a:b", "role": "owner"}]},
            [("ServiceAccount", "a", "b", "member")],
        ),
        ({"members": [{"kind": "User", "name": "", "role": "owner"}]}, []),
    ],
)
def test_who_is_an_owner(spec: dict[str, Any], expected: list[tuple[str, str, str, str]]) -> None:
    """Names mean what the controller takes them for."""
    assert [
        (found.subject.kind, found.subject.namespace, found.subject.name, str(found.source))
        for found in members.holders(spec)
    ] == expected


def test_a_manager_can_be_removed_and_a_creator_never() -> None:
    """A bare creator who is a manager too is one account, and would become another without it."""
    account = Subject("ServiceAccount", "user-system", "dev")
    spec = {"creator": "alice", "manager": ["dev", "ops"]}
    assert members.without_member(spec, account) == ({"manager": ["ops"]}, "owner")
    with pytest.raises(InvalidInputError):
        members.without_member({"creator": "dev", "manager": ["dev", "ops"]}, account)
    with pytest.raises(NotFoundError):
        members.without_member({"creator": "dev", "manager": []}, account)


def test_a_service_account_is_named_in_one_way() -> None:
    """A user name that is no ServiceAccount's is a user, and a malformed account is refused."""
    assert members.subject_of("system:serviceaccount:x", None, None).kind == "User"
    with pytest.raises(UsageError):
        members.subject_of(None, None, "A/b")
