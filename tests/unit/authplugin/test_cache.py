"""The cache of answers that are true for seconds."""

from __future__ import annotations

import asyncio

import pytest

from sealoshub.authplugin.cache import Cache, SecretKeys


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


def test_an_answer_is_true_for_its_time() -> None:
    """It is there until its seconds are over, and not after."""
    clock = Clock()
    cache: Cache[str] = Cache(10, clock)
    cache.put("k", "v", 5)
    clock.now += 4.9
    assert cache.get("k") == "v"
    clock.now += 0.1
    assert cache.get("k") is None
    assert len(cache) == 0


def test_the_least_recently_used_goes_first() -> None:
    """The size is never exceeded."""
    cache: Cache[int] = Cache(2, Clock())
    cache.put("a", 1, 9)
    cache.put("b", 2, 9)
    cache.get("a")
    cache.put("c", 3, 9)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


def test_a_question_is_asked_once() -> None:
    """Whoever comes while it is being asked gets the same answer."""

    async def run() -> tuple[list[int], int]:
        cache: Cache[int] = Cache(10, Clock())
        asked = 0
        gate = asyncio.Event()

        async def question() -> tuple[int, float]:
            nonlocal asked
            asked += 1
            await gate.wait()
            return asked, 5.0

        waiting = [asyncio.ensure_future(cache.ask("k", question)) for _ in range(50)]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*waiting), asked

    assert asyncio.run(run()) == ([1] * 50, 1)


def test_an_error_reaches_everybody_and_is_not_kept() -> None:
    """The next caller asks again."""

    async def run() -> tuple[list[BaseException | int], int]:
        cache: Cache[int] = Cache(10, Clock())

        async def broken() -> tuple[int, float]:
            await asyncio.sleep(0)
            raise OSError("down")

        async def works() -> tuple[int, float]:
            return 7, 5.0

        both = await asyncio.gather(
            cache.ask("k", broken), cache.ask("k", broken), return_exceptions=True
        )
        return list(both), await cache.ask("k", works)

    errors, later = asyncio.run(run())
    assert [str(error) for error in errors] == ["down", "down"]
    assert later == 7


def test_a_caller_who_goes_away_does_not_take_the_answer_with_him() -> None:
    """The others still get it."""

    async def run() -> int:
        cache: Cache[int] = Cache(10, Clock())
        gate = asyncio.Event()

        async def question() -> tuple[int, float]:
            await gate.wait()
            return 7, 5.0

        first = asyncio.ensure_future(cache.ask("k", question))
        second = asyncio.ensure_future(cache.ask("k", question))
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(run()) == 7


def test_what_is_forgotten_while_it_is_asked_is_not_kept() -> None:
    """A revocation that overtakes a read wins."""

    async def run() -> int | None:
        cache: Cache[int] = Cache(10, Clock())
        gate = asyncio.Event()

        async def question() -> tuple[int, float]:
            await gate.wait()
            return 7, 5.0

        waiting = asyncio.ensure_future(cache.ask("k", question))
        await asyncio.sleep(0)
        cache.forget("k")
        gate.set()
        await waiting
        return cache.get("k")

    assert asyncio.run(run()) is None


def test_a_future_is_expected_by_all_who_ask() -> None:
    """It is begun once, outlives who goes away, and is kept for as long as its answer says."""

    async def run() -> None:
        clock = Clock()
        cache: Cache[int] = Cache(10, clock)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        begun: list[asyncio.Future[int]] = []

        def begin() -> asyncio.Future[int]:
            begun.append(answer)
            return answer

        async def waiting() -> int:
            return await asyncio.shield(cache.expect("k", begin, float))

        first, second = asyncio.ensure_future(waiting()), asyncio.ensure_future(waiting())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        answer.set_result(7)
        assert (await second, len(begun)) == (7, 1)
        assert cache.get("k") == 7
        clock.now += 7
        assert cache.get("k") is None

    asyncio.run(run())


@pytest.mark.parametrize("forgotten", [False, True], ids=["failed", "forgotten"])
def test_a_future_that_is_not_kept(forgotten: bool) -> None:  # noqa: FBT001  # two cases of one
    """A failure is no answer, and what was forgotten meanwhile is none either."""

    async def run() -> None:
        cache: Cache[int] = Cache(10, Clock())
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        expected = cache.expect("k", lambda: answer, float)
        if forgotten:
            cache.forget("k")
            answer.set_result(7)
        else:
            answer.set_exception(OSError("down"))
        await asyncio.wait([expected])
        assert cache.get("k") is None
        again: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        assert cache.expect("k", lambda: again, float) is again

    asyncio.run(run())


def test_keys_keep_their_parts_apart() -> None:
    """Two users whose name and password run together equally are two keys, here and elsewhere."""
    keys = SecretKeys()
    assert keys.of("ab", "c") == keys.of("ab", "c")
    assert keys.of("ab", "c") != keys.of("a", "bc")
    assert keys.of("ab", "c") != SecretKeys().of("ab", "c")
