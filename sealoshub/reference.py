"""Names in a registry: references, digests, media types. Parsed once, printed once.

Grammar: OCI distribution specification 1.1, "Pulling manifests", and the reference grammar of
`distribution/reference`. A host is told from a repository by a dot, a port or the word `localhost`,
as every client does. Docker Hub's short names are not expanded here: a hub has no default host.
"""

from __future__ import annotations

import contextlib
import re
import sys
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Final, Self, cast

from sealoshub.errors import InvalidInputError
from sealoshub.pattern import pattern
from sealoshub.value import Value

if TYPE_CHECKING:
    from hashlib import _Hash

MAX_REPOSITORY: Final = 255  # characters; the limit of distribution
FEW: Final = 64 * 1024  # bytes; OpenSSL hashes five times as fast, but takes 3 ms to load
MAX_REFERENCE: Final = 1024  # characters; a longer one is no reference but an accident

_BUILT_IN: Final = "_sha2" if sys.version_info >= (3, 12) else "_sha256"
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_REPOSITORY: Final = pattern(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG: Final = pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST: Final = pattern(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?")
_DIGEST: Final = pattern(r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")


class MediaType(StrEnum):
    """The media types that this project reads or writes (OCI image specification 1.1)."""

    OCI_INDEX = "application/vnd.oci.image.index.v1+json"
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
    OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
    OCI_EMPTY = "application/vnd.oci.empty.v1+json"
    DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    DOCKER_FOREIGN_LAYER_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


INDEX_TYPES: Final = frozenset({MediaType.OCI_INDEX, MediaType.DOCKER_INDEX})
MANIFEST_TYPES: Final = frozenset({MediaType.OCI_MANIFEST, MediaType.DOCKER_MANIFEST})


class Digest(Value):
    """A content address, `sha256:<64 hex>` or `sha512:<128 hex>`."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check and wrap *text*.

        Raises:
            InvalidInputError: It is not a digest of a registered algorithm.
        """
        if not _DIGEST.fullmatch(text):
            raise InvalidInputError(
                f"{text[:80]!r} is not a digest",
                hint="A digest is written sha256: and 64 hexadecimal digits.",
            )
        return cls(text)

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the sha256 digest of *content*."""
        hashed = _hasher("sha256", len(content))
        hashed.update(content)
        return cls(f"sha256:{hashed.hexdigest()}")

    @property
    def algorithm(self) -> str:
        """`sha256` or `sha512`."""
        return self.text.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hexadecimal part."""
        return self.text.partition(":")[2]

    def hasher(self, size: int | None = None) -> _Hash:
        """Return a fresh hash object of this digest's algorithm.

        Args:
            size: How many bytes will be hashed, if that is known.
        """
        return _hasher(self.algorithm, size)

    def __lt__(self, other: Digest) -> bool:
        return self.text < other.text

    def __str__(self) -> str:
        return self.text


class Reference(Value):
    """`host/org/repo:tag@digest`, every part checked.

    Args:
        host: `name[:port]` as the user wrote it, without a scheme.
        repository: Path in the registry, at least one component.
        tag: A tag, or None.
        digest: A digest, or None.
    """

    host: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host/repository[:tag][@digest]`.

        Raises:
            InvalidInputError: The text is no such reference; the message names the wrong part.
        """
        if len(text) > MAX_REFERENCE:
            raise InvalidInputError(f"the reference is longer than {MAX_REFERENCE} characters")
        if "://" in text:
            raise InvalidInputError(
                f"{_shown(text)!r} is a URL, not an image reference",
                hint="Leave the scheme away: host/org/repo:tag.",
            )
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        host, slash, path = rest.partition("/")
        if not slash or not _is_host(host):
            raise InvalidInputError(
                f"{_shown(text)!r} does not begin with the host of a registry",
                hint="Write it in full, for example hub.sealos.io/org/repo:tag.",
            )
        repository, colon, tag = path.partition(":")
        if not _REPOSITORY.fullmatch(repository) or len(repository) > MAX_REPOSITORY:
            raise InvalidInputError(
                f"{repository!r} is not a repository name",
                hint="Lower-case letters, digits and . _ - between them, parts separated by /,"
                f" at most {MAX_REPOSITORY} characters.",
            )
        if colon and not _TAG.fullmatch(tag):
            raise InvalidInputError(
                f"{tag!r} is not a tag",
                hint="Letters, digits and . _ -, at most 128, not beginning with . or -.",
            )
        return cls(host, repository, tag or None, digest)

    @property
    def organization(self) -> str | None:
        """The first component of a repository of the form `org/repo`; None for any other form."""
        parts = self.repository.split("/")
        return parts[0] if len(parts) == 2 else None  # noqa: PLR2004  # org and repo

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}{tag}{digest}"


def parse_host(text: str) -> str:
    """Read the host that a user typed at `login`: `name[:port]`, scheme and final slash allowed.

    Raises:
        InvalidInputError: It is not a host.
    """
    host = re.sub(r"^https?://", "", text.strip()).rstrip("/")
    if not _HOST.fullmatch(host):
        raise InvalidInputError(
            f"{_shown(text)!r} is not the host of a registry",
            hint="Write name or name:port, for example hub.sealos.io.",
        )
    return host


def is_tag(text: str) -> bool:
    """Tell whether *text* may be a tag."""
    return _TAG.fullmatch(text) is not None


def is_repository(text: str) -> bool:
    """Tell whether *text* may be the name of a repository."""
    return len(text) <= MAX_REPOSITORY and _REPOSITORY.fullmatch(text) is not None


def _shown(text: str) -> str:
    """Return *text* without what somebody may have typed as `user:password@`."""
    return re.sub(r"[^/@]*:[^/@]*@", "***@", text)


def _hasher(algorithm: str, size: int | None) -> _Hash:
    """Return a fresh hash object; where nobody has loaded OpenSSL yet, few bytes do without it."""
    if algorithm == "sha256" and size is not None and size <= FEW and "hashlib" not in sys.modules:
        with contextlib.suppress(ImportError):  # a Python that was built without it
            return cast("_Hash", import_module(_BUILT_IN).sha256())
    import hashlib  # noqa: PLC0415  # see above

    return hashlib.new(algorithm)


def _is_host(text: str) -> bool:
    named = "." in text or ":" in text or text == "localhost"
    return named and _HOST.fullmatch(text) is not None
