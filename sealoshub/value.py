"""Values: small frozen records, as `@dataclass(frozen=True, slots=True)` makes them, but at once.

`dataclasses` writes and compiles seven methods for every class, 0.5 ms each time, and imports
`inspect` for it, another 10 ms: of a push that has nothing to send that was a third. Here all
classes share their methods, so a class costs what Python takes to make one. An object costs some
microseconds more, of which nobody makes many before the program would have begun.

What is not on the way to a push may as well be a dataclass. `dataclasses.replace`, `fields` and
`asdict` work with values, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import Field
    from typing import Self

__all__ = ["Value", "field", "replace"]

_NEEDED: Final = object()
_put: Final = object.__setattr__


class _Made:
    """A default that is made anew for each object."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field(*, default_factory: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever the field is
    """Declare that a field of a :class:`Value` is by default what *default_factory* returns."""
    return _Made(default_factory)


class _Fields:
    """What `dataclasses` wants to find in a class; made when it looks."""

    def __get__(self, instance: object, owner: type[Value]) -> dict[str, Field[Any]]:
        import dataclasses  # noqa: PLC0415  # nothing that is in a hurry looks

        made = dataclasses.make_dataclass(owner.__name__, owner.__match_args__)
        return {each.name: each for each in dataclasses.fields(made)}


@dataclass_transform(eq_default=True, frozen_default=True, field_specifiers=(field,))
class _Kind(type):
    """Makes the classes: annotated names become slots, what is assigned to them their defaults."""

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        content: dict[str, Any],
        *,
        kw_only: bool = False,  # noqa: ARG004  # what type checkers want to see
    ) -> _Kind:
        inherited = bases[0] if bases else None
        names = [
            each
            for each, kind in content.get("__annotations__", {}).items()
            if not str(kind).startswith("ClassVar")
        ]
        defaults = {each: content.pop(each) for each in names if each in content}
        content["__slots__"] = tuple(names)
        content["__match_args__"] = (*getattr(inherited, "__match_args__", ()), *names)
        content["_defaults"] = {**getattr(inherited, "_defaults", {}), **defaults}
        return super().__new__(cls, name, bases, content)

    def __init__(
        cls, name: str, bases: tuple[type, ...], content: dict[str, Any], **_: bool
    ) -> None:
        super().__init__(name, bases, content)


class Value(metaclass=_Kind):
    """Base of all values; a subclass lists its fields as a dataclass does.

    Two are equal if they are of the same class and all their fields are.
    """

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
        __match_args__: ClassVar[tuple[str, ...]]
        _defaults: ClassVar[Mapping[str, Any]]
    else:
        __dataclass_fields__ = _Fields()

        # For a type checker every class has an `__init__` of its own.
        def __init__(self, *given: object, **named: object) -> None:
            names = self.__match_args__
            if named or len(given) != len(names):
                given = self._completed(given, named)
            # To say `strict` takes as long as all the rest.
            for name, content in zip(names, given):  # noqa: B905  # as many, see above
                _put(self, name, content)

        def _completed(
            self, given: tuple[object, ...], named: dict[str, object]
        ) -> tuple[object, ...]:
            """Return the contents of all fields."""
            names = self.__match_args__
            if len(given) > len(names):
                raise TypeError(f"{type(self).__name__} has {len(names)} fields, not {len(given)}")
            contents = list(given)
            for name in names[len(given) :]:
                content = named.pop(name, _NEEDED)
                if content is _NEEDED:
                    content = self._defaults.get(name, _NEEDED)
                    if type(content) is _Made:
                        content = content.make()
                    elif content is _NEEDED:
                        raise TypeError(f"{type(self).__name__} needs {name}")
                contents.append(content)
            if named:
                raise TypeError(f"{type(self).__name__} takes no {next(iter(named))} here")
            return tuple(contents)

    def __setattr__(self, name: str, content: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed: {name}")

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__match_args__)

    def __hash__(self) -> int:
        return hash(tuple([getattr(self, name) for name in self.__match_args__]))

    def __repr__(self) -> str:
        content = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({content})"

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), tuple(getattr(self, name) for name in self.__match_args__)


if TYPE_CHECKING:
    from dataclasses import replace
else:

    def replace(old: Value, /, **changes: object) -> Value:
        """Return *old* with other contents in some fields."""
        contents = [
            changes.pop(name) if name in changes else getattr(old, name)
            for name in old.__match_args__
        ]
        return type(old)(*contents, **changes)
