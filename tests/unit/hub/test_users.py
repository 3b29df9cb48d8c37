"""Users and options of a hub, as far as no server is needed."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
import yaml

from sealoshub.errors import SealosHubError, UsageError
from sealoshub.hub import control, users
from sealoshub.hub import settings as hub_settings
from sealoshub.hub.api import pki
from sealoshub.hub.control import UpOptions
from sealoshub.hub.paths import HubPaths
from sealoshub.hub.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

DAY = 24 * 3600


@pytest.fixture
def paths(tmp_path: Path) -> HubPaths:
    """The folder of a hub with the embedded API that was up once."""
    made = HubPaths(tmp_path / "hub")
    made.create()
    hub_settings.save(made, Settings(registry_binary="/bin/registry"))
    pki.ensure_pki(made.pki)
    return made


@pytest.mark.parametrize(
    ("login", "name"),
    [
        ("alice", "alice"),
        ("Alice.Smith", "alice-smith"),
        ("root", "root"),
        ("admin", "me"),
        ("___", "me"),
        ("a" * 80, "a" * 40),
        ("müller", "m-ller"),
    ],
)
def test_the_first_user_can_also_name_an_organisation(login: str, name: str) -> None:
    """Whatever the operating system calls a person becomes a DNS label."""
    assert users.first_user_name(login) == name


def test_a_user_gets_a_private_kubeconfig(paths: HubPaths) -> None:
    """The file is readable by its owner only and names the user and the API."""
    file = users.add_user(paths, "carol", groups=["devs"], seconds=DAY, token=False, out=None)
    assert file == paths.kubeconfig("carol")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = yaml.safe_load(file.read_text())
    assert content["clusters"][0]["cluster"]["server"] == "https://localhost:5002"
    assert "client-key-data" in content["users"][0]["user"]


def test_kubeconfigs_follow_the_port_of_the_api(paths: HubPaths) -> None:
    """When the hub comes up with another port, the files it handed out are good there."""
    carol = users.add_user(paths, "carol", groups=[], seconds=DAY, token=False, out=None)
    before = yaml.safe_load(carol.read_text())
    texts = [
        "[",
        "x",
        "clusters: [{}, {}]",
        "clusters: [{cluster: {server: 'https://other:6443'}}]",
    ]
    for number, text in enumerate(texts):
        paths.kubeconfig(f"strange{number}").write_text(text)
    moved = Settings(registry_binary="/bin/registry", api_port=6002)
    credential = users.admin_credential(paths, moved)
    assert credential.server == "https://localhost:6002"
    after = yaml.safe_load(carol.read_text())
    assert after["clusters"][0]["cluster"].pop("server") == "https://localhost:6002"
    assert before["clusters"][0]["cluster"].pop("server") == "https://localhost:5002"
    assert after == before
    left = [paths.kubeconfig(f"strange{number}").read_text() for number in range(len(texts))]
    assert left == texts
    assert stat.S_IMODE(carol.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "groups"),
    [("admin", []), ("system:node", []), ("bob", ["system:masters"]), ("../bob", [])],
)
def test_nobody_becomes_administrator_by_name(
    paths: HubPaths, name: str, groups: list[str]
) -> None:
    """Reserved names and groups are refused, and so are names that leave the folder."""
    with pytest.raises(UsageError):
        users.add_user(paths, name, groups=groups, seconds=DAY, token=False, out=None)


def test_a_service_account_cannot_have_groups(paths: HubPaths) -> None:
    """The message says what to do instead."""
    with pytest.raises(UsageError, match="groups") as caught:
        users.add_user(paths, "robot", groups=["devs"], seconds=DAY, token=True, out=None)
    assert caught.value.hint


def test_users_need_a_hub(tmp_path: Path) -> None:
    """Without a hub the hint is the command that makes one."""
    with pytest.raises(UsageError, match="there is no hub") as caught:
        users.add_user(HubPaths(tmp_path), "bob", groups=[], seconds=DAY, token=False, out=None)
    assert "sealoshub hub up" in str(caught.value.hint)


def test_options_replace_what_was_saved_and_nothing_else(tmp_path: Path) -> None:
    """What is not asked for stays as it was."""
    before = Settings(registry_binary="/bin/registry", registry_port=6000, auth_port=6001)
    after = control._merged(before, UpOptions(auth_port=7001, certificate=tmp_path, user="x"))
    assert after.registry_port == 6000
    assert after.auth_port == 7001
    assert after.certificate == str(tmp_path)
    assert after.http_secret == before.http_secret


def test_no_hub_has_no_status_and_cannot_be_stopped(tmp_path: Path) -> None:
    """A folder without a hub is neither running nor an error to stop."""
    paths = HubPaths(tmp_path / "none")
    assert control.status(paths) is None
    assert control.down(paths) is False


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (UpOptions(listen="0.0.0.0"), "name that its clients use"),
        (UpOptions(hostname="hub.example.com", listen="192.0.2.1", kubeconfig=None), "192.0.2.1"),
    ],
)
def test_a_hub_for_others_needs_a_name_and_an_address(
    paths: HubPaths, options: UpOptions, says: str
) -> None:
    """What cannot work is refused before anything starts."""
    registry = paths.data / "registry-program"
    registry.touch()
    hub_settings.save(paths, Settings(registry_binary=str(registry)))
    with pytest.raises(SealosHubError, match=says):
        control.up(paths, options, lambda _: None)
