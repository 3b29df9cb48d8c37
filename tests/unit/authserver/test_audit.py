"""The audit log's queue and file."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING

import pytest

from sealoshub.authserver import audit as audit_log
from sealoshub.authserver.audit import Audit
from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path


def test_lines_are_written_in_order(tmp_path: Path) -> None:
    """All that were queued before the end, with their time."""
    file = tmp_path / "audit.log"
    audit = Audit(file)
    for number in range(1000):
        audit.write(0.25, {"number": number})
    audit.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["number"] for line in lines] == list(range(1000))
    assert lines[0]["time"] == "1970-01-01T00:00:00.250+00:00"


def test_a_rotated_file_is_opened_again(tmp_path: Path) -> None:
    """What comes after the rotation is in the new file."""
    file, old = tmp_path / "audit.log", tmp_path / "audit.log.1"
    audit = Audit(file)
    audit.write(0, {"n": 1})
    deadline = time.monotonic() + 60
    while not file.read_text():
        assert time.monotonic() < deadline
    file.rename(old)
    audit.write(0, {"n": 2})
    audit.close()
    assert [json.loads(path.read_text())["n"] for path in (old, file)] == [1, 2]


def test_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """`-` is for containers."""
    audit = Audit("-")
    audit.write(0, {"n": 1})
    audit.close()
    assert json.loads(capsys.readouterr().out)["n"] == 1


def test_no_log(tmp_path: Path) -> None:
    """None writes nothing and needs no end."""
    audit = Audit(None)
    audit.write(0, {"n": 1})
    audit.close()
    assert list(tmp_path.iterdir()) == []


def test_a_line_cannot_be_broken(tmp_path: Path) -> None:
    """A client that calls itself a second line stays in its own."""
    file = tmp_path / "audit.log"
    audit = Audit(file)
    audit.write(0, {"client": 'x"}\n{"user":"root"}\r\n\u2028'})
    audit.close()
    assert len(file.read_text().splitlines()) == 1


def test_a_full_queue_loses_lines_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stands still never stops the service."""
    monkeypatch.setattr(audit_log, "QUEUED", 0)
    file = tmp_path / "audit.log"
    audit = Audit(file)
    for number in range(5):
        audit.write(0, {"number": number})
    audit.close()
    assert json.loads(file.read_text())["lost"] == 5


def test_a_disk_that_is_full_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On standard error, and the server goes on."""
    file = tmp_path / "audit.log"
    audit = Audit(file)
    file.unlink()
    tmp_path.chmod(0o500)
    file.mkdir() if not file.exists() else None
    with caplog.at_level(logging.ERROR):
        audit.write(0, {"n": 1})
        audit.close()
    tmp_path.chmod(0o700)
    assert "cannot be written" in caplog.text


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """Said at the start."""
    with pytest.raises(InvalidInputError, match="cannot write the audit log"):
        Audit(tmp_path / "no" / "audit.log")
