"""Claims about what a terminal is left with."""

from __future__ import annotations

import signal

import pytest
from rich.console import Console

from sealoshub.cli.bars import Bars


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("starting", [True, False], ids=["start", "close"])
def test_a_signal_while_the_bars_come_or_go(
    starting: bool,  # noqa: FBT001  # a parameter of the table
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C and the like in the middle of drawing wait until the bars can be closed."""
    show_cursor = Console.show_cursor

    def interrupted(console: Console, show: bool = True) -> bool:  # noqa: FBT001, FBT002  # rich's
        if show is not starting:
            signal.raise_signal(number)
        return show_cursor(console, show)

    monkeypatch.setattr(Console, "show_cursor", interrupted)
    bars = Bars(100)
    before = signal.signal(number, signal.default_int_handler)
    try:
        if starting:
            with pytest.raises(KeyboardInterrupt):
                bars.start()
            bars.close()
        else:
            bars.start()
            with pytest.raises(KeyboardInterrupt):
                bars.close()
    finally:
        signal.signal(number, before)
