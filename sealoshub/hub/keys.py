"""The signing keys of a hub on this machine: what they are for, and changing them while it runs."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from sealoshub.authserver import keys, rotation
from sealoshub.errors import NotFoundError, SealosHubError, UnavailableError, UsageError
from sealoshub.hub import parts
from sealoshub.hub import settings as hub_settings
from sealoshub.hub import state as hub_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sealoshub.hub.paths import HubPaths
    from sealoshub.hub.settings import Settings

LOCK_SECONDS: Final = 60.0  # another change of keys takes no longer
SWITCH_SECONDS: Final = 20.0  # until the token server has seen the files, which it does in two
RESTART_SECONDS: Final = 60.0  # of the registry
POLL: Final = 0.1
ACCEPTED: Final = 200


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key of the hub.

    Args:
        kid: Its libtrust fingerprint, which tokens name in their header.
        state: `signing`, `standby` (signs next), `retired` (signs no more, still accepted) or
            `published` (put there by hand).
        known: Whether the running registry accepts it; None if none runs.
        file: Its file.
    """

    kid: str
    state: str
    known: bool | None
    file: str


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a change of keys did.

    Args:
        before: `kid` of the key that signed.
        after: `kid` of the key that signs now.
        restarted: Whether the registry had to start again, to learn it.
        proved: Whether the registry accepted a token that it signed; False if no hub runs.
    """

    before: str
    after: str
    restarted: bool
    proved: bool


def rows(paths: HubPaths) -> list[KeyRow]:
    """Return the keys of the hub, the signing one first.

    Raises:
        UsageError: There is no hub.
        InvalidInputError: A key cannot be read.
    """
    _settings(paths)
    found = keys.load(paths.keys)
    known = _known(paths)
    order = ("signing", "standby", "published", "retired")
    listed = [
        KeyRow(
            kid=key.kid,
            state=rotation.state(key, found.signing),
            known=None if known is None else key.kid in known,
            file=str(paths.keys / key.name),
        )
        for key in found.keys
    ]
    return sorted(listed, key=lambda row: (order.index(row.state), row.file))


def rotate(paths: HubPaths, on_progress: Callable[[str], None]) -> Rotated:
    """Let another key sign, and prove that the registry accepts what it signs.

    The key is one that the registry learned when it started, so nothing is interrupted. When none
    is left (after two changes without a restart of the registry) the registry starts again first.

    Raises:
        UsageError: There is no hub.
        SealosHubError: The registry refuses the new key, in which case the old one signs again.
    """
    settings = _settings(paths)
    with _alone(paths.keys):
        rotation.prune(paths.keys, datetime.now(UTC))
        known = _known(paths)
        if known is None:
            rotation.fill(paths.keys)
            done = rotation.rotate(paths.keys, None, datetime.now(UTC))
            rotation.fill(paths.keys)
            return Rotated(done.before, done.after, restarted=False, proved=False)
        restarted = False
        try:
            done = rotation.rotate(paths.keys, known, datetime.now(UTC))
        except NotFoundError:
            rotation.fill(paths.keys)
            on_progress("the registry starts again, to learn the next keys")
            _restart_registry(paths)
            restarted = True
            done = rotation.rotate(paths.keys, _known(paths), datetime.now(UTC))
        try:
            on_progress("waiting for the token server to use the new key")
            _prove(settings, paths, done.after)
        except SealosHubError:
            rotation.undo(paths.keys, done)
            raise
        rotation.fill(paths.keys)
        return Rotated(done.before, done.after, restarted=restarted, proved=True)


def _settings(paths: HubPaths) -> Settings:
    found = hub_settings.load(paths)
    if found is None:
        raise UsageError(f"there is no hub in {paths.data}", hint="Make one with: sealoshub hub up")
    return found


def _known(paths: HubPaths) -> list[str] | None:
    """Return the keys that the running registry read when it started; None if none runs.

    The file is written at its start and at no other time.
    """
    return keys.kids_in(paths.bundle) if hub_state.is_running(paths) else None


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    try:
        with FileLock(directory / ".lock", timeout=LOCK_SECONDS):
            yield
    except Timeout as exc:
        raise SealosHubError("the keys are being changed by somebody else") from exc


def _restart_registry(paths: HubPaths) -> None:
    before = hub_state.read(paths)
    if before is None:
        raise SealosHubError("the hub's state cannot be read")
    os.kill(before.pid, signal.SIGUSR1)
    deadline = time.monotonic() + RESTART_SECONDS
    while time.monotonic() < deadline:
        now = hub_state.read(paths)
        if now is not None and now.phase == "ready" and _pid(now) not in {None, _pid(before)}:
            return
        time.sleep(POLL)
    raise UnavailableError(
        f"the registry is not healthy after {RESTART_SECONDS:.0f} s",
        hint=f"See {paths.log('registry')}",
    )


def _pid(state: hub_state.HubState) -> int | None:
    return next((part.pid for part in state.parts if part.name == "registry"), None)


def _prove(settings: Settings, paths: HubPaths, kid: str) -> None:
    """Wait for a token that the new key signed, and show it to the registry."""
    ca = parts.authority(settings, paths)
    base = f"{settings.scheme}://{settings.hostname}"
    endpoint = parts.local(f"{base}:{settings.auth_port}", settings)
    registry = parts.local(f"{base}:{settings.registry_port}", settings)
    deadline = time.monotonic() + SWITCH_SECONDS
    trouble = f"no token by the new key after {SWITCH_SECONDS:.0f} s"
    while time.monotonic() < deadline:
        try:
            _, body = parts.fetch(f"{endpoint}/token?service={hub_settings.SERVICE}", ca=ca)
            token = str(json.loads(body)["token"])
            if _kid(token) == kid:
                bearer = {"Authorization": f"Bearer {token}"}
                status, _ = parts.fetch(f"{registry}/v2/", ca=ca, headers=bearer)
                if status == ACCEPTED:
                    return
                trouble = f"the registry answers {status} to a token by the new key"
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as exc:
            trouble = f"the hub does not answer: {exc}"
        time.sleep(POLL)
    raise UnavailableError(
        f"{trouble}; the old key signs again", hint=f"See {paths.log('auth-server')}"
    )


def _kid(token: str) -> str:
    header = token.partition(".")[0]
    content = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    return str(content["kid"])
