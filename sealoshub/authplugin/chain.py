"""Ask several plugins as one: in the configured order, the first opinion wins."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, TypeVar

from sealoshub.authplugin import (
    ENTRY_POINTS,
    NO_OPINION,
    Grant,
    Identity,
    NoOpinion,
    Plugin,
    Unavailable,
    UnknownCredential,
)
from sealoshub.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from sealoshub.authplugin import Credential, PluginContext, Scope

_T = TypeVar("_T")

_NOTHING: Final = Grant(frozenset(), "no plugin has an opinion")


class Chain:
    """Plugins in the order of the configuration, and the rule that silence is a denial.

    It is a class because it is opened once, started and stopped with the server.

    Args:
        plugins: At least one.
    """

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._plugins = tuple(plugins)

    async def start(self) -> None:
        """Begin the background work of every plugin."""
        for plugin in self._plugins:
            await plugin.start()

    async def stop(self) -> None:
        """End it, in the opposite order."""
        for plugin in reversed(self._plugins):
            await plugin.stop()

    def unready(self) -> list[str]:
        """Return why requests would fail now; empty if they would not."""
        found = ((plugin.name, plugin.unready()) for plugin in self._plugins)
        return [f"{name}: {reason}" for name, reason in found if reason]

    async def authenticate(self, credential: Credential) -> Identity:
        """Return who sent *credential*.

        Raises:
            CredentialsRejected: A plugin says it is wrong.
            UnknownCredential: None knows it, which is a rejection as well.
            Unavailable: A plugin could not find out; those after it are not asked, because what
                it would have said is not known.
        """
        for plugin in self._plugins:
            answer = await _asked(plugin, plugin.authenticate(credential))
            if not isinstance(answer, NoOpinion):
                return answer
        raise UnknownCredential(
            "the password is none that this hub accepts",
            hint="Use a Kubernetes token, a kubeconfig with its credentials inside"
            " (kubectl config view --raw --minify --flatten), or a token of this hub.",
        )

    async def authorize(self, identity: Identity, scope: Scope) -> Grant:
        """Return what *identity* may do of *scope*; never more than was asked for.

        Raises:
            Unavailable: A plugin could not find out.
        """
        for plugin in self._plugins:
            answer = await _asked(plugin, plugin.authorize(identity, scope))
            if not isinstance(answer, NoOpinion):
                return _within(answer, scope)
        return _NOTHING

    async def confirm(self, identity: Identity) -> bool:
        """Tell whether somebody who proved himself earlier still exists, as far as anybody knows.

        Raises:
            Unavailable: A plugin could not find out.
        """
        for plugin in self._plugins:
            answer = await _asked(plugin, plugin.confirm(identity))
            if answer is not NO_OPINION:
                return bool(answer)
        return True

    # ------------------------------------------------------------------ without asking
    def recall_authenticate(self, credential: Credential) -> Identity | None:
        """Return what `authenticate` would, if every plugin that would be asked knows it."""
        for plugin in self._plugins:
            answer = plugin.recall_authenticate(credential)
            if not isinstance(answer, NoOpinion):
                return answer
        return None

    def recall_authorize(self, identity: Identity, scope: Scope) -> Grant | None:
        """Return what `authorize` would, if every plugin that would be asked knows it."""
        for plugin in self._plugins:
            answer = plugin.recall_authorize(identity, scope)
            if answer is None:
                return None
            if not isinstance(answer, NoOpinion):
                return _within(answer, scope)
        return _NOTHING

    def recall_confirm(self, identity: Identity) -> bool | None:
        """Return what `confirm` would, if every plugin that would be asked knows it."""
        for plugin in self._plugins:
            answer = plugin.recall_confirm(identity)
            if answer is not NO_OPINION:
                return None if answer is None else bool(answer)
        return True


def load(configured: Sequence[tuple[str, Mapping[str, object]]], context: PluginContext) -> Chain:
    """Make the plugins that the configuration names.

    Args:
        configured: Name of the entry point and its configuration, in order.
        context: What every plugin gets.

    Raises:
        InvalidInputError: An unknown plugin, or a wrong configuration; all faults at once.
    """
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    plugins: list[Plugin] = []
    faults: list[str] = []
    for position, (name, config) in enumerate(configured):
        where = f"plugins[{position}]"
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            faults.append(f"{where}: there is no plugin {name!r}; installed: {known}")
            continue
        try:
            plugin = found[name].load()(config, context)
        except InvalidInputError as exc:
            faults.append(f"{where} ({name}): {exc.message}")
        except ImportError as exc:
            faults.append(f"{where} ({name}): cannot be imported: {exc}")
        else:
            if isinstance(plugin, Plugin):
                plugins.append(plugin)
            else:
                faults.append(f"{where} ({name}): its factory returns no Plugin")
    if faults:
        raise InvalidInputError("\n".join(faults))
    return Chain(plugins)


def _within(answer: Grant, scope: Scope) -> Grant:
    """Return *answer* without what was not asked for."""
    if answer.actions <= scope.grantable:
        return answer
    return Grant(answer.actions & scope.grantable, answer.reason, answer.refused)


async def _asked(plugin: Plugin, answer: Awaitable[_T]) -> _T:
    """Let a failing server behind *plugin* be `Unavailable`, whatever it was called there."""
    try:
        return await answer
    except Unavailable:
        raise
    except UnavailableError as exc:
        raise Unavailable(f"{plugin.name}: {exc.message}", hint=exc.hint) from exc
