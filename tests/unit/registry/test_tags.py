"""Claims about single tags: one is put back byte for byte, one goes and leaves its manifest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import DeniedError, NotFoundError, SealosHubError, UnavailableError
from sealoshub.reference import Digest, MediaType, Reference
from sealoshub.registry import tags
from sealoshub.registry.push import push
from sealoshub.registry.source import open_image
from tests.images import oci_layout
from tests.unit.registry.fake_registry import Fault
from tests.unit.registry.test_delete import NAME, fill

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry


def pushed(registry: FakeRegistry, connect: ClientMaker, folder: Path, *platforms: str) -> str:
    """Push an image as v1 and return its digest."""
    layout = oci_layout(folder, platforms=platforms or ("linux/amd64",))
    with open_image(str(layout.path)) as image:
        push(connect(registry.host), image, Reference.parse(f"{registry.host}/{NAME}:v1"))
    return layout.digest


def test_a_tag_is_put_back(registry: FakeRegistry, connect: ClientMaker, tmp_path: Path) -> None:
    """With the same bytes and the same media type, so that the digest is the same."""
    digest = pushed(registry, connect, tmp_path / "image")
    stored = registry.manifests[NAME]
    stored["v1"] = (MediaType.OCI_MANIFEST, b"{}")
    assert tags.point(connect(registry.host), NAME, "v1", digest)
    assert stored["v1"] == stored[digest]


def test_a_manifest_that_is_gone(registry: FakeRegistry, connect: ClientMaker) -> None:
    """Nothing is put, and the answer says so."""
    fill(registry, ["v1"])
    assert not tags.point(connect(registry.host), NAME, "v1", "sha256:" + "0" * 64)
    assert registry.count("PUT") == 0


def test_a_registry_that_is_read_only(
    registry: FakeRegistry, connect: ClientMaker, tmp_path: Path
) -> None:
    """As while it collects garbage: then it is tried again later."""
    digest = pushed(registry, connect, tmp_path / "image")
    registry.faults.append(Fault("PUT", "manifests", status=405))
    client = connect(registry.host)
    with pytest.raises(UnavailableError):
        tags.point(client, NAME, "v2", digest)
    assert tags.point(client, NAME, "v2", digest)


def test_a_tag_goes_alone_where_the_registry_can(
    registry: FakeRegistry, connect: ClientMaker
) -> None:
    """On distribution 3 its manifest and other tags stay; 2.8 has no such request."""
    fill(registry, ["v1"])
    stored = registry.manifests[NAME]
    stored["v2"] = stored["v1"]
    client = connect(registry.host)
    assert tags.remove(client, NAME, "v1")
    assert tags.remove(client, NAME, "v1")  # gone is gone
    assert set(stored) == {"v2", Digest.of(b'{"tag": "v1"}').text}
    registry.knobs.untags = False
    assert not tags.remove(client, NAME, "v2")
    assert "v2" in stored


def test_a_manifest_goes_with_its_tags(registry: FakeRegistry, connect: ClientMaker) -> None:
    """Once it is gone the request changes nothing."""
    fill(registry, ["v1", "v2"])
    digest = Digest.of(b'{"tag": "v1"}').text
    client = connect(registry.host)
    for _ in range(2):
        tags.remove_manifest(client, NAME, digest)
        assert [name for name in registry.manifests[NAME] if ":" not in name] == ["v2"]


def test_a_registry_that_does_not_delete(registry: FakeRegistry, connect: ClientMaker) -> None:
    """The hint is the operator's switch."""
    fill(registry, ["v1"])
    registry.knobs.deletes = False
    for act in (tags.remove, tags.remove_manifest):
        with pytest.raises(SealosHubError, match="does not delete") as caught:
            act(connect(registry.host), NAME, "v1")
        assert "storage.delete.enabled" in (caught.value.hint or "")


def test_without_the_right(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A user who may not is told so."""
    registry.knobs.auth = "bearer"
    registry.knobs.may[("alice", NAME)] = {"pull"}
    fill(registry, ["v1"])
    digest = Digest.of(b'{"tag": "v1"}').text
    client = connect(registry.host, "alice")
    with pytest.raises(DeniedError):
        tags.remove(client, NAME, "v1")
    with pytest.raises(DeniedError):
        tags.point(client, NAME, "v2", digest)


def test_what_an_index_lists(registry: FakeRegistry, connect: ClientMaker, tmp_path: Path) -> None:
    """The manifests of an index; none of an image and of nonsense; an error if it is missing."""
    digest = pushed(registry, connect, tmp_path / "image", "linux/amd64", "linux/arm64")
    client = connect(registry.host)
    children = tags.listed(client, NAME, digest)
    assert len(children) == 2
    assert set(children) < set(registry.manifests[NAME])
    assert tags.listed(client, NAME, children[0]) == ()
    with pytest.raises(NotFoundError):
        tags.listed(client, NAME, "sha256:" + "0" * 64)
    stored = registry.manifests[NAME]
    for content in (b"[]", b"no", b'{"manifests": [1]}', b'{"manifests": [{"digest": "x"}]}'):
        odd = Digest.of(content).text
        stored[odd] = (MediaType.OCI_INDEX, content)
        assert tags.listed(client, NAME, odd) == ()


def test_an_index_of_indexes(registry: FakeRegistry, connect: ClientMaker) -> None:
    """All that it leads to, each once, also where one leads back to itself."""
    stored = registry.manifests.setdefault(NAME, {})

    def index(*entries: tuple[str, str]) -> str:
        listed = [{"digest": digest, "mediaType": kind} for digest, kind in entries]
        content = json.dumps({"manifests": listed}).encode()
        digest = Digest.of(content).text
        stored[digest] = (MediaType.OCI_INDEX, content)
        return digest

    one, two, gone = (f"sha256:{letter * 64}" for letter in "123")
    inner = index((one, MediaType.OCI_MANIFEST), (two, MediaType.OCI_MANIFEST))
    outer = index(
        (inner, MediaType.OCI_INDEX),
        (one, MediaType.OCI_MANIFEST),
        (gone, MediaType.OCI_INDEX),
    )
    found = tags.listed(connect(registry.host), NAME, outer)
    assert sorted(found) == sorted([inner, one, two, gone])
