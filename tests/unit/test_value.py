"""Values behave as frozen dataclasses with slots do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import ClassVar

import pytest

from sealoshub.value import Value, field, replace


class Point(Value):
    """A value."""

    unit: ClassVar[str] = "m"

    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list)

    @property
    def sum(self) -> int:
        """Both coordinates."""
        return self.x + self.y


class Named(Point):
    """A value with one field more."""

    name: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Plain:
    """The same as Point, made by the standard library."""

    x: int
    y: int = 2
    tags: list[str] = dataclasses.field(default_factory=list)


@pytest.mark.parametrize(
    ("made", "content"),
    [
        (Point(1), (1, 2, [])),
        (Point(1, 5), (1, 5, [])),
        (Point(y=7, x=1), (1, 7, [])),
        (Point(1, tags=["a"]), (1, 2, ["a"])),
        (Named(1, name="n"), (1, 2, [], "n")),
    ],
)
def test_content(made: Point, content: tuple[object, ...]) -> None:
    """Fields are filled by place, by name, by default, and by a new default for each object."""
    assert tuple(getattr(made, name) for name in made.__match_args__) == content
    assert Point(1).tags is not Point(1).tags
    assert made.unit == "m"
    assert made.sum == made.x + made.y


@pytest.mark.parametrize(
    ("given", "named"),
    [((), {}), ((1, 2, [], 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1})],
    ids=["missing", "too many", "twice", "unknown"],
)
def test_wrong_arguments(given: tuple[object, ...], named: dict[str, object]) -> None:
    """What a dataclass does not take, a value does not take."""
    for kind in (Point, Plain):
        with pytest.raises(TypeError):
            kind(*given, **named)  # type: ignore[arg-type]  # wrong on purpose


def test_equality() -> None:
    """Values are equal by class and content, and hash alike; other classes are never equal."""
    assert Point(1) == Point(1, 2, [])
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert Point(1) != (1, 2, [])

    class Key(Value):
        text: str

    assert {Key("a"): 1}[Key("a")] == 1
    assert len({Key("a"), Key("b"), Key("a")}) == 2


def test_frozen() -> None:
    """Nothing can be set, added or deleted."""
    point = Point(1)
    for name in ("x", "other"):
        with pytest.raises(AttributeError):
            setattr(point, name, 3)
        with pytest.raises(AttributeError):
            delattr(point, name)
    assert not hasattr(point, "__dict__")
    assert point == Point(1)


def test_shown() -> None:
    """The text of a value is that of a dataclass."""
    assert repr(Point(1)) == repr(Plain(1)).replace("Plain", "Point")


def test_replace() -> None:
    """Both ways to replace a field make a new object."""
    before = Point(1, tags=["a"])
    for after in (replace(before, x=3), dataclasses.replace(before, x=3)):
        assert after == Point(3, 2, ["a"])
    assert before.x == 1


def test_standard_library() -> None:
    """Dataclasses' own functions, copies, pickles and patterns know values."""
    point = Point(1, tags=["a"])
    assert dataclasses.asdict(point) == {"x": 1, "y": 2, "tags": ["a"]}
    assert [each.name for each in dataclasses.fields(Named)] == ["x", "y", "tags", "name"]
    assert copy.deepcopy(point) == point
    assert pickle.loads(pickle.dumps(point)) == point  # noqa: S301  # our own
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)
