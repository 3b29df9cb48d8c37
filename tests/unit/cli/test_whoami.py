"""`sealoshub whoami` and the warning before a login runs out, against a small hub on a socket."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from sealoshub.cli import options, session
from sealoshub.cli.output import Output
from sealoshub.cli.tree import app
from sealoshub.credentials import ledger
from tests.images import oci_layout
from tests.unit.cli.logged_in import log_in
from tests.unit.cli.small_hub import SmallHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

ROLES = [{"name": "team", "role": "owner"}, {"name": "web", "role": "viewer"}]


def answer(ends: timedelta) -> dict[str, Any]:
    """Return what the hub says about a login that ends after *ends*."""
    when = (datetime.now(UTC) + ends).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"user": {"name": "alice", "groups": ["devs"]}, "expires": when}


def remember(small: SmallHub, ends: timedelta) -> None:
    """Write down when the login ends, as a login does."""
    held = session.stored_for(small.host, None, options.credential_places(), Output("test"))
    assert held is not None
    when = datetime.now(UTC) + ends
    login = ledger.Login(small.host, "alice", when, (held.location,))
    ledger.remember(session.ledger_file(), login)


@pytest.fixture
def small() -> Iterator[SmallHub]:
    """A hub that Alice is logged in to."""
    with SmallHub() as server:
        server.answers["GET", "/v1/whoami"] = (200, answer(timedelta(days=80)))
        server.answers["GET", "/v1/organizations"] = (200, {"organizations": ROLES})
        log_in(server.host)
        yield server


def run(*arguments: str) -> Result:
    """Run one command line."""
    return CliRunner().invoke(app, arguments)


def test_the_roles_are_shown(small: SmallHub) -> None:
    """The hub is asked with the login that is stored; no kubeconfig is needed."""
    done = run("whoami", small.host)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "roles:      owner of team, viewer of web\n" in done.stdout
    data = json.loads(run("whoami", small.host, "-o", "json").stdout)["data"]
    assert (data["organizations"], data["repository"]) == (ROLES, None)
    assert {seen.authorization for seen in small.seen} == {"Bearer shr_secret"}


@pytest.mark.parametrize(
    ("status", "body", "noted"),
    [
        (404, {"errors": [{"code": "UNSUPPORTED", "message": "nothing here"}]}, True),
        (403, {"errors": [{"code": "DENIED", "message": "no"}]}, True),
        (200, {"organizations": None}, False),  # a token with scopes
    ],
)
def test_unknown_roles_do_not_hide_the_rest(
    small: SmallHub, status: int, body: object, *, noted: bool
) -> None:
    """An older hub, and a token that is limited."""
    small.answers["GET", "/v1/organizations"] = (status, body)
    done = run("whoami", small.host, "-o", "json")
    assert (done.exit_code, "is not known" in done.stderr) == (0, noted)
    data = json.loads(done.stdout)["data"]
    assert (data["user"], data["organizations"]) == ("alice", None)


@pytest.mark.parametrize("with_host", [True, False])
def test_the_rights_on_a_repository(small: SmallHub, *, with_host: bool) -> None:
    """Each of the three is asked; that none is there is an answer, and no failure."""
    small.answers["GET", "/v1/explain"] = (200, {"user": "alice", "allowed": True})
    repo = f"{small.host}/team/app" if with_host else "team/app"
    host = () if with_host else (small.host,)
    done = run("whoami", *host, "--repo", repo)
    assert "rights:     pull, push, delete on team/app\n" in done.stdout
    asked = [seen.query["verb"] for seen in small.seen if seen.path == "/v1/explain"]
    assert asked == [["pull"], ["push"], ["delete"]]
    small.answers["GET", "/v1/explain"] = (200, {"user": "alice", "allowed": False})
    done = run("whoami", small.host, "--repo", repo, "-o", "json")
    assert done.exit_code == 0
    rights = {"name": "team/app", "pull": False, "push": False, "delete": False}
    assert json.loads(done.stdout)["data"]["repository"] == rights


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--repo", "team/app", "--offline"), 2),
        (("--repo", "other.example.com/team/app"), 2),
        (("--repo", "team/app:v1"), 5),
        (("--repo", "team"), 5),
        (("--repo", "team/app"), 5),  # this server explains nothing
    ],
)
def test_bad_repositories(small: SmallHub, arguments: tuple[str, ...], code: int) -> None:
    """What cannot be asked is said."""
    assert run("whoami", small.host, *arguments).exit_code == code


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (timedelta(days=80), ""),
        (timedelta(days=3, minutes=5), ""),
        (timedelta(days=2, minutes=5), "ends in 2 days"),
        (timedelta(minutes=10, seconds=30), "ends in 10 minutes"),
    ],
)
def test_whoami_warns_before_the_end(small: SmallHub, ends: timedelta, expected: str) -> None:
    """Within three days, with the command that renews it; `--quiet` says nothing."""
    small.answers["GET", "/v1/whoami"] = (200, answer(ends))
    done = run("whoami", small.host)
    if not expected:
        assert done.stderr == ""
        return
    assert f"the login to {small.host} {expected} (" in done.stderr
    assert f"`sealoshub login {small.host}` renews it" in done.stderr
    assert run("whoami", small.host, "-q").stderr == ""


def test_others_warn_from_what_is_known_here(small: SmallHub) -> None:
    """No request more; whoami asks the hub and corrects what is known."""
    small.answers["GET", "/v1/logins"] = (200, {"logins": []})
    remember(small, timedelta(days=1, minutes=5))
    done = run("token", "list", small.host)
    assert "ends in 1 day (" in done.stderr
    assert "as far as is known here" in done.stderr
    assert [seen.path for seen in small.seen] == ["/v1/logins"]
    assert run("whoami", small.host).stderr == ""
    assert "ends in" not in run("token", "list", small.host).stderr


def test_a_push_warns_too(small: SmallHub, tmp_path: Path) -> None:
    """Before it sends anything; without asking for it."""
    layout = oci_layout(tmp_path / "layout", files={"README.md": b"# Read me"}).path
    remember(small, timedelta(hours=5, minutes=5))
    done = run("push", str(layout), f"{small.host}/team/app:v1", "--dry-run")
    assert "ends in 5 hours (" in done.stderr
    assert not [seen for seen in small.seen if seen.path.startswith("/v1/")]


def test_an_entry_of_another_program_is_not_judged(small: SmallHub) -> None:
    """What is known is about the file that this program wrote, and no other."""
    login = ledger.Login(small.host, "alice", datetime.now(UTC), ("/elsewhere/auth.json",))
    ledger.remember(session.ledger_file(), login)
    small.answers["GET", "/v1/logins"] = (200, {"logins": []})
    assert "renews" not in run("token", "list", small.host).stderr
