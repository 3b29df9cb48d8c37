"""Which files hold registry credentials, in which order, and which of them a login writes.

The rules are those of containers-auth.json(5) and of docker's configuration file, so that what the
one program stored is what the other finds (docs/reference/credential-files.md).
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sealoshub.errors import UsageError
from sealoshub.secret import Secret
from sealoshub.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping


class Format(StrEnum):
    """How a file is to be read and written."""

    CONTAINERS = "containers"  # auth.json: keys may be host/namespace; no credsStore
    DOCKER = "docker"  # config.json: credsStore; Docker Hub is https://index.docker.io/v1/
    DOCKERCFG = "dockercfg"  # the old ~/.dockercfg: the top level is what `auths` is elsewhere


class Compat(StrEnum):
    """Whose files a login writes when no file is named."""

    ALL = "all"
    CONTAINERS = "containers"
    DOCKER = "docker"


class File(Value):
    """One credential file."""

    path: Path
    format: Format


class Places(Value):
    """Where to look, and where to write.

    Args:
        inline: The content of `DOCKER_AUTH_CONFIG`, which wins over the files; None if unset.
        files: Every file, in the order in which they are read; the first hit wins.
        targets: The files a login writes. The first must succeed, the others if possible.
        search_path: `PATH`, for credential helpers.
        vault: The file behind our own helper.
    """

    inline: Secret | None
    files: tuple[File, ...]
    targets: tuple[File, ...]
    search_path: str | None
    vault: Path


def locate(  # noqa: PLR0913  # each keyword is one thing that decides, and tests set them all
    env: Mapping[str, str],
    home: Path,
    *,
    uid: int,
    authfile: Path | None = None,
    compat: Compat = Compat.ALL,
    persist: bool = False,
    platform: str = sys.platform,
) -> Places:
    """Apply the rules to one environment.

    A login without a named file is written twice: to docker's `~/.docker/config.json`, which is
    the only one that docker, crane, oras, regctl and helm read, and to the first auth.json, which
    skopeo, buildah and podman would otherwise prefer with an older entry in it.

    Args:
        env: `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG`, `DOCKER_AUTH_CONFIG`, `XDG_RUNTIME_DIR`,
            `XDG_CONFIG_HOME`, `XDG_DATA_HOME`, `PATH`.
        home: The user's home directory.
        uid: The user's number, for `/run/containers/<uid>`.
        authfile: The one file to use, as named on the command line.
        compat: Restrict the written files to one family of programs.
        persist: Write the auth.json that survives a reboot instead of the one in `/run`.
        platform: As `sys.platform`.

    Raises:
        UsageError: *compat* or *persist* is asked for although one file is named.
    """
    inline = env.get("DOCKER_AUTH_CONFIG", "") if authfile is None else ""
    common = (
        Secret(inline) if inline.strip() else None,
        env.get("PATH"),
        vault_file(env, home),
    )
    named = authfile or (Path(text) if (text := env.get("REGISTRY_AUTH_FILE")) else None)
    only: File | None = None
    if named is not None:
        only = File(named.expanduser(), _format_of(named))
    elif env.get("DOCKER_CONFIG"):
        only = File(Path(env["DOCKER_CONFIG"]) / "config.json", Format.DOCKER)
    if only is not None:
        if persist or compat is not Compat.ALL:
            raise UsageError(
                f"--persist and --compat make no sense with the one file {only.path}",
                hint="Leave --authfile, $REGISTRY_AUTH_FILE and $DOCKER_CONFIG away.",
            )
        return Places(common[0], (only,), (only,), *common[1:])
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"
    if env.get("XDG_RUNTIME_DIR"):
        first = Path(env["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"
    elif platform.startswith("linux"):
        first = Path("/run/containers") / str(uid) / "auth.json"
    else:
        first = home / ".config" / "containers" / "auth.json"
    docker = File(home / ".docker" / "config.json", Format.DOCKER)
    containers = [File(path, Format.CONTAINERS) for path in dict.fromkeys([first, config])]
    written = containers[-1] if persist else containers[0]
    targets = {
        Compat.ALL: (docker, written),
        Compat.CONTAINERS: (written,),
        Compat.DOCKER: (docker,),
    }[compat]
    files = (*containers, docker, File(home / ".dockercfg", Format.DOCKERCFG))
    return Places(common[0], files, targets, *common[1:])


def vault_file(env: Mapping[str, str], home: Path) -> Path:
    """Return the file behind our own helper: `$XDG_DATA_HOME/sealoshub/credentials.json`."""
    data = Path(env.get("XDG_DATA_HOME") or home / ".local" / "share")
    return data / "sealoshub" / "credentials.json"


def _format_of(path: Path) -> Format:
    """Tell the format of a file that the user named; only docker calls its file config.json."""
    return Format.DOCKER if path.name == "config.json" else Format.CONTAINERS
