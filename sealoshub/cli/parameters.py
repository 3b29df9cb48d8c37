"""Values of the command line that need no pydantic.

typer converts every value with pydantic, whose import takes longer than a small push. What people
give is nearly always plain: a word, a path, a number, one of a few words. Such a value is converted
here; whatever is not plain, wrong values and their messages above all, is left to typer.
"""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast, get_args, get_origin

from sealoshub.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBER: Final = pattern(r"[0-9]{1,15}", re.ASCII)
# Not None, False or empty, which are values.
UNKNOWN: Final = object()


def ease(command: Any) -> None:  # noqa: ANN401  # typer keeps its command classes private
    """Let *command*, and every command below it, convert plain values without pydantic."""
    for parameter in command.params:
        original = parameter.get_runtime_param
        parameter.get_runtime_param = lambda original=original, own=parameter: _Plain(own, original)
    get_help_option = command.get_help_option
    command.get_help_option = lambda ctx: _unset(get_help_option(ctx))
    for below in getattr(command, "commands", {}).values():
        ease(below)


def _unset(option: Any) -> Any:  # noqa: ANN401  # as above
    """Make `--help` False where it is not given; typer's own None goes through pydantic."""
    if option is not None:
        option.default = False
    return option


class _Plain:
    """Converts the values of one parameter, as typer's own class of that purpose does.

    Args:
        parameter: typer's.
        original: Makes typer's own converter, which imports pydantic.
    """

    def __init__(self, parameter: Any, original: Callable[[], Any]) -> None:  # noqa: ANN401  # as above
        self._descriptor = parameter.type_descriptor
        self._original = original

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ANN401  # typer's signature
        """Return what the command gets for *value*; raises what typer raises."""
        is_many = param.multiple or param.nargs == -1
        if value is None:
            return () if is_many else None
        converted = self._convert(value, is_many=is_many)
        if converted is UNKNOWN:
            return self._original().coerce(value, param=param, ctx=ctx)
        return converted

    def _convert(self, value: Any, *, is_many: bool) -> Any:  # noqa: ANN401  # any value
        kind, rules = self._descriptor.annotation, self._descriptor.parameter_info
        if rules.parser is not None or rules.clamp:
            return UNKNOWN
        if not is_many:
            return plain(value, kind, rules)
        if get_origin(kind) is not list or not isinstance(value, list | tuple):
            return UNKNOWN
        (of,) = get_args(kind)
        values = [plain(each, of, rules) for each in value]
        return UNKNOWN if UNKNOWN in values else values


def plain(value: Any, kind: Any, rules: Any) -> Any:  # noqa: ANN401  # any value of any type
    """Return *value* as a *kind*; `UNKNOWN` if it is for typer to say.

    Args:
        value: As it was given.
        kind: The type that is wanted.
        rules: typer's declaration of the parameter, or something with the same attributes.
    """
    found: object = UNKNOWN
    if kind in {bool, str}:
        found = value if isinstance(value, kind) else UNKNOWN
    elif kind is int:
        found = _number(value, rules)
    elif kind is Path:
        found = _path(value, rules)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        words = {str(member.value): member for member in kind} if rules.case_sensitive else {}
        found = value if isinstance(value, kind) else words.get(str(value), UNKNOWN)
    return found


def _number(value: object, rules: Any) -> object:  # noqa: ANN401  # typer's class
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value)
    if type(value) is not int:
        return UNKNOWN
    low, high = cast("float | None", rules.min), cast("float | None", rules.max)
    fits = (low is None or value >= low) and (high is None or value <= high)
    return value if fits else UNKNOWN


def _path(value: object, rules: Any) -> object:  # noqa: ANN401  # typer's class
    special = (rules.exists, rules.resolve_path, rules.allow_dash, rules.writable, rules.path_type)
    if not isinstance(value, str | Path) or any(special):
        return UNKNOWN
    if not (rules.file_okay and rules.dir_okay):
        return UNKNOWN
    # typer refuses a path that is there and cannot be read.
    return Path(value) if os.access(value, os.R_OK) or not os.path.lexists(value) else UNKNOWN
