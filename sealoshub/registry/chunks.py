"""How large one request may be: learned from a proxy that says 413, or set by `--chunk-size`.

Chunks cost a request each and the registry some speed (a fifth at 8 MiB, measured), so a blob goes
in one request as long as nobody objects.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# Where the search begins after the first 413: the largest power of two below the 100 MB that
# Cloudflare lets through. nginx' default of 1 MiB is found six halvings later.
LARGEST: Final = 64 * 1024 * 1024  # bytes
# No proxy that registries stand behind allows less; a registry that refuses even this refuses the
# blob and not the request.
SMALLEST: Final = 64 * 1024  # bytes


class ChunkLimit:
    """The largest request body that one host takes, as far as it is known; safe for threads.

    It is a class because all blobs of a push learn from the first that was refused.

    Args:
        size: Bytes in a request; None as long as there is no limit.
        learned: Told a limit that was found by being refused, once it has let something through.
    """

    def __init__(
        self, size: int | None = None, learned: Callable[[int], None] | None = None
    ) -> None:
        self._size = size
        self._learned = learned
        self._untold = False
        self._lock = threading.Lock()

    def length(self, left: int, least: int = 0) -> int:
        """Return how many of *left* bytes go into the next request.

        Args:
            left: Bytes of the blob that are not sent yet.
            least: What the registry wants in every chunk but the last (`OCI-Chunk-Min-Length`).
        """
        with self._lock:
            return left if self._size is None else min(left, max(self._size, least))

    def refused(self, length: int, least: int = 0) -> bool:
        """Learn that a body of *length* bytes is too large; tell whether less may be tried."""
        floor = max(SMALLEST, least)
        with self._lock:
            if length <= floor:
                return False
            half = 1 << ((length - 1).bit_length() - 1)  # the next power of two below
            wanted = max(floor, min(half, LARGEST))
            if self._size is None or self._size > wanted:
                self._size, self._untold = wanted, True
            return True

    def passed(self) -> None:
        """Learn that a chunk got through: the limit that was found is worth remembering."""
        with self._lock:
            size, tell = self._size, self._untold
            self._untold = False
        if tell and size is not None and self._learned is not None:
            self._learned(size)
