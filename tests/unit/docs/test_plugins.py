"""The page about plugins says what they take, and its example is one."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any, Final

import pytest

from sealoshub.authplugin import (
    ANONYMOUS,
    NO_OPINION,
    Credential,
    CredentialsRejected,
    Grant,
    Plugin,
    PluginContext,
    Scope,
    kubernetes,
)
from sealoshub.authplugin import exec as program
from sealoshub.authserver import dockerauth
from sealoshub.secret import Secret

ROOT: Final = Path(__file__).resolve().parents[3]
PAGE: Final = (ROOT / "docs" / "reference" / "plugins.md").read_text()


def section(name: str) -> str:
    """Return the text below a heading."""
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(("name", "module"), [("exec", program), ("kubernetes", kubernetes)])
def test_every_key_is_documented(name: str, module: Any) -> None:  # noqa: ANN401  # a module
    """The keys of the tables are those that the plugin takes."""
    source = inspect.getsource(module.create)
    known = set(re.findall(r'"([a-z_]+)"', re.findall(r"\{(\"[a-z_\", \n]+)\}", source)[0]))
    written = set(re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| [^|]+ \|$", section(name), re.MULTILINE))
    assert known <= written


def test_every_word_of_the_exec_protocol_is_documented() -> None:
    """Questions, answers and their fields."""
    text = section("exec")
    source = inspect.getsource(program)
    words = set(program.QUESTIONS) | set(re.findall(r'case "([a-z_]+)"', source))
    words |= set(re.findall(r'_texts?\((?:answer|raw), "([a-z_]+)"\)', source))
    words |= {"unavailable", "confirmed", "retry_after", "exists", "id", "version"}
    assert {word for word in words if f"`{word}`" not in text} == set()


def test_every_label_and_exit_code_of_the_bridge_is_documented() -> None:
    """What goes from `ext-auth` to `ext-authz`, and what docker_auth sees."""
    text = section("docker_auth")
    for label in (dockerauth.USER, dockerauth.UID, dockerauth.GROUPS, dockerauth.EXTRA):
        assert f"`{label}`" in text
    for code in (dockerauth.ALLOW, dockerauth.DENY, dockerauth.NO_MATCH):
        assert f"| {code} |" in text


def test_the_example_is_a_plugin() -> None:
    """It imports, and does what its comments say."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  # our own page
    plugin: Plugin = names["create"]({}, PluginContext(("hub",), "imagehub-system"))
    assert isinstance(plugin, Plugin)

    async def main() -> None:
        assert await plugin.authenticate(Credential("a", Secret("x"))) is NO_OPINION
        with pytest.raises(CredentialsRejected):
            await plugin.authenticate(Credential("a", Secret("dir-x")))
        scope = Scope("repository", "a/b", frozenset({"pull", "push"}))
        grant = await plugin.authorize(ANONYMOUS, scope)
        assert isinstance(grant, Grant)
        assert grant.actions == {"pull"}

    asyncio.run(main())
