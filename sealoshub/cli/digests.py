"""`--digestfile`: the digest of what was moved, alone in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.reference import Digest


def check(path: Path | None) -> None:
    """Refuse what would fail only after everything was moved.

    Raises:
        InvalidInputError: There is no folder for it.
    """
    if path is not None and not path.parent.is_dir():
        raise InvalidInputError(f"there is no folder {path.parent} for --digestfile")


def write(path: Path | None, digest: Digest) -> None:
    """Write *digest*, if the user has named a file.

    Raises:
        InvalidInputError: It cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(digest.text)
    except OSError as exc:
        raise InvalidInputError(f"{path} cannot be written: {exc.strerror}") from exc
