"""`credHelpers` of the credential files: naming our own helper for a host, and taking that back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sealoshub.credentials import authfile, entry, vault
from sealoshub.credentials.places import File, Format
from sealoshub.credentials.program import HelperMissingError
from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from sealoshub.credentials.places import Places


def named(body: dict[str, object], file: File, host: str) -> str | None:
    """Return the helper that `credHelpers` of *file* names for exactly *host*.

    Args:
        body: Content of the file.
        file: The file, for its format and for messages.
        host: `name[:port]`.

    Raises:
        InvalidInputError: It is not a name.
    """
    if file.format is Format.DOCKERCFG:
        return None
    section = authfile.section(body, "credHelpers", str(file.path))
    found = section.get(host) or section.get(entry.key_for(host, file.format))
    if found is not None and not isinstance(found, str):
        raise InvalidInputError(f"the credential helper in {file.path} is not a name")
    return found or None


def require_program(places: Places) -> None:
    """Check, before anything is written, that the clients will find our helper.

    Raises:
        HelperMissingError: It is not on `PATH`.
    """
    import shutil  # noqa: PLC0415  # with all compressions: 3 ms

    if shutil.which(vault.PROGRAM, path=places.search_path) is None:
        raise HelperMissingError(
            f"{vault.PROGRAM} is not on PATH, so that no client could use the login",
            hint=f"Add {Path(sys.executable).parent} to PATH.",
        )


def require_no_other(host: str, places: Places, *, inside: bool) -> None:
    """Check that no file that would be written gives the secret of *host* to another helper.

    Args:
        host: `name[:port]`.
        places: Where a login is written.
        inside: The secret is to stay inside the file, so that `credsStore` is in the way too.

    Raises:
        InvalidInputError: One does.
    """
    for file in places.targets:
        body = authfile.load(file.path)
        section, other = "credHelpers", named(body, file, host)
        if other == vault.NAME:
            other = None
        if other is None and inside and file.format is Format.DOCKER:
            section, other = "credsStore", str(body.get("credsStore") or "") or None
        if other is not None:
            raise InvalidInputError(
                f"{file.path} says that docker-credential-{other} keeps the login for {host}",
                hint=f"Leave --store out to use it, or remove it from {section} there.",
            )


def point(file: File, host: str) -> bool:
    """Let *file* name our helper for *host*, and hold no secret for it itself.

    Returns:
        Whether it names it now; a `.dockercfg` knows no helpers.

    Raises:
        InvalidInputError: The file is corrupt or cannot be written.
        UnavailableError: It is locked.
    """

    def change(body: dict[str, object]) -> bool:
        flat = file.format is Format.DOCKERCFG
        auths = body if flat else authfile.section(body, "auths", str(file.path))
        for key in [key for key in auths if entry.denotes_host(key, host)]:
            del auths[key]
        if not flat:
            key = entry.key_for(host, file.format)
            helpers = authfile.section(body, "credHelpers", str(file.path))
            body["credHelpers"] = {**helpers, key: vault.NAME}
            if file.format is Format.DOCKER:
                # docker leaves an empty entry, which says which hosts there are.
                body["auths"] = {**auths, key: {}}
        return True

    authfile.edit(file.path, change)
    return file.format is not Format.DOCKERCFG


def withdraw(file: File, host: str) -> bool:
    """Let *file* no longer name our helper for *host*; return whether it did.

    Raises:
        InvalidInputError: The file is corrupt or cannot be written.
        UnavailableError: It is locked.
    """

    def change(body: dict[str, object]) -> bool:
        helpers = authfile.section(body, "credHelpers", str(file.path))
        ours = [
            key
            for key, name in helpers.items()
            if name == vault.NAME and entry.denotes_host(key, host)
        ]
        for key in ours:
            del helpers[key]
        if ours and not helpers:
            del body["credHelpers"]
        return bool(ours)

    if named(authfile.load(file.path), file, host) != vault.NAME:
        return False
    return authfile.edit(file.path, change)
