"""What a push has learned about the blobs of its repository, so that it need not ask for each."""

from __future__ import annotations

import threading
from typing import Final

# To send so much again costs hardly more than to ask for it.
SMALL: Final = 128 * 1024  # bytes
ENOUGH: Final = 4  # answers in a row


class Presence:
    """Answers to "is this blob there?", safe for threads.

    A registry cannot be asked whether it has a repository. But if it has none of the blobs that it
    was asked for first, most likely it has none at all, and the small ones are sent unasked. If
    that is wrong, little is sent twice; a large blob is always asked for.

    It is a class because the workers of one push share what they learn.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._absent = 0
        self._found = False

    def note(self, *, found: bool) -> None:
        """Take note of an answer."""
        with self._lock:
            self._found = self._found or found
            self._absent += not found

    def expects(self, size: int) -> bool:
        """Tell whether it is worth asking for a blob of *size* bytes."""
        with self._lock:
            return self._found or self._absent < ENOUGH or size > SMALL
