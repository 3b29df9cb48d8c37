"""The program: which commands there are, and the one place where an error becomes an exit code."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sealoshub import __version__
from sealoshub.cli import output
from sealoshub.cli.ending import Ending
from sealoshub.errors import SealosHubError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INTERRUPTED = 130  # 128 + SIGINT, as shells count

# Commands whose first argument is a command again.
_GROUPS = frozenset({"hub", "hub keys", "hub plugin", "hub user", "org", "repo", "token"})


class InternalError(SealosHubError):
    """A defect of this program."""

    code = "INTERNAL"


class InterruptedByUserError(SealosHubError):
    """Ctrl-C."""

    exit_code = INTERRUPTED
    code = "INTERRUPTED"


def main() -> None:
    """Run the program on the process's arguments and exit with its code."""
    if sys.argv[1:] == ["--version"]:
        # The most asked question of scripts does not wait for the command tree.
        sys.stdout.write(f"sealoshub {__version__}\n")
        return
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter gets its number instead of a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    from sealoshub.cli.commands import COMMANDS  # noqa: PLC0415  # see above

    arguments = sys.argv[1:]
    entry = COMMANDS.get(arguments[0]) if arguments else None
    if entry is not None and entry.is_function:
        from sealoshub.cli import plain  # noqa: PLC0415  # only where it may be of use

        call = plain.read(entry, arguments[1:])
        if call is not None:
            _leave(boundary(call, arguments))
    from sealoshub.cli.tree import app  # noqa: PLC0415  # typer: 60 ms

    app()


def _leave(code: int) -> NoReturn:
    """End the process without freeing every object first, which takes 10 ms."""
    atexit._run_exitfuncs()  # noqa: SLF001  # what the interpreter calls itself
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or never open
        sys.stderr.flush()
    os._exit(code)


def boundary(run: Callable[[], object], arguments: Sequence[str]) -> int:
    """Run one command; turn whatever it raises into a message and an exit code.

    Args:
        run: Returns an exit code, or anything else for success.
        arguments: The command line, to know how an error is to be printed.
    """
    ending = Ending()
    try:
        with ending:
            code = run()
            sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
        return 1
    except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001  # the boundary: nothing passes
        # Whatever has failed since a signal came is a consequence: the terminal may be gone.
        return _fail(ending.error or _known(exc), arguments)
    if code == INTERRUPTED:  # what typer makes of Ctrl-C
        return _fail(ending.error or InterruptedByUserError("interrupted"), arguments)
    return code if isinstance(code, int) and not isinstance(code, bool) else 0


def asked_format(arguments: Sequence[str]) -> str:
    """Return the value of the last `--output` on a command line that may not be valid."""
    found = "text"
    for position, word in enumerate(arguments):
        if word == "--":
            break
        if word in {"-o", "--output"}:
            found = arguments[position + 1] if position + 1 < len(arguments) else found
        elif word.startswith("--output="):
            found = word.partition("=")[2]
        elif word.startswith("-o") and not word.startswith("--"):
            found = word[2:]
    return found


def asked_command(arguments: Sequence[str]) -> str:
    """Return the name of the command on a command line that may not be valid."""
    words = [
        word
        for before, word in zip(["", *arguments], arguments, strict=False)
        if not word.startswith("-") and before not in {"-o", "--output"}
    ]
    name = words[:1]
    while " ".join(name) in _GROUPS and len(words) > len(name):
        name = words[: len(name) + 1]
    return " ".join(name)


def _fail(error: SealosHubError, arguments: Sequence[str]) -> int:
    if _is_help(error.__cause__):
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    if asked_format(arguments) in {"json", "ndjson"}:
        try:
            output.print_line(output.error_envelope(asked_command(arguments), error))
        except BrokenPipeError:
            _close_stdout()
    with contextlib.suppress(OSError):  # the terminal is gone
        output.show_error(error.message, error.hint)
    if os.environ.get("SEALOSHUB_DEBUG") == "1":
        import traceback  # noqa: PLC0415  # 5 ms

        traceback.print_exception(error)
    return error.exit_code


def _is_help(exc: BaseException | None) -> bool:
    """Tell whether a group was called without a command: the message is its whole help."""
    return type(exc).__name__ == "NoArgsIsHelpError"


def _known(exc: BaseException) -> SealosHubError:
    """Translate whatever a command raised into our own tree."""
    if isinstance(exc, SealosHubError):
        return exc
    import typer  # noqa: PLC0415  # `--version` and most pushes do without

    error: SealosHubError
    if isinstance(exc, typer.TyperException):
        context = getattr(exc, "ctx", None)
        path = getattr(context, "command_path", "sealoshub")
        message = exc.format_message().strip().rstrip(".")
        if not _is_help(exc):
            # On one line, and without the name of pydantic's class.
            message = " ".join(message.split()).replace("Value error, ", "")
        error = UsageError(message, hint=f"See {path} --help.")
    elif isinstance(exc, KeyboardInterrupt | typer.Abort):
        error = InterruptedByUserError("interrupted")
    else:
        import traceback  # noqa: PLC0415  # 5 ms

        frames = traceback.extract_tb(exc.__traceback__)
        where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        error = InternalError(
            f"internal error: {type(exc).__name__}{where}",
            hint="This is a defect of sealoshub; SEALOSHUB_DEBUG=1 shows the details for a report.",
        )
    error.__cause__ = exc
    return error


def _close_stdout() -> None:
    """Send what is still buffered nowhere: the reader has gone (`sealoshub ... | head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
