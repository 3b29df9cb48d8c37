"""The embedded API is held to the real one: the same requests, the same answers."""

from __future__ import annotations

import base64
import contextlib
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

import httpx
import pytest
import yaml

from sealoshub.hub.api import pki
from sealoshub.imagehub import install
from sealoshub.kube.cluster import Cluster
from tests.integration.differential import (
    builtins_of_kubernetes,
    definitions,
    identities,
    images,
    organizations,
    private_names,
)
from tests.integration.differential.allowed import ALLOWED, left
from tests.integration.differential.ask import Ask, Side, Until, difference, lines_of
from tests.integration.servers.process import Server, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from tests.integration.servers.kube import KubeApiServer

SECONDS: Final = 90.0  # for caches to notice; it takes less than one
WATCHES: Final = 5
GROUPS: Final = {"admin": ["system:masters"], "alice": ["dev"], "bob": []}
SCENARIOS: Final[Mapping[str, tuple[Ask | Until, ...]]] = {
    "callers": organizations.CALLERS,
    "writes": organizations.WRITES,
    "applies": organizations.APPLIES,
    "deletes": organizations.DELETES,
    "roles": builtins_of_kubernetes.ROLES,
    "stored": builtins_of_kubernetes.STORED,
    "tokens": identities.TOKENS,
    "reviews": identities.REVIEWS,
    "odd requests": builtins_of_kubernetes.ODD_REQUESTS,
    "repositories": images.REPOSITORIES,
    "lists": images.LISTS,
    "watches": images.WATCHES,
    "sharing": images.SHARING,
    "definitions": definitions.DEFINITIONS,
    "private names": private_names.PRIVATE_NAMES,
}


@pytest.fixture(scope="module")
def real(start_kube: Callable[[], KubeApiServer]) -> Iterator[Side]:
    """A hub's resources on a real API server of its own."""
    with start_kube() as server:
        files = {
            user: server.issue_kubeconfig(user, groups, 24 * 3600)
            for user, groups in GROUPS.items()
        }
        with _side(files) as side:
            yield side


@pytest.fixture(scope="module")
def ours(memory_folder: Path, server_env: Mapping[str, str]) -> Iterator[Side]:
    """The same on the embedded API."""
    folder = memory_folder / "differential"
    port = free_port()
    pki.ensure_pki(folder / "pki")
    authority = (folder / "pki" / "ca.crt").read_bytes()
    files = {user: folder / f"{user}.kubeconfig" for user in GROUPS}
    for user, file in files.items():
        certificate, key = pki.issue_client_certificate(
            folder / "pki", user, GROUPS[user], 24 * 3600
        )
        url = f"https://localhost:{port}"
        pki.write_kubeconfig(file, url, authority, user, certificate_pem=certificate, key_pem=key)
    command = [sys.executable, "-m", "sealoshub", "hub", "api"]
    options = ["--data", str(folder), "--port", str(port)]
    with Server([*command, *options], folder / "api.log", server_env) as server:
        with _client(files["admin"], with_certificate=False) as probe:
            server.wait_ready(lambda: _is_ready(probe))
        with _side(files) as side:
            yield side


@pytest.fixture(scope="module")
def differences(real: Side, ours: Side) -> Mapping[str, Mapping[str, list[str]]]:
    """What differs, by scenario and title; the scenarios build on each other, in this order."""
    with ThreadPoolExecutor(2) as pool:
        return {name: dict(_run(steps, real, ours, pool)) for name, steps in SCENARIOS.items()}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_embedded_api_answers_as_the_real_one(
    scenario: str, differences: Mapping[str, Mapping[str, list[str]]]
) -> None:
    """Status, reason, causes and object of every answer are those of a real kube-apiserver."""
    found = {
        title: rest
        for title, lines in differences[scenario].items()
        if (rest := left(title, lines))
    }
    assert found == {}


def test_every_allowed_difference_is_one(
    differences: Mapping[str, Mapping[str, list[str]]],
) -> None:
    """Nothing stands in the table of allowed differences that does not differ so."""
    lines = {title: found for scenario in differences.values() for title, found in scenario.items()}
    unneeded = [
        (title, item.line)
        for item in ALLOWED
        for title in item.titles
        if left(title, lines[title], [item]) == lines[title]
    ]
    assert unneeded == []


def test_many_requests_are_compared() -> None:
    """At least 200 requests are compared, each under a title of its own."""
    titles = [step.title for steps in SCENARIOS.values() for step in steps if isinstance(step, Ask)]
    assert len(titles) >= 200
    assert len(titles) == len(set(titles))


def _run(
    steps: Iterable[Ask | Until], real: Side, ours: Side, pool: ThreadPoolExecutor
) -> Iterator[tuple[str, list[str]]]:
    for step in steps:
        if isinstance(step, Until):
            for side in (real, ours):
                _settle(side, step)
            continue
        # A watch ends after a second, which a busy machine can need for the first event.
        tries = WATCHES if "watch=1" in step.path else 1
        found: list[str] = []
        for _ in range(tries):
            found = difference(*pool.map(partial(_ask, step), (real, ours)))
            if not left(step.title, found):
                break
        yield step.title, found


def _ask(ask: Ask, side: Side) -> list[str]:
    return lines_of(side.send(ask))


def _settle(side: Side, step: Until) -> None:
    wait_until(
        lambda: side.send(step.ask).status_code == step.code,
        f"{step.code} for {step.ask.method} {step.ask.path}",
        SECONDS,
    )


@contextlib.contextmanager
def _side(files: Mapping[str, Path]) -> Iterator[Side]:
    with Cluster.open_kubeconfig(files["admin"]) as cluster:
        install.install(cluster)
    with contextlib.ExitStack() as stack:
        clients = {user: stack.enter_context(_client(file)) for user, file in files.items()}
        clients["anon"] = stack.enter_context(_client(files["admin"], with_certificate=False))
        yield Side(clients)


def _client(kubeconfig: Path, *, with_certificate: bool = True) -> httpx.Client:
    content = yaml.safe_load(kubeconfig.read_text())
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    if with_certificate:
        pem = kubeconfig.with_suffix(".pem")
        parts = (user["client-certificate-data"], user["client-key-data"])
        pem.write_bytes(b"".join(base64.b64decode(part) for part in parts))
        context.load_cert_chain(pem)
    return httpx.Client(
        base_url=cluster["server"],
        verify=context,
        trust_env=False,
        timeout=SECONDS,
        headers={"user-agent": "differential-test/1", "accept": "application/json"},
    )


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
