"""From members to RBAC subjects: pure functions, the part where a mistake is a hole.

Subjects are told apart by kind, namespace and full name. `dev` the certificate user and `dev` the
ServiceAccount are two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealoshub.imagehub.names import USER_NAMESPACE
from sealoshub.imagehub.rights import Role
from sealoshub.kube.account import service_account

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RBAC: Final = "rbac.authorization.k8s.io"
_ACCOUNT_NAME: Final = re.compile(
    r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
)
_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_NOBODY: Final = frozenset({"", "system:anonymous", "system:unauthenticated"})


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Whom a binding is for. *namespace* is empty except for a ServiceAccount."""

    kind: str
    namespace: str
    name: str

    def manifest(self) -> dict[str, str]:
        """Return it as RBAC has it."""
        if self.kind == "ServiceAccount":
            return {"kind": self.kind, "namespace": self.namespace, "name": self.name}
        return {"apiGroup": RBAC, "kind": self.kind, "name": self.name}

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"


@dataclass(frozen=True, slots=True)
class Roster:
    """Who holds which role, and the entries that no binding can be made of.

    Args:
        subjects: By role, sorted; a role that nobody holds is absent.
        refused: In words, sorted.
    """

    subjects: Mapping[Role, tuple[Subject, ...]]
    refused: tuple[str, ...]


def of_user(name: str) -> Subject:
    """Return the subject of a Kubernetes user name."""
    namespace, account = service_account(name)
    if _NAMESPACE.fullmatch(namespace) and _ACCOUNT_NAME.fullmatch(account):
        return Subject("ServiceAccount", namespace, account)
    return Subject("User", "", name)


def of_manager(name: str) -> Subject:
    """Return the subject of an entry of `spec.manager`.

    A bare name means the ServiceAccount of that name in `user-system`, because that is what a user
    of the original was; anything that cannot be the name of one is a user name.
    """
    if _ACCOUNT_NAME.fullmatch(name):
        return Subject("ServiceAccount", USER_NAMESPACE, name)
    return of_user(name)


def of_organization(spec: Mapping[str, Any]) -> Roster:
    """Return who holds which role in an organisation: creator, managers and members."""
    held: list[tuple[Role, Subject]] = []
    managers = [name for name in spec.get("manager") or () if isinstance(name, str)]
    creator = spec.get("creator")
    # The original wrote the bare name of one ServiceAccount into both fields: that is one person,
    # and not also the certificate user of the same name.
    if isinstance(creator, str) and not (":" not in creator and creator in managers):
        held.append((Role.OWNER, of_user(creator)))
    held += [(Role.OWNER, of_manager(name)) for name in managers]
    return _roster(held, spec.get("members") or ())


def of_repository(spec: Mapping[str, Any]) -> Roster:
    """Return who holds which role in one repository on top of the organisation's members."""
    return _roster([], spec.get("members") or ())


def _roster(held: list[tuple[Role, Subject]], members: Iterable[object]) -> Roster:
    refused: set[str] = set()
    good: dict[Role, set[Subject]] = {}
    for member in members:
        found = _member(member)
        if isinstance(found, str):
            refused.add(found)
        else:
            held.append(found)
    for role, subject in held:
        if subject.name in _NOBODY:
            refused.add(f"{subject} cannot be a member")
        else:
            good.setdefault(role, set()).add(subject)
    return Roster(
        {role: tuple(sorted(good[role])) for role in sorted(good)}, tuple(sorted(refused))
    )


def _member(value: object) -> tuple[Role, Subject] | str:
    """Read one entry of `spec.members`; a string says why it is none.

    The CRD has checked it, but an object can be older than the CRD.
    """
    if not isinstance(value, dict):
        return "an entry that is no object"
    kind, name = str(value.get("kind") or ""), str(value.get("name") or "")
    namespace, role = str(value.get("namespace") or ""), str(value.get("role") or "")
    subject = Subject(kind, namespace, name)
    if role not in set(Role):
        return f"{subject}: there is no role {role!r}"
    if kind == "ServiceAccount":
        if not _NAMESPACE.fullmatch(namespace) or not _ACCOUNT_NAME.fullmatch(name):
            return f"{subject} cannot be a ServiceAccount"
    elif kind not in {"User", "Group"} or namespace:
        return f"{subject} is no User, Group or ServiceAccount"
    return Role(role), subject
