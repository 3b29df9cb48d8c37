"""Claims about what a terminal is left with."""

from __future__ import annotations

import signal

import pytest
from rich.console import Console

from sealoshub.cli.bars import Bars


@pytest.mark.parametrize("starting", [True, False], ids=["start", "close"])
def test_ctrl_c_while_the_bars_come_or_go(
    starting: bool,  # noqa: FBT001  # a parameter of the table
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C in the middle of drawing waits until the bars can be closed."""
    show_cursor = Console.show_cursor

    def interrupted(console: Console, show: bool = True) -> bool:  # noqa: FBT001, FBT002  # rich's
        if show is not starting:
            signal.raise_signal(signal.SIGINT)
        return show_cursor(console, show)

    monkeypatch.setattr(Console, "show_cursor", interrupted)
    bars = Bars(100)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
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
        signal.signal(signal.SIGINT, before)
