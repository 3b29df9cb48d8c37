"""Find, save and erase the credential of a registry host, wherever it lies."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealoshub.credentials import authfile, entry, pointers, program, ring, vault
from sealoshub.credentials.places import File, Format, Places
from sealoshub.errors import InvalidInputError, SealosHubError
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.secret import Secret


class Store(StrEnum):
    """What keeps the secret of a login."""

    FILE = "file"  # the credential file itself
    HELPER = "helper"  # a private file behind our own credential helper
    KEYRING = "keyring"  # the system's keyring, behind our own credential helper


_WHERE: Final = {Store.HELPER: vault.Where.FILE, Store.KEYRING: vault.Where.KEYRING}

INLINE: Final = "$DOCKER_AUTH_CONFIG"
_INLINE_FILE: Final = File(Path(INLINE), Format.DOCKER)  # a name for messages, never opened


class StoredCredential(Value):
    """A credential and where it lies.

    Args:
        account: User name; may be empty beside a refresh token.
        secret: Password, or refresh token.
        is_refresh_token: Which of the two.
        location: File, `docker-credential-X`, or the variable, for messages.
        key: The key in it that matched.
    """

    account: str
    secret: Secret
    is_refresh_token: bool
    location: str
    key: str


def find(
    host: str,
    repository: str | None = None,
    *,
    places: Places,
    on_note: Callable[[str], None] = lambda _: None,
) -> StoredCredential | None:
    """Find the credential for *host*, or the more specific one for *repository* on it.

    Args:
        host: `name[:port]`.
        repository: Path in the registry, or None.
        places: Where to look.
        on_note: Called with a sentence for a helper that is missing.

    Raises:
        InvalidInputError: A file, or the entry that matches, is corrupt.
    """
    if places.inline is not None:
        body = authfile.parse(places.inline.reveal().encode(), INLINE)
        found = _in_entries(authfile.section(body, "auths", INLINE), host, repository, _INLINE_FILE)
        if found is not None:
            return found
    for file in places.files:
        body = authfile.load(file.path)
        found = _in_helper(body, file, host, places, on_note) or _in_entries(
            _entries(body, file), host, repository, file
        )
        if found is not None:
            return found
    return None


def save(  # noqa: PLR0913  # a login is four values; where and how to tell come beside
    host: str,
    account: str,
    secret: Secret,
    *,
    is_refresh_token: bool,
    places: Places,
    store: Store | None = None,
    on_note: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Store a login, so that every stock client finds it and no older one hides it.

    Besides the targets of *places*, a file that already has an entry for exactly this host is
    brought up to date too.

    Args:
        host: `name[:port]`.
        account: User name without a colon.
        secret: Password, or refresh token.
        is_refresh_token: Which of the two.
        places: Where to write.
        store: What keeps the secret. None: what kept it before, as the files say.
        on_note: Called with a sentence for what could not be written, or hides the login.

    Returns:
        Where it was stored; behind our own helper, the files that name it follow.

    Raises:
        SealosHubError: The first target could not be written.
    """
    new = entry.Entry(account, secret, is_refresh_token)
    require(host, store, places=places)
    chosen = store or _chosen_before(host, places)
    if chosen in _WHERE:
        stored = _save_behind_helper(host, new, places, _WHERE[chosen])
    else:
        moved = [pointers.withdraw(file, host) for file in places.files]
        stored = _save_in_files(host, new, places)
        try:
            if any(moved):
                vault.erase(places.vault, host, forget=True)
        except SealosHubError as exc:
            on_note(f"{exc.message}; what was kept there for {host} before stays there")
    for file in places.files:
        hiding = [key for key in _entries(authfile.load(file.path), file) if _narrower(key, host)]
        if hiding:
            on_note(f"{file.path} has an entry of its own for {hiding[0]}, which wins there")
    return list(dict.fromkeys(stored))


def require(host: str, store: Store | None, *, places: Places) -> None:
    """Check that a login for *host* can be kept by *store*, before anybody logs in.

    Raises:
        HelperMissingError: Our own helper would be needed, and is not on `PATH`.
        InvalidInputError: A file names another helper for *host*, or is corrupt.
        KeyringError: There is no usable keyring.
    """
    if store is not None:
        pointers.require_no_other(host, places, inside=store is Store.FILE)
    chosen = store or _chosen_before(host, places)
    if chosen in _WHERE:
        pointers.require_program(places)
    if chosen is Store.KEYRING:
        ring.name()


def _chosen_before(host: str, places: Places) -> Store:
    """Tell what kept the login before: our own helper if any file that is read names it."""
    if all(_helper(authfile.load(f.path), f, host) != vault.NAME for f in places.files):
        return Store.FILE
    where = vault.where_of(places.vault, host)
    return Store.KEYRING if where is vault.Where.KEYRING else Store.HELPER


def _save_behind_helper(
    host: str, new: entry.Entry, places: Places, where: vault.Where
) -> list[str]:
    """Give the secret to our own helper first, then let the files name it."""
    account = program.TOKEN_USER if new.is_refresh_token else new.account
    server = entry.key_for(host, Format.DOCKER)
    vault.store(places.vault, server, program.Kept(account, new.secret), where)
    stored = [vault.shown(places.vault, host)]
    for number, file in enumerate(places.targets):
        try:
            if pointers.point(file, host):
                stored.append(str(file.path))
        except SealosHubError:
            if number == 0 or _has_own_entry(file, host):
                raise
    stored.extend(
        str(file.path)
        for file in places.files
        if file not in places.targets and _has_own_entry(file, host) and pointers.point(file, host)
    )
    return stored


def _save_in_files(host: str, new: entry.Entry, places: Places) -> list[str]:
    """Write the secret to the files, or to the helpers that they name."""
    stored = []
    for number, file in enumerate(places.targets):
        try:
            stored.append(_write(file, host, new, places))
        except SealosHubError:
            # An auth.json that cannot be made (no /run/containers without root) hides nothing:
            # its readers go on to docker's file. One that holds an older login would hide it.
            if number == 0 or _has_own_entry(file, host):
                raise
    stored.extend(
        _write(file, host, new, places)
        for file in places.files
        if file not in places.targets and _has_own_entry(file, host)
    )
    return stored


def erase(
    host: str, *, places: Places, on_note: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Forget *host* in every file and helper that may be read; return where it was.

    Entries for single repositories and other hosts stay.

    Raises:
        SealosHubError: A file or a helper failed; everything else was erased before.
    """
    erased: list[str] = []
    failure: SealosHubError | None = None
    for file in places.files:
        try:
            erased += _erase_in(file, host, places)
        except SealosHubError as exc:
            failure = failure or exc
    if places.inline is not None:
        body = authfile.parse(places.inline.reveal().encode(), INLINE)
        if (
            _in_entries(authfile.section(body, "auths", INLINE), host, None, _INLINE_FILE)
            is not None
        ):
            on_note(f"{INLINE} still holds a credential for {host}; unset it")
    if failure is not None:
        raise failure
    return erased


def hosts(*, places: Places) -> list[str]:
    """List the keys of all entries that hold something, in reading order."""
    keys = []
    for file in places.files:
        entries = _entries(authfile.load(file.path), file)
        keys += [key for key, value in entries.items() if value]
    return list(dict.fromkeys(keys))


def _entries(body: dict[str, object], file: File) -> dict[str, object]:
    if file.format is Format.DOCKERCFG:
        return body
    return authfile.section(body, "auths", str(file.path))


def _helper(body: dict[str, object], file: File, host: str) -> str | None:
    """Return the helper that *file* names for *host*."""
    helper: object = pointers.named(body, file, host)
    if not helper and file.format is Format.DOCKER:
        helper = body.get("credsStore")
    if helper is not None and not isinstance(helper, str):
        raise InvalidInputError(f"the credential helper in {file.path} is not a name")
    return helper or None


def _in_helper(
    body: dict[str, object],
    file: File,
    host: str,
    places: Places,
    on_note: Callable[[str], None],
) -> StoredCredential | None:
    helper = _helper(body, file, host)
    if helper is None:
        return None
    server = entry.key_for(host, file.format)
    if helper == vault.NAME:
        # Our own helper is asked here and now: the program need not be on PATH to read.
        own = vault.get(places.vault, host)
        return _from_helper(own, vault.shown(places.vault, host), server) if own else None
    try:
        kept = program.get(helper, server, places.search_path)
    except program.HelperMissingError as exc:
        on_note(f"{exc.message}, though {file.path} names it")
        return None
    return _from_helper(kept, program.program_name(helper), server) if kept else None


def _from_helper(kept: program.Kept, location: str, server: str) -> StoredCredential:
    token = kept.account == program.TOKEN_USER
    return StoredCredential("" if token else kept.account, kept.secret, token, location, server)


def _in_entries(
    entries: dict[str, object], host: str, repository: str | None, file: File
) -> StoredCredential | None:
    exact = [key for key in entry.keys_for(host, repository, file.format) if key in entries]
    for key in [*exact, *entry.matching(entries, host, file.format)]:
        body = entries[key]
        if not isinstance(body, dict):
            raise InvalidInputError(f"the entry {key} in {file.path} is not an object")
        found = entry.decode(body, f"the entry {key} in {file.path}")
        if found is not None:
            return StoredCredential(
                found.account, found.secret, found.is_refresh_token, str(file.path), key
            )
    return None


def _write(file: File, host: str, new: entry.Entry, places: Places) -> str:
    """Write to the file, or to the helper it names; return which."""
    key = entry.key_for(host, file.format)
    helper = _helper(authfile.load(file.path), file, host)
    if helper is not None:
        account = program.TOKEN_USER if new.is_refresh_token else new.account
        kept = program.Kept(account, new.secret)
        if helper == vault.NAME:
            vault.store(places.vault, key, kept)
        else:
            program.store(helper, key, kept, places.search_path)

    def change(body: dict[str, object]) -> bool:
        entries = body if file.format is Format.DOCKERCFG else body.setdefault("auths", {})
        if not isinstance(entries, dict):
            raise InvalidInputError(f"auths in {file.path} is not an object")
        # With a helper, docker leaves an empty entry that only says which hosts there are.
        fields = {} if helper is not None else entry.encode(new, entries.get(key))
        if entries.get(key) == fields:
            return False
        entries[key] = fields
        return True

    if helper is not None and file.format is not Format.DOCKER:
        return program.program_name(helper)
    authfile.edit(file.path, change)
    return str(file.path) if helper is None else program.program_name(helper)


def _has_own_entry(file: File, host: str) -> bool:
    entries = _entries(authfile.load(file.path), file)
    return bool(entries.get(entry.key_for(host, file.format)))


def _narrower(key: str, host: str) -> bool:
    return key.startswith(f"{host}/") and not entry.denotes_host(key, host)


def _erase_in(file: File, host: str, places: Places) -> list[str]:
    body = authfile.load(file.path)
    erased = []

    def change(body: dict[str, object]) -> bool:
        entries = _entries(body, file)
        gone = [key for key in entries if entry.denotes_host(key, host)]
        full = [key for key in gone if entries.pop(key)]
        if full:
            erased.append(str(file.path))
        return bool(gone)

    if any(entry.denotes_host(key, host) for key in _entries(body, file)):
        authfile.edit(file.path, change)
    helper = _helper(body, file, host)
    if helper == vault.NAME:
        place = vault.shown(places.vault, host)
        if vault.erase(places.vault, host, forget=True):
            erased.append(place)
        pointers.withdraw(file, host)
    elif helper is not None and program.erase(
        helper, entry.key_for(host, file.format), places.search_path
    ):
        erased.append(program.program_name(helper))
    return erased
