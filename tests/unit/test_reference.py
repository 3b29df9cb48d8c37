"""References, digests and hosts: the grammar, both ways."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sealoshub.errors import InvalidInputError
from sealoshub.reference import (
    FEW,
    MAX_REPOSITORY,
    Digest,
    Reference,
    is_repository,
    is_tag,
    parse_host,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SHA = "sha256:" + "a" * 64
SHA512 = "sha512:" + "0" * 128

alphanumeric = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
separator = st.sampled_from([".", "_", "__", "-", "--", "---"])
component = st.builds(
    lambda first, rest: first + "".join(sep + word for sep, word in rest),
    alphanumeric,
    st.lists(st.tuples(separator, alphanumeric), max_size=3),
)
repository = st.lists(component, min_size=1, max_size=4).map("/".join)
tag = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
port = st.integers(0, 65535).map(lambda number: f":{number}")
host = st.one_of(
    st.sampled_from(["hub.sealos.io", "a.b", "10.0.0.1"]),
    st.builds(str.__add__, st.sampled_from(["localhost", "hub", "[::1]", "[fe80::1]"]), port),
    st.just("localhost"),
)
digest = st.sampled_from([SHA, SHA512])


@given(host, repository, st.none() | tag, st.none() | digest)
def test_round_trip(host: str, repository: str, tag: str | None, digest: str | None) -> None:
    """Every well-formed reference is read into its parts and printed as it was."""
    text = f"{host}/{repository}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    reference = Reference.parse(text)
    assert (reference.host, reference.repository, reference.tag) == (host, repository, tag)
    assert str(reference.digest or "") == (digest or "")
    assert str(reference) == text


@given(st.text(max_size=60))
@example("localhost/a:b\n")
@example("localhost/a\n")
@example("localhost:99999999/a")
def test_anything_else_is_an_error(text: str) -> None:
    """Whatever is accepted prints itself; everything else is that one error."""
    try:
        reference = Reference.parse(text)
    except InvalidInputError:
        return
    assert str(reference) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "host of a registry"),
        ("app", "host of a registry"),
        ("org/app", "host of a registry"),
        ("https://hub.io/o/a", "URL"),
        ("hub.io/", "repository name"),
        ("hub.io/Org/app", "repository name"),
        ("hub.io/o//a", "repository name"),
        ("hub.io/../a", "repository name"),
        ("hub.io/o/a_", "repository name"),
        ("hub.io/o/a___b", "repository name"),
        ("hub.io/o/a/", "repository name"),
        ("hub.io/" + "a" * 256, "repository name"),
        ("hub.io/o/a:", "tag"),
        ("hub.io/o/a:.b", "tag"),
        ("hub.io/o/a:b:c", "tag"),
        ("hub.io/o/a:" + "b" * 129, "tag"),
        ("hub.io/o/a\n", "repository name"),
        ("hub.io/o/a:b\n", "tag"),
        ("hub.io/o/a@sha256:abc", "digest"),
        ("hub.io/o/a@" + SHA.upper(), "digest"),
        ("hub.io/o/a@", "digest"),
        ("-hub.io/o/a", "host of a registry"),
        ("hub_x.io/o/a", "host of a registry"),
        ("hub.io:port/o/a", "host of a registry"),
        ("hub.io:/o/a", "host of a registry"),
        ("user@hub.io/o/a", "digest"),
        ("hub.io/o/a" + "x" * 2000, "longer than"),
    ],
)
def test_the_wrong_part_is_named(text: str, said: str) -> None:
    """The message says which part is wrong."""
    with pytest.raises(InvalidInputError, match=said):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("text", "organization"),
    [("h.io/org/repo", "org"), ("h.io/repo", None), ("h.io/a/b/c", None)],
)
def test_organization(text: str, organization: str | None) -> None:
    """Only `org/repo` has an organisation."""
    assert Reference.parse(text).organization == organization


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("hub.sealos.io", "hub.sealos.io"),
        ("https://hub.sealos.io/", "hub.sealos.io"),
        ("http://localhost:5000", "localhost:5000"),
        ("  hub.sealos.io ", "hub.sealos.io"),
        ("hub", "hub"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_host(text: str, host: str) -> None:
    """What a user types at `login` may have a scheme and a final slash."""
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    ["", "hub.io/v2", "user:pw@hub.io", "hub io", "ftp://hub.io", "hub.io:", "hub\x1b[31m", "-x"],
)
def test_no_host(text: str) -> None:
    """Anything else is no host."""
    with pytest.raises(InvalidInputError):
        parse_host(text)


@pytest.mark.parametrize("parse", [parse_host, Reference.parse])
@pytest.mark.parametrize("text", ["https://alice:planted@hub.io/o/a", "alice:planted@hub.io"])
def test_password_in_a_host_is_not_repeated(parse: Callable[[str], object], text: str) -> None:
    """Who types a password into the host does not read it again in the message."""
    with pytest.raises(InvalidInputError) as caught:
        parse(text)
    assert "planted" not in caught.value.message


@given(st.binary(max_size=100))
def test_digest(content: bytes) -> None:
    """A digest is computed, split, printed, and checked with a hash of its own algorithm."""
    digest = Digest.of(content)
    assert digest.algorithm == "sha256"
    assert digest.hex == hashlib.sha256(content).hexdigest()
    assert Digest.parse(str(digest)) == digest
    assert digest.hasher().name == "sha256"
    assert Digest.parse(SHA512).hasher().name == "sha512"


@pytest.mark.parametrize("built_in", [None, "no_such_module"])
def test_digest_without_openssl(monkeypatch: pytest.MonkeyPatch, built_in: str | None) -> None:
    """Few bytes are hashed alike by what Python has built in, and where it has nothing."""
    monkeypatch.delitem(sys.modules, "hashlib")
    if built_in is not None:
        monkeypatch.setattr("sealoshub.reference._BUILT_IN", built_in)
    assert Digest.of(b"abc").hex == hashlib.sha256(b"abc").hexdigest()
    small = Digest.parse(SHA).hasher(3)
    small.update(b"abc")
    assert small.hexdigest() == hashlib.sha256(b"abc").hexdigest()
    assert ("hashlib" in sys.modules) == (built_in is not None)
    Digest.parse(SHA).hasher(FEW + 1)
    assert "hashlib" in sys.modules


@pytest.mark.parametrize(
    "text", ["", "sha256:", "md5:" + "0" * 32, SHA + "0", SHA + "\n", "a" * 64]
)
def test_no_digest(text: str) -> None:
    """Anything else is no digest."""
    with pytest.raises(InvalidInputError):
        Digest.parse(text)


def test_predicates() -> None:
    """The predicates agree with the parser."""
    assert is_tag("v1.0_x-Y")
    assert not is_tag("v1\n")
    assert not is_tag("")
    assert is_repository("org/repo")
    assert not is_repository("org/repo\n")
    assert not is_repository("a" * (MAX_REPOSITORY + 1))
