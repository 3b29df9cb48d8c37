"""Garbage collection: what the registry would delete, held to what the storage says is needed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import SealosHubError, UnavailableError, UsageError
from sealoshub.hub import collection, maintenance, storage
from sealoshub.hub import settings as hub_settings
from sealoshub.hub.paths import HubPaths
from sealoshub.hub.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
REGISTRY_3 = f"""\
org/app
org/app: marking manifest {A}
org/app: marking blob {B}
manifest eligible for deletion: {{org/app {B} [v1 v2]}}

2 blobs marked, 1 blobs and 1 manifests eligible for deletion
blob eligible for deletion: {A}
org/app: layer link eligible for deletion: {B}
"""
REGISTRY_2 = f"""\
org/app
manifest eligible for deletion: {B}
org/app: marking manifest {A}

1 blobs marked, 1 blobs and 1 manifests eligible for deletion
blob eligible for deletion: {A}
"""


class Storage:
    """A registry's storage folder that is written by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._base = root / "docker" / "registry" / "v2"

    def blob(self, content: bytes) -> str:
        """Store a blob; return its digest."""
        text = hashlib.sha256(content).hexdigest()
        self._write(self._base / "blobs" / "sha256" / text[:2] / text / "data", content)
        return f"sha256:{text}"

    def manifest(self, repository: str, document: dict[str, Any], tag: str | None = None) -> str:
        """Store a manifest in *repository*; return its digest."""
        digest = self.blob(json.dumps(document).encode())
        folder = self._base / "repositories" / repository / "_manifests"
        text = digest.removeprefix("sha256:")
        self._write(folder / "revisions" / "sha256" / text / "link", digest.encode())
        if tag is not None:
            self._write(folder / "tags" / tag / "current" / "link", digest.encode())
        return digest

    def image(self, repository: str, seed: str, tag: str | None = None) -> tuple[str, list[str]]:
        """Store an image; return its digest and those of its blobs."""
        blobs = [self.blob(f"{seed} {what}".encode()) for what in ("config", "layer")]
        config, layer = ({"digest": digest} for digest in blobs)
        return self.manifest(repository, {"config": config, "layers": [layer]}, tag), blobs

    def upload(self, repository: str) -> Path:
        """Begin an upload; return its file."""
        file = self._base / "repositories" / repository / "_uploads" / "1" / "data"
        self._write(file, b"half")
        return file

    def _write(self, file: Path, content: bytes) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


@pytest.fixture
def made(tmp_path: Path) -> Storage:
    """Return an empty storage."""
    return Storage(tmp_path / "registry")


@pytest.fixture
def paths(tmp_path: Path) -> HubPaths:
    """Return the folder of a hub."""
    found = HubPaths(tmp_path / "hub")
    found.create()
    return found


@pytest.mark.parametrize("text", [REGISTRY_3, REGISTRY_2])
def test_the_dry_run_of_both_registries_is_read(text: str) -> None:
    """Blobs by digest, manifests by repository and digest; nothing else that is printed."""
    plan = collection.read_plan(text.splitlines())
    assert plan == collection.Plan(frozenset({A}), frozenset({("org/app", B)}))


def test_every_manifest_needs_what_it_names(made: Storage) -> None:
    """An image keeps its blobs, an index its images, tagged or not, in folders within folders."""
    image, blobs = made.image("org/app", "one")
    child, inner = made.image("org/app/more", "two")
    index = made.manifest("org/app/more", {"manifests": [{"digest": child}]}, "v1")
    left = made.blob(b"nobody's")
    found = storage.needed(made.root, tagged_only=False)
    assert set(found.blobs) == {image, *blobs, child, *inner, index}
    assert left not in found.blobs
    tagged = storage.needed(made.root, tagged_only=True)
    assert set(tagged.blobs) == {child, *inner, index}
    assert tagged.manifests == {
        ("org/app/more", index): "org/app/more:v1",
        ("org/app/more", child): "org/app/more:v1",
    }


def test_an_index_needs_only_the_images_that_its_repository_has(made: Storage) -> None:
    """What a sparse index lists is kept for it, but not what that names: the registry cannot know.

    A document that is no manifest names nothing.
    """
    elsewhere, blobs = made.image("other/app", "one")
    made.manifest("org/app", {"manifests": [{"digest": elsewhere}, 7], "layers": "no"}, "v1")
    found = storage.needed(made.root, tagged_only=True)
    assert elsewhere in found.blobs
    assert not set(blobs) & set(found.blobs)


def test_a_plan_that_takes_something_needed_is_refused(made: Storage) -> None:
    """The images of an index, which registry 2.8 takes for images without a tag, are named."""
    child, blobs = made.image("org/app", "one")
    made.manifest("org/app", {"manifests": [{"digest": child}]}, "v1")
    needed = storage.needed(made.root, tagged_only=True)
    harmless = collection.Plan(frozenset({A}), frozenset({("org/app", A)}))
    collection.require_harmless(harmless, needed)
    for plan in (
        collection.Plan(frozenset({A, blobs[0]}), frozenset()),
        collection.Plan(frozenset(), frozenset({("org/app", child)})),
    ):
        with pytest.raises(SealosHubError, match="parts of org/app:v1; nothing was deleted"):
            collection.require_harmless(plan, needed)


def test_what_comes_or_goes_while_we_look_is_no_fault(made: Storage) -> None:
    """Only what is needed before and after the dry run may not be in it."""
    made.image("org/app", "stays", "v1")
    before = storage.needed(made.root, tagged_only=False)
    pushed, _ = made.image("org/app", "pushed", "v2")
    after = storage.needed(made.root, tagged_only=False)
    assert pushed in after.blobs
    for both in (before.and_also(after), after.and_also(before)):
        assert both == before


def test_the_last_upload_is_found(made: Storage) -> None:
    """That of a blob that is to go, or one that is under way; blobs of images do not count."""
    _, blobs = made.image("org/app", "one", "v1")
    assert storage.last_written(made.root, []) == (0.0, "")
    left = made.blob(b"nobody's")
    os.utime(storage.blob_file(made.root, left), (50, 50))
    os.utime(storage.blob_file(made.root, blobs[0]), (90, 90))
    assert storage.last_written(made.root, [left]) == (50, "")
    os.utime(made.upload("org/half"), (70, 70))
    assert storage.last_written(made.root, [left]) == (70, "org/half")
    assert storage.size(made.root, [left, A]) == len(b"nobody's")


def test_whoever_inherits_the_lock_holds_it_too(paths: HubPaths) -> None:
    """A collection that outlives its command keeps the registry from writing until it ends."""
    assert not maintenance.is_held(paths)
    with maintenance.hold(paths) as lock:
        assert maintenance.is_held(paths)
        code = "import sys; sys.stdin.read()"
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, pass_fds=(lock,)
        )
    assert maintenance.is_held(paths)
    with pytest.raises(UnavailableError, match="another process"), maintenance.hold(paths):
        pass
    child.communicate()
    assert not maintenance.is_held(paths)


def test_a_registry_that_fails_says_why(paths: HubPaths, tmp_path: Path) -> None:
    """Its last lines are in the message, and nothing is deleted."""
    with pytest.raises(UsageError, match="no hub"):
        _collect(paths)
    program = tmp_path / "registry"
    program.write_text("#!/bin/sh\necho failed to mark: no such thing >&2\nexit 1\n")
    program.chmod(0o700)
    hub_settings.save(paths, Settings(registry_binary=str(program)))
    with pytest.raises(SealosHubError, match="failed to mark: no such thing"):
        _collect(paths)
    program.unlink()
    with pytest.raises(SealosHubError, match="cannot be run"):
        _collect(paths)


def test_nothing_is_deleted_while_somebody_uploads(paths: HubPaths, tmp_path: Path) -> None:
    """The answer names the repository and when to try again; the program ran for a dry run only."""
    program = tmp_path / "registry"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho "blob eligible for deletion: {A}"\n'
    )
    program.chmod(0o700)
    hub_settings.save(paths, Settings(registry_binary=str(program)))
    Storage(paths.storage).upload("org/half")
    with pytest.raises(UnavailableError, match="uploaded to org/half"):
        _collect(paths, idle=600)
    assert "--dry-run" in (tmp_path / "calls").read_text()
    assert _collect(paths).blobs == 1
    last = (tmp_path / "calls").read_text().splitlines()[-1]
    assert last.split() == ["garbage-collect", str(paths.run / "collection.yml")]


def _collect(paths: HubPaths, *, idle: float = 0) -> collection.Collected:
    return collection.collect(
        paths, untagged=False, dry_run=False, idle=idle, on_progress=lambda _: None
    )
