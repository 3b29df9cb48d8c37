"""Results of benchmarks: JSON beside the documentation, and the table that people read."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DOCS: Final = Path(__file__).parents[2] / "docs" / "explanation"
PAGE: Final = DOCS / "performance.md"


@pytest.fixture
def publish() -> Callable[[str, Sequence[dict[str, Any]]], None]:
    """Return a function that writes the rows of one benchmark to `docs/explanation/`.

    The rows become `benchmarks/NAME.json` and the table between the marks `<!-- NAME -->` of
    `performance.md`.
    """

    def write(name: str, rows: Sequence[dict[str, Any]]) -> None:
        machine = {
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
        }
        folder = DOCS / "benchmarks"
        folder.mkdir(exist_ok=True)
        content = {"machine": machine, "rows": list(rows)}
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
        head = list(rows[0])
        table = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        table += [f"| {' | '.join(str(row[key]) for key in head)} |" for row in rows]
        mark = f"<!-- {name} -->"
        block = f"{mark}\n\n{chr(10).join(table)}\n\n{mark}"
        text = PAGE.read_text()
        assert text.count(mark) == 2, f"{PAGE} has no place for {name}"
        PAGE.write_text(re.sub(f"{mark}.*{mark}", lambda _: block, text, flags=re.DOTALL))

    return write
