"""Signatures of both kinds on the real registries, and what other clients make of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from tests.signed_images import signed_layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.people import Person
    from tests.integration.servers.registry import RegistryServer

DONE: Final = 0
SECONDS: Final = 60.0  # for one answer; the machine may be busy


@pytest.fixture
def person(new_person: Callable[[str, Path | None], Person]) -> Person:
    """Somebody who has no login."""
    return new_person("signer", None)


def manifest_at(registry: RegistryServer, repository: str, target: str) -> str | None:
    """Return the digest of what a registry has under a tag or digest."""
    accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
    answer = httpx.head(
        f"{registry.url}/v2/{repository}/manifests/{target}",
        headers={"Accept": accept},
        timeout=SECONDS,
    )
    return answer.headers["Docker-Content-Digest"] if answer.status_code == httpx.codes.OK else None


def test_signatures_go_where_the_image_goes(
    open_registry: RegistryServer, person: Person, unique: str, tmp_path: Path
) -> None:
    """Push, pull and a copy bring along what regctl brings along, and a copy sends no byte."""
    image = signed_layout(tmp_path / "image")
    host, first, second = open_registry.host, f"signed/{unique}", f"copied/{unique}"
    push = ("sealoshub", "push", "-q", "--cr-option", "no")
    person.run(*push, image.path, f"{host}/{first}:v1", expect=DONE)
    # Neither registry has the API, so the list of referrers is a tag.
    listed = open_registry.url + f"/v2/{first}/referrers/{image.digest}"
    assert httpx.get(listed, timeout=SECONDS).status_code == httpx.codes.NOT_FOUND
    wanted = {"v1": image.digest, image.referrer: image.referrer, **image.tags}
    assert {each: manifest_at(open_registry, first, each) for each in wanted} == wanted

    words = ("sealoshub", "push", "--cr-option", "no", f"docker://{host}/{first}:v1")
    done = person.run(*words, f"{host}/{second}:v1", "--output", "ndjson", expect=DONE)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["state"] for event in events if event["event"] == "blob"} == {"mounted"}
    assert events[-1]["uploaded"] == 0
    assert {each: manifest_at(open_registry, second, each) for each in wanted} == wanted

    pulled = tmp_path / "pulled"
    person.run("sealoshub", "pull", f"{host}/{second}:v1", pulled, expect=DONE)
    blobs = {file.name for file in (image.path / "blobs" / "sha256").iterdir()}
    # The index without its attestation, which the image began with, belongs to nothing.
    assert {file.name for file in (pulled / "blobs" / "sha256").iterdir()} < blobs
    person.run(*push, pulled, f"{host}/{first}-again:v1", expect=DONE)
    found = {each: manifest_at(open_registry, f"{first}-again", each) for each in wanted}
    assert found == wanted

    regctl = ("regctl", "image", "copy", "--referrers", "--digest-tags")
    person.run("regctl", "registry", "set", "--tls", "disabled", host, expect=DONE)
    person.run(*regctl, f"{host}/{second}:v1", f"{host}/{first}-theirs:v1", expect=DONE)
    # What regctl writes as a layout, with its list of referrers under a tag, is one image too.
    theirs_here = f"ocidir://{tmp_path}/theirs"
    person.run(*regctl, f"{host}/{second}:v1", f"{theirs_here}:v1", expect=DONE)
    person.run(*push, tmp_path / "theirs", f"{host}/{first}-back:v1", expect=DONE)
    found = {each: manifest_at(open_registry, f"{first}-back", each) for each in wanted}
    assert found == wanted
    theirs, *ours = (
        sorted(person.run("crane", "ls", f"{host}/{each}", expect=DONE).stdout.split())
        for each in (f"{first}-theirs", first, second, f"{first}-again")
    )
    assert ours == [theirs] * 3
    refs = person.run("oras", "discover", "--plain-http", "--format", "json", f"{host}/{second}:v1")
    assert image.referrer in refs.stdout
