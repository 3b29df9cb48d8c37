"""Organisations, repositories and images by commands, without a line of YAML."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.images import oci_layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.hub import Hub
    from tests.integration.people import Person

ACCEPTED: Final = 0
DENIED: Final = 4
INVALID: Final = 5
PATIENCE: Final = 90.0  # seconds; decisions are cached for 10, and the machine may be busy


def data(person: Person, *arguments: str) -> Any:  # noqa: ANN401  # JSON
    """Return the data of a command's JSON."""
    done = person.run("sealoshub", *arguments, "-o", "json", expect=ACCEPTED)
    return json.loads(done.stdout)["data"]


def eventually(attempt: Callable[[], bool], what: str) -> None:
    """Repeat *attempt* until it is true."""
    deadline = time.monotonic() + PATIENCE
    while not attempt():
        assert time.monotonic() < deadline, f"not {what} after {PATIENCE} s"
        time.sleep(0.25)


def test_create_share_push_unshare(hub: Hub, unique: str, tmp_path: Path) -> None:
    """A role given by `org share` is a right in the registry, and `unshare` takes it away."""
    alice, bob = hub.user(f"alice-{unique}"), hub.user(f"bob-{unique}")
    made = alice.run("sealoshub", "org", "create", unique, "--wait", "90s", expect=ACCEPTED)
    assert made.stdout == f"organization {unique} created\n"
    taken = bob.run("sealoshub", "org", "create", unique)
    assert taken.returncode == 1
    assert f"User {alice.name}" in taken.stderr

    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    bob.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    image = oci_layout(tmp_path / "image")
    reference = f"{hub.host}/{unique}/app:v1"
    assert bob.run("sealoshub", "push", image.path, reference).returncode == DENIED

    share = ("org", "share", f"{hub.host}/{unique}", "--user", bob.name, "--role", "developer")
    assert data(alice, *share)["outcome"] == "added"
    assert data(alice, *share)["outcome"] == "unchanged"
    eventually(
        lambda: bob.run("sealoshub", "push", image.path, reference).returncode == ACCEPTED,
        "allowed to push",
    )
    members = data(bob, "org", "members", unique)["members"]
    assert [(item["name"], item["role"], item["from"]) for item in members] == [
        (alice.name, "owner", "creator"),
        (bob.name, "developer", "member"),
    ]

    refused = bob.run("sealoshub", "org", "share", unique, "--group", "all", "--role", "viewer")
    assert refused.returncode == DENIED
    assert f"Ask an owner of {unique}: User {alice.name}." in refused.stderr
    refused = bob.run("sealoshub", "repo", "public", f"{unique}/app")
    assert refused.returncode == DENIED, refused.stderr
    assert f"User {alice.name}" in refused.stderr

    alice.run("sealoshub", "org", "unshare", unique, "--user", bob.name, expect=ACCEPTED)
    again = alice.run("sealoshub", "org", "unshare", unique, "--user", bob.name)
    assert again.returncode == INVALID
    eventually(lambda: bob.run("crane", "digest", reference).returncode != 0, "refused")


def test_shares_at_the_same_time_lose_nothing(hub: Hub, unique: str) -> None:
    """Eight people are added by eight programs at once, and all are members."""
    alice = hub.user(f"alice-{unique}")
    alice.run("sealoshub", "org", "create", unique, "--wait", "90s", expect=ACCEPTED)
    names = [f"person-{number}" for number in range(8)]

    def share(name: str) -> None:
        words = ("sealoshub", "org", "share", unique, "--user", name, "--role", "viewer")
        alice.run(*words, expect=ACCEPTED)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(share, names))
    members = data(alice, "org", "members", unique)["members"]
    assert sorted(item["name"] for item in members if item["from"] == "member") == names


def test_a_manifest_that_is_applied_again_keeps_who_was_added(hub: Hub, unique: str) -> None:
    """`apply` owns the members of its file, `share` those that it added; neither drops the other's.

    A role that `share` changed is a conflict for `apply`, and not silently taken back.
    """
    alice = hub.user(f"alice-{unique}")
    manifest = {
        "apiVersion": "imagehub.sealos.io/v1",
        "kind": "Organization",
        "metadata": {"name": unique},
        "spec": {
            "name": unique,
            "creator": alice.name,
            "members": [{"kind": "Group", "name": "ops", "role": "viewer"}],
        },
    }
    file = alice.home / "organization.yaml"
    file.write_text(yaml.safe_dump(manifest))
    apply = ("sealoshub", "apply", "-f", str(file), "--wait", "90s")
    alice.run(*apply, expect=ACCEPTED)
    robot = ("org", "share", unique, "--service-account", "ci/robot", "--role", "developer")
    alice.run("sealoshub", *robot, expect=ACCEPTED)
    alice.run(*apply, expect=ACCEPTED)
    listed = data(alice, "org", "members", unique)["members"]
    assert [item["name"] for item in listed] == [alice.name, "robot", "ops"]

    words = ("sealoshub", "org", "share", unique, "--group", "ops", "--role", "maintainer")
    assert "(was viewer)" in alice.run(*words, expect=ACCEPTED).stdout
    conflict = alice.run(*apply)
    assert conflict.returncode == 1
    assert "--force-conflicts" in conflict.stderr
    alice.run(*apply, "--force-conflicts", expect=ACCEPTED)
    roles = {
        item["name"]: item["role"] for item in data(alice, "org", "members", unique)["members"]
    }
    assert roles["ops"] == "viewer"


def test_public_private_get_search_and_delete(hub: Hub, unique: str, tmp_path: Path) -> None:
    """What was pushed is listed and found, is made public and private, and deleted for good."""
    alice, carol = hub.user(f"alice-{unique}"), hub.user(f"carol-{unique}")
    alice.run("sealoshub", "org", "create", unique, "--private", "--wait", "90s", expect=ACCEPTED)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    image = oci_layout(tmp_path / "image")
    for tag in ("v1", "v2"):
        reference = f"{hub.host}/{unique}/app:{tag}"
        alice.run("sealoshub", "push", image.path, reference, expect=ACCEPTED)
    hub.wait_for(alice, "repositories.imagehub.sealos.io", f"{unique}.app")

    assert alice.run("sealoshub", "get", "orgs", unique).stdout.split()[5:7] == [unique, "private"]
    found = data(carol, "get", "images", f"{hub.host}/{unique}/app")["items"]
    assert [item["spec"]["name"] for item in found] == [f"{unique}/app:v1", f"{unique}/app:v2"]
    one = carol.run("sealoshub", "get", "images", f"{unique}/app:v1", "-o", "yaml", expect=ACCEPTED)
    assert yaml.safe_load(one.stdout)["spec"]["digest"] == image.digest
    alice.run("sealoshub", "apply", "-", "--dry-run", "server", stdin=one.stdout, expect=ACCEPTED)
    assert [
        item["name"] for item in data(carol, "search", unique.upper(), "SMALL image")["items"]
    ] == [f"{unique}/app:v1", f"{unique}/app:v2"]
    assert carol.run("sealoshub", "get", "repos", f"{unique}/none").returncode == INVALID

    reference = f"{hub.host}/{unique}/app:v1"
    alice.run("sealoshub", "repo", "public", f"{hub.host}/{unique}/app", expect=ACCEPTED)
    eventually(lambda: carol.run("crane", "digest", reference).returncode == 0, "public")
    alice.run("sealoshub", "repo", "private", f"{unique}/app", expect=ACCEPTED)
    eventually(lambda: carol.run("crane", "digest", reference).returncode != 0, "private")

    carol.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    delete = ("sealoshub", "repo", "delete", f"{hub.host}/{unique}/app", "--content")
    assert carol.run(*delete).returncode == DENIED
    assert alice.run("crane", "digest", reference).returncode == ACCEPTED
    done = alice.run(*delete, expect=ACCEPTED)
    assert done.stdout.startswith(f"repository {unique}/app deleted, with 2 images, and 2 tags")
    assert alice.run("crane", "digest", reference).returncode != ACCEPTED
    assert alice.run(*delete).returncode == INVALID
    assert data(alice, "get", "images", unique)["items"] == []
    assert data(alice, "get", "repos", unique)["items"] == []


def test_an_organization_is_deleted_with_its_repositories_only_when_asked(
    hub: Hub, unique: str, tmp_path: Path
) -> None:
    """`org delete` refuses what is not empty, and takes everything along if it is told to."""
    alice, bob = hub.user(f"alice-{unique}"), hub.user(f"bob-{unique}")
    alice.run("sealoshub", "org", "create", unique, "--wait", "90s", expect=ACCEPTED)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    image = oci_layout(tmp_path / "image")
    alice.run("sealoshub", "push", image.path, f"{hub.host}/{unique}/app:v1", expect=ACCEPTED)
    refused = alice.run("sealoshub", "org", "delete", unique)
    assert refused.returncode == INVALID
    assert "--with-repositories" in refused.stderr
    assert bob.run("sealoshub", "org", "delete", unique, "--with-repositories").returncode == DENIED
    hub.get(alice, "images.imagehub.sealos.io", f"{unique}.app.v1")

    done = alice.run("sealoshub", "org", "delete", unique, "--with-repositories", "--wait", "90s")
    assert done.returncode == ACCEPTED, done.stderr
    assert "deletes the content" in done.stderr
    gone = alice.run("crane", "manifest", f"{hub.host}/{unique}/app:v1")
    assert gone.returncode != ACCEPTED
    assert alice.run("sealoshub", "get", "orgs", unique).returncode == INVALID
    assert alice.run("sealoshub", "get", "images", f"{unique}/app:v1").returncode == INVALID
