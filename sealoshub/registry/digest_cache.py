"""What layers became when they were compressed, so that the next push need not do it again.

One small file per layer and way of compressing it, written at once or not at all. It only saves
work: an entry that is missing, damaged or from another version is no entry, and a folder that
cannot be written is no error.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError
from sealoshub.pattern import pattern
from sealoshub.reference import Digest
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ENTRIES: Final = 4096  # of about 300 bytes; then the oldest quarter goes
_MAX_FILE: Final = 4096  # bytes; ours are smaller
_VERSION: Final = 1
_UNSAFE: Final = pattern(r"[^A-Za-z0-9.]+")


class Recipe(Value):
    """How a layer is compressed: all that its digest depends on, besides its content.

    Args:
        algorithm: `gzip` or `zstd`.
        level: As the library counts.
        library: Name and version, because another version may write other bytes.
        block: Bytes that are compressed at a time.
    """

    algorithm: str
    level: int
    library: str
    block: int

    def __str__(self) -> str:
        return f"{self.algorithm}-{self.level}-{self.library}-{self.block}"


class Packed(Value):
    """What a layer became.

    Args:
        digest: Of the compressed layer.
        size: Of the compressed layer, in bytes.
    """

    digest: Digest
    size: int


class DigestCache:
    """The memory, in a folder.

    Args:
        folder: Made when something is remembered; None remembers nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, diff_id: Digest, recipe: Recipe) -> Packed | None:
        """Return what the layer became the last time, if that is known."""
        file = self._file(diff_id, recipe)
        if file is None:
            return None
        try:
            with file.open("rb") as opened:
                entry = json.loads(opened.read(_MAX_FILE))
            if [entry[key] for key in ("version", "diff_id", "recipe")] != [
                _VERSION,
                diff_id.text,
                str(recipe),
            ]:
                return None
            digest, size = Digest.parse(entry["digest"]), entry["size"]
        except (OSError, ValueError, RecursionError, KeyError, TypeError, InvalidInputError):
            return None
        if isinstance(size, bool) or not isinstance(size, int) or size <= 0:
            return None
        return Packed(digest, size)

    def put(self, diff_id: Digest, recipe: Recipe, packed: Packed) -> None:
        """Remember what the layer became."""
        file = self._file(diff_id, recipe)
        if file is None:
            return
        entry = {
            "version": _VERSION,
            "diff_id": diff_id.text,
            "recipe": str(recipe),
            "digest": packed.digest.text,
            "size": packed.size,
        }
        import tempfile  # noqa: PLC0415  # with shutil and all compressions: 5 ms

        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=file.parent, prefix=".")
            try:
                with os.fdopen(handle, "w") as opened:
                    json.dump(entry, opened)
                Path(name).replace(file)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            self._prune(file.parent)
        except OSError:
            return

    def drop(self, diff_id: Digest, recipe: Recipe) -> None:
        """Forget what proved wrong."""
        file = self._file(diff_id, recipe)
        if file is not None:
            try:
                file.unlink(missing_ok=True)
            except OSError:
                return

    def _file(self, diff_id: Digest, recipe: Recipe) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{diff_id.hex}-{_UNSAFE.sub('_', str(recipe))}"

    @staticmethod
    def _prune(folder: Path) -> None:
        names = os.listdir(folder)  # noqa: PTH208  # names only: this is done at every put
        if len(names) <= MAX_ENTRIES:
            return

        def age(name: str) -> float:
            try:
                return (folder / name).stat().st_mtime
            except OSError:
                return 0.0  # gone meanwhile

        for name in sorted(names, key=age)[: len(names) - MAX_ENTRIES * 3 // 4]:
            (folder / name).unlink(missing_ok=True)


def open_cache(env: Mapping[str, str]) -> DigestCache:
    """Return the memory of this user: `$XDG_CACHE_HOME/sealoshub/layers`.

    Without a home it remembers nothing.
    """
    base = env.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):  # relative ones are ignored (XDG base directory specification)
        home = env.get("HOME", "")
        if not home.startswith("/"):
            return DigestCache(None)
        base = f"{home}/.cache"
    return DigestCache(Path(base) / "sealoshub" / "layers")
