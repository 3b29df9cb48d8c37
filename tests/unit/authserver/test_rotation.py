"""Changing keys: what is in the folder at every moment, and when a key goes for ever."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sealoshub.authserver import keys, rotation
from sealoshub.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a key that signs and two that stand by."""
    keys.generate(tmp_path)
    assert rotation.fill(tmp_path) == 2
    return tmp_path


def states(folder: Path) -> list[str]:
    """Return what the keys are for."""
    found = keys.load(folder)
    return sorted(rotation.state(key, found.signing) for key in found.keys)


def test_the_next_key_signs_and_the_old_one_is_published_on(folder: Path) -> None:
    """Nothing that was published goes away, and the key that signs was published before."""
    before = keys.load(folder)
    done = rotation.rotate(folder, None, NOW)
    after = keys.load(folder)
    assert (done.before, done.after) == (before.signing.kid, after.signing.kid)
    assert {key.kid for key in after.keys} == {key.kid for key in before.keys}
    assert states(folder) == ["retired", "signing", "standby"]
    assert rotation.fill(folder) == 1
    assert rotation.fill(folder) == 0


def test_only_a_key_that_registries_know_signs(folder: Path) -> None:
    """Otherwise they would refuse every token."""
    known = [key.kid for key in keys.load(folder).keys]
    first = rotation.rotate(folder, known, NOW)
    rotation.fill(folder)
    second = rotation.rotate(folder, known, NOW + timedelta(seconds=1))
    rotation.fill(folder)
    assert {first.after, second.after} <= set(known)
    with pytest.raises(NotFoundError, match="stands by"):
        rotation.rotate(folder, known, NOW + timedelta(seconds=2))
    assert keys.load(folder).signing.kid == second.after


def test_a_change_can_be_undone(folder: Path) -> None:
    """The old key signs again, and the new one stands by."""
    before = keys.load(folder)
    done = rotation.rotate(folder, None, NOW)
    rotation.undo(folder, done)
    assert keys.load(folder).signing.kid == before.signing.kid
    assert states(folder) == ["signing", "standby", "standby"]
    rotation.undo(folder, done)
    assert keys.load(folder).signing.kid == before.signing.kid


@pytest.mark.parametrize("undone", [False, True])
def test_the_folder_is_whole_between_any_two_steps(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, undone: bool
) -> None:
    """Whoever reads it then sees one of the two signing, and every key."""
    everything = {key.kid for key in keys.load(folder).keys}
    done = rotation.rotate(folder, None, NOW) if undone else None
    seen: list[tuple[str, set[str]]] = []

    def watched(name: str, owner: object) -> None:
        original = getattr(owner, name)

        def call(*arguments: object, **more: object) -> object:
            result = original(*arguments, **more)
            found = keys.load(folder)
            seen.append((found.signing.kid, {key.kid for key in found.keys}))
            return result

        monkeypatch.setattr(owner, name, call)

    watched("link", os)
    watched("replace", type(folder))
    if done is None:
        done = rotation.rotate(folder, None, NOW)
    else:
        rotation.undo(folder, done)
    assert len(seen) == 2
    assert all(published == everything for _, published in seen)
    assert {signing for signing, _ in seen} == {done.before, done.after}


def test_a_signer_of_another_name_is_retired_too(tmp_path: Path) -> None:
    """Keys that were put there by hand need no name of ours."""
    keys.generate(tmp_path, "2026-01.pem")
    rotation.fill(tmp_path)
    assert keys.load(tmp_path).signing.name == "2026-01.pem"
    done = rotation.rotate(tmp_path, None, NOW)
    found = keys.load(tmp_path)
    assert (found.signing.name, found.signing.kid) == ("signing.pem", done.after)
    assert states(tmp_path) == ["retired", "signing", "standby"]


def test_a_retired_key_goes_after_its_last_token(folder: Path) -> None:
    """The longest life of a token and the leeway of registries; not before, and no other."""
    rotation.rotate(folder, None, NOW)
    (folder / "retired-by-hand.pem").write_bytes((folder / "signing.pem").read_bytes())
    assert rotation.prune(folder, NOW + timedelta(seconds=3660)) == 0
    assert rotation.prune(folder, NOW + timedelta(seconds=3661)) == 1
    assert sorted(path.name[:7] for path in folder.glob("*.pem")) == [
        "retired",
        "signing",
        "standby",
    ]


def test_folders_that_cannot_be_changed(folder: Path, tmp_path: Path) -> None:
    """A message with the way out, and the old key signs on."""
    before = keys.load(folder).signing.kid
    (folder / "retired-20261123T120000000000Z.pem").write_text("in the way")
    with pytest.raises(InvalidInputError):
        rotation.rotate(folder, None, NOW)
    (folder / "retired-20261123T120000000000Z.pem").unlink()
    assert keys.load(folder).signing.kid == before
    with pytest.raises(NotFoundError):
        rotation.rotate(tmp_path / "missing", None, NOW)
