"""The documentation says what the program does, and nothing else."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path
from typing import Final

import pytest
import yaml

from sealoshub.authserver import config
from sealoshub.imagehub import install
from tests.tools import attack_table, cli_reference, resource_reference

ROOT: Final = Path(__file__).resolve().parents[3]
PAGES: Final = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])


def test_the_command_reference_is_that_of_the_program() -> None:
    """`make docs` was run after the last change of a command."""
    assert cli_reference.PAGE.read_text() == cli_reference.render()


def test_the_resource_reference_is_that_of_the_manifests() -> None:
    """`make docs` was run after the last change of a CRD or a role."""
    assert resource_reference.PAGE.read_text() == resource_reference.render()


def test_every_key_of_the_token_server_is_documented() -> None:
    """A key that can be set stands in its reference, and none that cannot."""
    text = (ROOT / "docs" / "reference" / "auth-server.md").read_text()
    page = text.partition("\n## Endpoints\n")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE)
    written = {name.partition(".")[0] for row in rows for name in re.findall(r"`([a-z_.]+)`", row)}
    renamed = {"services": "service"}
    wanted = {renamed.get(field.name, field.name) for field in fields(config.Config)}
    assert written == wanted


def test_every_word_of_a_failure_is_documented() -> None:
    """A `code` that our own errors have stands in the reference, and none that they have not."""
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()
    rows = re.findall(r"^\| (?:\d+ \| )?(`[^|]*`) \|", page, re.MULTILINE)
    written = {word for row in rows for word in re.findall(r"`([A-Z_0-9]+)`", row)}
    used: set[str] = set()
    for folder in ("cli", "credentials", "kube", "registry", "errors.py"):
        found = ROOT / "sealoshub" / folder
        for file in found.rglob("*.py") if found.is_dir() else [found]:
            for node in ast.walk(ast.parse(file.read_text())):
                value: ast.expr | None = None
                if isinstance(node, ast.keyword) and node.arg == "code":
                    value = node.value
                elif isinstance(node, ast.Assign | ast.AnnAssign):
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    if [getattr(target, "id", None) for target in targets] == ["code"]:
                        value = node.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    used.add(value.value)
    assert written == used


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).resolve().exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_pages_exist(page: Path) -> None:
    """A `sealoshub …` command in a page is one of the program, with options that it has."""
    import typer  # noqa: PLC0415  # only here

    from sealoshub.cli.tree import app  # noqa: PLC0415  # only here

    known = dict(cli_reference.walk(typer.main.get_command(app), "sealoshub"))
    for line in re.findall(r"^\$ (?:.*\| )?(sealoshub [^|#\n]+)", page.read_text(), re.MULTILINE):
        words = line.split()
        length = next(n for n in range(len(words), 0, -1) if " ".join(words[:n]) in known or n == 1)
        assert length > 1, line
        command = known[" ".join(words[:length])]
        has = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        used = {word.partition("=")[0] for word in words[length:] if word.startswith("-")}
        assert used <= has, line


def test_the_manifests_are_valid_yaml_of_known_kinds() -> None:
    """`sealoshub hub manifests` prints what `install` applies."""
    printed = list(yaml.safe_load_all(install.render()))
    assert printed == install.manifests()


def test_the_table_of_attacks_is_that_of_the_tests() -> None:
    """`make docs` was run after the last change of a test of an attack; no row is missing."""
    assert attack_table.PAGE.read_text() == attack_table.render()
