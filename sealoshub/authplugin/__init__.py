"""The plugin contract of the token server: who is this credential, and what may he do.

A plugin gives one of three answers, and never guesses:

    an opinion                 `Identity` or `Grant`; nobody else is asked
    `NO_OPINION`               not mine; the next plugin is asked
    an exception               `CredentialsRejected` (the client sees 401),
                               `Unavailable` (503): could not find out, which is never a denial

No opinion from anybody is a denial. A plugin package registers a factory in the entry point group
`sealoshub.auth_plugins`; `sealoshub.authplugin.static` is the worked example.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, Protocol

from sealoshub.errors import AuthenticationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealoshub.kube import UserInfo
    from sealoshub.kube.review import ApiServer
    from sealoshub.secret import Secret

__all__ = [
    "ANONYMOUS",
    "ENTRY_POINTS",
    "NO_OPINION",
    "Credential",
    "CredentialsRejected",
    "Factory",
    "Grant",
    "Identity",
    "KeptIn",
    "NoOpinion",
    "Plugin",
    "PluginContext",
    "Scope",
    "Unavailable",
    "UnknownCredential",
]

ENTRY_POINTS: Final = "sealoshub.auth_plugins"
REPOSITORY_ACTIONS: Final = frozenset({"pull", "push", "delete"})


class NoOpinion(Enum):
    """The type of :data:`NO_OPINION`, so that a type checker can tell it from the other answers."""

    NO_OPINION = "no opinion"


NO_OPINION: Final = NoOpinion.NO_OPINION


class CredentialsRejected(AuthenticationError):  # noqa: N818  # the contract's word for an answer
    """The credential is this plugin's business and it is wrong.

    Args:
        message: What is wrong, for the user; without a secret.
        hint: The way out, as a sentence.
    """


class UnknownCredential(CredentialsRejected):
    """No plugin has an opinion about the credential, which in the end is a rejection as well."""


class Unavailable(UnavailableError):  # noqa: N818  # the contract's word for an answer
    """The plugin could not find out; the client shall come again.

    Args:
        message: What failed, for the operator and the user.
        retry_after: Seconds after which it may work again.
        hint: The way out, as a sentence.
    """

    def __init__(self, message: str, *, retry_after: int = 2, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Credential:
    """What a client sent, before anybody believed it.

    Args:
        account: The user name that was typed; never evidence of anything. Empty if none.
        secret: The password. A request without one never reaches `authenticate`.
        address: Address of the client.
        client: What the client calls itself.
    """

    account: str
    secret: Secret
    address: str = ""
    client: str = ""


@dataclass(frozen=True, slots=True)
class KeptIn:
    """The Secret that a token of a ServiceAccount is kept in, or bound to, and dies with.

    Args:
        namespace: Namespace of the Secret.
        name: Its name.
        uid: Its UID; empty if nobody may look whether it is still there.
    """

    namespace: str
    name: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom a plugin vouches for.

    Args:
        name: Full user name, the `sub` of the token.
        uid: Stable identifier, empty if there is none.
        groups: All groups.
        extra: Further attributes that the authority handed out with the identity.
        credential_id: Which credential it was, for the audit log; no secret.
        expires: End of the credential's own life, if it is known.
        method: How he proved it.
        kept_in: The Secret that his token dies with, if there is one.
        key: A digest of name, uid, groups and extra; equal for equal users. Set by itself.
    """

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    credential_id: str = ""
    expires: datetime | None = None
    method: Literal["anonymous", "token", "certificate", "password", "login", "personal"] = (
        "password"
    )
    kept_in: KeptIn | None = None
    key: bytes = field(init=False, repr=False, compare=False, default=b"")

    def __post_init__(self) -> None:
        """Digest the user once, because every decision is looked up by him."""
        extra = sorted((name, tuple(values)) for name, values in self.extra.items())
        text = repr((self.name, self.uid, sorted(self.groups), extra))
        object.__setattr__(self, "key", hashlib.sha256(text.encode()).digest())

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody in particular is asking."""
        return self.method == "anonymous"


ANONYMOUS: Final = Identity(
    "system:anonymous", groups=("system:unauthenticated",), method="anonymous"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """One thing that a client asks for (distribution, "Token scope documentation").

    Args:
        type: `repository`, `registry`; anything else is known to nobody.
        name: Name of the resource, as it was asked.
        actions: What he wants to do; `*` is everything that he may.
    """

    type: str
    name: str
    actions: frozenset[str]

    @property
    def grantable(self) -> frozenset[str]:
        """The actions that an answer may contain: those asked for, with `*` spelled out."""
        if self.type == "repository" and "*" in self.actions:
            return REPOSITORY_ACTIONS
        return self.actions

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(sorted(self.actions))}"


@dataclass(frozen=True, slots=True)
class Grant:
    """An opinion about one scope.

    Args:
        actions: What is granted, a subset of :attr:`Scope.grantable`; empty is a denial.
        reason: Why, for the audit log and for `explain`.
        refused: Why an action is missing that RBAC would allow: a quota. Empty if none is.
    """

    actions: frozenset[str]
    reason: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What the token server hands to a plugin.

    Args:
        services: The audiences that this token server signs for.
        hub_namespace: Namespace of the hub's own objects.
        api: The configured API server; None if there is none.
        one_shot: The process answers one question and ends; nothing is worth watching.
    """

    services: tuple[str, ...]
    hub_namespace: str
    api: ApiServer | None = None
    one_shot: bool = False


class Plugin:
    """A plugin without opinions; a real one overrides what it has an opinion on.

    It is a class because a plugin holds what it read at start, and its caches.
    """

    name: str = "plugin"

    async def start(self) -> None:
        """Begin background work. Must not wait for another server."""

    async def stop(self) -> None:
        """End what :meth:`start` began."""

    def unready(self) -> str | None:
        """Return why requests would fail now, None if they would not."""
        return None

    async def authenticate(self, credential: Credential) -> Identity | NoOpinion:
        """Return who sent *credential*.

        Raises:
            CredentialsRejected: It is of this plugin's kind, and wrong.
            Unavailable: It could not be checked.
        """
        del credential
        return NO_OPINION

    async def authorize(self, identity: Identity, scope: Scope) -> Grant | NoOpinion:
        """Return which of the scope's actions *identity* may do.

        Raises:
            Unavailable: It could not be checked.
        """
        del identity, scope
        return NO_OPINION

    async def confirm(self, identity: Identity) -> bool | NoOpinion:
        """Tell whether somebody who proved himself earlier still exists, the same as then.

        Asked when he comes back with a login of the hub instead of his own credential.

        Raises:
            Unavailable: It could not be checked.
        """
        del identity
        return NO_OPINION

    # Most requests repeat one that was answered seconds ago, and a coroutine costs as much as
    # their answer. A plugin without memory needs none of these three.
    def recall_authenticate(self, credential: Credential) -> Identity | NoOpinion | None:
        """Return what `authenticate` would, if that is known without asking; else None.

        A credential that is known to be wrong is not known, so that `authenticate` says so.
        """
        del credential
        return None

    def recall_authorize(self, identity: Identity, scope: Scope) -> Grant | NoOpinion | None:
        """Return what `authorize` would, if that is known without asking; else None."""
        del identity, scope
        return None

    def recall_confirm(self, identity: Identity) -> bool | NoOpinion | None:
        """Return what `confirm` would, if that is known without asking; else None."""
        del identity
        return None


class Factory(Protocol):
    """What an entry point in `sealoshub.auth_plugins` names."""

    def __call__(self, config: Mapping[str, object], context: PluginContext) -> Plugin:
        """Return a plugin for *config*.

        Raises:
            InvalidInputError: The configuration is wrong; the message names every fault.
        """


def identity_of(
    user: UserInfo,
    *,
    method: Literal["token", "certificate", "login", "personal"],
    credential_id: str = "",
    expires: datetime | None = None,
    kept_in: KeptIn | None = None,
) -> Identity:
    """Return the identity of a Kubernetes user."""
    return Identity(
        name=user.name,
        uid=user.uid,
        groups=user.groups,
        extra=user.extra,
        credential_id=credential_id,
        expires=expires,
        method=method,
        kept_in=kept_in,
    )
