"""Get the real servers and clients that the integration tests run, once, into a cache.

    python tests/tools/build.py                  everything that is missing
    python tests/tools/build.py --only crane     these
    python tests/tools/build.py --print-dir      where the programs lie

Go programs are built from the pinned modules in `clients/`, `kubernetes/`, `helm/` and
`sealoshub/hub/registry_module/`; the rest comes from Debian.
A tool that cannot be had is a loud note here and a skipped test later; with CI=true, a failure.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealoshub.errors import SealosHubError
from sealoshub.hub import binary
from sealoshub.hub.binary import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_HERE: Final = Path(__file__).parent
_CLIENTS: Final = _HERE / "clients"
_KUBERNETES: Final = _HERE / "kubernetes"
_HELM: Final = _HERE / "helm"  # of its own, because its Kubernetes is another release
APT_LOCK_SECONDS: Final = 300  # another apt may run on a fresh machine


@dataclass(frozen=True, slots=True)
class Tool:
    """One program of the test bench.

    Args:
        name: File name of the program.
        minutes: How long a first build takes on two cores, as a person would say it.
        get: Puts the program at the given path; raises SealosHubError or OSError if it cannot.
        system: Whether a program of that name on PATH is as good.
    """

    name: str
    minutes: str
    get: Callable[[Path], None]
    system: bool = False


def directory(env: Mapping[str, str]) -> Path:
    """Return the folder of the built programs; its name changes when what is built changes."""
    content = hashlib.sha256()
    for module in (_CLIENTS, _KUBERNETES, _HELM, binary.REGISTRY_MODULE):
        for name in ("go.mod", "go.sum"):
            content.update((module / name).read_bytes())
    content.update(_kubernetes_ldflags().encode())
    return binary.cache_directory(env) / "tools" / content.hexdigest()[:16]


def find(name: str, env: Mapping[str, str]) -> Path | None:
    """Return the path of the tool *name* if it is there."""
    built = directory(env) / name
    if built.exists():
        return built
    system = any(tool.name == name and tool.system for tool in tools(env))
    found = shutil.which(name, path=env.get("PATH")) if system else None
    return Path(found) if found else None


def tools(env: Mapping[str, str]) -> Sequence[Tool]:
    """Return all tools, the quick ones first."""

    def go(name: str, module: Path, package: str, minutes: str, ldflags: str = "") -> Tool:
        recipe = Recipe(module, package, ldflags)
        return Tool(name, minutes, functools.partial(_go_build, recipe, env))

    def debian(name: str) -> Tool:
        return Tool(name, "half a minute", functools.partial(_apt_install, env), system=True)

    def extracted(name: str, package: str = "") -> Tool:
        return Tool(name, "10 seconds", functools.partial(_apt_extract, env, (package or name,)))

    kubernetes = functools.partial(
        go, module=_KUBERNETES, minutes="5 minutes, if first", ldflags=_kubernetes_ldflags()
    )
    return (
        Tool("registry", "1 to 2 minutes", functools.partial(_registry, env)),
        go("crane", _CLIENTS, "github.com/google/go-containerregistry/cmd/crane", "10 seconds"),
        go("oras", _CLIENTS, "oras.land/oras/cmd/oras", "10 seconds"),
        go("regctl", _CLIENTS, "github.com/regclient/regclient/cmd/regctl", "10 seconds"),
        extracted("docker-registry"),  # 2.8
        Tool(
            "docker",  # the client only: it logs in and out without an engine
            "10 seconds",
            functools.partial(_apt_extract, env, ("docker-cli", "docker.io")),
            system=True,
        ),
        extracted("dockerd", "docker.io"),
        extracted("containerd"),
        extracted("ctr", "containerd"),
        extracted("runc"),
        debian("skopeo"),
        debian("buildah"),
        debian("podman"),
        debian("zsh"),
        debian("fish"),
        go("etcd", _KUBERNETES, "go.etcd.io/etcd/server/v3", "half a minute"),
        kubernetes("kube-apiserver", package="k8s.io/kubernetes/cmd/kube-apiserver"),
        kubernetes("kubectl", package="k8s.io/kubernetes/cmd/kubectl"),
        go("helm", _HELM, "helm.sh/helm/v3/cmd/helm", "1 to 2 minutes"),
    )


def main() -> int:
    """Build what is missing and return the exit code."""
    env = os.environ
    everything = tools(env)
    parser = argparse.ArgumentParser(description="Get the programs of the integration tests.")
    names = [tool.name for tool in everything]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--print-dir", action="store_true", help="print the folder and stop")
    options = parser.parse_args()
    target = directory(env)
    if options.print_dir:
        print(target)
        return 0
    missing = [
        tool
        for tool in everything
        if (options.only is None or tool.name in options.only) and find(tool.name, env) is None
    ]
    if not missing:
        print(f"tools: all there, in {target}")
        return 0
    _say(f"{len(missing)} to get, into {target} (first time only)")
    failures = _get(missing, target, env)
    for name, reason in failures.items():
        print(f"\n*** tools: NO {name}: its tests will be skipped: {reason}\n", file=sys.stderr)
    strict = options.only is not None or env.get("CI", "").lower() in {"1", "true"}
    return 1 if failures and strict else 0


def _get(missing: Sequence[Tool], target: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Get the tools one after the other; return the reasons of those that failed."""
    failures = {}
    with binary.locked(target, _say):
        target.mkdir(exist_ok=True)
        for number, tool in enumerate(missing, start=1):
            if find(tool.name, env) is not None:  # another process was quicker
                continue
            _say(f"{number} of {len(missing)}: {tool.name} (takes about {tool.minutes})")
            started = time.monotonic()
            try:
                tool.get(target / tool.name)
            except subprocess.CalledProcessError as exc:
                failures[tool.name] = "\n".join([str(exc), *exc.stdout.splitlines()[-5:]])
            except (SealosHubError, OSError) as exc:
                failures[tool.name] = str(exc)
            else:
                _say(f"{tool.name}: {time.monotonic() - started:.0f} s")
    return failures


def _registry(env: Mapping[str, str], target: Path) -> None:
    """Share the registry that `sealoshub hub up` would build for itself."""
    built = binary.cached_registry(env, _say)
    scratch = target.with_name(f".{target.name}.new")
    shutil.copy2(built, scratch)
    scratch.replace(target)


def _go_build(recipe: Recipe, env: Mapping[str, str], target: Path) -> None:
    go = binary.find_go(binary.minimum_go(recipe.module), env, _say)
    binary.build(go, recipe, target, env, _say)


def _kubernetes_ldflags() -> str:
    """Return the flags without which the server calls itself v0.0.0 and kubectl refuses to work."""
    version = binary.pinned_version(_KUBERNETES, "k8s.io/kubernetes")
    major, minor, _ = version.split(".")
    base = "-X k8s.io/component-base/version."
    return f"{base}gitVersion=v{version} {base}gitMajor={major} {base}gitMinor={minor}"


def _apt_install(env: Mapping[str, str], target: Path) -> None:
    """Install a Debian package: skopeo, buildah and podman need their shared libraries."""
    command = [*_root(env), "apt-get", "install", "--yes", "--no-install-recommends", target.name]
    try:
        _apt(command, env)
    except subprocess.CalledProcessError:
        _apt([*_root(env), "apt-get", "update"], env)
        _apt(command, env)


def _apt_extract(env: Mapping[str, str], packages: Sequence[str], target: Path) -> None:
    """Take one program out of a Debian package without installing it.

    It needs no root, and no service starts: the package docker-registry would start one on port
    5000, the packages docker.io and containerd an engine.
    """
    if shutil.which("apt-get") is None:
        raise SealosHubError("it comes from Debian, and this machine has no apt-get")
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        if not _download(env, packages, scratch):
            _apt([*_root(env), "apt-get", "update"], env)
            if not _download(env, packages, scratch):
                raise SealosHubError(f"apt-get has no package {' or '.join(packages)}")
        (package,) = Path(scratch).glob("*.deb")
        _apt(["dpkg-deb", "--extract", str(package), f"{scratch}/files"], env)
        found = Path(scratch, "files", "usr").glob(f"*bin/{target.name}")
        (program,) = (each for each in found if not each.is_symlink())
        program.replace(target)


def _download(env: Mapping[str, str], packages: Sequence[str], folder: str) -> bool:
    for package in packages:
        try:
            _apt(["apt-get", "download", package], env, cwd=folder)
        except subprocess.CalledProcessError:
            continue
        return True
    return False


def _root(env: Mapping[str, str]) -> list[str]:
    """Return what to put before a command that needs root."""
    if shutil.which("apt-get") is None:
        raise SealosHubError("it comes from Debian, and this machine has no apt-get")
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "--non-interactive"]
    allowed = shutil.which("sudo") and subprocess.run([*sudo, "true"], env=env, check=False)
    if allowed and allowed.returncode == 0:
        return sudo
    raise SealosHubError("it needs apt-get as root, and there is no sudo without a password")


def _apt(command: Sequence[str], env: Mapping[str, str], cwd: str | None = None) -> None:
    """Run a command of apt or dpkg.

    Raises:
        subprocess.CalledProcessError: It failed; its output is in the exception.
    """
    if "apt-get" in command:
        at = command.index("apt-get") + 1
        command = [*command[:at], "-o", f"DPkg::Lock::Timeout={APT_LOCK_SECONDS}", *command[at:]]
    subprocess.run(
        command,
        cwd=cwd,
        env={**env, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=True,
    )


def _say(line: str) -> None:
    print(f"tools: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
