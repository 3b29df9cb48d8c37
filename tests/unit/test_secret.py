"""A secret shows itself to nobody but the one who asks for it by name."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from dataclasses import asdict, dataclass

import pytest

from sealoshub.secret import MASK, Secret

PLANTED = "planted-secret"


@dataclass(frozen=True, slots=True)
class Holder:
    """Something that holds a secret."""

    secret: Secret


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret(PLANTED)),
        repr(Secret(PLANTED)),
        f"{Secret(PLANTED)}",
        f"{Secret(PLANTED)!r:>20}",
        f"{Secret(PLANTED):>20}",
        "{}".format(Secret(PLANTED)),  # noqa: UP032  # the method itself is meant
        "%s" % Secret(PLANTED),  # noqa: UP031  # as above
        repr([Secret(PLANTED)]),
        repr({"password": Secret(PLANTED)}),
        repr(Holder(Secret(PLANTED))),
        repr(asdict(Holder(Secret(PLANTED)))),
        repr(ValueError(Secret(PLANTED))),
    ],
)
def test_no_printing(shown: str) -> None:
    """Every way to print it, alone or in something, shows the mask."""
    assert PLANTED not in shown
    assert MASK in shown


def test_no_logging(caplog: pytest.LogCaptureFixture) -> None:
    """A log line shows the mask."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("test").debug("login with %s", Secret(PLANTED))
    assert caplog.messages == [f"login with {MASK}"]


def test_no_traceback() -> None:
    """A traceback that captures local variables shows the mask."""
    with pytest.raises(ValueError, match=r"\*") as caught:
        _fail(Secret(PLANTED))
    text = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert f"secret = {MASK}" in text
    assert PLANTED not in text


def test_no_serializing() -> None:
    """It cannot be written anywhere by accident."""
    with pytest.raises(TypeError):
        pickle.dumps(Secret(PLANTED))
    with pytest.raises(TypeError):
        json.dumps(Secret(PLANTED))
    assert not hasattr(Secret(PLANTED), "__dict__")


def test_reveal() -> None:
    """Who asks by name gets it, with its length and truth."""
    assert Secret(PLANTED).reveal() == PLANTED
    assert len(Secret(PLANTED)) == len(PLANTED)
    assert Secret(PLANTED)
    assert not Secret("")


def test_copies() -> None:
    """A copy is the same object: `dataclasses.asdict` and `copy` may meet one."""
    secret = Secret(PLANTED)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_equality() -> None:
    """Equal texts are equal secrets, and a secret equals no plain string."""
    assert Secret("a") == Secret("a")
    assert Secret("ä") != Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != "a"
    assert Secret("\udcff") == Secret("\udcff")


def _fail(secret: Secret) -> None:
    raise ValueError(secret)
