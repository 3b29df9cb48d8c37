"""The main job, end to end, on this machine: `make demo`.

Three people meet at a hub: alice owns an organisation, carol is a member through a group, bob is a
stranger. Every line that begins with `$` is a real command on a real registry; each must end with
the exit code that is expected of it, else the demo fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import images  # noqa: E402  # needs the path above
from tests.tools import build  # noqa: E402  # as above

if TYPE_CHECKING:
    from collections.abc import Iterator

ORGANIZATION = """\
apiVersion: imagehub.sealos.io/v1
kind: Organization
metadata: {name: acme}
spec:
  name: acme
  creator: alice
  members:
  - {kind: Group, name: acme-readers, role: viewer}
"""
PUBLIC = """\
apiVersion: imagehub.sealos.io/v1
kind: Repository
metadata: {name: acme.hello}
spec: {name: acme/hello, isPrivate: false}
"""
REVIEW_SECONDS = 15.0  # decisions are cached for 5 to 10 seconds
SEALOSHUB = Path(sys.executable).with_name("sealoshub")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a home folder and a kubeconfig of his own."""

    name: str
    home: Path
    kubeconfig: Path

    def env(self) -> dict[str, str]:
        """Return the environment of this person's shell."""
        keep = ("PATH", "LANG", "SSL_CERT_FILE", "TERM")
        base = {key: os.environ[key] for key in keep if key in os.environ}
        own = {
            "HOME": str(self.home),
            "KUBECONFIG": str(self.kubeconfig),
            # Else all three would share the credential file of whoever runs the demo.
            "XDG_RUNTIME_DIR": str(self.home / "run"),
        }
        return base | own


class DemoFailedError(Exception):
    """A command did not end as it should."""


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def run(who: Person | None, *command: str | Path, expect: int | None = 0) -> str:
    """Run *command* as *who*, show it and its output, and check its exit code.

    Args:
        who: The person; None for the operator of the hub.
        command: Program and arguments.
        expect: The exit code; None for any but 0.

    Returns:
        Standard output and standard error together.

    Raises:
        DemoFailedError: Another exit code.
    """
    words = [str(word) for word in command]
    prompt = who.name if who else "operator"
    shown = shlex.join([Path(words[0]).name, *words[1:]])
    print(f"{prompt}$ {shown}", flush=True)
    done = subprocess.run(
        words,
        env=who.env() if who else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        print(f"    {line}")
    fine = done.returncode != 0 if expect is None else done.returncode == expect
    if done.returncode != 0:
        print(f"    (exit code {done.returncode})")
    if not fine:
        raise DemoFailedError(f"{shown} ended with {done.returncode}, expected {expect}")
    return done.stdout


@contextlib.contextmanager
def hub(data: Path) -> Iterator[str]:
    """Run a hub in *data* on free ports; yields `localhost:PORT`."""
    ports = ("--registry-port", "0", "--auth-port", "0", "--api-port", "0")
    print(f"operator$ sealoshub hub up --data {data} {' '.join(ports)}", flush=True)
    # Not captured: on a fresh machine this builds the registry and says so as it goes.
    done = subprocess.run(
        [SEALOSHUB, "hub", "up", "--data", data, *ports, "--output", "json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DemoFailedError(f"hub up ended with {done.returncode}: {done.stdout}")
    try:
        host: str = json.loads(done.stdout)["data"]["host"]
        yield host
    finally:
        run(None, SEALOSHUB, "hub", "down", "--data", data)


def person(name: str, folder: Path, data: Path, *groups: str) -> Person:
    """Make a user of the hub."""
    home = folder / name
    (home / "run").mkdir(parents=True, mode=0o700)
    file = home / "kubeconfig"
    flags = [word for group in groups for word in ("--group", group)]
    run(None, SEALOSHUB, "hub", "user", "add", name, *flags, "--data", data, "--out", file)
    return Person(name, home, file)


def until(who: Person, *command: str | Path) -> None:
    """Run *command* until it succeeds; show the last try."""
    deadline = time.monotonic() + REVIEW_SECONDS
    while time.monotonic() < deadline:
        words = [str(word) for word in command]
        done = subprocess.run(words, env=who.env(), capture_output=True, check=False)
        if done.returncode == 0:
            break
        time.sleep(0.5)
    run(who, *command)


def story(folder: Path, crane: Path) -> None:
    """Tell the whole story in *folder*."""
    data = folder / "hub"
    with hub(data) as host:
        say("Three people get a kubeconfig (with a cluster they would have one already)")
        alice = person("alice", folder, data)
        bob = person("bob", folder, data)
        carol = person("carol", folder, data, "acme-readers")
        image = f"{host}/acme/hello:v1"

        say("alice makes an organisation; the group acme-readers may pull")
        (alice.home / "acme.yaml").write_text(ORGANIZATION)
        run(alice, SEALOSHUB, "apply", "-f", alice.home / "acme.yaml", "--wait", "30s")

        say("alice logs in with her kubeconfig and pushes an image made of real files")
        files = {name: (ROOT / name).read_bytes() for name in ("README.md", "LICENSE")}
        files["metadata/config.yaml"] = images.METADATA
        images.oci_layout(alice.home / "hello", files=files)
        run(alice, SEALOSHUB, "login", host, "--kubeconfig")
        run(alice, SEALOSHUB, "whoami", host)
        run(alice, SEALOSHUB, "push", alice.home / "hello", image)

        say("The image is a Kubernetes resource now")
        show_resources(alice)

        say("carol is a member through her group: one login, then any client pulls")
        run(carol, SEALOSHUB, "login", host, "--kubeconfig")
        run(carol, crane, "pull", image, carol.home / "hello.tar")

        say("bob is known, but has no right here")
        run(bob, SEALOSHUB, "login", host, "--kubeconfig")
        run(bob, crane, "pull", image, bob.home / "hello.tar", expect=None)
        run(bob, SEALOSHUB, "push", alice.home / "hello", f"{host}/acme/hello:mine", expect=4)

        say("alice makes the repository public; bob may pull")
        (alice.home / "public.yaml").write_text(PUBLIC)
        run(alice, SEALOSHUB, "apply", "-f", alice.home / "public.yaml")
        until(bob, crane, "pull", image, bob.home / "hello.tar")

        say("That was the whole way. The hub stops now.")


def show_resources(who: Person) -> None:
    """Print the Image and Repository resources as *who* sees them."""
    from sealoshub.kube import kubeconfig  # noqa: PLC0415  # heavy
    from sealoshub.kube.cluster import Cluster  # noqa: PLC0415  # heavy

    credential = kubeconfig.credential([who.kubeconfig], None, interactive=False)
    deadline = time.monotonic() + REVIEW_SECONDS
    with Cluster.open(credential) as cluster:
        while not cluster.list("Repository") and time.monotonic() < deadline:
            time.sleep(0.1)
        found = [*cluster.list("Image"), *cluster.list("Repository")]
    for item in found:
        spec = item["spec"]
        rest = spec.get("digest") or f"isPrivate={spec.get('isPrivate', False)}"
        print(f"    {item['kind'].lower()}/{item['metadata']['name']}  {spec['name']}  {rest}")
    if {item["kind"] for item in found} != {"Image", "Repository"}:
        raise DemoFailedError("the Image and its Repository did not appear")


def main() -> int:
    """Run the demo and return its exit code."""
    started = time.monotonic()
    crane = build.find("crane", os.environ)
    if crane is None:
        print("demo: crane is missing; `make demo` builds it first", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="sealoshub-demo-") as folder:
        try:
            story(Path(folder), crane)
        except DemoFailedError as exc:
            print(f"\ndemo failed: {exc}", file=sys.stderr)
            return 1
    print(f"\ndemo passed in {time.monotonic() - started:.0f} s")
    print(
        "\nTo keep a hub running on this machine:\n"
        "    .venv/bin/sealoshub hub up        # starts it and prints what to try\n"
        "    .venv/bin/sealoshub hub status\n"
        "    .venv/bin/sealoshub hub down"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
