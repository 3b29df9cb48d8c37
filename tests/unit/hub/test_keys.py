"""Changing the keys of a hub: what is proved before it counts, and what happens if it is not."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from sealoshub.authserver import keys, rotation
from sealoshub.errors import SealosHubError, UnavailableError, UsageError
from sealoshub.hub import keys as hub_keys
from sealoshub.hub import parts, settings, state
from sealoshub.hub.paths import HubPaths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path) -> HubPaths:
    """The files of a hub that does not run."""
    found = HubPaths(tmp_path / "hub")
    found.create()
    settings.save(found, settings.Settings(registry_binary="registry"))
    keys.ensure(found.keys)
    rotation.fill(found.keys)
    return found


class Servers:
    """A token server and a registry that run, as far as `hub keys` asks them.

    Knobs: `follows` the files with its signer, and what the registry answers, `status`.
    """

    def __init__(self, paths: HubPaths) -> None:
        self._paths = paths
        self.follows = True
        self.status = 200
        self.began_with = keys.load(paths.keys).signing.kid
        keys.write_registry_files(paths.keys, paths.bundle, paths.jwks)

    def fetch(
        self, url: str, *, ca: Path | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Answer as they would."""
        del ca
        if "/token?" in url:
            kid = keys.load(self._paths.keys).signing.kid if self.follows else self.began_with
            header = base64.urlsafe_b64encode(json.dumps({"kid": kid}).encode()).decode()
            return 200, json.dumps({"token": f"{header}.e30.c2ln"}).encode()
        assert headers is not None
        assert headers["Authorization"].startswith("Bearer ")
        return self.status, b""


@pytest.fixture
def servers(paths: HubPaths, monkeypatch: pytest.MonkeyPatch) -> Servers:
    """A hub that runs."""
    found = Servers(paths)
    monkeypatch.setattr(state, "is_running", lambda _: True)
    monkeypatch.setattr(parts, "fetch", found.fetch)
    monkeypatch.setattr(hub_keys, "POLL", 0.01)
    return found


def note(_: str) -> None:
    """Take a line of progress."""


def test_a_running_hub_changes_to_a_key_that_its_registry_knows(
    paths: HubPaths, servers: Servers
) -> None:
    """And is proved to have done so; the next standby is not known yet."""
    known = set(keys.kids_in(paths.bundle))
    done = hub_keys.rotate(paths, note)
    assert (done.before, done.restarted, done.proved) == (servers.began_with, False, True)
    assert done.after in known
    rows = hub_keys.rows(paths)
    assert [row.state for row in rows] == ["signing", "standby", "standby", "retired"]
    assert [row.known for row in rows if row.state != "standby"] == [True, True]
    assert sorted(str(row.known) for row in rows if row.state == "standby") == ["False", "True"]


@pytest.mark.parametrize(("follows", "status"), [(False, 200), (True, 401), (True, 503)])
def test_a_key_that_is_not_proved_does_not_stay(
    paths: HubPaths,
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    *,
    follows: bool,
) -> None:
    """The token server does not see it, or the registry refuses it: the old one signs again."""
    servers.follows, servers.status = follows, status
    with monkeypatch.context() as patch:
        patch.setattr(hub_keys, "SWITCH_SECONDS", 0.2)
        with pytest.raises(UnavailableError, match="the old key signs again"):
            hub_keys.rotate(paths, note)
    found = keys.load(paths.keys)
    assert found.signing.kid == servers.began_with
    assert [row.state for row in hub_keys.rows(paths)] == ["signing", "standby", "standby"]
    servers.follows, servers.status = True, 200
    assert hub_keys.rotate(paths, note).proved


def test_the_registry_learns_new_keys_when_none_is_left(
    paths: HubPaths, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two changes it is asked to start again, once."""
    restarts: list[HubPaths] = []

    def restart(where: HubPaths) -> None:
        restarts.append(where)
        keys.write_registry_files(where.keys, where.bundle, where.jwks)

    monkeypatch.setattr(hub_keys, "_restart_registry", restart)
    changes = [hub_keys.rotate(paths, note) for _ in range(4)]
    assert [done.restarted for done in changes] == [False, False, True, False]
    assert all(done.proved for done in changes)
    assert servers.began_with not in {done.after for done in changes}
    assert restarts == [paths]


def test_a_hub_that_does_not_run(paths: HubPaths) -> None:
    """Changes at once, because its registry learns everything when it starts."""
    for _ in range(4):
        done = hub_keys.rotate(paths, note)
        assert (done.restarted, done.proved) == (False, False)
    assert {row.known for row in hub_keys.rows(paths)} == {None}


def test_one_change_at_a_time(paths: HubPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a message for whoever comes second."""
    monkeypatch.setattr(hub_keys, "LOCK_SECONDS", 0.05)
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(paths.keys / ".lock"):
            held.set()
            over.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(SealosHubError, match="changed by somebody else"):
            hub_keys.rotate(paths, note)
    finally:
        over.set()
        other.join()


@pytest.mark.parametrize("call", [hub_keys.rows, lambda paths: hub_keys.rotate(paths, note)])
def test_no_hub(tmp_path: Path, call: Callable[[HubPaths], object]) -> None:
    """Says so, and how to make one."""
    with pytest.raises(UsageError, match="there is no hub"):
        call(HubPaths(tmp_path))
