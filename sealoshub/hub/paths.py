"""Where a hub keeps its state on this machine.

DATA/
  hub.json                 the settings this hub was made with (ports, names): a restart keeps them
  hub.sqlite               objects of the embedded API
  pki/                     CA, server certificate, client CA, ServiceAccount key
  keys/                    signing keys of the token server
  events.token             token of the registry's notifications
  registry/                storage of the registry
  kubeconfigs/             one file for each user made here
  run/                     what only a running hub needs: state, configuration files, tokens, logs
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealoshub.errors import SealosHubError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIVATE_DIR: Final = 0o700
PRIVATE_FILE: Final = 0o600
_USER: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9@._-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class HubPaths:
    """The files of one hub.

    Args:
        data: The folder that holds them all.
    """

    data: Path

    @property
    def settings(self) -> Path:
        """Settings that outlive the processes."""
        return self.data / "hub.json"

    @property
    def keys(self) -> Path:
        """Signing keys of the token server."""
        return self.data / "keys"

    @property
    def bundle(self) -> Path:
        """Certificates of the keys that the registry learned when it started (for 2.8)."""
        return self.run / "token.crt"

    @property
    def jwks(self) -> Path:
        """The same keys for registry 3."""
        return self.run / "jwks.json"

    @property
    def events_token(self) -> Path:
        """Token that the registry sends its notifications with."""
        return self.data / "events.token"

    @property
    def pki(self) -> Path:
        """CAs, certificates and the key of ServiceAccount tokens."""
        return self.data / "pki"

    @property
    def storage(self) -> Path:
        """Blobs and manifests of the registry."""
        return self.data / "registry"

    @property
    def run(self) -> Path:
        """State of the running hub."""
        return self.data / "run"

    @property
    def logs(self) -> Path:
        """One log file for each part."""
        return self.run / "log"

    @property
    def state(self) -> Path:
        """What the supervisor says of itself and its parts."""
        return self.run / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it runs."""
        return self.run / "lock"

    @property
    def maintenance(self) -> Path:
        """Held by whoever works on the storage, while which the registry is read-only."""
        return self.run / "maintenance.lock"

    def log(self, part: str) -> Path:
        """Return the log file of *part*."""
        return self.logs / f"{part}.log"

    def kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig of *user*.

        Raises:
            UsageError: The name cannot be the name of a file or of a certificate's subject.
        """
        if not _USER.fullmatch(user) or ".." in user:
            raise UsageError(
                f"{user!r} cannot be the name of a user",
                hint="Letters, digits and @ . _ -, at most 63, first and last a letter or digit.",
            )
        return self.data / "kubeconfigs" / f"{user}.kubeconfig"

    def create(self) -> None:
        """Make the folders, readable by their owner only.

        Raises:
            SealosHubError: The file system says no.
        """
        try:
            for folder in (self.data, self.keys, self.storage, self.run, self.logs):
                folder.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
            (self.data / "kubeconfigs").mkdir(mode=PRIVATE_DIR, exist_ok=True)
        except OSError as exc:
            raise SealosHubError(
                f"cannot make the hub's folder {self.data}: {exc.strerror}",
                hint="Choose another one with --data.",
            ) from exc


def default_data(env: Mapping[str, str], home: Path) -> Path:
    """Return the folder of a hub for which none was named (XDG base directory specification)."""
    base = env.get("XDG_DATA_HOME", "")
    root = Path(base) if base.startswith("/") else home / ".local" / "share"
    return root / "sealoshub" / "hub"


def write_private(path: Path, content: str | bytes) -> None:
    """Replace *path* atomically with *content*, readable by its owner only."""
    path.parent.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
    replace_file(path, content.encode() if isinstance(content, str) else content, PRIVATE_FILE)


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Replace *path*, whose folder is there, atomically with *data*; its mode will be *mode*."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
