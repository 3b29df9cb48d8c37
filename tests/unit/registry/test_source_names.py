"""Sources as users write them, platforms, and what goes along with an image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError
from sealoshub.reference import MediaType, Reference
from sealoshub.registry.metadata import read_metadata
from sealoshub.registry.source import Kind, SourceName, open_image, parse_source
from tests.images import REF_NAME, oci_layout
from tests.unit.registry.test_source import Builder

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.registry.image import Platform
    from sealoshub.registry.source import ImageSource


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """An empty layout."""
    return Builder(tmp_path / "layout")


@pytest.mark.parametrize(
    ("text", "kind", "rest"),
    [
        ("oci:dir:v1", Kind.OCI, "dir:v1"),
        ("oci:/dir", Kind.OCI, "/dir"),
        ("oci-archive:a.tar", Kind.OCI_ARCHIVE, "a.tar"),
        ("docker-archive:a.tar:@0", Kind.DOCKER_ARCHIVE, "a.tar:@0"),
        ("docker-daemon:app:v1", Kind.DOCKER_DAEMON, "app:v1"),
        ("containers-storage:app", Kind.CONTAINERS_STORAGE, "app"),
        ("dir:d", Kind.DIR, "d"),
        ("docker://h/o/r:t", Kind.REGISTRY, "//h/o/r:t"),
        ("./oci:x", Kind.PATH, "./oci:x"),
        ("a.tar:oci:x", Kind.PATH, "a.tar:oci:x"),
        ("OCI:x", Kind.PATH, "OCI:x"),
        ("", Kind.PATH, ""),
    ],
)
def test_prefixes(text: str, kind: Kind, rest: str) -> None:
    """A prefix is a whole word before the first colon; everything else is a path."""
    assert parse_source(text) == SourceName(kind, rest)


@given(st.text(max_size=60), st.sampled_from([kind.value for kind in Kind]))
def test_any_source(rest: str, prefix: str) -> None:
    """Whatever is written, it is a source of one kind, or exit code 5."""
    for text in (f"{prefix}:{rest}", rest):
        try:
            found = parse_source(text)
        except InvalidInputError:
            continue
        assert text in {f"{found.kind}:{found.rest}", found.rest}


@given(st.text(max_size=60), st.sampled_from(["oci", "oci-archive", "docker-archive", "dir", ""]))
def test_any_path(rest: str, prefix: str) -> None:
    """Whatever path is opened, there is an image or an error of ours."""
    with pytest.raises(InvalidInputError):
        open_image(f"{prefix}:/nonexistent{rest}", env={})


def test_registry() -> None:
    """`docker://` goes to whoever has credentials; without one the error says so."""
    asked: list[tuple[Reference, Platform | None]] = []

    def from_registry(reference: Reference, platform: Platform | None) -> ImageSource:
        asked.append((reference, platform))
        raise NotFoundError("not there")

    with pytest.raises(NotFoundError, match="not there"):
        open_image("docker://h.example/o/r:t", platform="linux/arm64", from_registry=from_registry)
    ((reference, platform),) = asked
    assert (str(reference), str(platform)) == ("h.example/o/r:t", "linux/arm64")
    with pytest.raises(InvalidInputError, match="cannot be the source"):
        open_image("docker://h.example/o/r:t")
    with pytest.raises(InvalidInputError, match="is not a source"):
        open_image("docker:app")


# ---------------------------------------------------------------------- platforms

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/s390x")


@pytest.mark.parametrize("archived", [False, True])
def test_one_platform(tmp_path: Path, *, archived: bool) -> None:
    """Of an index only the image for a platform is taken; `all` is everything, and the default."""
    made = oci_layout(tmp_path / "l", platforms=PLATFORMS)
    path = str(made.path)
    if archived:
        import tarfile  # noqa: PLC0415  # only here

        path = str(tmp_path / "a.tar")
        with tarfile.open(path, "w") as tar:
            tar.add(made.path, ".")
    for platform in (None, "all"):
        with open_image(path, platform=platform) as image:
            assert image.root.descriptor.digest.text == made.digest
    for platform in (*PLATFORMS, "linux/arm64/v8"):
        with open_image(path, platform=platform) as image:
            wanted = made.manifests[platform.removesuffix("/v8")]
            assert image.root.descriptor.digest.text == wanted
            assert (image.manifest_count, image.names) == (1, ("v1",))
            assert read_metadata(image).platforms == (platform.removesuffix("/v8"),)
    with pytest.raises(NotFoundError, match="no image for windows/amd64") as caught:
        open_image(path, platform="windows/amd64")
    assert caught.value.hint == f"There are: {', '.join(PLATFORMS)}."
    with pytest.raises(InvalidInputError, match="is not a platform"):
        open_image(path, platform="amd64")


def test_platform_of_a_single_image(build: Builder) -> None:
    """An image that is in no index must be for the platform; an artifact has none."""
    path = build.index(build.manifest())
    open_image(path, platform="linux/amd64").close()
    with pytest.raises(NotFoundError, match="no image for linux/arm64") as caught:
        open_image(path, platform="linux/arm64")
    assert caught.value.hint == "It is for linux/amd64."
    config = build.blob(b"{}", MediaType.OCI_EMPTY)
    document = {"schemaVersion": 2, "config": config, "layers": []}
    path = build.index(build.blob(json.dumps(document).encode(), MediaType.OCI_MANIFEST))
    open_image(path, platform="linux/arm64").close()


def test_only_one_platform_is_there(build: Builder) -> None:
    """What is not asked for may be missing."""
    here = build.manifest() | {"platform": {"os": "linux", "architecture": "amd64"}}
    gone = here | {
        "digest": f"sha256:{'0' * 64}",
        "platform": {"os": "linux", "architecture": "arm64"},
    }
    document = {"schemaVersion": 2, "manifests": [gone, here]}
    path = build.index(build.blob(json.dumps(document).encode(), MediaType.OCI_INDEX))
    with pytest.raises(NotFoundError, match="is missing"):
        open_image(path)
    with open_image(path, platform="linux/amd64") as image:
        assert image.root.descriptor.digest.text == here["digest"]


# ---------------------------------------------------------------------- referrers


def named(entry: Any, name: str) -> Any:  # noqa: ANN401  # JSON
    """Give an entry of the index a name."""
    return entry | {"annotations": {REF_NAME: name}}


def test_referrers_go_along(build: Builder) -> None:
    """What refers to the image goes with it, and what refers to that; other images do not."""
    image = named(build.manifest(build.blob(b"layer")), "v1")
    signature = build.manifest(build.blob(b"sig", "application/sig"), subject=image)
    bill = build.manifest(build.blob(b"sbom", "application/sbom"), subject=image)
    signed_bill = build.manifest(build.blob(b"sig2", "application/sig"), subject=bill)
    other = named(build.manifest(build.blob(b"other")), "v2")
    other_signature = build.manifest(build.blob(b"sig3", "application/sig"), subject=other)
    path = build.index(signed_bill, image, signature, other, bill, other_signature)
    with open_image(f"{path}:v1") as found:
        digests = [each.descriptor.digest.text for each in found.manifests]
        assert digests[-1] == image["digest"] == found.root.descriptor.digest.text
        assert set(digests) == {each["digest"] for each in (image, signature, bill, signed_bill)}
        assert len(found.blobs) == 5
    with open_image(f"{path}:v2") as found:
        assert len(found.manifests) == 2


def test_a_signature_is_no_second_image(build: Builder) -> None:
    """An image and its signature are one image, so that no name is needed."""
    image = build.manifest(build.blob(b"layer"))
    signature = build.manifest(build.blob(b"sig", "application/sig"), subject=image)
    with open_image(build.index(signature, image)) as found:
        assert found.root.descriptor.digest.text == image["digest"]
        assert found.manifest_count == 2
    with open_image(f"{build.path}:{signature['digest']}") as found:
        assert found.manifest_count == 1


def test_damaged_neighbours(build: Builder) -> None:
    """Other images of a layout may be damaged or gone; signatures of ours may not."""
    image = named(build.manifest(build.blob(b"layer")), "v1")
    gone = image | {"digest": f"sha256:{'1' * 64}", "annotations": {REF_NAME: "v2"}}
    strange = build.manifest(subject={"digest": "nonsense"})
    with open_image(f"{build.index(image, gone, strange)}:v1") as found:
        assert found.manifest_count == 1
    lost = {"mediaType": "application/sig", "digest": f"sha256:{'2' * 64}", "size": 3}
    signature = build.manifest(lost, subject=image)
    with pytest.raises(SealosHubError, match="is missing"):
        open_image(f"{build.index(image, signature)}:v1")
