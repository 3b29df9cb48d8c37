"""kubectl works on the hub's API, whichever it is, and so do the manifests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import yaml

from tests.integration.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.hub import Hub
    from tests.integration.people import Person
    from tests.integration.servers.kube import KubeApiServer

REPOSITORIES: Final = "repositories.imagehub.sealos.io"


def organization(name: str, creator: str, description: str) -> str:
    """Return the manifest of an organisation."""
    return yaml.safe_dump(
        {
            "apiVersion": "imagehub.sealos.io/v1",
            "kind": "Organization",
            "metadata": {"name": name},
            "spec": {"name": name, "creator": creator, "displayName": description},
        }
    )


def test_apply_get_and_apply_again(hub: Hub, unique: str) -> None:
    """`kubectl apply` creates, finds nothing to do, and changes; `get` shows the table."""
    alice = hub.user(f"alice-{unique}")

    def apply(text: str) -> str:
        return alice.run("kubectl", "apply", "-f", "-", stdin=text, expect=0).stdout.strip()

    name = f"organization.imagehub.sealos.io/{unique}"
    assert apply(organization(unique, alice.name, "one")) == f"{name} created"
    wait_until(lambda: "True" in _table(alice, unique), "the organisation to be ready")
    assert apply(organization(unique, alice.name, "one")) == f"{name} unchanged"
    assert apply(organization(unique, alice.name, "two")) == f"{name} configured"
    assert hub.get(alice, "organizations", unique)["spec"]["displayName"] == "two"
    head = _table(alice, unique).splitlines()[0].split()
    assert head[:3] == ["NAME", "CREATOR", "VISIBILITY"]


def _table(person: Person, name: str) -> str:
    return person.run("kubectl", "get", "org", name, expect=0).stdout


def test_server_side_apply_and_its_conflicts(hub: Hub, unique: str) -> None:
    """Two managers that want different values conflict, until one forces his."""
    alice = hub.user(f"alice-{unique}")
    command = ("kubectl", "apply", "--server-side", "-f", "-", "--field-manager")
    alice.run(*command, "first", stdin=organization(unique, alice.name, "one"), expect=0)

    def again() -> int:
        other = organization(unique, alice.name, "two")
        done = alice.run(*command, "second", stdin=other)
        if "not an owner" not in done.stderr:  # rights come with the controller's first look
            assert 'conflict with "first"' in done.stderr
            return 1
        return 0

    wait_until(lambda: again() == 1, "the creator to be an owner")
    other = organization(unique, alice.name, "two")
    alice.run(*command, "second", "--force-conflicts", stdin=other, expect=0)
    assert hub.get(alice, "organizations", unique)["spec"]["displayName"] == "two"


def test_tokens_and_rights(hub: Hub, unique: str) -> None:
    """`create token` makes a credential; `auth can-i` says what RBAC says."""
    alice = hub.user(f"alice-{unique}")
    alice.run("kubectl", "apply", "-f", "-", stdin=organization(unique, alice.name, ""), expect=0)
    namespace = f"--namespace=hub-{unique}"

    def can(person: Person, verb: str) -> bool:
        done = person.run("kubectl", "auth", "can-i", verb, REPOSITORIES, namespace)
        return done.stdout.strip() == "yes"

    wait_until(lambda: can(alice, "push"), "the creator to be an owner")
    assert can(alice, "manage")
    stranger = hub.user(f"stranger-{unique}")
    assert not can(stranger, "pull")
    as_stranger = ("kubectl", "auth", "can-i", "push", REPOSITORIES, namespace, "--as")
    assert hub.admin.run(*as_stranger, stranger.name).stdout.strip() == "no"
    assert hub.admin.run(*as_stranger, alice.name).stdout.strip() == "yes"
    alice.run("kubectl", "create", "serviceaccount", "ci", namespace, expect=0)
    made = alice.run("kubectl", "create", "token", "ci", namespace, expect=0)
    assert made.stdout.count(".") == 2


def test_the_printed_manifests_are_what_is_installed(hub: Hub) -> None:
    """`sealoshub hub manifests | kubectl apply` changes nothing on a hub that was installed."""
    text = hub.admin.run("sealoshub", "hub", "manifests", expect=0).stdout
    applied = hub.admin.run(
        "kubectl", "apply", "--server-side", "--field-manager=sealoshub-install", "-f", "-",
        stdin=text, expect=0,
    )  # fmt: skip
    assert len(applied.stdout.splitlines()) == len([d for d in yaml.safe_load_all(text) if d])


def test_the_printed_manifests_make_a_hub(
    start_kube: Callable[[], KubeApiServer],
    new_person: Callable[[str, Path | None], Person],
    unique: str,
) -> None:
    """A plain `kubectl apply` of the manifests on an empty cluster is enough."""
    with start_kube() as server:
        admin = new_person("admin", server.admin_kubeconfig)
        text = admin.run("sealoshub", "hub", "manifests", expect=0).stdout
        admin.run("kubectl", "apply", "-f", "-", stdin=text, expect=0)
        alice = new_person("alice", server.issue_kubeconfig("alice", [], 3600))
        bad = organization(unique, "somebody-else", "")
        refused = "spec.creator must be alice"

        def is_refused() -> bool:
            done = alice.run("kubectl", "create", "--dry-run=server", "-f", "-", stdin=bad)
            return refused in done.stderr

        wait_until(is_refused, "the admission policies to bite")
        kinds = admin.run("kubectl", "get", "crd", "-o", "json", expect=0)
        assert len(json.loads(kinds.stdout)["items"]) == 5
