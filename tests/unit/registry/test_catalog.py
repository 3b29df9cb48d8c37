"""Claims about reading what a registry holds, without reading a layer."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import NotFoundError, UnavailableError
from sealoshub.reference import Digest, MediaType, Reference
from sealoshub.registry import catalog
from sealoshub.registry.metadata import read_metadata
from sealoshub.registry.push import push
from sealoshub.registry.source import open_image
from tests.images import oci_layout
from tests.loopback import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry

NAME = "team/app"
NOWHERE = f"sha256:{'0' * 64}"


@pytest.mark.parametrize("platforms", [("linux/amd64",), ("linux/amd64", "linux/arm64")])
def test_a_description_is_what_a_push_says_of_itself(
    registry: FakeRegistry, connect: ClientMaker, tmp_path: Path, platforms: tuple[str, ...]
) -> None:
    """Platforms, size, image ID and time are those that `sealoshub push` finds in the source."""
    layout = oci_layout(tmp_path / "image", platforms=platforms)
    client = connect(registry.host)
    with open_image(str(layout.path)) as image:
        push(client, image, Reference.parse(f"{registry.host}/{NAME}:v1"))
        said = read_metadata(image)
    registry.seen.clear()
    assert list(catalog.tags(client, NAME)) == ["v1"]
    assert catalog.digest_of(client, NAME, "v1") == layout.digest
    found = catalog.describe(client, NAME, layout.digest)
    assert found is not None
    assert found.digest == layout.digest
    assert sorted(found.platforms) == sorted(platforms)
    assert found.size == said.size
    if len(platforms) == 1:
        assert found.image_id == (said.image_id.text if said.image_id else "")
        assert found.created == (said.created or "")
    blobs = [seen.path for seen in registry.seen if "/blobs/" in seen.path]
    assert len(blobs) <= 1  # the configuration


def test_nothing_is_there(registry: FakeRegistry, connect: ClientMaker) -> None:
    """No repository, no tag and no manifest are answers, and no errors."""
    client = connect(registry.host)
    assert list(catalog.tags(client, NAME)) == []
    assert catalog.digest_of(client, NAME, "v1") is None
    assert catalog.describe(client, NAME, NOWHERE) is None


def test_a_registry_that_tells_no_digest(registry: FakeRegistry, connect: ClientMaker) -> None:
    """Then the manifest is read and its digest counted."""
    content = b"{}"
    digest = Digest.of(content).text
    registry.manifests[NAME] = {"v1": (MediaType.OCI_MANIFEST, content)}
    registry.knobs.digest = ""
    assert catalog.digest_of(connect(registry.host), NAME, "v1") == digest


@pytest.mark.parametrize(
    "document",
    [
        b"no json",
        b"[]",
        b"{}",
        b'{"config": 1, "layers": 2}',
        b'{"config": {"digest": "x", "size": 0}, "layers": [1, {"size": "a"}]}',
        b'{"manifests": [1, {"digest": "x"}, {"digest": null}]}',
        b'{"manifests": {"digest": 1}}',
    ],
)
def test_a_manifest_that_is_none(
    registry: FakeRegistry, connect: ClientMaker, document: bytes
) -> None:
    """Whatever somebody pushed is described as far as it can be read."""
    digest = Digest.of(document).text
    registry.manifests[NAME] = {digest: (MediaType.OCI_MANIFEST, document)}
    found = catalog.describe(connect(registry.host), NAME, digest)
    assert found is not None
    assert (found.size, found.platforms, found.created) == (len(document), (), "")


class Catalog(ThreadingHTTPServer):
    """A registry that answers `_catalog` in pages of two."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.body: bytes | None = None
        super().__init__(("localhost", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Catalog

    def do_GET(self) -> None:  # the name that the standard library calls
        path, _, query = self.path.partition("?")
        last = query.partition("last=")[2].replace("%2F", "/")
        left = [name for name in self.server.names if name > last]
        body: Any = {"repositories": left[:2]}
        content = json.dumps(body).encode() if self.server.body is None else self.server.body
        known = path in {"/v2/", "/v2/_catalog"} and self.server.names != ["none"]
        self.send_response(200 if path == "/v2/" or known else 404)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if len(left) > len(left[:2]):
            self.send_header("Link", '<x>; rel="next"')
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # inherited name
        """Say nothing."""


@pytest.fixture
def served() -> Iterator[Catalog]:
    """A catalogue of five repositories."""
    with serving(Catalog([f"team/app-{number}" for number in range(5)])) as server:
        yield server


def test_every_page_of_the_catalogue(served: Catalog, connect: ClientMaker) -> None:
    """All repositories are found, however many pages they take."""
    client = connect(f"localhost:{served.server_address[1]}")
    assert list(catalog.repositories(client)) == served.names


def test_a_catalogue_that_is_none(served: Catalog, connect: ClientMaker) -> None:
    """It is an error: an empty list would mean that there is no content."""
    client = connect(f"localhost:{served.server_address[1]}")
    served.body = b"[]"
    with pytest.raises(UnavailableError, match="list of repositories"):
        list(catalog.repositories(client))


def test_a_registry_without_a_catalogue(served: Catalog, connect: ClientMaker) -> None:
    """It is an error, for the same reason."""
    client = connect(f"localhost:{served.server_address[1]}")
    served.names = ["none"]
    with pytest.raises(NotFoundError):
        list(catalog.repositories(client))
