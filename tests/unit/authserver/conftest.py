"""Fixtures of the token server's tests: a fake API server and token servers on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from sealoshub.authserver import config as configuration
from sealoshub.authserver import keys
from sealoshub.authserver.server import TokenServer
from tests.unit.authserver.fake_kubernetes import OWN_TOKEN, FakeKubernetes, FakeUser
from tests.unit.authserver.running import ALICE, BOB_TOKEN, TOKEN, RunningServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Serve = Callable[..., RunningServer]


@pytest.fixture
def fake() -> Iterator[FakeKubernetes]:
    """A fake API server that knows Alice (a ServiceAccount) and Bob."""
    with FakeKubernetes() as server:
        extra = {"authentication.kubernetes.io/credential-id": ["JTI=1"]}
        server.users[TOKEN] = FakeUser(ALICE, "uid-1", ["system:authenticated"], extra)
        server.users[BOB_TOKEN] = FakeUser("bob", "", ["dev"])
        server.accounts["user-system", "alice"] = "uid-1"
        server.allow(ALICE, "team/app", "pull", "push")
        server.put_repository("team/open", private=False)
        yield server


@pytest.fixture
def serve(fake: FakeKubernetes, tmp_path: Path) -> Iterator[Serve]:
    """Start token servers on the fake; they are stopped at the end."""
    running: list[RunningServer] = []

    def start(*, wait: bool = True, **changes: object) -> RunningServer:
        folder = tmp_path
        keys.ensure(folder / "keys")
        (folder / "own-token").write_text(OWN_TOKEN)
        content: dict[str, object] = {
            "listen": "localhost:0",
            "keys_dir": "keys",
            "api": {"server": fake.url, "token_file": "own-token"},
            "plugins": [{"name": "kubernetes"}],
            "audit": "audit.log",
            **changes,
        }
        file = folder / "auth-server.yaml"
        file.write_text(yaml.safe_dump(content))
        server = RunningServer(TokenServer(configuration.load(file)), folder)
        running.append(server)
        if wait:
            server.ready()
        return server

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def token_server(serve: Serve) -> RunningServer:
    """A token server that is ready."""
    return serve()
