"""Writing OCI image layouts (image specification, image-layout.md): blobs first, `index.json` last.

Images gather in one layout: an entry of `index.json` is added or replaced, all others stay as they
are, also those of other programs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError
from sealoshub.reference import MediaType
from sealoshub.registry.download import disk_error
from sealoshub.registry.failure import clean
from sealoshub.registry.image import MAX_MANIFEST, parse_object
from sealoshub.registry.layout import REF_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealoshub.reference import Digest
    from sealoshub.registry.image import Descriptor
    from sealoshub.registry.referring import Belonging

FULL_NAME: Final = "io.containerd.image.name"
VERSION: Final = b'{"imageLayoutVersion":"1.0.0"}'


class LayoutFolder:
    """An OCI layout that is being written.

    Args:
        root: The directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """Make the directory, or look whether what is there is a layout.

        Raises:
            InvalidInputError: It is something else; nothing was changed.
            DiskError: It cannot be made.
        """
        try:
            if self.root.is_dir():
                self._check()
            elif self.root.exists():
                raise InvalidInputError(f"{self.root}: is not a directory")
            self.root.mkdir(parents=True, exist_ok=True)
            # First of all: another pull that begins now must see what this directory is.
            if not (self.root / "oci-layout").exists():
                write_file(self.root / "oci-layout", VERSION)
            (self.root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise disk_error(self.root, exc) from exc

    def blob(self, digest: Digest) -> Path:
        """Return the path of a blob, whose directory is there afterwards.

        Raises:
            DiskError: The directory cannot be made.
        """
        path = self.root / "blobs" / digest.algorithm / digest.hex
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as exc:
            raise disk_error(path.parent, exc) from exc
        return path

    def put(self, digest: Digest, content: bytes) -> None:
        """Write a small blob that was compared with its digest.

        Raises:
            DiskError: It cannot be written.
        """
        path = self.blob(digest)
        try:
            write_file(path, content)
        except OSError as exc:
            raise disk_error(path, exc) from exc

    def add(
        self,
        image: Descriptor,
        others: Belonging,
        name: str | None,
        full_name: str | None,
    ) -> None:
        """List *image* in `index.json`, which makes it complete.

        Args:
            image: The manifest or index, written before.
            others: What belongs to it and is written too.
            name: What the user calls it; None: its tag.
            full_name: `host/org/repo:tag` it comes from; None if it has no tag.

        Raises:
            InvalidInputError: `index.json` is damaged; it stays as it is.
            DiskError: It cannot be written.
        """
        try:
            with self._locked():
                index = self._index()
                listed = index["manifests"]
                assert isinstance(listed, list)  # noqa: S101  # _index has looked
                listed = with_others(listed, others)
                index["manifests"] = with_entry(listed, image, name, full_name)
                write_file(self.root / "index.json", plain_json(index))
        except OSError as exc:
            raise disk_error(self.root / "index.json", exc) from exc

    def _check(self) -> None:
        names = {entry.name for entry in self.root.iterdir()}
        if "oci-layout" in names:
            version = parse_object(
                (self.root / "oci-layout").read_bytes()[:MAX_MANIFEST], f"{self.root}/oci-layout"
            )
            if version.get("imageLayoutVersion") != "1.0.0":
                raise InvalidInputError(f"{self.root}: is an OCI layout of an unknown version")
            self._index()
        elif "index.json" in names:
            self._index()
        elif any(not name.startswith(".oci-layout.") for name in names):
            # Also not beside the files of `docker save` or of anything else.
            raise InvalidInputError(
                f"{self.root}: is neither empty nor an OCI layout",
                hint="Choose another directory, or a file with --format oci-archive.",
            )

    def _index(self) -> dict[str, object]:
        path = self.root / "index.json"
        if not path.exists():
            return index_of([])
        if path.stat().st_size > MAX_MANIFEST:
            raise InvalidInputError(f"{path}: is larger than {MAX_MANIFEST} bytes")
        index = parse_object(path.read_bytes(), str(path))
        listed = index.setdefault("manifests", [])
        if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
            raise InvalidInputError(f"{path}: its list of images is damaged")
        return index

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other pulls from changing `index.json` meanwhile; no file is left behind."""
        descriptor = os.open(self.root / "oci-layout", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def index_of(entries: list[dict[str, object]]) -> dict[str, object]:
    """Return an `index.json` that lists *entries*."""
    return {"schemaVersion": 2, "mediaType": MediaType.OCI_INDEX.value, "manifests": entries}


def with_others(listed: list[dict[str, object]], others: Belonging) -> list[dict[str, object]]:
    """Return *listed* with what belongs to an image that is listed next."""
    for referrer in others.referrers:
        listed = with_entry(listed, referrer, None, None)
    for tag, descriptor in others.attached.items():
        listed = with_entry(listed, descriptor, tag, None)
    return listed


def with_entry(
    listed: list[dict[str, object]], image: Descriptor, name: str | None, full_name: str | None
) -> list[dict[str, object]]:
    """Return *listed* with *image*, which replaces what had its name.

    Both usual annotations are written (buildx does so too): the full name for who looks for that
    (docker, containerd, podman), the short one for who writes `oci:DIR:TAG`. If another image has
    the same tag, the short one is the full one, so that no name means two images.
    """
    names = {each for each in (name, full_name) if each is not None}
    kept = [entry for entry in listed if not names & _names(entry)]
    if full_name is None and name is None:
        if any(entry.get("digest") == image.digest.text for entry in kept):
            return kept
        annotations = {}
    else:
        short = name or (full_name or "").rpartition(":")[2]
        if name is None and any(short in _names(entry) for entry in kept):
            short = full_name or short
        annotations = {REF_NAME: short, **({FULL_NAME: full_name} if full_name else {})}
    return [*kept, _entry(image, annotations)]


def _names(entry: dict[str, object]) -> set[str]:
    annotations = entry.get("annotations")
    if not isinstance(annotations, dict):
        return set()
    found = (annotations.get(key) for key in (REF_NAME, FULL_NAME))
    return {each for each in found if isinstance(each, str)}


def _entry(image: Descriptor, annotations: dict[str, str]) -> dict[str, object]:
    entry: dict[str, object] = {
        "mediaType": image.media_type,
        "digest": image.digest.text,
        "size": image.size,
    }
    if annotations:
        entry["annotations"] = {key: clean(value, 255) for key, value in annotations.items()}
    if image.platform is not None:
        parts = {
            "architecture": image.platform.architecture,
            "os": image.platform.os,
            "variant": image.platform.variant,
        }
        entry["platform"] = {key: value for key, value in parts.items() if value}
    return entry


def write_file(path: Path, content: bytes) -> None:
    """Write *path* whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        # Never through a link that somebody else has put there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def plain_json(document: object) -> bytes:
    """Return *document* as JSON without spaces."""
    return json.dumps(document, separators=(",", ":")).encode()
