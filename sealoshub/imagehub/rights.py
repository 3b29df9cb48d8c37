"""Rights: the verbs of our own, the roles that hold them, and what the registry calls them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Verb(StrEnum):
    """What may be done with a repository or an organisation, as RBAC rules and reviews have it.

    They are words that no default role of Kubernetes hands out: `get` or `update` on the resources
    say nothing about content.
    """

    PULL = "pull"
    PUSH = "push"
    DELETE_CONTENT = "delete-content"
    MANAGE = "manage"
    CATALOG = "catalog"
    CONTROL = "control"  # write what the controller writes; asked without namespace and name


class Role(StrEnum):
    """What a member of an organisation or repository is. Each role holds all of the one before."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    MAINTAINER = "maintainer"
    OWNER = "owner"


_VIEWER: Final = (Verb.PULL, Verb.CATALOG)
VERBS_OF_ROLE: Final[Mapping[Role, tuple[Verb, ...]]] = {
    Role.VIEWER: _VIEWER,
    Role.DEVELOPER: (*_VIEWER, Verb.PUSH),
    Role.MAINTAINER: (*_VIEWER, Verb.PUSH, Verb.DELETE_CONTENT),
    Role.OWNER: (*_VIEWER, Verb.PUSH, Verb.DELETE_CONTENT, Verb.MANAGE),
}

CLUSTER_ROLE_OF: Final[Mapping[Role, str]] = {role: f"imagehub:{role}" for role in Role}

_VERB_OF_ACTION: Final[Mapping[str, Verb]] = {
    "pull": Verb.PULL,
    "push": Verb.PUSH,
    "delete": Verb.DELETE_CONTENT,
}


def verb_of_action(action: str) -> Verb | None:
    """Return the verb that a registry action (of a token scope) needs; None: it grants nothing."""
    return _VERB_OF_ACTION.get(action)
