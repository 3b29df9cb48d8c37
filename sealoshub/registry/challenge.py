"""`WWW-Authenticate` as RFC 9110 (11.2, 11.3, 11.6.1) writes it.

A server may send several lines, several challenges in one line, quoted pairs, any letter case and
empty list elements. A parser that splits at commas takes the comma of
`scope="repository:a/b:pull,push"` for the end of a parameter, which is why this is a scanner.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sealoshub.pattern import pattern
from sealoshub.value import Value, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_HEADER: Final = 64 * 1024  # characters of one line; more is an attack, not a challenge

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SKIP: Final = pattern(r"[ \t,]*")
_SCHEME: Final = pattern(rf"({_WORD})(?=[ \t,]|$)[ \t]*")
_TOKEN68: Final = pattern(r"([A-Za-z0-9._~+/-]+=*)[ \t]*(?=,|$)")
_PARAMETER: Final = pattern(
    rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))[ \t]*', re.DOTALL
)
_PAIR: Final = pattern(r"\\(.)", re.DOTALL)
_NEXT: Final = pattern(r"[^,]*")


class Challenge(Value):
    """One challenge: how a server wants to be authenticated to.

    Args:
        scheme: In lower case (`bearer`, `basic`).
        parameters: Names in lower case, values unquoted; the first of two equal names counts.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def realm(self) -> str:
        """The `realm` parameter; empty if there is none."""
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        """The `service` parameter; empty if there is none."""
        return self.parameters.get("service", "")

    @property
    def scopes(self) -> tuple[str, ...]:
        """The words of the `scope` parameter."""
        return tuple(self.parameters.get("scope", "").split())

    @property
    def error(self) -> str:
        """RFC 6750's `error`: `invalid_token`, `insufficient_scope`; empty if there is none."""
        return self.parameters.get("error", "").lower()


def parse(lines: Iterable[str]) -> tuple[Challenge, ...]:
    """Read every challenge of every header line, in order; what is malformed is left out."""
    return tuple(challenge for line in lines for challenge in _scan(line[:MAX_HEADER]))


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """Pick the challenge to answer: Bearer with a realm, else Basic, else none."""
    known = tuple(challenges)
    for challenge in known:
        if challenge.scheme == "bearer" and challenge.realm:
            return challenge
    return next((challenge for challenge in known if challenge.scheme == "basic"), None)


def _scan(line: str) -> Iterator[Challenge]:
    position = _end(_SKIP, line, 0)
    while position < len(line):
        scheme = _SCHEME.match(line, position)
        if scheme is None:
            # Nothing that begins a challenge: go on behind the next comma.
            position = _end(_SKIP, line, max(_end(_NEXT, line, position), position + 1))
            continue
        position = scheme.end()
        if token68 := _TOKEN68.match(line, position):
            # `Negotiate oYG2…`: the token means nothing here. A lone word is no token68 but the
            # next scheme only behind a comma, so nothing is lost.
            yield Challenge(scheme[1].lower())
            position = _end(_SKIP, line, token68.end())
            continue
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(line, position):
            name, quoted, bare = parameter.groups()
            value = bare if quoted is None else _PAIR.sub(r"\1", quoted)
            parameters.setdefault(name.lower(), value)
            position = _end(_SKIP, line, parameter.end())
        yield Challenge(scheme[1].lower(), MappingProxyType(parameters))
        position = _end(_SKIP, line, position)


def _end(pattern: re.Pattern[str], line: str, position: int) -> int:
    found = pattern.match(line, position)
    return found.end() if found else position
