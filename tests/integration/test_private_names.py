"""A hub whose names are private: every command works for members or says what is missing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sealoshub.errors import DeniedError
from sealoshub.imagehub import install
from sealoshub.imagehub.names import API_VERSION, object_name
from sealoshub.kube.cluster import Cluster
from tests.images import oci_layout
from tests.integration.servers.process import wait_until
from tests.integration.test_sharing import ACCEPTED, DENIED, data, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.hub import Hub
    from tests.integration.people import Person

pytestmark = pytest.mark.parametrize("hub", ["kube-registry-3"], indirect=True, scope="session")


@pytest.fixture
def private_hub(hub: Hub) -> Iterator[Hub]:
    """Make the names of a hub private for a test."""
    somebody = hub.user("reader-of-names")
    with Cluster.open_kubeconfig(hub.admin_kubeconfig) as cluster:
        assert install.install(cluster, private_names=True).private_names
        try:
            wait_until(lambda: not may_list(somebody), "names that are private")
            assert install.install(cluster).private_names, "an upgrade leaves it as it is"
            yield hub
        finally:
            assert not install.install(cluster, private_names=False).private_names
            wait_until(lambda: may_list(somebody), "names that are for everybody")


def status(hub: Hub, resource: str, name: str) -> dict[str, Any]:
    """Return what the controller says of an object."""
    found: dict[str, Any] = hub.get(hub.admin, resource, name).get("status") or {}
    return found


def may_list(who: Person) -> bool:
    """Tell whether *who* may list organisations."""
    return who.run("kubectl", "get", "organizations").returncode == 0


def test_members_go_on_working_and_others_see_nothing(
    private_hub: Hub, unique: str, tmp_path: Path
) -> None:
    """Whoever may write something reads it by its name; lists are for administrators alone."""
    hub = private_hub
    alice, carol, bob = (hub.user(f"{name}-{unique}") for name in ("alice", "carol", "bob"))
    alice.run("sealoshub", "org", "create", unique, "--wait", "90s", expect=ACCEPTED)
    share = ("org", "share", unique, "--user", carol.name, "--role", "developer")
    assert data(alice, *share)["outcome"] == "added"
    members = data(alice, "org", "members", unique)["members"]
    assert {item["name"] for item in members} == {alice.name, carol.name}

    image = oci_layout(tmp_path / "image")
    path = f"{unique}/app"
    reference = f"{hub.host}/{path}:v1"
    for person in (alice, carol, bob):
        person.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    outcomes = [data(alice, "push", str(image.path), reference) for _ in range(2)]
    assert [[item["outcome"] for item in pushed["applied"]] for pushed in outcomes] == [
        ["created"],
        ["unchanged"],
    ]
    hub.wait_for(hub.admin, "repositories.imagehub.sealos.io", f"{unique}.app")
    # From the status of these two whoever may not list knows what there is.
    eventually(lambda: status(hub, "organizations", unique).get("repoCount") == 1, "counted")
    eventually(lambda: status(hub, "repositories", f"{unique}.app").get("tagCount") == 1, "listed")
    eventually(
        lambda: carol.run("sealoshub", "push", image.path, reference).returncode == ACCEPTED,
        "allowed to push",
    )
    written = {
        "apiVersion": "imagehub.sealos.io/v1",
        "kind": "Image",
        "metadata": {"name": f"{unique}.app.v1"},
        "spec": {"name": f"{path}:v1", "detail": {"description": "in my own words"}},
    }
    apply = ("sealoshub", "apply", "-", "--force-conflicts", "--wait", "90s")
    for outcome in ("configured", "unchanged"):
        done = alice.run(*apply, stdin=yaml.safe_dump(written), expect=ACCEPTED)
        assert done.stdout.endswith(f" {outcome}\n")
    alice.run("sealoshub", "push", image.path, reference, expect=ACCEPTED)

    (found,) = data(alice, "get", "images", f"{path}:v1")["items"]
    assert found["spec"]["detail"]["description"] == "in my own words"
    assert found["spec"]["digest"] == image.digest
    for arguments in (("images", path), ("images", unique), ("repos", unique), ("orgs", unique)):
        assert len(data(alice, "get", *arguments)["items"]) == 1, arguments
    assert len(data(carol, "get", "images", path)["items"]) == 1
    assert data(carol, "whoami", hub.host)
    assert data(carol, "explain", "push", reference)["allowed"]
    for words in (("get", "orgs"), ("get", "images"), ("search", unique)):
        refused = alice.run("sealoshub", *words)
        assert refused.returncode == DENIED, refused
        assert "may keep its names private" in refused.stderr

    shows_nothing(bob, unique)
    taken = bob.run("sealoshub", "org", "create", unique)
    assert "already" in taken.stderr
    assert alice.name not in taken.stderr

    alice.run("sealoshub", "repo", "public", path, expect=ACCEPTED)
    alice.run("sealoshub", "repo", "private", path, expect=ACCEPTED)
    done = alice.run("sealoshub", "repo", "delete", f"{hub.host}/{path}", "--content")
    assert done.stdout.startswith(f"repository {path} deleted, with 1 image,"), done
    end = ("org", "delete", unique, "--with-repositories", "--wait", "90s")
    alice.run("sealoshub", *end, expect=ACCEPTED)


def shows_nothing(bob: Person, organization: str) -> None:
    """Try every way to read what is *organization*'s as somebody who has nothing to do with it."""
    done = bob.run("kubectl", "get", "org,repo,img")
    assert (done.returncode, done.stdout) == (1, "")
    names = {
        "Organization": organization,
        "Repository": f"{organization}/app",
        "Image": f"{organization}/app:v1",
    }
    with Cluster.open_kubeconfig(bob.kubeconfig) as cluster:
        for kind, spec_name in names.items():
            name = object_name(spec_name)
            obj = {
                "apiVersion": API_VERSION,
                "kind": kind,
                "metadata": {"name": name},
                "spec": {"name": spec_name},
            }
            for attempt in (
                partial(cluster.list, kind),
                partial(cluster.get, kind, name),
                partial(cluster.look_up, kind, name),
                partial(cluster.patch, kind, name, {}),
                partial(cluster.apply, obj, dry_run=True),
                partial(cluster.apply, obj, force=True),
                partial(cluster.delete, kind, name),
            ):
                with pytest.raises(DeniedError) as caught:
                    attempt()
                assert "in my own words" not in str(caught.value)
    for words in (
        ("get", "orgs", organization),
        ("get", "images", f"{organization}/app:v1"),
        ("get", "repos", organization),
        ("org", "members", organization),
        ("repo", "public", f"{organization}/app"),
    ):
        refused = bob.run("sealoshub", *words)
        assert refused.returncode == DENIED, words
        assert "in my own words" not in refused.stdout + refused.stderr
