"""Names of organisations, repositories and images, and what Kubernetes calls their resources.

An organisation's name is a DNS label without dots, so the part of a resource's name before the
first dot is always its organisation; two organisations can never meet in one name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError
from sealoshub.reference import is_repository, is_tag

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUP: Final = "imagehub.sealos.io"
VERSION: Final = "v1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KINDS: Final = ("Organization", "Repository", "Image", "DataPack")

HUB_NAMESPACE: Final = "imagehub-system"
CONTROLLER: Final = "imagehub-controller"  # ServiceAccount and field manager
USER_NAMESPACE: Final = "user-system"  # where bare names in spec.manager are ServiceAccounts

ORGANIZATION_LABEL: Final = f"organization.{GROUP}"
REPOSITORY_LABEL: Final = f"repository.{GROUP}"
TAG_LABEL: Final = f"tag.{GROUP}"
KEYWORD_LABEL: Final = f"keyword.{GROUP}/"
FINALIZER: Final = f"organization.{GROUP}/finalizer"
FORCE_DELETE: Final = f"{GROUP}/force-delete"

# A Lease by which the token server tells the controller what a registry told it.
CONTENT_LABEL: Final = f"{GROUP}/content"
REPOSITORY_NOTE: Final = f"{GROUP}/repository"
TARGET_NOTE: Final = f"{GROUP}/target"  # the tag, or the digest of what was deleted; or all of it
ACTOR_NOTE: Final = f"{GROUP}/actor"  # who pushed; a Kubernetes user name
DIGEST_NOTE: Final = f"{GROUP}/digest"  # what was pushed

NAMESPACE_PREFIX: Final = "hub-"
MAX_ORGANIZATION: Final = 63 - len(NAMESPACE_PREFIX)  # a namespace is a DNS label
MAX_NAME: Final = 253  # characters of a resource's name
HASH_DIGITS: Final = 10  # 40 bits; only names inside one organisation can meet

_ORGANIZATION: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(
    r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
)
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """What a `spec.name` says: an organisation, perhaps a repository, perhaps a tag.

    Args:
        organization: `team`.
        repository: The part after the organisation, `app`; empty for an organisation.
        tag: `v1`; empty for a repository.
    """

    organization: str
    repository: str = ""
    tag: str = ""

    @property
    def path(self) -> str:
        """`team/app`, as the registry has it."""
        return f"{self.organization}/{self.repository}"

    def __str__(self) -> str:
        repository = f"/{self.repository}" if self.repository else ""
        return f"{self.organization}{repository}{':' + self.tag if self.tag else ''}"


def is_organization(name: str) -> bool:
    """Tell whether *name* may be the name of an organisation."""
    return len(name) <= MAX_ORGANIZATION and _ORGANIZATION.fullmatch(name) is not None


def split_repository(name: str) -> Named:
    """Read `org/repo`.

    Raises:
        InvalidInputError: It is not of that form.
    """
    organization, slash, repository = name.partition("/")
    if (
        not slash
        or not is_organization(organization)
        or "/" in repository
        or not is_repository(name)
    ):
        raise InvalidInputError(
            f"{name[:300]!r} is not the name of a repository of the hub",
            hint="A name has two parts, org/repo: lower-case letters, digits and . _ - between"
            " them; the organisation has no dot and no underscore.",
        )
    return Named(organization, repository)


def split_image(name: str) -> Named:
    """Read `org/repo:tag`.

    Raises:
        InvalidInputError: It is not of that form.
    """
    path, colon, tag = name.partition(":")
    named = split_repository(path)
    if not colon or not is_tag(tag):
        raise InvalidInputError(
            f"{name[:300]!r} is not the name of an image: a tag is missing or malformed",
            hint="Write org/repo:tag.",
        )
    return Named(named.organization, named.repository, tag)


def organization_namespace(organization: str) -> str:
    """Return the namespace that holds the role bindings of *organization*."""
    return NAMESPACE_PREFIX + organization


def object_name(spec_name: str) -> str:
    """Return the `metadata.name` for a `spec.name`: `/` and `:` become dots.

    A name that Kubernetes cannot write so (capitals and underscores of tags, more than 253
    characters) gets those replaced and a hash of *spec_name* at its end, which keeps it unique.
    The rules of the CRDs accept exactly these two forms.
    """
    plain = spec_name.replace("/", ".").replace(":", ".")
    if len(plain) <= MAX_NAME and _SUBDOMAIN.fullmatch(plain):
        return plain
    organization, _, rest = plain.partition(".")
    folded = re.sub(r"[^a-z0-9.-]", "-", rest.lower())
    parts = [part.strip("-") for part in folded.split(".")]
    room = MAX_NAME - len(organization) - 2 - HASH_DIGITS
    readable = ".".join(part for part in parts if part)[:room].rstrip("-.")
    digest = hashlib.sha256(spec_name.encode()).hexdigest()[:HASH_DIGITS]
    return f"{organization}.{readable}-{digest}"


def folded_name(spec_name: str) -> str:
    """Return the other name that an Image may have: dashes after the organisation are dots too.

    The original's own manifests write `labring.cert.manager.v1.8.0` for
    `labring/cert-manager:v1.8.0`.
    """
    organization, _, rest = spec_name.partition("/")
    return f"{organization}.{rest.replace(':', '.').replace('-', '.')}"


def labels_for(spec_name: str, keywords: Iterable[str] = ()) -> dict[str, str]:
    """Return the labels of the Repository or Image named *spec_name*.

    What a label cannot hold (more than 63 characters, an underscore at the end) is left out.

    Raises:
        InvalidInputError: It is neither `org/repo` nor `org/repo:tag`.
    """
    named = split_image(spec_name) if ":" in spec_name else split_repository(spec_name)
    found = {
        ORGANIZATION_LABEL: named.organization,
        REPOSITORY_LABEL: named.repository,
        TAG_LABEL: named.tag,
    }
    labels = {key: value for key, value in found.items() if _LABEL_VALUE.fullmatch(value)}
    for keyword in keywords:
        word = "-".join(keyword.split())
        if _LABEL_VALUE.fullmatch(word):
            labels[KEYWORD_LABEL + word] = ""
    return labels
