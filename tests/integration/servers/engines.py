"""Container engines of the tests' own: a docker engine, and containerd alone.

Both need root, and docker more of the kernel than there is everywhere. :class:`NoEngineError`
says what is missing; it is a reason to skip, never a failure.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.integration.servers.process import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

PING_SECONDS: Final = 5.0

# In namespaces of its own for mounts and processes: whatever it mounts or starts goes with it, also
# when it is killed. It keeps the network, for the registry is on loopback, but leaves it as it is.
_ISOLATED: Final = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
# It writes a key into /etc/docker, plugins' sockets into /run/docker, folders into /opt.
_HIDDEN: Final = """\
set -e
mount --bind "$1" /etc
mount -t tmpfs none /opt
mount -t tmpfs none /run
shift
exec "$@"
"""
_NEEDED: Final = ("group", "hosts", "nsswitch.conf", "passwd", "protocols", "services")
_PARTS: Final = ("bridge=none", "storage-driver=vfs")
_OFF: Final = ("iptables", "ip6tables", "ip-masq", "ip-forward", "userland-proxy")

_CONTAINERD: Final = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.overlayfs",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt",
]
[grpc]
  address = "{folder}/containerd.sock"
"""


class NoEngineError(Exception):
    """This machine cannot run it; the message says why."""


class _Engine:
    """Ends the server that a class below started."""

    _server: Server

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop()


class DockerEngine(_Engine):
    """A docker engine; a context manager that starts and stops it.

    Args:
        dockerd: Path of the engine; containerd and runc lie beside it.
        folder: Folder for its files; not there yet. Its path is short, for sockets.
        env: Its environment.
    """

    def __init__(self, dockerd: Path, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._dockerd = dockerd
        self._env = env
        self._socket = folder / "docker.sock"
        self.host = f"unix://{self._socket}"

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            NoEngineError: It does not run on this machine.
        """
        _need_root()
        unshare = shutil.which("unshare", path=self._env["PATH"])
        if unshare is None:
            raise NoEngineError("there is no unshare, which comes with util-linux")
        etc = self._folder / "etc"
        etc.mkdir(parents=True)
        for name in _NEEDED:
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(Path("/etc", name), etc)
        (self._folder / "daemon.json").write_text("{}")
        self._server = Server(
            [
                *(unshare, *_ISOLATED),
                *("sh", "-c", _HIDDEN, "sh", etc),
                self._dockerd,
                f"--config-file={self._folder}/daemon.json",
                f"--data-root={self._folder}/data",
                f"--exec-root={self._folder}/exec",
                f"--pidfile={self._folder}/docker.pid",
                f"--host={self.host}",
                *(f"--{part}" for part in _PARTS),
                *(f"--{name}=false" for name in _OFF),
            ],
            self._folder / "log",
            {
                **self._env,
                "HOME": str(self._folder),
                "PATH": f"{self._dockerd.parent}{os.pathsep}{self._env['PATH']}",
            },
        )
        _start(self._server, self._answers)
        return self

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PING_SECONDS)
            client.connect(str(self._socket))
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.0 200 ")
        return False


class Containerd(_Engine):
    """Containerd with its store of content; a context manager that starts and stops it.

    Args:
        binary: Path of the program.
        folder: Folder for its files; not there yet. Its path is short, for sockets.
        env: Its environment.
    """

    def __init__(self, binary: Path, folder: Path, env: Mapping[str, str]) -> None:
        self._binary = binary
        self._folder = folder
        self._env = env
        self.address = folder / "containerd.sock"

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            NoEngineError: It does not run on this machine.
        """
        _need_root()
        self._folder.mkdir(parents=True)
        config = self._folder / "config.toml"
        config.write_text(_CONTAINERD.format(folder=self._folder))
        self._server = Server([self._binary, "--config", config], self._folder / "log", self._env)
        _start(self._server, self.address.is_socket)
        return self


def _need_root() -> None:
    if os.geteuid() != 0:
        raise NoEngineError("an engine needs root")


def _start(server: Server, ready: Callable[[], bool]) -> None:
    try:
        server.wait_ready(ready)
    except AssertionError as exc:  # ends with the last lines of its log
        why = str(exc).rsplit("\n", 1)[-1]
        raise NoEngineError(f"it does not run on this machine: {why}") from exc
