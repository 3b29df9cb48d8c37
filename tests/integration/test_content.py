"""What any client pushes or deletes is what kubectl shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.images import oci_layout
from tests.integration.clients import CLIENTS
from tests.integration.servers.process import wait_until
from tests.integration.test_way_through import ACCEPTED, organization
from tests.real_servers import need

if TYPE_CHECKING:
    from tests.images import Layout
    from tests.integration.hub import Hub
    from tests.integration.people import Person

SECONDS: Final = 90.0  # it takes one or two; the machine may be busy
NAMES: Final = ("crane", "skopeo", "oras", "regctl", "buildah", "podman")
PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "log-in-with-any-client.md"
PRESENT: Final = "jsonpath={.status.conditions[?(@.type=='Present')].status}"

pytestmark = pytest.mark.parametrize(
    "hub",
    ["embedded-registry-3", "kube-registry-2.8"],
    indirect=True,
    scope="session",
)


def shown(who: Person, kind: str) -> list[str]:
    """Return the names of every object of *kind* that *who* sees."""
    done = who.run("kubectl", "get", kind, "--output=name", expect=ACCEPTED)
    return [line.partition("/")[2] for line in done.stdout.splitlines()]


def test_pushes_of_every_client_are_seen(hub: Hub, unique: str, tmp_path: Path) -> None:
    """Image and Repository of a push are there within seconds; of a deleted tag, gone."""
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    layout = oci_layout(tmp_path / "image", layers=2)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    clients = [client for client in CLIENTS if client.name in NAMES]
    for client in clients:
        need(client.name)
        reference = f"{hub.host}/{unique}/{client.name}:v1"
        done = client.run_push(alice, layout, reference)
        assert done.returncode == ACCEPTED, done.stderr
    mine = f"{hub.host}/{unique}/sealoshub:v1"
    alice.run("sealoshub", "push", layout.path, mine, expect=ACCEPTED)
    names = (*NAMES, "sealoshub")
    images = {f"{unique}.{name}.v1" for name in names}

    wait_until(lambda: images <= set(shown(alice, "img")), "every Image", SECONDS)
    wait_until(
        lambda: {f"{unique}.{name}" for name in names} <= set(shown(alice, "repo")),
        "every Repository",
        SECONDS,
    )
    wait_until(
        lambda: {_present(alice, image) for image in images} == {"True"}, "all Present", SECONDS
    )
    pushed = hub.get(alice, "images", f"{unique}.crane.v1")["spec"]
    assert pushed["digest"] == layout.digest
    assert pushed["detail"]["arch"]
    shows_them(alice, unique, layout)
    wait_until(
        lambda: hub.get(alice, "organizations", unique)["status"]["repoCount"] == len(names),
        "the Organization to count them",
        SECONDS,
    )

    deleted = f"{hub.host}/{unique}/crane@{layout.digest}"
    alice.run("crane", "delete", deleted, expect=ACCEPTED)
    wait_until(
        lambda: f"{unique}.crane.v1" not in shown(alice, "img"), "the Image to be gone", SECONDS
    )
    wait_until(
        lambda: not hub.get(alice, "repositories", f"{unique}.crane")["status"]["tags"],
        "no tag in the Repository",
        SECONDS,
    )
    marked = f"{hub.host}/{unique}/sealoshub@{layout.digest}"
    alice.run("crane", "delete", marked, expect=ACCEPTED)
    wait_until(
        lambda: _present(alice, f"{unique}.sealoshub.v1") == "False",
        "the Image that a person made to be marked",
        SECONDS,
    )


def shows_them(who: Person, organization_name: str, layout: Layout) -> None:
    """Look at what kubectl prints of it all: the columns of the documentation, with values."""
    done = who.run("kubectl", "get", "org,repo,img", expect=ACCEPTED)
    tables = done.stdout.split("\n\n")
    documented = re.search(r"\$ kubectl get org,repo,img\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert documented is not None
    heads = [table.splitlines()[0].split() for table in tables]
    assert heads == [table.splitlines()[0].split() for table in documented[1].split("\n\n")]
    mine = [
        [line for line in table.splitlines() if f"/{organization_name}" in line.split()[0]]
        for table in tables
    ]
    assert [len(lines) for lines in mine] == [1, len(NAMES) + 1, len(NAMES) + 1]
    for line in mine[2]:
        name, image, digest, number, unit, present, pushed = line.split()
        client = image.partition("/")[2].partition(":")[0]
        assert name == f"image.imagehub.sealos.io/{organization_name}.{client}.v1"
        if client not in {"buildah", "podman"}:  # which unpack and compress again
            assert digest == layout.digest.removeprefix("sha256:")[:12]
        assert float(number) > 0
        assert unit in {"B", "KiB"}
        assert present == "True"
        assert re.fullmatch(r"\d+[sm].*", pushed)


def test_the_next_organization_of_a_name_cannot_pull_the_old_content(
    hub: Hub, unique: str, tmp_path: Path
) -> None:
    """An organisation goes with its content, when told to, and only then is its name free."""
    alice, bob = hub.user(f"alice-{unique}"), hub.user(f"bob-{unique}")
    organization(alice, unique)
    layout = oci_layout(tmp_path / "image")
    for person in (alice, bob):
        person.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    reference = f"{hub.host}/{unique}/app"
    alice.run("sealoshub", "push", layout.path, f"{reference}:v1", expect=ACCEPTED)
    alice.run("kubectl", "delete", "org", unique, "--wait=false", expect=ACCEPTED)
    wait_until(lambda: "HasRepositories" in _ready_reason(alice, unique), "a refusal", SECONDS)
    alice.run(
        "kubectl", "annotate", "org", unique, "imagehub.sealos.io/force-delete=true",
        expect=ACCEPTED,
    )  # fmt: skip
    wait_until(lambda: unique not in shown(alice, "org"), "the organisation to be gone", SECONDS)
    organization(bob, unique)
    wait_until(
        lambda: "MANIFEST_UNKNOWN" in _pull_error(bob, f"{reference}:v1"),
        "an answer that there is no such tag",
        SECONDS,
    )
    assert _pull_error(bob, f"{reference}@{layout.digest}")


def _pull_error(who: Person, reference: str) -> str:
    return who.run("crane", "manifest", "--insecure", reference).stderr


def _ready_reason(who: Person, organization_name: str) -> str:
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"
    return who.run("kubectl", "get", "org", organization_name, "--output", path).stdout


def _present(who: Person, image: str) -> str:
    return who.run("kubectl", "get", "img", image, "--output", PRESENT).stdout.strip()
