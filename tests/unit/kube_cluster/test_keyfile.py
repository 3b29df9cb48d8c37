"""Key material for a library that reads files: readable while needed, gone afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealoshub.kube.keyfile import KeyFiles


@pytest.mark.parametrize("in_memory", [True, False])
def test_contents_can_be_read_until_they_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_memory: bool
) -> None:
    """As often as needed, by path; and no path leads anywhere afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    files = KeyFiles(in_memory=in_memory)
    one, other = Path(files.add(b"one")), Path(files.add(b"x" * 100_000))
    for _ in range(2):
        assert (one.read_bytes(), len(other.read_bytes())) == (b"one", 100_000)
    assert one.stat().st_mode & 0o077 == 0 or in_memory
    files.close()
    files.close()
    assert not one.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_forgotten_file_goes_with_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key outlives the object."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    KeyFiles(in_memory=False).add(b"key")
    assert list(tmp_path.iterdir()) == []
