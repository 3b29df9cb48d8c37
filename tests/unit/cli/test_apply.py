"""Claims about apply: everything is checked before the first is sent, and shown as kubectl does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.cli import session
from sealoshub.cli.waiting import unready
from sealoshub.errors import DeniedError
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Program

ORGANIZATION = """\
apiVersion: imagehub.sealos.io/v1
kind: Organization
metadata:
  name: team
spec:
  name: team
"""
IMAGE = """\
apiVersion: imagehub.sealos.io/v1
kind: Image
spec:
  name: team/app:v1
"""
WRONG = """\
apiVersion: imagehub.sealos.io/v1
kind: Image
metadata:
  name: something.else
spec:
  name: team/app:v1
"""


@pytest.fixture(autouse=True)
def kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that there is a kubeconfig; the fake cluster does not look at it."""
    monkeypatch.setattr(session, "cluster_credential", lambda *_: None)


def _names(program: Program) -> list[str]:
    return [f"{obj['kind']}/{obj['metadata']['name']}" for obj in program.cluster.applied]


@pytest.mark.parametrize(
    ("stored", "written", "sent"),
    [
        (None, None, "alice"),
        ({"creator": "bob"}, None, "bob"),
        ({}, None, None),
        (None, "carol", "carol"),
    ],
)
@pytest.mark.parametrize("old_server", [True, False])
def test_the_creator_is_filled_in_where_the_server_does_not(  # noqa: PLR0913, PLR0917  # a table
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    stored: dict[str, str] | None,
    written: str | None,
    sent: str | None,
    *,
    old_server: bool,
) -> None:
    """Below Kubernetes 1.36 it is whoever made it, or the user; else the manifest is sent as is."""
    monkeypatch.setattr(program.cluster, "supports", lambda kind: "Mutating" not in kind)
    if not old_server:
        monkeypatch.setattr(program.cluster, "supports", lambda _: True)
        sent = written
    if stored is not None:
        program.cluster.stored["team"] = {"metadata": {"name": "team"}, "spec": stored}
    file = tmp_path / "organization.yaml"
    file.write_text(ORGANIZATION + (f"  creator: {written}\n" if written else ""))
    result = program("apply", file)
    assert result.exit_code == 0, result.output
    assert program.cluster.applied[0]["spec"].get("creator") == sent


def test_lines_like_kubectl(program: Program, tmp_path: Path) -> None:
    """Each object is one line on standard output; a missing name is filled in."""
    file = tmp_path / "all.yaml"
    file.write_text(f"{ORGANIZATION}---\n{IMAGE}")
    result = program("apply", file)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "organization.imagehub.sealos.io/team created\n"
        "image.imagehub.sealos.io/team.app.v1 created\n"
    )
    assert _names(program) == ["Organization/team", "Image/team.app.v1"]
    program.cluster.outcome = "unchanged"
    assert "team unchanged\n" in program("apply", "-f", file).stdout


def test_standard_input_directories_and_files(program: Program, tmp_path: Path) -> None:
    """Documents come from standard input, directories (sorted, YAML only) and files, in order."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "2.yml").write_text(IMAGE)
    (folder / "1.yaml").write_text(ORGANIZATION)
    (folder / "README.md").write_text("not YAML: [")
    assert program("apply", folder).exit_code == 0
    assert _names(program) == ["Organization/team", "Image/team.app.v1"]
    assert program("apply", "-f", "-", stdin=IMAGE).exit_code == 0
    assert _names(program)[2:] == ["Image/team.app.v1"]


def test_json_is_yaml_too(program: Program) -> None:
    """A JSON document is applied like a YAML one."""
    body = {"apiVersion": "imagehub.sealos.io/v1", "kind": "Image", "spec": {"name": "team/app:v1"}}
    assert program("apply", "-", stdin=json.dumps(body)).exit_code == 0
    assert _names(program) == ["Image/team.app.v1"]


def test_all_faults_at_once(program: Program, tmp_path: Path) -> None:
    """The faults of all files are shown together, with file and line, and nothing is applied."""
    one, two = tmp_path / "1.yaml", tmp_path / "2.yaml"
    one.write_text(f"{ORGANIZATION}---\n{WRONG}")
    two.write_text("kind: [\n")
    result = program("apply", one, two)
    assert result.exit_code == 5
    assert str(one) in result.stderr
    assert str(two) in result.stderr
    assert "Nothing was applied" in result.stderr
    assert program.cluster.applied == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "what shall be applied?"),
        (["/no/such/file"], 5, "there is no file /no/such/file"),
        (["EMPTY"], 5, "there is no .yaml, .yml or .json file"),
        (["-"], 5, "there is no document"),
        (["-", "--wait", "soon"], 2, "'soon' is not a time"),
        (["-", "--dry-run", "maybe"], 2, "--dry-run"),
    ],
)
def test_wrong_input(
    program: Program, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    """Wrong input is refused before anything is sent."""
    words = [str(tmp_path) if word == "EMPTY" else word for word in arguments]
    result = program("apply", *words, stdin="")
    assert result.exit_code == code, result.output
    assert message in result.stderr


def test_dry_runs(program: Program) -> None:
    """A client dry run asks nobody, a server dry run lets the server check."""
    result = program("apply", "-", "--dry-run", "client", stdin=ORGANIZATION)
    assert result.stdout == "organization.imagehub.sealos.io/team valid (client dry run)\n"
    assert program.cluster.applied == []
    result = program("apply", "-", "--dry-run", "server", stdin=ORGANIZATION)
    assert result.stdout == "organization.imagehub.sealos.io/team created (server dry run)\n"
    assert program.cluster.how[-1]["dry_run"] is True


def test_force_conflicts(program: Program) -> None:
    """--force-conflicts is passed on, and is off by itself."""
    program("apply", "-", stdin=ORGANIZATION)
    program("apply", "-", "--force-conflicts", stdin=ORGANIZATION)
    assert [how["force"] for how in program.cluster.how] == [False, True]


def test_json(program: Program) -> None:
    """The JSON lists every object with what became of it, and no line of text."""
    result = program("apply", "-", "-o", "json", stdin=ORGANIZATION)
    assert json.loads(result.stdout)["data"] == {
        "objects": [{"kind": "Organization", "name": "team", "outcome": "created"}]
    }


def test_denied(program: Program) -> None:
    """What the cluster refuses is its own exit code, and its message."""
    program.cluster.error = DeniedError("alice may not create organizations")
    result = program("apply", "-", stdin=ORGANIZATION)
    assert result.exit_code == 4
    assert "alice may not create organizations" in result.stderr


def test_conflict(program: Program) -> None:
    """A conflict keeps the server's words about manager and fields, and names the option."""
    program.cluster.error = ConflictError('conflict with "kubectl": .spec.docs', reason="Conflict")
    result = program("apply", "-", stdin=ORGANIZATION)
    assert result.exit_code == 1
    assert 'conflict with "kubectl": .spec.docs' in result.stderr
    assert "--force-conflicts" in result.stderr


def _with(**status: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    condition = {"type": "Ready", "status": "True", **status}
    return {"metadata": {"generation": 2}, "status": {"conditions": [condition]}}


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        ({"metadata": {}}, "the controller has not looked at it yet"),
        (_with(), None),
        (_with(observedGeneration=2), None),
        (_with(observedGeneration=1), "the controller has not looked at the newest version yet"),
        (_with(status="False", reason="Missing", message="no content"), "no content"),
        (_with(status="Unknown", reason="Missing"), "Missing"),
        (_with(type="Present"), None),
    ],
)
def test_when_an_object_is_ready(obj: dict[str, Any], reason: str | None) -> None:
    """Ready means: the condition is true, for the newest generation."""
    assert unready(obj) == reason
