"""Answer docker_auth's own questions, so that its installations know the users of Kubernetes.

docker_auth (cesanta/docker_auth, `ext_auth` and `ext_authz`) runs a program for each question and
reads its exit code. As `ext_auth` it gets user name and password, with one space between them, and
may print labels; as `ext_authz` it gets the request as JSON. Who somebody is goes from the one to
the other in labels, because the user name that docker_auth goes on with is the one that was typed.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from sealoshub.authplugin import (
    ANONYMOUS,
    Credential,
    CredentialsRejected,
    Identity,
    PluginContext,
    Scope,
    UnknownCredential,
    chain,
)
from sealoshub.errors import InvalidInputError, UnavailableError
from sealoshub.imagehub.names import HUB_NAMESPACE
from sealoshub.kube.account import service_account
from sealoshub.kube.review import ApiServer
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from sealoshub.authplugin.chain import Chain

_T = TypeVar("_T")

ALLOW: Final = 0
DENY: Final = 1
NO_MATCH: Final = 2
ERROR: Final = 3  # any other code is an error to docker_auth, and a 500 to its client
SECONDS: Final = 10.0  # docker_auth itself waits for ever; its clients about 15
MAX_INPUT: Final = 256 * 1024  # bytes; a kubeconfig has 64 KiB at most

USER: Final = "kubernetes_user"
UID: Final = "kubernetes_uid"
GROUPS: Final = "kubernetes_groups"
EXTRA: Final = "kubernetes_extra"

# docker_auth puts label values into the patterns of its ACL as they are, where these would match
# more than themselves (authz/acl.go, 0.13).
_PATTERN: Final = re.compile(r"[*?\[\]{}()|^$\\]")


@dataclass(frozen=True, slots=True)
class Setup:
    """How questions are decided.

    Args:
        plugins: Name and configuration, in order.
        services: Audiences of tokens that are made for the registry.
        server: URL of the API server; None if no plugin needs one.
        ca_file: Its CA; None for the system's.
        token_file: Token of a ServiceAccount that may ask for reviews.
        hub_namespace: Namespace of the hub's own objects.
    """

    plugins: tuple[tuple[str, Mapping[str, object]], ...] = (("kubernetes", {}),)
    services: tuple[str, ...] = ("hub",)
    server: str | None = None
    ca_file: Path | None = None
    token_file: Path | None = None
    hub_namespace: str = HUB_NAMESPACE


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the program says: exit code, standard output, and a line for docker_auth's log."""

    code: int
    output: str = ""
    note: str = ""


def ext_auth(setup: Setup, content: bytes, *, any_account: bool = False) -> Verdict:
    """Answer `ext_auth`: is it the password of this user?

    Args:
        setup: How it is decided.
        content: Standard input: user name, a space, and the password.
        any_account: Accept `token`, `sealoshub` and the last part of a name as the user name. Only
            where labels decide what somebody may: docker_auth itself goes by the user name.

    Raises:
        InvalidInputError: The configuration is wrong.
        UnavailableError: It could not be found out.
    """
    account, space, password = _text(content).partition(" ")
    if not space or not password:
        return Verdict(NO_MATCH, note="there is no password")
    # The name that was typed is judged below; to the plugin it would be a hint.
    credential = Credential(account if any_account else "", Secret(password), client="docker_auth")
    try:
        identity = _ask(setup, lambda plugins: plugins.authenticate(credential))
    except UnknownCredential as exc:
        return Verdict(NO_MATCH, note=exc.message)
    except CredentialsRejected as exc:
        return Verdict(DENY, note=exc.message)
    if not any_account and account not in _accounts(identity):
        names = " or ".join(sorted(_accounts(identity)))
        return Verdict(DENY, note=f"the user name of this credential is {names}")
    if _PATTERN.search(identity.name):
        return Verdict(DENY, note="the user name has characters that are patterns to docker_auth")
    return Verdict(ALLOW, json.dumps({"labels": _labels(identity)}))


def ext_authz(setup: Setup, content: bytes) -> Verdict:
    """Answer `ext_authz`: may he do all of this?

    docker_auth grants everything that was asked for or nothing, so that there is no partial answer.

    Args:
        setup: How it is decided.
        content: Standard input: docker_auth's request as JSON.

    Raises:
        InvalidInputError: The configuration is wrong, or the input is no request of docker_auth.
        UnavailableError: It could not be found out.
    """
    account, identity, scope = _request(content)
    if identity is None:
        return Verdict(DENY, note=f"{account!r} was not authenticated by ext-auth")
    if not scope.actions:
        return Verdict(DENY, note="nothing was asked for")
    grant = _ask(setup, lambda plugins: plugins.authorize(identity, scope))
    if grant.actions >= scope.grantable:
        return Verdict(ALLOW, note=grant.reason)
    missing = ", ".join(sorted(scope.grantable - grant.actions))
    return Verdict(DENY, note=f"{identity.name} may not {missing} {scope.name}")


def _ask(setup: Setup, question: Callable[[Chain], Awaitable[_T]]) -> _T:
    """Open the plugins, ask one question, and close them.

    Raises:
        UnavailableError: There was no answer in time, or a plugin could not find out.
    """

    async def main() -> _T:
        api = None
        if setup.server is not None:
            api = ApiServer(setup.server, ca_file=setup.ca_file, token_file=setup.token_file)
        try:
            context = PluginContext(setup.services, setup.hub_namespace, api, one_shot=True)
            plugins = chain.load(setup.plugins, context)
            await plugins.start()
            try:
                async with asyncio.timeout(SECONDS):
                    return await question(plugins)
            finally:
                await plugins.stop()
        finally:
            if api is not None:
                await api.aclose()

    try:
        return asyncio.run(main())
    except TimeoutError:
        raise UnavailableError(f"no decision within {SECONDS:g} s") from None


def _accounts(identity: Identity) -> frozenset[str]:
    """Return the user names that mean this identity and no other.

    The last part of a ServiceAccount's name would not do: those of other namespaces, and a
    certificate for that name, would be the same user to docker_auth.
    """
    namespace, name = service_account(identity.name)
    if name:
        return frozenset({identity.name, f"{namespace}/{name}"})
    # A name with a slash could be taken for that of a ServiceAccount.
    return frozenset() if "/" in identity.name else frozenset({identity.name})


def _labels(identity: Identity) -> dict[str, list[str]]:
    labels = {
        USER: [identity.name],
        UID: [identity.uid] if identity.uid else [],
        GROUPS: list(identity.groups),
        EXTRA: [
            f"{key}={value}" for key, values in sorted(identity.extra.items()) for value in values
        ],
    }
    kept = {
        key: [value for value in values if not _PATTERN.search(value)]
        for key, values in labels.items()
    }
    return {key: values for key, values in kept.items() if values}


def _request(content: bytes) -> tuple[str, Identity | None, Scope]:
    """Return account, identity (None if it is not ours) and scope of an AuthRequestInfo.

    Raises:
        InvalidInputError: It is none.
    """
    wrong = InvalidInputError(
        "standard input is no request of docker_auth",
        hint="This program is for `ext_authz` in the configuration of docker_auth.",
    )
    try:
        raw = json.loads(_text(content))
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(raw, dict):
        raise wrong
    account, kind, name = (raw.get(key) or "" for key in ("Account", "Type", "Name"))
    actions, labels = raw.get("Actions") or [], raw.get("Labels") or {}
    if not (
        isinstance(account, str)
        and isinstance(kind, str)
        and isinstance(name, str)
        and _is_texts(actions)
        and isinstance(labels, dict)
        and all(_is_texts(values) for values in labels.values())
    ):
        raise wrong
    scope = Scope(kind, name, frozenset(actions))
    user = labels.get(USER) or []
    if not user:
        return account, None if account else ANONYMOUS, scope
    extra: dict[str, list[str]] = {}
    for entry in labels.get(EXTRA) or []:
        key, equals, value = entry.partition("=")
        if equals:
            extra.setdefault(key, []).append(value)
    identity = Identity(
        name=user[0],
        uid=next(iter(labels.get(UID) or []), ""),
        groups=tuple(labels.get(GROUPS) or ()),
        extra={key: tuple(values) for key, values in extra.items()},
    )
    return account, identity, scope


def _is_texts(raw: object) -> bool:
    return isinstance(raw, list) and all(isinstance(item, str) for item in raw)


def _text(content: bytes) -> str:
    if len(content) > MAX_INPUT:
        raise InvalidInputError(f"standard input has more than {MAX_INPUT} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInputError("standard input is not UTF-8") from None
