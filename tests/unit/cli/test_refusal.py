"""A push that is refused by a rule of the hub says which, and what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealoshub.reference import MediaType
from tests.images import Layout, oci_layout
from tests.unit.cli.conftest import FakeCluster, FakeHub, Program
from tests.unit.cli.logged_in import log_in
from tests.unit.registry.fake_registry import FakeRegistry, Knobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "team/app"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A small image."""
    return oci_layout(tmp_path / "layout")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry that alice is logged in to, and the hub that it belongs to."""
    with FakeRegistry(Knobs(auth="bearer")) as fake:
        fake.knobs.refresh["shr_secret"] = "alice"
        log_in(fake.host)
        yield fake


@pytest.fixture
def run() -> Program:
    """The program with its real doors."""
    return Program(FakeHub(), FakeCluster())


def test_a_quota(run: Program, registry: FakeRegistry, layout: Layout) -> None:
    """How much is used is in the message, and the hint sends nobody to the owners."""
    registry.knobs.may["alice", NAME] = {"pull"}
    reason = "team is over its quota: size 10.4Gi of 10Gi"
    registry.knobs.explained |= {"allowed": False, "reason": reason, "full": True}
    result = run("push", layout.path, f"{registry.host}/{NAME}:v1", "--cr-option", "no")
    assert result.exit_code == 4
    assert f"alice may not push to {registry.host}/{NAME}: {reason}" in result.stderr
    assert "administrator of the hub" in result.stderr


def test_a_missing_right_is_none_of_it(
    run: Program, registry: FakeRegistry, layout: Layout
) -> None:
    """Then the message is the registry's, whether the hub answers or not."""
    registry.knobs.may["alice", NAME] = {"pull"}
    arguments = ("push", layout.path, f"{registry.host}/{NAME}:v1", "--cr-option", "no")
    silent = run(*arguments)
    registry.knobs.explained |= {"allowed": False, "reason": "no binding", "full": False}
    told = run(*arguments)
    assert (silent.exit_code, silent.stderr) == (told.exit_code, told.stderr)
    assert silent.exit_code == 4
    assert "Ask an owner" in silent.stderr


def test_a_tag_that_never_moves(run: Program, registry: FakeRegistry, layout: Layout) -> None:
    """Nothing is sent; the code tells it from a missing right."""
    stored = registry.manifests.setdefault(NAME, {})
    stored["v1"] = (MediaType.OCI_MANIFEST, b"{}")
    registry.knobs.explained |= {"allowed": True, "immutable": True}
    target = f"{registry.host}/{NAME}:v1"
    result = run("push", layout.path, target, "--cr-option", "no", "--output", "ndjson")
    assert result.exit_code == 4
    last = json.loads(result.stdout.splitlines()[-1])
    assert "TAG_IMMUTABLE" in json.dumps(last)
    assert registry.count("POST", "/blobs/uploads") == registry.count("PUT") == 0
    assert registry.count("GET", "/v1/explain") == 1


@pytest.mark.parametrize("explained", [{}, {"allowed": True, "immutable": False}])
def test_other_tags_move(
    run: Program, registry: FakeRegistry, layout: Layout, explained: dict[str, object]
) -> None:
    """Also where nobody knows such rules; and the hub is asked for no other push."""
    stored = registry.manifests.setdefault(NAME, {})
    stored["latest"] = (MediaType.OCI_MANIFEST, b"{}")
    registry.knobs.explained |= explained
    for tag, asked in (("new", 0), ("latest", 1), ("latest", 1)):
        target = f"{registry.host}/{NAME}:{tag}"
        result = run("push", layout.path, target, "--cr-option", "no")
        assert result.exit_code == 0, result.output
        assert registry.count("GET", "/v1/explain") == asked
    assert stored["latest"] == stored[layout.digest]
