"""Claims about the Image resource that a push applies."""

from __future__ import annotations

import pytest

from sealoshub.cli.describe import _is_new


def entry(manager: str, *fields: str) -> dict[str, object]:
    """Return one entry of `managedFields`."""
    return {"manager": manager, "fieldsV1": {name: {} for name in fields}}


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry("imagehub-controller", "f:spec", "f:metadata")], True),
        ([entry("imagehub-controller", "f:spec"), entry("kubectl", "f:metadata")], True),
        ([entry("imagehub-controller", "f:spec"), entry("kubectl", "f:spec")], False),
        ([entry("sealoshub-push", "f:spec"), entry("imagehub-controller", "f:status")], False),
        ([], False),
    ],
)
def test_an_image_that_the_controller_saw_first_is_new(
    entries: list[dict[str, object]], *, expected: bool
) -> None:
    """What the controller made of the content before the push came to it is no earlier push."""
    assert _is_new({"metadata": {"name": "org.app.v1", "managedFields": entries}}) is expected


def test_nothing_there_is_new() -> None:
    """The usual case."""
    assert _is_new(None)
