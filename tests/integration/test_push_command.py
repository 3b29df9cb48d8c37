"""What `sealoshub push` shows and does to a real hub: from an archive, again, and beside."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests import docker_archives
from tests.images import layer_tar
from tests.integration.test_way_through import ACCEPTED, organization

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.hub import Hub
    from tests.integration.people import Person


def pushed(person: Person, *arguments: str | Path) -> dict[str, Any]:
    """Push with JSON output; return `data`."""
    done = person.run("sealoshub", "push", *arguments, "-o", "json", expect=ACCEPTED)
    found: dict[str, Any] = json.loads(done.stdout)["data"]
    return found


def described(person: Person, name: str) -> dict[str, Any]:
    """Return `spec` of an Image resource."""
    done = person.run("sealoshub", "get", "images", name, "-o", "json", expect=ACCEPTED)
    spec: dict[str, Any] = json.loads(done.stdout)["data"]["items"][0]["spec"]
    return spec


# Each registry once, and each kind of API server once.
@pytest.mark.parametrize(
    "hub", ["embedded-registry-3", "kube-registry-2.8"], indirect=True, scope="session"
)
def test_a_cluster_image_from_its_archive_to_its_copy(
    hub: Hub, unique: str, tmp_path: Path
) -> None:
    """A plan says what is known, the push sends that, the second nothing, the copy mounts all."""
    alice = hub.user(f"alice-{unique}")
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    noise = random.Random(unique).randbytes(300_000)  # noqa: S311  # content, no secret
    layers = (layer_tar({"data/noise": noise}), docker_archives.CLUSTER)
    content = docker_archives.legacy([docker_archives.SavedImage(layers)])
    archive = docker_archives.write(tmp_path / "saved.tar", content)
    target = f"{hub.host}/{unique}/app:v1"

    plan = pushed(alice, archive, target, "--dry-run")
    assert plan["digest"] is None
    assert plan["bytes_to_compress"] > len(noise)
    first = pushed(alice, archive, target, "--chunk-size", "100K")
    plan = pushed(alice, archive, f"{hub.host}/{unique}/other:v1", "--dry-run")
    assert (plan["digest"], plan["bytes"]) == (first["digest"], first["uploaded"])
    assert alice.run("crane", "digest", target, expect=ACCEPTED).stdout.strip() == first["digest"]
    spec = described(alice, f"{unique}/app:v1")
    assert spec["digest"] == first["digest"]
    assert spec["detail"]["docs"].startswith("# Small")

    again = alice.run("sealoshub", "push", archive, target, "-o", "ndjson", expect=ACCEPTED)
    events = [json.loads(line) for line in again.stdout.splitlines()]
    assert {event["state"] for event in events if event["event"] == "blob"} == {"exists"}
    assert all(event["existed"] for event in events if event["event"] == "manifest")
    assert (events[-1]["event"], events[-1]["uploaded"]) == ("result", 0)

    copy = pushed(alice, f"docker://{target}", f"{hub.host}/{unique}/copy:v1")
    assert (copy["digest"], copy["uploaded"]) == (first["digest"], 0)
    assert described(alice, f"{unique}/copy:v1")["detail"] == spec["detail"]
