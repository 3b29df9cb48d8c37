"""A real docker engine and a real containerd against the hub, with both registries.

How the API server comes about makes no difference to them, so it is the embedded one.
"""

from __future__ import annotations

import json
import re
import tarfile
from typing import TYPE_CHECKING, Final

import pytest

from tests.docker_archives import SavedImage, legacy, plain_layer, write
from tests.images import oci_layout
from tests.integration.servers.engines import Containerd, DockerEngine, NoEngineError
from tests.integration.test_way_through import ACCEPTED, organization, token_of
from tests.real_servers import need

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.integration.hub import Hub
    from tests.integration.people import Person

BOTH: Final = pytest.mark.parametrize(
    "hub", ["embedded-registry-2.8", "embedded-registry-3"], indirect=True, scope="session"
)

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
IMAGES: Final = "images.imagehub.sealos.io"


@pytest.fixture(scope="session")
def engine(
    memory_folder: Path,
    server_env: Mapping[str, str],
    new_person: Callable[[str, Path | None], Person],
) -> Iterator[DockerEngine]:
    """Run a docker engine for all tests, if this machine lets it start and unpack a layer."""
    dockerd = need("dockerd")
    for name in ("containerd", "runc", "docker"):
        need(name)
    try:
        with DockerEngine(dockerd, memory_folder / "docker", server_env) as running:
            somebody = beside(new_person("engineer", None), running)
            done = load(somebody, "localhost:1/first/image:v1", somebody.home)
            if done.returncode != ACCEPTED:
                pytest.skip(f"the engine cannot unpack layers on this machine: {done.stderr}")
            yield running
    except NoEngineError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def containerd(memory_folder: Path, server_env: Mapping[str, str]) -> Iterator[Containerd]:
    """Run containerd for all tests."""
    binary = need("containerd")
    need("ctr")
    try:
        with Containerd(binary, memory_folder / "containerd", server_env) as running:
            yield running
    except NoEngineError as exc:
        pytest.skip(str(exc))


def beside(person: Person, engine: DockerEngine) -> Person:
    """Return *person* at the machine of *engine*."""
    return person.with_settings({"DOCKER_HOST": engine.host})


def load(person: Person, reference: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Load an image of three layers into the engine, named *reference*."""
    # No two tests share a layer: the engine remembers where it pushed one, and would mount it.
    layers = [plain_layer(f"{number} of {reference}") for number in range(3)]
    archive = write(folder / "image.tar", legacy([SavedImage(layers, names=(reference,))]))
    return person.run("docker", "load", "--input", archive)


def digest_in(output: str) -> str:
    """Return the only digest in *output*."""
    (found,) = set(DIGEST.findall(output))
    return str(found)


def stored_token(person: Person, host: str) -> str:
    """Return the refresh token that docker's file has for *host*."""
    config = json.loads((person.home / ".docker" / "config.json").read_text())
    token: str = config["auths"][host]["identitytoken"]
    return token


@BOTH
def test_a_docker_engine_pushes_mounts_and_pulls_after_our_login(
    hub: Hub, unique: str, tmp_path: Path, engine: DockerEngine
) -> None:
    """It sends the stored token by POST, with a second scope for layers of another repository."""
    alice = beside(hub.user(f"alice-{unique}"), engine)
    organization(alice, unique)
    alice.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    first, second = (f"{hub.host}/{unique}/{name}:v1" for name in ("app", "second"))
    load(alice, first, tmp_path).check_returncode()

    digest = digest_in(alice.run("docker", "push", first, expect=ACCEPTED).stdout)
    hub.wait_for(alice, IMAGES, f"{unique}.app.v1")
    spec = hub.get(alice, IMAGES, f"{unique}.app.v1")["spec"]
    assert (spec["name"], spec["digest"]) == (f"{unique}/app:v1", digest)

    alice.run("docker", "tag", first, second, expect=ACCEPTED)
    again = alice.run("docker", "push", second, expect=ACCEPTED).stdout
    assert again.count(f"Mounted from {unique}/app") == 3
    assert digest_in(again) == digest

    alice.run("docker", "rmi", first, second, expect=ACCEPTED)
    pulled = alice.run("docker", "pull", first, expect=ACCEPTED).stdout
    assert "Downloaded newer image" in pulled
    assert digest_in(pulled) == digest

    words = ("sealoshub", "push", "-q", "--cr-option", "no")
    saved = f"{hub.host}/{unique}/saved:v1"
    alice.run(*words, f"docker-daemon:{first}", saved, expect=ACCEPTED)
    alice.run("docker", "pull", saved, expect=ACCEPTED)
    named = ("docker", "inspect", "--format={{.Id}}")
    ids = [alice.run(*named, each, expect=ACCEPTED).stdout for each in (first, saved)]
    assert ids[0] == ids[1]


@BOTH
def test_a_docker_engine_logs_in_and_pulls_what_it_may(
    hub: Hub, unique: str, tmp_path: Path, engine: DockerEngine
) -> None:
    """The owner after a login of docker's own; others, logged in or not, neither pull nor push."""
    robot = beside(hub.robot(f"robot-{unique}"), engine)
    organization(robot, unique)
    login = ("docker", "login", hub.host, "--username=token", "--password-stdin")
    robot.run(*login, stdin=token_of(robot), expect=ACCEPTED)
    assert stored_token(robot, hub.host).startswith("shr_")
    reference, theirs = (f"{hub.host}/{unique}/{name}:v1" for name in ("app", "theirs"))
    load(robot, reference, tmp_path).check_returncode()
    robot.run("docker", "push", reference, expect=ACCEPTED)
    robot.run("docker", "tag", reference, theirs, expect=ACCEPTED)
    robot.run("docker", "rmi", reference, expect=ACCEPTED)

    bob, nobody = (beside(hub.user(f"{name}-{unique}"), engine) for name in ("bob", "nobody"))
    bob.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
    for person in (bob, nobody):
        pulled = person.run("docker", "pull", reference)
        pushed = person.run("docker", "push", theirs)
        assert "denied" in pulled.stderr, pulled
        assert "denied" in pushed.stderr, pushed
    assert robot.run("crane", "digest", theirs).returncode != ACCEPTED
    robot.run("docker", "pull", reference, expect=ACCEPTED)


@pytest.mark.parametrize(
    ("hub", "how"),
    [("embedded-registry-2.8", "--user"), ("embedded-registry-3", "--refresh")],
    indirect=["hub"],
    scope="session",
)
def test_ctr_pushes_and_fetches(
    hub: Hub, unique: str, tmp_path: Path, containerd: Containerd, how: str
) -> None:
    """With the stored token, or with it as password; containerd asks by POST, each scope twice."""
    alice, bob = hub.user(f"alice-{unique}"), hub.user(f"bob-{unique}")
    organization(alice, unique)
    secrets = {}
    for person in (alice, bob):
        person.run("sealoshub", "login", hub.host, "--kubeconfig", expect=ACCEPTED)
        token = stored_token(person, hub.host)
        secrets[person.name] = (how, f"{person.name}:{token}" if how == "--user" else token)
    image = oci_layout(tmp_path / "image")
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(image.path, arcname=".")
    repository = f"{hub.host}/{unique}/app"
    reference = f"{repository}:{image.tag}"
    ctr = ("ctr", "--address", containerd.address, "--namespace", unique)
    images = (*ctr, "images")
    imports = ("import", "--no-unpack", "--base-name", repository, archive)

    def remote(person: Person, *words: str) -> tuple[str | Path, ...]:
        return *ctr, *words, "--plain-http", *secrets[person.name], reference

    alice.run(*images, *imports, expect=ACCEPTED)
    for words in (("images", "push"), ("content", "fetch")):
        refused = bob.run(*remote(bob, *words))
        assert refused.returncode != ACCEPTED
        assert "authorization failed" in refused.stderr
    alice.run(*remote(alice, "images", "push"), expect=ACCEPTED)
    hub.wait_for(alice, IMAGES, f"{unique}.app.{image.tag}")
    assert hub.get(alice, IMAGES, f"{unique}.app.{image.tag}")["spec"]["digest"] == image.digest

    alice.run(*images, "remove", "--sync", reference, expect=ACCEPTED)
    alice.run(*remote(alice, "content", "fetch"), expect=ACCEPTED)
    listed = alice.run(*images, "list", expect=ACCEPTED).stdout
    assert digest_in(listed) == image.digest
