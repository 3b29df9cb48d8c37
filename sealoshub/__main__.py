"""`python -m sealoshub`, the same as the program `sealoshub`."""

from __future__ import annotations

from sealoshub.cli.main import main

if __name__ == "__main__":
    main()
