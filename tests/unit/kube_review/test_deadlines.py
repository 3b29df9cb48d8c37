"""One timer for the deadlines of many questions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sealoshub.kube.deadlines import Deadlines


def test_what_is_late_fails_and_nothing_else() -> None:
    """Done futures stay as they are, those that have time go on, and the clock stops at the end."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(lambda: TimeoutError("late"))
        early, done, late, gone = (loop.create_future() for _ in range(4))
        for future, seconds in ((early, 3600), (done, 0), (late, 0), (gone, 0)):
            deadlines.add(future, loop.time() + seconds)
        done.set_result("in time")
        deadlines.discard(gone)
        async with asyncio.timeout(30):
            with pytest.raises(TimeoutError, match="late"):
                await late
        assert (await done, early.done(), gone.done()) == ("in time", False, False)
        deadlines.discard(early)
        deadlines.close()

    asyncio.run(run())


def test_the_clock_goes_on_for_a_later_question() -> None:
    """One that comes after the others were answered is ended as well."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(lambda: TimeoutError("late"))
        for _ in range(2):
            future: asyncio.Future[Any] = loop.create_future()
            deadlines.add(future, loop.time())
            async with asyncio.timeout(30):
                with pytest.raises(TimeoutError, match="late"):
                    await future

    asyncio.run(run())
