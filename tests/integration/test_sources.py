"""Images as skopeo, crane, buildah and podman keep them, pushed to the real registries.

What is pulled back must unpack to the same layers, with the same configuration; the second push
must send nothing and compress nothing.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from sealoshub.errors import ContentRefusedError
from sealoshub.reference import Reference
from sealoshub.registry.client import Client
from sealoshub.registry.expand import Expanded, compression_of
from sealoshub.registry.metadata import read_metadata
from sealoshub.registry.push import push
from sealoshub.registry.source import find_local, open_image
from tests.images import METADATA, README, oci_layout
from tests.integration.people import CONTAINERS_CONF
from tests.unit.registry.fake_engine import FakeEngine
from tests.unit.registry.test_recompress import everything
from tests.unit.registry.test_source import Builder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sealoshub.registry.push_events import PushResult
    from tests.images import Layout
    from tests.integration.people import Person
    from tests.integration.servers.registry import RegistryServer

SEED: Final = 4711
NAME: Final = "localhost/small:v1"


@pytest.fixture(scope="session")
def image(memory_folder: Path) -> Layout:
    """The image that all the others are made of."""
    return oci_layout(memory_folder / "sources", seed=SEED, layers=2, layer_bytes=200_000)


@pytest.fixture
def keeper(somebody: Person) -> Person:
    """Somebody with a storage for buildah and podman of his own."""
    home = somebody.home
    storage = home / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{home}/storage"\nrunroot = "{home}/run/storage"\n'
    )
    engine = home / "containers.conf"
    engine.write_text(f'{CONTAINERS_CONF}tmp_dir = "{home}/run/podman"\n')
    return somebody.with_settings(
        {"CONTAINERS_STORAGE_CONF": str(storage), "CONTAINERS_CONF": str(engine)}
    )


@dataclass(frozen=True, slots=True)
class Bench:
    """What a test pushes, as whom, and where to.

    Args:
        host: Of the registry.
        keeper: Somebody with a storage.
        image: What is pushed.
        folder: Empty.
        target: Nobody else's reference.
    """

    host: str
    keeper: Person
    image: Layout
    folder: Path
    target: str

    @property
    def expected(self) -> tuple[bytes, list[bytes]]:
        """Configuration and uncompressed layers of the image."""
        manifest = json.loads(blob_of(self.image.path, self.image.digest))
        layers = [unpacked(blob_of(self.image.path, each["digest"])) for each in manifest["layers"]]
        return blob_of(self.image.path, manifest["config"]["digest"]), layers


@pytest.fixture
def bench(
    open_registry: RegistryServer, keeper: Person, image: Layout, unique: str, tmp_path: Path
) -> Bench:
    """Return the place of a test."""
    target = f"{open_registry.host}/{unique}/app:v1"
    return Bench(open_registry.host, keeper, image, tmp_path, target)


def need(*programs: str) -> None:
    """Skip the test where a program of the distribution is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}")


def stored(bench: Bench) -> None:
    """Put the image into the storage."""
    source = f"oci:{bench.image.path}:{bench.image.tag}"
    pulled = bench.keeper.run("buildah", "pull", "--quiet", source, expect=0)
    bench.keeper.run("buildah", "tag", pulled.stdout.strip(), NAME, expect=0)


# ---------------------------------------------------------------------- making sources


def skopeo_docker_archive(bench: Bench) -> str:
    """Let skopeo write a docker archive."""
    into = f"docker-archive:{bench.folder}/a.tar:{NAME}"
    bench.keeper.run(
        "skopeo", "copy", "--quiet", f"oci:{bench.image.path}:{bench.image.tag}", into, expect=0
    )
    return f"docker-archive:{bench.folder}/a.tar:{NAME}"


def gzipped_docker_archive(bench: Bench) -> str:
    """Compress such an archive."""
    skopeo_docker_archive(bench)
    (bench.folder / "a.tar.gz").write_bytes(gzip.compress((bench.folder / "a.tar").read_bytes()))
    return f"{bench.folder}/a.tar.gz"


def skopeo_oci_archive(bench: Bench) -> str:
    """Let skopeo write an OCI archive."""
    into = f"oci-archive:{bench.folder}/a.tar:v9"
    bench.keeper.run(
        "skopeo", "copy", "--quiet", f"oci:{bench.image.path}:{bench.image.tag}", into, expect=0
    )
    return f"{bench.folder}/a.tar:v9"


def skopeo_dir(bench: Bench) -> str:
    """Let skopeo write a `dir:`."""
    into = f"dir:{bench.folder}/d"
    bench.keeper.run(
        "skopeo", "copy", "--quiet", f"oci:{bench.image.path}:{bench.image.tag}", into, expect=0
    )
    return f"{bench.folder}/d"


def buildah_docker_archive(bench: Bench) -> str:
    """Let buildah write a docker archive from its storage."""
    stored(bench)
    bench.keeper.run(
        "buildah", "push", "--quiet", NAME, f"docker-archive:{bench.folder}/a.tar:{NAME}", expect=0
    )
    return f"{bench.folder}/a.tar"


def podman_save(bench: Bench) -> str:
    """Let podman save several images into one archive."""
    stored(bench)
    bench.keeper.run("podman", "tag", NAME, "localhost/another:v2", expect=0)
    archive = bench.folder / "a.tar"
    bench.keeper.run(
        "podman", "save", "-q", "-m", "-o", archive, NAME, "localhost/another:v2", expect=0
    )
    return f"{archive}:localhost/another:v2"


def podman_dir(bench: Bench) -> str:
    """Let podman save a directory, whose plain layers it calls compressed."""
    stored(bench)
    bench.keeper.run(
        "podman", "save", "-q", "--format=oci-dir", "-o", bench.folder / "o", NAME, expect=0
    )
    bench.keeper.run("podman", "push", "-q", NAME, f"dir:{bench.folder}/d", expect=0)
    return f"dir:{bench.folder}/d"


def containers_storage(bench: Bench) -> str:
    """Leave the image in the storage."""
    stored(bench)
    return f"containers-storage:{NAME}"


SOURCES: Final[Mapping[str, tuple[Callable[[Bench], str], Sequence[str]]]] = {
    "docker-archive of skopeo": (skopeo_docker_archive, ["skopeo"]),
    "docker-archive in gzip": (gzipped_docker_archive, ["skopeo"]),
    "oci-archive of skopeo": (skopeo_oci_archive, ["skopeo"]),
    "dir of skopeo": (skopeo_dir, ["skopeo"]),
    "docker-archive of buildah": (buildah_docker_archive, ["buildah"]),
    "several images of podman": (podman_save, ["buildah", "podman"]),
    "dir of podman": (podman_dir, ["buildah", "podman"]),
    "containers-storage": (containers_storage, ["buildah"]),
}


# ---------------------------------------------------------------------- looking at what arrived


def blob_of(layout: Path, digest: str) -> bytes:
    """Return a blob of a layout."""
    return (layout / "blobs" / digest.replace(":", "/")).read_bytes()


def unpacked(content: bytes) -> bytes:
    """Return what a blob unpacks to, by our own reader."""
    stream = Expanded(io.BytesIO(content), compression_of(content[:6]), len(content))
    return b"".join(iter(lambda: stream.read(1 << 20), b""))


def pulled_by_crane(bench: Bench) -> tuple[bytes, list[bytes]]:
    """Let crane pull; return configuration and uncompressed layers."""
    into = bench.folder / "crane"
    bench.keeper.run("crane", "pull", "--format=oci", bench.target, into, expect=0)
    digest = json.loads((into / "index.json").read_text())["manifests"][0]["digest"]
    manifest: Any = json.loads(blob_of(into, digest))
    layers = [unpacked(blob_of(into, layer["digest"])) for layer in manifest["layers"]]
    return blob_of(into, manifest["config"]["digest"]), layers


def pulled_by_skopeo(bench: Bench) -> tuple[bytes, list[bytes]]:
    """Let skopeo pull into a docker archive, for which it unpacks the layers itself."""
    archive = f"docker-archive:{bench.folder}/skopeo.tar"
    words = ("copy", "--quiet", "--src-tls-verify=false", f"docker://{bench.target}", archive)
    bench.keeper.run("skopeo", *words, expect=0)
    return read_plain(archive, bench.keeper)


def read_plain(source: str, keeper: Person) -> tuple[bytes, list[bytes]]:
    """Return configuration and layers of a source whose layers are not compressed."""
    with open_image(source, compression="none", env=keeper.env()) as image:
        assert image.root.config is not None
        blobs = {blob.digest: blob for blob in image.blobs}
        layers = [blobs[layer.digest].content() for layer in image.root.layers]
        return blobs[image.root.config.digest].content(), layers


def pushed(
    bench: Bench, source: str, target: str | None = None, compression: str | None = None
) -> tuple[PushResult, bool]:
    """Push in this process; return also whether anything was compressed."""
    client = Client(bench.host, None, plain_http=True)
    env = bench.keeper.env()
    with client, open_image(source, env=env, compression=compression) as image:
        metadata = read_metadata(image)
        result = push(client, image, Reference.parse(target or bench.target))
        assert (metadata.config_yaml, metadata.readme) == (METADATA, README)
        return result, any(pending.is_ready for pending in image.pending)


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source(bench: Bench, kind: str) -> None:
    """Pushed, pulled back by crane and skopeo, the same; pushed again, nothing is done."""
    make, programs = SOURCES[kind]
    need(*programs, "skopeo")
    source = make(bench)
    first, _ = pushed(bench, source)
    assert first.uploaded
    # Crane unpacks the layers, and compares each with its `diff_id`.
    bench.keeper.run("crane", "validate", "--remote", bench.target, expect=0)
    assert pulled_by_crane(bench) == bench.expected
    assert pulled_by_skopeo(bench) == bench.expected
    second, worked = pushed(bench, source)
    assert (second.digest, second.uploaded, worked) == (first.digest, 0, False)


def test_archive_of_crane(bench: Bench) -> None:
    """What crane pulled goes back to the blobs that it came from: its layers stay compressed."""
    pushed(bench, str(bench.image.path))
    bench.keeper.run("crane", "pull", bench.target, bench.folder / "a.tar", expect=0)
    after, _ = pushed(bench, f"{bench.folder}/a.tar", f"{bench.target}-again")
    assert after.uploaded == 0
    before, now = (
        json.loads(bench.keeper.run("crane", "manifest", target, expect=0).stdout)
        for target in (bench.target, f"{bench.target}-again")
    )
    assert [each["digest"] for each in before["layers"]] == [
        each["digest"] for each in now["layers"]
    ]
    assert before["config"]["digest"] == now["config"]["digest"]


def test_zstd(bench: Bench) -> None:
    """Layers in Zstandard are read by crane, skopeo and buildah, which unpacks and compares."""
    need("skopeo", "buildah")
    pushed(bench, skopeo_docker_archive(bench), compression="zstd")
    assert pulled_by_crane(bench) == bench.expected
    options = (
        "--src-tls-verify=false",
        f"docker://{bench.target}",
        f"oci:{bench.folder}/skopeo:v1",
    )
    bench.keeper.run("skopeo", "copy", "--quiet", *options, expect=0)
    words = ("pull", "--quiet", "--tls-verify=false", f"docker://{bench.target}")
    pulled = bench.keeper.run("buildah", *words, expect=0).stdout.strip()
    assert read_plain(f"containers-storage:{pulled}", bench.keeper) == bench.expected


def test_everything_that_goes_along(bench: Bench) -> None:
    """An index of platforms with an attestation and a signature arrives whole."""
    path = everything(Builder(bench.folder / "layout"), with_foreign=False)
    with Client(bench.host, None, plain_http=True) as client, open_image(path) as image:
        for uploaded in (True, False):
            result = push(client, image, Reference.parse(bench.target))
            assert bool(result.uploaded) is uploaded
        signature = image.manifests[0].descriptor.digest
        for manifest in image.manifests:
            name = f"{bench.target.removesuffix(':v1')}@{manifest.descriptor.digest}"
            found = bench.keeper.run("crane", "manifest", name, expect=0).stdout
            assert found.encode() == manifest.content
        digest = image.root.descriptor.digest.text
    assert bench.keeper.run("crane", "digest", bench.target, expect=0).stdout.strip() == digest
    # Neither registry has a referrers API; oras finds what we have listed instead.
    words = ("oras", "discover", "--plain-http", "--format=json", bench.target)
    assert signature.text in bench.keeper.run(*words, expect=0).stdout


def test_foreign_layer(bench: Bench) -> None:
    """A layer from elsewhere, which both registries refuse with 500, is not tried for minutes."""
    path = everything(Builder(bench.folder / "layout"))
    with (
        Client(bench.host, None, plain_http=True) as client,
        open_image(path) as image,
        pytest.raises(ContentRefusedError) as caught,
    ):
        push(client, image, Reference.parse(bench.target))
    assert caught.value.hint is not None
    assert "distributed elsewhere" in caught.value.hint


def test_running_docker(bench: Bench) -> None:
    """What `docker save` streams is pushed; with only a reference docker is asked for it."""
    need("skopeo")
    skopeo_docker_archive(bench)
    with FakeEngine() as engine:
        engine.images = {bench.target: (bench.folder / "a.tar").read_bytes()}
        docker = replace(bench, keeper=bench.keeper.with_settings(engine.env))
        first, _ = pushed(docker, f"docker-daemon:{bench.target}")
        # Without a program that knows the storage: that half is tested below.
        env = docker.keeper.env() | {"PATH": "/nonexistent"}
        with find_local(bench.target, env=env) as found:
            assert found.root.descriptor.digest == first.digest
    assert pulled_by_crane(bench) == bench.expected


def test_only_a_reference(bench: Bench) -> None:
    """An image that was built under the name of its target needs no source."""
    need("buildah")
    stored(bench)
    bench.keeper.run("buildah", "tag", NAME, bench.target, expect=0)
    words = ("--cr-option", "no", "--plain-http")
    printed = bench.keeper.run("sealoshub", "push", bench.target, *words, expect=0).stdout.strip()
    digest = bench.keeper.run("crane", "digest", bench.target, expect=0).stdout.strip()
    assert printed == f"{bench.target.removesuffix(':v1')}@{digest}"
    nobody = bench.keeper.with_settings({"DOCKER_HOST": f"unix://{bench.folder}/docker.sock"})
    missing = nobody.run("sealoshub", "push", f"{bench.target}2", *words, expect=5)
    assert "containers-storage has no image" in missing.stderr
    assert "no docker is running" in missing.stderr
