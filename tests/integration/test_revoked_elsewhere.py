"""A login ends on every token server at once, whoever ends it and wherever.

The hub's own token server and one more, of two workers, serve logins of one API server.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING, Final

import pytest

from sealoshub.authserver.logins import LOGIN_SECONDS
from sealoshub.imagehub import install
from sealoshub.imagehub.names import HUB_NAMESPACE
from sealoshub.kube.cluster import Cluster
from tests.attacks.target import Target, api_of
from tests.integration.servers.process import wait_until
from tests.integration.test_tokens import listed, make_token
from tests.integration.test_way_through import ACCEPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.attacks.target import Client
    from tests.integration.hub import Hub
    from tests.integration.people import Person
    from tests.integration.servers.kube import KubeApiServer

AT_ONCE: Final = 1.0  # seconds; some hundredths on a machine that is not busy
CALM: Final = 1.5  # seconds without one that was taken, on either worker
PATIENCE: Final = 60.0
TRIES: Final = 3
SCOPE: Final = "repository:elsewhere/app:pull"


@pytest.fixture(scope="module")
def elsewhere(hub: Hub, memory_folder: Path, server_env: Mapping[str, str]) -> Iterator[Target]:
    """Another token server of the hub, of two workers."""
    folder = memory_folder / f"elsewhere-{os.urandom(3).hex()}"
    with Target(folder, api_of(hub.data), server_env, workers=2) as running:
        yield running


def stored(person: Person, hub: Hub) -> str:
    """Log in and return the refresh token that lies in a file now."""
    person.run("sealoshub", "login", hub.host, "--kubeconfig", "--store", "file", expect=ACCEPTED)
    for file in (".docker/config.json", "run/containers/auth.json"):
        with contextlib.suppress(OSError):
            content = json.loads((person.home / file).read_text())
            token: str = content["auths"][hub.host]["identitytoken"]
            return token
    raise AssertionError("no login is stored")


def id_of(token: str) -> str:
    """Return the id of the login of *token*."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


def by_kubectl(person: Person, hub: Hub) -> tuple[str, Callable[[], object]]:
    """An administrator deletes the Login."""
    token = stored(person, hub)
    words = ("kubectl", "delete", "login", id_of(token), f"--namespace={HUB_NAMESPACE}")
    return token, lambda: hub.admin.run(*words, expect=ACCEPTED)


def by_logout(person: Person, hub: Hub) -> tuple[str, Callable[[], object]]:
    """Its owner logs out at the hub's own token server."""
    token = stored(person, hub)
    return token, lambda: person.run("sealoshub", "logout", hub.host, expect=ACCEPTED)


def by_token_revoke(person: Person, hub: Hub) -> tuple[str, Callable[[], object]]:
    """Its owner revokes a personal token."""
    stored(person, hub)
    token = make_token(person, hub)
    (entry,) = [one for one in listed(person, hub) if one["type"] == "personal"]
    words = ("sealoshub", "token", "revoke", entry["id"], hub.host)
    return token, lambda: person.run(*words, expect=ACCEPTED)


def by_hub_revoke(person: Person, hub: Hub) -> tuple[str, Callable[[], object]]:
    """An administrator ends all that a user has."""
    token = stored(person, hub)
    words = ("sealoshub", "hub", "revoke", "--user", person.name)
    return token, lambda: hub.admin.run(*words, expect=ACCEPTED)


@pytest.mark.parametrize("way", [by_kubectl, by_logout, by_token_revoke, by_hub_revoke])
@pytest.mark.parametrize(
    "hub", ["embedded-registry-3", "kube-registry-3"], indirect=True, scope="session"
)
def test_what_is_revoked_is_refused_everywhere_at_once(
    hub: Hub,
    elsewhere: Target,
    unique: str,
    way: Callable[[Person, Hub], tuple[str, Callable[[], object]]],
) -> None:
    """On both workers of another token server, though each had just used it.

    What is read is believed for nine seconds, so that once within a second says that it was told.
    """
    took = []
    for number in range(TRIES):
        token, revoke = way(hub.user(f"{unique}-{number}"), hub)
        client = elsewhere.stranger()
        for _ in range(20):  # a new connection each, so that both workers have their share
            assert client.get(SCOPE, login=("", token)).status == 200
        revoke()
        took.append(last_taken(client, token))
        if took[-1] < AT_ONCE:
            break
    assert min(took) < AT_ONCE, took


def last_taken(client: Client, token: str) -> float:
    """Return after how many seconds from now a login was taken for the last time."""
    began = last = time.monotonic()
    while (now := time.monotonic()) - last < CALM:
        assert now - began < PATIENCE, "it is taken for ever"
        if client.get(SCOPE, login=("", token)).status == 200:
            last = time.monotonic()
    return last - began


def test_an_api_server_without_its_storage_is_not_believed(
    start_kube: Callable[[], KubeApiServer], memory_folder: Path, server_env: Mapping[str, str]
) -> None:
    """It serves watches, which end in time, and reviews, and cannot know what was revoked: 503."""
    folder = memory_folder / f"storage-{os.urandom(3).hex()}"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        kube = stack.enter_context(start_kube())
        cluster = stack.enter_context(Cluster.open_kubeconfig(kube.admin_kubeconfig))
        install.install(cluster)
        token, _ = cluster.create_token(HUB_NAMESPACE, "imagehub-auth-server", [], 3600)
        (folder / "token").write_text(token.reveal())
        api = {
            "server": kube.url,
            "ca_file": str(kube.ca_file),
            "token_file": str(folder / "token"),
        }
        target = stack.enter_context(Target(folder / "server", api, server_env))
        client = target.stranger()
        someone = ("", kube.issue_kubeconfig("alice").read_text())
        login = ("", client.refresh_token(someone))

        def answer() -> int:
            return client.get(SCOPE, login=login).status

        def is_copied() -> bool:
            return "\nsealoshub_logins_known 1\n" in target.metrics()

        wait_until(is_copied, "the copy of the logins", PATIENCE)
        assert answer() == 200
        kube.pause_storage()
        stack.callback(kube.resume_storage)
        wait_until(lambda: answer() == 503, "the end of belief", LOGIN_SECONDS + PATIENCE)
        assert [answer() for _ in range(3)] == [503] * 3
        wait_until(lambda: not is_copied(), "the gauge", PATIENCE)
        kube.resume_storage()
        wait_until(lambda: answer() == 200, "the storage", PATIENCE)
        wait_until(is_copied, "the copy of the logins", PATIENCE)
