"""Write the table of attacks in `docs/explanation/security.md` from the tests: `make docs`.

A row is there because a test of its number is, and says what the test claims. Every test of an
attack takes a hub, directly or by a fixture, and so runs on the embedded API and on a real one.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "explanation" / "security.md"
ATTACKS: Final = ROOT / "tests" / "attacks"
ROWS: Final = 30
MARK: Final = "<!-- attacks -->"
ON_A_HUB: Final = frozenset({"hub", "cast", "target", "stranger", "lone_api"})
_NAME: Final = re.compile(r"test_row_(\d\d)_(\w+)")

if TYPE_CHECKING:
    from collections.abc import Iterator


def render() -> str:
    """Return the page with a fresh table."""
    head, _, rest = PAGE.read_text().partition(MARK)
    tail = rest.rpartition(MARK)[2]
    rows = sorted(_rows())
    missing = set(range(1, ROWS + 1)) - {number for number, *_ in rows}
    if missing:
        sys.exit(f"docs: no test for the attacks {sorted(missing)}")
    lines = [f"| {number} | {attack} | {claim} | yes | yes |" for number, _, attack, claim in rows]
    table = "\n".join(
        ["| row | attack | claim of the test | embedded | real |", "|---|---|---|---|---|", *lines]
    )
    return f"{head}{MARK}\n\n{table}\n\n{MARK}{tail}"


def _rows() -> Iterator[tuple[int, int, str, str]]:
    """Yield row, place among the tests, attack and claim of every test of an attack."""
    for file in sorted(ATTACKS.glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            named = _NAME.fullmatch(node.name) if isinstance(node, ast.FunctionDef) else None
            if named is None or not isinstance(node, ast.FunctionDef):
                continue
            if not ON_A_HUB & {argument.arg for argument in node.args.args}:
                sys.exit(f"docs: {node.name} does not run on a hub")
            claim = " ".join((ast.get_docstring(node) or "").partition("\n")[0].split())
            attack = named.group(2).replace("_", " ").replace(" api ", " API ")
            yield int(named.group(1)), node.lineno, attack, claim.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render())
    print(f"docs: wrote {PAGE.relative_to(ROOT)}")
