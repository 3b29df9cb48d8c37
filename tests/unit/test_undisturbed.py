"""Signals that wait."""

from __future__ import annotations

import signal
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from sealoshub.undisturbed import undisturbed

if TYPE_CHECKING:
    from collections.abc import Iterator


class SignalledError(Exception):
    """What the handler raises."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """SIGTERM raises an exception, and SIGHUP is ignored."""

    def end(*_: object) -> None:
        raise SignalledError

    before = signal.signal(signal.SIGTERM, end), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGHUP, before[1])


def test_a_signal_comes_when_the_block_is_over() -> None:
    """The first, if there are several; and once."""
    done = False
    with pytest.raises(SignalledError), undisturbed():  # noqa: PT012  # what is inside is the claim
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done
    with pytest.raises(SignalledError):
        signal.raise_signal(signal.SIGTERM)


def test_without_a_signal_nothing_comes() -> None:
    """And the handlers are as they were."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with undisturbed():
        pass
    assert before == [
        signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ]


def test_what_is_ignored_stays_so() -> None:
    """Also for a program that starts meanwhile: `nohup` holds for all of them."""
    with undisturbed():
        signal.raise_signal(signal.SIGHUP)
        done = subprocess.run(["sh", "-c", "kill -HUP $$; echo on"], stdout=-1, check=True)
    assert done.stdout == b"on\n"


def test_another_thread_may_use_it() -> None:
    """There no handler can be set, and none is needed."""
    done = threading.Event()

    def run() -> None:
        with undisturbed():
            done.set()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done.is_set()
