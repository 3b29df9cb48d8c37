"""Settings of a hub: ports, files, what is kept."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from sealoshub.errors import InvalidInputError, SealosHubError, UsageError
from sealoshub.hub import settings as hub_settings
from sealoshub.hub import state as hub_state
from sealoshub.hub.paths import HubPaths, default_data, write_private
from sealoshub.hub.settings import Settings
from sealoshub.hub.state import HubState, PartState


@pytest.fixture
def paths(tmp_path: Path) -> HubPaths:
    """The folder of a hub."""
    made = HubPaths(tmp_path / "hub")
    made.create()
    return made


def test_settings_survive_a_restart(paths: HubPaths) -> None:
    """What was saved is what is loaded, the secret included, and nobody else can read it."""
    settings = Settings(registry_binary="/bin/registry", registry_port=5123)
    hub_settings.save(paths, settings)
    assert hub_settings.load(paths) == settings
    assert stat.S_IMODE(paths.settings.stat().st_mode) == 0o600


def test_the_secret_of_the_registry_is_not_shown(paths: HubPaths) -> None:
    """The repr of the settings, which may reach a log, does not carry it."""
    del paths
    settings = Settings(registry_binary="/bin/registry")
    assert settings.http_secret not in repr(settings)


def test_no_settings_is_none(paths: HubPaths) -> None:
    """A new folder has no settings."""
    assert hub_settings.load(paths) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"registry_port": 1}', '{"unknown": 1}'])
def test_broken_settings_are_an_error_that_names_the_file(paths: HubPaths, text: str) -> None:
    """A file that is not ours is never overwritten silently."""
    paths.settings.write_text(text)
    with pytest.raises(InvalidInputError, match=r"hub\.json"):
        hub_settings.load(paths)


def test_a_taken_port_is_an_error_with_the_option_to_change_it() -> None:
    """The message names port and part, the hint the option."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(SealosHubError, match=f"port {port} for the registry") as caught:
            hub_settings.claim_port("localhost", port, "registry")
    assert "--registry-port" in str(caught.value.hint)


def test_port_zero_is_any_free_one() -> None:
    """Zero asks for a port, and the answer can be bound."""
    port = hub_settings.claim_port("localhost", 0, "auth")
    assert hub_settings.claim_port("localhost", port, "auth") == port


@pytest.mark.parametrize(
    ("settings", "realm"),
    [
        (Settings("r"), "http://localhost:5001/token"),
        (Settings("r", listen="0.0.0.0", hostname="hub.example.com"),
         "https://hub.example.com:5001/token"),
        (Settings("r", certificate="c", certificate_key="k"), "https://localhost:5001/token"),
    ],
)  # fmt: skip
def test_tls_is_on_everywhere_but_on_loopback(settings: Settings, realm: str) -> None:
    """Plain http never leaves the machine."""
    assert settings.realm == realm


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, "/home/a/.local/share/sealoshub/hub"),
        ({"XDG_DATA_HOME": "/data"}, "/data/sealoshub/hub"),
        ({"XDG_DATA_HOME": "relative"}, "/home/a/.local/share/sealoshub/hub"),
    ],
)
def test_default_data_follows_xdg(env: dict[str, str], expected: str) -> None:
    """A relative XDG_DATA_HOME is ignored, as the specification says."""
    assert default_data(env, Path("/home/a")) == Path(expected)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-a", "a..b", "a" * 64, "a\nb"])
def test_a_user_name_cannot_leave_its_folder(paths: HubPaths, name: str) -> None:
    """Names that could be paths or options are refused."""
    with pytest.raises(UsageError):
        paths.kubeconfig(name)


def test_state_survives_the_file(paths: HubPaths) -> None:
    """What the supervisor writes is what `hub status` reads."""
    part = PartState("registry", "running", 12, 0, "http://localhost:5000", "/log")
    state = HubState("ready", 11, host="localhost:5000", parts=(part,))
    hub_state.write(paths, state)
    assert hub_state.read(paths) == state


def test_a_half_written_state_is_no_state(paths: HubPaths) -> None:
    """A state file that cannot be read is treated as absent."""
    paths.state.write_text('{"phase": "ready"')
    assert hub_state.read(paths) is None
    assert not hub_state.is_running(paths)


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replacement is atomic and leaves no temporary file behind."""
    file = tmp_path / "file"
    write_private(file, "old")

    def fail(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_private(file, "new")
    assert file.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
