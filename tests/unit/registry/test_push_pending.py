"""Pushing layers that are compressed meanwhile: what is sent, asked and done, also again."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import InvalidInputError
from sealoshub.reference import Digest, Reference
from sealoshub.registry import compress
from sealoshub.registry.compress import Compression, method
from sealoshub.registry.digest_cache import Packed, open_cache
from sealoshub.registry.push import push
from sealoshub.registry.push_events import BlobProgress, BlobState, Compressing, Started
from sealoshub.registry.source import open_image
from tests.docker_archives import CLUSTER, SavedImage, legacy, plain_layer, write
from tests.images import sha256

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.registry.push_events import Event
    from tests.unit.registry.conftest import ClientMaker
    from tests.unit.registry.fake_registry import FakeRegistry

LAYERS = [plain_layer(str(number), 300_000) for number in range(5)] + [CLUSTER]
SAVED = SavedImage(LAYERS)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A docker archive with six layers."""
    return write(tmp_path / "image.tar", legacy([SAVED]))


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty memory."""
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.fixture
def compressed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of every block that was compressed."""
    blocks: list[int] = []
    real = method(Compression.GZIP)

    def count(block: bytes) -> bytes:
        blocks.append(len(block))
        return real.compress(block)

    counting = compress.Method(real.recipe, count)
    monkeypatch.setattr("sealoshub.registry.docker_archive.method", lambda _how: counting)
    return blocks


def test_first_push(
    registry: FakeRegistry,
    connect: ClientMaker,
    source: str,
    env: dict[str, str],
) -> None:
    """Every layer is compressed, sent and listed in the manifest; the configuration is the same."""
    events: list[Event] = []
    target = Reference.parse(f"{registry.host}/org/app:v1")
    with open_image(source, env=env) as image:
        result = push(connect(registry.host), image, target, events=events.append)
        layers = [layer.digest.text for layer in image.root.layers]
        assert image.root.config is not None
        assert image.root.config.digest.text == sha256(SAVED.config)
    stored = registry.blobs["org/app"]
    assert [gzip.decompress(stored[digest]) for digest in layers] == LAYERS
    assert stored[sha256(SAVED.config)] == SAVED.config
    assert result.digest.text in registry.manifests["org/app"]
    (started,) = (event for event in events if isinstance(event, Started))
    assert (started.blobs, started.manifests) == (7, 1)
    assert started.size == sum(map(len, LAYERS)) + len(SAVED.config)
    finished = {
        event.diff_id.text: event.blob.text
        for event in events
        if isinstance(event, Compressing) and event.blob is not None
    }
    assert finished == dict(zip(map(sha256, LAYERS), layers, strict=True))


def test_second_push(
    registry: FakeRegistry,
    connect: ClientMaker,
    source: str,
    env: dict[str, str],
    compressed: list[int],
) -> None:
    """The second push compresses nothing, sends nothing, and asks for the image, not for blobs."""
    target = Reference.parse(f"{registry.host}/org/app:v1")
    with open_image(source, env=env) as image:
        first = push(connect(registry.host), image, target)
    assert sum(compressed) == sum(map(len, LAYERS))
    compressed.clear()
    before = len(registry.seen)
    events: list[Event] = []
    with open_image(source, env=env) as image:
        second = push(connect(registry.host), image, target, events=events.append)
    assert compressed == []
    assert (second.digest, second.uploaded) == (first.digest, 0)
    asked = [request.path for request in registry.seen[before:] if "/blobs/" in request.path]
    assert asked == []
    states = [event.state for event in events if isinstance(event, BlobProgress)]
    assert states == [BlobState.EXISTS] * 7


def test_another_repository(
    registry: FakeRegistry,
    connect: ClientMaker,
    source: str,
    env: dict[str, str],
    compressed: list[int],
) -> None:
    """Blobs that are there without their manifest are asked for once each, and not compressed."""
    target = Reference.parse(f"{registry.host}/org/app:v1")
    with open_image(source, env=env) as image:
        push(connect(registry.host), image, target)
    compressed.clear()
    registry.manifests.clear()
    before = len(registry.seen)
    with open_image(source, env=env) as image:
        assert push(connect(registry.host), image, target).uploaded == 0
    assert compressed == []
    asked = [request.path for request in registry.seen[before:] if "/blobs/" in request.path]
    assert (len(asked), len(set(asked))) == (7, 7)


def test_another_registry(
    registry: FakeRegistry,
    connect: ClientMaker,
    source: str,
    env: dict[str, str],
    compressed: list[int],
) -> None:
    """Where the registry has not got a layer it is compressed again, to the same digest."""
    with open_image(source, env=env) as image:
        digest = image.root.descriptor.digest
    compressed.clear()
    target = Reference.parse(f"{registry.host}/org/app:v1")
    with open_image(source, env=env) as image:
        result = push(connect(registry.host), image, target)
    assert result.digest == digest
    assert sum(compressed) == sum(map(len, LAYERS))


def test_wrong_memory(
    registry: FakeRegistry, connect: ClientMaker, source: str, env: dict[str, str]
) -> None:
    """A wrong memory does no harm: the true layer is pushed, and remembered."""
    recipe = method(Compression.GZIP).recipe
    diff_id = Digest.parse(sha256(LAYERS[0]))
    open_cache(env).put(diff_id, recipe, Packed(Digest.of(b"wrong"), 5))
    target = Reference.parse(f"{registry.host}/org/app:v1")
    with open_image(source, env=env) as image:
        push(connect(registry.host), image, target)
        first = image.root.layers[0].digest
    assert gzip.decompress(registry.blobs["org/app"][first.text]) == LAYERS[0]
    remembered = open_cache(env).get(diff_id, recipe)
    assert remembered is not None
    assert remembered.digest == first


def test_damaged_layer(
    registry: FakeRegistry, connect: ClientMaker, tmp_path: Path, env: dict[str, str]
) -> None:
    """A layer that is not its `diff_id` ends the push, and no manifest is put."""
    ids: list[object] = [sha256(layer) for layer in LAYERS]
    ids[3] = sha256(b"other")
    path = write(tmp_path / "bad.tar", legacy([SavedImage(LAYERS, diff_ids=ids)]))
    target = Reference.parse(f"{registry.host}/org/app:v1")
    with (
        open_image(path, env=env) as image,
        pytest.raises(InvalidInputError, match="another digest"),
    ):
        push(connect(registry.host), image, target)
    assert registry.manifests.get("org/app", {}) == {}


def test_digest_that_was_asked_for(
    registry: FakeRegistry, connect: ClientMaker, source: str, env: dict[str, str]
) -> None:
    """A reference with a digest is compared before anything is sent."""
    other = Reference.parse(f"{registry.host}/org/app@{Digest.of(b'other')}")
    with open_image(source, env=env) as image:
        with pytest.raises(InvalidInputError, match="not sha256:"):
            push(connect(registry.host), image, other)
        assert registry.seen == []
        mine = Reference.parse(f"{registry.host}/org/app@{image.root.descriptor.digest}")
        assert push(connect(registry.host), image, mine).digest == mine.digest
