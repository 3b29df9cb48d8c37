"""Writing tar archives of images: an OCI layout in a tar, or what `docker save` writes.

Both are made of blobs that lie verified in files. The same image always gives the same bytes: no
times, no owners, a fixed order.
"""

from __future__ import annotations

import json
import os
import tarfile
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError
from sealoshub.reference import Digest
from sealoshub.registry import expand, layout_writer
from sealoshub.registry.failure import clean
from sealoshub.registry.image import BLOCK, parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from sealoshub.registry.image import Descriptor, Manifest

_RECORD: Final = 512  # bytes; everything in a tar is a multiple of it
_IMAGE_CONFIGS: Final = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)


class TarWriter:
    """A tar that is written from its beginning to its end.

    It is a class because it counts what it has written; :mod:`tarfile` cannot write a member whose
    size is known only afterwards.

    Args:
        descriptor: Of an empty file opened for writing.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0

    def directory(self, name: str) -> None:
        """Write a directory.

        Raises:
            OSError: The file cannot be written; of every method.
        """
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        self._write(entry.tobuf(tarfile.GNU_FORMAT))

    def content(self, name: str, content: bytes) -> None:
        """Write a small file."""
        self.stream(name, [content])

    def file(self, name: str, path: Path) -> None:
        """Write a copy of *path*."""
        self.stream(name, _blocks(path))

    def stream(self, name: str, blocks: Iterable[bytes]) -> None:
        """Write a file whose size nobody knows yet: its header is written once more afterwards."""
        start = self._position
        self._write(_header(name, 0))
        begin = self._position
        for block in blocks:
            self._write(block)
        size = self._position - begin
        self._write(b"\0" * (-size % _RECORD))
        end, self._position = self._position, start
        self._write(_header(name, size))
        self._position = end

    def close(self) -> None:
        """Write the end mark, and see to it that everything is on the disk."""
        self._write(b"\0" * (2 * _RECORD))
        os.fsync(self._descriptor)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._descriptor, view, self._position)
            self._position += count
            view = view[count:]


def write_layout(
    tar: TarWriter, index: bytes, digests: Iterable[Digest], path_of: Callable[[Digest], Path]
) -> None:
    """Write an OCI layout of one image.

    Args:
        tar: Where to.
        index: The `index.json`.
        digests: Of everything below it.
        path_of: Where the file of a digest lies.

    Raises:
        OSError: The archive cannot be written, or a file not read.
    """
    tar.content("oci-layout", layout_writer.VERSION)
    tar.content("index.json", index)
    tar.directory("blobs")
    algorithm = ""
    for digest in sorted(set(digests)):
        if digest.algorithm != algorithm:
            algorithm = digest.algorithm
            tar.directory(f"blobs/{algorithm}")
        tar.file(f"blobs/{algorithm}/{digest.hex}", path_of(digest))


def diff_ids(image: Manifest, config: bytes) -> tuple[Digest, ...]:
    """Return the digest of each layer without compression, as the configuration says.

    Args:
        image: The manifest.
        config: The configuration it names.

    Raises:
        InvalidInputError: It is not an image that an engine can load, or not complete.
    """
    name = f"image {image.descriptor.digest}"
    if image.config is None or image.config.media_type not in _IMAGE_CONFIGS:
        raise InvalidInputError(
            f"{name} is an artifact and no image that docker could load", hint=_KEEP
        )
    if any(layer.is_foreign for layer in image.layers):
        raise InvalidInputError(
            f"{name} has layers that are distributed elsewhere, without which it cannot be loaded",
            hint=_KEEP,
        )
    rootfs = parse_object(config, f"the configuration of {name}").get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise InvalidInputError(f"the configuration of {name} does not list its layers")
    if len(listed) != len(image.layers):
        raise InvalidInputError(
            f"{name} has {len(image.layers)} layers, its configuration lists {len(listed)}"
        )
    return tuple(Digest.parse(each) for each in listed)


_KEEP: Final = "Pull it as an OCI layout or archive, which keeps everything as it is."


def write_docker(
    tar: TarWriter, image: Manifest, path_of: Callable[[Digest], Path], tags: Iterable[str]
) -> None:
    """Write what `docker save` writes: plain layers, the configuration, `manifest.json`.

    Args:
        tar: Where to.
        image: The manifest of one image.
        path_of: Where the file of a blob lies.
        tags: `host/org/repo:tag` names it is loaded as.

    Raises:
        InvalidInputError: It is no image for docker, or a layer is damaged.
        OSError: The archive cannot be written, or a blob not read.
    """
    assert image.config is not None  # noqa: S101  # diff_ids has looked, before the download
    config = path_of(image.config.digest).read_bytes()
    layers = diff_ids(image, config)
    written: set[Digest] = set()
    for descriptor, diff_id in zip(image.layers, layers, strict=True):
        if diff_id not in written:
            written.add(diff_id)
            blocks = _compared(path_of(descriptor.digest), descriptor, diff_id)
            tar.stream(f"{diff_id.hex}.tar", blocks)
    tar.content(f"{image.config.digest.hex}.json", config)
    listed = {
        "Config": f"{image.config.digest.hex}.json",
        "RepoTags": list(tags) or None,
        "Layers": [f"{diff_id.hex}.tar" for diff_id in layers],
    }
    tar.content("manifest.json", json.dumps([listed], separators=(",", ":")).encode())


def _compared(path: Path, layer: Descriptor, diff_id: Digest) -> Iterator[bytes]:
    hasher = diff_id.hasher()
    for block in _plain(path, layer):
        hasher.update(block)
        yield block
    if hasher.hexdigest() != diff_id.hex:
        raise InvalidInputError(
            f"layer {layer.digest} has another content than the configuration says ({diff_id})",
            hint="The image is damaged; make it again.",
        )


def _plain(path: Path, layer: Descriptor) -> Iterator[bytes]:
    """Yield a layer without its compression, which its first bytes tell, as they do docker."""
    with path.open("rb", buffering=0) as file:
        kind = expand.compression_of(file.read(expand.MAGIC_SIZE))
        file.seek(0)
        try:
            plain = expand.Expanded(file, kind, layer.size)
            while block := plain.read(BLOCK):
                yield block
        except expand.BombError as exc:
            raise _damaged(layer, "it becomes far larger than anything real") from exc
        except expand.BrokenError as exc:
            raise _damaged(layer, clean(str(exc)) or "it is broken") from exc


def _damaged(layer: Descriptor, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"layer {layer.digest} cannot be unpacked: {why}",
        hint="The image is damaged; make it again, or pull it as an OCI layout as it is.",
    )


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            yield block


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)
