"""The program `docker-credential-sealoshub`, which other clients start for every registry.

It has an entry point of its own, because it must not wait for the command tree: no typer, no
asyncio, no kubernetes, and keyring only if the secret lies there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sealoshub.credentials import helper
from sealoshub.credentials.places import vault_file


def main() -> None:
    """Answer the call on the process's arguments and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Answer one call; return the exit code. Whatever happens, no traceback is shown."""
    try:
        wanted = helper.reads_input(arguments)
        text = sys.stdin.buffer.read(helper.MAX_INPUT) if wanted else b""
        code, said = helper.answer(arguments, text, vault_file(os.environ, Path.home()))
    except KeyboardInterrupt:
        return 130
    except Exception as exc:  # noqa: BLE001  # the boundary; the text may hold a secret
        code, said = 1, f"internal error: {type(exc).__name__}"
    try:
        if said:
            sys.stdout.write(f"{said}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


if __name__ == "__main__":
    main()
