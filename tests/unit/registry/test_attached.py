"""What cosign keeps under tags goes where its image goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.reference import Digest, MediaType, Reference
from sealoshub.registry import attached
from sealoshub.registry.image import Platform
from sealoshub.registry.push import push
from sealoshub.registry.push_events import ManifestPushed
from sealoshub.registry.remote_source import open_remote
from sealoshub.registry.source import open_image
from sealoshub.registry.target import Kind, Target
from tests.images import REF_NAME, oci_layout, sha256
from tests.unit.registry.fake_registry import FakeRegistry
from tests.unit.registry.pulling import stock
from tests.unit.registry.test_source import Builder

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.registry.push_events import Event
    from tests.images import Layout
    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.pulling import Puller

KINDS = ("sig", "att", "sbom")
ZERO = f"sha256:{'0' * 64}"
SIGNED = "application/vnd.dev.cosign.simplesigning.v1+json"


def tag_of(subject: str, kind: str = "sig") -> str:
    """Return the tag of what is attached to *subject*."""
    return f"{subject.replace(':', '-')}.{kind}"


def attach(
    registry: FakeRegistry, subject: str, kind: str = "sig", texts: tuple[str, ...] = ("signed",)
) -> str:
    """Attach something as cosign does; return the digest of its manifest."""
    blobs = [b"{}", *(text.encode() for text in texts)]
    stored = registry.blobs.setdefault("o/app", {})
    stored.update((sha256(blob), blob) for blob in blobs)
    config, *layers = (
        {"mediaType": SIGNED, "digest": sha256(blob), "size": len(blob)} for blob in blobs
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_MANIFEST,
        "config": config | {"mediaType": MediaType.OCI_CONFIG},
        "layers": layers,
    }
    content = json.dumps(manifest).encode()
    manifests = registry.manifests.setdefault("o/app", {})
    manifests[sha256(content)] = manifests[tag_of(subject, kind)] = (
        MediaType.OCI_MANIFEST,
        content,
    )
    return sha256(content)


def copy(connect: ClientMaker, registry: FakeRegistry, other: FakeRegistry) -> list[Event]:
    """Copy o/app:v1 from one registry to another."""
    events: list[Event] = []
    reference = Reference.parse(f"{registry.host}/o/app:v1")
    with open_remote(connect(registry.host), reference) as source:
        target = Reference.parse(f"{other.host}/o/app:v1")
        push(connect(other.host), source, target, events=events.append)
    return events


def entries(puller: Puller) -> dict[str, str]:
    """Return the digest of each name in the pulled layout."""
    index: dict[str, Any] = json.loads((puller.folder / "out" / "index.json").read_text())
    return {entry["annotations"][REF_NAME]: entry["digest"] for entry in index["manifests"]}


@pytest.mark.parametrize("kind", [Kind.OCI, Kind.OCI_ARCHIVE])
def test_there_and_back(puller: Puller, connect: ClientMaker, image: Layout, kind: Kind) -> None:
    """Signatures, attestations and bills of materials are pulled, and pushed under their tags."""
    stock(puller.registry, image)
    digests = {each: attach(puller.registry, image.digest, each, (each,)) for each in KINDS}
    inner = attach(puller.registry, digests["sbom"], "sig", ("of the list",))
    target = Target(kind, puller.folder / "out")
    puller(target)
    names = {tag_of(image.digest, each): digests[each] for each in KINDS}
    names[tag_of(digests["sbom"])] = inner
    if kind is Kind.OCI:
        assert entries(puller) == {"v1": image.digest, **names}
        puller(target)
        assert entries(puller) == {"v1": image.digest, **names}
    with FakeRegistry() as other, open_image(str(target.path)) as source:
        assert source.root.descriptor.digest.text == image.digest
        assert {tag: digest.text for tag, digest in source.attached.items()} == names
        push(connect(other.host), source, Reference.parse(f"{other.host}/a/b:v2"))
        there = other.manifests["a/b"]
        assert {tag: sha256(there[tag][1]) for tag in names} == names
        assert "v1" not in there


def test_copied(image: Layout, connect: ClientMaker, registry: FakeRegistry) -> None:
    """A copy to another registry brings them along, and tells their tags."""
    stock(registry, image)
    digest = attach(registry, image.digest)
    with FakeRegistry() as other:
        events = copy(connect, registry, other)
        assert sha256(other.manifests["o/app"][tag_of(image.digest)][1]) == digest
        assert sha256(b"signed") in other.blobs["o/app"]
        told = [(each.tag, each.existed) for each in events if isinstance(each, ManifestPushed)]
        assert told == [(tag_of(image.digest), False), ("v1", False)]
        before = len(other.seen)
        copy(connect, registry, other)
        assert {seen.method for seen in other.seen[before:]} == {"GET", "HEAD"}


def test_the_images_of_an_index(puller: Puller, connect: ClientMaker) -> None:
    """Each image of an index may be signed by itself, and the layout has one image all the same."""
    image = oci_layout(puller.folder / "multi", platforms=("linux/amd64", "linux/arm64"))
    stock(puller.registry, image)
    child = image.manifests["linux/arm64"]
    digest = attach(puller.registry, child)
    puller()
    with FakeRegistry() as other, open_image(str(puller.folder / "out")) as source:
        push(connect(other.host), source, Reference.parse(f"{other.host}/o/app:v1"))
        assert sha256(other.manifests["o/app"][tag_of(child)][1]) == digest


def test_lists_in_a_layout(tmp_path: Path) -> None:
    """A list of referrers under a tag, as regctl writes it, is none of the images of a layout."""
    build = Builder(tmp_path / "layout")
    image = build.manifest(build.blob(b"layer")) | {"annotations": {REF_NAME: "v1"}}
    subject = {key: image[key] for key in ("mediaType", "digest", "size")}
    signature = build.manifest(build.blob(b"signed", SIGNED), subject=subject)
    stranger = build.manifest(
        build.blob(b"of another", SIGNED), subject=signature | {"digest": ZERO}
    )
    named = stranger | {"annotations": {REF_NAME: tag_of(image["digest"])}}
    content = json.dumps({"schemaVersion": 2, "manifests": [signature, stranger, named]}).encode()
    tag = image["digest"].replace(":", "-")
    listed = build.blob(content, MediaType.OCI_INDEX) | {"annotations": {REF_NAME: tag}}
    with open_image(build.index(listed, image)) as source:
        digests = {manifest.descriptor.digest.text for manifest in source.manifests}
        assert digests == {image["digest"], signature["digest"]}
        assert source.root.descriptor.digest.text == image["digest"]
        assert not source.attached


@pytest.mark.parametrize("way", ["pull", "copy", "push"])
def test_one_platform(puller: Puller, connect: ClientMaker, way: str) -> None:
    """One image of an index comes with its own signatures, and without those of the index."""
    image = oci_layout(puller.folder / "multi", platforms=("linux/amd64", "linux/arm64"))
    stock(puller.registry, image)
    child = image.manifests["linux/arm64"]
    digest = attach(puller.registry, child)
    attach(puller.registry, image.digest, "sig", ("the index",))
    attach(puller.registry, image.manifests["linux/amd64"], "sig", ("the other",))
    platform = Platform("linux", "arm64")
    if way == "pull":
        puller(platform=platform)
        assert entries(puller) == {"v1": child, tag_of(child): digest}
        return
    puller()
    reference = Reference.parse(f"{puller.registry.host}/o/app:v1")
    with FakeRegistry() as other:
        opened = (
            open_remote(connect(puller.registry.host), reference, platform)
            if way == "copy"
            else open_image(f"{puller.folder}/out:v1", platform=str(platform))
        )
        with opened as source:
            push(connect(other.host), source, Reference.parse(f"{other.host}/o/app:v1"))
        stored = {name: sha256(content) for name, (_, content) in other.manifests["o/app"].items()}
    assert stored == {"v1": child, child: child, tag_of(child): digest, digest: digest}


def test_signed_again(image: Layout, connect: ClientMaker, registry: FakeRegistry) -> None:
    """A newer signature arrives with the next copy; one that was added there is not taken away."""
    stock(registry, image)
    attach(registry, image.digest, "sig", ("one",))
    tag = tag_of(image.digest)
    with FakeRegistry() as other:
        copy(connect, registry, other)
        newer = attach(registry, image.digest, "sig", ("one", "two"))
        copy(connect, registry, other)
        assert sha256(other.manifests["o/app"][tag][1]) == newer
        theirs = attach(other, image.digest, "sig", ("one", "two", "theirs"))
        copy(connect, registry, other)
        assert sha256(other.manifests["o/app"][tag][1]) == theirs


def test_signed_elsewhere(
    image: Layout, connect: ClientMaker, registry: FakeRegistry, notes: list[str]
) -> None:
    """Signatures that the source does not have stay, and the user is told; lists are replaced."""
    stock(registry, image)
    attach(registry, image.digest, "sig", ("ours",))
    ours = attach(registry, image.digest, "sbom", ("our list",))
    with FakeRegistry() as other:
        theirs = attach(other, image.digest, "sig", ("theirs",))
        attach(other, image.digest, "sbom", ("their list",))
        copy(connect, registry, other)
        there = other.manifests["o/app"]
        assert sha256(there[tag_of(image.digest)][1]) == theirs
        assert sha256(there[tag_of(image.digest, "sbom")][1]) == ours
    assert [note for note in notes if "signatures that the source does not have" in note]


def test_without(puller: Puller, image: Layout) -> None:
    """A docker archive is without, and nothing is asked for it."""
    stock(puller.registry, image)
    attach(puller.registry, image.digest)
    puller(Target(Kind.DOCKER_ARCHIVE, puller.folder / "app.tar"))
    assert puller.registry.count("GET", "/manifests/sha256-") == 0


def test_the_image_under_a_tag_of_its_own(puller: Puller, image: Layout) -> None:
    """A tag that leads in a circle is left out."""
    stock(puller.registry, image)
    stored = puller.registry.manifests["o/app"]
    stored[tag_of(image.digest)] = stored[image.digest]
    digest = attach(puller.registry, image.digest, "att")
    stored[tag_of(digest)] = stored[digest]
    puller()
    assert entries(puller)[tag_of(image.digest, "att")] == digest
    assert tag_of(image.digest) not in entries(puller)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (f"sha256-{'a' * 64}.sig", f"sha256:{'a' * 64}"),
        (f"sha256-{'0' * 64}.sbom", f"sha256:{'0' * 64}"),
        (f"sha256-{'a' * 64}", None),
        (f"sha256-{'a' * 63}.sig", None),
        (f"sha256-{'A' * 64}.sig", None),
        (f"sha256-{'a' * 64}.sig.sig", None),
        (f"sha256-{'a' * 64}.signature", None),
        (f"xsha256-{'a' * 64}.sig", None),
        (f"sha512-{'a' * 128}.sig", None),
        ("v1", None),
        ("", None),
    ],
)
def test_tags(tag: str, expected: str | None) -> None:
    """Only the tags of cosign say what they are about."""
    assert attached.subject_of(tag) == (None if expected is None else Digest(expected))


def test_tags_of_an_image() -> None:
    """An image has three such tags; one with a digest that is too long for a tag has none."""
    digest = Digest(f"sha256:{'a' * 64}")
    assert attached.tags_of(digest) == tuple(f"sha256-{'a' * 64}.{kind}" for kind in KINDS)
    assert attached.tags_of(Digest(f"sha512:{'a' * 128}")) == ()
