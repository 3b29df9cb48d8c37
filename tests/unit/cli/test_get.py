"""Claims about lists: names in every form, columns that can be read by eye and by program."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import yaml

from sealoshub.cli import output, session
from sealoshub.cli.output import aligned
from sealoshub.imagehub import documents
from tests.unit.cli.memory_cluster import MemoryCluster

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Program

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture
def cluster() -> MemoryCluster:
    """Return the cluster of the commands, with a few of everything."""
    found = MemoryCluster()
    found.add("Organization", "team", creator="alice")
    found.add("Organization", "empty", creator="alice")
    found.add("Repository", "team/app", isPrivate=True)
    found.add("Repository", "other/app")
    found.add("DataPack", "pack", type="base")
    detail = {"size": 2048, "keywords": ["Storage", "sql"], "description": "A database\nof mine"}
    found.add("Image", "team/app:v2", digest=DIGEST, detail=detail)
    found.add("Image", "team/app:v1", detail={"description": "storage for \x1b[31mothers"})
    found.add("Image", "team/application:v1")
    found.add("Image", "other/storage:v1")
    return found


@pytest.fixture
def program(program: Program, monkeypatch: pytest.MonkeyPatch, cluster: MemoryCluster) -> Program:
    """Return the program on that cluster."""
    monkeypatch.setattr(session, "user_cluster", lambda *_: cluster)
    return program


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["orgs"], ["empty", "team"]),
        (["orgs", "team"], ["team"]),
        (["orgs", "hub.example.com/team"], ["team"]),
        (["repos"], ["other/app", "team/app"]),
        (["repos", "team"], ["team/app"]),
        (["repos", "team/app"], ["team/app"]),
        (["repos", "localhost:5000/team/app"], ["team/app"]),
        (["repos", "team.app"], ["team/app"]),
        (["repos", "empty"], []),
        (["images", "team"], ["team/app:v1", "team/app:v2", "team/application:v1"]),
        (["images", "team/app"], ["team/app:v1", "team/app:v2"]),
        (["images", "hub.example.com/team/app:v2"], ["team/app:v2"]),
        (["images", "team.app.v2"], ["team/app:v2"]),
        (["datapacks"], ["pack"]),
        (["datapacks", "pack"], ["pack"]),
    ],
)
def test_names(program: Program, arguments: list[str], names: list[str]) -> None:
    """A name is that of one thing, or of what contains several; with a host or without."""
    data = json.loads(program("get", *arguments, "-o", "json").stdout)["data"]
    assert [item["spec"]["name"] for item in data["items"]] == names
    assert all("managedFields" not in item["metadata"] for item in data["items"])
    lines = program("get", *arguments).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == names


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["things"], 2, "things"),
        (["orgs", "none"], 5, "there is no organization none"),
        (["repos", "none"], 5, "there is no organization none"),
        (["repos", "team/none"], 5, "there is no repository team/none"),
        (["repos", "team/app:v1"], 5, "names an image"),
        (["images", "team/none"], 5, "there is no repository team/none"),
        (["images", "team/app:none"], 5, "there is no image team/app:none"),
        (["images", "team.app.none"], 5, "there is no image team.app.none"),
        (["images", "team/app@sha256:0"], 5, "has a digest"),
        (["datapacks", "none"], 5, "there is no datapack none"),
        (["orgs", "-o", "xml"], 2, "xml"),
    ],
)
def test_what_is_not_there(program: Program, arguments: list[str], code: int, message: str) -> None:
    """What is not there is told from what is empty."""
    result = program("get", *arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert result.stdout == ""


def test_an_image_under_its_old_name(program: Program, cluster: MemoryCluster) -> None:
    """The original folded dashes in the name of the resource; it is found all the same."""
    obj = cluster.add("Image", "team/cert-manager:v1")
    del cluster._objects["Image", "team.cert-manager.v1"]
    obj["metadata"]["name"] = "team.cert.manager.v1"
    cluster._store(obj)
    assert "team/cert-manager:v1" in program("get", "images", "team/cert-manager:v1").stdout


def test_a_cluster_without_a_hub(program: Program, cluster: MemoryCluster) -> None:
    """A cluster that does not know the kinds is named."""
    cluster.served = False
    result = program("get", "orgs")
    assert result.exit_code == 5
    assert "https://dev:6443 does not know the kind Organization" in result.stderr


def test_columns(program: Program) -> None:
    """Columns begin at the same place in every line; wide has more of them."""
    lines = program("get", "images", "team/app").stdout.splitlines()
    assert lines[0].split() == ["NAME", "DIGEST", "SIZE", "AGE"]
    start = lines[0].index("DIGEST")
    assert [line[start:].split("  ")[0] for line in lines[1:]] == ["-", DIGEST[:19]]
    wide = program("get", "images", "team/app", "-o", "wide").stdout
    assert "A database of mine" in wide
    assert "\x1b" not in wide


def test_yaml_can_be_applied(program: Program) -> None:
    """What -o yaml prints is what apply reads."""
    text = program("get", "images", "team", "-o", "yaml").stdout
    assert len(list(yaml.safe_load_all(text))) == 3
    assert [str(found.obj["spec"]["name"]) for found in documents.parse(text, "yaml")] == [
        "team/app:v1",
        "team/app:v2",
        "team/application:v1",
    ]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["STORAGE"], ["other/storage:v1", "team/app:v2", "team/app:v1"]),
        (["app", "sql"], ["team/app:v2"]),
        (["database of"], []),
        (["team", "mine"], ["team/app:v2"]),
        (["nothing"], []),
    ],
)
def test_search(program: Program, words: list[str], names: list[str]) -> None:
    """Every word must occur; names come before keywords, and those before descriptions."""
    result = program("search", *words)
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == names
    assert bool(result.stderr) is not bool(names)
    data = json.loads(program("search", *words, "-o", "json").stdout)["data"]
    assert [item["name"] for item in data["items"]] == names


def test_an_empty_word_is_a_mistake(program: Program) -> None:
    """Searching for nothing would list everything."""
    assert program("search", " ").exit_code == 2


def test_wide_letters_are_aligned() -> None:
    """A letter that takes two columns of a terminal counts as two."""
    text = aligned(["NAME", "X"], [["数据库", "1"], ["e\u0301", ""], ["two\nlines", "2"]])
    assert text.splitlines() == [
        "NAME       X",
        "数据库     1",
        "e\u0301          -",
        "two lines  2",
    ]


@pytest.mark.parametrize("width", [10, 30, 39, 40, 200])
def test_a_narrow_terminal_keeps_names_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """Free text is cut to the width of the terminal, and where names do not fit rows are turned."""
    monkeypatch.setattr(output, "is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    name = "team/[red]application:v1.2.3"  # 28 columns, 2 between, 10 for text
    output.Output("get").table(["NAME", "TEXT"], [[name, "数据库 " * 40]], {}, prose=["TEXT"])
    lines = capsys.readouterr().out.splitlines()
    if width < 40:
        assert lines[0] == f"NAME: {name}"
        assert lines[1].startswith("TEXT: 数据库")
    else:
        assert lines[1].startswith(f"{name}  数据库")
        assert max(map(output.cells, lines)) <= width
    assert "\x1b" not in "".join(lines)


def test_a_terminal_gets_a_bold_head(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the head is painted, and only where colours are wanted."""
    monkeypatch.setattr(output, "is_terminal", lambda _: True)
    monkeypatch.setenv("TERM", "xterm")
    output.Output("get").table(["NAME"], [["\x1b[31mred"]], {})
    assert capsys.readouterr().out == "\x1b[1mNAME\x1b[0m\nred\n"


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-01-01T00:00:00Z", "2d"),
        ("2026-01-02T22:00:00Z", "2h"),
        ("2026-01-02T23:58:00+00:00", "2m"),
        ("2026-01-03T00:00:05Z", "0s"),
        (None, ""),
        ("never", ""),
    ],
)
def test_age(stamp: object, expected: str) -> None:
    """An age has one unit, and a clock that is behind does not make it negative."""
    assert output.age(stamp, datetime(2026, 1, 3, tzinfo=UTC)) == expected
