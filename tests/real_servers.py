"""Fixtures for tests on real servers with real clients, and our program between them.

A plugin and not a `conftest.py`, because `integration/`, `attacks/` and `benchmarks/` share the
servers. Nothing heavy is imported before a test asks for it: unit tests load this file too.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.integration.clients import CLIENTS, StockClient
from tests.integration.people import Person, person
from tests.tools import build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.integration.hub import Hub
    from tests.integration.servers.kube import KubeApiServer
    from tests.integration.servers.registry import RegistryServer

# As it was before `clean_environment` took the home folder, and with it the cache, away.
_ENV: Final[Mapping[str, str]] = dict(os.environ)
_SERVER_ENV: Final[Mapping[str, str]] = {
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "PATH": _ENV.get("PATH", os.defpath),
    "TZ": "UTC",
}
_REGISTRIES: Final = {"registry-2.8": "docker-registry", "registry-3": "registry"}
_UNIT: Final = Path(__file__).parent / "unit"
_HUBS: Final = [f"{api}-{registry}" for api in ("embedded", "kube") for registry in _REGISTRIES]


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on real servers, and keep the tests of one kind of cluster on one worker.

    So `pytest -n 2 --dist loadgroup` starts every server once: one worker has the tests on a real
    API server, the other those on the embedded one. What needs neither stays with its file.
    """
    for item in items:
        if item.path.is_relative_to(_UNIT):
            continue
        needs: set[str] = set(getattr(item, "fixturenames", ()))
        item.add_marker(pytest.mark.integration)
        if "hub" in needs:
            name = item.callspec.params["hub"].partition("-")[0]  # type: ignore[attr-defined]  # parametrised
            item.add_marker(pytest.mark.xdist_group(name))
        elif needs & {"kube", "start_kube"}:
            item.add_marker(pytest.mark.xdist_group("kube"))
        else:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def need(name: str) -> Path:
    """Return the path of the tool *name*, or skip the test; in CI it fails."""
    found = build.find(name, _ENV)
    if found is not None:
        return found
    reason = f"there is no {name}: get it with `python tests/tools/build.py --only {name}`"
    if _ENV.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def server_env() -> Mapping[str, str]:
    """Return the environment for servers: nothing of this machine but the PATH."""
    return _SERVER_ENV


@pytest.fixture(scope="session")
def memory_folder() -> Iterator[Path]:
    """Make a folder that is in memory where that is possible, and gone afterwards.

    Its path is short, because podman takes no `--runroot` of more than 50 characters.
    """
    shared = Path("/dev/shm")
    parent = shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    # Not by mkdtemp: some clients take a path for part of a name, where `-_` may not stand.
    folder = parent / f"shub-{os.getpid()}-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    """Free the memory of tests that were killed."""
    for folder in parent.glob("shub-*-*"):
        pid = folder.name.split("-")[1]
        with contextlib.suppress(OSError):
            gone = pid.isdigit() and not Path("/proc", pid).exists()
            if gone and folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def start_kube(memory_folder: Path) -> Callable[[], KubeApiServer]:
    """Return a function that makes a new API server, to be used in a `with` statement."""
    from tests.integration.servers.kube import KubeApiServer  # noqa: PLC0415  # see above

    numbers = itertools.count()

    def make() -> KubeApiServer:
        folder = memory_folder / f"kube-{next(numbers)}"
        return KubeApiServer(need("etcd"), need("kube-apiserver"), folder, _SERVER_ENV)

    return make


@pytest.fixture(scope="session")
def kube(start_kube: Callable[[], KubeApiServer]) -> Iterator[KubeApiServer]:
    """Run a bare API server for all tests that need one and no hub."""
    with start_kube() as server:
        yield server


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """Return the path of kubectl."""
    return need("kubectl")


@pytest.fixture(scope="session", params=list(_REGISTRIES))
def registry_binary(request: pytest.FixtureRequest) -> Path:
    """Return the path of each registry that we support, one after the other."""
    return need(_REGISTRIES[request.param])


@pytest.fixture(scope="session")
def open_registry(registry_binary: Path, memory_folder: Path) -> Iterator[RegistryServer]:
    """Run each registry that we support, without protection."""
    from tests.integration.servers.registry import RegistryServer  # noqa: PLC0415  # see above

    folder = memory_folder / f"{registry_binary.name}-open"
    with RegistryServer(registry_binary, folder, _SERVER_ENV) as server:
        yield server


@pytest.fixture(scope="session")
def new_person(memory_folder: Path) -> Callable[[str, Path | None], Person]:
    """Return a function that makes a person with a home folder of its own."""
    numbers = itertools.count()

    def make(name: str, kubeconfig: Path | None = None) -> Person:
        home = memory_folder / f"home-{next(numbers)}"
        return person(name, home, kubeconfig or home / "no-kubeconfig", build.directory(_ENV))

    return make


@pytest.fixture(scope="session", params=_HUBS)
def hub(
    request: pytest.FixtureRequest,
    memory_folder: Path,
    start_kube: Callable[[], KubeApiServer],
    new_person: Callable[[str, Path | None], Person],
) -> Iterator[Hub]:
    """Run a hub on the embedded API and on a real API server, with each registry.

    Tests share it: they keep apart by the names that `unique` gives them.
    """
    from tests.integration.hub import Hub  # noqa: PLC0415  # see above

    api, _, registry = request.param.partition("-")
    binary = need(_REGISTRIES[registry])
    with contextlib.ExitStack() as stack:
        kube = stack.enter_context(start_kube()) if api == "kube" else None
        yield stack.enter_context(
            Hub(memory_folder / f"hub-{request.param}", binary, kube, new_person)
        )


@pytest.fixture
def somebody(new_person: Callable[[str, Path | None], Person]) -> Person:
    """Return a person of whom no hub knows anything."""
    return new_person("somebody", None)


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> StockClient:
    """Return each stock client, one after the other."""
    need(request.param.name)
    found: StockClient = request.param
    return found


@pytest.fixture(params=[c for c in CLIENTS if c.push], ids=lambda client: client.name)
def pushing_client(request: pytest.FixtureRequest) -> StockClient:
    """Return each stock client that pushes and pulls without an engine."""
    need(request.param.name)
    found: StockClient = request.param
    return found


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """Return a name that no other test has, fit for a user or an organisation."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.nodeid.rpartition("::")[2].lower()).strip("-")
    return f"{words[:24].strip('-')}-{os.urandom(4).hex()}"
