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
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from sealoshub.authplugin import CredentialsRejected, Identity, Unavailable
from sealoshub.authplugin.cache import Cache, SecretKeys
from sealoshub.authserver.loginrecord import (
    NAME_DIGITS,
    USER_LABEL,
    LoginRecord,
    Wish,
    document,
    read,
    text_of,
    user_label,
)
from sealoshub.authserver.loginwatch import LoginWatch
from sealoshub.errors import (
    DeniedError,
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.imagehub.names import GROUP, VERSION
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sealoshub.authplugin.chain import Chain
    from sealoshub.kube.review import ApiServer

REFRESH: Final = "shr_"
PERSONAL: Final = "shp_"
TOKEN_BYTES: Final = 32  # 256 random bits, 43 characters
# A login that was read, or a copy that was proved, is believed so long, and by SEEN_SECONDS of the
# app for a second more: a revocation elsewhere bites within ten, and at once if the watch tells.
LOGIN_SECONDS: Final = 9.0
NEGATIVE_SECONDS: Final = 5.0
USED_SECONDS: Final = 3600.0  # `status.lastUsed` is written at most so often
LOGINS: Final = 20_000
PRUNE_SECONDS: Final = 60.0
UNWATCHED_SECONDS: Final = 24 * 3600  # of a login whose Secret nobody may look for

_TOKEN: Final = re.compile(r"(?:shr|shp)_[A-Za-z0-9_-]{43}")
_UNKNOWN: Final = "this login is not known here: it expired, was revoked, or is of another hub"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a login lives, and how many somebody may have.

    Args:
        absolute: Seconds after which it ends in any case.
        idle: Seconds without use after which it ends.
        most_logins: Refresh tokens of one user; one more ends the one that was idle longest.
        most_tokens: Personal tokens of one user; one more is refused.
    """

    absolute: int = 90 * 24 * 3600
    idle: int = 30 * 24 * 3600
    most_logins: int = 200
    most_tokens: int = 100


class TooManyTokensError(DeniedError):
    """Somebody has as many personal tokens as he may have."""


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
        created: Is told of every login that is made.
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
        created: Callable[[], None] = lambda: None,
    ) -> None:
        self._created = created
        self._pruned: Cache[bool] = Cache(LOGINS, clock)
        self._api = api
        self._chain = chain
        self._namespace = namespace
        self._path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/logins"
        self.lifetimes = lifetimes
        self._now = now
        self._keys = SecretKeys()
        self._known: Cache[LoginRecord | Literal[False]] = Cache(LOGINS, clock)
        self._used: Cache[bool] = Cache(LOGINS, clock)
        self._writing: set[asyncio.Task[None]] = set()
        self._copy = LoginWatch(
            api, namespace, LOGIN_SECONDS, clock=clock, now=now, revoked=self._forget
        )
        self.revision = 0  # grows when it is heard that a login was revoked

    def start(self) -> None:
        """Begin to keep a copy; without it everything is asked for."""
        self._copy.start()

    async def stop(self) -> None:
        """End the copy, and wait for what is being written."""
        await self._copy.stop()
        await asyncio.gather(*self._writing, return_exceptions=True)

    @property
    def is_copied(self) -> bool:
        """Whether the copy is believed now."""
        return self._copy.unknown() is None

    async def create(
        self, identity: Identity, service: str, *, client: str, address: str
    ) -> Secret:
        """Make a refresh token for *identity*.

        Raises:
            Unavailable: It could not be stored, so that it would not work.
        """
        limits = self.lifetimes
        wish = Wish(
            "refresh", service, limits.absolute, limits.idle, client=client, address=address
        )
        return (await self.make(identity, wish))[0]

    async def make(self, identity: Identity, wish: Wish) -> tuple[Secret, LoginRecord]:
        """Make a token for *identity* as *wish* says; the only moment in which it is known.

        Raises:
            TooManyTokensError: It is a personal one, and the user has as many as he may have.
            Unavailable: It could not be stored, so that it would not work.
        """
        if wish.type == "personal":
            await self._require_room(identity)
        wish = replace(wish, seconds=self._life(identity, wish.seconds))
        prefix = PERSONAL if wish.type == "personal" else REFRESH
        token = prefix + secrets.token_urlsafe(TOKEN_BYTES)
        digest = hashlib.sha256(token.encode()).hexdigest()
        body = document(digest, identity, wish, self._namespace, self._now())
        record = read(body)
        if record is None:
            raise Unavailable("the login cannot be stored: it would not be understood")
        try:
            await self._api.create(self._path, body)
        except InvalidInputError as exc:
            raise Unavailable(f"the login cannot be stored: {exc.message}") from exc
        except SealosHubError as exc:
            raise Unavailable(f"the login cannot be stored: {exc.message}", hint=exc.hint) from exc
        self._created()
        if wish.type == "refresh":
            self._later(self._make_room(identity, record.id))
        return Secret(token), record

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

    def recall(self, token: Secret, service: str) -> LoginRecord | None:
        """Return what :meth:`use` would, if that is known without asking; else None."""
        text = token.reveal()
        digest = hashlib.sha256(text.encode()).hexdigest()
        login_id = digest[:NAME_DIGITS]
        record = self._copy.get(login_id) or self._known.get(login_id)
        if (
            not record
            or not hmac.compare_digest(record.token_hash, digest)
            or record.type != ("refresh" if text.startswith(REFRESH) else "personal")
            or self._now() >= record.ends
            or record.service != service
            or self._chain.recall_confirm(record.identity) is not True
        ):
            return None
        self._note_use(record)
        return record

    async def of_user(self, identity: Identity) -> list[LoginRecord]:
        """Return the logins of *identity*, newest first.

        Raises:
            Unavailable: They cannot be read.
        """
        selector = f"{USER_LABEL}={user_label(identity.name)}"
        try:
            items, _ = await self._api.list(self._path, label_selector=selector)
        except SealosHubError as exc:
            raise Unavailable(f"logins cannot be read: {exc.message}") from exc
        records = [record for item in items if (record := read(item)) is not None]
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
            record = read(await self._api.get(f"{self._path}/{login_id}"))
            if record is None or not _same(record.identity, identity):
                return False
            await self._api.delete(f"{self._path}/{login_id}")
        except NotFoundError:
            return False
        except SealosHubError as exc:
            raise Unavailable(f"the login cannot be revoked: {exc.message}") from exc
        finally:
            self._copy.doubt(login_id)
            self._forget(login_id)
        return True

    # ------------------------------------------------------------------
    async def _find(self, text: str) -> LoginRecord | None:
        digest = hashlib.sha256(text.encode()).hexdigest()
        login_id = digest[:NAME_DIGITS]

        async def ask() -> tuple[LoginRecord | Literal[False], float]:
            try:
                record = read(await self._api.get(f"{self._path}/{login_id}"))
            except NotFoundError:
                record = None
            except UnavailableError as exc:
                raise Unavailable(f"logins cannot be read: {exc.message}", hint=exc.hint) from exc
            return (record, LOGIN_SECONDS) if record else (False, NEGATIVE_SECONDS)

        # The id is half of the hash: whoever guesses one still has to show the other half.
        record = self._copy.get(login_id) or await self._known.ask(login_id, ask)
        if record is False or not hmac.compare_digest(record.token_hash, digest):
            return None
        return record

    def _forget(self, login_id: str) -> None:
        """Drop all that was derived from a login."""
        self._known.forget(login_id)
        self.revision += 1

    def _life(self, identity: Identity, seconds: int) -> int:
        """Return how long a login of *identity* may live, at most *seconds*.

        One that hangs on a Secret lives for a day if nobody may look whether that is still there,
        and what is made with it ends with it.
        """
        if identity.kept_in is None or identity.kept_in.uid:
            return seconds
        left = UNWATCHED_SECONDS
        if identity.method == "login" and identity.expires is not None:
            left = max(0, int((identity.expires - self._now()).total_seconds()))
        return min(seconds, left)

    async def _require_room(self, identity: Identity) -> None:
        most = self.lifetimes.most_tokens
        own = [found for found in await self._live(identity) if found.type == "personal"]
        if len(own) >= most:
            raise TooManyTokensError(
                f"you have {len(own)} personal tokens, and nobody may have more than {most}",
                hint="Revoke one that you no longer use: sealoshub token list, token revoke.",
            )

    async def _make_room(self, identity: Identity, newest: str) -> None:
        """End the logins beyond the limit, but not *newest*.

        A script that logs in every minute must not fill etcd. At most once a minute for each user,
        because it costs a list.
        """
        if self._pruned.get(identity.name):
            return
        self._pruned.put(identity.name, value=True, seconds=PRUNE_SECONDS)
        try:
            own = [found for found in await self._live(identity) if found.type == "refresh"]
            own.sort(key=lambda record: (record.id == newest, record.last_used), reverse=True)
            for record in own[self.lifetimes.most_logins :]:
                await self.revoke(identity, record.id)
        except SealosHubError as exc:
            _log.warning("the logins of a user are not counted: %s", exc.message)

    async def _live(self, identity: Identity) -> list[LoginRecord]:
        now = self._now()
        return [record for record in await self.of_user(identity) if now < record.ends]

    def _later(self, work: Coroutine[None, None, None]) -> None:
        """Do *work* when the answer is out."""
        task = asyncio.get_running_loop().create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    def _note_use(self, record: LoginRecord) -> None:
        """Write `status.lastUsed`, at most once an hour and never in the way of the answer.

        The first use of a personal token is written at once: its owner wants to know whether it is
        in use at all. That of a login follows the login itself and says nothing.
        """
        now = self._now()
        first = record.type == "personal" and not record.noted
        recent = (now - record.last_used).total_seconds() < USED_SECONDS
        if (recent and not first) or self._used.get(record.id):
            return
        self._used.put(record.id, value=True, seconds=USED_SECONDS)
        self._later(self._write_use(record.id, now))

    async def _write_use(self, login_id: str, now: datetime) -> None:
        try:
            await self._api.patch(
                f"{self._path}/{login_id}/status", {"status": {"lastUsed": text_of(now)}}
            )
        except SealosHubError as exc:
            self._used.forget(login_id)
            _log.warning("the use of login %s is not noted: %s", login_id, exc.message)


def _same(one: Identity, other: Identity) -> bool:
    return one.name == other.name and one.uid == other.uid


def _unknown() -> CredentialsRejected:
    return CredentialsRejected(_UNKNOWN, hint="Log in again: sealoshub login, or docker login.")
