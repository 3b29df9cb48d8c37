"""Start, stop and look at the hub of this machine: what `hub up`, `down` and `status` do."""

from __future__ import annotations

import dataclasses
import getpass
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import InvalidInputError, SealosHubError, UsageError
from sealoshub.hub import settings as hub_settings
from sealoshub.hub import state as hub_state
from sealoshub.hub.binary import find_registry
from sealoshub.hub.child import last_lines
from sealoshub.hub.paths import PRIVATE_FILE
from sealoshub.hub.supervisor import Supervisor
from sealoshub.hub.users import first_user_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.hub.paths import HubPaths
    from sealoshub.hub.settings import Settings
    from sealoshub.hub.state import HubState

UP_SECONDS: Final = 180.0  # all parts together on a slow machine
DOWN_SECONDS: Final = 30.0  # every part may take its patience
POLL: Final = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `hub up` was asked for; None means: as before, or the default.

    Args:
        registry_binary: The `registry` program.
        listen: Address to bind.
        hostname: Name that clients use.
        registry_port: Port of the registry; 0 for any free one.
        auth_port: Port of the token server; 0 for any free one.
        api_port: Port of the embedded API; 0 for any free one.
        kubeconfig: Kubeconfig of an existing cluster to use instead of the embedded API.
        context: Context in it.
        certificate: PEM server certificate.
        certificate_key: Its key.
        user: Name of the first user of the embedded API.
        private_names: Whether only administrators list what there is.
    """

    registry_binary: Path | None = None
    listen: str | None = None
    hostname: str | None = None
    registry_port: int | None = None
    auth_port: int | None = None
    api_port: int | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    user: str | None = None
    private_names: bool | None = None


def up(paths: HubPaths, options: UpOptions, on_progress: Callable[[str], None]) -> HubState:
    """Start the hub in the background and return when every part is healthy.

    A hub that runs already is left alone and its state returned.

    Raises:
        SealosHubError: A part could not be started; the message shows its last lines.
    """
    if hub_state.is_running(paths):
        on_progress(f"a hub is running already in {paths.data}")
        return _await_ready(paths, None, on_progress)
    settings = _prepare(paths, options, on_progress)
    log = paths.log("supervisor")
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    command = [sys.executable, "-m", "sealoshub", "hub", "supervise", "--data", str(paths.data)]
    if settings.embedded:
        command += ["--user", _first_user(options)]
    paths.state.unlink(missing_ok=True)
    try:
        return _await_ready(paths, _detach(command, descriptor), on_progress)
    finally:
        os.close(descriptor)


def run_foreground(
    paths: HubPaths,
    options: UpOptions,
    on_progress: Callable[[str], None],
    on_ready: Callable[[HubState], None],
) -> None:
    """Run the hub in this process until a signal ends it (for services and containers)."""
    if hub_state.is_running(paths):
        raise SealosHubError(
            f"a hub is running already in {paths.data}", hint="Stop it with: sealoshub hub down"
        )
    settings = _prepare(paths, options, on_progress)
    user = _first_user(options) if settings.embedded else None
    Supervisor(paths, settings, user, on_progress).run(on_ready)


def supervise(paths: HubPaths, user: str | None, on_progress: Callable[[str], None]) -> None:
    """Run the hub that `up` prepared; the background half of :func:`up`."""
    settings = hub_settings.load(paths)
    if settings is None:
        raise UsageError(f"there is no hub in {paths.data}")
    Supervisor(paths, settings, user, on_progress).run(lambda _: None)


def down(paths: HubPaths) -> bool:
    """Stop the hub and wait until it is gone.

    Returns:
        Whether one was running.

    Raises:
        SealosHubError: It did not end in time.
    """
    if not hub_state.is_running(paths):
        return False
    state = hub_state.read(paths)
    if state is None:
        raise SealosHubError(f"a hub runs in {paths.data} but its state cannot be read")
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    while hub_state.is_running(paths):
        if time.monotonic() > deadline:
            raise SealosHubError(
                f"the hub (process {state.pid}) does not end", hint=f"See {paths.logs}"
            )
        time.sleep(POLL)
    return True


def status(paths: HubPaths) -> HubState | None:
    """Return the state of the hub; None if there never was one here.

    A state that claims to be running is corrected when nobody holds the lock.
    """
    state = hub_state.read(paths)
    if state is None or hub_state.is_running(paths):
        return state
    if state.phase in {"failed", "stopped"}:
        return dataclasses.replace(state, parts=())
    return dataclasses.replace(
        state, phase="failed", note="the supervisor is gone (killed?)", parts=()
    )


def _prepare(paths: HubPaths, options: UpOptions, on_progress: Callable[[str], None]) -> Settings:
    """Merge the options into the saved settings, check them, save them."""
    paths.create()
    saved = hub_settings.load(paths)
    registry = _registry(options, saved, on_progress)
    before = saved or hub_settings.Settings(registry_binary=str(registry))
    settings = _merged(before, dataclasses.replace(options, registry_binary=registry))
    if (settings.certificate is None) != (settings.certificate_key is None):
        raise UsageError("--cert and --key belong together")
    if settings.listen not in hub_settings.LOOPBACK and settings.hostname == "localhost":
        raise UsageError(
            f"a hub on {settings.listen} needs the name that its clients use",
            hint="Add --hostname hub.example.com.",
        )
    _check_files(settings)
    claim = hub_settings.claim_port
    settings = dataclasses.replace(
        settings,
        registry_port=claim(settings.listen, settings.registry_port, "registry"),
        auth_port=claim(settings.listen, settings.auth_port, "auth"),
    )
    if settings.embedded:
        api_port = claim("localhost", settings.api_port, "api")
        settings = dataclasses.replace(settings, api_port=api_port)
    hub_settings.save(paths, settings)
    return settings


def _detach(command: list[str], output: int) -> int:
    """Start *command* in a session of its own and return its process id.

    Not `subprocess`, which takes a process that outlives its parent for a mistake.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    return os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsid=True)


def _has_ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def _merged(settings: Settings, options: UpOptions) -> Settings:
    """Return *settings* with what was asked for now in the place of what was saved."""
    chosen: dict[str, Any] = {
        field.name: str(value) if isinstance(value, Path) else value
        for field in dataclasses.fields(options)
        if field.name != "user" and (value := getattr(options, field.name)) is not None
    }
    return dataclasses.replace(settings, **chosen)


def _registry(
    options: UpOptions, saved: Settings | None, on_progress: Callable[[str], None]
) -> Path:
    """Return the registry program: the one named, the one of last time, or one that is found."""
    if options.registry_binary is None and saved and Path(saved.registry_binary).is_file():
        return Path(saved.registry_binary)
    return find_registry(options.registry_binary, os.environ, on_progress)


def _check_files(settings: Settings) -> None:
    for path in (settings.kubeconfig, settings.certificate, settings.certificate_key):
        if path is not None and not os.access(path, os.R_OK):
            raise InvalidInputError(f"cannot read {path}")


def _first_user(options: UpOptions) -> str:
    return options.user or first_user_name(getpass.getuser())


def _await_ready(paths: HubPaths, pid: int | None, on_progress: Callable[[str], None]) -> HubState:
    """Follow the state file until the hub is ready; *pid* is the supervisor's if it is ours."""
    deadline = time.monotonic() + UP_SECONDS
    shown = ""
    while time.monotonic() < deadline:
        ended = pid is not None and _has_ended(pid)
        state = hub_state.read(paths)
        if state is not None and (pid is None or state.pid == pid):
            if state.note and state.note != shown and state.phase == "starting":
                shown = state.note
                on_progress(shown)
            if state.phase in {"ready", "degraded"}:
                return state
            if state.phase == "failed":
                raise SealosHubError(f"the hub did not start: {state.note}", hint=state.hint)
        if ended:
            lines = "".join(f"\n    {line}" for line in last_lines(paths.log("supervisor")))
            raise SealosHubError(f"the hub's supervisor ended:{lines}")
        time.sleep(POLL)
    raise SealosHubError(
        f"the hub was not ready after {UP_SECONDS:.0f} s", hint=f"See {paths.logs}"
    )
