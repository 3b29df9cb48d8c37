"""The error tree: numbers, words, and nothing else."""

from __future__ import annotations

import pytest

from sealoshub import errors
from sealoshub.errors import SealosHubError

TREE = {
    "SealosHubError": (1, "FAILED"),
    "UsageError": (2, "USAGE"),
    "AuthenticationError": (3, "UNAUTHORIZED"),
    "DeniedError": (4, "DENIED"),
    "InvalidInputError": (5, "INVALID"),
    "NotFoundError": (5, "NOT_FOUND"),
    "UnavailableError": (6, "UNAVAILABLE"),
    "ContentRefusedError": (7, "REFUSED"),
    "ResourceNotAppliedError": (8, "NOT_APPLIED"),
}


def test_tree() -> None:
    """Each class has the exit code and the word that are documented, and there are no others."""
    found = {
        name: (kind.exit_code, kind.code)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, SealosHubError)
    }
    assert found == TREE


@pytest.mark.parametrize("name", TREE)
def test_drawn(name: str) -> None:
    """The docstring draws every class with its exit code."""
    assert errors.__doc__ is not None
    (line,) = [line for line in errors.__doc__.splitlines() if f"{name} " in line]
    assert str(TREE[name][0]) in line.split()


def test_parts() -> None:
    """An error has a sentence, a hint and a code; a given code is that error's alone."""
    error = SealosHubError("it failed", hint="Try again.", code="TOOMANYREQUESTS")
    assert (str(error), error.message, error.hint) == ("it failed", "it failed", "Try again.")
    assert error.code == "TOOMANYREQUESTS"
    assert SealosHubError("x").code == "FAILED"
    assert SealosHubError("x").hint is None
