"""Claims about changing one file: locked, lossless, in one step."""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealoshub.credentials import authfile, ledger
from sealoshub.errors import InvalidInputError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def _log_in(file: Path, number: int) -> None:
    def change(body: dict[str, object]) -> bool:
        auths = body.setdefault("auths", {})
        assert isinstance(auths, dict)
        auths[f"host{number}"] = {"auth": "x"}
        return True

    authfile.edit(file, change)


def test_parallel_logins_lose_nothing(tmp_path: Path) -> None:
    """50 logins to 50 hosts from 8 processes leave 50 entries."""
    file = tmp_path / "config.json"
    context = multiprocessing.get_context("forkserver")
    with context.Pool(8) as pool:
        pool.starmap(_log_in, [(file, number) for number in range(50)])
    assert len(json.loads(file.read_text())["auths"]) == 50


@settings(max_examples=50)
@given(st.dictionaries(st.text(), JSON))
def test_lossless(body: dict[str, object]) -> None:
    """Whatever else the file holds is the same after a change."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "f"
        file.write_text(json.dumps(body))

        def change(content: dict[str, object]) -> bool:
            content["added"] = 1
            return True

        authfile.edit(file, change)
        assert json.loads(file.read_text()) == {**body, "added": 1}


def test_nothing_is_written_without_a_change(tmp_path: Path) -> None:
    """A change that changes nothing leaves the very same file."""
    file = tmp_path / "f"
    file.write_text('{"a":1}')
    before = file.stat()
    assert authfile.edit(file, lambda _: False) is False
    assert file.stat() == before


def test_a_failing_change_leaves_the_file(tmp_path: Path) -> None:
    """An error in the middle leaves the old content, and no temporary file."""
    file = tmp_path / "f"
    file.write_text('{"a":1}')

    def change(body: dict[str, object]) -> bool:
        body["a"] = object()  # cannot be written as JSON
        return True

    with pytest.raises(TypeError):
        authfile.edit(file, change)
    assert file.read_text() == '{"a":1}'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "f.lock"]


def test_too_large(tmp_path: Path) -> None:
    """A file that cannot be a credential file is not read to its end."""
    file = tmp_path / "f"
    with file.open("wb") as stream:
        stream.truncate(authfile.MAX_FILE + 1)
    with pytest.raises(InvalidInputError, match="larger than 4 MiB"):
        authfile.load(file)


def test_ledger(tmp_path: Path) -> None:
    """A login is remembered, replaced and forgotten, newest last."""
    file = ledger.path({"XDG_STATE_HOME": str(tmp_path)}, tmp_path)
    one = ledger.Login("one", "alice", None, ("/f",))
    two = ledger.Login("two", "bob", None, ())
    ledger.remember(file, one)
    ledger.remember(file, two)
    ledger.remember(file, one)
    assert ledger.read(file) == [two, one]
    assert ledger.forget(file, "one")
    assert not ledger.forget(file, "one")
    assert ledger.read(file) == [two]
