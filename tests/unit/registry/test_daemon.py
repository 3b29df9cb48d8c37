"""Images of a running docker, from a fake Engine API that serves real `docker save` streams."""

from __future__ import annotations

import random
import socket
import tempfile
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import (
    DeniedError,
    InvalidInputError,
    NotFoundError,
    SealosHubError,
    UnavailableError,
)
from sealoshub.registry import daemon
from sealoshub.registry.metadata import read_metadata
from sealoshub.registry.source import find_local, open_image
from tests.docker_archives import CLUSTER, SavedImage, legacy, modern
from tests.images import README, layer_tar
from tests.unit.registry.fake_engine import FakeEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "hub.example.com/org/app:v1"
NOISE = layer_tar({"noise": random.Random(0).randbytes(300_000)})  # noqa: S311  # content, no secret
SAVED = SavedImage([NOISE, CLUSTER], [NAME])


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    """A docker with two images."""
    with FakeEngine() as fake:
        fake.images = {NAME: legacy([SAVED]), "sha256:1f": modern(SAVED)}
        yield fake


@pytest.mark.parametrize("name", [NAME, "sha256:1f"])
def test_image(engine: FakeEngine, name: str) -> None:
    """The stream of `docker save`, old and new, is read like the file."""
    with open_image(f"docker-daemon:{name}", env=engine.env) as image:
        assert image.name == f"docker-daemon:{name}"
        assert image.names == (NAME,)
        assert read_metadata(image).readme == README
        assert [layer.media_type[-4:] for layer in image.root.layers] == ["gzip", "gzip"]
    assert engine.asked == [f"/images/{name}/json", f"/images/{name}/get"]


def test_nothing_is_left(engine: FakeEngine, tmp_path: Path) -> None:
    """The copy has no name and no room once the image is closed."""
    folder = tmp_path / "large"
    folder.mkdir()
    with open_image(f"docker-daemon:{NAME}", env=engine.env | {"TMPDIR": str(folder)}) as image:
        image.complete()
        assert list(folder.iterdir()) == []
    engine.cut_at = 100_000
    with pytest.raises(UnavailableError):
        open_image(f"docker-daemon:{NAME}", env=engine.env | {"TMPDIR": str(folder)})
    assert list(folder.iterdir()) == []


def test_unknown_image(engine: FakeEngine) -> None:
    """What docker does not have is exit code 5 with the next step."""
    with pytest.raises(NotFoundError, match="docker has no image 'nosuch'") as caught:
        open_image("docker-daemon:nosuch", env=engine.env)
    assert caught.value.hint is not None
    assert "docker images" in caught.value.hint
    with pytest.raises(InvalidInputError, match="followed by"):
        open_image("docker-daemon:", env=engine.env)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"message":1}', b"\xff" * 100])
def test_docker_is_ill(engine: FakeEngine, body: bytes) -> None:
    """An error of docker's is told in its cleaned words, whatever they are."""
    engine.status = 500
    with pytest.raises(UnavailableError, match=r"answered 500.*something broke") as caught:
        open_image(f"docker-daemon:{NAME}", env=engine.env)
    assert "\x1b" not in caught.value.message
    engine.body = body
    with pytest.raises(UnavailableError, match="answered 500"):
        open_image(f"docker-daemon:{NAME}", env=engine.env)


def test_broken_off(engine: FakeEngine) -> None:
    """A stream that ends early is no image."""
    engine.cut_at = 100_000
    with pytest.raises(UnavailableError, match="broke off"):
        open_image(f"docker-daemon:{NAME}", env=engine.env)


def test_nobody_listens() -> None:
    """A socket that docker left behind is no docker."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/s")
        with pytest.raises(NotFoundError, match="no docker is running"):
            open_image("docker-daemon:x", env={"DOCKER_HOST": f"unix://{folder}/s"})


def test_path_that_is_too_long(tmp_path: Path) -> None:
    """A path that no socket can have is told in words."""
    with pytest.raises(SealosHubError, match="too long"):
        open_image("docker-daemon:x", env={"DOCKER_HOST": f"unix://{tmp_path}/{'x' * 100}"})


def test_no_docker(tmp_path: Path) -> None:
    """Without a docker the error says where it was looked for, and what to do."""
    with pytest.raises(NotFoundError, match="no docker is running at") as caught:
        open_image("docker-daemon:x", env={"DOCKER_HOST": f"unix://{tmp_path}/missing"})
    assert caught.value.hint is not None
    assert "docker save" in caught.value.hint


def test_not_allowed() -> None:
    """A socket of somebody else's is exit code 4, with who may."""
    error = daemon._failed("/s", PermissionError(13, "no"))
    assert isinstance(error, DeniedError)
    assert error.hint is not None
    assert "group docker" in error.hint


@pytest.mark.parametrize("host", ["tcp://1.2.3.4:2375", "ssh://me@there", "unix://", "/path"])
def test_other_dockers(host: str) -> None:
    """Dockers elsewhere are not supported, and the error says so."""
    with pytest.raises(InvalidInputError, match="only unix sockets"):
        open_image("docker-daemon:x", env={"DOCKER_HOST": host})


def test_default_socket() -> None:
    """Without DOCKER_HOST it is docker's usual place."""
    assert daemon.socket_path({}) == "/var/run/docker.sock"
    assert daemon.socket_path({"DOCKER_HOST": ""}) == "/var/run/docker.sock"


def test_find_local(engine: FakeEngine) -> None:
    """With only a reference docker is asked after podman's storage; neither is one error."""
    with find_local(NAME, env=engine.env | {"PATH": "/nowhere"}) as image:
        assert image.names == (NAME,)
    with pytest.raises(NotFoundError, match=r"buildah, podman, skopeo is installed.*docker has no"):
        find_local("hub.example.com/org/other:v1", env=engine.env | {"PATH": "/nowhere"})
    # A name that containers-storage cannot have is looked for in docker all the same.
    with pytest.raises(NotFoundError, match=r"is not the name.*docker has no image"):
        find_local("[::1]:5000/org/other:v1", env=engine.env)


def test_find_local_behind_a_storage_that_cannot_be_read(
    engine: FakeEngine, tmp_path: Path
) -> None:
    """A buildah that cannot work here does not hide docker, and is named if docker has nothing."""
    program = tmp_path / "buildah"
    program.write_text("#!/bin/sh\necho 'no user namespaces' >&2\nexit 125\n")
    program.chmod(0o755)
    env = engine.env | {"PATH": str(tmp_path)}
    find_local(NAME, env=env).close()
    with pytest.raises(NotFoundError, match=r"no user namespaces.*docker has no image"):
        find_local("hub.example.com/org/other:v1", env=env)
