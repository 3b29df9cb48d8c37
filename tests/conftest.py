"""What every test may rely on: nothing of this machine's user, nothing beyond loopback."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, settings
from pytest_socket import socket_allow_hosts  # type: ignore[import-untyped]  # ships no types

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ["tests.real_servers"]

_LOOPBACK: Final = ["127.0.0.1", "::1", "localhost"]
_UNSET: Final = frozenset(
    {
        "DOCKER_AUTH_CONFIG",
        "DOCKER_CONFIG",
        "DOCKER_HOST",
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        "NO_COLOR",
        "REGISTRY_AUTH_FILE",
        # A proxy or CA of this machine must not stand between a test and its own servers.
        "ALL_PROXY",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
    }
)
_UNSET_PREFIXES: Final = ("SEALOSHUB_", "XDG_", "REGISTRY_")


# How long a property takes says how busy the machine is, and our autouse fixtures hold no state
# that examples could spoil. In CI a run must not depend on luck: the same examples each time.
settings.register_profile(
    "sealoshub",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("sealoshub")


def pytest_configure() -> None:
    """Replace the keyring before anything imports it, here and in the programs that tests run."""
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let sockets connect to this machine only, in fixtures too; the plugin lifts it afterwards."""
    socket_allow_hosts(_LOOPBACK, allow_unix_socket=True)


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make the folder of all home folders; names are counted here, which mktemp does by listing."""
    folder = tmp_path_factory.mktemp("homes")
    numbers = itertools.count()
    return (folder / str(number) for number in numbers)


@pytest.fixture(autouse=True)
def clean_environment(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test an empty home folder and no setting of this machine; return the folder."""
    for name in list(os.environ):
        if name.upper() in _UNSET or name.startswith(_UNSET_PREFIXES):
            monkeypatch.delenv(name)
    home = next(_homes)
    home.mkdir()
    (home / "run").mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    # Without it the credential file would be that of this machine, in /run/containers.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    monkeypatch.setenv("TZ", "UTC")
    return home
