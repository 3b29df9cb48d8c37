"""What a pull writes: `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, or a plain path."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Final

from sealoshub.errors import InvalidInputError, UsageError
from sealoshub.pattern import pattern
from sealoshub.value import Value

_PREFIX: Final = pattern(r"(oci|oci-archive|docker-archive):(?!//)(.*)", re.DOTALL)
_OTHER: Final = pattern(r"(docker|docker-daemon|containers-storage|dir|https?):")
# Image specification, annotations.md, "org.opencontainers.image.ref.name"; no longer than others.
_NAME: Final = pattern(r"[A-Za-z0-9][A-Za-z0-9._:@+/-]{0,254}")
_COMPRESSED: Final = (".gz", ".tgz", ".zst", ".tzst", ".bz2", ".xz")
_HINT: Final = (
    "Write oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], or a path."
)


class Kind(StrEnum):
    """What is written."""

    OCI = "oci"
    OCI_ARCHIVE = "oci-archive"
    DOCKER_ARCHIVE = "docker-archive"


class Target(Value):
    """Where an image goes.

    Args:
        kind: What is written there.
        path: The directory, or the file.
        name: What the image is called in it; None: after where it comes from.
    """

    kind: Kind
    path: Path
    name: str | None = None


def parse(text: str, kind: Kind | None = None) -> Target:
    """Read where a pull writes to.

    Args:
        text: `KIND:PATH[:NAME]`, or a path, colons included.
        kind: What to write to a plain path. None: a path that ends in `.tar`, or is a file, becomes
            an OCI archive, any other an OCI layout.

    Raises:
        UsageError: *text* and *kind* contradict each other, or archives would be compressed.
        InvalidInputError: The path or the name cannot be one.
    """
    prefixed = _PREFIX.fullmatch(text)
    name: str | None = None
    if prefixed is not None:
        found = Kind(prefixed[1])
        if kind is not None and kind is not found:
            raise UsageError(f"--format {kind} contradicts the target {text[:200]!r}")
        where, colon, given = prefixed[2].partition(":")
        name = given if colon else None
    else:
        other = _OTHER.match(text)
        if other is not None and not _exists(Path(text)):
            raise InvalidInputError(f"a pull cannot write to {other[1]}:", hint=_HINT)
        where = text
        found = kind or _guess(text)
    if not where or "\0" in where:
        raise InvalidInputError(f"{text[:200]!r} names no path", hint=_HINT)
    if name is not None and _NAME.fullmatch(name) is None:
        raise InvalidInputError(
            f"{name[:80]!r} is no name for an image in {found}",
            hint="Letters, digits and . _ : @ + / - between them.",
        )
    return Target(found, Path(where), name)


def _guess(text: str) -> Kind:
    path = Path(text)
    if text.endswith("/") or _is(path, "dir"):
        return Kind.OCI
    if path.name.lower().endswith(_COMPRESSED):
        raise UsageError(
            f"{path.name}: archives are written without compression, which their layers have",
            hint="Choose a name that ends in .tar, or say what you want with --format.",
        )
    return Kind.OCI_ARCHIVE if path.suffix.lower() == ".tar" or _is(path, "file") else Kind.OCI


def _is(path: Path, kind: str) -> bool:
    try:
        return path.is_dir() if kind == "dir" else path.is_file()
    except (OSError, ValueError):  # too long; a NUL
        return False


def _exists(path: Path) -> bool:
    return _is(path, "dir") or _is(path, "file")
