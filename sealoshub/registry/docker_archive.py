"""What `docker save` writes: `manifest.json`, configurations, and layers that are not compressed.

There is no manifest of the registry's kind in it (new dockers add an OCI layout, which is taken
where it is complete). It is made here: Docker's schema 2, as skopeo and crane make it, with the
configuration byte for byte, so that the image keeps its id. Zstandard exists in OCI manifests only,
so an image with such a layer gets one of these.
"""

from __future__ import annotations

import json
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.reference import INDEX_TYPES, Digest, MediaType
from sealoshub.registry import layout, platforms, walk
from sealoshub.registry.compress import Compression, PackedLayer, PlainLayer, method
from sealoshub.registry.expand import GZIP, MAGIC_SIZE, ZSTD, compression_of
from sealoshub.registry.failure import clean
from sealoshub.registry.image import (
    MAX_DESCRIPTORS,
    Blob,
    Descriptor,
    Manifest,
    Platform,
    parse_json,
    parse_object,
)
from sealoshub.registry.recompress import DOCKER_TYPES, OCI_TYPES, recompressed
from sealoshub.registry.store import Contents, gather, small_file
from sealoshub.value import Value, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealoshub.registry.compress import Workshop
    from sealoshub.registry.image import Pending, Readable
    from sealoshub.registry.store import Store

MAX_IMAGES: Final = 1000  # in one archive
MAX_LOOKS: Final = 10_000  # manifests that are read to find the one of an image
_CONFIG_TYPES: Final = {False: str(MediaType.DOCKER_CONFIG), True: str(MediaType.OCI_CONFIG)}
_KINDS: Final = {GZIP: Compression.GZIP, ZSTD: Compression.ZSTD}


class Saved(Value):
    """One image of an archive, as `manifest.json` says.

    Args:
        config: Path of the configuration.
        layers: Paths of the layers, lowest first.
        names: `RepoTags`.
    """

    config: str
    layers: tuple[str, ...]
    names: tuple[str, ...]


def parse_manifest(content: bytes, where: str) -> list[Saved]:
    """Read `manifest.json`.

    Args:
        content: Of the file.
        where: Which archive, for messages.

    Raises:
        InvalidInputError: It is not one.
    """
    entries = parse_json(content, f"{where}: manifest.json")
    if not isinstance(entries, list) or not entries:
        raise InvalidInputError(f"{where}: manifest.json lists no image")
    if len(entries) > MAX_IMAGES:
        raise InvalidInputError(f"{where}: manifest.json lists more than {MAX_IMAGES} images")
    return [_saved(entry, where) for entry in entries]


def _saved(entry: object, where: str) -> Saved:
    if not isinstance(entry, dict):
        raise InvalidInputError(f"{where}: an image in manifest.json is no object")
    config = entry.get("Config")
    if not isinstance(config, str) or not config:
        raise InvalidInputError(f"{where}: an image in manifest.json has no Config")
    layers = _strings(entry.get("Layers"), f"{where}: the Layers in manifest.json are no list")
    names = _strings(entry.get("RepoTags"), f"{where}: the RepoTags in manifest.json are no list")
    if len(layers) > MAX_DESCRIPTORS:
        raise InvalidInputError(f"{where}: an image has more than {MAX_DESCRIPTORS} layers")
    return Saved(config, layers, names)


def _strings(value: object, fault: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidInputError(fault)
    return tuple(value)


def read_docker_archive(
    store: Store,
    ref: str | None,
    compression: Compression,
    workshop: Workshop,
    platform: Platform | None = None,
) -> Contents:
    """Read one image.

    Args:
        store: The archive.
        ref: One of its names, `@INDEX` (from 0), or the digest of its configuration; None if there
            is only one image.
        compression: Of layers that are not compressed.
        workshop: Where they are compressed.
        platform: What the image must be for; None: whatever it is.

    Raises:
        NotFoundError: There is no such image, or not for *platform*, or a part is missing.
        InvalidInputError: It is damaged, or there are several and none was named.
    """
    images = parse_manifest(small_file(store, "manifest.json"), store.name)
    saved = choose(images, ref, store.name)
    content = small_file(store, saved.config)
    contents = _layout_side(store, saved, Digest.of(content), platform)
    if contents is not None:
        return recompressed(contents, compression, workshop)
    config = parse_object(content, f"{store.name}: {clean(saved.config, 200)}")
    if platform is not None:
        _check_platform(store.name, config, platform)
    layers = _layers(store, saved, config)
    descriptor = Descriptor(MediaType.DOCKER_CONFIG, Digest.of(content), len(content))
    config_blob = Blob(descriptor, partial(store.open, saved.config))
    names = tuple(clean(name, 255) for name in saved.names)
    return _contents(config_blob, names, layers, compression, workshop)


def choose(images: Sequence[Saved], ref: str | None, where: str) -> Saved:
    """Return the image that *ref* means.

    Raises:
        NotFoundError: There is none; the hint says which there are.
        InvalidInputError: There are several.
    """
    if ref is not None and ref.startswith("@") and ref[1:].isascii() and ref[1:].isdecimal():
        index = int(ref[1:20])
        if index < len(images):
            return images[index]
        raise NotFoundError(f"{where}: there is no image {ref}", hint=_there_are(images))
    found = images
    if ref is not None:
        wanted = full_name(ref)
        found = [
            image
            for image in images
            if wanted in map(full_name, image.names) or _is_id(ref, image.config)
        ]
        if not found:
            raise NotFoundError(f"{where}: there is no image {ref!r}", hint=_there_are(images))
    if len({(image.config, image.layers) for image in found}) > 1:
        raise InvalidInputError(
            f"{where}: has {len(found)} images" + (f" called {ref!r}" if ref is not None else ""),
            hint=_there_are(images),
        )
    return found[0]


def full_name(name: str) -> str:
    """Write a name as docker means it: with its registry, and with its tag."""
    host, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in host and ":" not in host and host != "localhost":
        name = f"docker.io/{name}"
    last = name.rpartition("/")[2]
    return name if ":" in last or "@" in last else f"{name}:latest"


def _is_id(ref: str, config: str) -> bool:
    digits = ref.removeprefix("sha256:")
    return len(digits) == 64 and digits in config  # noqa: PLR2004  # hexadecimal digits of SHA-256


def _there_are(images: Sequence[Saved]) -> str:
    shown = [
        clean(image.names[0] if image.names else f"@{index}", 90)
        for index, image in enumerate(images[:10])
    ]
    more = f" and {len(images) - 10} more" if len(images) > 10 else ""  # noqa: PLR2004  # a short list
    return (
        "Name one behind the path, as in docker-archive:FILE:NAME or docker-archive:FILE:@0."
        f" There are: {', '.join(shown)}{more}."
    )


def _layout_side(
    store: Store, saved: Saved, config: Digest, platform: Platform | None
) -> Contents | None:
    """Return the image as the OCI layout in the archive has it; None if it is not complete there.

    Of an index only one platform may have been saved: then it is that one.
    """
    if store.size("index.json") is None:
        return None
    fetch = layout.fetcher(store, layout.blob_path)
    candidates = deque(layout.read_index(store))
    seen: set[Digest] = set()
    looks = 0
    while candidates and len(seen) < walk.MAX_MANIFESTS and looks < MAX_LOOKS:
        root = candidates.popleft()
        if root.digest in seen:
            continue
        seen.add(root.digest)
        try:
            found = root if platform is None else layout.narrow(store.name, root, platform, fetch)
            manifests = walk.collect(store.name, found, fetch)
            looks += len(manifests)
            configs = [manifest.config for manifest in manifests]
            if any(each is not None and each.digest == config for each in configs):
                return gather(store, manifests, saved.names, layout.blob_path)
        except NotFoundError:
            if root.media_type in INDEX_TYPES and store.size(layout.blob_path(root)) is not None:
                candidates.extend(Manifest.parse(root, fetch(root)).children)
    return None


def _check_platform(name: str, config: dict[str, object], wanted: Platform) -> None:
    system, architecture, variant = (
        clean(str(config.get(key) or ""), 64) for key in ("os", "architecture", "variant")
    )
    found = Platform(system, architecture, variant)
    if system and architecture and not platforms.fits(wanted, found):
        raise NotFoundError(f"{name} has no image for {wanted}", hint=f"It is for {found}.")


class _Layer(Value):
    """A layer as it lies in the archive."""

    diff_id: Digest
    size: int
    kind: str | None
    open: Callable[[], Readable]


def _layers(store: Store, saved: Saved, config: dict[str, object]) -> list[_Layer]:
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != len(saved.layers):
        raise InvalidInputError(
            f"{store.name}: the configuration and manifest.json do not agree about the layers",
            hint="The archive is damaged, or was written by docker before 1.10; save it again.",
        )
    found = []
    for path, text in zip(saved.layers, diff_ids, strict=True):
        if not isinstance(text, str):
            raise InvalidInputError(f"{store.name}: a digest of a layer is no text")
        size = store.size(path)
        if size is None:
            raise NotFoundError(
                f"{store.name}: the layer {clean(path, 200)} is missing",
                hint="The archive is damaged; save the image again.",
            )
        open_ = partial(store.open, path)
        found.append(_Layer(Digest.parse(text), size, _kind(store, path), open_))
    return found


def _kind(store: Store, path: str) -> str | None:
    """Tell how a layer is compressed; None if it is not."""
    file = store.open(path)
    try:
        kind = compression_of(file.read(MAGIC_SIZE) or b"")
    except OSError as exc:
        raise InvalidInputError(f"{store.name}: {exc.strerror or exc}") from exc
    finally:
        file.close()
    if kind is not None and kind not in _KINDS:
        raise InvalidInputError(f"{store.name}: a layer is compressed with {kind}")
    return kind


def _contents(
    config: Blob,
    names: tuple[str, ...],
    layers: list[_Layer],
    compression: Compression,
    workshop: Workshop,
) -> Contents:
    plain = any(layer.kind is None for layer in layers)
    oci = any(layer.kind == ZSTD for layer in layers) or (plain and compression is Compression.ZSTD)
    types = OCI_TYPES if oci else DOCKER_TYPES
    ready: dict[Digest, Blob] = {}
    pending: dict[Digest, Pending] = {}
    for layer in layers:
        if layer.diff_id in pending:
            continue  # empty layers are often the same
        if layer.kind is not None:
            pending[layer.diff_id] = PackedLayer(
                layer.diff_id, layer.size, types[_KINDS[layer.kind]], layer.kind, layer.open
            )
            continue
        blob = Blob(Descriptor(types[Compression.NONE], layer.diff_id, layer.size), layer.open)
        if compression is Compression.NONE:
            ready[layer.diff_id] = blob
        else:
            pending[layer.diff_id] = PlainLayer(
                blob, types[compression], method(compression), workshop
            )

    def build(blobs: Sequence[Blob]) -> tuple[Manifest, ...]:
        made = ready | dict(zip(pending, blobs, strict=True))
        return (_manifest(config, [made[layer.diff_id] for layer in layers], oci=oci),)

    config = Blob(replace(config.descriptor, media_type=_CONFIG_TYPES[oci]), config.open)
    blobs = (*ready.values(), config)
    if not pending:
        return Contents(build(()), blobs, names)
    return Contents((), blobs, names, tuple(pending.values()), build, 1)


def _manifest(config: Blob, layers: Sequence[Blob], *, oci: bool) -> Manifest:
    kind = MediaType.OCI_MANIFEST if oci else MediaType.DOCKER_MANIFEST
    document = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": _written(config.descriptor),
        "layers": [_written(layer.descriptor) for layer in layers],
    }
    content = json.dumps(document, separators=(",", ":")).encode()
    return Manifest.parse(Descriptor(kind, Digest.of(content), len(content)), content)


def _written(descriptor: Descriptor) -> dict[str, object]:
    return {
        "mediaType": descriptor.media_type,
        "size": descriptor.size,
        "digest": descriptor.digest.text,
    }
