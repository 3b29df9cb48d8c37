"""What the credential tests share: a home directory and a fake credential helper."""

from __future__ import annotations

import base64
import json
import stat
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.credentials import Compat, Places, locate

if TYPE_CHECKING:
    from pathlib import Path

_HELPER = """#!{python}
import json, pathlib, sys
file = pathlib.Path({file!r})
kept = json.loads(file.read_text()) if file.exists() else {{}}
text = sys.stdin.read()
verb = sys.argv[1]
if verb == "store":
    body = json.loads(text)
    kept[body["ServerURL"]] = body
elif text not in kept:
    print("credentials not found in native keychain")
    sys.exit(1)
elif verb == "get":
    print(json.dumps(kept[text]))
else:
    del kept[text]
file.write_text(json.dumps(kept))
"""


@dataclass
class House:
    """A home directory with its environment."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The home directory."""
        return self.root / "home"

    def places(
        self,
        authfile: Path | None = None,
        *,
        compat: Compat = Compat.ALL,
        persist: bool = False,
    ) -> Places:
        """Apply the rules to this house."""
        return locate(
            self.env,
            self.home,
            uid=1000,
            authfile=authfile,
            compat=compat,
            persist=persist,
            platform="linux",
        )

    def path(self, name: str) -> Path:
        """Expand a short name of the tables: `run`, `config`, `docker`, `dockercfg`, `env`..."""
        return {
            "run": self.root / "xdg/containers/auth.json",
            "config": self.home / ".config/containers/auth.json",
            "docker": self.home / ".docker/config.json",
            "dockercfg": self.home / ".dockercfg",
        }.get(name) or self.root / name

    def put(self, name: str, body: object) -> Path:
        """Write a file, 0600."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body if isinstance(body, str) else json.dumps(body))
        path.chmod(0o600)
        return path

    def get(self, name: str) -> Any:  # noqa: ANN401  # whatever JSON the file holds
        """Read a file."""
        return json.loads(self.path(name).read_text())

    def helper(self, name: str) -> Path:
        """Install `docker-credential-<name>`; return the file it keeps its secrets in."""
        program = self.root / "bin" / f"docker-credential-{name}"
        program.parent.mkdir(exist_ok=True)
        kept = self.root / f"{name}.json"
        program.write_text(_HELPER.format(python=sys.executable, file=str(kept)))
        program.chmod(stat.S_IRWXU)
        return kept


def auth(account: str, secret: str) -> dict[str, str]:
    """Return an entry as docker writes it."""
    return {"auth": base64.b64encode(f"{account}:{secret}".encode()).decode()}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Return an empty house with an XDG_RUNTIME_DIR."""
    (tmp_path / "home").mkdir()
    (tmp_path / "xdg").mkdir()
    env = {"XDG_RUNTIME_DIR": str(tmp_path / "xdg"), "PATH": str(tmp_path / "bin")}
    return House(tmp_path, env)
