"""A hub whose every word would move the cursor, rename the window, or hide what follows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from typer.testing import CliRunner

from sealoshub.cli.tree import app
from tests.unit.cli.logged_in import log_in
from tests.unit.cli.small_hub import SmallHub

if TYPE_CHECKING:
    from collections.abc import Iterator

# CSI and OSC with seven and eight bits, backspaces, a carriage return, text from right to left.
EVIL: Final = (
    "\x1b[2J\x1b]0;owned\x07\x9b31m\x9d0;owned\x9c\x08\x08\rerror: none\u202egnp.exe\u2066\x1b(0"
)
LOGIN: Final[dict[str, Any]] = {
    "id": "0" * 32,
    "type": "personal",
    "name": EVIL,
    "service": EVIL,
    "scopes": [f"repository:{EVIL}:pull"],
    "created": "2026-01-01T00:00:00Z",
    "lastUsed": "2026-01-02T00:00:00Z",
    "expires": "2099-02-01T00:00:00Z",
    "client": EVIL,
    "address": EVIL,
    "current": True,
}
USER: Final = {"name": EVIL, "uid": EVIL, "groups": [EVIL]}
EXPLAINED: Final = {
    "user": EVIL,
    "verb": "pull",
    "repository": "a/b",
    "allowed": False,
    "reason": EVIL,
    "owners": [EVIL],
    "limited": False,
}
COMMANDS: Final = {
    "whoami": ("whoami", "{host}"),
    "whoami of a repository": ("whoami", "{host}", "--repo", "a/b"),
    "token list": ("token", "list", "{host}"),
    "token revoke": ("token", "revoke", "0" * 32, "{host}"),
    "token create": ("token", "create", "{host}", "--name", "x", "--ttl", "1h"),
    "explain": ("explain", "pull", "{host}/a/b"),
    "doctor": ("doctor", "{host}"),
    "logout": ("logout", "{host}"),
}


@pytest.fixture(params=["answers", "refusals"])
def hostile(request: pytest.FixtureRequest) -> Iterator[SmallHub]:
    """A hub that somebody is logged in to, with such words in its answers or in its errors."""
    with SmallHub() as server:
        server.claims = {"sub": EVIL}
        answers: dict[tuple[str, str], tuple[int, object]] = {
            ("GET", "/v1/whoami"): (
                200,
                {"user": USER, "method": EVIL, "credential": EVIL, "expires": None, "login": LOGIN},
            ),
            ("GET", "/v1/organizations"): (
                200, {"organizations": [{"name": EVIL, "role": EVIL}]},
            ),
            ("GET", "/v1/logins"): (200, {"logins": [LOGIN]}),
            ("POST", "/v1/logins"): (201, {"token": "shp_" + "p" * 43, "login": LOGIN}),
            ("DELETE", "/v1/logins/" + "0" * 32): (204, ""),
            ("DELETE", "/v1/logins/self"): (204, ""),
            ("GET", "/v1/explain"): (200, EXPLAINED),
        }  # fmt: skip
        if request.param == "refusals":
            answers = {place: server.error(403, EVIL, EVIL) for place in answers}
        server.answers = answers
        log_in(server.host, "shr_" + "s" * 43)
        yield server


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_no_word_of_a_hub_moves_the_terminal(hostile: SmallHub, words: tuple[str, ...]) -> None:
    """What people see is text; what programs read is escaped by JSON."""
    arguments = [word.format(host=hostile.host) for word in words]
    done = CliRunner().invoke(app, arguments)
    said = done.stdout + done.stderr
    assert said
    left = {c for c in said if not c.isprintable() and c != "\n"}
    assert not left, said
    structured = CliRunner().invoke(app, [*arguments, "-o", "json"])
    assert structured.stdout.isascii()
    assert set(json.loads(structured.stdout)) >= {"status", "exit_code"}
    assert all(c.isprintable() or c == "\n" for c in structured.stdout)
