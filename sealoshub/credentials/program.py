"""Credential helpers: programs named `docker-credential-<name>` that keep secrets for others.

Protocol: docker/docker-credential-helpers, "Development": the verb is the argument, the server's
address or a JSON object comes on standard input.
"""

from __future__ import annotations

import json
from typing import Final, Literal

from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.pattern import pattern
from sealoshub.secret import Secret
from sealoshub.value import Value

SECONDS: Final = 60.0  # a desktop keychain may ask its owner to unlock it
TOKEN_USER: Final = "<token>"  # noqa: S105  # a user name: the secret beside it is a refresh token

_NAME: Final = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ABSENT: Final = "credentials not found"  # every helper's answer for an unknown server


class HelperMissingError(InvalidInputError):
    """The configuration names a helper that is not installed."""

    code = "HELPER_MISSING"


class Kept(Value):
    """What a helper keeps for one server."""

    account: str
    secret: Secret


def program_name(helper: str) -> str:
    """Return the name of the program; *helper* comes from a configuration file.

    Raises:
        InvalidInputError: The name could leave `PATH`.
    """
    if not _NAME.fullmatch(helper):
        raise InvalidInputError(f"{helper!r} is not the name of a credential helper")
    return f"docker-credential-{helper}"


def get(helper: str, server: str, search_path: str | None, seconds: float = SECONDS) -> Kept | None:
    """Ask *helper* what it keeps for *server*; None if nothing.

    Args:
        helper: Name in the configuration file.
        server: As the protocol writes it.
        search_path: `PATH`.
        seconds: How long it may take.

    Raises:
        HelperMissingError: It is not installed.
        SealosHubError: It failed.
    """
    answer = _call(helper, "get", server, search_path, seconds)
    if answer is None:
        return None
    try:
        found = json.loads(answer)
        account, secret = found["Username"], found["Secret"]
    except (ValueError, KeyError, TypeError):
        # The answer may hold a secret, so it is not shown.
        raise SealosHubError(f"{program_name(helper)} did not answer as a helper does") from None
    return Kept(str(account), Secret(str(secret))) if secret else None


def store(helper: str, server: str, kept: Kept, search_path: str | None) -> None:
    """Give *kept* to *helper*.

    Raises:
        HelperMissingError: It is not installed.
        SealosHubError: It failed.
    """
    body = {"ServerURL": server, "Username": kept.account, "Secret": kept.secret.reveal()}
    _call(helper, "store", json.dumps(body), search_path)


def erase(helper: str, server: str, search_path: str | None) -> bool:
    """Let *helper* forget *server*; return whether it knew it.

    Raises:
        HelperMissingError: It is not installed.
        SealosHubError: It failed.
    """
    if _call(helper, "get", server, search_path) is None:
        return False
    _call(helper, "erase", server, search_path)
    return True


def count(helper: str, search_path: str | None, seconds: float = SECONDS) -> int:
    """Ask *helper* for how many servers it keeps something; nothing secret is asked.

    Raises:
        HelperMissingError: It is not installed.
        SealosHubError: It failed, or took longer than *seconds*.
    """
    try:
        found = json.loads(_call(helper, "list", "", search_path, seconds) or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SealosHubError(f"{program_name(helper)} did not answer as a helper does")
    return len(found)


def _call(
    helper: str,
    verb: Literal["get", "store", "erase", "list"],
    text: str,
    search_path: str | None,
    seconds: float = SECONDS,
) -> str | None:
    """Run one verb. None: the helper knows nothing of that server."""
    name = program_name(helper)
    import shutil  # noqa: PLC0415  # with all compressions: 3 ms
    import subprocess  # noqa: PLC0415  # 4 ms, and most logins are in files

    program = shutil.which(name, path=search_path)
    if program is None:
        raise HelperMissingError(
            f"the credential helper {name} is not installed",
            hint=f"Install {name}, or remove it from the configuration file that names it.",
        )
    try:
        done = subprocess.run(  # noqa: S603  # named by the user's own configuration file
            [program, verb],
            input=text.encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SealosHubError(f"{name} gave no answer in {seconds:.0f} seconds") from None
    except OSError as exc:
        raise SealosHubError(f"{name} cannot be run: {exc.strerror}") from exc
    answer = done.stdout.decode("utf-8", "replace")
    if done.returncode == 0:
        return answer
    if _ABSENT in answer.lower():
        return None
    # Helpers print their errors on standard output.
    reason = (answer or done.stderr.decode("utf-8", "replace")).strip()[:200]
    raise SealosHubError(f"{name} could not {verb} the credential: {reason}")
