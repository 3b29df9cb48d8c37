"""The command line: parse, call one function below, show."""

from __future__ import annotations

import gc

# What the program imports stays: looking through it for garbage again and again costs 10 ms. Here,
# because this is what is imported first.
gc.set_threshold(100_000)
