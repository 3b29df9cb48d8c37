"""Row 13: an API server that stands still, and one that is gone."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from sealoshub.errors import NotFoundError, SealosHubError, UnavailableError
from sealoshub.hub import parts
from sealoshub.hub.api import pki
from sealoshub.imagehub import install
from sealoshub.imagehub.names import HUB_NAMESPACE
from sealoshub.kube.cluster import Cluster
from tests.attacks.cast import repository
from tests.attacks.target import Target
from tests.integration.servers.process import Server, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.attacks.target import Client
    from tests.integration.hub import Hub
    from tests.integration.servers.kube import KubeApiServer

ANSWER_SECONDS: Final = 30.0  # it gives up after 4.5; the rest is for a machine that is busy
ORGANIZATION: Final = "town"
PUBLIC: Final = f"{ORGANIZATION}/square"


class LoneApi:
    """An API server that only this test has, and may stop.

    Args:
        kubeconfig: With all rights.
        ca_file: CA of the server.
        url: Where it is.
        pause: Lets it stand still.
        kill: Ends it, as a crash would.
    """

    def __init__(
        self,
        kubeconfig: Path,
        ca_file: Path,
        url: str,
        *,
        pause: Callable[[], None],
        kill: Callable[[], None],
    ) -> None:
        self.kubeconfig = kubeconfig
        self.pause = pause
        self.kill = kill
        self.section: dict[str, Any] = {"server": url, "ca_file": str(ca_file)}


@pytest.fixture
def lone_api(
    hub: Hub,
    start_kube: Callable[[], KubeApiServer],
    memory_folder: Path,
    server_env: Mapping[str, str],
) -> Iterator[LoneApi]:
    """An API server of the same kind as that of the hub."""
    if not hub.embedded:
        with start_kube() as kube:
            yield LoneApi(
                kube.admin_kubeconfig,
                kube.ca_file,
                kube.url,
                pause=kube.pause,
                kill=kube.kill,
            )
        return
    data, port = memory_folder / f"lone-{os.urandom(3).hex()}", free_port()
    data.mkdir()
    program: list[str | Path] = [Path(sys.executable), "-m", "sealoshub", "hub", "api"]
    server = Server([*program, "--data", data, "--port", str(port)], data / "log", server_env)
    folder, url = data / "pki", f"https://localhost:{port}"
    kubeconfig = data / "admin.kubeconfig"
    with server:
        server.wait_ready(lambda: parts.probe(f"{url}/readyz", 200) is None)
        certificate, key = pki.issue_client_certificate(folder, "admin", ["system:masters"], 3600)
        pki.write_kubeconfig(
            kubeconfig,
            url,
            (folder / "ca.crt").read_bytes(),
            "admin",
            certificate_pem=certificate,
            key_pem=key,
        )
        yield LoneApi(
            kubeconfig,
            folder / "ca.crt",
            url,
            pause=server.pause,
            kill=server.kill,
        )


def test_row_13_no_answer_is_no_denial(
    lone_api: LoneApi, memory_folder: Path, server_env: Mapping[str, str]
) -> None:
    """Stalled or gone, it is 503 with Retry-After in time; what is public is still served."""
    folder = memory_folder / f"failing-{os.urandom(3).hex()}"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(Cluster.open_kubeconfig(lone_api.kubeconfig))
        wait_until(lambda: _answers(cluster), "the API server")
        install.install(cluster)
        # For a moment its policies may not know the kinds that it serves.
        wait_until(lambda: _made(cluster), "a repository")
        token, _ = cluster.create_token(HUB_NAMESPACE, "imagehub-auth-server", [], 3600)
        (folder / "token").write_text(token.reveal())
        someone, _ = cluster.create_token(HUB_NAMESPACE, "imagehub-controller", [], 3600)
        api = {**lone_api.section, "token_file": str(folder / "token")}
        target = stack.enter_context(Target(folder / "server", api, server_env))
        client = target.stranger()
        known = ("", someone.reveal())
        refresh = client.refresh_token(known)
        assert client.get(f"repository:{PUBLIC}:pull").access == {f"repository:{PUBLIC}": ["pull"]}

        lone_api.pause()
        logins = (("", lone_api.kubeconfig.read_text()), ("", refresh), _unknown(known))
        all_unavailable(client, logins)
        # The watch was alive a moment ago, so that it is known what is public.
        assert client.get(f"repository:{PUBLIC}:pull").access == {f"repository:{PUBLIC}": ["pull"]}

        lone_api.kill()
        all_unavailable(client, logins)
        assert client.get(f"repository:{PUBLIC}:pull").access == {f"repository:{PUBLIC}": ["pull"]}


def all_unavailable(client: Client, logins: Sequence[tuple[str, str]]) -> None:
    """Hold it of each login, at the same time: what is public is known for 45 s from a watch on."""
    with ThreadPoolExecutor(len(logins)) as pool:
        list(pool.map(lambda login: unavailable(client, login), logins))


def unavailable(client: Client, login: tuple[str, str]) -> None:
    """Hold that a request is answered 503, says when to come again, and is answered in time."""
    began = time.monotonic()
    answer = client.get("repository:town/hall:pull,push", login=login)
    assert answer.status == 503, answer.body
    assert int(answer.headers["retry-after"]) >= 1
    assert time.monotonic() - began < ANSWER_SECONDS


def _unknown(login: tuple[str, str]) -> tuple[str, str]:
    """Return a credential that the server has not seen, and that no API server would take."""
    head, payload, _ = login[1].split(".")
    return "", f"{head}.{payload}.{'A' * 86}"


def _made(cluster: Cluster) -> bool:
    with contextlib.suppress(UnavailableError, NotFoundError):
        cluster.create(repository(PUBLIC, private=False))
        return True
    return False


def _answers(cluster: Cluster) -> bool:
    with contextlib.suppress(SealosHubError):
        cluster.whoami()
        return True
    return False
