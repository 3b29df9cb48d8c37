"""Signatures and the like go where their image goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import InvalidInputError, NotFoundError, UnavailableError
from sealoshub.reference import MediaType, Reference
from sealoshub.registry.push import push
from sealoshub.registry.remote_source import open_remote
from sealoshub.registry.source import open_image
from sealoshub.registry.target import Kind, Target
from tests.images import REF_NAME, oci_layout, sha256
from tests.unit.registry.fake_registry import FakeRegistry, Fault
from tests.unit.registry.pulling import stock

if TYPE_CHECKING:
    from sealoshub.errors import SealosHubError
    from tests.images import Layout
    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.pulling import Puller

Entry = dict[str, Any]


def sign(registry: FakeRegistry, subject: str, text: str = "signed") -> Entry:
    """Put a signature of *subject* into the registry; return its descriptor."""
    blob = text.encode()
    registry.blobs["o/app"][sha256(blob)] = blob
    described = {"mediaType": "application/sig", "digest": sha256(blob), "size": len(blob)}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_MANIFEST,
        "config": described,
        "layers": [],
        "subject": {"mediaType": MediaType.OCI_MANIFEST, "digest": subject, "size": 1},
    }
    content = json.dumps(manifest).encode()
    registry.manifests["o/app"][sha256(content)] = (MediaType.OCI_MANIFEST, content)
    return {
        "mediaType": MediaType.OCI_MANIFEST,
        "digest": sha256(content),
        "size": len(content),
    }


def list_(registry: FakeRegistry, subject: str, *entries: Entry) -> None:
    """Write the list of what refers to *subject*, as clients do."""
    index = {"schemaVersion": 2, "mediaType": MediaType.OCI_INDEX, "manifests": entries}
    content = json.dumps(index).encode()
    registry.manifests["o/app"][subject.replace(":", "-")] = (MediaType.OCI_INDEX, content)


@pytest.mark.parametrize("kind", [Kind.OCI, Kind.OCI_ARCHIVE])
def test_signatures_come_along(puller: Puller, image: Layout, kind: Kind) -> None:
    """What refers to the image, and what refers to that, is pulled, and pushed again with it."""
    stock(puller.registry, image)
    signature = sign(puller.registry, image.digest)
    timestamp = sign(puller.registry, signature["digest"], "at noon")
    list_(puller.registry, image.digest, signature)
    list_(puller.registry, signature["digest"], timestamp)
    target = Target(kind, puller.folder / "out")
    assert puller(target).digest.text == image.digest
    with open_image(str(target.path)) as source:
        assert source.root.descriptor.digest.text == image.digest
        digests = {manifest.descriptor.digest.text for manifest in source.manifests}
    assert digests == {image.digest, signature["digest"], timestamp["digest"]}
    puller(target)
    if kind is Kind.OCI:
        index = json.loads((target.path / "index.json").read_text())
        names = [entry.get("annotations", {}).get(REF_NAME) for entry in index["manifests"]]
        assert sorted(map(str, names)) == ["None", "None", "v1"]


def test_signatures_are_copied(image: Layout, connect: ClientMaker, registry: FakeRegistry) -> None:
    """A copy to another registry brings them along."""
    stock(registry, image)
    signature = sign(registry, image.digest)
    list_(registry, image.digest, signature)
    reference = Reference.parse(f"{registry.host}/o/app:v1")
    with FakeRegistry() as other, open_remote(connect(registry.host), reference) as source:
        push(connect(other.host), source, Reference.parse(f"{other.host}/o/app:v1"))
        assert signature["digest"] in other.manifests["o/app"]
        assert sha256(b"signed") in other.blobs["o/app"]


def test_the_images_of_an_index_are_signed_too(puller: Puller) -> None:
    """Each image of an index may have its own signature."""
    image = oci_layout(puller.folder / "multi", platforms=("linux/amd64", "linux/arm64"))
    stock(puller.registry, image)
    child = image.manifests["linux/arm64"]
    list_(puller.registry, child, sign(puller.registry, child))
    puller()
    assert puller.blob(sha256(b"signed")).exists()


def test_by_the_api(puller: Puller, image: Layout) -> None:
    """A registry with a referrers API is believed, and no list of clients is asked for."""
    stock(puller.registry, image)
    signature = sign(puller.registry, image.digest)
    index = {"schemaVersion": 2, "manifests": [signature]}
    headers = (("Content-Type", f"{MediaType.OCI_INDEX}; charset=utf-8"),)
    body = json.dumps(index).encode()
    empty = b'{"schemaVersion":2,"manifests":[]}'
    puller.registry.faults = [
        Fault("GET", f"/referrers/{image.digest}", status=200, headers=headers, body=body),
        Fault("GET", "/referrers/", status=200, headers=headers, body=empty),
    ]
    puller()
    assert puller.blob(signature["digest"]).exists()
    assert puller.registry.count("GET", "/referrers/") == 2
    assert puller.registry.count("GET", "/manifests/sha256-[0-9a-f]*$") == 0


def pages(registry: FakeRegistry, subject: str, *contents: list[Entry], link: str) -> None:
    """Make the API list *contents* page by page, each led to by *link*; nothing about others."""
    kind = ("Content-Type", MediaType.OCI_INDEX)
    for number, content in reversed(list(enumerate(contents))):
        target = link.replace("{url}", registry.url).replace("{path}", f"/v2/o/app/{number + 1}")
        more = (("Link", target),) if number + 1 < len(contents) else ()
        body = json.dumps({"schemaVersion": 2, "manifests": content}).encode()
        path = f"/v2/o/app/{number}$" if number else f"/referrers/{subject}$"
        fault = Fault("GET", path, times=2, status=200, headers=(kind, *more), body=body)
        registry.faults.append(fault)
    empty = b'{"schemaVersion":2,"manifests":[]}'
    fault = Fault("GET", "/referrers/", times=100, status=200, headers=(kind,), body=empty)
    registry.faults.append(fault)


@pytest.mark.parametrize(
    "link",
    [
        '<{path}>; rel="next"',
        "<{url}{path}>;rel=next",
        '</first>; rel="first", <{path}>; title="x"; REL="next"',
    ],
)
def test_page_by_page(puller: Puller, image: Layout, link: str) -> None:
    """A list that comes in pages is read to its end."""
    stock(puller.registry, image)
    made = [sign(puller.registry, image.digest, f"number {number}") for number in range(3)]
    pages(puller.registry, image.digest, *([each] for each in made), link=link)
    puller()
    assert all(puller.blob(each["digest"]).exists() for each in made)


@pytest.mark.parametrize(
    ("link", "error"),
    [
        ("<http://192.0.2.1/v2/o/app/1>; rel=next", UnavailableError),
        ("<ftp://localhost/>; rel=next", UnavailableError),
        ('</v2/o/app/missing>; rel="next"', NotFoundError),
    ],
)
def test_a_page_elsewhere(
    puller: Puller, image: Layout, link: str, error: type[SealosHubError]
) -> None:
    """A list that goes on at another host, or nowhere, ends the pull, not only the list."""
    stock(puller.registry, image)
    pages(puller.registry, image.digest, [], [], link=link)
    with pytest.raises(error):
        puller()


def test_pages_without_an_end(
    puller: Puller, image: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that goes round in circles is left."""
    monkeypatch.setattr("sealoshub.registry.referring.MAX_PAGES", 3)
    stock(puller.registry, image)
    headers = (
        ("Content-Type", MediaType.OCI_INDEX),
        ("Link", f"</v2/o/app/referrers/{image.digest}>; rel=next"),
    )
    body = b'{"schemaVersion":2,"manifests":[]}'
    puller.registry.faults = [
        Fault("GET", "/referrers/", times=100, status=200, headers=headers, body=body)
    ]
    with pytest.raises(InvalidInputError, match="do not come to an end"):
        puller()
    assert puller.registry.count("GET", "/referrers/") == 4


@pytest.mark.parametrize("status", [403, 404, 405, 500, 503])
def test_an_api_that_is_none(puller: Puller, image: Layout, status: int) -> None:
    """Whatever a registry without the API says, the image is pulled; it is asked once."""
    stock(puller.registry, image)
    list_(puller.registry, image.digest, sign(puller.registry, image.digest))
    puller.registry.faults = [Fault("GET", "/referrers/", times=100, status=status)]
    puller()
    assert puller.blob(sha256(b"signed")).exists()


def test_without_them(puller: Puller, image: Layout) -> None:
    """A docker archive is without."""
    stock(puller.registry, image)
    puller(Target(Kind.DOCKER_ARCHIVE, puller.folder / "app.tar"))
    assert puller.registry.count("GET", "/referrers/") == 0
    assert puller.registry.count("GET", "/manifests/sha256-") == 0


def test_lists_are_not_believed(puller: Puller, image: Layout) -> None:
    """What is listed and gone, or is about something else, is left out."""
    stock(puller.registry, image)
    gone = sign(puller.registry, image.digest) | {"digest": sha256(b"gone")}
    other = sign(puller.registry, sha256(b"another image"), "of another")
    odd = {"mediaType": "text/html", "digest": sha256(b"odd"), "size": 3}
    list_(puller.registry, image.digest, gone, other, odd)
    puller()
    assert not puller.blob(sha256(b"of another")).exists()
    index = json.loads((puller.folder / "out" / "index.json").read_text())
    assert [entry["digest"] for entry in index["manifests"]] == [image.digest]


def test_a_circle_of_lists(puller: Puller, image: Layout) -> None:
    """Lists that name each other, and the image itself, end."""
    stock(puller.registry, image)
    signature = sign(puller.registry, image.digest)
    itself = {"mediaType": MediaType.OCI_MANIFEST, "digest": image.digest, "size": 1}
    list_(puller.registry, image.digest, signature, signature, itself)
    list_(puller.registry, signature["digest"], signature, itself)
    puller()
    assert puller.blob(signature["digest"]).exists()


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"manifests":1}', b'{"manifests":["x"]}', b" " * (4 << 20) + b" {}"]
)
def test_a_list_that_is_none(puller: Puller, image: Layout, content: bytes) -> None:
    """A list that cannot be read is a damaged image, and not an unsigned one."""
    stock(puller.registry, image)
    tag = image.digest.replace(":", "-")
    puller.registry.manifests["o/app"][tag] = (MediaType.OCI_INDEX, content)
    with pytest.raises(InvalidInputError):
        puller()
