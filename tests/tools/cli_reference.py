"""Write `docs/reference/cli.md` from the command tree itself: `make docs`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "reference" / "cli.md"
HEAD: Final = """\
# Command line

Generated from the program by `make docs`; a test compares the two.
Results go to standard output, everything else to standard error; see [exit codes](exit-codes.md).
`SEALOSHUB_DEBUG=1` shows the traceback of an error, `NO_COLOR=1` switches colours off.
"""

if TYPE_CHECKING:
    from collections.abc import Iterator


def render() -> str:
    """Return the page."""
    import typer  # noqa: PLC0415  # not needed to import this module

    from sealoshub.cli.tree import app  # noqa: PLC0415  # as above

    root = typer.main.get_command(app)
    return HEAD + "".join(_section(path, command) for path, command in walk(root, "sealoshub"))


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # typer keeps its command class private
    """Yield the words and the command of everything that can be run and is not hidden."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name in list(children):
        child = children[name]
        if not child.hidden:
            yield from walk(child, f"{path} {name}")


def options(command: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401  # as above
    """Yield each argument and option of *command* as its --help shows it."""
    import typer  # noqa: PLC0415  # not needed to import this module

    context = typer.Context(command)
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            name = record[0].replace(" <str>", "").replace("|", "\\|")  # a bare | ends a cell
            yield name, " ".join(record[1].split())


def _section(path: str, command: Any) -> str:  # noqa: ANN401  # as above
    text = re.sub(r"\n(?!\n)[ \t]*(?=\S)", "\n", (command.help or "").strip().replace("\f", ""))
    rows = "".join(f"| `{name}` | {help_} |\n" for name, help_ in options(command))
    table = f"\n| | |\n|---|---|\n{rows}" if rows else ""
    return f"\n## {path}\n\n{text}\n{table}"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(render())
    print(f"docs: wrote {PAGE.relative_to(ROOT)}")
