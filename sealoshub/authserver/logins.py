"""Logins: the short credential that stands for a proved identity, and its revocation.

A login is a `Login` resource in the hub's namespace. The token itself is stored nowhere; the object
is found by the first half of its SHA-256 and holds all of it. A token is good again and again and
never replaced, because docker could not store a new one. What it is worth is asked afresh at every
use: the identity must still exist, and the rights are those of today.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from sealoshub.authplugin import CredentialsRejected, Identity, Scope, Unavailable
from sealoshub.authplugin.cache import Cache, SecretKeys
from sealoshub.authplugin.kubernetes import service_account
from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError, UnavailableError
from sealoshub.imagehub.names import GROUP, VERSION
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealoshub.authplugin.chain import Chain
    from sealoshub.kube.review import ApiServer

REFRESH: Final = "shr_"
PERSONAL: Final = "shp_"
TOKEN_BYTES: Final = 32  # 256 random bits, 43 characters
NAME_DIGITS: Final = 32  # of the hash, the object's name
USER_LABEL: Final = f"login.{GROUP}/user"
LOGIN_SECONDS: Final = 10.0  # a login that was read is believed so long; revocation waits for it
NEGATIVE_SECONDS: Final = 5.0
USED_SECONDS: Final = 3600.0  # `status.lastUsed` is written at most so often
LOGINS: Final = 20_000
_MAX_CLIENT: Final = 256

_TOKEN: Final = re.compile(r"(?:shr|shp)_[A-Za-z0-9_-]{43}")
_UNKNOWN: Final = "this login is not known here: it expired, was revoked, or is of another hub"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """What a `Login` resource says, parsed.

    Args:
        id: Name of the object; not secret.
        token_hash: SHA-256 of the token, hexadecimal.
        type: `refresh` or `personal`.
        identity: The user as he was; his rights are asked afresh.
        service: Audience that it is good for.
        scopes: What it is limited to; None for whatever the user may.
        created: Begin.
        expires: Absolute end.
        idle_seconds: It ends if unused for so long; 0 for never.
        last_used: Last use that was written down.
        client: What made it.
        address: Where it was made.
        name: The user's own name for it.
    """

    id: str
    token_hash: str
    type: Literal["refresh", "personal"]
    identity: Identity
    service: str
    scopes: tuple[Scope, ...] | None
    created: datetime
    expires: datetime
    idle_seconds: int
    last_used: datetime
    client: str = ""
    address: str = ""
    name: str = ""

    @property
    def ends(self) -> datetime:
        """When it ends if it is not used again."""
        if not self.idle_seconds:
            return self.expires
        return min(self.expires, self.last_used + timedelta(seconds=self.idle_seconds))

    def allows(self, scope: Scope, action: str) -> bool:
        """Tell whether the login's own limits include *action* on *scope*."""
        if self.scopes is None:
            return True
        return any(
            limit.type == scope.type
            and _matches(limit.name, scope.name)
            and (action in limit.actions or "*" in limit.actions)
            for limit in self.scopes
        )


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a login lives: *absolute* seconds, and *idle* seconds without use."""

    absolute: int = 90 * 24 * 3600
    idle: int = 30 * 24 * 3600


def is_login_token(secret: Secret) -> bool:
    """Tell by its shape whether a password is a token of this hub."""
    return secret.reveal().startswith((REFRESH, PERSONAL))


class Logins:
    """The logins of one hub.

    Args:
        api: The API server that holds them.
        chain: Says whether an identity still exists.
        namespace: The hub's namespace.
        lifetimes: Of new logins.
        clock: Monotonic time in seconds.
        now: Wall-clock time.
    """

    def __init__(  # noqa: PLR0913  # what a login depends on
        self,
        api: ApiServer,
        chain: Chain,
        namespace: str,
        lifetimes: Lifetimes,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._chain = chain
        self._namespace = namespace
        self._path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/logins"
        self._lifetimes = lifetimes
        self._now = now
        self._keys = SecretKeys()
        self._known: Cache[LoginRecord | Literal[False]] = Cache(LOGINS, clock)
        self._used: Cache[bool] = Cache(LOGINS, clock)
        self._writing: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def create(
        self, identity: Identity, service: str, *, client: str, address: str
    ) -> Secret:
        """Make a refresh token for *identity*.

        Raises:
            Unavailable: It could not be stored, so that it would not work.
        """
        token = REFRESH + secrets.token_urlsafe(TOKEN_BYTES)
        digest = hashlib.sha256(token.encode()).hexdigest()
        body = self._document(digest, identity, service, client=client, address=address)
        try:
            await self._api.create(self._path, body)
        except InvalidInputError as exc:
            raise Unavailable(f"the login cannot be stored: {exc.message}") from exc
        except SealosHubError as exc:
            raise Unavailable(f"the login cannot be stored: {exc.message}", hint=exc.hint) from exc
        return Secret(token)

    async def use(self, token: Secret, service: str | None) -> LoginRecord:
        """Return the login that *token* stands for, after every check.

        Args:
            token: The token.
            service: Audience that is asked for; None where it does not matter.

        Raises:
            CredentialsRejected: Not known, ended, of another service, or its user is gone. The
                message is the same for all, so that nobody learns which part was right.
            Unavailable: It could not be checked.
        """
        text = token.reveal()
        if not _TOKEN.fullmatch(text):
            raise _unknown()
        record = await self._find(text)
        kind = "refresh" if text.startswith(REFRESH) else "personal"
        if (
            record is None
            or record.type != kind
            or self._now() >= record.ends
            or (service is not None and record.service != service)
            or not await self._chain.confirm(record.identity)
        ):
            raise _unknown()
        self._note_use(record)
        return record

    async def of_user(self, identity: Identity) -> list[LoginRecord]:
        """Return the logins of *identity*, newest first.

        Raises:
            Unavailable: They cannot be read.
        """
        selector = f"{USER_LABEL}={_user_label(identity.name)}"
        try:
            items, _ = await self._api.list(self._path, label_selector=selector)
        except SealosHubError as exc:
            raise Unavailable(f"logins cannot be read: {exc.message}") from exc
        records = [record for item in items if (record := _record(item)) is not None]
        own = [record for record in records if _same(record.identity, identity)]
        return sorted(own, key=lambda record: record.created, reverse=True)

    async def revoke(self, identity: Identity, login_id: str) -> bool:
        """Delete one of the logins of *identity*; False if he has none of that id.

        Raises:
            Unavailable: It could not be deleted.
        """
        if not re.fullmatch(r"[0-9a-f]{32}", login_id):
            return False
        try:
            record = _record(await self._api.get(f"{self._path}/{login_id}"))
            if record is None or not _same(record.identity, identity):
                return False
            await self._api.delete(f"{self._path}/{login_id}")
        except NotFoundError:
            return False
        except SealosHubError as exc:
            raise Unavailable(f"the login cannot be revoked: {exc.message}") from exc
        finally:
            self._known.forget(login_id)
        return True

    # ------------------------------------------------------------------
    async def _find(self, text: str) -> LoginRecord | None:
        digest = hashlib.sha256(text.encode()).hexdigest()
        login_id = digest[:NAME_DIGITS]

        async def ask() -> tuple[LoginRecord | Literal[False], float]:
            try:
                record = _record(await self._api.get(f"{self._path}/{login_id}"))
            except NotFoundError:
                record = None
            except UnavailableError as exc:
                raise Unavailable(f"logins cannot be read: {exc.message}", hint=exc.hint) from exc
            return (record, LOGIN_SECONDS) if record else (False, NEGATIVE_SECONDS)

        # The id is half of the hash: whoever guesses one still has to show the other half.
        record = await self._known.ask(login_id, ask)
        if record is False or not hmac.compare_digest(record.token_hash, digest):
            return None
        return record

    def _note_use(self, record: LoginRecord) -> None:
        """Write `status.lastUsed`, at most once an hour and never in the way of the answer."""
        now = self._now()
        if (now - record.last_used).total_seconds() < USED_SECONDS or self._used.get(record.id):
            return
        self._used.put(record.id, value=True, seconds=USED_SECONDS)
        task = asyncio.get_running_loop().create_task(self._write_use(record.id, now))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write_use(self, login_id: str, now: datetime) -> None:
        try:
            await self._api.patch(
                f"{self._path}/{login_id}/status", {"status": {"lastUsed": _text(now)}}
            )
        except SealosHubError as exc:
            self._used.forget(login_id)
            _log.warning("the use of login %s is not noted: %s", login_id, exc.message)

    def _document(
        self, digest: str, identity: Identity, service: str, *, client: str, address: str
    ) -> dict[str, Any]:
        now = self._now()
        user: dict[str, Any] = {"name": identity.name, "groups": list(identity.groups)}
        if identity.uid:
            user["uid"] = identity.uid
        if identity.extra:
            user["extra"] = {key: list(values) for key, values in identity.extra.items()}
        spec: dict[str, Any] = {
            "tokenHash": digest,
            "type": "refresh",
            "user": user,
            "service": service,
            "created": _text(now),
            "expires": _text(now + timedelta(seconds=self._lifetimes.absolute)),
            "idleSeconds": self._lifetimes.idle,
        }
        if client:
            spec["client"] = client[:_MAX_CLIENT]
        if address:
            spec["address"] = address[:64]
        origin = _origin(identity)
        if origin:
            spec["origin"] = origin
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "Login",
            "metadata": {
                "name": digest[:NAME_DIGITS],
                "namespace": self._namespace,
                "labels": {USER_LABEL: _user_label(identity.name)},
            },
            "spec": spec,
        }


def _origin(identity: Identity) -> dict[str, Any]:
    origin: dict[str, Any] = {}
    namespace, name = service_account(identity.name)
    if name:
        origin["serviceAccount"] = {"namespace": namespace, "name": name, "uid": identity.uid}
    if identity.method == "certificate" and identity.expires is not None:
        origin["certificateNotAfter"] = _text(identity.expires)
    if identity.credential_id:
        origin["credentialID"] = identity.credential_id[:256]
    return origin


def _record(item: Mapping[str, Any]) -> LoginRecord | None:
    """Read a `Login`; None for one that this server did not write, which is worth nothing."""
    try:
        spec, metadata = item["spec"], item["metadata"]
        user = spec["user"]
        kind: Literal["refresh", "personal"] = (
            "personal" if spec["type"] == "personal" else "refresh"
        )
        if metadata.get("deletionTimestamp") or spec["type"] not in {"refresh", "personal"}:
            return None
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        created = _time(spec["created"])
        used = (item.get("status") or {}).get("lastUsed")
        scopes = spec.get("scopes")
        return LoginRecord(
            id=metadata["name"],
            token_hash=spec["tokenHash"],
            type=kind,
            identity=Identity(
                name=user["name"],
                uid=user.get("uid") or "",
                groups=tuple(user.get("groups") or ()),
                extra=extra,
                credential_id=f"login:{metadata['name']}",
                method="personal" if kind == "personal" else "login",
            ),
            service=spec.get("service") or "",
            scopes=None if scopes is None else tuple(_limit(text) for text in scopes),
            created=created,
            expires=_time(spec["expires"]),
            idle_seconds=int(spec.get("idleSeconds") or 0),
            last_used=_time(used) if used else created,
            client=spec.get("client") or "",
            address=spec.get("address") or "",
            name=spec.get("name") or "",
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _limit(text: str) -> Scope:
    kind, _, rest = text.partition(":")
    name, _, actions = rest.rpartition(":")
    return Scope(kind, name, frozenset(actions.split(",")))


def _matches(pattern: str, name: str) -> bool:
    """Compare a name with `*`, `org/*` or itself."""
    if pattern in {"*", name}:
        return True
    return pattern.endswith("/*") and name.startswith(pattern[:-1])


def _same(one: Identity, other: Identity) -> bool:
    return one.name == other.name and one.uid == other.uid


def _user_label(name: str) -> str:
    """Return a label value for a user name, which may hold what a label may not."""
    return hashlib.sha256(name.encode()).hexdigest()[:40]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _unknown() -> CredentialsRejected:
    return CredentialsRejected(_UNKNOWN, hint="Log in again: sealoshub login, or docker login.")
