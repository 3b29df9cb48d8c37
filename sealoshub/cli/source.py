"""What `sealoshub push` pushes: a named source, or the local image called like the target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sealoshub.errors import SealosHubError, UsageError
from sealoshub.reference import Reference
from sealoshub.value import Value

if TYPE_CHECKING:
    from sealoshub.registry.source import FromRegistry, ImageSource


class Wanted(Value):
    """What is to be pushed.

    Args:
        name: As the user named it; None: the local image that is called like the target.
        platform: `os/architecture[/variant]`; None: everything.
        compression: `gzip`, `zstd` or `none`; None: the default of each kind of source.
    """

    name: str | None
    platform: str | None = None
    compression: str | None = None


def split_words(first: str | None, second: str | None) -> tuple[str | None, str]:
    """Tell source and reference of `[SOURCE] REF` apart.

    Raises:
        UsageError: The reference is missing.
    """
    if first is not None and second is not None:
        return first, second
    if first is None or _is_source(first):
        raise UsageError("Missing argument 'REF'", hint="See sealoshub push --help.")
    return None, first


def open_wanted(wanted: Wanted, target: Reference, from_registry: FromRegistry) -> ImageSource:
    """Open it; a context manager.

    Args:
        wanted: What.
        target: Where it will go.
        from_registry: Opens what is in another registry.

    Raises:
        NotFoundError: There is no such source.
        InvalidInputError: It is no image, or a damaged one.
    """
    from sealoshub.registry import source  # noqa: PLC0415  # not for --help

    if wanted.name is None:
        return source.find_local(
            str(target), compression=wanted.compression, platform=wanted.platform
        )
    return source.open_image(
        wanted.name,
        compression=wanted.compression,
        platform=wanted.platform,
        from_registry=from_registry,
    )


def repository_beside(name: str | None, target: Reference) -> tuple[str, ...]:
    """Return the repository of the same registry that *name* lies in: its blobs can be mounted."""
    from sealoshub.registry import source  # noqa: PLC0415  # not for --help

    found = None if name is None else source.parse_source(name)
    if found is None or found.kind is not source.Kind.REGISTRY:
        return ()
    beside = Reference.parse(found.rest.removeprefix("//"))
    if beside.host != target.host or beside.repository == target.repository:
        return ()
    return (beside.repository,)


def _is_source(text: str) -> bool:
    """Tell whether a lone word can only be a source: it has a prefix, or it is there."""
    from sealoshub.registry import source  # noqa: PLC0415  # not for --help

    try:
        return source.parse_source(text).kind is not source.Kind.PATH or Path(text).exists()
    except (SealosHubError, OSError, ValueError):  # of another program's kind; too long; a NUL
        return True
