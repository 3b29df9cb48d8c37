"""The seven rules for credential files, held against what the stock clients really do.

The rules are those of docs/reference/credential-files.md. The registry is a fake one on a real
socket, because only it can say whose credential arrived; the clients are real.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.integration.readers import PREFIX, READERS, closed_registry, found_by_us, log_in, used_by
from tests.real_servers import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.clients import StockClient
    from tests.integration.people import Person
    from tests.unit.registry.fake_registry import FakeRegistry

RUN: Final = "run/containers/auth.json"
CONFIG: Final = ".config/containers/auth.json"
DOCKER: Final = ".docker/config.json"
DOCKERCFG: Final = ".dockercfg"
OTHER: Final = "other/auth.json"
OTHER_DOCKER: Final = "other/config.json"

HELPER: Final = """#!/bin/sh
# A credential helper that keeps carol's login for everybody.
test "$1" = list && exec echo '{"HOST": "carol"}'
test "$1" = get || exit 1
echo '{"ServerURL": "", "Username": "carol", "Secret": "shr_carol"}'
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Args:
        what: Name of the row.
        files: Content of each file, `HOST` for the registry's.
        login: Options of `sealoshub login` as dave, or None for no login.
        env: Variables, `HOME` for the home folder.
        authfile: File that is named on the command lines.
        ours: Whose login sealoshub uses; `-` for nobody's.
        containers: The same for skopeo, buildah and podman.
        skopeo: The same, if it differs.
        crane: The same.
        oras: The same.
        regctl: The same.
    """

    what: str
    files: dict[str, Any] = field(default_factory=dict)
    login: tuple[str, ...] | None = None
    env: dict[str, str] = field(default_factory=dict)
    authfile: str | None = None
    ours: str = "dave"
    containers: str = "dave"
    skopeo: str | None = None
    crane: str = "dave"
    oras: str = "dave"
    regctl: str = "dave"

    def expected(self) -> dict[str, str]:
        """Return whose login each reader uses."""
        return {
            "skopeo": self.skopeo or self.containers,
            "buildah": self.containers,
            "podman": self.containers,
            "crane": self.crane,
            "oras": self.oras,
            "regctl": self.regctl,
        }


def password(name: str) -> dict[str, str]:
    """Return the entry of a login with a password."""
    return {"auth": base64.b64encode(f"{name}:{PREFIX}{name}".encode()).decode()}


def token(name: str) -> dict[str, str]:
    """Return the entry of a login with a refresh token."""
    return {"auth": base64.b64encode(b"x:").decode(), "identitytoken": f"{PREFIX}{name}"}


def auths(entry: dict[str, str], key: str = "HOST") -> dict[str, Any]:
    """Return a file with one entry."""
    return {"auths": {key: entry}}


A, B = password("alice"), password("bob")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """Run a registry for the people of the table."""
    with closed_registry() as running:
        yield running


def put(person: Person, row: Row, host: str) -> None:
    """Write the files of *row*."""
    for name, body in row.files.items():
        file = person.home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(body).replace("HOST", host))
        file.chmod(0o600)


def check(person: Person, row: Row, registry: FakeRegistry) -> None:
    """Compare whose login everybody uses with the expectation of *row*."""
    for reader in READERS:
        need(reader.name)
    env = {
        name: value.replace("HOME", str(person.home)).replace("HOST", registry.host)
        for name, value in row.env.items()
    }
    helper = person.home / "bin" / "docker-credential-carol"
    helper.parent.mkdir()
    helper.write_text(HELPER.replace("HOST", registry.host))
    helper.chmod(0o700)
    env["PATH"] = f"{helper.parent}:{person.path}"
    put(person, row, registry.host)
    authfile = person.home / row.authfile if row.authfile else None
    if row.login is not None:
        named = ["--authfile", str(authfile)] if authfile else []
        person.run(
            "sealoshub", "login", registry.host, "-u", "dave", "--password-stdin", *row.login,
            *named, env=env, stdin="shr_dave", expect=0,
        )  # fmt: skip
    assert found_by_us(person, registry, env, authfile)[0] == row.ours
    found = {r.name: used_by(r, person, registry, env, authfile) for r in READERS}
    assert found == row.expected()


# ---------------------------------------------------------------- after our login

LOGINS: Final = (
    Row("no option", login=()),
    Row("--persist", login=("--persist",)),
    # crane reads an auth.json if there is no config.json; oras and regctl never do.
    Row("--compat containers", login=("--compat", "containers"), oras="-", regctl="-"),
    Row("--compat docker", login=("--compat", "docker")),
    Row("DOCKER_CONFIG", login=(), env={"DOCKER_CONFIG": "HOME/other"}),
    Row(
        "REGISTRY_AUTH_FILE",
        login=(),
        env={"REGISTRY_AUTH_FILE": f"HOME/{OTHER}"},
        oras="-",
        regctl="-",
    ),
    # crane and regctl have no option for it.
    Row("--authfile", login=(), authfile=OTHER, crane="-", regctl="-"),
    Row("--authfile config.json", login=(), authfile=OTHER_DOCKER, crane="-", regctl="-"),
    Row("--store helper", login=("--store", "helper")),
    Row("--store helper, --persist", login=("--store", "helper", "--persist")),
    Row("--store helper, --compat docker", login=("--store", "helper", "--compat", "docker")),
    Row(
        "--store helper, DOCKER_CONFIG",
        login=("--store", "helper"),
        env={"DOCKER_CONFIG": "HOME/other"},
    ),
    Row(
        "--store helper, --authfile",
        login=("--store", "helper"),
        authfile=OTHER,
        crane="-",
        regctl="-",
    ),
    Row("over older logins", {RUN: auths(A), CONFIG: auths(A), DOCKER: auths(B)}, login=()),
    Row(
        "over older logins, --store helper",
        {RUN: auths(A), CONFIG: auths(A), DOCKER: auths(B), DOCKERCFG: {"HOST": A}},
        login=("--store", "helper"),
    ),
)


@pytest.mark.parametrize("row", LOGINS, ids=lambda row: row.what)
def test_after_our_login(somebody: Person, registry: FakeRegistry, row: Row) -> None:
    """Each client uses our login, from each place that we may write to and it reads."""
    check(somebody, row, registry)


# ---------------------------------------------------------------- the same files, everybody

FILES: Final = (
    # 1. one file that is named
    Row(
        "1 a named file hides all others",
        {OTHER: auths(A), RUN: auths(B), DOCKER: auths(B)},
        authfile=OTHER,
        ours="alice", containers="alice", oras="alice", crane="bob", regctl="bob",
    ),
    Row(
        "1 REGISTRY_AUTH_FILE hides all others",
        {OTHER: auths(A), RUN: auths(B), DOCKER: auths(B)},
        env={"REGISTRY_AUTH_FILE": f"HOME/{OTHER}"},
        ours="alice", containers="alice", crane="bob", oras="bob", regctl="bob",
    ),
    # 2. DOCKER_CONFIG
    Row(
        "2 DOCKER_CONFIG hides all others",
        {OTHER_DOCKER: auths(A), RUN: auths(B), DOCKER: auths(B)},
        env={"DOCKER_CONFIG": "HOME/other"},
        # skopeo reads an auth.json first all the same.
        ours="alice", containers="alice", skopeo="bob", crane="alice", oras="alice", regctl="alice",
    ),
    # 3. the order
    Row(
        "3 the runtime folder first",
        {RUN: auths(A), CONFIG: auths(B), DOCKER: auths(B)},
        ours="alice", containers="alice", crane="bob", oras="bob", regctl="bob",
    ),
    Row(
        "3 the configuration folder next",
        {CONFIG: auths(A), DOCKER: auths(B)},
        ours="alice", containers="alice", crane="bob", oras="bob", regctl="bob",
    ),
    Row(
        "3 then docker",
        {DOCKER: auths(A), DOCKERCFG: {"HOST": B}},
        ours="alice", containers="alice", crane="alice", oras="alice", regctl="alice",
    ),
    Row(
        "3 dockercfg last",
        {DOCKERCFG: {"HOST": A}},
        ours="alice", containers="alice", crane="-", oras="-", regctl="-",
    ),
    Row(
        "3 an entry without anything is none",
        {RUN: auths({}), DOCKER: auths(A)},
        ours="alice", containers="alice", crane="alice", oras="alice", regctl="alice",
    ),
    # 4. within one file
    Row(
        "4 the most specific key of an auth.json",
        {RUN: {"auths": {"HOST": A, "HOST/org": B, "HOST/org/other": A}}},
        ours="bob", containers="bob", crane="alice", oras="-", regctl="-",
    ),
    Row(
        "4 the whole repository",
        {RUN: {"auths": {"HOST": A, "HOST/org": A, "HOST/org/app": B}}},
        ours="bob", containers="bob", crane="bob", oras="-", regctl="-",
    ),
    Row(
        "4 a key with scheme and path",
        {DOCKER: auths(A, "http://HOST/v2/")},
        ours="alice", containers="alice", crane="alice", oras="alice", regctl="-",
    ),
    Row(
        "4 credHelpers before entries",
        {DOCKER: {"credHelpers": {"HOST": "carol"}, "auths": {"HOST": A}}},
        ours="carol", containers="carol", crane="carol", oras="carol", regctl="carol",
    ),
    Row(
        "4 credHelpers in an auth.json",
        {RUN: {"credHelpers": {"HOST": "carol"}, "auths": {"HOST": A}}, DOCKER: auths(B)},
        ours="carol", containers="carol", crane="bob", oras="bob", regctl="bob",
    ),
    Row(
        "4 credsStore, which containers/image does not know",
        {DOCKER: {"credsStore": "carol"}},
        ours="carol", containers="-", crane="carol", oras="carol", regctl="carol",
    ),
    # 5. how an entry is written
    Row(
        "5 a refresh token",
        {RUN: auths(token("alice")), DOCKER: auths(token("bob"))},
        ours="alice", containers="alice", crane="bob", oras="bob", regctl="bob",
    ),
    Row(
        "5 DOCKER_AUTH_CONFIG first",
        {RUN: auths(A), DOCKER: auths(A)},
        env={"DOCKER_AUTH_CONFIG": json.dumps(auths(B))},
        ours="bob", containers="alice", crane="bob", oras="alice", regctl="bob",
    ),
    # 7. a helper that is missing
    Row(
        "7 a missing helper does not stop a reader",
        {RUN: {"credHelpers": {"HOST": "gone"}}, DOCKER: auths(A)},
        ours="alice", containers="-", crane="alice", oras="alice", regctl="alice",
    ),
)  # fmt: skip


@pytest.mark.parametrize("row", FILES, ids=lambda row: row.what)
def test_reading(somebody: Person, registry: FakeRegistry, row: Row) -> None:
    """We read a file as the clients that own its format do."""
    check(somebody, row, registry)


# ---------------------------------------------------------------- after their login

# How they write, and where we find it. With REGISTRY_AUTH_FILE or DOCKER_CONFIG we read one file
# only, as the rules say; those who do not know the variable write another one.
THEIRS: Final = {
    "nothing set": {
        **dict.fromkeys(("skopeo", "buildah", "podman"), RUN),
        **dict.fromkeys(("docker", "crane", "oras"), DOCKER),
        "regctl": "",  # its own file, which only it reads
    },
    f"REGISTRY_AUTH_FILE=HOME/{OTHER}": {
        **dict.fromkeys(("skopeo", "buildah", "podman"), OTHER),
        **dict.fromkeys(("docker", "crane", "oras", "regctl"), ""),
    },
    "DOCKER_CONFIG=HOME/other": {
        **dict.fromkeys(("skopeo", "buildah", "podman", "docker", "crane", "oras"), OTHER_DOCKER),
        "regctl": "",
    },
}


@pytest.mark.parametrize("setting", THEIRS)
def test_after_their_login(
    somebody: Person, registry: FakeRegistry, client: StockClient, setting: str
) -> None:
    """We use the login of each client, from where it wrote it."""
    name, _, value = setting.partition("=")
    env = {name: value.replace("HOME", str(somebody.home))} if value else {}
    log_in(client, somebody, registry, "dave", env)
    location = THEIRS[setting][client.name]
    found = ("dave", location) if location else ("-", "")
    assert found_by_us(somebody, registry, env) == found


def test_their_login_behind_our_helper(
    somebody: Person, registry: FakeRegistry, client: StockClient
) -> None:
    """After `login --store helper`, what another client stores for the host goes to our helper."""
    # A password, because skopeo, buildah and podman refuse to log in over a refresh token.
    somebody.run(
        "sealoshub", "login", registry.host, "-u", "alice", "--password-stdin", "--no-exchange",
        "--store", "helper", stdin="shr_alice", expect=0,
    )  # fmt: skip
    log_in(client, somebody, registry, "dave")
    who = "alice" if client.name == "regctl" else "dave"  # regctl has a file of its own
    location = "docker-credential-sealoshub (.local/share/sealoshub/credentials.json)"
    assert found_by_us(somebody, registry) == (who, location)
    for name in (RUN, DOCKER):
        assert "shr_" not in (somebody.home / name).read_text()
        assert password("dave")["auth"] not in (somebody.home / name).read_text()
    if client.name != "regctl":
        used = {reader.name: used_by(reader, somebody, registry) for reader in READERS}
        assert used == dict.fromkeys(used, "dave")
    logout = [word.format(host=registry.host) for word in client.logout]
    options = [word.format(home=somebody.home) for word in client.options]
    somebody.run(client.name, *options, *logout, expect=0)
    assert found_by_us(somebody, registry)[0] == ("alice" if client.name == "regctl" else "-")
