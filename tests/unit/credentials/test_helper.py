"""Claims about the docker credential helper protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealoshub import __version__
from sealoshub.credentials import helper

if TYPE_CHECKING:
    from pathlib import Path

USAGE = "Usage: docker-credential-sealoshub <store|get|erase|list|version>"
NOT_FOUND = "credentials not found in native keychain"
STORED = {"ServerURL": "https://hub:5000", "Username": "<token>", "Secret": "shr_x"}
ODD = "standard input is not a credential in JSON"


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        # what Serve answers itself
        ("", "", (1, USAGE)),
        ("get get", "", (1, USAGE)),
        ("--help", "", (0, USAGE)),
        ("-h", "", (0, USAGE)),
        ("version", "", (0, f"docker-credential-sealoshub (sealoshub) {__version__}")),
        ("-v", "", (0, f"docker-credential-sealoshub (sealoshub) {__version__}")),
        ("--version", "", (0, f"docker-credential-sealoshub (sealoshub) {__version__}")),
        ("login", "", (1, "docker-credential-sealoshub: unknown action: login")),
        # get: the address comes back as it was asked
        ("get", "hub:5000", (0, {**STORED, "ServerURL": "hub:5000"})),
        ("get", "hub:5000\n", (0, {**STORED, "ServerURL": "hub:5000"})),
        ("get", "https://hub:5000", (0, STORED)),
        ("get", "https://hub:5000/v2/", (0, {**STORED, "ServerURL": "https://hub:5000/v2/"})),
        ("get", "hub", (1, NOT_FOUND)),
        ("get", "hub:5001", (1, NOT_FOUND)),
        ("get", "", (1, "no credentials server URL")),
        ("get", " \n", (1, "no credentials server URL")),
        # erase
        ("erase", "https://hub:5000/", (0, "")),
        ("erase", "other", (1, NOT_FOUND)),
        ("erase", "", (1, "no credentials server URL")),
        # list
        ("list", "unused", (0, {"https://hub:5000": "<token>"})),
        # store
        ("store", '{"ServerURL":"a","Username":"u","Secret":"s"}', (0, "")),
        ("store", '{"ServerURL":"a","Username":"u","Secret":"s"}\n', (0, "")),
        ("store", '{"Username":"u","Secret":"s"}', (1, "no credentials server URL")),
        ("store", '{"ServerURL":"","Username":"u"}', (1, "no credentials server URL")),
        ("store", '{"ServerURL":"a","Secret":"s3cret"}', (1, "no credentials username")),
        ("store", '{"ServerURL":"a","Username":5,"Secret":"s3cret"}', (1, ODD)),
        ("store", '["s3cret"]', (1, ODD)),
        ("store", '{"s3cret', (1, ODD)),
        ("store", "", (1, ODD)),
        ("store", '{"ServerURL":"a","Username":"u","Secret":"\\ud800"}', (1, ODD)),
    ],
)
def test_protocol(
    tmp_path: Path, arguments: str, text: str, expected: tuple[int, str | dict[str, str]]
) -> None:
    """Every verb answers as docker-credential-helpers does, errors on standard output."""
    file = tmp_path / "c.json"
    assert helper.answer(["store"], json.dumps(STORED).encode(), file) == (0, "")
    code, said = helper.answer(arguments.split(), text.encode(), file)
    assert (code, json.loads(said) if said.startswith("{") else said) == expected


def test_a_store_that_is_damaged_is_one_line(tmp_path: Path) -> None:
    """A client shows the answer within a sentence of its own, so it is one line."""
    file = tmp_path / "c.json"
    file.write_text("{s3cret")
    code, said = helper.answer(["get"], b"hub", file)
    assert code == 1
    assert "is not valid JSON" in said
    assert "\n" not in said
    assert "s3cret" not in said


@settings(max_examples=60)
@given(verb=st.sampled_from(["get", "store", "erase", "list", "x"]), text=st.binary())
def test_whatever_is_sent(tmp_path: Path, verb: str, text: bytes) -> None:
    """No input makes the helper fail in another way than the protocol's."""
    code, said = helper.answer([verb], text, tmp_path / "c.json")
    assert code in {0, 1}
    assert said or code == 0


@settings(max_examples=60)
@given(account=st.text(min_size=1), secret=st.text(min_size=1))
def test_round_trip(tmp_path: Path, account: str, secret: str) -> None:
    """What was stored comes back, whatever characters it has."""
    body = {"ServerURL": "hub", "Username": account, "Secret": secret}
    file = tmp_path / "c.json"
    assert helper.answer(["store"], json.dumps(body).encode(), file) == (0, "")
    code, said = helper.answer(["get"], b"hub", file)
    assert (code, json.loads(said)) == (0, body)
