"""Change the signing key without a refused request: the files of a folder of keys, and their order.

    standby-….pem   published, signs nothing yet; registries learn it when they start
    signing.pem     signs
    retired-….pem   published still, until the last token that it signed has ended

A registry reads its keys only when it starts, so a key must be known to it before the key signs.
Because there is always a key standing by that every registry learned at its last start, a change of
keys needs no restart at all. Every step is one rename, and between any two of them the folder is
whole: whoever reads it then sees a key that signs and all that are to be accepted.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from sealoshub.authserver import keys
from sealoshub.authserver.config import MAX_TOKEN_SECONDS
from sealoshub.authserver.keys import RETIRED, SIGNING, STANDBY
from sealoshub.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from sealoshub.authserver.keys import Key

STANDBYS: Final = 2  # so many changes are possible before a registry has to start again
LEEWAY_SECONDS: Final = 60  # that registries allow after the end of a token
RETIRED_SECONDS: Final = MAX_TOKEN_SECONDS + LEEWAY_SECONDS  # whatever token_seconds is

_MOMENT: Final = "%Y%m%dT%H%M%S%fZ"
_NAME: Final = re.compile(rf"{RETIRED}(\d{{8}}T\d{{12}}Z)\.pem")


@dataclass(frozen=True, slots=True)
class Rotation:
    """A change of keys: the `kid` that signed before, and the one that signs now."""

    before: str
    after: str


def state(key: Key, signing: Key) -> Literal["signing", "standby", "retired", "published"]:
    """Return what *key* is for; `published` is one that was put there by hand."""
    if key.kid == signing.kid:
        return "signing"
    if key.name.startswith(STANDBY):
        return "standby"
    return "retired" if key.name.startswith(RETIRED) else "published"


def fill(directory: Path, count: int = STANDBYS) -> int:
    """Make keys that stand by until there are *count*; return how many were made.

    Raises:
        InvalidInputError: One cannot be written.
    """
    there = len(list(directory.glob(f"{STANDBY}*.pem")))
    for _ in range(there, count):
        keys.generate(directory, f"{STANDBY}{os.urandom(4).hex()}.pem")
    return max(0, count - there)


def rotate(directory: Path, known: Collection[str] | None, now: datetime) -> Rotation:
    """Let a key that stands by sign, and retire the one that signed.

    Args:
        directory: The keys.
        known: The `kid` of every key that all registries know; None if that does not matter,
            because they start after this.
        now: Wall-clock time, for the name of the retired key.

    Raises:
        NotFoundError: No key that registries know stands by, or there are no keys at all.
        InvalidInputError: A file cannot be read, or the folder cannot be written.
    """
    found = keys.load(directory)
    ready = [
        key
        for key in found.keys
        if state(key, found.signing) == "standby" and (known is None or key.kid in known)
    ]
    if not ready:
        raise NotFoundError("no key that the registry knows stands by")
    retired = directory / f"{RETIRED}{now.astimezone(UTC):{_MOMENT}}.pem"
    old, new = directory / found.signing.name, directory / ready[0].name
    try:
        if old.name == SIGNING:
            os.link(old, retired)
            new.replace(old)
        else:
            new.replace(directory / SIGNING)
            old.rename(retired)
    except OSError as exc:
        raise InvalidInputError(
            f"cannot change the keys in {directory}: {exc.strerror}",
            hint="Keys of a mounted Secret are changed in the Secret.",
        ) from exc
    return Rotation(found.signing.kid, ready[0].kid)


def undo(directory: Path, rotation: Rotation) -> None:
    """Let the key sign again that did before *rotation*; the other stands by as it did.

    Raises:
        InvalidInputError: The folder cannot be written.
    """
    found = keys.load(directory)
    before = next((key for key in found.keys if key.kid == rotation.before), None)
    if before is None or found.signing.kid != rotation.after:
        return
    try:
        os.link(directory / SIGNING, directory / f"{STANDBY}{os.urandom(4).hex()}.pem")
        (directory / before.name).replace(directory / SIGNING)
    except OSError as exc:
        raise InvalidInputError(f"cannot change the keys back: {exc.strerror}") from exc


def prune(directory: Path, now: datetime) -> int:
    """Delete the keys whose last token has ended; return how many.

    Raises:
        InvalidInputError: One cannot be deleted.
    """
    count = 0
    for path in sorted(directory.glob(f"{RETIRED}*.pem")):
        matched = _NAME.fullmatch(path.name)
        if matched is None:
            continue
        since = datetime.strptime(matched[1], _MOMENT).replace(tzinfo=UTC)
        if (now - since).total_seconds() > RETIRED_SECONDS:
            try:
                path.unlink(missing_ok=True)
            except OSError as exc:
                raise InvalidInputError(f"cannot delete {path}: {exc.strerror}") from exc
            count += 1
    return count
