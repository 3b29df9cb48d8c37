"""Users and rules from a YAML file: the worked example of a plugin.

    users:
      alice: {password: "$argon2id$v=19$…", groups: [dev]}
    rules:
      - {who: [anonymous], repositories: ["library/*"], actions: [pull]}
      - {who: ["group:dev"], repositories: ["dev/*"], actions: [pull, push]}
      - {who: ["user:alice"], repositories: ["*"], actions: [pull, push, delete], catalog: true}

Rules speak of names, whoever vouched for them: beside the `kubernetes` plugin, `user:alice` is also
the Kubernetes user of that name. They add up; what no rule allows, this plugin has no opinion on.
`*` stands for one part of a repository's name, and alone for every repository.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import argon2
import yaml

from sealoshub.authplugin import (
    NO_OPINION,
    REPOSITORY_ACTIONS,
    CredentialsRejected,
    Grant,
    Identity,
    Plugin,
)
from sealoshub.authplugin.cache import Cache, SecretKeys
from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealoshub.authplugin import Credential, NoOpinion, PluginContext, Scope

ACCEPTED_SECONDS: Final = 60.0  # a verification costs 50 ms on purpose; the file is read at start
REJECTED_SECONDS: Final = 5.0
MAX_PASSWORD: Final = 128  # characters; what is longer is a token or a kubeconfig
VERIFICATIONS: Final = 2  # at once, because each takes 64 MiB

_TOKEN: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_WHO: Final = re.compile(r"anonymous|authenticated|(?:user|group):.+")
_UID: Final = "static:"


@dataclass(frozen=True, slots=True)
class User:
    """One entry of `users`; *fingerprint* changes with the password."""

    name: str
    password: str
    groups: tuple[str, ...]
    fingerprint: str

    def __repr__(self) -> str:
        return f"User({self.name})"


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `rules`."""

    who: frozenset[str]
    repositories: tuple[re.Pattern[str], ...]
    actions: frozenset[str]
    catalog: bool
    number: int


def create(config: Mapping[str, object], context: PluginContext) -> Static:
    """Make the plugin (entry point `static`).

    Args:
        config: Either `file`, the path of a YAML file, or its content `users` and `rules`.
        context: Not needed.

    Raises:
        InvalidInputError: A wrong key or value; all faults at once.
    """
    del context
    content: object = config
    if "file" in config:
        if len(config) > 1:
            raise InvalidInputError("`file` stands alone; users and rules are in the file")
        path = Path(str(config["file"]))
        try:
            content = yaml.safe_load(path.read_text())
        except OSError as exc:
            raise InvalidInputError(f"cannot read {path}: {exc.strerror}") from exc
        except (yaml.YAMLError, UnicodeError):
            raise InvalidInputError(f"{path} is not valid YAML") from None
    if not isinstance(content, dict):
        raise InvalidInputError("expected a mapping with users and rules")
    faults = [f"unknown key {key!r}" for key in content if key not in {"users", "rules"}]
    users = _users(content.get("users"), faults)
    rules = _rules(content.get("rules"), faults)
    if faults:
        raise InvalidInputError("; ".join(faults))
    return Static(users, rules)


class Static(Plugin):
    """Users with argon2 hashes, and rules that say what they may.

    Args:
        users: By name.
        rules: In any order; they add up.
        clock: Monotonic time in seconds.
    """

    name = "static"

    def __init__(
        self,
        users: Mapping[str, User],
        rules: tuple[Rule, ...],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._users = users
        self._rules = rules
        self._keys = SecretKeys()
        self._checked: Cache[bool] = Cache(10_000, clock)
        self._busy = asyncio.Semaphore(VERIFICATIONS)
        self._hasher = argon2.PasswordHasher()
        # Verified against when there is no such user, so that names cannot be found out by timing.
        self._decoy = next((user.password for user in users.values()), None) or self._hasher.hash(
            "decoy"
        )

    async def authenticate(self, credential: Credential) -> Identity | NoOpinion:
        """Return the user whose password it is.

        Raises:
            CredentialsRejected: No such user, or another password; the message is the same.
        """
        password = credential.secret.reveal()
        if not _is_password(password):
            return NO_OPINION
        user = self._users.get(credential.account)

        async def ask() -> tuple[bool, float]:
            async with self._busy:
                good = await asyncio.to_thread(
                    self._verify, user.password if user else self._decoy, password
                )
            return good, ACCEPTED_SECONDS if good else REJECTED_SECONDS

        good = await self._checked.ask(self._keys.of(credential.account, password), ask)
        if user is None or not good:
            raise CredentialsRejected("user name or password is wrong")
        return Identity(user.name, uid=_UID + user.fingerprint, groups=user.groups)

    async def confirm(self, identity: Identity) -> bool | NoOpinion:
        """Tell whether the user is still there, with the password that he had."""
        if not identity.uid.startswith(_UID):
            return NO_OPINION
        user = self._users.get(identity.name)
        return user is not None and identity.uid == _UID + user.fingerprint

    async def authorize(self, identity: Identity, scope: Scope) -> Grant | NoOpinion:
        """Return what the rules allow; no opinion where none speaks of user and resource."""
        who = {"anonymous"}
        if not identity.is_anonymous:
            who |= {"authenticated", f"user:{identity.name}"}
            who |= {f"group:{group}" for group in identity.groups}
        granted: set[str] = set()
        numbers: list[str] = []
        for rule in self._rules:
            if rule.who & who:
                actions = _allowed(rule, scope)
                granted |= actions
                numbers += [str(rule.number)] if actions else []
        if not granted:
            return NO_OPINION
        return Grant(frozenset(granted), f"static rule {', '.join(numbers)}")

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except argon2.exceptions.Argon2Error:
            return False


def _allowed(rule: Rule, scope: Scope) -> frozenset[str]:
    if scope.type == "registry" and scope.name == "catalog":
        return frozenset({"*"}) & scope.actions if rule.catalog else frozenset()
    if scope.type != "repository":
        return frozenset()
    if any(pattern.fullmatch(scope.name) for pattern in rule.repositories):
        return rule.actions & scope.grantable
    return frozenset()


def _is_password(text: str) -> bool:
    """Tell passwords from tokens and kubeconfigs, which other plugins may know."""
    return len(text) <= MAX_PASSWORD and text.isprintable() and not _TOKEN.fullmatch(text)


def _users(raw: object, faults: list[str]) -> dict[str, User]:
    found: dict[str, User] = {}
    if not isinstance(raw, dict | None):
        faults.append("users must be a mapping")
        return found
    for name, entry in (raw or {}).items():
        where = f"users.{name}"
        if not isinstance(name, str) or not name or ":" in name:
            faults.append(f"{where}: a user name is text without a colon")
            continue
        if not isinstance(entry, dict) or set(entry) - {"password", "groups"}:
            faults.append(f"{where}: expected password and groups")
            continue
        password, groups = entry.get("password"), entry.get("groups") or []
        try:
            argon2.extract_parameters(str(password))
        except argon2.exceptions.InvalidHashError:
            faults.append(f"{where}: password must be an argon2 hash ($argon2id$…)")
        if not _is_texts(groups):
            faults.append(f"{where}: groups must be a list of names")
            continue
        fingerprint = hashlib.sha256(str(password).encode()).hexdigest()[:16]
        found[name] = User(name, str(password), tuple(groups), fingerprint)
    return found


def _rules(raw: object, faults: list[str]) -> tuple[Rule, ...]:
    if not isinstance(raw, list | None):
        faults.append("rules must be a list")
        return ()
    return tuple(
        rule
        for number, entry in enumerate(raw or (), start=1)
        if (rule := _rule(entry, number, faults)) is not None
    )


def _rule(entry: object, number: int, faults: list[str]) -> Rule | None:
    where = f"rule {number}"
    if not isinstance(entry, dict):
        faults.append(f"{where}: expected a mapping")
        return None
    unknown = set(entry) - {"who", "repositories", "actions", "catalog"}
    found = [f"{where}: unknown key {key!r}" for key in unknown]
    who, repositories = entry.get("who"), entry.get("repositories") or []
    actions, catalog = entry.get("actions") or [], entry.get("catalog", False)
    if not _is_texts(who) or not who or not all(_WHO.fullmatch(item) for item in who):
        found.append(f"{where}: who must list anonymous, authenticated, user:NAME or group:NAME")
    if not _is_texts(repositories):
        found.append(f"{where}: repositories must be a list of patterns")
    if not _is_texts(actions) or not set(actions) <= REPOSITORY_ACTIONS:
        found.append(f"{where}: actions must be among pull, push, delete")
    if not isinstance(catalog, bool):
        found.append(f"{where}: catalog must be true or false")
    faults.extend(found)
    if found:
        return None
    patterns = tuple(_pattern(text) for text in repositories)
    return Rule(frozenset(who or ()), patterns, frozenset(actions), bool(catalog), number)


def _pattern(text: str) -> re.Pattern[str]:
    """Return the expression for a pattern; every character but `*` means itself."""
    if text == "*":
        return re.compile(r".+")
    return re.compile("[^/]+".join(re.escape(part) for part in text.split("*")))


def _is_texts(raw: object) -> bool:
    return isinstance(raw, list) and all(isinstance(item, str) for item in raw)
