"""Rows 15, 16 and 29: guessing, and locking somebody else out."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from tests.integration.servers.process import wait_until
from tests.unit.authserver.running import basic

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.attacks.cast import Cast
    from tests.attacks.target import Client, Target

GUESSES: Final = 1500
LOCKOUT: Final = 1005
FREE: Final = 15  # that are looked at at once: ten, and the first of the growing delays
SECONDS: Final = 60.0


def guess(
    client: Client, account: str, count: int, headers: Callable[[int], dict[str, str]]
) -> tuple[int, int]:
    """Send wrong passwords on one connection; return how many got 401, and how many 429.

    Beyond the first few no more are looked at than seconds go by.
    """
    began, statuses = time.monotonic(), {401: 0, 429: 0}
    query = urlencode({"service": "hub", "scope": "repository:a/b:pull", "account": account})
    with client.connection() as connection:
        for number in range(count):
            login = basic((account, f"wrong password {number}"))
            connection.request("GET", f"/token?{query}", headers={**login, **headers(number)})
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
            if answer.status == 429:
                assert int(answer.headers["retry-after"]) >= 1
    assert 1 <= statuses[401] <= FREE + (time.monotonic() - began)
    return statuses[401], statuses[429]


def test_row_15_fifteen_hundred_passwords(target: Target, cast: Cast) -> None:
    """Only a few are looked at; the true user still gets in, from that address too."""
    attacker, scope = target.stranger(), f"repository:{cast.private}:pull"
    good = {f"repository:{cast.private}": ["pull"]}
    assert attacker.get(scope, login=cast.alice.login).access == good
    refused, delayed = guess(attacker, cast.alice.login[0], GUESSES, lambda _: {})
    assert refused + delayed == GUESSES
    # Known to be good, and somebody whose credential was never seen from an office of sinners.
    assert attacker.get(scope, login=cast.alice.login).access == good
    form = {"grant_type": "password", "username": "", "password": cast.alice.secret + "\n"}
    wait_until(lambda: attacker.post(scope, **form).status == 200, "the delay to end", SECONDS)


def test_row_16_locking_somebody_out(target: Target, cast: Cast) -> None:
    """A thousand worthless credentials under Bob's name cost Bob nothing, seen before or not."""
    guess(target.stranger(), cast.bob.login[0], LOCKOUT, lambda _: {})
    answer = target.stranger().get(f"repository:{cast.private}:push", login=cast.bob.login)
    assert answer.access == {f"repository:{cast.private}": ["push"]}


def test_row_29_addresses_that_are_only_claimed(target: Target, cast: Cast) -> None:
    """`X-Forwarded-For` of somebody who is no proxy of ours is neither believed nor recorded."""
    attacker = target.stranger()
    numbers = itertools.count(1)

    def forged(_: int) -> dict[str, str]:
        number = next(numbers)
        claim = f"10.{number // 250}.{number % 250}.7"
        return {"x-forwarded-for": claim, "x-real-ip": claim, "forwarded": f"for={claim}"}

    refused, delayed = guess(attacker, cast.alice.login[0], 200, forged)
    assert delayed > refused
    audit = target.folder / "audit.log"

    def lines() -> list[dict[str, object]]:
        whole = audit.read_text().rpartition("\n")[0]  # the last line may be half written
        found = [json.loads(line) for line in whole.splitlines()]
        return [line for line in found if line.get("address") == attacker.address]

    wait_until(lambda: len(lines()) >= refused, "the audit lines", SECONDS)
    assert "10.0.1.7" not in audit.read_text()
