"""Controllers that die: the next one, or the same one started again, loses no work.

On the embedded API, in this process; the controllers are real processes and end by SIGKILL.
"""

from __future__ import annotations

import contextlib
import random
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest

from sealoshub.hub.api import pki
from sealoshub.imagehub import names
from sealoshub.imagehub.controller.lease import LEASE_NAME, Timing
from tests.integration.servers.process import Server, wait_until
from tests.unit.imagehub.conftest import Api, People, api, condition, gone, people, resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.kube import Object

__all__ = ["api", "people"]  # fixtures; pytest finds them by name

SECONDS: Final = 120.0  # it takes a few; the machine may be busy
KILLS: Final = 2  # for each seed
ORGANIZATIONS: Final = 3


class Start(Protocol):
    """Runs a controller, given options of its command."""

    def __call__(self, *options: str) -> Server:
        """Return it; use it in a `with` block."""


@pytest.fixture(scope="module")
def start(
    api: Api,
    people: People,
    tmp_path_factory: pytest.TempPathFactory,
    server_env: Mapping[str, str],
) -> Start:
    """Return a function that runs a controller in a process of its own."""
    folder = tmp_path_factory.mktemp("controllers")
    token, _ = people.admin.create_token(names.HUB_NAMESPACE, names.CONTROLLER, [], 3600)
    kubeconfig = folder / "controller.kubeconfig"
    authority = (api.folder / "pki" / "ca.crt").read_bytes()
    pki.write_kubeconfig(kubeconfig, api.url, authority, "controller", token=token)

    def run(*options: str) -> Server:
        command = [sys.executable, "-m", "sealoshub", "hub", "controller"]
        words = [*command, "--kubeconfig", str(kubeconfig), *options]
        return Server(words, folder / "controller.log", server_env)

    return run


def make(people: People, name: str) -> None:
    """Make an organisation with a member and an image, which is work for a controller."""
    member = {"kind": "User", "name": "bob", "role": "developer"}
    people.alice.create(resource("Organization", name, creator="alice", members=[member]))
    people.admin.create(resource("Image", f"{name}/app:v1", detail={"keywords": ["GPU"]}))


def is_done(people: People, name: str) -> bool:
    """Tell whether all that follows from :func:`make` is there."""
    admin = people.admin
    found: list[tuple[str, str]] = [
        ("Organization", name),
        ("Repository", f"{name}.app"),
        ("Image", f"{name}.app.v1"),
    ]
    if any(gone(admin, kind, object_name) for kind, object_name in found):
        return False
    ready = [condition(admin.get(*key)).get("status") == "True" for key in found]
    status = admin.get("Organization", name).get("status") or {}
    return all(ready) and status.get("repos") == [f"{name}/app"]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_controller_may_be_killed_anywhere(people: People, start: Start, seed: int) -> None:
    """Killed after any number of its writes and started again, it ends where it would have."""
    chance = random.Random(seed)  # noqa: S311  # the same kills every time
    made = [f"kill-{seed}-{number}" for number in range(ORGANIZATIONS)]
    for name in made:
        make(people, name)
    admin = people.admin
    for _ in range(KILLS):
        writes = chance.randrange(1, 12)
        before = version(people)
        with start("--no-leader-election") as process:
            wait_until(
                partial(has_written, people, before + writes, made), f"{writes} writes", SECONDS
            )
            process.kill()
    with start("--no-leader-election"):
        wait_until(partial(all_done, people, made), "all to be done", SECONDS)
    for name in made:
        bindings = admin.list("RoleBinding", f"hub-{name}")
        assert {obj["metadata"]["name"]: subjects(obj) for obj in bindings} == {
            "imagehub:owner": ["alice"],
            "imagehub:developer": ["bob"],
        }
        labels = admin.get("Image", f"{name}.app.v1")["metadata"]["labels"]
        assert f"{names.KEYWORD_LABEL}GPU" in labels


def test_another_replica_takes_over(people: People, start: Start) -> None:
    """Killed while it holds the lease, a controller is replaced, and nothing is left undone."""
    timing = Timing()
    assert timing.lease + 2 * timing.retry < 20
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(start()) for _ in range(2)]
        wait_until(lambda: holder(people) in pids(processes), "one to hold the lease", SECONDS)
        make(people, "before")
        wait_until(lambda: is_done(people, "before"), "work to be done", SECONDS)
        first = holder(people)
        processes[pids(processes).index(first)].kill()
        make(people, "after")
        wait_until(lambda: is_done(people, "after"), "the other to work", SECONDS)
        assert holder(people) in set(pids(processes)) - {first}


def all_done(people: People, made: list[str]) -> bool:
    """Tell whether nothing is left to do for any of *made*."""
    return all(is_done(people, name) for name in made)


def has_written(people: People, goal: int, made: list[str]) -> bool:
    """Tell whether there were so many writes, or nothing is left to write."""
    return version(people) >= goal or all_done(people, made)


def version(people: People) -> int:
    """Return how many writes there have been: the embedded API counts them."""
    return int(people.admin.snapshot("Organization", lambda obj: obj)[1])


def subjects(binding: Object) -> list[str]:
    """Return the names that a binding is for."""
    return [entry["name"] for entry in binding["subjects"]]


def holder(people: People) -> str:
    """Return the process id of the controller that holds the lease; empty if nobody does."""
    if gone(people.admin, "Lease", LEASE_NAME, names.HUB_NAMESPACE):
        return ""
    spec: dict[str, Any] = people.admin.get("Lease", LEASE_NAME, names.HUB_NAMESPACE)["spec"]
    return str(spec.get("holderIdentity") or "").rpartition("-")[2]


def pids(processes: list[Server]) -> list[str]:
    """Return the process ids of servers."""
    return [str(process.pid) for process in processes]
