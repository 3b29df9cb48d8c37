"""The reference of JSON output has every command, and the keys that the command prints."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer
from typer.testing import CliRunner

from sealoshub.authserver import keys
from sealoshub.cli import session
from sealoshub.cli.tree import app
from sealoshub.hub import settings, users
from sealoshub.hub.collection import Collected
from sealoshub.hub.paths import HubPaths
from sealoshub.hub.state import HubState
from sealoshub.registry import hubapi
from sealoshub.registry.push_events import BlobState
from tests import docker_archives
from tests.images import oci_layout
from tests.tools import cli_reference
from tests.unit.cli.conftest import FakeCluster
from tests.unit.cli.logged_in import log_in
from tests.unit.cli.memory_cluster import MemoryCluster
from tests.unit.cli.small_hub import SmallHub
from tests.unit.registry.fake_registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[3]
PAGE: Final = (ROOT / "docs" / "reference" / "json.md").read_text()
LOGIN: Final = {"id": "1", "type": "personal", "name": "ci", "scopes": None}
IMAGE: Final = """\
apiVersion: imagehub.sealos.io/v1
kind: Image
metadata: {name: team.app.v1}
spec: {name: "team/app:v1"}
"""
HUB_COMMANDS: Final = (
    "whoami HOST",
    "logout HOST",
    "token create HOST --name ci --ttl 1d",
    "token list HOST",
    "token revoke 1 HOST",
    "explain pull HOST/team/app",
    "doctor HOST",
    "login HOST -u alice --token t",
)
CLUSTER_COMMANDS: Final = (
    "get orgs",
    "search app",
    "org create new",
    "org share team --user bob --role viewer",
    "org unshare team --user carol",
    "org members team",
    "org delete empty",
    "repo public team/app",
    "repo private team/app",
    "repo delete team/app",
)


def documented(title: str) -> set[str]:
    """Return the keys of the first table behind the heading *title*; those of parts left out."""
    section = re.split(r"^#+ ", PAGE.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)
    cells = re.findall(r"^\| (`.*?`) \| ", section[0], re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`([a-z_]+)`", cell)}


def ran(line: str) -> dict[str, Any]:
    """Run one command line; return the JSON that it prints, of a success or a failure."""
    done = CliRunner().invoke(app, [*line.split(), "-o", "json"])
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["data"] is not None, done.output
    return found


def title(line: str) -> str:
    """Return the heading for a command line."""
    known = dict(cli_reference.walk(typer.main.get_command(app), "sealoshub"))
    words = ["sealoshub", *line.split()]
    return next(name for n in range(len(words), 0, -1) if (name := " ".join(words[:n])) in known)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    """A hub that Alice is logged in to."""
    monkeypatch.setattr(session, "has_kubeconfig", lambda: False)
    with SmallHub() as server:
        server.answers |= {
            ("GET", "/v1/whoami"): (200, {"user": {"name": "alice"}}),
            ("GET", "/v1/organizations"): (200, {"organizations": []}),
            ("GET", "/v1/explain"): (200, {"user": "alice", "allowed": True}),
            ("POST", "/v1/logins"): (201, {"token": "shp_x", "login": LOGIN}),
            ("GET", "/v1/logins"): (200, {"logins": [LOGIN]}),
            ("DELETE", "/v1/logins/1"): (204, None),
        }
        log_in(server.host)
        yield server


def test_every_command_with_json_has_its_section() -> None:
    """And no section is of a command that does not print any."""
    wanted = [
        path
        for path, command in cli_reference.walk(typer.main.get_command(app), "sealoshub")
        if any("--output" in parameter.opts for parameter in command.params)
    ]
    assert re.findall(r"^## (sealoshub .*)$", PAGE, re.MULTILINE) == wanted


@pytest.mark.parametrize("line", HUB_COMMANDS)
def test_commands_that_ask_a_hub(small: SmallHub, line: str) -> None:
    """The keys of `data` are those of the page; so are those of the envelope."""
    found = ran(line.replace("HOST", small.host))
    assert set(found["data"]) == documented(title(line))
    assert set(found) == documented("Envelope")


@pytest.mark.parametrize("line", CLUSTER_COMMANDS)
def test_commands_that_ask_a_cluster(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """The keys of `data` are those of the page."""
    cluster = MemoryCluster()
    carol = {"kind": "User", "name": "carol", "role": "viewer"}
    cluster.add("Organization", "team", creator="alice", members=[carol])
    cluster.add("Organization", "empty", creator="alice")
    cluster.add("Repository", "team/app", isPrivate=True)
    monkeypatch.setattr(session, "user_cluster", lambda *_: cluster)
    assert set(ran(line)["data"]) == documented(title(line))


def test_apply(tmp_path: Path) -> None:
    """The keys of `data` are those of the page."""
    file = tmp_path / "image.yaml"
    file.write_text(IMAGE)
    assert set(ran(f"apply {file} --dry-run client")["data"]) == documented("sealoshub apply")


def test_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Result, plan and each kind of event have the keys of the page."""
    layout = oci_layout(tmp_path / "layout", files={"README.md": b"# Read me"}).path
    saved = docker_archives.legacy([docker_archives.SavedImage([docker_archives.CLUSTER])])
    archive = docker_archives.write(tmp_path / "saved.tar", saved)
    cluster = FakeCluster()
    monkeypatch.setattr(session, "user_cluster", lambda *_: cluster)
    with FakeRegistry() as registry:
        line = f"push {layout} {registry.host}/team/app:v1"
        assert set(ran(f"{line} --dry-run")["data"]) == documented("With --dry-run")
        printed = ""
        for each in (line, f"push {archive} {registry.host}/team/saved:v1"):
            words = [*each.split(), "-o", "ndjson", "--cr-option", "yes"]
            printed += CliRunner().invoke(app, words).stdout
        data = ran(f"{line} --cr-option yes")["data"]
    assert set(data) == documented("sealoshub push")
    events = {event["event"]: set(event) for event in map(json.loads, printed.splitlines())}
    section = PAGE.partition("### With --output ndjson")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z]+)` \| (.*) \|$", section, re.MULTILINE))
    assert set(events) == set(rows)
    for name, row in rows.items():
        keys = {*re.findall(r"`([a-z_]+)`", re.sub(r"\([^)]*\)", "", row)), "event"}
        more = set(data) if name == "result" else set()
        assert events[name] == (keys - {"data"}) | more, name
    states = {state.value for state in BlobState} - {BlobState.DOWNLOADING}  # that of a pull
    assert states <= set(re.findall(r"`([a-z]+)`", rows["blob"]))


def test_pull(tmp_path: Path) -> None:
    """The keys of `data` are those of the page."""
    layout = oci_layout(tmp_path / "layout").path
    with FakeRegistry() as registry:
        ran(f"push {layout} {registry.host}/team/app:v1 --cr-option no")
        found = ran(f"pull {registry.host}/team/app:v1 {tmp_path / 'out'}")
    assert set(found["data"]) == documented("sealoshub pull")


def test_hub_gc() -> None:
    """It is printed as it is."""
    assert {field.name for field in fields(Collected)} == documented("sealoshub hub gc")


@pytest.mark.parametrize("command", ["hub up", "hub status"])
def test_the_state_of_a_hub(command: str) -> None:
    """It is printed as it is."""
    assert {field.name for field in fields(HubState)} == documented(f"sealoshub {command}")


def test_other_hub_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of `data` are those of the page."""
    monkeypatch.setattr(users, "add_user", lambda *_, **__: tmp_path / "kubeconfig")
    settings.save(HubPaths(tmp_path), settings.Settings(registry_binary="registry"))
    keys.generate(tmp_path / "keys")
    for line in (
        f"hub down --data {tmp_path}",
        f"hub user add bob --data {tmp_path}",
        f"hub keys rotate --data {tmp_path}",
        f"hub keys list --data {tmp_path}",
    ):
        assert set(ran(line)["data"]) == documented(title(line)), line


def test_the_keys_of_a_login_are_those_of_the_hub() -> None:
    """`token create` shows everything that is known of a login."""
    assert {field.name for field in fields(hubapi.Login)} <= documented("sealoshub token create")
