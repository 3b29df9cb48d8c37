"""The way through all five components, on every API server and every registry.

Each test makes an organisation of its own, so that they may run in any order.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from tests.images import oci_layout
from tests.integration.clients import pulled_digest
from tests.integration.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.clients import StockClient
    from tests.integration.hub import Hub
    from tests.integration.people import Person

PATIENCE: Final = 90.0  # seconds; decisions are cached for 10, and the machine may be busy
LOOKED_AT: Final = 60.0 + PATIENCE  # seconds; what a login was made with is looked at each minute
ACCEPTED: Final = 0
DENIED: Final = 4


def organization(owner: Person, name: str, *, members: list[dict[str, str]] | None = None) -> None:
    """Let *owner* make the organisation *name* and wait until its rights are there."""
    manifest = {
        "apiVersion": "imagehub.sealos.io/v1",
        "kind": "Organization",
        "metadata": {"name": name},
        "spec": {"name": name, "creator": owner.name, "members": members or []},
    }
    file = owner.home / f"{name}.yaml"
    file.write_text(yaml.safe_dump(manifest))
    owner.run("sealoshub", "apply", "-f", file, "--wait", "90s", expect=ACCEPTED)


def set_private(owner: Person, repository: str, *, private: bool) -> None:
    """Let *owner* make *repository* private or public."""
    manifest = {
        "apiVersion": "imagehub.sealos.io/v1",
        "kind": "Repository",
        "metadata": {"name": repository.replace("/", ".")},
        "spec": {"name": repository, "isPrivate": private},
    }
    file = owner.home / "visibility.yaml"
    file.write_text(yaml.safe_dump(manifest))
    owner.run("sealoshub", "apply", "-f", file, expect=ACCEPTED)


def eventually(attempt: Callable[[], int], wanted: int) -> None:
    """Repeat *attempt* until it returns *wanted*."""
    deadline = time.monotonic() + PATIENCE
    while (code := attempt()) != wanted:
        assert time.monotonic() < deadline, f"still {code} after {PATIENCE} s, wanted {wanted}"
        time.sleep(0.25)


def token_of(person: Person) -> str:
    """Return the bearer token in the person's kubeconfig."""
    content = yaml.safe_load(person.kubeconfig.read_text())
    token: str = content["users"][0]["user"]["token"]
    return token


def test_owner_pushes_member_pulls_stranger_is_refused_until_it_is_public(
    hub: Hub, unique: str, tmp_path: Path
) -> None:
    """The whole story: what a person may do in the registry is what Kubernetes RBAC says."""
    alice, bob = hub.user(f"alice-{unique}"), hub.user(f"bob-{unique}")
    carol = hub.user(f"carol-{unique}", groups=[f"readers-{unique}"])
    organization(
        alice, unique, members=[{"kind": "Group", "name": f"readers-{unique}", "role": "viewer"}]
    )
    image = oci_layout(tmp_path / "image")
    reference = f"{hub.host}/{unique}/app:v1"

    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    pushed = alice.run("sealoshub", "push", image.path, reference, expect=ACCEPTED)
    assert pushed.stdout == f"{hub.host}/{unique}/app@{image.digest}\n"

    resource = hub.get(alice, "images.imagehub.sealos.io", f"{unique}.app.v1")
    assert resource["spec"]["name"] == f"{unique}/app:v1"
    assert resource["spec"]["digest"] == image.digest
    assert resource["spec"]["detail"]["description"] == "A small image that the tests push"
    hub.wait_for(alice, "repositories.imagehub.sealos.io", f"{unique}.app")

    carol.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    carol.run("crane", "pull", "--format=oci", reference, tmp_path / "carol", expect=ACCEPTED)
    assert pulled_digest(tmp_path / "carol") == image.digest

    bob.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    assert bob.run("crane", "pull", reference, tmp_path / "no").returncode != ACCEPTED
    refused = bob.run("sealoshub", "push", image.path, f"{hub.host}/{unique}/app:mine")
    assert refused.returncode == DENIED
    assert bob.name in refused.stderr
    assert f"{unique}/app" in refused.stderr

    set_private(alice, f"{unique}/app", private=False)
    eventually(
        lambda: bob.run("crane", "pull", "--format=oci", reference, tmp_path / "bob").returncode,
        ACCEPTED,
    )
    assert pulled_digest(tmp_path / "bob") == image.digest
    set_private(alice, f"{unique}/app", private=True)
    eventually(lambda: min(1, bob.run("crane", "digest", reference).returncode), 1)


def test_a_member_may_pull_but_not_push(hub: Hub, unique: str, tmp_path: Path) -> None:
    """A viewer's push ends with exit code 4, and nothing of it is in the registry."""
    alice, carol = hub.user(f"alice-{unique}"), hub.user(f"carol-{unique}")
    organization(alice, unique, members=[{"kind": "User", "name": carol.name, "role": "viewer"}])
    image = oci_layout(tmp_path / "image")
    for person in (alice, carol):
        person.run("sealoshub", "login", hub.host, "-k", expect=ACCEPTED)
    done = carol.run("sealoshub", "push", image.path, f"{hub.host}/{unique}/app:v1")
    assert done.returncode == DENIED
    assert alice.run("crane", "digest", f"{hub.host}/{unique}/app:v1").returncode != ACCEPTED


def test_a_second_push_sends_no_blob(hub: Hub, unique: str, tmp_path: Path) -> None:
    """Pushing the same image again finds every blob and gives the same answer."""
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    image = oci_layout(tmp_path / "image", layers=3)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    command = ("sealoshub", "push", image.path, f"{hub.host}/{unique}/app:v1")
    first = alice.run(*command, expect=ACCEPTED)
    again = alice.run(*command, "--output", "ndjson", expect=ACCEPTED)
    events = [json.loads(line) for line in again.stdout.splitlines()]
    states = {event["state"] for event in events if event["event"] == "blob"}
    assert states == {"exists"}
    assert image.digest in first.stdout


def test_stock_clients_log_in_with_a_token_push_and_pull(
    hub: Hub, unique: str, tmp_path: Path, client: StockClient
) -> None:
    """A Kubernetes token is a password that every client can log in with, and push and pull."""
    robot = hub.robot(f"robot-{unique}")
    organization(robot, unique)
    client.run_login(robot, hub.host, token_of(robot)).check_returncode()
    if not client.push:
        return  # without an engine docker only logs in
    image = oci_layout(tmp_path / "image")
    reference = f"{hub.host}/{unique}/app:v1"
    pushed = client.run_push(robot, image, reference)
    assert pushed.returncode == ACCEPTED, pushed.stderr
    pulled = client.run_pull(robot, reference, tmp_path / "pulled")
    assert pulled.returncode == ACCEPTED, pulled.stderr
    if client.keeps_digest:
        assert pulled_digest(tmp_path / "pulled") == image.digest


def test_stock_clients_refuse_a_wrong_password(hub: Hub, unique: str, client: StockClient) -> None:
    """No client may believe that it is logged in with a worthless secret."""
    stranger = hub.user(f"stranger-{unique}")
    done = client.run_login(stranger, hub.host, "worthless")
    if client.name == "crane":  # crane asks nobody at login: it fails at the first request
        done = stranger.run("crane", "digest", f"{hub.host}/{unique}/app:v1")
    assert done.returncode != ACCEPTED


def test_after_our_login_stock_clients_need_none(
    hub: Hub, unique: str, tmp_path: Path, pushing_client: StockClient
) -> None:
    """One `sealoshub login` is the login of every client."""
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    image = oci_layout(tmp_path / "image")
    reference = f"{hub.host}/{unique}/app:v1"
    pushed = pushing_client.run_push(alice, image, reference)
    assert pushed.returncode == ACCEPTED, pushed.stderr
    pulled = pushing_client.run_pull(alice, reference, tmp_path / "pulled")
    assert pulled.returncode == ACCEPTED, pulled.stderr


def test_an_expired_cluster_credential_does_not_end_the_login(
    hub: Hub, unique: str, tmp_path: Path
) -> None:
    """The login outlives the certificate it was made with, and what travels is short."""
    organization(hub.user(f"alice-{unique}"), unique)
    alice = hub.user(f"alice-{unique}", seconds=25)  # begins now: a login must be made in it
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    config = json.loads((alice.home / ".docker" / "config.json").read_text())
    secret = config["auths"][hub.host]["identitytoken"]
    assert secret.startswith("shr_")
    assert len(secret) <= 64

    expired = "the certificate to expire"
    wait_until(lambda: hub.try_get(alice, "organizations", unique) != 0, expired)
    image = oci_layout(tmp_path / "image")
    reference = f"{hub.host}/{unique}/app:v1"
    alice.run("sealoshub", "push", image.path, reference, "--cr-option", "no", expect=ACCEPTED)
    alice.run("crane", "pull", reference, tmp_path / "pulled.tar", expect=ACCEPTED)
    refused = alice.run("sealoshub", "login", hub.host, "--kubeconfig")
    assert refused.returncode == 3
    # By then its clock's tolerance may not be over: it is the API server that refuses it.
    assert re.search("expired|while the certificate is valid", refused.stderr), refused.stderr


def test_logout_ends_the_login_at_the_hub(hub: Hub, unique: str) -> None:
    """A copied secret is worthless after `sealoshub logout`."""
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    file = alice.home / ".docker" / "config.json"
    secret = json.loads(file.read_text())["auths"][hub.host]["identitytoken"]
    alice.run("sealoshub", "whoami", hub.host, expect=ACCEPTED)
    alice.run("sealoshub", "logout", hub.host, expect=ACCEPTED)
    assert secret not in file.read_text()
    alice.run("sealoshub", "whoami", hub.host, expect=3)
    eventually(
        lambda: (
            alice.run(
                "sealoshub", "login", hub.host, "-u", alice.name, "--password-stdin", stdin=secret
            ).returncode
        ),
        3,
    )


def test_deleting_the_service_account_ends_its_login(hub: Hub, unique: str, tmp_path: Path) -> None:
    """A login dies with the ServiceAccount it was made with, also when one of that name returns."""
    robot = hub.robot(f"robot-{unique}")
    organization(robot, unique)
    robot.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    image = oci_layout(tmp_path / "image")
    command = (
        "sealoshub", "push", image.path, f"{hub.host}/{unique}/app:v1", "--cr-option", "no",
    )  # fmt: skip
    robot.run(*command, expect=ACCEPTED)
    hub.remove_robot(f"robot-{unique}")
    hub.robot(f"robot-{unique}")
    deadline = time.monotonic() + LOOKED_AT
    while (done := robot.run(*command)).returncode == ACCEPTED:
        assert time.monotonic() < deadline, "the login outlived its ServiceAccount"
        time.sleep(2)
    assert done.returncode == 3, done.stderr


def test_whoami_says_what_the_api_server_says(hub: Hub, unique: str) -> None:
    """The identity is the API server's, groups included, whatever was typed."""
    carol = hub.user(f"carol-{unique}", groups=[f"team-{unique}"])
    carol.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    done = carol.run("sealoshub", "whoami", hub.host, "--output", "json", expect=ACCEPTED)
    data = json.loads(done.stdout)["data"]
    assert data["user"] == carol.name
    assert f"team-{unique}" in data["groups"]


def test_a_login_by_token_and_by_stdin_is_the_same_login(hub: Hub, unique: str) -> None:
    """--token-stdin and --password-stdin take a ServiceAccount's token."""
    robot = hub.robot(f"robot-{unique}")
    token = token_of(robot)
    robot.run("sealoshub", "login", hub.host, "--token-stdin", stdin=f"{token}\n", expect=ACCEPTED)
    robot.run("sealoshub", "logout", hub.host, expect=ACCEPTED)
    robot.run(
        "sealoshub", "login", hub.host, "-u", "token", "--password-stdin", stdin=token,
        expect=ACCEPTED,
    )  # fmt: skip


def test_nobody_writes_into_a_strangers_organisation(hub: Hub, unique: str, tmp_path: Path) -> None:
    """The admission rules ask for the same right as the registry."""
    alice, mallory = hub.user(f"alice-{unique}"), hub.user(f"mallory-{unique}")
    organization(alice, unique)
    manifest = {
        "apiVersion": "imagehub.sealos.io/v1",
        "kind": "Image",
        "metadata": {"name": f"{unique}.app.v1"},
        "spec": {"name": f"{unique}/app:v1"},
    }
    file = tmp_path / "image.yaml"
    file.write_text(yaml.safe_dump(manifest))
    done = mallory.run("sealoshub", "apply", "-f", file)
    assert done.returncode == DENIED
    assert "may not push" in done.stderr


@pytest.mark.parametrize("arguments", [("--kubeconfig",), ("-k",)])
def test_secrets_are_never_printed(hub: Hub, unique: str, arguments: tuple[str, ...]) -> None:
    """Neither the cluster's credential nor the hub's is ever shown, not even with -v."""
    robot = hub.robot(f"robot-{unique}")
    token = token_of(robot)
    done = robot.run("sealoshub", "login", hub.host, *arguments, "-v", expect=ACCEPTED)
    secret = json.loads((robot.home / ".docker" / "config.json").read_text())["auths"][hub.host]
    said = done.stdout + done.stderr
    assert token not in said
    assert secret["identitytoken"] not in said
    assert hub.logs_contain(token) == []
    assert hub.logs_contain(secret["identitytoken"]) == []
