"""Claims about repositories: visibility, and an end that says what is left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealoshub.cli import repo, session
from sealoshub.errors import DeniedError
from sealoshub.registry import delete
from sealoshub.registry.delete import Deleted
from tests.unit.cli.memory_cluster import MemoryCluster

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Program


@pytest.fixture
def cluster() -> MemoryCluster:
    """Return the cluster of the commands, with `team/app` and two images, and one of another."""
    found = MemoryCluster()
    found.add("Organization", "team", creator="alice")
    found.add("Repository", "team/app", isPrivate=True)
    for name in ("team/app:v1", "team/app:v2", "team/application:v1"):
        found.add("Image", name)
    return found


@pytest.fixture
def program(program: Program, monkeypatch: pytest.MonkeyPatch, cluster: MemoryCluster) -> Program:
    """Return the program on that cluster."""
    monkeypatch.setattr(session, "user_cluster", lambda *_: cluster)
    return program


@pytest.mark.parametrize(
    "name", ["team/app", "hub.example.com/team/app", "localhost:5000/team/app"]
)
def test_visibility(program: Program, cluster: MemoryCluster, name: str) -> None:
    """A repository is made public and private, and nothing is written if it is that already."""
    assert program("repo", "public", name).stdout == "repository team/app is public now\n"
    assert cluster.get("Repository", "team.app")["spec"]["isPrivate"] is False
    assert program("repo", "public", name).stdout == "repository team/app is public already\n"
    assert len(cluster.writes) == 1
    assert program("repo", "private", name).exit_code == 0
    assert cluster.get("Repository", "team.app")["spec"]["isPrivate"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["public", "team/none"], "there is no repository team/none"),
        (["public", "team"], "not the name of a repository"),
        (["public", "team/app:v1"], "names an image, and not a repository"),
        (["delete", "team/app@sha256:00"], "names an image, and not a repository"),
        (["delete", "https://hub/team/app"], "Leave the scheme away"),
        (["delete", "a_b.c/team/app"], "is not the host of a registry"),
        (["delete", "team/none"], "there is no repository team/none"),
    ],
)
def test_wrong_names(
    program: Program, cluster: MemoryCluster, arguments: list[str], message: str
) -> None:
    """A name that is none, or of nothing, changes nothing."""
    result = program("repo", *arguments)
    assert result.exit_code == 5, result.output
    assert message in result.stderr
    assert cluster.writes == []
    assert cluster.deleted == []


def test_denied_names_the_owners(program: Program, cluster: MemoryCluster) -> None:
    """Who may not hears who could."""
    cluster.refuses = DeniedError("bob may not change the visibility of team/app")
    for command in ("public", "delete"):
        result = program("repo", command, "team/app")
        assert result.exit_code == 4
        assert "bob may not change the visibility" in result.stderr
        assert "Ask an owner of team: User alice." in result.stderr


def test_delete_leaves_the_content(program: Program, cluster: MemoryCluster) -> None:
    """Images go before their repository, other repositories stay, and what is left is said."""
    result = program("repo", "delete", "team/app")
    assert result.stdout == "repository team/app deleted, with 2 images\n"
    assert "content stays in the registry" in result.stderr
    assert cluster.deleted == ["Image team.app.v1", "Image team.app.v2", "Repository team.app"]


def test_delete_gives_the_controller_time(
    program: Program, cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository goes when the controller has seen its images go, or else after a while."""
    monkeypatch.setattr(repo, "LOOK", 0.001)
    monkeypatch.setattr(repo, "CONTROLLER", 0.01)
    found = cluster.get("Repository", "team.app")
    found["status"] = {"tagCount": 2}
    cluster._store(found)
    assert program("repo", "delete", "team/app").exit_code == 0
    assert cluster.deleted[-1] == "Repository team.app"


def test_delete_with_content(
    program: Program, cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry comes first: what it refuses to delete stays in the catalogue."""
    asked: list[str] = []

    def refuse(_client: object, name: str) -> Deleted:
        asked.append(name)
        raise DeniedError("bob may not delete from team/app")

    monkeypatch.setattr(delete, "delete_repository", refuse)
    words = ("repo", "delete", "hub.example.com/team/app", "--content", "-o", "json")
    assert program(*words).exit_code == 4
    assert asked == ["team/app"]
    assert cluster.deleted == []
    monkeypatch.setattr(delete, "delete_repository", lambda *_: Deleted(2, 3))
    data = json.loads(program(*words).stdout)["data"]
    assert data == {
        "name": "team/app",
        "existed": True,
        "images": 2,
        "content_deleted": True,
        "host": "hub.example.com",
        "tags": 2,
        "manifests": 3,
    }


def test_delete_content_needs_a_host(program: Program, cluster: MemoryCluster) -> None:
    """Without a host, and without exactly one login, nothing is guessed and nothing deleted."""
    result = program("repo", "delete", "team/app", "--content")
    assert result.exit_code == 2
    assert cluster.deleted == []
