"""Signatures and the like can be found from their image, in registries of both kinds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import InvalidInputError
from sealoshub.reference import Digest, MediaType, Reference
from sealoshub.registry.push import push
from sealoshub.registry.referrers import fallback_tag
from sealoshub.registry.source import open_image
from tests.images import REF_NAME, sha256
from tests.unit.registry.fake_registry import Fault
from tests.unit.registry.test_source import Builder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """An empty layout."""
    return Builder(tmp_path / "layout")


def signed(build: Builder, signatures: int = 1) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write an image with signatures; return their descriptors."""
    image = build.manifest(build.blob(b"layer")) | {"annotations": {REF_NAME: "v1"}}
    made = [
        build.manifest(
            build.blob(f"signature {number}".encode(), "application/sig"),
            subject={key: image[key] for key in ("mediaType", "digest", "size")},
            artifactType="application/vnd.sig",
            annotations={"number": str(number)},
        )
        for number in range(signatures)
    ]
    build.index(image, *made)
    return image, made


def send(connect: ClientMaker, registry: FakeRegistry, build: Builder) -> None:
    """Push the layout."""
    with open_image(str(build.path)) as image:
        push(connect(registry.host), image, Reference.parse(f"{registry.host}/o/app:v1"))


def listed(registry: FakeRegistry, image: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the list that the client keeps; empty if there is none."""
    found = registry.manifests["o/app"].get(image["digest"].replace(":", "-"))
    if found is None:
        return []
    media_type, content = found
    assert media_type == MediaType.OCI_INDEX
    entries: list[dict[str, Any]] = json.loads(content)["manifests"]
    return entries


def test_kept_by_the_client(registry: FakeRegistry, connect: ClientMaker, build: Builder) -> None:
    """Without a referrers API the list is an index under a tag, as the specification wants it."""
    image, (first, second) = signed(build, 2)
    send(connect, registry, build)
    assert listed(registry, image) == [
        {
            "mediaType": MediaType.OCI_MANIFEST,
            "digest": signature["digest"],
            "size": signature["size"],
            "artifactType": "application/vnd.sig",
            "annotations": {"number": str(number)},
        }
        for number, signature in enumerate((first, second))
    ]
    before = len(registry.seen)
    send(connect, registry, build)
    assert [seen.method for seen in registry.seen[before:]].count("PUT") == 0


def test_signed_later(registry: FakeRegistry, connect: ClientMaker, build: Builder) -> None:
    """A signature that is newer than the push of its image is pushed with the next one."""
    image, (first, second) = signed(build, 2)
    build.index(image, first)
    send(connect, registry, build)
    assert second["digest"] not in registry.manifests["o/app"]
    build.index(image, first, second)
    send(connect, registry, build)
    assert second["digest"] in registry.manifests["o/app"]
    assert [entry["digest"] for entry in listed(registry, image)] == [
        first["digest"],
        second["digest"],
    ]


def test_added_to_a_list(registry: FakeRegistry, connect: ClientMaker, build: Builder) -> None:
    """What others have listed stays, unless it has been deleted since."""
    image, _ = signed(build)
    send(connect, registry, build)
    (mine,) = listed(registry, image)
    tag = image["digest"].replace(":", "-")
    content = b'{"schemaVersion":2,"manifests":[]}'
    other = mine | {"digest": sha256(content), "size": len(content)}
    registry.manifests["o/app"][other["digest"]] = (MediaType.OCI_INDEX, content)
    gone = mine | {"digest": f"sha256:{'0' * 64}"}
    for old, kept in (([other], [other, mine]), ([gone, other], [other, mine])):
        index = {"schemaVersion": 2, "mediaType": MediaType.OCI_INDEX, "manifests": old, "x": "y"}
        registry.manifests["o/app"][tag] = (MediaType.OCI_INDEX, json.dumps(index).encode())
        send(connect, registry, build)
        assert listed(registry, image) == kept
    assert json.loads(registry.manifests["o/app"][tag][1])["x"] == "y"


def test_kept_by_the_registry(registry: FakeRegistry, connect: ClientMaker, build: Builder) -> None:
    """A registry with a referrers API is asked once, and its list is its own affair."""
    image, _ = signed(build)
    headers = (("Content-Type", f"{MediaType.OCI_INDEX}; charset=utf-8"),)
    registry.faults = [Fault("GET", "/referrers/", status=200, headers=headers, body=b"{}")]
    send(connect, registry, build)
    assert listed(registry, image) == []
    assert registry.count("GET", "/referrers/") == 1


def test_an_image_without_any(registry: FakeRegistry, connect: ClientMaker, build: Builder) -> None:
    """Nothing is asked for an image to which nothing refers."""
    build.index(build.manifest(build.blob(b"layer")))
    send(connect, registry, build)
    assert registry.count("GET", "/referrers/") == 0
    assert registry.count("GET", "/manifests/sha256-") == 0


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"manifests":1}', b'{"manifests":"x"}'])
def test_no_list(
    registry: FakeRegistry, connect: ClientMaker, build: Builder, content: bytes
) -> None:
    """Something else under the tag of the list is not overwritten."""
    image, _ = signed(build)
    send(connect, registry, build)
    tag = image["digest"].replace(":", "-")
    registry.manifests["o/app"][tag] = (MediaType.OCI_INDEX, content)
    with pytest.raises(InvalidInputError):
        send(connect, registry, build)
    assert registry.manifests["o/app"][tag][1] == content


def test_tag() -> None:
    """The tag holds the algorithm and at most 64 digits."""
    assert fallback_tag(Digest(f"sha256:{'a' * 64}")) == f"sha256-{'a' * 64}"
    assert fallback_tag(Digest(f"sha512:{'b' * 128}")) == f"sha512-{'b' * 64}"
