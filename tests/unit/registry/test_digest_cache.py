"""The memory of digests saves work and never does harm."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.reference import Digest
from sealoshub.registry import digest_cache
from sealoshub.registry.digest_cache import DigestCache, Packed, Recipe, open_cache

if TYPE_CHECKING:
    from pathlib import Path

LAYER = Digest.of(b"layer")
RECIPE = Recipe("gzip", 2, "isal 1.9.1", 512)
PACKED = Packed(Digest.of(b"packed"), 10)


@pytest.fixture
def cache(tmp_path: Path) -> DigestCache:
    """A memory with one entry."""
    found = DigestCache(tmp_path / "a" / "b")
    found.put(LAYER, RECIPE, PACKED)
    return found


def only_file(tmp_path: Path) -> Path:
    """Return the file of the only entry."""
    (file,) = (tmp_path / "a" / "b").iterdir()
    return file


def test_remembered(cache: DigestCache, tmp_path: Path) -> None:
    """What was put is there, for this layer and this way of compressing only."""
    assert cache.get(LAYER, RECIPE) == PACKED
    assert cache.get(Digest.of(b"other"), RECIPE) is None
    for other in (
        Recipe("zstd", 2, "isal 1.9.1", 512),
        Recipe("gzip", 3, "isal 1.9.1", 512),
        Recipe("gzip", 2, "isal 1.9.2", 512),
        Recipe("gzip", 2, "isal 1.9.1", 513),
    ):
        assert cache.get(LAYER, other) is None
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert only_file(tmp_path).stat().st_mode & 0o777 == 0o600
    cache.drop(LAYER, RECIPE)
    cache.drop(LAYER, RECIPE)
    assert cache.get(LAYER, RECIPE) is None


DAMAGE = [
    b"",
    b"{",
    b"[]",
    b"1",
    b"[" * 100_000,
    b"\xff\xfe",
    b'{"version":1}',
    b"x" * 10_000,
]


@pytest.mark.parametrize("content", DAMAGE)
def test_damaged(cache: DigestCache, tmp_path: Path, content: bytes) -> None:
    """A damaged entry is no entry, and is written anew."""
    only_file(tmp_path).write_bytes(content)
    assert cache.get(LAYER, RECIPE) is None
    cache.put(LAYER, RECIPE, PACKED)
    assert cache.get(LAYER, RECIPE) == PACKED


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"diff_id": "sha256:0"},
        {"recipe": "gzip"},
        {"digest": "md5:0"},
        {"digest": 1},
        {"size": -1},
        {"size": 0},
        {"size": True},
        {"size": "10"},
        {"size": 1.5},
    ],
)
def test_foreign(cache: DigestCache, tmp_path: Path, change: dict[str, object]) -> None:
    """An entry that does not say what it should is no entry."""
    file = only_file(tmp_path)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert cache.get(LAYER, RECIPE) is None


@given(st.binary(max_size=100))
def test_any_content(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever is in the file, nothing is raised."""
    folder = tmp_path_factory.mktemp("cache", numbered=True)
    cache = DigestCache(folder)
    cache.put(LAYER, RECIPE, PACKED)
    next(folder.iterdir()).write_bytes(content)
    assert cache.get(LAYER, RECIPE) is None


def test_no_folder(tmp_path: Path) -> None:
    """A folder that cannot be written, or does not exist, is no error."""
    (tmp_path / "file").write_text("in the way")
    for cache in (DigestCache(tmp_path / "file" / "x"), DigestCache(None)):
        cache.put(LAYER, RECIPE, PACKED)
        cache.drop(LAYER, RECIPE)
        assert cache.get(LAYER, RECIPE) is None


def test_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many entries the oldest go."""
    monkeypatch.setattr(digest_cache, "MAX_ENTRIES", 8)
    cache = DigestCache(tmp_path)
    layers = [Digest.of(bytes([number])) for number in range(9)]
    for age, layer in enumerate(layers):
        cache.put(layer, RECIPE, PACKED)
        for file in tmp_path.iterdir():
            if file.name.startswith(layer.hex):
                os.utime(file, (age, age))
    left = [number for number, layer in enumerate(layers) if cache.get(layer, RECIPE)]
    # The ninth was new when the others had been given their ages.
    assert left == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/sealoshub/layers"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/sealoshub/layers"),
        ({"HOME": "/h"}, "/h/.cache/sealoshub/layers"),
        ({"HOME": ""}, "None"),
        ({}, "None"),
    ],
)
def test_where(env: dict[str, str], folder: str) -> None:
    """The XDG base directory specification says where it is."""
    assert str(open_cache(env)._folder) == folder
