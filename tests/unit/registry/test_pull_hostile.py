"""Pulling from a registry that lies, or that has something else than an image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import (
    DeniedError,
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.registry.download import partial
from sealoshub.registry.image import Platform
from tests.images import oci_layout, sha256
from tests.unit.registry.pulling import MIB, Puller, big_blob, stock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.images import Layout


def refused(
    puller: Puller, match: str, name: str = "o/app:v1", platform: Platform | None = None
) -> SealosHubError:
    """Pull, expect a refusal, and see that nothing got its name."""
    with pytest.raises(InvalidInputError, match=match) as caught:
        puller(name=name, platform=platform)
    assert not (puller.folder / "out" / "index.json").exists()
    return caught.value


def test_wrong_content(puller: Puller, image: Layout) -> None:
    """A blob of the right size and another digest is refused, and not kept."""
    stock(puller.registry, image)
    digest, content = big_blob(puller.registry)
    puller.registry.knobs.serving.instead[digest] = bytes(len(content))
    assert refused(puller, "another digest").code == "DIGEST_MISMATCH"
    assert not puller.blob(digest).exists()
    assert not partial(puller.blob(digest)).exists()


@pytest.mark.parametrize("more", [-1, 1, 100_000])
def test_wrong_size(puller: Puller, image: Layout, more: int) -> None:
    """A blob with another length than its descriptor says is refused before it is read."""
    stock(puller.registry, image)
    digest, content = big_blob(puller.registry)
    puller.registry.knobs.serving.instead[digest] = bytes(len(content) + more)
    assert refused(puller, "descriptor says").code == "SIZE_MISMATCH"


def test_endless_content(puller: Puller, image: Layout) -> None:
    """A blob that never ends is read to the length it should have, and not further."""
    stock(puller.registry, image)
    digest, _ = big_blob(puller.registry)
    puller.registry.knobs.serving.endless.add(digest)
    puller.registry.knobs.serving.instead[digest] = b"more" * 50_000
    refused(puller, "another digest")


def test_a_short_chunked_body(puller: Puller, image: Layout) -> None:
    """A body without a length that ends early is tried again until the budget is spent."""
    stock(puller.registry, image)
    digest, content = big_blob(puller.registry)
    puller.registry.knobs.serving.sized = False
    puller.registry.knobs.serving.instead[digest] = content[:-5]
    with pytest.raises(UnavailableError):
        puller()
    assert not puller.blob(digest).exists()


def test_a_manifest_that_is_not_what_was_asked_for(puller: Puller, image: Layout) -> None:
    """A manifest is compared with the digest in the reference, in the answer and in the index."""
    stock(puller.registry, image)
    knobs = puller.registry.knobs
    lie = puller.registry.manifests["o/app"]["v1"][1].replace(
        b'"schemaVersion":2', b'"schemaVersion":3'
    )
    knobs.serving.instead[image.digest] = lie
    assert refused(puller, "another digest", name=f"o/app@{image.digest}").code == "DIGEST_MISMATCH"
    knobs.serving.instead.clear()
    knobs.digest = sha256(b"something else")
    assert refused(puller, "another digest").code == "DIGEST_MISMATCH"


def test_a_child_that_lies(puller: Puller, tmp_path: Path) -> None:
    """A manifest of an index has the size and the digest that the index says."""
    image = oci_layout(tmp_path / "multi", platforms=("linux/amd64", "linux/arm64"))
    stock(puller.registry, image)
    child = image.manifests["linux/arm64"]
    content = puller.registry.manifests["o/app"][child][1]
    puller.registry.knobs.serving.instead[child] = content + b" "
    assert refused(puller, "descriptor says").code == "SIZE_MISMATCH"
    puller.registry.knobs.serving.instead[child] = content.replace(b"layers", b"Layers")
    assert refused(puller, "another digest").code == "DIGEST_MISMATCH"


def test_a_huge_manifest(puller: Puller, image: Layout) -> None:
    """A manifest of more than 4 MiB is refused."""
    stock(puller.registry, image)
    puller.registry.knobs.digest = ""
    puller.registry.knobs.serving.instead["v1"] = b"{" + b" " * 4 * MIB + b"}"
    refused(puller, "larger than 4194304 bytes")


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/json",
    ],
)
def test_schema_1(puller: Puller, kind: str) -> None:
    """An image of Docker's schema 1 is refused with the reason."""
    content = json.dumps({"schemaVersion": 1, "fsLayers": [], "history": []}).encode()
    puller.registry.manifests["o/app"] = {"v1": (kind, content)}
    error = refused(puller, "schema 1")
    assert error.code == "SCHEMA_1"
    assert error.hint


@pytest.mark.parametrize("kind", ["text/html", "application/vnd.example+json", "text/plain"])
def test_no_manifest(puller: Puller, kind: str) -> None:
    """Something else under a tag is no image."""
    puller.registry.manifests["o/app"] = {"v1": (kind, b'{"a":"b"}')}
    refused(puller, "no image")


@pytest.mark.parametrize(
    "digest", ["sha256:../../../../etc/passwd", "../../x", "sha256:" + "A" * 64, "md5:" + "0" * 32]
)
def test_names_that_are_no_digests(puller: Puller, image: Layout, digest: str) -> None:
    """No descriptor leads anywhere but into the folder of blobs."""
    stock(puller.registry, image)
    kind, content = puller.registry.manifests["o/app"]["v1"]
    document = json.loads(content)
    document["layers"][0]["digest"] = digest
    puller.registry.manifests["o/app"]["v1"] = (kind, json.dumps(document).encode())
    refused(puller, "is not a digest")
    assert not (puller.folder / "out").exists()


def test_indexes_within_indexes(puller: Puller, image: Layout) -> None:
    """A chain of indexes is followed to a bound, with a platform and without one."""
    stock(puller.registry, image)
    manifests = puller.registry.manifests["o/app"]
    kind, content = manifests["v1"]
    for _ in range(7):
        below = {"mediaType": kind, "digest": sha256(content), "size": len(content)}
        below |= {"platform": {"os": "linux", "architecture": "amd64"}}
        kind = "application/vnd.oci.image.index.v1+json"
        content = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [below]}).encode()
        manifests[sha256(content)] = (kind, content)
    manifests["v1"] = (kind, content)
    refused(puller, "indexes within indexes")
    refused(puller, "indexes within indexes", platform=Platform("linux", "amd64"))


def test_a_missing_blob(puller: Puller, image: Layout) -> None:
    """A manifest whose blob is not there is a damaged image, said at once."""
    stock(puller.registry, image)
    digest, _ = big_blob(puller.registry)
    del puller.registry.blobs["o/app"][digest]
    with pytest.raises(NotFoundError, match=digest):
        puller()


def test_nothing_there(puller: Puller) -> None:
    """A tag or repository that is not there leaves nothing behind."""
    with pytest.raises(NotFoundError, match="o/none:v1"):
        puller(name="o/none:v1")
    assert not (puller.folder / "out").exists()


def test_foreign_layers_are_left_where_they_are(puller: Puller, image: Layout) -> None:
    """A layer that is distributed elsewhere is not fetched; the manifest keeps its address."""
    stock(puller.registry, image)
    kind, content = puller.registry.manifests["o/app"]["v1"]
    document = json.loads(content)
    layer = document["layers"][0]
    layer["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    layer["urls"] = ["https://example.com/layer"]
    puller.registry.manifests["o/app"]["v1"] = (kind, json.dumps(document).encode())
    result = puller()
    assert [each.digest.text for each in result.foreign] == [layer["digest"]]
    assert not puller.blob(layer["digest"]).exists()


def test_denied(puller: Puller, image: Layout) -> None:
    """Who may not pull gets the reason, and no folder."""
    stock(puller.registry, image)
    puller.registry.knobs.auth = "bearer"
    puller.registry.knobs.may["alice", "o/app"] = set()
    with pytest.raises(DeniedError, match="alice may not pull from"):
        puller(account="alice")
    assert not (puller.folder / "out").exists()


def test_only_pull_is_asked_for(puller: Puller, image: Layout) -> None:
    """A pull asks one token, for nothing but pull."""
    stock(puller.registry, image)
    puller.registry.knobs.auth = "bearer"
    puller(account="alice")
    asked = puller.registry.tokens_asked()
    assert len(asked) == 1
    assert "repository%3Ao%2Fapp%3Apull" in asked[0].path.replace("pull%2Cpush", "push")
