"""The docker credential helper protocol, from its other side: what our own helper answers.

Source: docker/docker-credential-helpers 0.9, `credentials/credentials.go` and `error.go`. Answers
and errors are standard output, an error ends with exit code 1, and clients compare its text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from sealoshub import __version__
from sealoshub.credentials import program, vault
from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

USAGE: Final = f"Usage: {vault.PROGRAM} <store|get|erase|list|version>"
NOT_FOUND: Final = "credentials not found in native keychain"
NO_SERVER: Final = "no credentials server URL"
NO_USERNAME: Final = "no credentials username"
MAX_INPUT: Final = 1 << 20  # bytes; a server's address, or one credential


def answer(arguments: list[str], text: bytes, file: Path) -> tuple[int, str]:
    """Answer one call.

    Args:
        arguments: Those of the program: one verb.
        text: Standard input; see :func:`reads_input`.
        file: The store, see :func:`sealoshub.credentials.places.vault_file`.

    Returns:
        The exit code, and standard output without the last end of line.
    """
    if len(arguments) != 1:
        return 1, USAGE
    verb = arguments[0]
    if verb in {"-h", "--help"}:
        return 0, USAGE
    if verb in {"version", "-v", "--version"}:
        return 0, f"{vault.PROGRAM} ({vault.NAME}) {__version__}"
    try:
        return _perform(verb, text, file)
    except SealosHubError as exc:
        # One line: docker shows it within a sentence of its own.
        return 1, " ".join(f"{exc.message}. {exc.hint}".split() if exc.hint else [exc.message])


def reads_input(arguments: list[str]) -> bool:
    """Tell whether the call reads standard input; `list` is sent some that means nothing."""
    return arguments[:1] in (["get"], ["store"], ["erase"])


def _perform(verb: str, text: bytes, file: Path) -> tuple[int, str]:
    match verb:
        case "get":
            return _get(_server(text), file)
        case "store":
            return _store(text, file)
        case "erase":
            server = _server(text)
            if not server:
                return 1, NO_SERVER
            return (0, "") if vault.erase(file, server) else (1, NOT_FOUND)
        case "list":
            return 0, json.dumps(vault.accounts(file))
        case _:
            return 1, f"{vault.PROGRAM}: unknown action: {verb}"


def _get(server: str, file: Path) -> tuple[int, str]:
    if not server:
        return 1, NO_SERVER
    kept = vault.get(file, server)
    if kept is None:
        return 1, NOT_FOUND
    body = {"ServerURL": server, "Username": kept.account, "Secret": kept.secret.reveal()}
    return 0, json.dumps(body)


def _store(text: bytes, file: Path) -> tuple[int, str]:
    try:
        body = json.loads(text)
        server, account, secret = (body.get(k, "") for k in ("ServerURL", "Username", "Secret"))
        for field in (server, account, secret):
            field.encode()  # strings, and such that can be written
    except (ValueError, AttributeError, RecursionError):
        # `from None`: the exception carries the text, the secret included.
        raise InvalidInputError("standard input is not a credential in JSON") from None
    if not server:
        return 1, NO_SERVER
    if not account:
        return 1, NO_USERNAME
    vault.store(file, server, program.Kept(account, Secret(secret)))
    return 0, ""


def _server(text: bytes) -> str:
    return text.decode("utf-8", "replace").strip()
