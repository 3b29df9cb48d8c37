"""Kubeconfigs of strangers and answers of programs, of every shape."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sealoshub.authplugin import (
    ANONYMOUS,
    Credential,
    CredentialsRejected,
    Grant,
    Identity,
    NoOpinion,
    PluginContext,
    Scope,
    Unavailable,
)
from sealoshub.authplugin.exec import create
from sealoshub.authplugin.kubeconfig import CertificatePair, credential_in
from sealoshub.errors import InvalidInputError
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

FEW: Final = settings(max_examples=60)
_SCALARS: Final = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
ANY: Final[st.SearchStrategy[Any]] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
_USER: Final = st.dictionaries(
    st.sampled_from(
        ["token", "tokenFile", "exec", "client-certificate-data", "client-key-data", "as",
         "auth-provider", "client-certificate", "username", "extensions", "surprise"]
    ),
    st.sampled_from(["", "abc", "YWJj", "/etc/passwd"]) | ANY,
    max_size=4,
)  # fmt: skip
_NAME: Final = st.sampled_from(["a", "b", ""])


def _entries(field: str, content: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    entry = st.fixed_dictionaries({"name": _NAME, field: content})
    return st.lists(entry | ANY, max_size=3) | ANY


CONFIG: Final = st.fixed_dictionaries(
    {"current-context": _NAME},
    optional={
        "kind": st.sampled_from(["Config", "Pod", ""]) | ANY,
        "contexts": _entries("context", st.fixed_dictionaries({"user": _NAME, "cluster": _NAME})),
        "users": _entries("user", _USER),
        "clusters": _entries("cluster", ANY),
    },
)


@FEW
@given(CONFIG)
def test_any_kubeconfig_is_a_credential_or_a_refusal(config: Mapping[str, Any]) -> None:
    """As YAML and as JSON; a field that would make the server act is never passed over."""
    for text in (yaml.safe_dump(config), json.dumps(config)):
        try:
            found = credential_in(text)
        except CredentialsRejected as exc:
            assert "/etc/passwd" not in exc.message  # noqa: PT017  # either may come
            continue
        assert isinstance(found, Secret | CertificatePair)
        users = [entry["user"] for entry in config["users"] if isinstance(entry, dict)]
        good = [user for user in users if not _dangerous(user)]
        assert good, "every user of it has a field that is refused"


def _dangerous(user: object) -> bool:
    names = ("tokenFile", "exec", "as", "auth-provider", "client-certificate", "username")
    return isinstance(user, dict) and any(
        user.get(name) not in (None, "", [], {}) for name in (*names, "surprise")
    )


class _Answers:
    """A program that says whatever it is told to say."""

    def __init__(self, answer: Mapping[str, object]) -> None:
        self._answer = answer

    async def ask(self, question: Mapping[str, object]) -> Mapping[str, object]:
        """Answer."""
        json.dumps(question)
        return self._answer


_ANSWER: Final = st.fixed_dictionaries(
    {"answer": st.sampled_from(["identity", "grant", "rejected", "unavailable", "confirmed", "x"])},
    optional={
        "identity": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["alice", "system:anonymous", "", "a\x1bb"]) | ANY,
                "groups": st.lists(st.text(max_size=5)) | ANY,
                **dict.fromkeys(["uid", "extra", "expires", "credential_id"], ANY),
            },
        )
        | ANY,
        "actions": st.lists(st.sampled_from(["pull", "push", "*", "admin"])) | ANY,
        **dict.fromkeys(["message", "hint", "reason", "retry_after", "exists"], ANY),
    },
)


@FEW
@given(_ANSWER, st.text(max_size=20))
def test_any_answer_of_a_program_is_one_of_the_contract(
    answer: Mapping[str, object], password: str
) -> None:
    """An opinion, none, a rejection, or `Unavailable`; never nobody, and never more than asked."""
    context = PluginContext(("hub",), "imagehub-system")
    config = {"command": ["/bin/sh"], "ask": ["authenticate", "authorize", "confirm"]}
    plugin = create(config, context)
    plugin._program = _Answers(answer)  # type: ignore[assignment]  # only `ask` is called
    scope = Scope("repository", "a/b", frozenset({"pull"}))

    async def main() -> None:
        try:
            who = await plugin.authenticate(Credential("a", Secret(password)))
            assert isinstance(who, NoOpinion) or (who.name and who.name != ANONYMOUS.name)
        except (CredentialsRejected, Unavailable):
            pass
        try:
            grant = await plugin.authorize(Identity("a"), scope)
            assert not isinstance(grant, Grant) or grant.actions <= scope.grantable
        except Unavailable:
            pass
        with contextlib.suppress(Unavailable):
            assert await plugin.confirm(Identity("a")) in (True, False)

    asyncio.run(main())


@FEW
@given(st.dictionaries(st.sampled_from(["command", "env", "ask", "concurrency", "x"]), ANY))
def test_any_configuration_is_taken_or_refused(config: Mapping[str, object]) -> None:
    """With every fault named."""
    try:
        create(config, PluginContext(("hub",), "imagehub-system"))
    except InvalidInputError as exc:
        assert exc.message  # noqa: PT017  # either may come
