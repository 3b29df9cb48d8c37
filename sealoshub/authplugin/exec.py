"""Identities and rights from a program of the operator's own: `docs/reference/plugins.md`.

The token server writes a question as one line of JSON to the program's standard input and reads the
answer from its standard output. An answer that cannot be understood, or none at all, is
`Unavailable` and never a denial.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealoshub.authplugin import (
    ANONYMOUS,
    NO_OPINION,
    CredentialsRejected,
    Grant,
    Identity,
    Plugin,
    Unavailable,
)
from sealoshub.authplugin.longrunning import LongRunning
from sealoshub.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.authplugin import Credential, NoOpinion, PluginContext, Scope

QUESTIONS: Final = ("authenticate", "authorize", "confirm")
SECONDS: Final = 2.0  # for one question; the token server gives all of them together 4.5
MOST_SECONDS: Final = 4.0
CONCURRENCY: Final = 16
MOST_CONCURRENCY: Final = 1024
MAX_NAME: Final = 320  # characters, as in the resources
MAX_RETRY: Final = 3600  # seconds
MAX_TEXT: Final = 300  # characters of a message for the user

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Options:
    """The configuration, checked.

    Args:
        command: Path of the program and its arguments.
        env: Variables beside `PATH` and `LANG`.
        seconds: How long one question may take.
        concurrency: Questions under way at once.
        ask: What it is asked; it has no opinion on the rest.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    seconds: float = SECONDS
    concurrency: int = CONCURRENCY
    ask: frozenset[str] = frozenset({"authenticate", "authorize"})


def create(config: Mapping[str, object], context: PluginContext) -> Exec:
    """Make the plugin (entry point `exec`).

    Args:
        config: `command` (a list; the program by its absolute path), `env`, `timeout_seconds`,
            `concurrency`, `ask` (among authenticate, authorize, confirm).
        context: Not needed.

    Raises:
        InvalidInputError: A wrong key or value; all faults at once.
    """
    del context
    faults = [
        f"unknown key {key!r}"
        for key in config
        if key not in {"command", "env", "timeout_seconds", "concurrency", "ask"}
    ]
    command, env = config.get("command"), config.get("env") or {}
    seconds, concurrency = config.get("timeout_seconds", SECONDS), config.get("concurrency")
    ask = config.get("ask", ["authenticate", "authorize"])
    concurrency = CONCURRENCY if concurrency is None else concurrency
    if not (isinstance(command, list) and command and all(_is_word(word) for word in command)):
        faults.append("command must be a list: the program and its arguments")
        command = []
    elif not Path(command[0]).is_absolute():
        faults.append("command must begin with the absolute path of the program")
    elif not os.access(command[0], os.X_OK) or Path(command[0]).is_dir():
        faults.append(f"command: {command[0]} is no program that can be run")
    if not isinstance(env, dict) or not all(
        isinstance(key, str) and _VARIABLE.fullmatch(key) and _is_word(value)
        for key, value in env.items()
    ):
        faults.append("env must map names of variables to text")
        env = {}
    if (
        not isinstance(seconds, int | float)
        or isinstance(seconds, bool)
        or not 0 < seconds <= MOST_SECONDS
    ):
        faults.append(f"timeout_seconds must be a number up to {MOST_SECONDS:g}")
        seconds = SECONDS
    if (
        not isinstance(concurrency, int)
        or isinstance(concurrency, bool)
        or not 1 <= concurrency <= MOST_CONCURRENCY
    ):
        faults.append(f"concurrency must be a whole number from 1 to {MOST_CONCURRENCY}")
        concurrency = CONCURRENCY
    if not (isinstance(ask, list) and ask and all(item in QUESTIONS for item in ask)):
        faults.append(f"ask must be a list of {', '.join(QUESTIONS)}")
        ask = []
    if faults:
        raise InvalidInputError("; ".join(faults))
    return Exec(Options(tuple(command), env, float(seconds), concurrency, frozenset(ask)))


class Exec(Plugin):
    """A program that answers for this plugin.

    Args:
        options: Which program, and how.
    """

    name = "exec"

    def __init__(self, options: Options) -> None:
        self._ask = options.ask
        # Nothing else of our own environment: it may hold what the program must not know.
        env = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self._program = LongRunning(
            options.command,
            env | dict(options.env),
            seconds=options.seconds,
            concurrency=options.concurrency,
            clock=time.monotonic,
        )

    async def start(self) -> None:
        """Start the program."""
        self._program.start()

    async def stop(self) -> None:
        """End it."""
        await self._program.stop()

    def unready(self) -> str | None:
        """Return that the program does not run, if so."""
        return self._program.unready()

    async def authenticate(self, credential: Credential) -> Identity | NoOpinion:
        """Return whom the program sees behind *credential*.

        Raises:
            CredentialsRejected: The program says that it is wrong.
            Unavailable: It does not say anything that can be understood.
        """
        if "authenticate" not in self._ask:
            return NO_OPINION
        answer = await self._program.ask(
            {
                "ask": "authenticate",
                "account": credential.account,
                "secret": credential.secret.reveal(),
                "address": credential.address,
                "client": credential.client,
            }
        )
        match _kind(answer):
            case "no_opinion":
                return NO_OPINION
            case "rejected":
                message = _text(answer, "message") or "the credential is not accepted"
                raise CredentialsRejected(message, hint=_text(answer, "hint") or None)
            case "identity":
                return _identity(answer)
        raise _nonsense()

    async def authorize(self, identity: Identity, scope: Scope) -> Grant | NoOpinion:
        """Return which of the scope's actions the program allows.

        Raises:
            Unavailable: It does not say anything that can be understood.
        """
        if "authorize" not in self._ask:
            return NO_OPINION
        answer = await self._program.ask(
            {
                "ask": "authorize",
                "identity": _shown(identity),
                "scope": {
                    "type": scope.type,
                    "name": scope.name,
                    "actions": sorted(scope.grantable),
                },
            }
        )
        match _kind(answer):
            case "no_opinion":
                return NO_OPINION
            case "grant":
                actions = frozenset(_texts(answer, "actions"))
                return Grant(actions & scope.grantable, _text(answer, "reason"))
        raise _nonsense()

    async def confirm(self, identity: Identity) -> bool | NoOpinion:
        """Tell whether the program still knows *identity*.

        Raises:
            Unavailable: It does not say anything that can be understood.
        """
        if "confirm" not in self._ask:
            return NO_OPINION
        answer = await self._program.ask({"ask": "confirm", "identity": _shown(identity)})
        match _kind(answer), answer.get("exists"):
            case "no_opinion", _:
                return NO_OPINION
            case "confirmed", bool(exists):
                return exists
        raise _nonsense()


def _is_word(raw: object) -> bool:
    """Tell whether the system takes it as an argument or as the value of a variable."""
    return isinstance(raw, str) and "\0" not in raw


def _kind(answer: Mapping[str, object]) -> str:
    """Return which answer it is.

    Raises:
        Unavailable: The program says that it could not find out.
    """
    kind = answer.get("answer")
    if kind == "unavailable":
        raw = answer.get("retry_after", 2)
        known = isinstance(raw, int) and not isinstance(raw, bool) and 1 <= raw <= MAX_RETRY
        message = _text(answer, "message") or "the program cannot find out now"
        raise Unavailable(message, retry_after=raw if known and isinstance(raw, int) else 2)
    return kind if isinstance(kind, str) else ""


def _identity(answer: Mapping[str, object]) -> Identity:
    raw = answer.get("identity")
    if not isinstance(raw, dict):
        raise _nonsense()
    name = _text(raw, "name")
    extra = raw.get("extra") or {}
    groups = _texts(raw, "groups")
    # Nobody can prove to be nobody, and such an answer would be one for everybody.
    if (
        not name
        or len(name) > MAX_NAME
        or name == ANONYMOUS.name
        or set(groups) & set(ANONYMOUS.groups)
    ):
        raise _nonsense()
    if not isinstance(extra, dict) or not all(isinstance(key, str) for key in extra):
        raise _nonsense()
    return Identity(
        name=name,
        uid=_text(raw, "uid"),
        groups=tuple(groups),
        extra={key: tuple(_texts(extra, key)) for key in extra},
        credential_id=_text(raw, "credential_id"),
        expires=_moment(_text(raw, "expires")),
    )


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _nonsense() from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(identity: Identity) -> dict[str, object]:
    return {
        "name": identity.name,
        "uid": identity.uid,
        "groups": list(identity.groups),
        "extra": {key: list(values) for key, values in identity.extra.items()},
        "method": identity.method,
    }


def _text(holder: Mapping[str, object], key: str) -> str:
    value = holder.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_TEXT + MAX_NAME:
        raise _nonsense()
    return value


def _texts(holder: Mapping[str, object], key: str) -> list[str]:
    value = holder.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _nonsense()
    return value


def _nonsense() -> Unavailable:
    """Return what an answer is that cannot be understood: no answer, and never a denial."""
    return Unavailable("the program of the exec plugin does not answer as its protocol demands")
