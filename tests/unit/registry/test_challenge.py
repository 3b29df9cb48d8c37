"""`WWW-Authenticate` in every form that a server may write."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sealoshub.registry.challenge import Challenge, choose, parse

TOKEN_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

Expected = list[tuple[str, dict[str, str]]]

TABLE: dict[str, tuple[list[str], Expected | None]] = {
    "docker": (
        ['Bearer realm="https://a/token",service="hub",scope="repository:o/r:pull,push"'],
        [("bearer", {"realm": "https://a/token", "service": "hub"})],
    ),
    "letter case": (
        ['BEARER Realm="https://a/t",SERVICE=hub'],
        [("bearer", {"realm": "https://a/t", "service": "hub"})],
    ),
    "several in one line": (
        ['Basic realm="x, y", Bearer realm="https://a/t",service="s", Digest nonce="n"'],
        [("basic", {"realm": "x, y"}), ("bearer", {"realm": "https://a/t"}), ("digest", {})],
    ),
    "several lines": (
        ['Basic realm="x"', 'Bearer realm="https://a/t"'],
        [("basic", {"realm": "x"}), ("bearer", {"realm": "https://a/t"})],
    ),
    "quoted pairs": ([r'Basic realm="a \"b\" \\ c"'], [("basic", {"realm": r'a "b" \ c'})]),
    "blanks around =": (
        ['Bearer realm = "https://a/t" , service= s'],
        [("bearer", {"service": "s"})],
    ),
    "token68": (
        ['Negotiate YII=, Bearer realm="https://a/t"'],
        [("negotiate", {}), ("bearer", {"realm": "https://a/t"})],
    ),
    "lone schemes": (["Negotiate, NTLM"], [("negotiate", {}), ("ntlm", {})]),
    "empty elements": ([', ,Basic realm="x",,'], [("basic", {"realm": "x"})]),
    "bare URL": (
        ["Bearer realm=https://a/t?x=1,service=s"],
        [("bearer", {"realm": "https://a/t?x=1", "service": "s"})],
    ),
    "unterminated": (['Bearer realm="https://a/t'], None),
    "nothing": ([""], []),
    "the first of two counts": (['Basic realm="a",realm="b"'], [("basic", {"realm": "a"})]),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name: str) -> None:
    """Each form gives its challenges; what is broken raises nothing."""
    lines, expected = TABLE[name]
    found = parse(lines)
    if expected is None:
        return
    assert [challenge.scheme for challenge in found] == [scheme for scheme, _ in expected]
    for challenge, (_, parameters) in zip(found, expected, strict=True):
        assert parameters.items() <= dict(challenge.parameters).items()


def test_scope_and_error() -> None:
    """Scopes are words, commas belong to their actions; the error is lower case."""
    (challenge,) = parse(
        ['Bearer realm="r",scope="repository:a:pull,push repository:b:pull",error="Invalid_Token"']
    )
    assert challenge.scopes == ("repository:a:pull,push", "repository:b:pull")
    assert challenge.error == "invalid_token"


def test_choose() -> None:
    """Bearer with a realm wins, then Basic, then nothing."""
    bearer = Challenge("bearer", {"realm": "r"})
    basic = Challenge("basic")
    assert choose([basic, bearer]) == bearer
    assert choose([Challenge("bearer"), basic]) == basic
    assert choose([Challenge("digest")]) is None


@given(
    st.lists(
        st.tuples(
            st.text(TOKEN_CHARS, min_size=1, max_size=8),
            st.dictionaries(
                st.text(TOKEN_CHARS, min_size=1, max_size=8).map(str.lower),
                st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20),
                min_size=1,
                max_size=4,
            ),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_what_is_written_is_read(
    challenges: list[tuple[str, dict[str, str]]],
    one_line: bool,  # noqa: FBT001  # drawn by hypothesis
) -> None:
    """Any well-formed challenges are read back, on one line or on many."""
    lines = [
        scheme + " " + ",".join(f'{name}="{quote(value)}"' for name, value in parameters.items())
        for scheme, parameters in challenges
    ]
    found = parse([", ".join(lines)] if one_line else lines)
    assert [(c.scheme, dict(c.parameters)) for c in found] == [
        (scheme.lower(), parameters) for scheme, parameters in challenges
    ]


@given(st.text(max_size=200))
@example('Bearer realm="' + "\\" * 99)
@example("a=" * 99)
def test_anything_is_survived(text: str) -> None:
    """No text makes the parser fail, loop, or give a parameter that is not in the text."""
    for challenge in parse([text]):
        assert challenge.scheme in text.lower()


def test_a_long_line_takes_no_time() -> None:
    """The scanner is linear: a line of the largest size is read at once."""
    assert parse(["," * 10**6]) == ()
    assert parse(['x="' + "a" * 10**6]) == ()
    assert parse(['"' * 10**6]) == ()


def quote(value: str) -> str:
    """Write the inside of a quoted string."""
    return value.replace("\\", "\\\\").replace('"', '\\"')
