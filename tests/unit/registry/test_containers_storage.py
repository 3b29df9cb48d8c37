"""Images of podman's storage, through programs that the tests pretend to be."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import InvalidInputError, NotFoundError
from sealoshub.reference import MediaType
from sealoshub.registry.metadata import read_metadata
from sealoshub.registry.source import open_image
from tests.docker_archives import CLUSTER, plain_layer
from tests.images import README, sha256
from tests.unit.registry.skopeo_dirs import skopeo_dir

if TYPE_CHECKING:
    from pathlib import Path

COPY = 'for last; do :; done; cp -r "$SAMPLE" "${last#dir:}"\n'


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with a folder for programs and one for temporary files."""
    for name in ("bin", "large"):
        (tmp_path / name).mkdir()
    for tool in ("sh", "cp"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    sample = skopeo_dir(tmp_path / "sample", [plain_layer("a"), CLUSTER], mislabelled=True)
    return {
        "PATH": str(tmp_path / "bin"),
        "TMPDIR": str(tmp_path / "large"),
        "SAMPLE": str(sample),
        "LOG": str(tmp_path / "log"),
    }


def install(tmp_path: Path, name: str, script: str) -> None:
    """Pretend that a program is installed."""
    path = tmp_path / "bin" / name
    path.write_text(f'#!/bin/sh\necho "$0 $*" >>"$LOG"\n{script}')
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("buildah", "push --quiet --disable-compression app:v1 dir:"),
        ("podman", "push --quiet app:v1 dir:"),
        ("skopeo", "copy --quiet containers-storage:app:v1 dir:"),
    ],
)
def test_programs(tmp_path: Path, env: dict[str, str], program: str, words: str) -> None:
    """Each of the three programs will do, and nothing of the copy is left."""
    install(tmp_path, program, COPY)
    with open_image("containers-storage:app:v1", env=env) as image:
        assert image.name == "containers-storage:app:v1"
        assert {layer.media_type for layer in image.root.layers} == {MediaType.OCI_LAYER_GZIP}
        assert read_metadata(image).readme == README
        assert [pending.digest.text for pending in image.pending] == [
            sha256(plain_layer("a")),
            sha256(CLUSTER),
        ]
    assert list((tmp_path / "large").iterdir()) == []
    assert f"/{program} {words}" in (tmp_path / "log").read_text()


def test_order(tmp_path: Path, env: dict[str, str]) -> None:
    """Where there are several, buildah is taken: it knows images as they are listed."""
    for program in ("skopeo", "podman", "buildah"):
        install(tmp_path, program, COPY)
    open_image("containers-storage:app", env=env).close()
    assert "/buildah " in (tmp_path / "log").read_text()


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_compression(tmp_path: Path, env: dict[str, str], compression: str) -> None:
    """Other compressions are as good; none corrects what the manifest calls compressed."""
    install(tmp_path, "podman", COPY)
    with open_image("containers-storage:app", env=env, compression=compression) as image:
        types = {layer.media_type for layer in image.root.layers}
        expected = MediaType.OCI_LAYER if compression == "none" else MediaType.OCI_LAYER_ZSTD
        assert types == {expected}
        assert read_metadata(image).readme == README


UNKNOWN = {
    "buildah": "app: image not known",
    "podman": "Error: app: image not known",
    "skopeo": 'time="x" level=fatal msg="initializing source \\"app\\" does not resolve to an'
    ' image ID: identifier is not an image"',
}


@pytest.mark.parametrize("program", UNKNOWN)
def test_unknown_image(tmp_path: Path, env: dict[str, str], program: str) -> None:
    """What the storage does not have is told the same way by all three."""
    install(tmp_path, program, f"echo '{UNKNOWN[program]}' >&2; exit 125\n")
    with pytest.raises(NotFoundError, match="no image 'app'") as caught:
        open_image("containers-storage:app", env=env)
    assert caught.value.hint is not None
    assert "images` lists" in caught.value.hint
    assert list((tmp_path / "large").iterdir()) == []


def test_failing_program(tmp_path: Path, env: dict[str, str]) -> None:
    """Another failure is told in the program's last words, cleaned."""
    said = 'time="x" level=fatal msg="\\033[31mno \\"subuid\\" ranges"'
    install(tmp_path, "skopeo", f"echo noise >&2; printf '{said}\\n' >&2; exit 1\n")
    with pytest.raises(InvalidInputError, match=r'skopeo could not.*no "subuid" ranges') as caught:
        open_image("containers-storage:app", env=env)
    assert "\x1b" not in caught.value.message
    install(tmp_path, "buildah", "exit 1\n")
    with pytest.raises(InvalidInputError, match="no word of why"):
        open_image("containers-storage:app", env=env)
    assert list((tmp_path / "large").iterdir()) == []


def test_program_that_writes_nonsense(tmp_path: Path, env: dict[str, str]) -> None:
    """A copy that is no image is refused, and is not left."""
    install(tmp_path, "podman", 'for last; do :; done; cp "$LOG" "${last#dir:}"\n')
    with pytest.raises(InvalidInputError):
        open_image("containers-storage:app", env=env)
    assert list((tmp_path / "large").iterdir()) == []


@pytest.mark.parametrize("name", ["", "-x", "--all", "a b", "a\nb", "[overlay@/x]y", "a;b"])
def test_names_that_are_none(env: dict[str, str], name: str) -> None:
    """A name that could be an option or another syntax is refused before anything runs."""
    with pytest.raises(InvalidInputError, match="is not the name of a stored image"):
        open_image(f"containers-storage:{name}", env=env)


def test_no_program(env: dict[str, str]) -> None:
    """Without any of the programs the error names them."""
    with pytest.raises(NotFoundError, match="none of buildah, podman, skopeo"):
        open_image("containers-storage:app", env=env)


def test_no_room(tmp_path: Path, env: dict[str, str]) -> None:
    """A folder that is not there is said."""
    install(tmp_path, "podman", COPY)
    with pytest.raises(InvalidInputError, match="missing"):
        open_image("containers-storage:app", env=env | {"TMPDIR": str(tmp_path / "missing")})


def test_a_signal_while_it_starts(
    tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is ended, and what raised the signal goes on."""
    install(tmp_path, "buildah", "kill -STOP $$\n")
    started: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        """What happens when a signal comes before the constructor is done."""

        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  # passed on
            super().__init__(*arguments, **options)
            started.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    # A shell's background jobs, and their children, begin with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            open_image("containers-storage:app:v1", env=env)
    finally:
        signal.signal(signal.SIGINT, before)
    (process,) = started
    assert process.returncode == -signal.SIGKILL
    assert list((tmp_path / "large").iterdir()) == []
