"""`sealoshub token …` against a small hub on a real socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from sealoshub.cli.token import duration
from sealoshub.cli.tree import app
from sealoshub.errors import UsageError
from tests.unit.cli.logged_in import log_in
from tests.unit.cli.small_hub import SmallHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.testing import Result

TOKEN = "shp_" + "p" * 43
LOGIN: dict[str, Any] = {
    "id": "0" * 32,
    "type": "personal",
    "name": "ci",
    "service": "hub",
    "scopes": ["repository:team/*:pull"],
    "created": "2026-01-01T00:00:00Z",
    "lastUsed": "2026-01-02T00:00:00Z",
    "expires": "2026-02-01T00:00:00Z",
    "client": "sealoshub/1",
    "address": "127.0.0.1",
    "current": False,
}
OTHER = {**LOGIN, "id": "1" * 32, "type": "refresh", "name": "", "scopes": None, "current": True}


def run(*arguments: str) -> Result:
    """Run one command line."""
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def small() -> Iterator[SmallHub]:
    """A hub that Alice is logged in to."""
    with SmallHub() as server:
        log_in(server.host, "shr_secret")
        yield server


def test_create_prints_the_token_and_nothing_else(small: SmallHub) -> None:
    """Standard output can be piped into a secret store; what to know is on standard error."""
    small.answers["POST", "/v1/logins"] = (201, {"token": TOKEN, "login": LOGIN})
    done = run(
        "token", "create", small.host, "--name", "ci", "--ttl", "30d",
        "--scope", "repository:team/*:pull", "--scope", "repository:a/b:push",
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (0, f"{TOKEN}\n")
    assert TOKEN not in done.stderr
    assert LOGIN["id"] in done.stderr
    (seen,) = small.seen
    assert seen.body == {
        "name": "ci",
        "seconds": 30 * 86400,
        "scopes": ["repository:team/*:pull", "repository:a/b:push"],
        "service": "hub",
    }
    assert seen.authorization == "Bearer shr_secret"


def test_create_without_scopes_asks_for_no_limit(small: SmallHub) -> None:
    """And JSON holds the token beside everything else."""
    small.answers["POST", "/v1/logins"] = (201, {"token": TOKEN, "login": LOGIN})
    done = run("token", "create", small.host, "--name", "ci", "--ttl", "1h", "-q", "-o", "json")
    data = json.loads(done.stdout)["data"]
    assert (data["token"], data["id"], done.stderr) == (TOKEN, LOGIN["id"], "")
    assert "scopes" not in small.seen[0].body


@pytest.mark.parametrize(
    ("status", "code", "message", "exit_code"),
    [
        (400, "UNSUPPORTED", "'x' is no scope of a token", 5),
        (401, "UNAUTHORIZED", "this login is not known here", 3),
        (403, "DENIED", "a personal token cannot make another", 4),
        (404, "UNSUPPORTED", "there is nothing at this path", 5),
        (405, "UNSUPPORTED", "that method is not for this path", 5),
    ],
)
def test_a_refusal_has_its_exit_code(
    small: SmallHub, status: int, code: str, message: str, exit_code: int
) -> None:
    """And the hub's own words, but for a server that is no hub."""
    small.answers["POST", "/v1/logins"] = small.error(status, code, message)
    done = run("token", "create", small.host, "--name", "ci", "--ttl", "1h")
    assert (done.exit_code, done.stdout) == (exit_code, "")
    expected = "does not know personal tokens" if status in {404, 405} else message
    assert expected in done.stderr


def test_a_lost_answer_is_not_asked_for_twice(small: SmallHub) -> None:
    """A second POST would make a second token that nobody knows of."""
    small.answers["POST", "/v1/logins"] = small.error(503, "UNAVAILABLE", "later")
    assert run("token", "create", small.host, "--name", "ci", "--ttl", "1h").exit_code == 6
    assert len(small.seen) == 1


def test_list_is_a_table(small: SmallHub) -> None:
    """One line each, with an ID that can be copied; the one that asks is marked."""
    small.answers["GET", "/v1/logins"] = (200, {"logins": [LOGIN, OTHER, "nonsense"]})
    done = run("token", "list", small.host)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", "0" * 32, "1" * 32]
    assert lines[1].split()[1:3] == ["ci", "token"]
    assert lines[1].endswith("repository:team/*:pull")
    assert "login (this)" in lines[2]
    assert lines[2].endswith("all")
    found = json.loads(run("token", "list", small.host, "-o", "json").stdout)["data"]["logins"]
    assert [login["current"] for login in found] == [False, True]
    assert found[0]["last_used"] == LOGIN["lastUsed"]


def test_an_empty_list_says_so(small: SmallHub) -> None:
    """On standard error; there is no result."""
    small.answers["GET", "/v1/logins"] = (200, {"logins": []})
    done = run("token", "list", small.host)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no login of yours" in done.stderr


def test_names_from_the_hub_cannot_move_the_cursor(small: SmallHub) -> None:
    """A token's name is text that somebody chose."""
    evil = {**LOGIN, "name": "a\x1b[2Jb\u202e"}
    small.answers["GET", "/v1/logins"] = (200, {"logins": [evil]})
    assert "ab " in run("token", "list", small.host).stdout


def test_revoke(small: SmallHub) -> None:
    """By ID; an ID that is not there is an error, and a token is no ID."""
    small.answers["DELETE", f"/v1/logins/{LOGIN['id']}"] = (204, None)
    assert run("token", "revoke", LOGIN["id"], small.host).exit_code == 0
    small.answers["DELETE", "/v1/logins/x"] = small.error(404, "NOT_FOUND", "none of that id")
    gone = run("token", "revoke", "x", small.host)
    assert (gone.exit_code, "has no login x" in gone.stderr) == (5, True)
    assert run("token", "revoke", "../whoami", small.host).exit_code == 5
    assert [seen.path for seen in small.seen if "whoami" in seen.path] == ["/v1/logins/..%2Fwhoami"]
    done = run("token", "revoke", TOKEN, small.host)
    assert (done.exit_code, TOKEN in done.stderr) == (2, False)


@pytest.mark.parametrize(
    "words", [("create", "--name", "n", "--ttl", "1h"), ("list",), ("revoke", "x")]
)
def test_without_a_login_there_is_nothing_to_ask(words: tuple[str, ...]) -> None:
    """Exit code 3 and the way out; a host that has to be guessed is a usage error."""
    done = run("token", *words, "localhost:1")
    assert (done.exit_code, "sealoshub login localhost:1" in done.stderr) == (3, True)
    assert run("token", *words).exit_code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [("60s", 60), ("90m", 5400), ("12h", 43200), ("30d", 2592000), ("2w", 1209600)],
)
def test_times(text: str, expected: int) -> None:
    """A number and its unit."""
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5h", "0h", "1y", "1d2h", "९d", "1e9d"])
def test_no_times(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(UsageError, match="not a time"):
        duration(text)
