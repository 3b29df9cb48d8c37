"""Claims about deleting a repository: everything goes, once, and what was refused is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import DeniedError, SealosHubError, UnavailableError
from sealoshub.reference import Digest, MediaType, Reference
from sealoshub.registry.delete import Deleted, delete_repository
from sealoshub.registry.push import push
from sealoshub.registry.source import open_image
from tests.images import oci_layout
from tests.unit.registry.fake_registry import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry

NAME = "team/app"


def fill(registry: FakeRegistry, tags: list[str]) -> None:
    """Put a manifest of its own under each of *tags*."""
    stored = registry.manifests.setdefault(NAME, {})
    for tag in tags:
        content = f'{{"tag": "{tag}"}}'.encode()
        stored[tag] = stored[Digest.of(content).text] = (MediaType.OCI_MANIFEST, content)


def test_every_page_of_tags(registry: FakeRegistry, connect: ClientMaker) -> None:
    """All tags are found, however many pages they take, and every manifest is deleted once."""
    registry.knobs.page = 2
    fill(registry, [f"v{number}" for number in range(5)])
    stored = registry.manifests[NAME]
    stored["same"] = stored["v1"]
    assert delete_repository(connect(registry.host), NAME) == Deleted(6, 5)
    assert stored == {}
    assert registry.count("DELETE") == 5


def test_an_index_and_its_manifests(
    registry: FakeRegistry, connect: ClientMaker, tmp_path: Path
) -> None:
    """What an index lists is deleted too, after the index."""
    layout = oci_layout(tmp_path / "image", platforms=("linux/amd64", "linux/arm64"))
    client = connect(registry.host)
    with open_image(str(layout.path)) as image:
        push(client, image, Reference.parse(f"{registry.host}/{NAME}:v1"))
    assert delete_repository(client, NAME) == Deleted(1, 3)
    assert registry.manifests[NAME] == {}
    deleted = [seen.path for seen in registry.seen if seen.method == "DELETE"]
    assert deleted[0].endswith(layout.digest)


@pytest.mark.parametrize("known", [True, False])
def test_nothing_there(registry: FakeRegistry, connect: ClientMaker, *, known: bool) -> None:
    """A repository that is empty, or not known, is deleted already."""
    if known:
        registry.manifests[NAME] = {}
    assert delete_repository(connect(registry.host), NAME) == Deleted(0, 0)


def test_somebody_was_faster(registry: FakeRegistry, connect: ClientMaker) -> None:
    """A manifest that is gone at the last moment is no error, and not counted."""
    fill(registry, ["v1", "v2"])
    registry.faults.append(Fault("DELETE", "manifests", status=404))
    assert delete_repository(connect(registry.host), NAME) == Deleted(2, 1)


def test_a_break_is_tried_again(registry: FakeRegistry, connect: ClientMaker) -> None:
    """An answer that was lost is asked for again."""
    fill(registry, ["v1"])
    registry.faults += [Fault("GET", "tags", lose=True), Fault("DELETE", "manifests", status=503)]
    assert delete_repository(connect(registry.host), NAME) == Deleted(1, 1)


def test_a_registry_that_does_not_delete(registry: FakeRegistry, connect: ClientMaker) -> None:
    """405 is said with what its operator can do."""
    fill(registry, ["v1"])
    registry.knobs.deletes = False
    with pytest.raises(SealosHubError, match="does not delete content") as caught:
        delete_repository(connect(registry.host), NAME)
    assert "storage.delete.enabled" in str(caught.value.hint)


def test_who_may_not(registry: FakeRegistry, connect: ClientMaker) -> None:
    """Somebody who may only pull is denied, and everything stays."""
    fill(registry, ["v1"])
    registry.knobs.auth = "bearer"
    registry.knobs.may[("alice", NAME)] = {"pull"}
    with pytest.raises(DeniedError, match="alice may not delete from"):
        delete_repository(connect(registry.host, "alice"), NAME)
    assert "v1" in registry.manifests[NAME]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"tags": 3}', b"\xff"])
def test_a_list_that_is_none(registry: FakeRegistry, connect: ClientMaker, body: bytes) -> None:
    """An answer that is no list of tags deletes nothing and gives no traceback."""
    registry.faults.append(Fault("GET", "tags", status=200, body=body))
    with pytest.raises(UnavailableError, match="list of tags"):
        delete_repository(connect(registry.host), NAME)
