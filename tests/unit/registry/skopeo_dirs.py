"""Directories as skopeo's `dir:` transport writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.images import sha256

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OCI: Final = "application/vnd.oci.image."
VERSION: Final = "Directory Transport Version: 1.1\n"


def skopeo_dir(
    path: Path,
    layers: Sequence[bytes],
    *,
    mislabelled: bool = False,
    platforms: Sequence[str] = ("linux/amd64",),
) -> Path:
    """Write one; more than one platform makes an index.

    Args:
        path: The directory; not there yet.
        layers: Uncompressed tars.
        mislabelled: Call them compressed, as podman does with what was pulled.
        platforms: `os/architecture` of each image.
    """
    path.mkdir()
    (path / "version").write_text(VERSION)
    media_type = f"{OCI}layer.v1.tar" + ("+gzip" if mislabelled else "")
    manifests = []
    for platform in platforms:
        system, architecture = platform.split("/")
        config = {
            "os": system,
            "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "config": _blob(path, json.dumps(config).encode(), f"{OCI}config.v1+json"),
            "layers": [_blob(path, layer, media_type) for layer in layers],
        }
        manifests.append((json.dumps(manifest).encode(), system, architecture))
    if len(manifests) == 1:
        (path / "manifest.json").write_bytes(manifests[0][0])
        return path
    entries = [
        _blob(path, content, f"{OCI}manifest.v1+json", ".manifest.json")
        | {"platform": {"os": system, "architecture": architecture}}
        for content, system, architecture in manifests
    ]
    index = {"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": entries}
    (path / "manifest.json").write_text(json.dumps(index))
    return path


def _blob(path: Path, content: bytes, media_type: str, end: str = "") -> dict[str, Any]:
    digest = sha256(content)
    (path / f"{digest.removeprefix('sha256:')}{end}").write_bytes(content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}
