"""Names: derived, unique, and as the CRDs accept them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sealoshub.errors import InvalidInputError
from sealoshub.imagehub import install, names
from sealoshub.reference import is_repository

LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

organizations = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,57}[a-z0-9])?", fullmatch=True)
repositories = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+){0,6}", fullmatch=True)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)


def spec_pattern(plural: str) -> re.Pattern[str]:
    """Return the pattern of `spec.name` in a CRD."""
    crd: dict[str, Any] = install.load(f"crd-{plural}.yaml")[0]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return re.compile(schema["properties"]["spec"]["properties"]["name"]["pattern"])


IMAGE_PATTERN = spec_pattern("images")
REPOSITORY_PATTERN = spec_pattern("repositories")
ORGANIZATION_PATTERN = spec_pattern("organizations")


@pytest.mark.parametrize(
    ("spec_name", "expected"),
    [
        ("labring/mysql:v8.0.31", "labring.mysql.v8.0.31"),
        ("labring/cert-manager:v1.8.0", "labring.cert-manager.v1.8.0"),
        ("team/app", "team.app"),
        ("team", "team"),
        ("team/app:V1", "team.app.v1-74f7cb33b4"),
        ("team/app:v1", "team.app.v1"),
        ("team/a_b", "team.a-b-38fb0ae9bb"),
        ("team/app:v1.", "team.app.v1-1a7f5a07a1"),
        ("team/app:_", "team.app-fbc1db1171"),
    ],
)
def test_an_object_is_named_after_its_spec_name(spec_name: str, expected: str) -> None:
    """Slash and colon become dots; what Kubernetes cannot write gets a hash."""
    found = names.object_name(spec_name)
    assert re.sub(r"-[0-9a-f]{10}$", "-#", found) == re.sub(r"-[0-9a-f]{10}$", "-#", expected)
    assert names.object_name(spec_name) == found


@given(organizations, repositories, tags)
def test_every_valid_name_has_an_object_name_that_kubernetes_takes(
    organization: str, repository: str, tag: str
) -> None:
    """It is a DNS subdomain of at most 253 characters that begins with the organisation."""
    assume(is_repository(f"{organization}/{repository}"))
    for spec_name in (f"{organization}/{repository}", f"{organization}/{repository}:{tag}"):
        found = names.object_name(spec_name)
        assert SUBDOMAIN.fullmatch(found)
        assert len(found) <= names.MAX_NAME
        assert found.split(".")[0] == organization
        for key, value in names.labels_for(spec_name).items():
            assert LABEL.fullmatch(value), (key, value)


@given(st.tuples(organizations, repositories), st.tuples(organizations, repositories))
def test_two_repositories_never_meet_in_one_name(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    """Organisations have no dots, so the name tells where the repository begins."""
    assume(one != other)
    assert names.object_name("/".join(one)) != names.object_name("/".join(other))


@given(organizations, repositories, tags)
def test_what_we_accept_the_crds_accept(organization: str, repository: str, tag: str) -> None:
    """The patterns of the CRDs and our own checks agree on valid names."""
    path = f"{organization}/{repository}"
    assume(is_repository(path))
    assert names.split_image(f"{path}:{tag}") == names.Named(organization, repository, tag)
    assert names.split_repository(path).path == path
    assert IMAGE_PATTERN.search(f"{path}:{tag}")
    assert REPOSITORY_PATTERN.search(path)
    assert ORGANIZATION_PATTERN.search(organization)
    assert names.is_organization(organization)


@given(st.text(alphabet="ab./:_-A@ \n", max_size=24))
def test_what_the_crds_accept_we_accept(text: str) -> None:
    """And on invalid ones, for any text."""
    assert _accepted(names.split_image, text) == bool(
        IMAGE_PATTERN.search(text) and "\n" not in text
    )
    assert _accepted(names.split_repository, text) == bool(
        REPOSITORY_PATTERN.search(text) and "\n" not in text
    )


def _accepted(split: Any, text: str) -> bool:  # noqa: ANN401  # a function of the module
    try:
        split(text)
    except InvalidInputError:
        return False
    return True


@pytest.mark.parametrize(
    "name", ["", "/", "org/", "/org", "org//x", "../x", "a.b/c", "a/b/c", "a" * 300, "a/b\0", "ä/b"]
)
def test_no_malformed_name_is_a_repository(name: str) -> None:
    """The names of the attack list are refused, with a hint."""
    with pytest.raises(InvalidInputError) as caught:
        names.split_repository(name)
    assert caught.value.hint


def test_the_folded_name_keeps_the_organization() -> None:
    """Only dashes after the organisation are folded, so no name moves to another one."""
    assert names.folded_name("my-org/cert-manager:v1-a") == "my-org.cert.manager.v1.a"


def test_keywords_become_labels_where_they_can() -> None:
    """Spaces become dashes; what a label cannot hold is left out."""
    labels = names.labels_for("team/app:v1", ["Big Data", "数据", "x" * 64])
    assert [key for key in labels if key.startswith(names.KEYWORD_LABEL)] == [
        "keyword.imagehub.sealos.io/Big-Data"
    ]


def test_a_label_that_kubernetes_cannot_hold_is_left_out() -> None:
    """A tag may have 128 characters, a label 63."""
    assert names.TAG_LABEL not in names.labels_for(f"team/app:{'v' * 64}")
    assert names.TAG_LABEL not in names.labels_for("team/app:v1_")
