"""Small real images, made in pure Python: OCI layouts whose layers are real tar files.

Layers are real tars because `podman load` and `buildah` unpack what they push.
The bytes depend on the arguments only, so the same call gives the same digests everywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
REF_NAME: Final = "org.opencontainers.image.ref.name"

METADATA: Final = b"""\
apiVersion: imagehub.sealos.io/v1
kind: Image
spec:
  detail:
    keywords:
      - database
      - test
    description: A small image that the tests push
    icon: https://example.com/icon.svg
    actions:
      - name: install
        actionType: cmd
        cmd: helm install small .
"""
README: Final = b"# Small\n\nA small image that the tests push.\n"


@dataclass(frozen=True, slots=True)
class Layout:
    """An OCI layout with one image or one index of images.

    Args:
        path: Folder of the layout.
        tag: The reference name of the image in it.
        digest: `sha256:…` of what the tag points to: the manifest, or the index if there is one.
        manifests: Digest of the manifest of each platform.
        blobs: Digests of configurations and layers, without duplicates.
        size: Bytes of configurations and layers together.
    """

    path: Path
    tag: str
    digest: str
    manifests: Mapping[str, str]
    blobs: Sequence[str]
    size: int


def oci_layout(  # noqa: PLR0913  # knobs by keyword, each with a default
    path: Path,
    *,
    tag: str = "v1",
    seed: int = 0,
    layers: int = 1,
    layer_bytes: int = 2048,
    platforms: Sequence[str] = ("linux/amd64",),
    files: Mapping[str, bytes] | None = None,
) -> Layout:
    """Write an OCI layout to *path*.

    Args:
        path: A folder that is not there yet.
        tag: Reference name of the image.
        seed: Images of different seeds share no blob but the layer with *files*.
        layers: Number of layers of random content, below the one with *files*.
        layer_bytes: Bytes of random content, which no compression makes smaller, in each of them.
        platforms: `os/architecture` of each image; more than one makes an index.
        files: Content of the last layer; the default is a sealos cluster image's
            `metadata/config.yaml` and `README.md`.
    """
    writer = _Writer(path)
    content = {"metadata/config.yaml": METADATA, "README.md": README} if files is None else files
    tars = [
        layer_tar({f"data/{number}": random.Random(f"{seed}/{number}").randbytes(layer_bytes)})  # noqa: S311  # content, no secret
        for number in range(layers)
    ]
    tars.append(layer_tar(content))
    manifests = {platform: writer.image(tars, platform, seed) for platform in platforms}
    if len(manifests) == 1:
        (top,) = manifests.values()
    else:
        entries = [
            descriptor
            | {"platform": dict(zip(("os", "architecture"), name.split("/"), strict=True))}
            for name, descriptor in manifests.items()
        ]
        top = writer.blob(
            _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}), INDEX_TYPE
        )
    writer.finish([top | {"annotations": {REF_NAME: tag}}])
    documents = {top["digest"], *(descriptor["digest"] for descriptor in manifests.values())}
    blobs = {digest: size for digest, size in writer.written.items() if digest not in documents}
    return Layout(
        path=path,
        tag=tag,
        digest=top["digest"],
        manifests={name: descriptor["digest"] for name, descriptor in manifests.items()},
        blobs=tuple(blobs),
        size=sum(blobs.values()),
    )


def layer_tar(files: Mapping[str, bytes]) -> bytes:
    """Return an uncompressed layer with *files* and the folders that they need."""
    folders = {
        "/".join(parts[:depth])
        for parts in (name.split("/") for name in files)
        for depth in range(1, len(parts))
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(folders):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


class _Writer:
    """The folder that is being written, and what it holds already."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blobs = path / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        self.written: dict[str, int] = {}

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Write *data* and return its descriptor."""
        digest = sha256(data)
        (self._blobs / digest.removeprefix("sha256:")).write_bytes(data)
        self.written[digest] = len(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def image(self, tars: Sequence[bytes], platform: str, seed: int) -> dict[str, Any]:
        """Write one image and return the descriptor of its manifest."""
        system, architecture = platform.split("/")
        layers = [self.blob(gzip.compress(tar, mtime=0), LAYER_TYPE) for tar in tars]
        config = {
            "created": "2024-01-01T00:00:00Z",
            "architecture": architecture,
            "os": system,
            "config": {"Labels": {"seed": str(seed)}},
            "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in tars]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "test"} for _ in tars],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": self.blob(_json(config), CONFIG_TYPE),
            "layers": layers,
        }
        return self.blob(_json(manifest), MANIFEST_TYPE)

    def finish(self, manifests: list[dict[str, Any]]) -> None:
        """Write the two files that make the folder a layout."""
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
        (self._path / "index.json").write_bytes(_json(index))
        (self._path / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def sha256(data: bytes) -> str:
    """Return the digest of *data* as OCI writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
