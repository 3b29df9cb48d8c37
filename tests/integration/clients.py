"""Stock registry clients: how each of them logs in, pushes and pulls, as one table.

Everything a client keeps lies in the home folder of the person who runs it.
The registries are on loopback without TLS, which every client must be told in its own way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.images import REF_NAME

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.images import Layout
    from tests.integration.people import Person

    Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StockClient:
    """One client and its commands.

    Words of the commands may hold `{host}`, `{user}`, `{home}`, `{layout}`, `{folder}`,
    `{reference}`, `{into}`, and `{previous}`: what the command before printed last.

    Args:
        name: Name of the program, which every command leaves out.
        version: Prints the client's version.
        login: Logs in to `{host}` as `{user}`; the last command reads the secret from stdin.
        logout: Forgets that login.
        push: Sends `{layout}`, a folder and a reference name of it joined by a colon, as
            `{reference}`; empty if the client cannot without an engine. `{folder}` is the
            layout's folder alone.
        pull: Fetches `{reference}` into the OCI layout `{into}`; empty as above.
        keeps_digest: Whether push and pull send the manifest as it is. The others unpack and
            compress again.
        options: Words before those of every command but *version*.
    """

    name: str
    version: Words
    login: tuple[Words, ...]
    logout: Words
    push: tuple[Words, ...] = ()
    pull: tuple[Words, ...] = ()
    keeps_digest: bool = True
    options: Words = ()

    def run_version(self, person: Person) -> subprocess.CompletedProcess[str]:
        """Let the client print its version."""
        return person.run(self.name, *self.version)

    def run_login(
        self, person: Person, host: str, secret: str, *, user: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Log in to *host* with *secret* as password.

        Args:
            person: Who runs the client.
            host: `localhost:PORT` of the registry.
            secret: The password.
            user: The account; default: the person's name, of a ServiceAccount its last part,
                because the user name of Basic authentication holds no colon (RFC 7617).
        """
        account = person.name.rpartition(":")[2] if user is None else user
        words = {"host": host, "user": account}
        return self._run(person, self.login, words, stdin=secret)

    def run_logout(self, person: Person, host: str) -> subprocess.CompletedProcess[str]:
        """Forget the login at *host*."""
        return self._run(person, (self.logout,), {"host": host})

    def run_push(
        self, person: Person, layout: Layout, reference: str
    ) -> subprocess.CompletedProcess[str]:
        """Push the image of *layout* as *reference*; return the first command that failed."""
        assert self.push, f"{self.name} cannot push without an engine"
        words = {
            "host": reference.partition("/")[0],
            "layout": f"{layout.path}:{layout.tag}",
            "folder": str(layout.path),
            "reference": reference,
        }
        return self._run(person, self.push, words)

    def run_pull(
        self, person: Person, reference: str, into: Path
    ) -> subprocess.CompletedProcess[str]:
        """Pull *reference* into the OCI layout *into*; return the first command that failed."""
        assert self.pull, f"{self.name} cannot pull without an engine"
        words = {
            "host": reference.partition("/")[0],
            "reference": reference,
            "into": str(into),
        }
        return self._run(person, self.pull, words)

    def _run(
        self, person: Person, commands: tuple[Words, ...], words: dict[str, str], stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        values = words | {"home": str(person.home), "previous": ""}
        for number, command in enumerate(commands, start=1):
            filled = [word.format(**values) for word in (*self.options, *command)]
            last = number == len(commands)
            done = person.run(self.name, *filled, stdin=stdin if last else None)
            if done.returncode != 0:
                break
            values["previous"] = done.stdout.strip().rsplit("\n", 1)[-1]
        return done


def pulled_digest(into: Path) -> str:
    """Return the digest of the image that was pulled into the OCI layout *into*."""
    found: list[dict[str, Any]] = json.loads((into / "index.json").read_text())["manifests"]
    if len(found) > 1:  # oras lists the images of an index beside the index itself
        found = [d for d in found if d.get("annotations", {}).get(REF_NAME) == "pulled"]
    digest: str = found[0]["digest"]
    return digest


# A storage of the person's own, and the one driver that needs nothing of the kernel.
_STORAGE: Final = (
    "--root={home}/storage",
    "--runroot={home}/run/storage",
    "--storage-driver=vfs",
)
_PASSWORD: Final = ("--username={user}", "--password-stdin")
_UNPACKING_PUSH: Final = (
    ("pull", "--quiet", "oci:{layout}"),
    ("push", "--quiet", "--tls-verify=false", "{previous}", "docker://{reference}"),
)
_UNPACKING_PULL: Final = (
    ("pull", "--quiet", "--tls-verify=false", "docker://{reference}"),
    ("push", "--quiet", "{previous}", "oci:{into}:pulled"),
)
_REGCTL_PLAIN: Final = ("registry", "set", "{host}", "--tls=disabled")

CLIENTS: Final = (
    StockClient(
        name="docker",
        version=("--version",),
        login=(("login", *_PASSWORD, "{host}"),),
        logout=("logout", "{host}"),
    ),
    StockClient(
        name="skopeo",
        version=("--version",),
        login=(("login", "--tls-verify=false", *_PASSWORD, "{host}"),),
        logout=("logout", "{host}"),
        push=(
            (
                "copy",
                "--all",
                "--preserve-digests",
                "--dest-tls-verify=false",
                "oci:{layout}",
                "docker://{reference}",
            ),
        ),
        pull=(
            (
                "copy",
                "--all",
                "--preserve-digests",
                "--src-tls-verify=false",
                "docker://{reference}",
                "oci:{into}:pulled",
            ),
        ),
    ),
    StockClient(
        name="buildah",
        version=("--version",),
        login=(("login", "--tls-verify=false", *_PASSWORD, "{host}"),),
        logout=("logout", "{host}"),
        push=_UNPACKING_PUSH,
        pull=_UNPACKING_PULL,
        keeps_digest=False,
        options=_STORAGE,
    ),
    StockClient(
        name="podman",
        version=("--version",),
        login=(("login", "--tls-verify=false", *_PASSWORD, "{host}"),),
        logout=("logout", "{host}"),
        push=_UNPACKING_PUSH,
        pull=_UNPACKING_PULL,
        keeps_digest=False,
        options=(*_STORAGE, "--tmpdir={home}/run/podman"),
    ),
    StockClient(
        name="crane",
        version=("version",),
        login=(("auth", "login", *_PASSWORD, "{host}"),),
        logout=("auth", "logout", "{host}"),
        push=(("push", "{folder}", "{reference}"),),
        pull=(("pull", "--format=oci", "{reference}", "{into}"),),
    ),
    StockClient(
        name="oras",
        version=("version",),
        login=(("login", "--plain-http", *_PASSWORD, "{host}"),),
        logout=("logout", "{host}"),
        push=(("cp", "--from-oci-layout", "{layout}", "--to-plain-http", "{reference}"),),
        pull=(("cp", "--from-plain-http", "{reference}", "--to-oci-layout", "{into}:pulled"),),
    ),
    StockClient(
        name="regctl",
        version=("version",),
        login=(
            _REGCTL_PLAIN,
            ("registry", "login", "--user={user}", "--pass-stdin", "{host}"),
        ),
        logout=("registry", "logout", "{host}"),
        push=(_REGCTL_PLAIN, ("image", "copy", "ocidir://{layout}", "{reference}")),
        pull=(_REGCTL_PLAIN, ("image", "copy", "{reference}", "ocidir://{into}:pulled")),
    ),
)
