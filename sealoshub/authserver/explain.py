"""Why somebody may or may not: the rule that says so, and whom to ask.

What is told is never more than the asker could find out by himself: the owners of an organisation
only to who may read it, another user's rights only to its owners. A missing organisation and one
that may not be known are answered alike.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealoshub.authplugin import ANONYMOUS, Identity, Scope
from sealoshub.authserver.exchange import Proved
from sealoshub.authserver.request import MAX_NAME, MAX_VALUE, RequestRefusedError
from sealoshub.errors import DeniedError, InvalidInputError, NotFoundError
from sealoshub.imagehub import limits
from sealoshub.imagehub.names import (
    GROUP,
    USER_NAMESPACE,
    VERSION,
    object_name,
    organization_namespace,
    split_repository,
)
from sealoshub.imagehub.rights import Role, Verb, verb_of_action
from sealoshub.kube import UserInfo
from sealoshub.kube.account import account_groups, service_account
from sealoshub.kube.answer import ResourceAttributes
from sealoshub.reference import is_tag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import QueryParams

    from sealoshub.authserver.exchange import Exchange
    from sealoshub.imagehub.names import Named
    from sealoshub.kube.review import ApiServer

MAX_OWNERS: Final = 20  # enough to find one who answers
MAX_GROUPS: Final = 32

_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_ACCOUNT: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

# `delete` is the registry's word and `delete-content` that of RBAC; both are understood.
_ACTIONS: Final = {
    word: action
    for action in ("pull", "push", "delete")
    for word in (action, str(verb_of_action(action)))
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be explained.

    Args:
        action: `pull`, `push` or `delete`.
        repository: Its name, as it was asked.
        user: Whose right it is; empty for the asker's own.
        groups: Further groups of *user*, which nobody but the API server knows.
        tag: The tag that would be pushed; empty if none was named.
    """

    action: str
    repository: str
    user: str = ""
    groups: tuple[str, ...] = ()
    tag: str = ""


def read(query: QueryParams) -> Asked:
    """Read the query of `GET /v1/explain`.

    Raises:
        RequestRefusedError: It is malformed.
    """
    word, name = query.get("verb", ""), query.get("repository", "")
    if word not in _ACTIONS or not 0 < len(name) <= MAX_NAME:
        known = ", ".join(_ACTIONS)
        raise RequestRefusedError(f"verb must be one of {known}; repository must be given")
    user, groups = query.get("as", ""), tuple(query.getlist("group"))
    if "as" in query and not user:
        raise RequestRefusedError("as must be the name of a user")
    if groups and not user:
        raise RequestRefusedError("group makes no sense without as")
    if len(groups) > MAX_GROUPS:
        raise RequestRefusedError(f"more than {MAX_GROUPS} groups")
    for value in (user, *groups):
        if len(value) > MAX_VALUE or not value.isprintable():
            raise RequestRefusedError("as and group must be names")
    tag = query.get("tag", "")
    if tag and not is_tag(tag):
        raise RequestRefusedError("tag must be a tag")
    return Asked(_ACTIONS[word], name, user, groups, tag)


async def answer(
    exchange: Exchange, api: ApiServer | None, proved: Proved, asked: Asked
) -> dict[str, object]:
    """Return whether, why, and if not who could grant it.

    Raises:
        DeniedError: The asker may not ask about another user.
        Unavailable: It could not be decided.
    """
    named = _named(asked.repository)
    subject = proved
    if asked.user and asked.user != proved.identity.name:
        await _require_owner(api, proved, named, asked.user)
        subject = Proved(_somebody(asked.user, asked.groups))
    scope = Scope("repository", asked.repository, frozenset({asked.action}))
    grant = await exchange.grant(subject, scope)
    allowed = asked.action in grant.actions
    owners: list[str] = []
    reason = grant.reason
    limited = subject.login is not None and not subject.login.allows(scope, asked.action)
    if not allowed:
        if limited:
            reason = f"this personal token is not for {asked.action} on {asked.repository}"
        elif grant.refused:
            reason = grant.refused
        else:
            verb = verb_of_action(asked.action)
            public = ", and it is not public" if asked.action == "pull" else ""
            who = subject.identity.name
            reason = f"no binding gives {who} the verb {verb} on {asked.repository}{public}"
            owners = await _owners(api, proved, named)
    return {
        "user": subject.identity.name,
        "verb": str(verb_of_action(asked.action)),
        "repository": asked.repository,
        "allowed": allowed,
        "reason": reason,
        "owners": owners,
        "limited": limited,
        # Nobody who could be asked for the right could help.
        "full": not allowed and not limited and bool(grant.refused),
        "immutable": allowed and await _is_immutable(api, named, asked),
    }


def owners_of(organization: Mapping[str, Any]) -> list[str]:
    """Return who owns *organization*, as RBAC names them: `User bob`, `ServiceAccount ns/name`."""
    spec = organization.get("spec") or {}
    managers = [name for name in spec.get("manager") or () if isinstance(name, str)]
    creator = spec.get("creator")
    found: list[str] = []
    if isinstance(creator, str) and creator and creator not in managers:
        found.append(_shown(creator))
    for name in managers:
        # A bare name is a ServiceAccount of the users' namespace, as for the controller.
        bare = _ACCOUNT.fullmatch(name)
        found.append(f"ServiceAccount {USER_NAMESPACE}/{name}" if bare else _shown(name))
    for member in spec.get("members") or ():
        if isinstance(member, dict) and member.get("role") == Role.OWNER:
            namespace = member.get("namespace")
            name = f"{namespace}/{member.get('name')}" if namespace else str(member.get("name"))
            found.append(f"{member.get('kind')} {name}")
    return list(dict.fromkeys(found))[:MAX_OWNERS]


async def _is_immutable(api: ApiServer | None, named: Named | None, asked: Asked) -> bool:
    """Tell whether the tag, once it is there, never names another image."""
    if api is None or named is None or not asked.tag or asked.action == "pull":
        return False
    found = await _read(api, f"/apis/{GROUP}/{VERSION}/repositories/{object_name(named.path)}")
    spec = (found or {}).get("spec") or {}
    return limits.matches_any(limits.patterns(spec.get("immutableTags")), asked.tag)


async def _owners(api: ApiServer | None, proved: Proved, named: Named | None) -> list[str]:
    """Return the owners if the asker may read the organisation; none, whatever the reason."""
    limited = proved.login is not None and proved.login.scopes is not None
    if api is None or named is None or limited or proved.identity.is_anonymous:
        return []
    asked = ResourceAttributes("get", GROUP, "organizations", named.organization)
    path = f"/apis/{GROUP}/{VERSION}/organizations/{named.organization}"
    # Both are asked in any case, so that time does not tell a missing one from a forbidden one.
    decision, found = await asyncio.gather(
        api.subject_access_review(_user(proved.identity), asked), _read(api, path)
    )
    return owners_of(found) if decision.allowed and found is not None else []


async def _read(api: ApiServer, path: str) -> dict[str, Any] | None:
    try:
        return await api.get(path)
    except NotFoundError:
        return None


async def _require_owner(
    api: ApiServer | None, proved: Proved, named: Named | None, user: str
) -> None:
    """Hold that the asker owns the organisation or may impersonate *user*.

    Raises:
        DeniedError: Neither.
    """
    limited = proved.login is not None and proved.login.scopes is not None
    if api is not None and named is not None and not limited:
        organization = named.organization
        questions = (
            ResourceAttributes(
                str(Verb.MANAGE),
                GROUP,
                "organizations",
                organization,
                organization_namespace(organization),
            ),
            _impersonation(user),
        )
        who = _user(proved.identity)
        decisions = await asyncio.gather(*(api.subject_access_review(who, q) for q in questions))
        if any(decision.allowed for decision in decisions):
            return
    raise DeniedError(
        "only an owner of the organisation may ask for somebody else",
        hint="Leave --as away, or let an owner ask",
    )


def _impersonation(user: str) -> ResourceAttributes:
    namespace, name = service_account(user)
    if name:
        return ResourceAttributes("impersonate", "", "serviceaccounts", name, namespace)
    return ResourceAttributes("impersonate", "", "users", user)


def _somebody(name: str, groups: tuple[str, ...]) -> Identity:
    """Return the user *name*, in the groups that every such user is in and those that were said."""
    if name == ANONYMOUS.name:
        return ANONYMOUS
    known = ["system:authenticated"]
    namespace, account = service_account(name)
    if account:
        known += account_groups(namespace)
    return Identity(name, groups=tuple(dict.fromkeys([*known, *groups])), method="token")


def _named(repository: str) -> Named | None:
    try:
        return split_repository(repository)
    except InvalidInputError:
        return None


def _shown(user: str) -> str:
    namespace, name = service_account(user)
    return f"ServiceAccount {namespace}/{name}" if name else f"User {user}"


def _user(identity: Identity) -> UserInfo:
    return UserInfo(identity.name, identity.uid, identity.groups, identity.extra)
