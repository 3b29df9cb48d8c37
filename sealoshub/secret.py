"""A string that does not show itself."""

from __future__ import annotations

from typing import Final, Self, final

MASK: Final = "***"


@final
class Secret:
    """Hold a credential so that no log line, traceback or f-string can print it.

    It is a class and not `NewType("Secret", str)` because `repr`, `str` and `format` of every
    container that holds it must be harmless too. Only :meth:`reveal` gives the text back, which
    makes each place that uses it easy to find.

    Args:
        text: The credential itself.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for the one call that sends or stores it."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __len__(self) -> int:
        return len(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # noqa: PLC0415  # with all of OpenSSL, which a push does not need

        # surrogatepass: bytes of a file that are no UTF-8 arrive as surrogates.
        mine, theirs = (text.encode(errors="surrogatepass") for text in (self._text, other._text))
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Self:
        """Return itself: it cannot change, and `dataclasses.asdict` copies."""
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return itself."""
        return self

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled, which would write the text somewhere."""
        raise TypeError("a Secret cannot be pickled")
