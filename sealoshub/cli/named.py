"""What a person may write for an organisation, a repository or an image: with its host or without.

Names in the hub's resources have no host. People copy references that have one, so both are read;
a first part with a dot, a colon or the word `localhost` is a host, as in every reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from sealoshub.cli import private_names
from sealoshub.errors import DeniedError, InvalidInputError, NotFoundError
from sealoshub.imagehub import names, subjects
from sealoshub.imagehub.rights import Role
from sealoshub.reference import parse_host

if TYPE_CHECKING:
    from sealoshub.imagehub.names import Named
    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster

OWNERS_SHOWN: Final = 5  # of those who could help; more names are no more help


@dataclass(frozen=True, slots=True)
class Place:
    """A name and, if it was written, its host."""

    host: str | None
    named: Named


def split_host(text: str) -> tuple[str | None, str]:
    """Return the host that *text* begins with, or None, and the rest.

    Raises:
        InvalidInputError: It begins with something that could only be a host, and is none.
    """
    if "://" in text:
        raise InvalidInputError(
            f"{text[:80]!r} is a URL", hint="Leave the scheme away: host/org/repo."
        )
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return parse_host(first), rest
    return None, text


def organization(text: str) -> str:
    """Read `[host/]org`.

    Raises:
        InvalidInputError: It is no name of an organisation.
    """
    _, name = split_host(text)
    if not names.is_organization(name):
        raise InvalidInputError(
            f"{name[:80]!r} is not the name of an organization",
            hint="Lower-case letters, digits and dashes between them, at most"
            f" {names.MAX_ORGANIZATION} characters.",
        )
    return name


def repository(text: str) -> Place:
    """Read `[host/]org/repo`.

    Raises:
        InvalidInputError: It is not of that form; a tag or digest is not ignored.
    """
    host, name = split_host(text)
    if ":" in name or "@" in name:
        raise InvalidInputError(
            f"{name[:300]!r} names an image, and not a repository",
            hint="Leave tag and digest away: org/repo.",
        )
    return Place(host, names.split_repository(name))


def get(cluster: Cluster, kind: str, spec_name: str) -> Object:
    """Read the resource of *kind* for *spec_name*.

    Raises:
        NotFoundError: There is none; in the words of people.
        DeniedError: The hub keeps its names private from the user.
    """
    try:
        return cluster.look_up(kind, names.object_name(spec_name))
    except DeniedError as exc:
        exc.hint = exc.hint or private_names.HINT
        raise
    except NotFoundError as exc:
        plural = {"Organization": "orgs", "Repository": "repos", "Image": "images"}[kind]
        raise NotFoundError(
            f"there is no {kind.lower()} {spec_name}",
            hint=f"`sealoshub get {plural}` lists those that there are."
            " Is this kubeconfig one of the hub's cluster?",
        ) from exc


def denied(exc: DeniedError, organization: Object | None) -> NoReturn:
    """Raise *exc* again, with those who could help.

    Args:
        exc: What the API server said.
        organization: Whose owners may do or grant it; None if it is not known.
    """
    found = owners(organization) if organization is not None else []
    if found and organization is not None:
        shown = ", ".join(found[:OWNERS_SHOWN])
        more = f" and {len(found) - OWNERS_SHOWN} more" if len(found) > OWNERS_SHOWN else ""
        name = organization["metadata"]["name"]
        exc.hint = f"Ask an owner of {name}: {shown}{more}."
    raise exc


def denied_in(exc: DeniedError, cluster: Cluster, name: str) -> NoReturn:
    """Raise *exc* again, with the owners of the organisation *name* if it can be read."""
    try:
        found = cluster.look_up("Organization", name)
    except (DeniedError, NotFoundError):
        denied(exc, None)
    denied(exc, found)


def owners(organization: Object) -> list[str]:
    """Return the owners of an organisation in words: `User alice`, `Group admins`."""
    roster = subjects.of_organization(organization.get("spec") or {})
    return [str(subject) for subject in roster.subjects.get(Role.OWNER, ())]
