"""A whole hub, started as its users start it: `sealoshub hub up`."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, Self

from tests.integration.people import SEALOSHUB
from tests.integration.servers.process import WAIT_SECONDS, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.integration.people import Person
    from tests.integration.servers.kube import KubeApiServer

UP_SECONDS: Final = 200.0
OTHER_SECONDS: Final = 120.0  # any other command; the machine may be busy
USER_NAMESPACE: Final = "user-system"

# `hub up` leaves the hub in the background, out of reach of the kernel's parent-death signal. This
# waits until the tests close the pipe, by dying, and stops the hub then; more than once, because
# `hub up` may have been on its way.
_REAPER: Final = """\
import subprocess, sys, time
sys.stdin.read()
for _ in range(3):
    subprocess.run(sys.argv[1:], check=False, capture_output=True)
    time.sleep(2)
"""


class Hub:
    """A running hub; a context manager that starts and stops it.

    Args:
        data: Folder for its state; not there yet.
        registry_binary: The registry that it runs.
        kube: The cluster that it uses; None for its own embedded API.
        new_person: Makes a person with a home folder of its own, given name and kubeconfig.
    """

    def __init__(
        self,
        data: Path,
        registry_binary: Path,
        kube: KubeApiServer | None,
        new_person: Callable[[str, Path | None], Person],
    ) -> None:
        self.data = data
        self.kube = kube
        self.registry_binary = registry_binary
        self.host = f"localhost:{free_port()}"
        self.url = f"http://{self.host}"
        self.auth_url = f"http://localhost:{free_port()}"
        self._api_port = free_port()
        self._new_person = new_person
        self._operator = new_person("operator", kube.admin_kubeconfig if kube else None)
        self._reaper: subprocess.Popen[bytes]
        self._administrator = new_person("admin", self.admin_kubeconfig)
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        down = [str(SEALOSHUB), "hub", "down", "--data", str(self.data)]
        self._reaper = subprocess.Popen(
            [sys.executable, "-ISc", _REAPER, *down],
            stdin=subprocess.PIPE,
            env=self._operator.env(),
            start_new_session=True,
        )
        try:
            self.up()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def embedded(self) -> bool:
        """Whether the API is our own."""
        return self.kube is None

    @property
    def admin_kubeconfig(self) -> Path:
        """A kubeconfig with all rights."""
        if self.kube is not None:
            return self.kube.admin_kubeconfig
        return self.data / "kubeconfigs" / "admin.kubeconfig"

    def up(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Start the hub; nothing happens to one that runs."""
        flags: list[str | Path] = [
            "--registry-binary",
            self.registry_binary,
            *("--registry-port", self.host.partition(":")[2]),
            *("--auth-port", self.auth_url.rpartition(":")[2]),
        ]
        if self.kube is None:
            flags += ["--api-port", str(self._api_port)]
        else:
            flags += ["--kubeconfig", self.kube.admin_kubeconfig]
        return self.operate("up", *flags, *arguments, seconds=UP_SECONDS)

    def down(self) -> subprocess.CompletedProcess[str]:
        """Stop the hub; nothing happens if it does not run."""
        return self.operate("down")

    def operate(
        self,
        command: str,
        *arguments: str | Path,
        expect: int | None = 0,
        seconds: float = OTHER_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Run `sealoshub hub COMMAND --data …` as the operator of the hub."""
        words = ("sealoshub", "hub", *command.split(), "--data", str(self.data))
        return self._operator.run(*words, *arguments, expect=expect, seconds=seconds)

    def pids(self) -> dict[str, int]:
        """Return the process ids of the supervisor and of the parts that run, by name."""
        state = json.loads((self.data / "run" / "state.json").read_text())
        parts = {part["name"]: part["pid"] for part in state["parts"] if part["pid"] is not None}
        return {"supervisor": state["pid"], **parts}

    @property
    def admin(self) -> Person:
        """Somebody with all rights in the cluster."""
        return self._administrator

    def user(self, name: str, groups: Sequence[str] = (), seconds: int | None = None) -> Person:
        """Return a new user, in a home folder of its own, known to the cluster by certificate.

        Args:
            name: User name.
            groups: Kubernetes groups.
            seconds: How long the certificate is valid; None for longer than the tests run.
        """
        if self.kube is not None:
            kubeconfig = self.kube.issue_kubeconfig(name, groups, seconds or 24 * 3600)
            return self._new_person(name, kubeconfig)
        file = self._new_file()
        if seconds is None:
            flags = [word for group in groups for word in ("--group", group)]
            self.operate("user add", name, *flags, "--out", file)
        else:  # the command counts in days
            self._short_lived(file, name, groups, seconds)
        return self._new_person(name, file)

    def robot(self, name: str) -> Person:
        """Return a ServiceAccount in the namespace of users, as somebody with a token for it."""
        file = self._new_file()
        self.operate("user add", name, "--token", "--out", file)
        return self._new_person(f"system:serviceaccount:{USER_NAMESPACE}:{name}", file)

    def remove_robot(self, name: str) -> None:
        """Delete the ServiceAccount that :meth:`robot` made."""
        self._kubectl(
            self._administrator, "delete", "serviceaccount", name, f"--namespace={USER_NAMESPACE}"
        )

    def get(self, who: Person, resource: str, name: str, namespace: str = "") -> dict[str, Any]:
        """Return an object as *who* sees it.

        Raises:
            AssertionError: It is not there, or not for *who*.
        """
        scope = (f"--namespace={namespace}",) if namespace else ()
        done = self._kubectl(who, "get", resource, name, "--output=json", *scope)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def try_get(self, who: Person, resource: str, name: str) -> int:
        """Return the exit code of kubectl for an object: 0 if *who* sees it, else 1."""
        return who.run("kubectl", "get", resource, name).returncode

    def wait_for(
        self, who: Person, resource: str, name: str, seconds: float = WAIT_SECONDS
    ) -> None:
        """Wait until *who* sees an object."""
        wait_until(
            lambda: self.try_get(who, resource, name) == 0,
            f"{resource} {name} to be there",
            seconds,
        )

    def logs_contain(self, text: str) -> list[str]:
        """Return the names of the hub's logs that hold *text*, the registry's included."""
        files = [file for file in self._logs() if text in file.read_text(errors="replace")]
        return [file.name for file in files]

    def logs(self) -> str:
        """Return the last lines of every part, for the message of a failed test."""
        return "\n".join(
            "\n".join([f"--- {file.name}", *file.read_text(errors="replace").splitlines()[-30:]])
            for file in self._logs()
        )

    def _logs(self) -> list[Path]:
        return sorted((self.data / "run" / "log").glob("*.log*"))

    def _new_file(self) -> Path:
        return self.data.with_name(f"{self.data.name}-{next(self._numbers)}.kubeconfig")

    def _short_lived(self, file: Path, name: str, groups: Sequence[str], seconds: int) -> None:
        from sealoshub.hub.api import pki  # noqa: PLC0415  # only for these few tests

        folder = self.data / "pki"
        certificate, key = pki.issue_client_certificate(folder, name, list(groups), seconds)
        authority = (folder / "ca.crt").read_bytes()
        server = f"https://localhost:{self._api_port}"
        pki.write_kubeconfig(
            file, server, authority, name, certificate_pem=certificate, key_pem=key
        )

    def _kubectl(self, who: Person, *arguments: str) -> subprocess.CompletedProcess[str]:
        return who.run("kubectl", *arguments, expect=0)

    def _end(self) -> None:
        try:
            self.down()
        finally:
            self._reaper.kill()
            self._reaper.communicate()  # closes the pipe
