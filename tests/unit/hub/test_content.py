"""The registry as the controller sees it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sealoshub.hub.content import RegistryContent
from sealoshub.imagehub.names import CONTROLLER
from tests.images import oci_layout
from tests.unit.registry.fake_registry import FakeRegistry, Knobs
from tests.unit.registry.pulling import stock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATH = "team/app"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry with three tags of one manifest, which gives them one by one."""
    with FakeRegistry(Knobs(auth="bearer", users={CONTROLLER: "wonder"}, page=1)) as fake:
        yield fake


@pytest.fixture
def content(registry: FakeRegistry, tmp_path: Path) -> Iterator[RegistryContent]:
    """It, as the controller sees it."""
    token = tmp_path / "token"
    token.write_text("wonder\n")
    found = RegistryContent(registry.host, token, plain_http=True)
    yield found
    found.close()


def test_every_request_waits_for_its_turn(
    registry: FakeRegistry, content: RegistryContent, tmp_path: Path
) -> None:
    """Of a question that takes several each one does; requests for tokens do not.

    Nobody waits outside of the block, and no other thread does.
    """
    layout = oci_layout(tmp_path / "image")
    stock(registry, layout, PATH)
    manifests = registry.manifests[PATH]
    manifests |= dict.fromkeys(("v1", "v2", "v3"), manifests[layout.digest])
    waited: list[int] = []

    def turn() -> None:
        waited.append(threading.get_ident())

    assert content.digest_of(PATH, "v1") == layout.digest  # and the first contact
    before = len(registry.seen)
    with content.slowly(turn):
        assert list(content.tags(PATH)) == ["v1", "v2", "v3"]
        described = content.describe(PATH, layout.digest)
        other = threading.Thread(target=content.digest_of, args=(PATH, "v1"))
        other.start()
        other.join()
    content.digest_of(PATH, "v1")
    assert described is not None
    sent = [seen for seen in registry.seen[before:] if not seen.path.startswith("/token")]
    assert waited == [threading.get_ident()] * (len(sent) - 2)
    assert len(waited) >= 3 + 2  # pages of tags; a manifest and its configuration
