"""Claims about which files are read and written (rules 1 to 3 of the command line's design)."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealoshub.credentials import Compat, locate
from sealoshub.errors import UsageError

HOME = Path("/home/a")
RUN, CONFIG = "/run/user/7/containers/auth.json", "/home/a/.config/containers/auth.json"
DOCKER, DOCKERCFG = "/home/a/.docker/config.json", "/home/a/.dockercfg"
XDG = {"XDG_RUNTIME_DIR": "/run/user/7"}


@pytest.mark.parametrize(
    ("env", "authfile", "read", "written"),
    [
        (XDG, "/f", ["/f"], ["/f"]),
        (XDG | {"REGISTRY_AUTH_FILE": "/r", "DOCKER_CONFIG": "/d"}, "/f", ["/f"], ["/f"]),
        (XDG | {"REGISTRY_AUTH_FILE": "/r", "DOCKER_CONFIG": "/d"}, None, ["/r"], ["/r"]),
        (XDG | {"DOCKER_CONFIG": "/d"}, None, ["/d/config.json"], ["/d/config.json"]),
        (XDG, None, [RUN, CONFIG, DOCKER, DOCKERCFG], [DOCKER, RUN]),
        (
            XDG | {"REGISTRY_AUTH_FILE": "", "DOCKER_CONFIG": ""},
            None,
            [RUN, CONFIG, DOCKER, DOCKERCFG],
            [DOCKER, RUN],
        ),
        (
            {},
            None,
            ["/run/containers/7/auth.json", CONFIG, DOCKER, DOCKERCFG],
            [DOCKER, "/run/containers/7/auth.json"],
        ),
        (
            XDG | {"XDG_CONFIG_HOME": "/c"},
            None,
            [RUN, "/c/containers/auth.json", DOCKER, DOCKERCFG],
            [DOCKER, RUN],
        ),
    ],
)
def test_order(
    env: dict[str, str], authfile: str | None, read: list[str], written: list[str]
) -> None:
    """Files are read and written in the documented order."""
    found = locate(
        env, HOME, uid=7, authfile=Path(authfile) if authfile else None, platform="linux"
    )
    assert [str(file.path) for file in found.files] == read
    assert [str(file.path) for file in found.targets] == written


def test_not_linux() -> None:
    """Where there is no /run, auth.json lies in the home directory, and is listed once."""
    found = locate({}, HOME, uid=7, platform="darwin")
    assert [str(file.path) for file in found.files] == [CONFIG, DOCKER, DOCKERCFG]


@pytest.mark.parametrize(
    ("compat", "persist", "written"),
    [
        (Compat.ALL, True, [DOCKER, CONFIG]),
        (Compat.CONTAINERS, False, [RUN]),
        (Compat.CONTAINERS, True, [CONFIG]),
        (Compat.DOCKER, False, [DOCKER]),
    ],
)
def test_restricted(compat: Compat, *, persist: bool, written: list[str]) -> None:
    """--compat and --persist choose among the written files."""
    found = locate(XDG, HOME, uid=7, compat=compat, persist=persist, platform="linux")
    assert [str(file.path) for file in found.targets] == written


def test_restricting_one_file_is_an_error() -> None:
    """With one named file there is nothing to choose."""
    with pytest.raises(UsageError):
        locate({"DOCKER_CONFIG": "/d"}, HOME, uid=7, persist=True)


def test_authfile_wins_over_the_variable() -> None:
    """DOCKER_AUTH_CONFIG wins over files, but not over the file named on the command line."""
    env = {"DOCKER_AUTH_CONFIG": "{}"}
    assert locate(env, HOME, uid=7).inline is not None
    assert locate(env, HOME, uid=7, authfile=Path("/f")).inline is None
