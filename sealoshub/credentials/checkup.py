"""Do the credential helpers work that the files name? What stock clients meet, tried beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealoshub.credentials import authfile, entry, pointers, program
from sealoshub.credentials.places import File, Format
from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.value import Value

if TYPE_CHECKING:
    from sealoshub.credentials.places import Places

SECONDS: Final = 20.0  # of one answer; a keychain that takes longer waits for its owner


class Checkup(Value):
    """One helper, and what came of asking it.

    Args:
        helper: Its program, or the name in the file if that is none.
        named_in: The file and its key, for messages.
        server: What is asked for; None if it is not asked for this host.
        found: What it answered, for a person.
        error: Why it cannot be used; None if it can.
        repair: What to do then.
    """

    helper: str
    named_in: str
    server: str | None
    found: str = ""
    error: SealosHubError | None = None
    repair: str = ""


def check(host: str, places: Places, seconds: float) -> list[Checkup]:
    """Try every helper that the files name, each once, those for *host* first.

    A helper for *host* is asked for its credential, as every client would; the others are only
    asked for which servers they keep something, which shows no secret and unlocks nothing.

    Args:
        host: `name[:port]`.
        places: Which files are read.
        seconds: How long each helper may take.

    Raises:
        InvalidInputError: A file is corrupt.
    """
    named: dict[tuple[str, str | None], str] = {}
    for file in places.files:
        body = authfile.load(file.path)
        for name, server, key in _named(body, file, host):
            named.setdefault((name, server), f"{key} of {file.path}")
    asked = {name for name, server in named if server is not None}
    first = sorted(named.items(), key=lambda item: item[0][1] is None)
    return [
        _try(name, server, where, places, seconds)
        for (name, server), where in first
        if server is not None or name not in asked
    ]


def _named(body: dict[str, object], file: File, host: str) -> list[tuple[str, str | None, str]]:
    """List the helpers that *file* names: name, server if it is asked for *host*, and key."""
    if file.format is Format.DOCKERCFG:
        return []
    server = entry.key_for(host, file.format)
    own = pointers.named(body, file, host)
    found: list[tuple[str, str | None, str]] = []
    if own is not None:
        found.append((own, server, "credHelpers"))
    if file.format is Format.DOCKER and (store := body.get("credsStore")):
        found.append((str(store), server if own is None else None, "credsStore"))
    helpers = authfile.section(body, "credHelpers", str(file.path))
    found += [
        (str(name), None, "credHelpers")
        for key, name in helpers.items()
        if name and not entry.denotes_host(key, host)
    ]
    return found


def _try(helper: str, server: str | None, where: str, places: Places, seconds: float) -> Checkup:
    try:
        name = program.program_name(helper)
    except InvalidInputError as exc:
        return Checkup(helper, where, server, error=exc, repair=f"Correct {where}.")
    try:
        if server is None:
            count = program.count(helper, places.search_path, seconds)
            found = f"answers; it keeps logins for {count} servers"
        else:
            kept = program.get(helper, server, places.search_path, seconds)
            found = "keeps a login for it" if kept else "answers; it keeps no login for it"
    except program.HelperMissingError as exc:
        repair = f"Install {name}, or remove it from {where}."
        return Checkup(name, where, server, error=exc, repair=repair)
    except SealosHubError as exc:
        again = f"echo {server} | {name} get" if server else f"{name} list"
        repair = f"See what it does: `{again}`. Else remove it from {where}."
        return Checkup(name, where, server, error=exc, repair=repair)
    return Checkup(name, where, server, found)
