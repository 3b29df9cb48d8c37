"""Reading resources: all faults at once, each with its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.errors import InvalidInputError
from sealoshub.imagehub import documents, names

HEAD = "apiVersion: imagehub.sealos.io/v1\n"


def one(text: str) -> dict[str, Any]:
    """Return the only resource of *text*."""
    (document,) = documents.parse(text, "f.yaml")
    return document.obj


def complaint(text: str) -> str:
    """Return what is said about *text*."""
    with pytest.raises(InvalidInputError) as caught:
        documents.parse(text, "f.yaml")
    assert caught.value.hint == "Nothing was applied."
    return caught.value.message


def test_what_follows_from_the_name_is_filled_in() -> None:
    """A manifest may leave away metadata altogether."""
    assert one(HEAD + "kind: Image\nspec: {name: 'team/my-app:v1'}\n") == {
        "apiVersion": names.API_VERSION,
        "kind": "Image",
        "metadata": {
            "name": "team.my-app.v1",
            "labels": {
                "organization.imagehub.sealos.io": "team",
                "repository.imagehub.sealos.io": "my-app",
                "tag.imagehub.sealos.io": "v1",
            },
        },
        "spec": {"name": "team/my-app:v1"},
    }


ORIGINAL = """\
apiVersion: imagehub.sealos.io/v1
kind: Organization
metadata:
  name: labring
spec:
  name: labring
  creator: labring
  manager: [ labring ]
---
apiVersion: imagehub.sealos.io/v1
kind: Image
metadata:
  name: labring.cert.manager.v1.8.0
spec:
  name: labring/cert-manager:v1.8.0
  detail:
    url: https://cert-manager.io/
    keywords: [ storage ]
    description: Cloud native certificate management.
    icon: https://cert-manager.io/images/cert-manager-logo-icon.svg
    authorIcon: authorIcon
    docs: docs
    ID: Unkonw
    arch: Unkonw
    creatTime: 2022-08-01T10:00:00Z
---
apiVersion: imagehub.sealos.io/v1
kind: DataPack
metadata:
  name: datapack-detail-sample
  namespace: sealos-imagehub
spec:
  type: detail
  names:
    - labring/cert-manager:v1.8.0
---
apiVersion: imagehub.sealos.io/v1
kind: Repository
metadata:
  name: repository-sample
spec:
  # TODO(user): Add fields here
---
"""


def test_manifests_of_the_original_are_read_as_they_are() -> None:
    """Folded names, namespaces on cluster-scoped kinds, empty specs, times without quotes."""
    found = documents.parse(ORIGINAL, "f.yaml")
    assert [(document.obj["kind"], document.line) for document in found] == [
        ("Organization", 1),
        ("Image", 10),
        ("DataPack", 27),
        ("Repository", 37),
    ]
    assert found[1].obj["spec"]["detail"]["creatTime"] == "2022-08-01T10:00:00Z"
    assert found[1].obj["metadata"]["name"] == "labring.cert.manager.v1.8.0"
    assert "namespace" not in found[2].obj["metadata"]
    assert found[3].obj["spec"] == {}


def test_json_is_read_as_well() -> None:
    """JSON is YAML."""
    obj = {"apiVersion": names.API_VERSION, "kind": "Organization", "spec": {"name": "team"}}
    assert one(json.dumps(obj))["metadata"] == {"name": "team"}


def test_a_status_is_not_applied() -> None:
    """`kubectl get -o yaml` output can be applied again."""
    assert "status" not in one(HEAD + "kind: Organization\nspec: {name: a}\nstatus: {repos: []}\n")


def test_every_fault_of_every_document_is_named_with_its_line() -> None:
    """Nobody wants to find them one by one."""
    text = (
        "apiVersion: imagehub.sealos.io/v1\n"  # 1
        "kind: Organization\n"
        "metadata: {name: other}\n"
        "spec:\n"
        "  name: team\n"  # 5
        "  colour: red\n"
        "  members:\n"
        "    - {kind: User, name: x, role: boss}\n"
        "    - {kind: ServiceAccount, name: x, role: owner}\n"
        "    - {kind: User, name: system:anonymous, role: viewer}\n"  # 10
        "---\n"
        "apiVersion: v2\n"
        "kind: Image\n"
        "spec: {name: team/app, detail: {size: big}}\n"
    )
    assert complaint(text).splitlines() == [
        "f.yaml:3: metadata.name: must be team, because spec.name is team; or leave it away",
        (
            "f.yaml:6: spec.colour: there is no such field; there are creator, defaultVisibility,"
            " displayName, manager, members, name, quota"
        ),
        "f.yaml:8: spec.members[0].role: must be one of viewer, developer, maintainer, owner",
        "f.yaml:9: spec.members[1]: a ServiceAccount needs a namespace, and nothing else has one",
        (
            "f.yaml:10: spec.members[2]: nobody and everybody cannot be members; make a repository"
            " public instead"
        ),
        "f.yaml:12: apiVersion: must be imagehub.sealos.io/v1",
        "f.yaml:14: spec.detail.size: must be a whole number, and is a string",
        "f.yaml:14: spec.name: 'team/app' is malformed: org/repo:tag. Cannot be changed.",
    ]


FAULTS = [
    ("kind: Pod", "must be one of Organization, Repository, Image, DataPack"),
    ("kind: Login\nspec: {}", "must be one of"),
    ("kind: Organization\nspec: {}", "metadata.name or spec.name is missing"),
    ("kind: DataPack\nspec: {}", "metadata.name is missing"),
    ("kind: Organization\nspec: []", "spec: must be an object, and is a list"),
    ("kind: Organization\nspec: {name: 1}\nmetadata: {name: a}", "must be a string"),
    ("kind: Organization\nmetadata: x", "metadata: must be an object"),
    ("kind: Organization\nmetadata: {name: a, labels: {x: 1}}", "put it in quotes"),
    ("kind: Organization\nmetadata: {name: 5}", "metadata.name: must be a string"),
    ("kind: Organization\nspec: {name: a}\nfoo: 1", "foo: there is no such field"),
    ("kind: Organization\nspec: {name: a}\nspec: {name: b}", "spec: is there twice"),
    ("kind: Organization\nspec: {name: a, members: [{}]}", "kind is missing"),
    (
        (
            "kind: Organization\nspec: {name: a, members: [{kind: User, name: x, role: owner},"
            " {kind: User, name: x, role: viewer}]}"
        ),
        "User x is there twice",
    ),
    ("kind: Repository\nmetadata: {name: b.c}\nspec: {name: a/c}", "must be a.c"),
    (
        "kind: Image\nmetadata: {labels: {tag.imagehub.sealos.io: v2}}\nspec: {name: 'a/b:v1'}",
        "must be v1",
    ),
    ("kind: Image\nspec: {name: 'a/b:v1', digest: sha256:0}", "spec.digest: 'sha256:0'"),
    ("kind: Image\nspec: {name: 'a/b:v1', detail: {creatTime: soon}}", "is not a time"),
    ("kind: Image\nspec: {name: 'a/b:v1', detail: {size: -1}}", "at least 0"),
    ("kind: Image\nspec: {name: 'a/b:v1', detail: {size: true}}", "and is true or false"),
    ("kind: DataPack\nmetadata: {name: a}\nspec: {expireTime: later}", "malformed"),
    ("kind: Repository\nspec: {name: a/b, isPrivate: 'yes'}", "must be true or false"),
]


@pytest.mark.parametrize(("text", "words"), FAULTS)
def test_a_fault_is_named(text: str, words: str) -> None:
    """One row for each rule."""
    assert words in complaint(HEAD + text)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "'x",
        "\x00",
        "&a [*a]",
        "[" * 5000,
        "{[a]: b}",
        "*a",
        "!!python/object/apply:os.system [id]",
        "- x",
        "text",
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
            "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
            "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
        ),
    ],
)
def test_garbage_is_refused_without_a_traceback(text: str) -> None:
    """And without running anything or eating the memory."""
    assert complaint(text).startswith("f.yaml")


def test_nothing_is_no_fault() -> None:
    """Empty input has no document, and neither have comments and separators."""
    assert documents.parse("", "f.yaml") == []
    assert documents.parse("---\n# nothing\n---\n", "f.yaml") == []


def test_there_is_an_end_to_the_list_of_faults() -> None:
    """Ten thousand wrong documents do not fill the screen."""
    lines = complaint("---\n".join(["kind: Foo\n"] * 300)).splitlines()
    assert len(lines) == documents.MAX_FAULTS + 1
    assert lines[-1] == "f.yaml: and 500 more"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but our own error leaves the parser."""
    try:
        documents.parse(text, "f.yaml")
    except InvalidInputError as exc:
        assert exc.message.startswith("f.yaml")  # noqa: PT017  # either outcome is right
