"""Pulling from the real registries: the same as other clients, through breaks, as who may."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.images import oci_layout, sha256
from tests.integration.clients import pulled_digest
from tests.integration.cutting_proxy import CuttingProxy, Rule
from tests.integration.people import SEALOSHUB
from tests.integration.servers.process import wait_until
from tests.integration.test_way_through import eventually, organization, set_private
from tests.signed_images import signed_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.images import Layout
    from tests.integration.hub import Hub
    from tests.integration.people import Person
    from tests.integration.servers.registry import RegistryServer

SECONDS: Final = 60.0  # for what takes one
MIB: Final = 1024 * 1024
HELD: Final = 3 * MIB + 7  # bytes of a blob that arrive before it is interrupted
ENDED: Final = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143}
DONE, NOT_LOGGED_IN, DENIED = 0, 3, 4


def blobs_of(layout: Path) -> dict[str, bytes]:
    """Return the blobs of a layout by name, and see that each is what it is called."""
    found = {file.name: file.read_bytes() for file in (layout / "blobs" / "sha256").iterdir()}
    assert all(sha256(content) == f"sha256:{name}" for name, content in found.items())
    return found


def large_blob(layout: Layout) -> tuple[str, int]:
    """Return the name and the size of the largest blob."""
    found = {name: len(content) for name, content in blobs_of(layout.path).items()}
    return max(found.items(), key=lambda item: item[1])


@pytest.fixture
def puller(new_person: Callable[[str, Path | None], Person]) -> Person:
    """Somebody who has no login."""
    return new_person("puller", None)


def push(person: Person, source: str | Path, reference: str) -> str:
    """Push an image; return its digest."""
    words = ("sealoshub", "push", "-q", source, reference, "--cr-option", "no")
    return person.run(*words, expect=DONE).stdout.strip().rpartition("@")[2]


def test_the_same_as_other_clients(
    open_registry: RegistryServer, puller: Person, unique: str, tmp_path: Path
) -> None:
    """What we pull is what crane and skopeo pull, and has the same digest when pushed again."""
    image = oci_layout(tmp_path / "image", platforms=("linux/amd64", "linux/arm64"), layers=2)
    reference = f"{open_registry.host}/pulls/{unique}:v1"
    push(puller, image.path, reference)
    ours = tmp_path / "ours"
    puller.run("sealoshub", "pull", reference, ours, expect=DONE)
    assert blobs_of(ours) == blobs_of(image.path)
    puller.run("crane", "pull", "--format=oci", reference, tmp_path / "crane", expect=DONE)
    assert blobs_of(tmp_path / "crane") == blobs_of(ours)
    words = ("copy", "--all", "--preserve-digests", "--src-tls-verify=false")
    skopeo = f"oci:{tmp_path / 'skopeo'}:v1"
    puller.run("skopeo", *words, f"docker://{reference}", skopeo, expect=DONE)
    assert blobs_of(tmp_path / "skopeo") == blobs_of(ours)
    # The other way round: what we wrote is read by them.
    copied = f"oci:{tmp_path / 'copied'}:v1"
    puller.run("skopeo", "copy", "--all", f"oci:{ours}:v1", copied, expect=DONE)
    assert blobs_of(tmp_path / "copied") == blobs_of(ours)
    archive = tmp_path / "app.tar"
    puller.run("sealoshub", "pull", reference, archive, expect=DONE)
    again = f"{open_registry.host}/pulls/{unique}-again"
    assert push(puller, f"oci:{ours}:v1", f"{again}:layout") == image.digest
    assert push(puller, archive, f"{again}:archive") == image.digest
    assert push(puller, f"docker://{reference}", f"{again}:copy") == image.digest


def test_a_docker_archive_is_loaded(
    open_registry: RegistryServer, puller: Person, unique: str, tmp_path: Path
) -> None:
    """A docker archive is read by skopeo and podman, and has the image ID that it should."""
    image = oci_layout(tmp_path / "image", platforms=("linux/amd64", "linux/arm64"), layers=2)
    reference = f"{open_registry.host}/pulls/{unique}:v1"
    push(puller, image.path, reference)
    archive = f"docker-archive:{tmp_path / 'app.tar'}"
    puller.run("sealoshub", "pull", reference, archive, "--platform", "linux/amd64", expect=DONE)
    manifest = json.loads(blobs_of(image.path)[image.manifests["linux/amd64"][7:]])
    wanted = manifest["config"]["digest"]
    puller.run("skopeo", "copy", archive, f"dir:{tmp_path / 'dir'}", expect=DONE)
    found = json.loads((tmp_path / "dir" / "manifest.json").read_text())
    assert found["config"]["digest"] == wanted
    assert len(found["layers"]) == len(manifest["layers"])
    home = puller.home
    podman = ("podman", f"--root={home}/s", f"--runroot={home}/run/s", "--storage-driver=vfs")
    puller.run(*podman, "load", "-q", "-i", tmp_path / "app.tar", expect=DONE)
    loaded = puller.run(*podman, "images", "--no-trunc", "--format={{.ID}} {{.Names}}", expect=DONE)
    assert loaded.stdout.strip() == f"{wanted} [{reference}]"


# ---------------------------------------------------------------------- what is interrupted


@contextmanager
def pulling(person: Person, *words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a pull in the background; it does not outlive the test."""
    # With a default signal: what runs in the background, as CI may, begins with SIGINT ignored.
    process = subprocess.Popen(
        ["env", "--default-signal=INT", SEALOSHUB, "pull", *map(str, words)],
        cwd=person.home,
        env=person.env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("signal_", "kind"),
    [(signal.SIGKILL, "oci"), (signal.SIGINT, "oci-archive"), (signal.SIGTERM, "oci")],
)
def test_interrupted(  # noqa: PLR0913, PLR0917  # fixtures and a table
    open_registry: RegistryServer,
    puller: Person,
    unique: str,
    tmp_path: Path,
    signal_: signal.Signals,
    kind: str,
) -> None:
    """After `kill -9`, Ctrl-C SIGTERM: the next pull fetches what is missing, no more."""
    image = oci_layout(tmp_path / "image", layer_bytes=6 * MIB)
    push(puller, image.path, f"{open_registry.host}/pulls/{unique}:v1")
    name, size = large_blob(image)
    target = tmp_path / "target"
    folder = tmp_path / ".target.partial" / "layout" if kind == "oci-archive" else target
    partial = folder / "blobs" / "sha256" / f".{name}.partial"
    with CuttingProxy(open_registry.host) as proxy:
        words = (f"{proxy.host}/pulls/{unique}:v1", f"{kind}:{target}", "--plain-http")
        rule = Rule("GET", f"/blobs/sha256:{name}", hold_answer=HELD)
        proxy.rules.append(rule)
        with pulling(puller, *words) as process:
            assert rule.held.wait(SECONDS)
            wait_until(
                lambda: partial.exists() and partial.stat().st_size == HELD,
                "what was sent to be written",
                SECONDS,
            )
            os.kill(process.pid, signal_)
            code = process.wait(SECONDS)
        assert code == ENDED[signal_]
        assert not (target / "index.json").exists()
        assert not target.is_file()
        rest = {blob for blob in image.blobs if not blob.endswith(name)}
        puller.run("sealoshub", "pull", *words, expect=DONE)
        assert proxy.downloaded(name) == size, "bytes were fetched twice"
        assert all(proxy.count("GET", f"/blobs/{blob}") <= 2 for blob in rest)
    assert not partial.exists()
    assert push(puller, target, f"{open_registry.host}/pulls/{unique}:again") == image.digest


def test_cut(open_registry: RegistryServer, puller: Person, unique: str, tmp_path: Path) -> None:
    """Cuts in the middle of a blob and a registry that is away for a moment cost no byte twice."""
    image = oci_layout(tmp_path / "image", layer_bytes=6 * MIB)
    push(puller, image.path, f"{open_registry.host}/pulls/{unique}:v1")
    name, size = large_blob(image)
    with CuttingProxy(open_registry.host) as proxy:
        proxy.rules += [
            Rule("GET", "/manifests/", status=503),
            Rule("GET", "/blobs/", refuse=True),
            Rule("GET", f"/blobs/sha256:{name}", cut_answer_at=2 * MIB),
            Rule("GET", f"/blobs/sha256:{name}", cut_answer_at=MIB),
            Rule("GET", f"/blobs/sha256:{name}", status=502),
        ]
        reference = f"{proxy.host}/pulls/{unique}:v1"
        puller.run("sealoshub", "pull", reference, tmp_path / "out", "--plain-http", expect=DONE)
        assert proxy.downloaded(name) == size
    assert blobs_of(tmp_path / "out") == blobs_of(image.path)


# ---------------------------------------------------------------------- who may


@pytest.mark.parametrize("hub", ["embedded-registry-2.8"], indirect=True, scope="session")
def test_who_may_pull(hub: Hub, unique: str, tmp_path: Path) -> None:
    """A member pulls, a stranger is denied, and a public repository is for everybody."""
    alice, bob = hub.user(f"alice-{unique}"), hub.user(f"bob-{unique}")
    carol, nobody = hub.user(f"carol-{unique}"), hub.user(f"nobody-{unique}")
    organization(alice, unique, members=[{"kind": "User", "name": carol.name, "role": "viewer"}])
    for person in (alice, bob, carol):
        person.run("sealoshub", "login", hub.host, "--kubeconfig", expect=DONE)
    image = oci_layout(tmp_path / "image")
    reference = f"{hub.host}/{unique}/app:v1"
    push(alice, image.path, reference)

    pulled = carol.run("sealoshub", "pull", reference, tmp_path / "carol", expect=DONE)
    assert pulled.stdout == f"{hub.host}/{unique}/app@{image.digest}\n"
    assert pulled_digest(tmp_path / "carol") == image.digest
    refused = bob.run("sealoshub", "pull", reference, tmp_path / "bob", expect=DENIED)
    assert bob.name in refused.stderr
    assert f"{unique}/app" in refused.stderr
    words = ("sealoshub", "pull", reference, tmp_path / "nobody")
    assert "sealoshub login" in nobody.run(*words, expect=NOT_LOGGED_IN).stderr
    assert not (tmp_path / "bob").exists()
    assert not (tmp_path / "nobody").exists()

    set_private(alice, f"{unique}/app", private=False)
    eventually(lambda: nobody.run(*words).returncode, DONE)
    assert pulled_digest(tmp_path / "nobody") == image.digest


@pytest.mark.parametrize("hub", ["kube-registry-3"], indirect=True, scope="session")
def test_copies_within_a_hub(hub: Hub, unique: str, tmp_path: Path) -> None:
    """A copy within a hub moves no blob, signatures included; who may not pull may not copy."""
    alice, bob = hub.user(f"alice-{unique}"), hub.user(f"bob-{unique}")
    organization(alice, unique)
    organization(bob, f"{unique}-b")
    for person in (alice, bob):
        person.run("sealoshub", "login", hub.host, "--kubeconfig", expect=DONE)
    image = signed_layout(tmp_path / "image")
    push(alice, image.path, f"{hub.host}/{unique}/app:v1")
    source = f"docker://{hub.host}/{unique}/app:v1"
    copy = f"{hub.host}/{unique}/copy:v1"
    words = ("sealoshub", "push", "--cr-option", "no", source)
    done = alice.run(*words, copy, "--output", "ndjson", expect=DONE)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    states = {event["state"] for event in events if event["event"] == "blob"}
    assert states == {"mounted"}
    assert events[-1]["uploaded"] == 0
    tags = {event["tag"] for event in events if event["event"] == "manifest"}
    assert tags == {"v1", None, *image.tags}
    assert alice.run("crane", "digest", copy, expect=DONE).stdout.strip() == image.digest
    refused = bob.run(*words, f"{hub.host}/{unique}-b/app:v1", expect=DENIED)
    assert bob.name in refused.stderr
