"""What lies in a registry's storage folder, read without the registry (distribution, `paths.go`).

docker/registry/v2/
  blobs/sha256/ab/<hex>/data                       layers, configs and manifests
  repositories/<name>/_manifests/revisions/sha256/<hex>/link    manifests that are there
                     /_manifests/tags/<tag>/current/link        the digest that a tag names
                     /_layers/sha256/<hex>/link                 blobs that belong to it
                     /_uploads/<id>/data                        what is being uploaded
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import SealosHubError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MAX_MANIFEST: Final = 4 * 1024 * 1024  # bytes; registries take no larger ones
_SHA256: Final = "sha256:"


@dataclass(frozen=True, slots=True)
class Needed:
    """What must not be deleted.

    Args:
        blobs: Digest of each blob, and who needs it, as `org/repo:tag` or `org/repo@digest`.
        manifests: The same of manifests, by repository and digest.
    """

    blobs: dict[str, str] = field(default_factory=dict)
    manifests: dict[tuple[str, str], str] = field(default_factory=dict)

    def and_also(self, other: Needed) -> Needed:
        """Return what is needed by both."""
        return Needed(
            {digest: who for digest, who in self.blobs.items() if digest in other.blobs},
            {key: who for key, who in self.manifests.items() if key in other.manifests},
        )


def repositories(storage: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and folder of each repository; one may lie in the folder of another.

    Raises:
        SealosHubError: A folder cannot be read.
    """
    root = _root(storage) / "repositories"

    def fail(exc: OSError) -> None:
        if not isinstance(exc, FileNotFoundError):  # nothing was pushed yet, or it is gone again
            raise SealosHubError(f"cannot read {exc.filename}: {exc.strerror}") from exc

    for where, folders, _ in os.walk(root, onerror=fail):
        own = [name for name in folders if name.startswith("_")]
        folders[:] = sorted(name for name in folders if not name.startswith("_"))
        if own:
            yield Path(where).relative_to(root).as_posix(), Path(where)


def needed(storage: Path, *, tagged_only: bool) -> Needed:
    """Return what is reachable from the tags, or from every manifest, of each repository.

    An index needs the manifests that it lists and that its repository has, tagged or not.

    Args:
        storage: The storage folder.
        tagged_only: A manifest that no tag leads to is not needed.

    Raises:
        SealosHubError: The storage cannot be read.
    """
    found = Needed()
    for name, folder in repositories(storage):
        manifests = folder / "_manifests"
        revisions = _hex_names(manifests / "revisions" / "sha256")
        roots = [
            (f"{name}:{tag.name}", digest)
            for tag in _entries(manifests / "tags")
            if (digest := _link(tag / "current" / "link")) is not None
        ]
        if not tagged_only:
            roots += [(f"{name}@{digest}", digest) for digest in revisions]
        for who, root in roots:
            _follow(storage, name, revisions, (who, root), found)
    return found


def _follow(
    storage: Path, name: str, revisions: Collection[str], root: tuple[str, str], found: Needed
) -> None:
    who, first = root
    waiting = [first]
    while waiting:
        digest = waiting.pop()
        if digest not in revisions or (name, digest) in found.manifests:
            continue
        found.manifests[name, digest] = who
        found.blobs.setdefault(digest, who)
        for reference in _references(blob_file(storage, digest)):
            found.blobs.setdefault(reference, who)
            waiting.append(reference)


def untagged_folders(storage: Path) -> list[Path]:
    """Return the folder of tags, which is not there, of each repository that never had a tag."""
    return [
        folder / "_manifests" / "tags"
        for _, folder in repositories(storage)
        if (folder / "_manifests" / "revisions").is_dir()
        and not (folder / "_manifests" / "tags").exists()
    ]


def blob_file(storage: Path, digest: str) -> Path:
    """Return the file of the blob *digest*, which need not be there."""
    text = digest.removeprefix(_SHA256)
    return _root(storage) / "blobs" / "sha256" / text[:2] / text / "data"


def size(storage: Path, digests: Collection[str]) -> int:
    """Return the bytes of those of *digests* that are there."""
    stats = (_stat(blob_file(storage, digest)) for digest in digests)
    return sum(found.st_size for found in stats if found is not None)


def last_written(storage: Path, digests: Collection[str]) -> tuple[float, str]:
    """Return when somebody last uploaded something, or used one of *digests*, and where.

    Args:
        storage: The storage folder.
        digests: Blobs that belong to no manifest.

    Returns:
        Seconds since the epoch (0 for never) and the name of the repository; empty where only the
        blob is known.
    """
    stats = (_stat(blob_file(storage, digest)) for digest in digests)
    newest = (max((found.st_mtime for found in stats if found is not None), default=0.0), "")
    for name, folder in repositories(storage):
        files = [upload / "data" for upload in _entries(folder / "_uploads")]
        layers = folder / "_layers" / "sha256"
        # One that was mounted, or uploaded again: the blob is old, the link is new.
        files += [
            layers / digest.removeprefix(_SHA256) / "link"
            for digest in _hex_names(layers) & set(digests)
        ]
        for file in files:
            found = _stat(file)
            if found is not None:
                newest = max(newest, (found.st_mtime, name))
    return newest


def _root(storage: Path) -> Path:
    return storage / "docker" / "registry" / "v2"


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise SealosHubError(f"cannot read {file}: {exc.strerror}") from exc


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise SealosHubError(f"cannot read {folder}: {exc.strerror}") from exc


def _hex_names(folder: Path) -> set[str]:
    return {f"{_SHA256}{entry.name}" for entry in _entries(folder) if (entry / "link").exists()}


def _link(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise SealosHubError(f"cannot read {file}: {exc}") from exc


def _references(file: Path) -> list[str]:
    """Return the digests that a manifest names; none of what is no manifest or not there.

    Image manifests and indexes of OCI and Docker, and Docker's schema 1.
    """
    try:
        with file.open("rb") as stream:
            content: Any = json.loads(stream.read(MAX_MANIFEST))
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise SealosHubError(f"cannot read {file}: {exc.strerror}") from exc
    except (ValueError, RecursionError):
        return []
    if not isinstance(content, dict):
        return []
    entries = [content.get("config")]
    for key in ("layers", "manifests", "blobs", "fsLayers"):
        listed = content.get(key)
        entries += listed if isinstance(listed, list) else []
    found = [
        entry.get("digest") or entry.get("blobSum") for entry in entries if isinstance(entry, dict)
    ]
    return [digest for digest in found if isinstance(digest, str)]
