"""An image with everything that can belong to one: platforms, an attestation, signatures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.images import CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE, REF_NAME, oci_layout, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PLATFORMS: Final = ("linux/amd64", "linux/arm64", "linux/s390x")
_COSIGN: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
_NOTATION: Final = "application/vnd.cncf.notary.signature"


@dataclass(frozen=True, slots=True)
class SignedLayout:
    """An OCI layout with one index and what belongs to it.

    Args:
        path: Folder of the layout.
        digest: Of the index.
        referrer: Of a signature whose subject is the index.
        tags: Digests of what cosign attached, by tag: to the index and to the first platform.
    """

    path: Path
    digest: str
    referrer: str
    tags: Mapping[str, str]


def signed_layout(path: Path, *, seed: int = 0) -> SignedLayout:
    """Write an image for three platforms, with an attestation of the first, and signatures.

    Args:
        path: A folder that is not there yet.
        seed: Images of different seeds share one small layer.
    """
    plain = oci_layout(path, seed=seed, layers=2, platforms=_PLATFORMS)
    index = json.loads((path / "blobs" / "sha256" / plain.digest[7:]).read_bytes())
    first = index["manifests"][0]
    attestation = _manifest(path, f"built {seed}", "application/vnd.in-toto+json")
    index["manifests"].append(
        attestation
        | {
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": first["digest"],
            },
        }
    )
    root = _blob(path, _json(index), INDEX_TYPE)
    referrer = _manifest(path, f"signed {seed}", _NOTATION, subject=root, artifactType=_NOTATION)
    attached = {
        f"{subject['digest'].replace(':', '-')}.{kind}": _manifest(path, f"{kind} {seed}", _COSIGN)
        for subject, kind in ((root, "sig"), (first, "att"))
    }
    entries = [root | {"annotations": {REF_NAME: plain.tag}}, referrer]
    entries += [each | {"annotations": {REF_NAME: tag}} for tag, each in attached.items()]
    listed = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    (path / "index.json").write_bytes(_json(listed))
    tags = {tag: each["digest"] for tag, each in attached.items()}
    return SignedLayout(path, root["digest"], referrer["digest"], tags)


def _manifest(path: Path, text: str, layer_type: str, **more: object) -> dict[str, Any]:
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _blob(path, b"{}", CONFIG_TYPE),
        "layers": [_blob(path, text.encode(), layer_type)],
        **more,
    }
    return _blob(path, _json(manifest), MANIFEST_TYPE)


def _blob(path: Path, content: bytes, media_type: str) -> dict[str, Any]:
    digest = sha256(content)
    (path / "blobs" / "sha256" / digest[7:]).write_bytes(content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
