"""`hub gc`: what was deleted is gone from the disk, and everything else is still there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from sealoshub.hub import maintenance, storage
from sealoshub.hub.paths import HubPaths
from tests.images import oci_layout
from tests.integration.servers.process import wait_until
from tests.integration.test_way_through import ACCEPTED, organization

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from tests.images import Layout
    from tests.integration.hub import Hub
    from tests.integration.people import Person

FAILED: Final = 1
UNAVAILABLE: Final = 6
PLATFORMS: Final = ("linux/amd64", "linux/arm64")

BOTH: Final = pytest.mark.parametrize(
    "hub", ["embedded-registry-3", "embedded-registry-2.8"], indirect=True, scope="session"
)
ONE: Final = pytest.mark.parametrize("hub", ["embedded-registry-3"], indirect=True, scope="session")


def pusher(hub: Hub, name: str) -> Person:
    """Return an owner of the organisation *name* who is logged in."""
    alice = hub.user(f"alice-{name}")
    organization(alice, name)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    return alice


def on_disk(hub: Hub, digests: Collection[str]) -> set[str]:
    """Return those of *digests* whose blobs are there."""
    root = HubPaths(hub.data).storage
    return {digest for digest in digests if storage.blob_file(root, digest).exists()}


def collected(hub: Hub, *options: str) -> dict[str, Any]:
    """Collect garbage at once; return what was found."""
    done = hub.operate("gc", "--idle", "0", "-o", "json", *options)
    found: dict[str, Any] = json.loads(done.stdout)["data"]
    return found


def pull_whole(who: Person, reference: str, layout: Layout, into: Path) -> None:
    """Pull an index and every image of it, each also by its own digest."""
    skopeo = ("copy", "--all", "--preserve-digests", "--src-tls-verify=false")
    source = f"docker://{reference}@{layout.digest}"
    who.run("skopeo", *skopeo, source, f"oci:{into}:pulled", expect=ACCEPTED)
    for digest in layout.manifests.values():
        who.run("crane", "validate", "--remote", f"{reference}@{digest}", expect=ACCEPTED)


@BOTH
def test_what_was_deleted_is_gone_and_the_rest_is_not(
    hub: Hub, unique: str, tmp_path: Path
) -> None:
    """Blobs of a deleted image are deleted, those of an index stay, and a push after it is whole.

    Nothing is touched while somebody may be pushing, or in a dry run.
    """
    alice = pusher(hub, unique)
    app, multi = f"{hub.host}/{unique}/app", f"{hub.host}/{unique}/multi"
    single = oci_layout(tmp_path / "single", seed=1, layer_bytes=50_000, files={"a": b"only here"})
    index = oci_layout(tmp_path / "multi", seed=2, platforms=PLATFORMS)
    alice.run("sealoshub", "push", single.path, f"{app}:v1", expect=ACCEPTED)
    alice.run("sealoshub", "push", index.path, f"{multi}:v1", expect=ACCEPTED)
    alice.run("crane", "delete", f"{app}@{single.digest}", expect=ACCEPTED)
    pids = hub.pids()
    content = (*single.blobs, single.digest)

    refused = hub.operate("gc", expect=UNAVAILABLE)
    assert "a push may be under way" in refused.stderr
    planned = collected(hub, "--dry-run")
    assert planned["dry_run"]
    assert planned["blobs"] >= len(content)
    assert planned["bytes"] >= single.size
    assert on_disk(hub, content) == set(content)
    assert hub.pids() == pids, "nothing was restarted"

    assert collected(hub)["bytes"] >= single.size
    assert on_disk(hub, content) == set()
    assert on_disk(hub, index.blobs) == set(index.blobs)
    assert hub.pids()["registry"] != pids["registry"], "a registry that remembers no deleted blob"
    assert alice.run("crane", "digest", f"{app}:v1").returncode != ACCEPTED
    pull_whole(alice, multi, index, tmp_path / "pulled")
    assert collected(hub)["blobs"] == 0

    alice.run("sealoshub", "push", single.path, f"{app}:v1", expect=ACCEPTED)
    alice.run("crane", "validate", "--remote", f"{app}:v1", expect=ACCEPTED)
    assert on_disk(hub, content) == set(content)


@BOTH
def test_images_without_a_tag_go_only_where_that_is_safe(
    hub: Hub, unique: str, tmp_path: Path
) -> None:
    """With --untagged what a tag left goes; what would take images of an index along may not.

    That is 2.8 always, and 3 where a repository has the same index without one of its images. A
    repository that never had a tag is no obstacle.
    """
    alice = pusher(hub, unique)
    app, multi = f"{hub.host}/{unique}/app", f"{hub.host}/{unique}/multi"
    old, new, lone = (
        oci_layout(tmp_path / str(seed), seed=seed, files={"a": bytes([seed])})
        for seed in (11, 12, 13)
    )
    index = oci_layout(tmp_path / "multi", seed=14, platforms=PLATFORMS)
    for layout, reference in (
        (old, f"{app}:v1"),
        (new, f"{app}:v1"),
        (index, f"{multi}:v1"),
        (lone, f"{hub.host}/{unique}/lone@{lone.digest}"),
    ):
        alice.run("crane", "push", layout.path, reference, expect=ACCEPTED)
    assert collected(hub)["manifests"] == 0
    assert on_disk(hub, old.blobs) == set(old.blobs), "pulled by digest still"

    if hub.registry_binary.name == "docker-registry":
        refused = hub.operate("gc", "--untagged", "--idle", "0", expect=FAILED)
        assert "nothing was deleted" in refused.stderr
        assert on_disk(hub, old.blobs) == set(old.blobs)
    else:
        assert collected(hub, "--untagged")["manifests"] >= 2
        assert on_disk(hub, (*old.blobs, *lone.blobs)) == set()
        again = f"{hub.host}/{unique}/again"  # before `multi`, in the order of the registry
        alice.run("crane", "push", index.path, f"{again}:v1", expect=ACCEPTED)
        part = next(iter(index.manifests.values()))
        alice.run("crane", "delete", f"{again}@{part}", expect=ACCEPTED)
        refused = hub.operate("gc", "--untagged", "--idle", "0", expect=FAILED)
        assert f"parts of {unique}/multi:v1; nothing was deleted" in refused.stderr
        alice.run("crane", "delete", f"{again}@{index.digest}", expect=ACCEPTED)
    pull_whole(alice, multi, index, tmp_path / "pulled")
    alice.run("crane", "validate", "--remote", f"{app}:v1", expect=ACCEPTED)


@ONE
def test_pulls_go_on_while_garbage_is_collected(hub: Hub, unique: str, tmp_path: Path) -> None:
    """The registry answers pulls and refuses pushes until whoever collects is done.

    A hub that is stopped is collected too.
    """
    alice = pusher(hub, unique)
    reference = f"{hub.host}/{unique}/app:v1"
    image, other, gone = (oci_layout(tmp_path / str(seed), seed=seed) for seed in (21, 22, 23))
    elsewhere = f"{hub.host}/{unique}/elsewhere"
    alice.run("sealoshub", "push", image.path, reference, expect=ACCEPTED)
    alice.run("crane", "push", gone.path, f"{elsewhere}:v1", expect=ACCEPTED)
    alice.run("crane", "delete", f"{elsewhere}@{gone.digest}", expect=ACCEPTED)
    with maintenance.hold(HubPaths(hub.data)):
        wait_until(lambda: is_ready(hub) and is_read_only(hub), "a registry that only reads")
        assert alice.run("crane", "digest", reference).stdout.strip() == image.digest
        refused = alice.run("sealoshub", "push", other.path, f"{elsewhere}:v2")
        assert refused.returncode != ACCEPTED
        beside = hub.operate("gc", "--idle", "0", expect=UNAVAILABLE)
        assert "another process" in beside.stderr
    wait_until(lambda: is_ready(hub) and not is_read_only(hub), "a registry that writes")
    alice.run("sealoshub", "push", other.path, f"{elsewhere}:v2", expect=ACCEPTED)
    hub.down()
    assert collected(hub)["blobs"] >= 1
    assert on_disk(hub, (gone.digest,)) == set()
    hub.up()
    alice.run("crane", "validate", "--remote", reference, expect=ACCEPTED)


def is_ready(hub: Hub) -> bool:
    """Tell whether every part of the hub is well."""
    return hub.operate("status", expect=None).returncode == 0


def is_read_only(hub: Hub) -> bool:
    """Tell whether the registry refuses pushes."""
    return "read-only" in hub.operate("status", expect=None).stdout
