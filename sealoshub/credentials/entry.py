"""Entries of a credential file: which key is a host's, and how a secret is written in one.

Sources: containers-auth.json(5); docker/cli `cli/config/configfile` and `credentials`.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Final

from sealoshub.credentials.places import Format
from sealoshub.errors import InvalidInputError
from sealoshub.pattern import pattern
from sealoshub.secret import Secret
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DOCKER_HUB: Final = "https://index.docker.io/v1/"  # the key docker has used since its beginning
HUB_HOST: Final = "docker.io"
_HUB_HOSTS: Final = frozenset({HUB_HOST, "index.docker.io", "registry-1.docker.io"})
_SCHEME: Final = pattern(r"^https?://")


class Entry(Value):
    """What one entry holds."""

    account: str
    secret: Secret
    is_refresh_token: bool


def key_for(host: str, form: Format) -> str:
    """Return the key under which a login for *host* is written."""
    if host in _HUB_HOSTS:
        return HUB_HOST if form is Format.CONTAINERS else DOCKER_HUB
    return host


def keys_for(host: str, repository: str | None, form: Format) -> list[str]:
    """List the keys that speak for a repository, most specific first."""
    keys = []
    path = repository or ""
    while path:
        keys.append(f"{host}/{path}")
        path = path.rpartition("/")[0]
    return list(dict.fromkeys([*keys, host, key_for(host, form)]))


def matching(keys: Iterable[str], host: str, form: Format) -> list[str]:
    """List the *keys* that mean *host* once they are normalised."""
    wanted = _normal(host, form)
    return [key for key in keys if _normal(key, form) == wanted]


def denotes_host(key: str, host: str) -> bool:
    """Tell whether *key* speaks for the whole of *host*, in any of its spellings."""
    bare = _SCHEME.sub("", key)
    name, slash, path = bare.partition("/")
    if slash and path.strip("/") not in {"", "v1", "v2"}:
        return False
    return family(name) == family(host)


def family(host: str) -> str:
    """Return the one name under which all spellings of *host* meet: Docker Hub has several."""
    return HUB_HOST if host in _HUB_HOSTS else host


def decode(body: Mapping[str, object], where: str) -> Entry | None:
    """Read one entry; None if it holds nothing, as docker leaves it for a helper.

    Args:
        body: The entry.
        where: File and key, for messages.

    Raises:
        InvalidInputError: Its `auth` is not base64 of `user:secret`.
    """
    encoded = body.get("auth") or ""
    identity = body.get("identitytoken") or ""
    account, secret = body.get("username") or "", body.get("password") or ""
    if not all(isinstance(value, str) for value in (encoded, identity, account, secret)):
        raise InvalidInputError(f"{where} holds something else than strings")
    if encoded:
        import base64  # noqa: PLC0415  # for those who are logged in

        try:
            decoded = base64.b64decode(str(encoded), validate=False).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidInputError(f"{where} has an auth that is not base64") from None
        account, colon, secret = decoded.partition(":")
        if not colon:
            raise InvalidInputError(f"{where} has an auth without a colon")
        secret = secret.rstrip("\0")
    if identity:
        return Entry(str(account), Secret(str(identity)), is_refresh_token=True)
    if not secret:
        return None
    return Entry(str(account), Secret(str(secret)), is_refresh_token=False)


def encode(entry: Entry, old: object) -> dict[str, object]:
    """Write *entry*, keeping every field of *old* that says something else.

    A refresh token becomes `identitytoken` beside an `auth` without a secret: the form that docker
    writes itself, and that containers/image, crane, oras, regctl and helm read.

    Raises:
        InvalidInputError: The account has a colon, at which every reader would split it.
    """
    if ":" in entry.account:
        raise InvalidInputError(f"{entry.account!r} cannot be stored: a user name has no colon")
    fields: dict[str, object] = dict(old) if isinstance(old, dict) else {}
    for stale in ("identitytoken", "registrytoken", "username", "password"):
        fields.pop(stale, None)
    text = entry.secret.reveal()
    import base64  # noqa: PLC0415  # as above

    plain = "" if entry.is_refresh_token else text
    fields["auth"] = base64.b64encode(f"{entry.account}:{plain}".encode()).decode()
    if entry.is_refresh_token:
        fields["identitytoken"] = text
    return fields


def _normal(key: str, form: Format) -> str:
    """Cut the scheme; cut the path if docker would."""
    bare = _SCHEME.sub("", key)
    if bare != key or form is not Format.CONTAINERS:
        # containers/image: only a key with a scheme has a path to cut, others are namespaces.
        bare = bare.partition("/")[0]
    return family(bare)
