"""The plugin with users and rules in a file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import argon2
import pytest
import yaml

from sealoshub.authplugin import (
    ANONYMOUS,
    NO_OPINION,
    Credential,
    CredentialsRejected,
    Grant,
    Identity,
    PluginContext,
    Scope,
)
from sealoshub.authplugin.static import create
from sealoshub.errors import InvalidInputError
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = PluginContext(("hub",), "imagehub-system")
HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("wonder")
CONFIG: dict[str, object] = {
    "users": {"alice": {"password": HASH, "groups": ["dev"]}, "bob": {"password": HASH}},
    "rules": [
        {"who": ["anonymous"], "repositories": ["library/*"], "actions": ["pull"]},
        {"who": ["group:dev"], "repositories": ["dev/*"], "actions": ["pull", "push"]},
        {"who": ["user:bob"], "repositories": ["*"], "actions": ["delete"], "catalog": True},
        {"who": ["authenticated"], "repositories": ["shared/a.b"], "actions": ["pull"]},
    ],
}


def test_a_password_is_verified() -> None:
    """The right one is the user with his groups; a wrong one and a wrong name look the same."""
    plugin = create(CONFIG, CONTEXT)
    found = asyncio.run(plugin.authenticate(Credential("alice", Secret("wonder"))))
    assert isinstance(found, Identity)
    assert (found.name, found.groups) == ("alice", ("dev",))
    messages = set()
    for account, password in [("alice", "wrong"), ("nobody", "wonder"), ("alice", "")]:
        with pytest.raises(CredentialsRejected) as caught:
            asyncio.run(plugin.authenticate(Credential(account, Secret(password))))
        messages.add(caught.value.message)
    assert messages == {"user name or password is wrong"}


@pytest.mark.parametrize("password", ["eyJh.eyJh.sig", "kind: Config\nusers: []", "x" * 200])
def test_tokens_and_kubeconfigs_are_left_to_others(password: str) -> None:
    """They are no passwords of this plugin."""
    plugin = create(CONFIG, CONTEXT)
    answer = asyncio.run(plugin.authenticate(Credential("alice", Secret(password))))
    assert answer is NO_OPINION


@pytest.mark.parametrize(
    ("who", "scope", "expected"),
    [
        (ANONYMOUS, "library/x:pull,push", {"pull"}),
        (ANONYMOUS, "library/x/y:pull", None),
        (ANONYMOUS, "dev/x:pull", None),
        (Identity("alice", groups=("dev",)), "dev/x:pull,push,delete", {"pull", "push"}),
        (Identity("alice", groups=("dev",)), "library/x:pull", {"pull"}),
        (Identity("bob"), "any/thing/else:*", {"delete"}),
        (Identity("bob"), "library/x:pull,delete", {"pull", "delete"}),
        (Identity("carol"), "shared/a.b:pull", {"pull"}),
        (Identity("carol"), "shared/aXb:pull", None),
    ],
)
def test_rules_add_up(who: Identity, scope: str, expected: set[str] | None) -> None:
    """Every rule that speaks of user and repository counts; where none does, no opinion."""
    name, _, actions = scope.rpartition(":")
    asked = Scope("repository", name, frozenset(actions.split(",")))
    answer = asyncio.run(create(CONFIG, CONTEXT).authorize(who, asked))
    found = answer.actions if isinstance(answer, Grant) else None
    assert found == expected


def test_the_catalog_needs_its_own_word() -> None:
    """Only `catalog: true` gives it."""
    plugin = create(CONFIG, CONTEXT)
    asked = Scope("registry", "catalog", frozenset({"*"}))
    answer = asyncio.run(plugin.authorize(Identity("bob"), asked))
    assert isinstance(answer, Grant)
    assert answer.actions == {"*"}
    assert asyncio.run(plugin.authorize(Identity("alice"), asked)) is NO_OPINION


def test_a_changed_password_ends_what_came_from_the_old_one() -> None:
    """So does the removal of the user; users of others are no business of this plugin."""
    plugin = create(CONFIG, CONTEXT)
    alice = asyncio.run(plugin.authenticate(Credential("alice", Secret("wonder"))))
    assert isinstance(alice, Identity)
    assert asyncio.run(plugin.confirm(alice)) is True
    other = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("wonder")
    for users in ({"alice": {"password": other}}, {}):
        changed = create({"users": users}, CONTEXT)
        assert asyncio.run(changed.confirm(alice)) is False
    assert asyncio.run(plugin.confirm(Identity("alice", "uid-of-kubernetes"))) is NO_OPINION


def test_a_file_is_read(tmp_path: Path) -> None:
    """`file` names a YAML file of the same form."""
    path = tmp_path / "users.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    plugin = create({"file": str(path)}, CONTEXT)
    found = asyncio.run(plugin.authenticate(Credential("bob", Secret("wonder"))))
    assert isinstance(found, Identity)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"file": "/nowhere"}, "cannot read"),
        ({"file": "x", "users": {}}, "stands alone"),
        ({"user": {}}, "unknown key 'user'"),
        ({"users": []}, "users must be a mapping"),
        ({"users": {"a:b": {"password": HASH}}}, "without a colon"),
        ({"users": {"a": {"password": "plain"}}}, "argon2 hash"),
        ({"users": {"a": {"password": HASH, "groups": "x"}}}, "groups must be"),
        ({"users": {"a": {"pw": HASH}}}, "expected password and groups"),
        ({"rules": {}}, "rules must be a list"),
        ({"rules": ["x"]}, "rule 1: expected a mapping"),
        ({"rules": [{"who": ["alice"]}]}, "rule 1: who must list"),
        ({"rules": [{"who": ["anonymous"], "actions": ["fly"]}]}, "actions must be among"),
        ({"rules": [{"who": ["anonymous"], "repositories": "x"}]}, "list of patterns"),
        ({"rules": [{"who": ["anonymous"], "catalog": 1}]}, "catalog must be true"),
        ({"rules": [{"who": ["anonymous"], "x": 1}]}, "unknown key 'x'"),
    ],
)
def test_a_wrong_configuration_says_where(config: dict[str, object], message: str) -> None:
    """Place and fault are in the message, and no password is."""
    with pytest.raises(InvalidInputError, match=message) as caught:
        create(config, CONTEXT)
    assert "plain" not in caught.value.message
