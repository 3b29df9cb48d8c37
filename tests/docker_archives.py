"""Docker archives as different programs write them, and wrong ones, in pure Python."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.images import METADATA, README, layer_tar, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

# A top layer like that of a sealos cluster image.
CLUSTER: Final = layer_tar({"metadata/config.yaml": METADATA, "README.md": README})


def plain_layer(text: str, size: int = 4000) -> bytes:
    """Return an uncompressed layer that compresses well."""
    return layer_tar({f"data/{text}": (text * size)[:size].encode()})


@dataclass(slots=True)
class SavedImage:
    """One image for an archive.

    Args:
        layers: Uncompressed tars, lowest first.
        names: `RepoTags`.
        platform: `os/architecture`.
        packed: Makes of a layer what the archive has.
        diff_ids: What the configuration says; None: the truth.
    """

    layers: Sequence[bytes]
    names: Sequence[str] = ("hub.example.com/org/app:v1",)
    platform: str = "linux/amd64"
    packed: Callable[[bytes], bytes] = bytes
    diff_ids: Sequence[object] | None = None
    config: bytes = field(init=False)

    def __post_init__(self) -> None:
        system, architecture = self.platform.split("/")
        ids = [sha256(layer) for layer in self.layers]
        document = {
            # Not as our own writer would put it: these bytes must survive.
            "rootfs": {
                "type": "layers",
                "diff_ids": ids if self.diff_ids is None else self.diff_ids,
            },
            "os": system,
            "architecture": architecture,
            "created": "2024-01-01T00:00:00Z",
        }
        self.config = json.dumps(document, indent=1).encode()


class TarBuilder:
    """A tar, member by member."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115  # closed in content()

    def file(self, name: str, content: bytes) -> None:
        """Add a file."""
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        self._tar.addfile(entry, io.BytesIO(content))

    def json(self, name: str, value: object) -> None:
        """Add a JSON file."""
        self.file(name, json.dumps(value).encode())

    def link(self, name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> None:
        """Add a link."""
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        self._tar.addfile(entry)

    def content(self) -> bytes:
        """Return the tar."""
        self._tar.close()
        return self._buffer.getvalue()


def legacy(images: Sequence[SavedImage]) -> bytes:
    """Return what docker wrote before version 25: a folder per layer, repeated ones as links."""
    tar = TarBuilder()
    entries = []
    written: dict[str, str] = {}
    for number, image in enumerate(images):
        paths = []
        for layer, raw in enumerate(image.layers):
            path = f"{number:032x}{layer:032x}/layer.tar"
            packed = image.packed(raw)
            known = written.setdefault(sha256(packed), path)
            if known == path:
                tar.file(path, packed)
            else:
                tar.link(path, f"../{known}")
            tar.file(path.replace("layer.tar", "VERSION"), b"1.0")
            paths.append(path)
        config = f"{sha256(image.config).removeprefix('sha256:')}.json"
        tar.file(config, image.config)
        entries.append({"Config": config, "RepoTags": list(image.names) or None, "Layers": paths})
    tar.json("manifest.json", entries)
    return tar.content()


def skopeo(image: SavedImage) -> bytes:
    """Return what skopeo, podman and buildah write: layers by digest, links for older readers."""
    tar = TarBuilder()
    paths = [f"{sha256(layer).removeprefix('sha256:')}.tar" for layer in image.layers]
    for number, (path, layer) in enumerate(zip(paths, image.layers, strict=True)):
        tar.file(path, image.packed(layer))
        tar.link(f"{number:064x}/layer.tar", f"../{path}")
    config = f"{sha256(image.config).removeprefix('sha256:')}.json"
    tar.file(config, image.config)
    entry = {"Config": config, "RepoTags": list(image.names), "Layers": paths}
    tar.json("manifest.json", [entry])
    return tar.content()


def modern(image: SavedImage, *, missing: Sequence[str] = ()) -> bytes:
    """Return what docker writes from version 25 on: an OCI layout and a `manifest.json` in one.

    Args:
        image: The image.
        missing: Further platforms that the index names and the archive does not have.
    """
    tar = TarBuilder()

    def blob(content: bytes, media_type: str, **more: object) -> dict[str, Any]:
        digest = sha256(content)
        tar.file(f"blobs/sha256/{digest.removeprefix('sha256:')}", content)
        return {"mediaType": media_type, "digest": digest, "size": len(content), **more}

    oci = "application/vnd.oci.image."
    layers = [blob(image.packed(each), f"{oci}layer.v1.tar") for each in image.layers]
    config = blob(image.config, f"{oci}config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{oci}manifest.v1+json",
        "config": config,
        "layers": layers,
        "annotations": {"made": "by hand"},
    }
    top = blob(json.dumps(manifest).encode(), f"{oci}manifest.v1+json")
    if missing:
        others = [
            {
                "mediaType": f"{oci}manifest.v1+json",
                "digest": sha256(name.encode()),
                "size": 100,
                "platform": dict(zip(("os", "architecture"), name.split("/"), strict=True)),
            }
            for name in missing
        ]
        index = {
            "schemaVersion": 2,
            "mediaType": f"{oci}index.v1+json",
            "manifests": [*others, top],
        }
        top = blob(json.dumps(index).encode(), f"{oci}index.v1+json")
    names = {"io.containerd.image.name": image.names[0]} if image.names else {}
    tar.json("index.json", {"schemaVersion": 2, "manifests": [{**top, "annotations": names}]})
    tar.json("oci-layout", {"imageLayoutVersion": "1.0.0"})
    entry = {
        "Config": f"blobs/sha256/{config['digest'].removeprefix('sha256:')}",
        "RepoTags": list(image.names),
        "Layers": [f"blobs/sha256/{each['digest'].removeprefix('sha256:')}" for each in layers],
    }
    tar.json("manifest.json", [entry])
    return tar.content()


def write(path: Path, content: bytes) -> str:
    """Write an archive; return its path as a source."""
    path.write_bytes(content)
    return str(path)


def gzipped(content: bytes) -> bytes:
    """Compress as a layer of crane's archives is."""
    return gzip.compress(content, mtime=0)
