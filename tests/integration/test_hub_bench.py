"""The fixture `hub` itself: one hub for each API server and registry, as its users start it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx

from tests.integration.people import SEALOSHUB
from tests.integration.servers.process import wait_until
from tests.real_servers import need

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.hub import Hub
    from tests.integration.people import Person


def user_info(who: Person) -> dict[str, object]:
    """Return the user that the API server sees behind the kubeconfig of *who*."""
    done = who.run("kubectl", "auth", "whoami", "--output=json", expect=0)
    found: dict[str, object] = json.loads(done.stdout)["status"]["userInfo"]
    return found


def test_registry_sends_its_clients_to_the_token_server(hub: Hub) -> None:
    """A hub's registry answers 401, and its realm is the token server of the same host name."""
    answer = httpx.get(f"{hub.url}/v2/", timeout=60)
    assert answer.status_code == 401
    assert f'realm="{hub.auth_url}/token"' in answer.headers["WWW-Authenticate"]


def test_users_are_who_they_were_made_as(hub: Hub, unique: str) -> None:
    """A user of the bench has name and groups in the API server, embedded or real."""
    user = user_info(hub.user(unique, groups=[f"{unique}-readers"]))
    assert user["username"] == unique
    assert user["groups"] == [f"{unique}-readers", "system:authenticated"]


def test_robots_are_service_accounts(hub: Hub, unique: str) -> None:
    """A robot of the bench is a ServiceAccount, with all the groups that one has."""
    user = user_info(hub.robot(unique))
    assert user["username"] == f"system:serviceaccount:user-system:{unique}"
    assert user["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:user-system",
        "system:authenticated",
    ]


def test_every_part_runs(hub: Hub) -> None:
    """The supervisor keeps registry, token server and controller, and the API if it is our own."""
    expected = {"supervisor", "registry", "auth-server", "controller"}
    assert set(hub.pids()) == expected | ({"api"} if hub.embedded else set())


def test_hub_ends_with_the_tests(tmp_path: Path) -> None:
    """A hub in the background is stopped when the process that runs the tests is killed."""
    script = f"""
import pathlib, time
from tests.integration.hub import Hub
from tests.integration.people import person
folder = pathlib.Path({str(tmp_path)!r})
def new_person(name, kubeconfig):
    return person(name, folder / name, kubeconfig or folder / "none", folder)
with Hub(folder / "hub", pathlib.Path({str(need("registry"))!r}), None, new_person):
    print("up", flush=True)
    time.sleep(1000)
"""
    status = [str(SEALOSHUB), "hub", "status", "--data", str(tmp_path / "hub")]
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as tests:
        assert tests.stdout is not None
        assert tests.stdout.readline() == b"up\n"
        assert subprocess.run(status, check=False, capture_output=True).returncode == 0
        tests.kill()
    wait_until(
        lambda: subprocess.run(status, check=False, capture_output=True).returncode != 0,
        "the hub to end",
    )
