"""What a user may write for the target of a pull, and for a platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError, UsageError
from sealoshub.reference import Digest
from sealoshub.registry import platforms
from sealoshub.registry.image import Descriptor, Platform
from sealoshub.registry.layout_writer import FULL_NAME, with_entry
from sealoshub.registry.target import Kind, Target, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

REF_NAME = "org.opencontainers.image.ref.name"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("app", None, Target(Kind.OCI, Path("app"))),
        ("app/", None, Target(Kind.OCI, Path("app"))),
        ("app.tar", None, Target(Kind.OCI_ARCHIVE, Path("app.tar"))),
        ("app.TAR", None, Target(Kind.OCI_ARCHIVE, Path("app.TAR"))),
        ("app.tar", Kind.OCI, Target(Kind.OCI, Path("app.tar"))),
        ("app", Kind.DOCKER_ARCHIVE, Target(Kind.DOCKER_ARCHIVE, Path("app"))),
        ("app.tar.gz", Kind.OCI_ARCHIVE, Target(Kind.OCI_ARCHIVE, Path("app.tar.gz"))),
        ("a:b", None, Target(Kind.OCI, Path("a:b"))),
        ("oci:app", None, Target(Kind.OCI, Path("app"))),
        ("oci:app:v1", None, Target(Kind.OCI, Path("app"), "v1")),
        ("oci:app:h:5000/o/r:v1", None, Target(Kind.OCI, Path("app"), "h:5000/o/r:v1")),
        ("oci-archive:a.tar", None, Target(Kind.OCI_ARCHIVE, Path("a.tar"))),
        ("docker-archive:a", Kind.DOCKER_ARCHIVE, Target(Kind.DOCKER_ARCHIVE, Path("a"))),
        ("docker-archive:a:b:c", None, Target(Kind.DOCKER_ARCHIVE, Path("a"), "b:c")),
    ],
)
def test_parse(text: str, kind: Kind | None, expected: Target) -> None:
    """A prefix decides, then --format, then the name."""
    assert parse(text, kind) == expected


def test_parse_by_looking(tmp_path: Path) -> None:
    """A directory becomes a layout whatever it is called, and a file an archive."""
    folder, file = tmp_path / "folder.tar", tmp_path / "file"
    folder.mkdir()
    file.touch()
    assert parse(str(folder)).kind is Kind.OCI
    assert parse(str(file)).kind is Kind.OCI_ARCHIVE


@pytest.mark.parametrize(
    ("text", "kind", "error"),
    [
        ("oci:app", Kind.OCI_ARCHIVE, UsageError),
        ("app.tar.gz", None, UsageError),
        ("app.tgz", None, UsageError),
        ("app.tar.zst", None, UsageError),
        ("", None, InvalidInputError),
        ("oci:", None, InvalidInputError),
        ("oci:app:", None, InvalidInputError),
        ("oci:app:-x", None, InvalidInputError),
        ("oci:app:a b", None, InvalidInputError),
        ("oci:app:\x1b[31m", None, InvalidInputError),
        ("oci::name", None, InvalidInputError),
        ("docker://host/o/r", None, InvalidInputError),
        ("docker-daemon:app", None, InvalidInputError),
        ("dir:app", None, InvalidInputError),
        ("a\0b", None, InvalidInputError),
    ],
)
def test_parse_refuses(text: str, kind: Kind | None, error: type[SealosHubError]) -> None:
    """What cannot be written is refused before anything is fetched."""
    with pytest.raises(error):
        parse(text, kind)


@given(st.text(max_size=300))
def test_parse_anything(text: str) -> None:
    """Whatever is written, the answer is a target or an error of ours."""
    try:
        found = parse(text)
    except SealosHubError:
        return
    assert str(found.path)


# ---------------------------------------------------------------------- platforms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
        ("windows/amd64", Platform("windows", "amd64")),
    ],
)
def test_platform(text: str, expected: Platform) -> None:
    """A platform is read as every other client writes it."""
    assert platforms.parse(text) == expected


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/amd 64"])
def test_no_platform(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(InvalidInputError, match="is not a platform"):
        platforms.parse(text)


@pytest.mark.parametrize(
    ("wanted", "offered", "expected"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64/v9", "linux/arm64", False),
        ("linux/arm", "linux/arm/v6", True),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/arm/v6", "linux/arm/v7", False),
    ],
)
def test_fits(wanted: str, offered: str, *, expected: bool) -> None:
    """Without a variant any is good; the usual one need not be written."""
    assert platforms.fits(platforms.parse(wanted), platforms.parse(offered)) is expected


def test_choose() -> None:
    """The first image that fits is taken; attestations and nameless ones never are."""
    digests = [Digest.of(bytes([number])) for number in range(4)]
    attestation = {"vnd.docker.reference.type": "attestation-manifest"}
    linux = Platform("linux", "amd64")
    children = [
        Descriptor(MANIFEST, digests[0], 1),
        Descriptor(MANIFEST, digests[1], 1, attestation, linux),
        Descriptor(MANIFEST, digests[2], 1, platform=linux),
        Descriptor(MANIFEST, digests[3], 1, platform=linux),
    ]
    assert platforms.choose("it", linux, children).digest == digests[2]
    with pytest.raises(NotFoundError, match="linux/arm64") as caught:
        platforms.choose("it", Platform("linux", "arm64"), children)
    assert caught.value.hint == "There are: linux/amd64."


def test_this_machine() -> None:
    """This machine has a platform, and it is Linux."""
    found = platforms.of_this_machine()
    assert found.os == "linux"
    assert platforms.parse(str(found)) == found


# ---------------------------------------------------------------------- entries of index.json


def image(number: int) -> Descriptor:
    """Return the descriptor of an image."""
    return Descriptor(MANIFEST, Digest.of(bytes([number])), number)


def entries(*images: tuple[int, str | None, str | None]) -> list[dict[str, Any]]:
    """Return the entries after these pulls: number of the image, its own name, its full name."""
    listed: list[dict[str, object]] = []
    for number, name, full_name in images:
        listed = with_entry(listed, image(number), name, full_name)
    return json.loads(json.dumps(listed))  # type: ignore[no-any-return]  # what we made


@pytest.mark.parametrize(
    ("pulls", "expected"),
    [
        ([(1, None, "h/o/a:v1")], [(1, "v1")]),
        ([(1, "mine", "h/o/a:v1")], [(1, "mine")]),
        ([(1, None, None)], [(1, None)]),
        ([(1, None, None), (1, None, None)], [(1, None)]),
        ([(1, None, "h/o/a:v1"), (2, None, "h/o/a:v1")], [(2, "v1")]),
        ([(1, None, "h/o/a:v1"), (1, None, "h/o/a:v1")], [(1, "v1")]),
        ([(1, None, "h/o/a:v1"), (2, None, "h/o/a:v2")], [(1, "v1"), (2, "v2")]),
        ([(1, None, "h/o/a:v1"), (2, None, "h/o/b:v1")], [(1, "v1"), (2, "h/o/b:v1")]),
        ([(1, None, "h/o/a:v1"), (1, None, "h/o/a:v2")], [(1, "v1"), (1, "v2")]),
        ([(1, "x", "h/o/a:v1"), (2, "x", "h/o/b:v1")], [(2, "x")]),
        ([(1, None, "h/o/a:v1"), (1, None, None)], [(1, "v1")]),
    ],
)
def test_entries(
    pulls: Sequence[tuple[int, str | None, str | None]],
    expected: Sequence[tuple[int, str | None]],
) -> None:
    """An image replaces what had its name, and no name ever means two images."""
    found = entries(*pulls)
    assert [
        (entry["size"], entry.get("annotations", {}).get(REF_NAME)) for entry in found
    ] == expected


def test_entries_of_others_stay() -> None:
    """What other programs wrote is not touched."""
    theirs: list[dict[str, object]] = [
        {"mediaType": MANIFEST, "digest": "sha256:x", "size": 1, "annotations": {REF_NAME: "v9"}},
        {"anything": [1]},
        {"annotations": ["odd"]},
    ]
    found = with_entry(theirs, image(1), None, "h/o/a:v1")
    assert found[:3] == theirs
    assert found[3]["annotations"] == {REF_NAME: "v1", FULL_NAME: "h/o/a:v1"}
