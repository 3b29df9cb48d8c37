"""The real plugin: the API server says who it is, and RBAC says what he may.

Identity: a bearer token is shown to the API server in a SelfSubjectReview, or in a TokenReview when
it was made for the hub; a client certificate by mutual TLS. Rights: a SubjectAccessReview for the
hub's own verbs in the organisation's namespace. Public repositories come from a watch.
"""

from __future__ import annotations

import asyncio
import functools
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sealoshub.authplugin import (
    NO_OPINION,
    CredentialsRejected,
    Grant,
    Identity,
    Plugin,
    Unavailable,
    typedname,
)
from sealoshub.authplugin.cache import Cache, SecretKeys
from sealoshub.authplugin.keptin import Secrets
from sealoshub.authplugin.kubernetes_identity import IdentityReviews, Options
from sealoshub.authplugin.publicrepositories import LookedUp, PublicRepositories
from sealoshub.authplugin.quotas import Quotas
from sealoshub.errors import InvalidInputError
from sealoshub.imagehub.names import GROUP, organization_namespace, split_repository
from sealoshub.imagehub.rights import Verb, verb_of_action
from sealoshub.kube import UserInfo
from sealoshub.kube.account import SERVICE_ACCOUNT, service_account
from sealoshub.kube.answer import Decision, ResourceAttributes, subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sealoshub.authplugin import Credential, NoOpinion, PluginContext, Scope
    from sealoshub.kube.review import ApiServer

IDENTITY_SECONDS: Final = 10.0  # as Kubernetes' own delegated authenticators
DECISION_SECONDS: Final = 10.0
NEGATIVE_SECONDS: Final = 5.0  # shorter: somebody is waiting for the right he was just given
ACCOUNT_SECONDS: Final = 60.0  # a deleted ServiceAccount ends its logins within this time
IDENTITIES: Final = 10_000
DECISIONS: Final = 50_000
ACCOUNTS: Final = 20_000
QUESTIONS: Final = 10_000  # scopes whose reviews are kept ready

# RBAC knows no organisation of this name: only a rule for all of them allows it. The name of a
# review must never be empty.
_ALL: Final = "*"
# What administrators and the controller hold, whom no quota stops.
_CONTROL: Final = ResourceAttributes(str(Verb.CONTROL), GROUP, "organizations", _ALL)
_NO_NAME: Final = Grant(frozenset(), "not the name of a repository of an organisation")
_Asked = tuple[tuple[str, ResourceAttributes], ...]


@dataclass(frozen=True, slots=True)
class _Rejection:
    """What is kept of a rejected credential; an exception would keep its frames alive."""

    message: str
    hint: str | None


def create(config: Mapping[str, object], context: PluginContext) -> Kubernetes:
    """Make the plugin (entry point `kubernetes`).

    Args:
        config: `require_audience` (true: only tokens made for the hub; default false),
            `client_certificates` (default true, false under `require_audience`),
            `audiences` (default: the services of the token server).
        context: What the token server hands over.

    Raises:
        InvalidInputError: A wrong key or value, or no API server is configured.
    """
    faults: list[str] = []
    unknown = set(config) - {"require_audience", "client_certificates", "audiences"}
    faults.extend(f"unknown key {key!r}" for key in sorted(map(str, unknown)))
    required = config.get("require_audience", False)
    certificates = config.get("client_certificates", not required)
    audiences = config.get("audiences", list(context.services))
    for key, value in (("require_audience", required), ("client_certificates", certificates)):
        if not isinstance(value, bool):
            faults.append(f"{key} must be true or false")
    if not (
        isinstance(audiences, list)
        and audiences
        and all(isinstance(item, str) and item for item in audiences)
    ):
        faults.append("audiences must be a list of names")
        audiences = []
    if context.api is None:
        faults.append("needs `api` in the configuration of the token server")
    if faults or context.api is None:
        raise InvalidInputError("; ".join(faults))
    options = Options(tuple(audiences), bool(required), bool(certificates))
    return (OneShot if context.one_shot else Kubernetes)(context.api, options)


class Kubernetes(Plugin):
    """Identities and rights of one cluster, with caches that are true for seconds.

    Args:
        api: The API server.
        options: Which credentials are accepted.
        clock: Monotonic time in seconds.
        now: Wall-clock time.
    """

    name = "kubernetes"

    def __init__(
        self,
        api: ApiServer,
        options: Options,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._secrets = Secrets(api, clock)
        self._reviews = IdentityReviews(api, options, self._secrets, clock=clock, now=now)
        self._public: PublicRepositories = PublicRepositories(api, clock)
        self._quotas = Quotas(api, clock)
        self._keys = SecretKeys()
        self._identities: Cache[Identity | _Rejection] = Cache(IDENTITIES, clock)
        self._decisions: Cache[Decision] = Cache(DECISIONS, clock)
        self._accounts: Cache[bool] = Cache(ACCOUNTS, clock)
        self._asked = functools.lru_cache(QUESTIONS)(_questions)

    async def start(self) -> None:
        """Begin to watch the repositories and the quotas."""
        self._public.start()
        self._quotas.start()

    async def stop(self) -> None:
        """End the watches."""
        await self._public.stop()
        await self._quotas.stop()

    def unready(self) -> str | None:
        """Return why it is not known what is public, or never was which quota is used up."""
        return self._public.unknown() or self._quotas.unread()

    # ------------------------------------------------------------------ who
    async def authenticate(self, credential: Credential) -> Identity | NoOpinion:
        """Return the Kubernetes user behind a token or a kubeconfig.

        Raises:
            CredentialsRejected: The API server does not know it, it is unusable, or the user name
                that was typed is somebody else's.
            Unavailable: The API server does not answer.
        """
        if typedname.is_cut(credential):
            raise CredentialsRejected(
                "a user name cannot contain a colon here",
                hint="Use its last part as the user name.",
            )
        shape = self._reviews.shape(credential.secret)
        if shape is None:
            return NO_OPINION

        async def ask() -> tuple[Identity | _Rejection, float]:
            try:
                identity = await self._reviews.review(shape)
            except CredentialsRejected as exc:
                return _Rejection(exc.message, exc.hint), NEGATIVE_SECONDS
            return identity, IDENTITY_SECONDS

        # The whole credential is the key. A certificate alone would not do: it is public.
        key = self._keys.of(credential.secret.reveal())
        answer = self._identities.get(key) or await self._identities.ask(key, ask)
        if isinstance(answer, _Rejection):
            raise CredentialsRejected(answer.message, hint=answer.hint)
        typedname.check(answer, credential.account)
        return answer

    async def confirm(self, identity: Identity) -> bool | NoOpinion:
        """Tell whether the ServiceAccount of *identity* still exists, and what its token died with.

        Raises:
            Unavailable: The API server does not answer.
        """
        namespace, name = service_account(identity.name)
        if not name:
            return NO_OPINION

        def is_same(account: Mapping[str, Any] | None) -> bool:
            metadata = (account or {}).get("metadata") or {}
            return metadata.get("uid") == identity.uid and not metadata.get("deletionTimestamp")

        def begin() -> asyncio.Future[bool]:
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
            return self._api.begin_get(path, is_same)

        key = (identity.name, identity.uid)
        kept_in = identity.kept_in
        return await self._accounts.wait(key, begin, _account_seconds) and (
            kept_in is None or await self._secrets.keeps(kept_in)
        )

    # ------------------------------------------------------------------ may he
    async def authorize(self, identity: Identity, scope: Scope) -> Grant | NoOpinion:
        """Return what RBAC and the visibility of the repository allow.

        Raises:
            Unavailable: The API server does not answer, so that a denial would be a guess.
        """
        if scope.type == "registry" and scope.name == "catalog":
            return await self._catalog(identity, scope)
        if scope.type != "repository":
            return NO_OPINION
        asked = self._asked(scope)
        if asked is None:
            return _NO_NAME
        public = self._is_public(scope)
        decisions: list[Decision] = []
        if not identity.is_anonymous:
            who = _subject(identity)
            # All begin at once; a task for each would cost a fifth of a question.
            begun = [
                self._begin_review(identity, who, ask)
                for action, ask in asked
                if not (public and action == "pull")
            ]
            decisions = [await _said(one) for one in begun]
        grant = self._grant(asked, decisions, public=public)
        return await self._within_quota(identity, scope, grant)

    async def _within_quota(self, identity: Identity, scope: Scope, grant: Grant) -> Grant:
        """Take the push out of *grant* if the organisation has no room for it."""
        if "push" not in grant.actions or not (full := await self._quotas.refusal(scope.name)):
            return grant
        if (await self._review(identity, _CONTROL)).allowed:
            return grant
        reasons = "; ".join(filter(None, (grant.reason, full)))
        return Grant(grant.actions - {"push"}, reasons, full)

    def _is_public(self, scope: Scope) -> bool:
        return scope.name in self._public and self._public.unknown() is None

    def _grant(self, asked: _Asked, decisions: Sequence[Decision], *, public: bool) -> Grant:
        """Put an answer together.

        Args:
            asked: Every action and its question.
            decisions: The answers to the questions that *public* does not answer; none for
                somebody who is nobody in particular.
            public: Whether everybody may pull.

        Raises:
            Unavailable: It is not known whether everybody may pull, and this one may not.
        """
        granted: set[str] = set()
        reasons: list[str] = []
        actions = [action for action, _ in asked]
        if public and "pull" in actions:
            granted.add("pull")
            reasons.append("the repository is public")
            actions.remove("pull")
        if decisions:
            for action, decision in zip(actions, decisions, strict=True):
                if decision.allowed:
                    granted.add(action)
                    reasons.append(decision.reason)
        if "pull" in actions and "pull" not in granted:
            self._require_visibility()
        return Grant(frozenset(granted), "; ".join(dict.fromkeys(filter(None, reasons))))

    async def _catalog(self, identity: Identity, scope: Scope) -> Grant:
        if "*" not in scope.actions or identity.is_anonymous:
            return Grant(frozenset())
        decision = await self._review(
            identity, ResourceAttributes("catalog", GROUP, "organizations", _ALL)
        )
        return Grant(frozenset({"*"}) if decision.allowed else frozenset(), decision.reason)

    async def _review(self, identity: Identity, asked: ResourceAttributes) -> Decision:
        return await _said(self._begin_review(identity, _subject(identity), asked))

    def _begin_review(
        self, identity: Identity, who: str, asked: ResourceAttributes
    ) -> Decision | asyncio.Future[Decision]:
        """Return the decision if it is known, else the future of the one that is asked for."""
        key = (identity.key, asked)
        known = self._decisions.get(key)
        if known is not None:
            return known
        return self._decisions.expect(
            key, lambda: self._api.begin_subject_access_review(who, asked), _seconds
        )

    # ------------------------------------------------------------------ without asking
    def recall_authenticate(self, credential: Credential) -> Identity | NoOpinion | None:
        """Return the user if the API server said lately whose credential it is; else None."""
        answer = self._identities.get(self._keys.of(credential.secret.reveal()))
        if not isinstance(answer, Identity) or typedname.is_cut(credential):
            return None
        try:
            typedname.check(answer, credential.account)
        except CredentialsRejected:
            return None
        return answer

    def recall_authorize(self, identity: Identity, scope: Scope) -> Grant | NoOpinion | None:
        """Return the grant if visibility and every decision are known; else None."""
        asked = self._asked(scope) if scope.type == "repository" else None
        if asked is None or self._public.unknown() is not None:
            return None
        public = scope.name in self._public
        decisions: list[Decision] = []
        if not identity.is_anonymous:
            for action, question in asked:
                if not (public and action == "pull"):
                    known = self._decisions.get((identity.key, question))
                    if known is None:
                        return None
                    decisions.append(known)
        grant = self._grant(asked, decisions, public=public)
        if "push" in grant.actions and self._quotas.limit(scope.name) is not None:
            return None  # there are few of them
        return grant

    def recall_confirm(self, identity: Identity) -> bool | NoOpinion | None:
        """Return what :meth:`confirm` would if that is known; else None."""
        if not identity.name.startswith(SERVICE_ACCOUNT):
            return NO_OPINION
        known = self._accounts.get((identity.name, identity.uid))
        kept_in = identity.kept_in
        return known if not known or kept_in is None else self._secrets.recall(kept_in)

    def _require_visibility(self) -> None:
        """Refuse to deny a pull while it is not known whether the repository is public.

        Raises:
            Unavailable: It is not known.
        """
        unknown = self._public.unknown()
        if unknown is not None:
            raise Unavailable(unknown)


class OneShot(Kubernetes):
    """The same answers from a process that ends after one of them."""

    def __init__(self, api: ApiServer, options: Options) -> None:
        super().__init__(api, replace(options, recognise=False))  # nobody comes after
        self._public = self._looked_up = LookedUp(api, time.monotonic)

    async def start(self) -> None:
        """Watch nothing."""

    def unready(self) -> str | None:
        """Return None: what is asked about is looked up."""
        return None

    async def authorize(self, identity: Identity, scope: Scope) -> Grant | NoOpinion:
        """Look the repository up, then decide as ever.

        Raises:
            Unavailable: The API server does not answer.
        """
        if scope.type == "repository":
            try:
                await self._looked_up.look_up(scope.name)
            except InvalidInputError:
                return _NO_NAME
            if "push" in scope.grantable:
                await self._quotas.look(scope.name.partition("/")[0])
        return await super().authorize(identity, scope)

    def recall_authorize(self, identity: Identity, scope: Scope) -> Grant | NoOpinion | None:
        """Return None: a repository that was not looked up is not known to be private."""
        del identity, scope
        return None


def _subject(identity: Identity) -> str:
    return subject(UserInfo(identity.name, identity.uid, identity.groups, identity.extra))


def _seconds(decision: Decision) -> float:
    return DECISION_SECONDS if decision.allowed else NEGATIVE_SECONDS


def _account_seconds(same: bool) -> float:  # noqa: FBT001  # the answer, as a cache hands it over
    return ACCOUNT_SECONDS if same else NEGATIVE_SECONDS


async def _said(begun: Decision | asyncio.Future[Decision]) -> Decision:
    """Return a decision that is known or being asked for."""
    return begun if isinstance(begun, Decision) else await asyncio.shield(begun)


def _questions(scope: Scope) -> _Asked | None:
    """Return every action that may be granted, and the review that decides about it.

    None for something that is no repository of an organisation.
    """
    try:
        named = split_repository(scope.name)
    except InvalidInputError:
        return None
    namespace = organization_namespace(named.organization)
    verbs = ((action, verb_of_action(action)) for action in sorted(scope.grantable))
    return tuple(
        (
            action,
            ResourceAttributes(str(verb), GROUP, "repositories", named.repository, namespace),
        )
        for action, verb in verbs
        if verb is not None
    )
