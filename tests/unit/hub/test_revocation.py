"""Which logins are ended, and by what right."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from sealoshub.authplugin import Identity, Scope
from sealoshub.authserver.loginrecord import Wish, document
from sealoshub.cli import session
from sealoshub.cli.tree import app
from sealoshub.errors import DeniedError, NotFoundError
from sealoshub.hub import revocation
from sealoshub.hub.revocation import Choice
from sealoshub.imagehub.names import HUB_NAMESPACE

if TYPE_CHECKING:
    from sealoshub.authserver.loginrecord import LoginRecord

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ROBOT = "system:serviceaccount:hub-team:builder"


def scope(name: str, *actions: str, kind: str = "repository") -> Scope:
    """Return a limit."""
    return Scope(kind, name, frozenset(actions))


# Owner, kind, scopes; the id is the position.
LOGINS: list[tuple[str, str, tuple[Scope, ...] | None]] = [
    ("alice", "refresh", None),
    ("alice", "personal", (scope("team/app", "pull"), scope("team/*", "push"))),
    ("alice", "personal", (scope("team/app", "pull"), scope("other/app", "pull"))),
    ("bob", "personal", (scope("*", "pull"),)),
    ("bob", "personal", (scope("team/app", "pull"), scope("catalog", "*", kind="registry"))),
    (ROBOT, "refresh", None),
    ("system:serviceaccount:hub-team-two:builder", "refresh", None),
    ("system:serviceaccount:user-system:team", "refresh", None),
    ("teamster", "personal", (scope("teamster/app", "pull"),)),
]


class Logins:
    """The logins of a hub, as an API server has them."""

    def __init__(self, refuses: bool = False) -> None:  # noqa: FBT001, FBT002  # a knob
        self.refuses = refuses
        self.objects: dict[str, dict[str, Any]] = {}
        for number, (name, kind, scopes) in enumerate(LOGINS):
            wish = Wish("personal" if kind == "personal" else "refresh", "hub", 3600, scopes=scopes)
            made = document(
                f"{number:064x}"[::-1],
                Identity(name, method="token"),
                wish,
                HUB_NAMESPACE,
                NOW + timedelta(minutes=number),
            )
            self.objects[made["metadata"]["name"]] = made
        self.objects["garbage"] = {"metadata": {"name": "garbage", "labels": {}}, "spec": {}}

    def __enter__(self) -> Logins:  # noqa: PYI034  # final in all but name
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def list(
        self, kind: str, namespace: str, *, label_selector: str | None = None
    ) -> list[dict[str, Any]]:
        """Return those with the label."""
        assert (kind, namespace) == ("Login", HUB_NAMESPACE)
        key, _, value = (label_selector or "").partition("=")
        return [
            item
            for item in self.objects.values()
            if not key or item["metadata"]["labels"].get(key) == value
        ]

    def delete(self, kind: str, name: str, namespace: str) -> None:
        """Remove one."""
        assert (kind, namespace) == ("Login", HUB_NAMESPACE)
        if self.refuses:
            raise DeniedError("you may not delete logins")
        if self.objects.pop(name, None) is None:
            raise NotFoundError(name)


def numbers(records: list[LoginRecord]) -> list[int]:
    """Return the positions in LOGINS."""
    return [int(record.token_hash[::-1], 16) for record in records]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(user="alice"), [0, 1, 2]),
        (Choice(user="ali"), []),
        (Choice(user=ROBOT), [5]),
        (Choice(organization="team"), [1, 5]),
        (Choice(organization="teamster"), [8]),
        (Choice(organization="te"), []),
        (Choice(user="alice", organization="team"), [1]),
        (Choice(user="bob", organization="team"), []),
        (Choice(login="3" + "0" * 31), [3]),
        (Choice(login="garbage"), []),
    ],
)
def test_whose_logins_are_meant(choice: Choice, expected: list[int]) -> None:
    """By full name, by id; an organization's are its robots' and tokens good for it alone."""
    cluster: Any = Logins()
    assert numbers(revocation.find(cluster, choice)) == expected


def test_only_those_go() -> None:
    """Once; whoever is faster does no harm."""
    cluster: Any = Logins()
    found = revocation.find(cluster, Choice(organization="team"))
    del cluster.objects[found[0].id]
    assert numbers(revocation.end(cluster, found)) == [5]
    assert len(cluster.objects) == len(LOGINS) + 1 - 2


def run(cluster: Logins, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, Any]:
    """Run the command; return its exit code and JSON."""
    monkeypatch.setattr(session, "user_cluster", lambda *_: cluster)
    done = CliRunner().invoke(app, ["hub", "revoke", *words, "-o", "json"])
    return done.exit_code, json.loads(done.stdout)


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows what it ends, and with --dry-run what it would."""
    cluster = Logins()
    code, shown = run(cluster, monkeypatch, "--user", "alice", "--dry-run")
    assert (code, len(shown["data"]["logins"]), len(cluster.objects)) == (0, 3, 10)
    assert set(shown["data"]) == {"dry_run", "logins"}
    code, shown = run(cluster, monkeypatch, "--user", "alice")
    assert (code, len(cluster.objects)) == (0, 7)
    assert [one["user"] for one in shown["data"]["logins"]] == ["alice"] * 3
    assert shown["data"]["logins"][1]["scopes"] == [
        "repository:team/app:pull",
        "repository:team/*:push",
    ]
    code, shown = run(cluster, monkeypatch, "--user", "alice")
    assert (code, shown["data"]["logins"]) == (0, [])


def test_who_may_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the API server; and nobody means everybody's logins by saying nothing."""
    code, shown = run(Logins(refuses=True), monkeypatch, "--user", "alice")
    assert (code, shown["errors"][0]["message"]) == (4, "you may not delete logins")
    code, shown = run(Logins(), monkeypatch)
    assert code == 2
