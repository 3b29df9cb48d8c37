"""One credential file: read as it is, changed without losing anything.

A change is made under a lock, on what the file holds at that moment, and replaces the file in one
step. Docker and containers/image lock nothing and drop what they do not know; this does neither.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FILE: Final = 4 << 20  # bytes; a credential file of this size is some other file
LOCK_SECONDS: Final = 30.0  # a change takes milliseconds; waiting longer means a stuck process
PRIVATE_FILE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700


def load(path: Path) -> dict[str, object]:
    """Read a credential file. One that is missing or empty holds nothing.

    Raises:
        InvalidInputError: It cannot be read, or is not a JSON object.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        raise InvalidInputError(f"{path} cannot be read: {exc.strerror}") from exc
    if len(content) > MAX_FILE:
        raise InvalidInputError(f"{path} is larger than {MAX_FILE >> 20} MiB")
    return parse(content, str(path))


def parse(content: bytes, source: str) -> dict[str, object]:
    """Read the JSON of a credential file; *source* is for messages.

    Raises:
        InvalidInputError: It is not a JSON object.
    """
    if not content.strip():
        return {}
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as exc:
        line = f" in line {exc.lineno}" if isinstance(exc, json.JSONDecodeError) else ""
        # `from None`: the exception carries the whole text, secrets included.
        raise InvalidInputError(
            f"{source} is not valid JSON{line}; it was left as it is",
            hint="Repair it, or move it away and log in again.",
        ) from None
    if not isinstance(body, dict):
        raise InvalidInputError(
            f"{source} is not a JSON object; it was left as it is",
            hint="Repair it, or move it away and log in again.",
        )
    return body


def section(body: dict[str, object], name: str, where: str) -> dict[str, object]:
    """Return the object *name* of a file's content; an empty one if there is none.

    Raises:
        InvalidInputError: It is something else; *where* is for the message.
    """
    found = body.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidInputError(f"{name} in {where} is not an object")
    return found


def edit(path: Path, change: Callable[[dict[str, object]], bool]) -> bool:
    """Change a file under its lock.

    The lock is `<file>.lock` beside the real file (behind any symbolic link). The new content is
    written to a temporary file in the same directory, flushed to disk, and renamed over the old
    one; mode and owner stay.

    Args:
        path: The file; it and its directory are made if needed (0600, 0700).
        change: Changes the content in place and returns whether it did.

    Returns:
        What *change* returned.

    Raises:
        InvalidInputError: The file is corrupt (it stays untouched), belongs to somebody else, or
            cannot be written.
        UnavailableError: Another process holds the lock for too long.
    """
    import filelock  # noqa: PLC0415  # 15 ms that reading commands need not wait

    real = Path(os.path.realpath(path))
    try:
        real.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        with filelock.FileLock(
            f"{real}.lock", timeout=LOCK_SECONDS, mode=PRIVATE_FILE, poll_interval=0.01
        ):
            body = load(real)
            if not change(body):
                return False
            _replace(real, body)
            return True
    except filelock.Timeout as exc:
        raise UnavailableError(
            f"{path} has been locked by another program for {LOCK_SECONDS:.0f} seconds",
            hint=f"If no such program runs, remove {real}.lock.",
        ) from exc
    except OSError as exc:
        raise InvalidInputError(
            f"{path} cannot be written: {exc.strerror}", hint="Name another file with --authfile."
        ) from exc


def _replace(real: Path, body: dict[str, object]) -> None:
    old = real.stat() if real.exists() else None
    if old is not None and os.geteuid() not in {0, old.st_uid}:
        raise InvalidInputError(f"{real} belongs to another user; nothing was written")
    content = json.dumps(body, indent="\t", ensure_ascii=False) + "\n"
    import tempfile  # noqa: PLC0415  # with random and shutil: 5 ms, and few commands write

    handle, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(handle, stat.S_IMODE(old.st_mode) if old else PRIVATE_FILE)
            if old is not None and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                # Only root may give a file away; a group of one's own may be kept.
                with contextlib.suppress(PermissionError):
                    os.fchown(handle, old.st_uid, old.st_gid)
            os.fsync(handle)
        Path(name).replace(real)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(real.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
