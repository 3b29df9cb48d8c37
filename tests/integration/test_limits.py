"""Quotas, tags that never move and retention, on whole hubs and with stock clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.images import oci_layout
from tests.integration.servers.process import wait_until
from tests.integration.test_way_through import ACCEPTED, organization
from tests.real_servers import need

if TYPE_CHECKING:
    from pathlib import Path

    from tests.images import Layout
    from tests.integration.hub import Hub
    from tests.integration.people import Person

SECONDS: Final = 90.0  # it takes one or two; the machine may be busy
DENIED: Final = 4

pytestmark = pytest.mark.parametrize(
    "hub",
    ["embedded-registry-3", "kube-registry-2.8"],
    indirect=True,
    scope="session",
)


def patch(who: Person, kind: str, name: str, spec: object, expect: int | None = ACCEPTED) -> str:
    """Change the spec of a resource as *who* and return what kubectl said."""
    merge = json.dumps({"spec": spec})
    done = who.run("kubectl", "patch", kind, name, "--type=merge", "--patch", merge, expect=expect)
    return done.stdout + done.stderr


def condition(hub: Hub, who: Person, resource: str, name: str, kind: str) -> dict[str, Any]:
    """Return a condition of a resource; empty without it."""
    found = (hub.get(who, resource, name).get("status") or {}).get("conditions") or []
    return next((item for item in found if item["type"] == kind), {})


def tags(who: Person, repository: str) -> set[str]:
    """Return the tags that the registry has."""
    return set(who.run("crane", "ls", "--insecure", repository).stdout.split())


def push(who: Person, layout: Layout, reference: str) -> str:
    """Push with crane; return what it said if that failed."""
    done = who.run("crane", "push", "--insecure", layout.path, reference)
    return "" if done.returncode == ACCEPTED else done.stdout + done.stderr


def member(hub: Hub, unique: str) -> Person:
    """Return alice, who owns an organisation and is logged in."""
    need("crane")
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    return alice


def test_an_organization_over_its_quota(hub: Hub, unique: str, tmp_path: Path) -> None:
    """No client pushes to it, explain says why, and what is deleted makes room again."""
    alice = member(hub, unique)
    one, two = oci_layout(tmp_path / "one"), oci_layout(tmp_path / "two", layers=2)
    place = f"{hub.host}/{unique}/app"
    assert "administrator" in patch(alice, "org", unique, {"quota": {"tags": 9}}, None)
    patch(hub.admin, "org", unique, {"quota": {"tags": 1, "size": "10Gi"}})
    assert push(alice, one, f"{place}:v1") == ""
    assert push(alice, two, f"{place}:v2") == ""

    def explained() -> tuple[int, str]:
        done = alice.run("sealoshub", "explain", "push", place)
        return done.returncode, done.stderr

    wait_until(lambda: explained()[0] == DENIED, "the quota to bite", SECONDS)
    assert "over its quota: tags 2 of 1" in explained()[1]
    # Not what crane says: now and then it sends a manifest again without its bytes after a 401.
    assert push(alice, one, f"{place}:v3")
    refused = alice.run("sealoshub", "push", one.path, f"{place}:v3")
    assert refused.returncode == DENIED
    assert "over its quota: tags 2 of 1" in refused.stderr
    assert tags(alice, place) == {"v1", "v2"}
    alice.run("crane", "manifest", "--insecure", f"{place}:v1", expect=ACCEPTED)
    assert push(hub_admin(hub), one, f"{place}:admin") == ""
    said = patch(alice, "org", unique, {"quota": {"tags": 9}}, None)
    assert "may not set or change the quota" in said
    wide = ("kubectl", "get", "org", unique, "--output=wide")
    wait_until(
        lambda: "tags 3 of 1" in alice.run(*wide, expect=ACCEPTED).stdout,
        "kubectl to show it",
        SECONDS,
    )

    for layout in (one, two):
        alice.run("crane", "delete", "--insecure", f"{place}@{layout.digest}", expect=ACCEPTED)
    wait_until(lambda: explained()[0] == ACCEPTED, "room again", SECONDS)
    assert push(alice, one, f"{place}:v4") == ""
    usage = hub.get(alice, "organizations", unique)["status"]["usage"]
    assert usage["repositories"] == 1


def hub_admin(hub: Hub) -> Person:
    """Return the administrator, logged in."""
    hub.admin.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    return hub.admin


def test_a_tag_that_never_moves(hub: Hub, unique: str, tmp_path: Path) -> None:
    """Our push refuses to move it; what another client moves is put back within seconds."""
    alice = member(hub, unique)
    one, two = oci_layout(tmp_path / "one"), oci_layout(tmp_path / "two", layers=2)
    place, name = f"{hub.host}/{unique}/app", f"{unique}.app"
    assert push(alice, one, f"{place}:v1") == ""
    hub.wait_for(alice, "images", f"{name}.v1", SECONDS)
    wait_until(
        lambda: "tag" in hub.get(alice, "images", f"{name}.v1").get("status", {}),
        "the tag to be remembered",
        SECONDS,
    )
    patch(alice, "repo", name, {"immutableTags": ["v*"]})
    # A tag that moves before the controller has heard of the rule stays moved.
    wait_until(
        lambda: condition(hub, alice, "repositories", name, "TagsImmutable") != {},
        "the rule to be noticed",
        SECONDS,
    )
    refused = alice.run("sealoshub", "push", two.path, f"{place}:v1", "--cr-option", "no")
    assert refused.returncode == DENIED
    assert "never names another image" in refused.stderr

    assert push(alice, two, f"{place}:v1") == ""
    wait_until(
        lambda: (
            condition(hub, alice, "repositories", name, "TagsImmutable").get("reason") == "PutBack"
        ),
        "the tag to be put back",
        SECONDS,
    )
    digest = alice.run("crane", "digest", "--insecure", f"{place}:v1", expect=ACCEPTED)
    assert digest.stdout.strip() == one.digest
    message = condition(hub, alice, "repositories", name, "TagsImmutable")["message"]
    assert f"v1 was moved to {two.digest} by alice-{unique} and put back" in message

    bob = hub.user(f"bob-{unique}")
    share = ("sealoshub", "org", "share", unique, "--user", bob.name, "--role", "developer")
    alice.run(*share, expect=ACCEPTED)
    for rule in ({"immutableTags": None}, {"retention": {"keepLast": 1}}):
        wait_until(
            lambda: "the rules for the tags" in patch(bob, "repo", name, rule, None),  # noqa: B023  # called at once
            "a developer to be denied",
            SECONDS,
        )
    events = hub.admin.run("kubectl", "get", "events", "--namespace=default", expect=ACCEPTED)
    assert f"and put back to {one.digest}" in events.stdout


def test_retention(hub: Hub, unique: str, tmp_path: Path) -> None:
    """What is due goes; where a tag cannot go alone, it stays beside one that must."""
    alice = member(hub, unique)
    one, two = oci_layout(tmp_path / "one"), oci_layout(tmp_path / "two", layers=2)
    place, name = f"{hub.host}/{unique}/app", f"{unique}.app"
    for tag, layout in (("t1", one), ("t2", two), ("keep", two), ("t3", one)):
        assert push(alice, layout, f"{place}:{tag}") == ""
        hub.wait_for(alice, "images", f"{name}.{tag}", SECONDS)
    patch(alice, "repo", name, {"retention": {"keepLast": 1, "keepTags": ["keep"]}})
    # Distribution 2.8 deletes a manifest with all its tags, and the newest ones stay.
    left = {"t3", "keep"} if hub.embedded else {"t1", "t2", "t3", "keep"}
    wait_until(
        lambda: (
            condition(hub, alice, "repositories", name, "RetentionApplied").get("reason")
            in {"Deleted", "ManifestNeeded"}
        ),
        "the rule to be applied",
        SECONDS,
    )
    assert tags(alice, place) == left
    alice.run("crane", "delete", "--insecure", f"{place}@{two.digest}", expect=ACCEPTED)
    three = oci_layout(tmp_path / "three", layers=3)
    assert push(alice, three, f"{place}:t4") == ""
    wait_until(lambda: tags(alice, place) == {"t4"}, "nothing else to be left", SECONDS)
