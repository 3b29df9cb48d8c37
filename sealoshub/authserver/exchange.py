"""The four steps of a token request: it was parsed; authenticate, authorize, sign.

Nothing here knows HTTP. A credential that is wrong never becomes an anonymous request, and an API
server that does not answer never becomes an empty grant: both are errors of their own.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealoshub.authplugin import (
    ANONYMOUS,
    Credential,
    CredentialsRejected,
    Grant,
    Identity,
    Scope,
    Unavailable,
)
from sealoshub.authplugin.cache import SecretKeys
from sealoshub.authserver import reply
from sealoshub.authserver.logins import is_login_token
from sealoshub.authserver.request import Login, Question, RequestRefusedError
from sealoshub.authserver.token import Access, SignedToken, Signer, quoted
from sealoshub.errors import AuthenticationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealoshub.authplugin.chain import Chain
    from sealoshub.authserver.audit import Audit
    from sealoshub.authserver.guard import Guard
    from sealoshub.authserver.loginrecord import LoginRecord
    from sealoshub.authserver.logins import Logins
    from sealoshub.secret import Secret

ANSWER_SECONDS: Final = 4.5  # for all questions to the API server together; clients wait 15


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end of the connection, as far as that can be seen.

    Args:
        address: IP address, behind trusted proxies the one they saw.
        client: What it calls itself: `client_id`, or `User-Agent`.
        post: Whether the request is a POST.
    """

    address: str
    client: str = ""
    post: bool = False


@dataclass(frozen=True, slots=True)
class Proved:
    """An identity, and the login that it came by, if it did."""

    identity: Identity
    login: LoginRecord | None = None


_NOBODY: Final = Proved(ANONYMOUS)
_NOTHING_KNOWN: Final = Grant(frozenset(), "nothing known was asked for")


class MustWaitError(AuthenticationError):
    """Too many failures; *seconds* until the next check.

    Args:
        seconds: How long.
        why: What was wrong with this very credential, if it was checked before.
    """

    def __init__(self, seconds: float, why: str) -> None:
        super().__init__("too many wrong credentials from here")
        self.seconds = seconds
        self.why = why


class Exchange:
    """Everything that one token request needs, opened once.

    Args:
        services: Accepted audiences.
        chain: The plugins.
        logins: The hub's own tokens; None without an API server, then none are handed out.
        signer: Returns the signer of now; keys are replaced while the server runs.
        guard: Counts failures.
        audit: Takes one line for every decision.
        now: Wall-clock time, seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913  # the parts of the server meet here and nowhere else
        self,
        *,
        services: tuple[str, ...],
        chain: Chain,
        logins: Logins | None,
        signer: Callable[[], Signer],
        guard: Guard,
        audit: Audit,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.services = services
        self.chain = chain
        self.logins = logins
        self._signer = signer
        self._guard = guard
        self._audit = audit
        self._now = now
        self._keys = SecretKeys()

    async def token(
        self,
        question: Question,
        login: Login | None,
        caller: Caller,
        proved: Proved | None = None,
    ) -> reply.Reply:
        """Answer a token request that was parsed.

        Args:
            question: What is asked for.
            login: The credential; None for anonymous.
            caller: Who asks.
            proved: What :meth:`recall_proof` returned for it, if that was asked.

        Raises:
            RequestRefusedError: The service is none of ours.
            CredentialsRejected: The credential is wrong.
            MustWaitError: There were too many wrong ones.
            Unavailable: It could not be decided.
        """
        began = self._now()
        if question.service not in self.services:
            raise RequestRefusedError(
                "this token server does not serve that service",
                hint="The `service` of the registry and of the token server must be the same.",
            )
        async with asyncio.timeout(ANSWER_SECONDS):
            if proved is None:
                proved = await self.prove(login, question.service, caller)
            if len(question.scopes) == 1:
                grants = [await self.grant(proved, question.scopes[0])]
            else:
                grants = await asyncio.gather(
                    *(self.grant(proved, scope) for scope in question.scopes)
                )
            refresh = await self._refresh_token(question, login, proved, caller)
        return self._signed(began, question, proved, caller, grants, refresh)

    def _signed(  # noqa: PLR0913, PLR0917  # what a token says and its audit line
        self,
        began: float,
        question: Question,
        proved: Proved,
        caller: Caller,
        grants: list[Grant],
        refresh: Secret | None,
    ) -> reply.Reply:
        access = [
            Access(scope.type, scope.name, sorted(grant.actions))
            for scope, grant in zip(question.scopes, grants, strict=True)
        ]
        signer = self._signer()
        token = signer.sign(proved.identity.name, question.service, access, now=began)
        self._record(began, question, proved, caller, grants, access, token.id)
        return _answer(token, signer.seconds, access, refresh)

    @property
    def revision(self) -> int:
        """A number that grows when a login is revoked here: what was proved before may be wrong."""
        return 0 if self.logins is None else self.logins.revision

    def recall_proof(
        self, question: Question, login: Login | None, caller: Caller
    ) -> Proved | None:
        """Return who it is if nobody has to be asked and :meth:`recall` may answer; else None."""
        if question.offline or question.service not in self.services:
            return None
        return _NOBODY if login is None else self._recall_proof(login, question.service, caller)

    def recall(self, question: Question, proved: Proved, caller: Caller) -> reply.Reply | None:
        """Answer as :meth:`token` does, if nobody has to be asked; else None.

        Whatever is not a plain 200 is left to `token`: refusals, new logins, what is not known.
        """
        began = self._now()
        try:
            grants = [self._recall_grant(proved, scope) for scope in question.scopes]
        except UnavailableError:
            return None
        known = [grant for grant in grants if grant is not None]
        if len(known) < len(grants):
            return None
        return self._signed(began, question, proved, caller, known, None)

    def _recall_proof(self, login: Login, service: str, caller: Caller) -> Proved | None:
        if not self._guard.is_good(self._keys.of(login.account, login.secret.reveal())):
            return None
        if is_login_token(login.secret):
            record = None if self.logins is None else self.logins.recall(login.secret, service)
            return None if record is None else Proved(record.identity, record)
        credential = Credential(login.account, login.secret, caller.address, caller.client)
        identity = self.chain.recall_authenticate(credential)
        return None if identity is None else Proved(identity)

    def _recall_grant(self, proved: Proved, scope: Scope) -> Grant | None:
        if not scope.actions:
            return _NOTHING_KNOWN
        grant = self.chain.recall_authorize(proved.identity, scope)
        return None if grant is None else _limited(proved, scope, grant)

    async def prove(self, login: Login | None, service: str | None, caller: Caller) -> Proved:
        """Find out who it is.

        Args:
            login: The credential; None for anonymous.
            service: Audience that a login must be good for; None where it does not matter.
            caller: Who asks.

        Raises:
            CredentialsRejected: The credential is wrong.
            MustWaitError: There were too many wrong ones.
            Unavailable: It could not be checked.
        """
        if login is None:
            return Proved(ANONYMOUS)
        secret = login.secret
        digest = self._keys.of(login.account, secret.reveal())
        attempt = self._guard.begin(digest, caller.address, post=caller.post)
        if isinstance(attempt, float):
            raise MustWaitError(attempt, self._guard.why(digest))
        try:
            proved = await self._prove(login, service, caller)
        except CredentialsRejected as exc:
            self._guard.bad(attempt, reply.sentences(exc))
            raise
        except BaseException:
            self._guard.undecided(attempt)
            raise
        self._guard.good(attempt)
        return proved

    async def _prove(self, login: Login, service: str | None, caller: Caller) -> Proved:
        if not login.secret:
            raise CredentialsRejected("there is a user name but no password")
        if is_login_token(login.secret):
            if self.logins is None:
                raise CredentialsRejected("this hub keeps no logins")
            record = await self.logins.use(login.secret, service)
            return Proved(record.identity, record)
        credential = Credential(login.account, login.secret, caller.address, caller.client)
        return Proved(await self.chain.authenticate(credential))

    async def grant(self, proved: Proved, scope: Scope) -> Grant:
        """Return what somebody may do of *scope*, within the limits of his login.

        Raises:
            Unavailable: It could not be decided.
        """
        if not scope.actions:
            return _NOTHING_KNOWN
        return _limited(proved, scope, await self.chain.authorize(proved.identity, scope))

    async def _refresh_token(
        self, question: Question, login: Login | None, proved: Proved, caller: Caller
    ) -> Secret | None:
        """Return a refresh token if one was asked for and may be had.

        A personal token gets none: it would be a second credential that its owner knows nothing of.
        """
        if not question.offline or login is None or self.logins is None:
            return None
        if proved.login is not None:
            return login.secret if proved.login.type == "refresh" else None
        return await self.logins.create(
            proved.identity, question.service, client=caller.client, address=caller.address
        )

    def _record(  # noqa: PLR0913, PLR0917  # the columns of a line
        self,
        began: float,
        question: Question,
        proved: Proved,
        caller: Caller,
        grants: list[Grant],
        access: list[Access],
        token_id: str,
    ) -> None:
        """Write the line of a token, by hand: an encoder takes three times as long."""
        identity = proved.identity
        asked = ",".join([quoted(str(scope)) for scope in question.scopes])
        granted = ",".join([f"[{','.join(map(quoted, entry.actions))}]" for entry in access])
        now = self._now()
        self._audit.write(
            now,
            f'"event":"token","user":{quoted(identity.name)},"method":"{identity.method}"'
            f',"credential":{quoted(identity.credential_id)},"jti":"{token_id}"'
            f',"address":{quoted(caller.address)},"client":{quoted(caller.client)}'
            f',"service":{quoted(question.service)},"asked":[{asked}],"granted":[{granted}]'
            f',"reasons":[{",".join([quoted(grant.reason) for grant in grants])}]'
            f',"offline":{"true" if question.offline else "false"}'
            f',"ms":{round((now - began) * 1000, 2)}',
        )

    def record(self, event: str, proved: Proved, **fields: object) -> None:
        """Write a line about somebody who proved himself.

        Args:
            event: What he did.
            proved: Who.
            fields: JSON values, without secrets.
        """
        identity = proved.identity
        line: dict[str, object] = {
            "event": event,
            "user": identity.name,
            "method": identity.method,
            "credential": identity.credential_id,
            **fields,
        }
        self._audit.write(self._now(), line)

    def record_failure(
        self, answer: reply.Reply, login: Login | None, caller: Caller, why: str
    ) -> None:
        """Write the line of a request that got no token; the typed user name is not in it.

        People type passwords into the wrong field.
        """
        fields: dict[str, object] = {
            "event": "refused",
            "status": int(answer.status),
            "why": why,
            "address": caller.address,
            "client": caller.client,
        }
        if login is not None:
            digest = self._keys.of(login.account, login.secret.reveal())
            fields["credential"] = f"digest:{digest.hex()[:12]}"
        self._audit.write(self._now(), fields)


def _limited(proved: Proved, scope: Scope, grant: Grant) -> Grant:
    """Return *grant* within the limits of the login that somebody came by."""
    limits = proved.login
    if limits is None or limits.scopes is None:
        return grant
    allowed = frozenset(action for action in grant.actions if limits.allows(scope, action))
    return Grant(allowed, grant.reason, grant.refused)


def as_unavailable(exc: TimeoutError | UnavailableError) -> Unavailable:
    """Return what a client is told when *exc* kept the answer away."""
    if isinstance(exc, Unavailable):
        return exc
    if isinstance(exc, UnavailableError):
        return Unavailable(exc.message, hint=exc.hint)
    return Unavailable(f"no decision within {ANSWER_SECONDS:g} s")


def _answer(
    token: SignedToken, seconds: int, access: list[Access], refresh: Secret | None
) -> reply.Reply:
    """Return the answer; without `issued_at`, which clients would compare to their own clock."""
    granted = " ".join(
        [
            f"{entry.type}:{entry.name}:{','.join(entry.actions)}"
            for entry in access
            if entry.actions
        ]
    )
    extra: Mapping[str, str] = {} if refresh is None else {"refresh_token": refresh.reveal()}
    tail = "".join([f',"{name}":{quoted(value)}' for name, value in extra.items()])
    body = (
        f'{{"token":"{token.text}","access_token":"{token.text}","expires_in":{seconds}'
        f',"scope":{quoted(granted)}{tail}}}'
    )
    return reply.Reply(200, body.encode("ascii"))
