"""The Image resource of a push, and what is believed of an image's own words."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.errors import InvalidInputError
from sealoshub.imagehub import image, schema

DIGEST = f"sha256:{'a' * 64}"
DETAIL = schema.schema_of("Image")["properties"]["spec"]["properties"]["detail"]

CONFIG = b"""\
apiVersion: imagehub.sealos.io/v1
kind: Image
metadata: {name: somebody.else.v1}
spec:
  name: somebody/else:v1
  detail:
    url: https://helm.sh/
    keywords: [Storage, Storage, " ", 1]
    description: The package manager
    icon: https://helm.sh/img/helm.svg
    authorIcon: ~
    creatTime: 2022-08-01T10:00:00+02:00
    size: 12
    rating: 5
    evil: {a: b}
    actions:
      - {name: run, actionType: yaml, actions: "kind: App", cmd: sealos run, more: x}
      - 7
"""


def test_an_image_describes_itself() -> None:
    """What is known and of the right type becomes `detail`; the README becomes `docs`."""
    assert image.detail_from(CONFIG, b"# Helm\n") == {
        "url": "https://helm.sh/",
        "keywords": ["Storage", "1"],
        "description": "The package manager",
        "icon": "https://helm.sh/img/helm.svg",
        "creatTime": "2022-08-01T10:00:00+02:00",
        "size": 12,
        "actions": [
            {"name": "run", "actionType": "yaml", "actions": "kind: App", "cmd": "sealos run"}
        ],
        "docs": "# Helm\n",
    }


def test_docs_of_the_configuration_win() -> None:
    """Whoever wrote docs there meant them."""
    assert image.detail_from(b"spec: {detail: {docs: mine}}", b"# Readme") == {"docs": "mine"}


def test_actions_of_older_manifests_are_an_object() -> None:
    """Its keys are the names."""
    found = image.detail_from(b"spec: {detail: {actions: {run: {cmd: ls}, bad: 1}}}", None)
    assert found == {"actions": [{"name": "run", "cmd": "ls"}]}


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\xff\xfe\x00",
        b"[" * 20000,
        b"{[a]: b}",
        b"a: *b",
        b"spec: 1",
        b"spec: {detail: 1}",
        b"spec: {detail: [1]}",
        b"!!python/object/apply:os.system [id]",
        b"spec: {detail: {keywords: {a: b}, size: -1, creatTime: soon, actions: x, url: [a]}}",
        b"spec: {detail: {size: 99999999999999999999, creatTime: 0001-01-01T00:00:00+14:00}}",
        b"x" * (image.MAX_CONFIG + 1),
        b"spec: {detail: {docs: mine, keywords: [" + b"{a: b}," * image.MAX_EVENTS + b"]}}",
    ],
)
def test_garbage_is_left_out(content: bytes | None) -> None:
    """A bad description never stops a push."""
    assert image.detail_from(content, None) == {}


def test_long_texts_are_cut() -> None:
    """In bytes where etcd counts bytes; never in the middle of a character."""
    found = image.detail_from(
        yaml.safe_dump({"spec": {"detail": {"description": "x" * 99999}}}).encode(),
        "数".encode() * 400_000,
    )
    assert len(found["description"]) == 16384
    assert image.MAX_DOCS - 3 < len(found["docs"].encode()) <= image.MAX_DOCS


def test_control_characters_are_dropped() -> None:
    """No escape sequence of an image reaches a terminal, and no NUL the API server."""
    assert image.detail_from(None, b"a\x1b[31mb\x00c\td\r\n") == {"docs": "a[31mbc\td\n"}


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_whatever_an_image_says_the_crd_accepts(config: bytes, readme: bytes) -> None:
    """Every detail that is read passes the schema."""
    found = image.detail_from(config, readme)
    assert list(schema.faults(DETAIL, found)) == []


texts: Any = st.text(max_size=20)
details = st.fixed_dictionaries(
    {},
    optional={
        name: texts | st.lists(texts, max_size=3) | st.integers() | st.none()
        for name in (*DETAIL["properties"], "other")
    },
)


@given(details)
def test_well_formed_nonsense_passes_as_well(detail: dict[str, Any]) -> None:
    """Wrong types and odd texts in known fields are no way around the schema."""
    content = yaml.safe_dump({"spec": {"detail": detail}}, allow_unicode=True).encode()
    assert list(schema.faults(DETAIL, image.detail_from(content, None))) == []


def test_the_resource_of_a_push() -> None:
    """Name, labels and architectures follow from plain values."""
    assert image.image_from(
        "team/my-app:v1",
        DIGEST,
        ("linux/amd64", "linux/arm64/v8", "linux/amd64"),
        {"docs": "x"},
        size=5,
        image_id="sha256:b",
        created="2024-01-01T00:00:00.123Z",
    ) == {
        "apiVersion": "imagehub.sealos.io/v1",
        "kind": "Image",
        "metadata": {
            "name": "team.my-app.v1",
            "labels": {
                "organization.imagehub.sealos.io": "team",
                "repository.imagehub.sealos.io": "my-app",
                "tag.imagehub.sealos.io": "v1",
            },
        },
        "spec": {
            "name": "team/my-app:v1",
            "digest": DIGEST,
            "platforms": ["linux/amd64", "linux/arm64/v8"],
            "detail": {
                "docs": "x",
                "size": 5,
                "ID": "sha256:b",
                "creatTime": "2024-01-01T00:00:00Z",
                "arch": "amd64,arm64",
            },
        },
    }


def test_an_image_without_words_has_no_detail() -> None:
    """Fields that are not known are not written, so that nobody's own text is removed."""
    assert image.image_from("team/app:v1", DIGEST)["spec"] == {
        "name": "team/app:v1",
        "digest": DIGEST,
    }


def test_a_name_without_a_tag_is_no_image() -> None:
    """The caller hears it before anything is sent."""
    with pytest.raises(InvalidInputError):
        image.image_from("team/app", DIGEST)
