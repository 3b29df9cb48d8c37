"""Regular expressions that are compiled when they are first used.

One costs 0.1 ms on average, and most of those on the way to a push are for what hardly ever comes:
a challenge, a warning, a wrong option.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Lazy:
    """Takes the place of a compiled pattern; safe for threads, which may compile it twice."""

    def __init__(self, text: object, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever a pattern has
        found = getattr(re.compile(cast("str", self._text), self._flags), name)
        setattr(self, name, found)  # the next time it is found without coming here
        return found


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what `re.compile` returns, but compiled when it is first used.

    A mistake in it shows only then, so every pattern needs a test that uses it.

    Args:
        text: The expression.
        flags: As those of `re.compile`.
    """
    return cast("re.Pattern[AnyStr]", _Lazy(text, flags))
