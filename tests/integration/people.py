"""Somebody at a terminal: a home folder, an environment, and programs to run in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SEALOSHUB: Final = Path(sys.executable).with_name("sealoshub")
RUN_SECONDS: Final = 120.0
# For podman: no systemd to ask, no journal to write to, no lock in /dev/shm that outlives it.
CONTAINERS_CONF: Final = """\
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
"""


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the hub.

    Args:
        name: User name, as the API server knows it.
        home: Home folder; nobody else's.
        kubeconfig: Path of the kubeconfig that proves who it is.
        path: The PATH: our program, the built tools, the system.
        settings: Variables beside or instead of the usual ones, for all of its programs.
    """

    name: str
    home: Path
    kubeconfig: Path
    path: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def env(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole environment of the person's programs."""
        return {
            "CONTAINERS_CONF": str(self.home / ".config" / "containers" / "containers.conf"),
            "HOME": str(self.home),
            "KUBECONFIG": str(self.kubeconfig),
            "LANG": "C.UTF-8",
            "PATH": self.path,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "PYTHONWARNINGS": "error",  # a warning of ours is a defect in a program as well
            "TMPDIR": str(self.home / "tmp"),
            "TZ": "UTC",
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            **self.settings,
            **(extra or {}),
        }

    def with_settings(self, settings: Mapping[str, str]) -> Person:
        """Return the same person with more variables."""
        return replace(self, settings={**self.settings, **settings})

    def run(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        expect: int | None = None,
        seconds: float = RUN_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program and return what it said.

        Args:
            *arguments: The program and its arguments; `sealoshub` is that of this Python.
            env: Variables beside or instead of those of :meth:`env`.
            stdin: What it reads; nothing by default.
            expect: Its exit code; None for any.
            seconds: How long it may take.

        Raises:
            AssertionError: It ended with another code; the message shows its output.
        """
        program, *rest = map(str, arguments)
        command = [str(SEALOSHUB) if program == "sealoshub" else program, *rest]
        done = subprocess.run(
            command,
            cwd=self.home,
            env=self.env(env),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
        shown = f"{' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"
        assert expect is None or done.returncode == expect, f"exit {done.returncode}: {shown}"
        return done


def person(name: str, home: Path, kubeconfig: Path, tools: Path) -> Person:
    """Make the home folder of a person.

    The files in it let skopeo, buildah and podman work for anybody, without those of the machine.

    Args:
        name: User name.
        home: A folder that is not there yet.
        kubeconfig: Its kubeconfig; it need not be there yet.
        tools: Folder of the built tools.
    """
    containers = home / ".config" / "containers"
    for folder in (containers, home / "run", home / "tmp"):
        folder.mkdir(parents=True)
    (home / "run").chmod(0o700)
    policy = {"default": [{"type": "insecureAcceptAnything"}]}
    (containers / "policy.json").write_text(json.dumps(policy))
    (containers / "containers.conf").write_text(CONTAINERS_CONF)
    path = os.pathsep.join([str(SEALOSHUB.parent), str(tools), os.environ.get("PATH", os.defpath)])
    return Person(name, home, kubeconfig, path)
