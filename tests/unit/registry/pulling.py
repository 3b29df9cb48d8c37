"""What the tests of a pull share: somebody who pulls, and images in a fake registry."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealoshub.reference import Reference
from sealoshub.registry.pull import pull
from sealoshub.registry.push_events import BlobProgress
from sealoshub.registry.target import Kind, Target

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.registry.image import Platform
    from sealoshub.registry.pull_events import PullEvent, PullResult
    from sealoshub.registry.push_events import BlobState
    from tests.images import Layout
    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry

MIB = 1024 * 1024


@dataclass
class Puller:
    """Pulls o/app from a fake registry into a folder of its own."""

    registry: FakeRegistry
    connect: ClientMaker
    folder: Path
    events: list[PullEvent] = field(default_factory=list)

    def __call__(
        self,
        target: Target | None = None,
        name: str = "o/app:v1",
        account: str | None = None,
        platform: Platform | None = None,
    ) -> PullResult:
        """Pull *name*."""
        self.events.clear()
        reference = Reference.parse(f"{self.registry.host}/{name}")
        where = target or Target(Kind.OCI, self.folder / "out")
        client = self.connect(self.registry.host, account)
        return pull(client, reference, where, platform=platform, events=self.events.append)

    def blob(self, digest: str) -> Path:
        """Return where a blob of the layout lies."""
        return self.folder / "out" / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def states(self) -> list[BlobState]:
        """Return the last state of each blob."""
        last = {
            event.digest: event.state for event in self.events if isinstance(event, BlobProgress)
        }
        return sorted(last.values())

    def served(self) -> int:
        """Return how many bytes of blobs the registry has sent."""
        return sum(size for _, size in self.registry.knobs.serving.served)


def stock(registry: FakeRegistry, image: Layout, name: str = "o/app") -> None:
    """Put *image* into the registry without a push."""
    folder = image.path / "blobs" / "sha256"
    for file in folder.iterdir():
        content, digest = file.read_bytes(), f"sha256:{file.name}"
        if digest in image.blobs:
            registry.blobs.setdefault(name, {})[digest] = content
        else:
            kind = json.loads(content)["mediaType"]
            registry.manifests.setdefault(name, {})[digest] = (kind, content)
    manifests = registry.manifests[name]
    manifests[image.tag] = manifests[image.digest]


def big_blob(registry: FakeRegistry) -> tuple[str, bytes]:
    """Return the digest and the content of the largest blob."""
    return max(registry.blobs["o/app"].items(), key=lambda item: len(item[1]))


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file below *folder*."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
