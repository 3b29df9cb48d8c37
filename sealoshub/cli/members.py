"""The members of an organisation: pure functions from one `spec` to the next.

The rules about who a name means are those of the controller, which makes the bindings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sealoshub.errors import InvalidInputError, NotFoundError, UsageError
from sealoshub.imagehub import subjects
from sealoshub.imagehub.rights import Role
from sealoshub.imagehub.subjects import Subject
from sealoshub.kube.account import user_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    Spec = Mapping[str, Any]


class Source(StrEnum):
    """The field of `spec` that a role comes from."""

    CREATOR = "creator"
    MANAGER = "manager"
    MEMBER = "member"


@dataclass(frozen=True, slots=True, order=True)
class Holder:
    """Somebody with a role, and where it is written.

    Args:
        subject: Who.
        role: Which.
        source: `creator`, `manager` or `member`.
    """

    subject: Subject
    role: Role
    source: Source


def subject_of(user: str | None, group: str | None, service_account: str | None) -> Subject:
    """Return whom the options name; a user name of a ServiceAccount means the account.

    Raises:
        UsageError: Not exactly one of them is given, or the account is not `namespace/name`.
    """
    given = [text for text in (user, group, service_account) if text is not None]
    if len(given) != 1:
        raise UsageError(
            "whom? Exactly one of --user, --group and --service-account is needed",
            hint="For example --user alice, or --service-account ci/builder.",
        )
    if not given[0].strip():
        raise UsageError("a name must not be empty")
    if user is not None:
        return subjects.of_user(user)
    if group is not None:
        return Subject("Group", "", group)
    namespace, slash, name = given[0].partition("/")
    found = subjects.of_user(user_name(namespace, name))
    if not slash or found.kind != "ServiceAccount":
        raise UsageError(
            f"{given[0]!r} is not a ServiceAccount", hint="Write namespace/name: ci/builder."
        )
    return found


def holders(spec: Spec) -> list[Holder]:
    """Return everybody who has a role, the strongest role first; the same person may come twice."""
    creator, managers = spec.get("creator"), spec.get("manager") or ()
    # A bare creator who is a manager too is one ServiceAccount, as the original wrote it.
    pair = [creator] if creator in managers else []
    found = {
        Holder(subject, Role.OWNER, Source.CREATOR)
        for subject in _owners({"creator": creator, "manager": pair})
    }
    found |= {
        Holder(subject, Role.OWNER, Source.MANAGER) for subject in _owners({"manager": managers})
    }
    roster = subjects.of_organization({"members": spec.get("members")})
    found |= {
        Holder(_canonical(subject), role, Source.MEMBER)
        for role, held in roster.subjects.items()
        for subject in held
    }
    strongest = list(Role)[::-1]
    return sorted(found, key=lambda holder: (strongest.index(holder.role), holder))


def refused(spec: Spec) -> tuple[str, ...]:
    """Return, in words, the entries that give nobody a role."""
    return subjects.of_organization(spec).refused


def with_member(spec: Spec, subject: Subject, role: Role) -> tuple[dict[str, Any], Role | None]:
    """Return the fields of *spec* that change when *subject* gets *role*, and its role before.

    No field changes if it is a member with that role already.
    """
    before = _role_of(spec, subject)
    if before is role:
        return {}, before
    entry = {"kind": subject.kind, "name": subject.name, "role": str(role)}
    if subject.namespace:
        entry["namespace"] = subject.namespace
    kept = [item for item in spec.get("members") or () if _who(item) != subject]
    return {"members": [*kept, entry]}, before


def without_member(spec: Spec, subject: Subject) -> tuple[dict[str, Any], str]:
    """Return the fields of *spec* that change when *subject* loses its roles, and those in words.

    Raises:
        NotFoundError: It has none.
        InvalidInputError: It is the creator, whose role nothing takes away.
    """
    roles = [holder for holder in holders(spec) if holder.subject == subject]
    if not roles:
        raise NotFoundError(f"{subject} is no member")
    # Not even as a manager: without that entry a bare creator would mean another person, the user
    # of that name and not the ServiceAccount.
    if any(holder.source is Source.CREATOR for holder in roles):
        raise InvalidInputError(
            f"{subject} made the organization, and its creator always is an owner",
            hint="The creator of an organization cannot be changed.",
        )
    names = [name for name in spec.get("manager") or () if isinstance(name, str)]
    left = [name for name in names if subjects.of_manager(name) != subject]
    changes: dict[str, Any] = {}
    if len(left) != len(names):
        changes["manager"] = left
    members = list(spec.get("members") or ())
    kept = [item for item in members if _who(item) != subject]
    if len(kept) != len(members):
        changes["members"] = kept
    return changes, ", ".join(dict.fromkeys(str(holder.role) for holder in roles))


def loses_last_owner(before: Spec, after: Spec) -> bool:
    """Tell whether *before* has an owner and *after* has none."""
    has, will = (
        subjects.of_organization(spec).subjects.get(Role.OWNER) for spec in (before, after)
    )
    return bool(has) and not will


def _owners(spec: Spec) -> set[Subject]:
    return set(subjects.of_organization(spec).subjects.get(Role.OWNER, ()))


def _role_of(spec: Spec, subject: Subject) -> Role | None:
    for item in spec.get("members") or ():
        if _who(item) == subject:
            # Asked of the roster, because an entry that is refused holds no role.
            found = subjects.of_organization({"members": [item]}).subjects
            return next(iter(found), None)
    return None


def _who(entry: object) -> Subject | None:
    """Return whom an entry of `spec.members` means, however it is written."""
    if not isinstance(entry, dict):
        return None
    kind, name = str(entry.get("kind") or ""), str(entry.get("name") or "")
    return _canonical(Subject(kind, str(entry.get("namespace") or ""), name))


def _canonical(subject: Subject) -> Subject:
    return subjects.of_user(subject.name) if subject.kind == "User" else subject
