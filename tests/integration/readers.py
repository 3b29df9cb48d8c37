"""Stock clients that ask a registry for one image: whose login do they use?"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealoshub import credentials
from tests.images import CONFIG_TYPE, MANIFEST_TYPE
from tests.integration.clients import CLIENTS
from tests.unit.registry.fake_registry import FakeRegistry, Knobs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.integration.clients import StockClient
    from tests.integration.people import Person

    Words = tuple[str, ...]

REPOSITORY: Final = "org/app"
# Somebody's secret is his name with this before it; as a password, and as a refresh token.
PREFIX: Final = "shr_"
# The registry gives refresh tokens for the first.
PEOPLE: Final = ("dave", "alice", "bob", "carol")


@dataclass(frozen=True, slots=True)
class Reader:
    """A client that reads one image, or its manifest.

    Args:
        name: Name of the program.
        read: Its words; may hold `{host}`, `{reference}` and `{home}`. Options come before the
            last one.
        before: Words of a command that must come first.
        authfile: The option that names a credential file; empty if there is none.
        options: Words before those of every command.
    """

    name: str
    read: Words
    before: Words = ()
    authfile: str = ""
    options: Words = ()

    def run(
        self, person: Person, host: str, env: Mapping[str, str], authfile: Path | None = None
    ) -> bool:
        """Ask *host* for the image; return whether it was given."""
        words = {
            "home": str(person.home),
            "host": host,
            "reference": f"{host}/{REPOSITORY}:v1",
        }
        named = (f"{self.authfile}={authfile}",) if authfile and self.authfile else ()
        commands = [
            command
            for command in (self.before, (*self.read[:-1], *named, self.read[-1]))
            if command
        ]
        return all(
            person.run(
                self.name, *(word.format(**words) for word in (*self.options, *command)), env=env
            ).returncode
            == 0
            for command in commands
        )


_OPTIONS: Final = {client.name: client.options for client in CLIENTS}
_PULL: Final = ("pull", "--quiet", "--tls-verify=false", "docker://{reference}")

READERS: Final = (
    Reader(
        "skopeo",
        ("inspect", "--raw", "--tls-verify=false", "docker://{reference}"),
        authfile="--authfile",
    ),
    Reader("buildah", _PULL, authfile="--authfile", options=_OPTIONS["buildah"]),
    Reader("podman", _PULL, authfile="--authfile", options=_OPTIONS["podman"]),
    Reader("crane", ("manifest", "{reference}")),
    Reader(
        "oras", ("manifest", "fetch", "--plain-http", "{reference}"), authfile="--registry-config"
    ),
    Reader(
        "regctl",
        ("manifest", "get", "--format=raw-body", "{reference}"),
        before=("registry", "set", "{host}", "--tls=disabled", "--skip-check"),
    ),
)


def closed_registry() -> FakeRegistry:
    """Return a registry that shows its one image to PEOPLE only."""
    knobs = Knobs(
        auth="bearer",
        users={name: f"{PREFIX}{name}" for name in PEOPLE},
        refresh={f"{PREFIX}{name}": name for name in PEOPLE},
    )
    registry = FakeRegistry(knobs)
    rootfs = {"type": "layers", "diff_ids": []}
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest, "size": len(config)},
        "layers": [],
    }
    registry.blobs[REPOSITORY] = {digest: config}
    registry.manifests[REPOSITORY] = {"v1": (MANIFEST_TYPE, json.dumps(manifest).encode())}
    return registry


def used_by(
    reader: Reader,
    person: Person,
    registry: FakeRegistry,
    env: Mapping[str, str] | None = None,
    authfile: Path | None = None,
) -> str:
    """Let *reader* ask *registry*; return whose login it used, or `-` if it was refused."""
    registry.tokens.clear()
    if not reader.run(person, registry.host, env or {}, authfile):
        return "-"
    accounts = {token["account"] for token in registry.tokens.values() if token["granted"]}
    return "+".join(sorted(accounts))


def found_by_us(
    person: Person,
    registry: FakeRegistry,
    env: Mapping[str, str] | None = None,
    authfile: Path | None = None,
) -> tuple[str, str]:
    """Return whose login sealoshub uses for the same, or `-` if it finds none, and where it lies.

    A place in the home folder is given relative to it.
    """
    places = credentials.locate(
        person.env(env), person.home, uid=os.getuid(), authfile=authfile, platform="linux"
    )
    found = credentials.find(registry.host, REPOSITORY, places=places)
    if found is None:
        return "-", ""
    location = found.location.replace(f"{person.home}/", "")
    return found.secret.reveal().removeprefix(PREFIX), location


def log_in(
    client: StockClient,
    person: Person,
    registry: FakeRegistry,
    name: str,
    env: Mapping[str, str] | None = None,
) -> None:
    """Let *client* log in as *name*, with the password of *name*."""
    words = {"home": str(person.home), "host": registry.host, "user": name}
    for number, command in enumerate(client.login, start=1):
        filled = [word.format(**words) for word in (*client.options, *command)]
        secret = f"{PREFIX}{name}" if number == len(client.login) else None
        person.run(client.name, *filled, env=env, stdin=secret, expect=0)
