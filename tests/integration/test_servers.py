"""The bench itself: the real servers run, say who is who, and the real clients speak to them."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.images import oci_layout
from tests.integration.clients import CLIENTS, pulled_digest
from tests.integration.servers.authority import Authority
from tests.integration.servers.process import STOP_SECONDS, Server, wait_until
from tests.integration.servers.registry import RegistryServer, TokenAuth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.integration.clients import StockClient
    from tests.integration.people import Person
    from tests.integration.servers.kube import KubeApiServer

SECONDS: Final = 60.0  # for one answer; the machine may be busy


def whoami(kube: KubeApiServer, kubectl: Path, kubeconfig: Path) -> dict[str, object]:
    """Return the user that the API server sees behind *kubeconfig*."""
    done = kube.kubectl(kubectl, kubeconfig, "auth", "whoami", "--output=json")
    assert done.returncode == 0, done.stderr
    user: dict[str, object] = json.loads(done.stdout)["status"]["userInfo"]
    return user


def test_client_certificate_is_user_and_groups(kube: KubeApiServer, kubectl: Path) -> None:
    """A kubeconfig that the bench issues is the user and the groups that it was issued for."""
    user = whoami(kube, kubectl, kube.issue_kubeconfig("alice@example.com", ["team-a", "team-b"]))
    expected = {
        "username": "alice@example.com",
        "groups": ["team-a", "team-b", "system:authenticated"],
    }
    assert {key: user[key] for key in expected} == expected


def test_expired_certificate_is_refused(kube: KubeApiServer, kubectl: Path) -> None:
    """A kubeconfig that was issued for the past is nobody."""
    kubeconfig = kube.issue_kubeconfig("late", seconds=-60)
    assert kube.kubectl(kubectl, kubeconfig, "auth", "whoami").returncode == 1


def test_service_account_token_is_its_account(kube: KubeApiServer, kubectl: Path) -> None:
    """A token that the bench requests is the ServiceAccount, without a controller-manager."""
    token = kube.service_account("robots", "builder")
    user = whoami(kube, kubectl, kube.token_kubeconfig("builder", token))
    assert user["username"] == "system:serviceaccount:robots:builder"


def test_rbac_judges(kube: KubeApiServer, kubectl: Path) -> None:
    """A user without a binding may nothing, and after a binding what it grants."""
    kubeconfig = kube.issue_kubeconfig("bob")
    question = ("auth", "can-i", "get", "secrets", "--namespace=judged")
    kube.namespace("judged")
    assert kube.kubectl(kubectl, kubeconfig, *question).stdout == "no\n"
    created = kube.kubectl(
        kubectl,
        kube.admin_kubeconfig,
        *("--namespace=judged", "create", "rolebinding", "bob"),
        *("--clusterrole=cluster-admin", "--user=bob"),
    )
    assert created.returncode == 0, created.stderr
    wait_until(
        lambda: kube.kubectl(kubectl, kubeconfig, *question).stdout == "yes\n",
        "the binding to be effective",
    )


def test_both_kinds_of_admission_policy_are_served(kube: KubeApiServer) -> None:
    """Validating and mutating admission policies are there in v1, without a feature gate."""
    served = kube.request("GET", "/apis/admissionregistration.k8s.io/v1")
    names = {resource["name"] for resource in served["resources"]}
    assert {"validatingadmissionpolicies", "mutatingadmissionpolicies"} <= names


def test_namespaces_end(kube: KubeApiServer) -> None:
    """A deleted namespace goes away with what is in it, as with a controller-manager."""
    kube.service_account("short-lived", "somebody")
    kube.request("DELETE", "/api/v1/namespaces/short-lived")
    wait_until(
        lambda: (
            kube.request("GET", "/api/v1/namespaces/short-lived", expect=(200, 404)).get("code")
            == 404
        ),
        "the namespace to end",
    )
    kube.namespace("short-lived")
    accounts = kube.request("GET", "/api/v1/namespaces/short-lived/serviceaccounts")
    assert accounts["items"] == []


def test_data_survives_a_crash_of_the_api_server(
    start_kube: Callable[[], KubeApiServer], kubectl: Path
) -> None:
    """After a kill and a restart the API server has what it had, and knows whom it knew."""
    with start_kube() as kube:
        kubeconfig = kube.issue_kubeconfig("alice")
        kube.namespace("kept")
        kube.restart()
        kube.request("GET", "/api/v1/namespaces/kept")
        assert whoami(kube, kubectl, kubeconfig)["username"] == "alice"


def test_registry_asks_for_a_token(
    registry_binary: Path, tmp_path: Path, server_env: Mapping[str, str]
) -> None:
    """Both registries take one configuration and answer 401 with the challenge that it names."""
    auth = trust(tmp_path)
    with RegistryServer(registry_binary, tmp_path / "registry", server_env, auth=auth) as registry:
        answer = httpx.get(f"{registry.url}/v2/", timeout=SECONDS)
    assert answer.status_code == 401
    expected = f'Bearer realm="{auth.realm}",service="{auth.service}"'
    assert answer.headers["WWW-Authenticate"] == expected


def test_registry_keeps_its_content_after_a_crash(
    registry_binary: Path, tmp_path: Path, server_env: Mapping[str, str]
) -> None:
    """What a registry acknowledged is there after a kill."""
    with RegistryServer(registry_binary, tmp_path / "registry", server_env) as registry:
        upload = httpx.post(f"{registry.url}/v2/o/r/blobs/uploads/", timeout=SECONDS)
        digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        target = httpx.URL(upload.headers["Location"]).copy_merge_params({"digest": digest})
        assert httpx.put(target, content=b"hello", timeout=SECONDS).status_code == 201
        registry.restart()
        stored = httpx.get(f"{registry.url}/v2/o/r/blobs/{digest}", timeout=SECONDS)
        assert stored.content == b"hello"


def test_client_tells_its_version(client: StockClient, somebody: Person) -> None:
    """Every client of the table runs in a home folder of its own."""
    done = client.run_version(somebody)
    assert done.returncode == 0, done.stderr


def test_client_pushes_and_pulls(
    pushing_client: StockClient,
    open_registry: RegistryServer,
    somebody: Person,
    unique: str,
    tmp_path: Path,
) -> None:
    """Every pushing client brings an image of the bench to a registry and back."""
    layout = oci_layout(tmp_path / "layout", seed=7)
    reference = f"{open_registry.host}/{unique}/image:v1"
    pushed = pushing_client.run_push(somebody, layout, reference)
    assert pushed.returncode == 0, pushed.stderr
    pulled = pushing_client.run_pull(somebody, reference, tmp_path / "pulled")
    assert pulled.returncode == 0, pulled.stderr
    if pushing_client.keeps_digest:
        assert pulled_digest(tmp_path / "pulled") == layout.digest


@pytest.mark.parametrize(
    "pushing_client",
    [client for client in CLIENTS if client.push and client.keeps_digest],
    ids=lambda client: client.name,
    indirect=True,
)
def test_client_pushes_and_pulls_an_index(
    pushing_client: StockClient,
    open_registry: RegistryServer,
    somebody: Person,
    unique: str,
    tmp_path: Path,
) -> None:
    """The clients that keep digests bring images of two platforms to a registry and back."""
    layout = oci_layout(tmp_path / "layout", platforms=("linux/amd64", "linux/arm64"))
    reference = f"{open_registry.host}/{unique}/image:v1"
    pushed = pushing_client.run_push(somebody, layout, reference)
    assert pushed.returncode == 0, pushed.stderr
    pulled = pushing_client.run_pull(somebody, reference, tmp_path / "pulled")
    assert pulled.returncode == 0, pulled.stderr
    assert pulled_digest(tmp_path / "pulled") == layout.digest


def test_server_dies_with_the_tests(tmp_path: Path) -> None:
    """A server ends when the process that runs the tests is killed outright."""
    script = (
        "import sys, time, pathlib\n"
        "from tests.integration.servers.process import Server\n"
        f"server = Server(['/bin/sleep', '1000'], pathlib.Path({str(tmp_path / 'log')!r}), {{}})\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as tests:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
        wait_until(lambda: b"sleep" in command_line(pid), "the server to run")
        tests.kill()
        tests.wait()
        wait_until(lambda: command_line(pid) == b"", "the server to end")


def test_server_that_does_not_start_shows_its_log(
    tmp_path: Path, server_env: Mapping[str, str]
) -> None:
    """A server that ends at once fails the test with its last words, not with a time-out."""
    server = Server(["/bin/sh", "-c", "echo no luck; exit 7"], tmp_path / "log", server_env)
    with pytest.raises(AssertionError, match="ended with 7:\nno luck"):
        server.wait_ready(lambda: False)


def test_paused_server_stops_all_the_same(tmp_path: Path, server_env: Mapping[str, str]) -> None:
    """A server that hangs does not keep the tests from ending."""
    with Server(["/bin/sleep", "1000"], tmp_path / "log", server_env) as server:
        server.pause()
        started = time.monotonic()
    assert time.monotonic() - started < STOP_SECONDS, "it was not killed, it ended"
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, signal.SIGCONT)


def command_line(pid: int) -> bytes:
    """Return the command line of a process; empty if it is gone or only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123  # not a file of ours
            return file.read()
    except OSError:
        return b""


def trust(folder: Path) -> TokenAuth:
    """Write the two files of keys that a registry trusts, for a token server that is not there."""
    authority = Authority.create("signing")
    numbers = authority.key.public_key().public_numbers()
    assert isinstance(numbers, ec.EllipticCurvePublicNumbers)
    x, y = (
        base64.urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()
        for number in (numbers.x, numbers.y)
    )
    key = {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "one", "use": "sig", "alg": "ES256"}
    bundle, jwks = folder / "token.crt", folder / "jwks.json"
    bundle.write_bytes(authority.pem)
    jwks.write_text(json.dumps({"keys": [key]}))
    return TokenAuth("http://localhost:1/token", "hub", "sealoshub", bundle, jwks)
