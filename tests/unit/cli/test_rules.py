"""Claims about the commands for quotas and for the rules of tags."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.cli import repo_rules, session
from sealoshub.errors import DeniedError, InvalidInputError, UsageError
from tests.unit.cli.memory_cluster import MemoryCluster

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Program


@pytest.fixture
def cluster() -> MemoryCluster:
    """Return the cluster that the commands talk to, with an organisation and a repository."""
    found = MemoryCluster()
    found.add("Organization", "team", creator="alice")
    found.add("Repository", "team/app", creator="alice")
    return found


@pytest.fixture
def program(program: Program, monkeypatch: pytest.MonkeyPatch, cluster: MemoryCluster) -> Program:
    """Return the program on that cluster."""
    monkeypatch.setattr(session, "user_cluster", lambda *_: cluster)
    return program


def data(result: Any) -> Any:  # noqa: ANN401  # JSON
    """Return what a command that went well says in JSON."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["data"]


def spec(cluster: MemoryCluster, kind: str, name: str) -> dict[str, Any]:
    """Return a spec as it is stored."""
    found: dict[str, Any] = cluster.get(kind, name)["spec"]
    return found


# ---------------------------------------------------------------------------------- quota
def test_a_quota_is_set_piece_by_piece(program: Program, cluster: MemoryCluster) -> None:
    """What is not named stays; `none` takes a limit away; the same again writes nothing."""
    program("org", "quota", "hub.example.com/team", "--size", "10Gi", "--tags", "5")
    assert spec(cluster, "Organization", "team")["quota"] == {"size": "10Gi", "tags": 5}
    again = program("org", "quota", "team", "--tags", "5", "-o", "json")
    assert data(again)["outcome"] == "unchanged"
    assert len(cluster.writes) == 1
    changed = data(program("org", "quota", "team", "--tags", "none", "-o", "json"))
    assert changed["outcome"] == "changed"
    assert changed["quota"] == {"size": "10Gi"}


def test_a_quota_is_shown(program: Program, cluster: MemoryCluster) -> None:
    """Used and allowed stand side by side, and who cannot push any more is told why."""
    cluster.patch("Organization", "team", {"spec": {"quota": {"size": "10Gi"}}})
    over = {"type": "WithinQuota", "status": "False", "message": "size 10.3Gi of 10Gi"}
    usage = {"repositories": 2, "tags": 7, "size": 11_000_000_000}
    cluster.patch("Organization", "team", {"status": {"usage": usage, "conditions": [over]}})
    shown = program("org", "quota", "team")
    assert [line.split() for line in shown.stdout.splitlines()] == [
        ["LIMIT", "USED", "QUOTA"],
        ["repositories", "2", "none"],
        ["tags", "7", "none"],
        ["size", "10.3Gi", "10Gi"],
    ]
    assert "nobody can push to team: size 10.3Gi of 10Gi" in shown.stderr
    told = data(program("org", "quota", "team", "-o", "json"))
    assert told == {
        "organization": "team",
        "usage": usage,
        "quota": {"size": "10Gi"},
        "full": True,
        "outcome": None,
    }
    wide = program("get", "orgs", "-o", "wide").stdout
    assert "over: size 10.3Gi of 10Gi" in wide


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--tags", "-1"], 2),
        (["--tags", "many"], 2),
        (["--repositories", "1000000001"], 2),
        (["--size", "10GB"], 5),
        (["--size", ""], 5),
    ],
)
def test_a_quota_that_is_none(
    program: Program, cluster: MemoryCluster, arguments: list[str], code: int
) -> None:
    """Nothing is written."""
    assert program("org", "quota", "team", *arguments).exit_code == code
    assert cluster.writes == []


def test_an_owner_is_sent_to_an_administrator(program: Program, cluster: MemoryCluster) -> None:
    """And not to the owners, one of whom he is."""
    cluster.refuses = DeniedError("alice may not set or change the quota of team")
    result = program("org", "quota", "team", "--size", "1Ti")
    assert result.exit_code == 4
    assert "Ask an administrator of the hub" in result.stderr


# ---------------------------------------------------------------------------------- immutable
def test_immutable_tags(program: Program, cluster: MemoryCluster) -> None:
    """Each pattern once; they are shown, and taken away."""
    place = "hub.example.com/team/app"
    program("repo", "immutable", place, "v*", "stable", "v*")
    assert spec(cluster, "Repository", "team.app")["immutableTags"] == ["v*", "stable"]
    put_back = {"type": "TagsImmutable", "message": "v1 was moved and put back"}
    cluster.patch("Repository", "team.app", {"status": {"conditions": [put_back]}})
    shown = program("repo", "immutable", place)
    assert shown.stdout.split() == ["PATTERN", "v*", "stable"]
    assert "v1 was moved and put back" in shown.stderr
    same = data(program("repo", "immutable", place, "v*", "stable", "-o", "json"))
    assert same["outcome"] == "unchanged"
    gone = data(program("repo", "immutable", place, "--none", "-o", "json"))
    assert gone == {"name": "team/app", "immutable_tags": [], "outcome": "changed", "last": None}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["v/*"], 5), ([""], 5), (["v*", "--none"], 2), ([f"v{i}" for i in range(33)], 5)],
)
def test_patterns_that_are_none(
    program: Program, cluster: MemoryCluster, arguments: list[str], code: int
) -> None:
    """Nothing is written."""
    assert program("repo", "immutable", "team/app", *arguments).exit_code == code
    assert cluster.writes == []


# ---------------------------------------------------------------------------------- retention
def fill(cluster: MemoryCluster, **days: int) -> None:
    """Add tags that are so many days old."""
    for tag, old in days.items():
        image = cluster.add("Image", f"team/app:{tag}")
        since = (datetime.now(UTC) - timedelta(days=old)).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = {"tag": {"digest": f"sha256:{tag * 64}", "since": since}}
        cluster.patch("Image", image["metadata"]["name"], {"status": status})
    cluster.add("Image", "team/app:unseen")
    cluster.writes.clear()


def test_a_rule_can_be_tried(program: Program, cluster: MemoryCluster) -> None:
    """The tags that would go are listed, the oldest first, and nothing is written."""
    fill(cluster, a=50, b=40, c=3, d=1)
    cluster.patch("Repository", "team.app", {"spec": {"immutableTags": ["a"]}})
    cluster.writes.clear()
    tried = program("repo", "retention", "team/app", "--keep-last", "1", "--dry-run")
    assert [line.split() for line in tried.stdout.splitlines()] == [
        ["TAG", "DIGEST", "AGE"],
        ["b", "sha256:bbbbbbbbbbbb", "40d"],
        ["c", "sha256:cccccccccccc", "3d"],
    ]
    assert cluster.writes == []
    told = data(
        program("repo", "retention", "team/app", "--older-than", "30d", "--dry-run", "-o", "json")
    )
    assert told["retention"] == {"olderThan": "720h"}
    assert [entry["tag"] for entry in told["due"]] == ["b"]


def test_a_rule_replaces_the_one_before(program: Program, cluster: MemoryCluster) -> None:
    """What the new one does not say does not stay of the old one."""
    fill(cluster, a=5)
    first = ["--keep-last", "2", "--older-than", "90m", "--keep-tag", "v*"]
    program("repo", "retention", "team/app", *first)
    rule = {"keepLast": 2, "olderThan": "90m", "keepTags": ["v*"]}
    assert spec(cluster, "Repository", "team.app")["retention"] == rule
    told = data(program("repo", "retention", "team/app", "--older-than", "1h30m", "-o", "json"))
    assert told["outcome"] == "changed"
    assert spec(cluster, "Repository", "team.app")["retention"] == {"olderThan": "1h30m"}
    again = program("repo", "retention", "team/app", "--older-than", "1h30m", "-o", "json")
    assert data(again)["outcome"] == "unchanged"
    assert "no tag of team/app is due" in program("repo", "retention", "team/app").stderr
    gone = data(program("repo", "retention", "team/app", "--none", "-o", "json"))
    assert (gone["retention"], gone["outcome"]) == (None, "changed")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--keep-last", "0"], 2),
        (["--keep-tag", "v*"], 2),
        (["--dry-run"], 2),
        (["--keep-last", "1", "--none"], 2),
        (["--older-than", "soon"], 2),
        (["--older-than", "0"], 2),
        (["--older-than", "0h"], 5),
        (["--keep-last", "1", "--keep-tag", "a b"], 5),
    ],
)
def test_rules_that_are_none(
    program: Program, cluster: MemoryCluster, arguments: list[str], code: int
) -> None:
    """Nothing is written."""
    assert program("repo", "retention", "team/app", *arguments).exit_code == code
    assert cluster.writes == []


def test_only_an_owner_rules_the_tags(program: Program, cluster: MemoryCluster) -> None:
    """The owners are named."""
    cluster.refuses = DeniedError("bob may not change the rules for the tags of team/app")
    result = program("repo", "retention", "team/app", "--keep-last", "1")
    assert result.exit_code == 4
    assert "User alice" in result.stderr


@pytest.mark.parametrize(
    ("text", "written"),
    [("720h", "720h"), ("30d", "720h"), ("2w", "336h"), ("1.5h", "1h30m"), ("90s", "90s")],
)
def test_times(text: str, written: str) -> None:
    """People count in days; the resource does not."""
    assert repo_rules._hours(text) == written


@pytest.mark.parametrize("text", ["0", "", "x", "1ms", "99999999d"])
def test_times_that_are_none(text: str) -> None:
    """No age, or more than the resource takes."""
    with pytest.raises((UsageError, InvalidInputError)):
        repo_rules._hours(text)
