"""One cache for answers that are true for seconds: bounded, and every question asked once."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

_V = TypeVar("_V")


class SecretKeys:
    """Turn secrets into keys of a cache that are worth nothing outside this process.

    It is a class because the key is random and made once.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def of(self, *parts: str) -> bytes:
        """Return the keyed BLAKE2b (RFC 7693) of *parts*, which are kept apart by their lengths.

        It is a MAC as it is, and costs a fifth of an HMAC where a processor is cold.
        """
        contents = [part.encode("utf-8", "surrogatepass") for part in parts]
        text = b"".join([len(content).to_bytes(8, "big") + content for content in contents])
        return hashlib.blake2b(text, digest_size=32, key=self._key).digest()

    def of_bytes(self, content: bytes) -> bytes:
        """Return a digest of *content* in a fraction of the time, which must never be shown.

        It is SHA-256 of the key and the content; who saw it could go on with that of a longer text.
        """
        return hashlib.sha256(self._key + content).digest()


class Cache(Generic[_V]):
    """Answers with a time to live, the least recently used thrown away first.

    Several callers with the same question wait for one answer. An exception reaches all of them
    and is not kept: an error is not an answer.

    Args:
        size: Most answers to keep.
        clock: Monotonic time in seconds.
    """

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._size = size
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, _V]] = OrderedDict()
        self._asking: dict[Hashable, asyncio.Future[_V]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> _V | None:
        """Return the answer if it is known and still true."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found[0] <= self._clock():
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return found[1]

    def put(self, key: Hashable, value: _V, seconds: float) -> None:
        """Keep *value* for *seconds*."""
        self._kept[key] = (self._clock() + seconds, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """Drop the answer, and do not keep the one that is being asked for."""
        self._kept.pop(key, None)
        self._asking.pop(key, None)

    async def ask(self, key: Hashable, question: Callable[[], Awaitable[tuple[_V, float]]]) -> _V:
        """Return the known answer or ask for it.

        Args:
            key: What the answer depends on, all of it.
            question: Returns the answer and for how many seconds it is true.
        """
        seconds = 0.0

        async def answer() -> _V:
            nonlocal seconds
            value, seconds = await question()
            return value

        # A task of its own: the first caller may go away while the others still wait.
        return await self.wait(
            key, lambda: asyncio.get_running_loop().create_task(answer()), lambda _: seconds
        )

    async def wait(
        self,
        key: Hashable,
        begin: Callable[[], asyncio.Future[_V]],
        seconds: Callable[[_V], float],
    ) -> _V:
        """Return the known answer or wait for that of :meth:`expect`."""
        known = self.get(key)
        if known is not None:
            return known
        return await asyncio.shield(self.expect(key, begin, seconds))

    def expect(
        self,
        key: Hashable,
        begin: Callable[[], asyncio.Future[_V]],
        seconds: Callable[[_V], float],
    ) -> asyncio.Future[_V]:
        """Return the future of an answer that is not known, for several at once.

        It belongs to everybody who asks the same: wait for it behind :func:`asyncio.shield`.

        Args:
            key: What the answer depends on, all of it.
            begin: Asks, and returns the future of the answer.
            seconds: Tells for how many seconds an answer is true.
        """
        future = self._asking.get(key)
        if future is None:
            self._asking[key] = future = begin()

            def came(done: asyncio.Future[_V]) -> None:
                current = self._asking.get(key) is done
                if current:
                    del self._asking[key]
                # The exception is seen, even if every caller went away.
                if not done.cancelled() and not done.exception() and current:
                    self.put(key, done.result(), seconds(done.result()))

            future.add_done_callback(came)
        return future
