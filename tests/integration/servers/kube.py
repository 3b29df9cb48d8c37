"""A real kube-apiserver with its etcd, and nothing else of Kubernetes."""

from __future__ import annotations

import base64
import contextlib
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

import httpx
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration.servers.authority import Authority, private_pem, public_pem
from tests.integration.servers.process import POLL_SECONDS, Server, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

ISSUER: Final = "https://kubernetes.default.svc"
REQUEST_SECONDS: Final = 30.0
_TERMINATING: Final = "/api/v1/namespaces?fieldSelector=status.phase%3DTerminating"
# Resources in a namespace that tests make; the real namespace controller asks discovery.
_NAMESPACED: Final = (
    "api/v1/namespaces/{}/configmaps",
    "api/v1/namespaces/{}/secrets",
    "api/v1/namespaces/{}/serviceaccounts",
    "apis/coordination.k8s.io/v1/namespaces/{}/leases",
    "apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "apis/imagehub.sealos.io/v1/namespaces/{}/logins",
)


class KubeApiServer:
    """A cluster that is only an API server; a context manager that starts and stops it.

    There is no controller-manager: no `default` ServiceAccount is made and legacy token Secrets
    stay empty. Namespaces, however, end: a thread does what the namespace controller would.

    Args:
        etcd: Path of the program.
        kube_apiserver: Path of the program.
        folder: Empty folder for its files; a memory file system makes it quick.
        env: Environment of both programs.
        flags: Further flags of the API server.
    """

    def __init__(
        self,
        etcd: Path,
        kube_apiserver: Path,
        folder: Path,
        env: Mapping[str, str],
        flags: Sequence[str] = (),
    ) -> None:
        self._flags = flags
        self._programs = (etcd, kube_apiserver)
        self._env = env
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._client_authority = Authority.create("clients")
        self._server_authority = Authority.create("servers")
        self.etcd_url = f"http://127.0.0.1:{free_port()}"
        self._issued = 0
        self.admin: httpx.Client
        self._server: Server
        self._etcd: Server
        self._port = free_port()
        self.url = f"https://localhost:{self._port}"
        self.ca_file = folder / "ca.crt"
        self.service_account_key = folder / "service-accounts.key"
        self.admin_kubeconfig = folder / "admin.kubeconfig"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def issue_kubeconfig(
        self, user: str, groups: Sequence[str] = (), seconds: float = 3600
    ) -> Path:
        """Issue a client certificate and return a kubeconfig that holds it.

        Args:
            user: User name as the API server will know it.
            groups: Groups of the user.
            seconds: How long it is valid; negative for a certificate that has expired.
        """
        certificate, key = self._client_authority.client(user, groups, seconds)
        return self.write_kubeconfig(
            user,
            {
                "client-certificate-data": _base64(certificate),
                "client-key-data": _base64(key),
            },
        )

    def token_kubeconfig(self, user: str, token: str) -> Path:
        """Return a kubeconfig that holds the bearer token *token*."""
        return self.write_kubeconfig(user, {"token": token})

    def write_kubeconfig(self, name: str, user: Mapping[str, Any]) -> Path:
        """Return a kubeconfig of its own for this server and the `user` section *user*."""
        self._issued += 1
        path = (
            self._folder / f"{self._issued}-{name.replace('/', '_').replace(':', '_')}.kubeconfig"
        )
        _write(path, yaml.safe_dump(self._kubeconfig(name, user)).encode())
        return path

    def request(
        self, method: str, path: str, body: object = None, *, expect: Sequence[int] = (200, 201)
    ) -> Any:  # noqa: ANN401  # a Kubernetes object
        """Send a request as administrator and return the object of the answer.

        Raises:
            AssertionError: The status is not one of *expect*.
        """
        kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        answer = self.admin.request(method, path, json=body, headers={"Content-Type": kind})
        assert answer.status_code in expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def namespace(self, name: str) -> None:
        """Make the namespace *name* if it is not there."""
        body = {"metadata": {"name": name}}
        self.request("POST", "/api/v1/namespaces", body, expect=(201, 409))

    def service_account(
        self, namespace: str, name: str, audiences: Sequence[str] = (), seconds: int = 3600
    ) -> str:
        """Make a ServiceAccount if it is not there and return a token for it.

        Args:
            namespace: Its namespace, which is made if it is not there.
            name: Its name.
            audiences: Audiences of the token; empty for the API server itself.
            seconds: How long the token is valid, at least 600.
        """
        self.namespace(namespace)
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.request("POST", path, {"metadata": {"name": name}}, expect=(201, 409))
        spec = {"audiences": list(audiences), "expirationSeconds": seconds}
        token: str = self.request("POST", f"{path}/{name}/token", {"spec": spec})["status"]["token"]
        return token

    def kubectl(
        self, kubectl: Path, kubeconfig: Path, *arguments: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl with *kubeconfig*."""
        return subprocess.run(
            [
                kubectl,
                "--kubeconfig",
                kubeconfig,
                "--cache-dir",
                self._folder / "kubectl",
                *arguments,
            ],
            env=dict(self._env),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def pid(self) -> int:
        """Process id of the API server."""
        return self._server.pid

    def pause(self) -> None:
        """Let the API server hang."""
        self._server.pause()

    def resume(self) -> None:
        """End :meth:`pause`."""
        self._server.resume()

    def pause_storage(self) -> None:
        """Let etcd hang: the API server goes on with what it remembers."""
        self._etcd.pause()

    def resume_storage(self) -> None:
        """End :meth:`pause_storage`."""
        self._etcd.resume()

    def kill(self) -> None:
        """End the API server as a crash would."""
        self._server.kill()

    def restart(self) -> None:
        """Kill the API server and start it again, on the same port and data."""
        self._server.kill()
        self._start_api()

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        peer = f"http://127.0.0.1:{free_port()}"
        self._etcd = etcd = Server(
            [
                self._programs[0],
                f"--data-dir={self._folder / 'etcd'}",
                f"--listen-client-urls={self.etcd_url}",
                f"--advertise-client-urls={self.etcd_url}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--unsafe-no-fsync",  # nothing here outlives the tests
                "--quota-backend-bytes=8589934592",  # for benchmarks
                "--log-level=warn",
            ],
            self._folder / "etcd.log",
            self._env,
        )
        self._stack.enter_context(etcd)
        self._write_keys()
        etcd.wait_ready(lambda: _answers(f"{self.etcd_url}/health"))
        self._start_api()
        self._stack.callback(self._stop_api)
        self.admin = self._stack.enter_context(self.new_client())
        finaliser = _NamespaceFinaliser(self.new_client())
        self._stack.callback(finaliser.stop)
        finaliser.start()

    def _stop_api(self) -> None:
        self._server.stop()  # the one that runs now: a test may have restarted it

    def _start_api(self) -> None:
        folder = self._folder
        self._server = Server(
            [
                self._programs[1],
                f"--etcd-servers={self.etcd_url}",
                "--bind-address=127.0.0.1",
                f"--secure-port={self._port}",
                f"--cert-dir={folder / 'generated'}",
                f"--tls-cert-file={folder / 'server.crt'}",
                f"--tls-private-key-file={folder / 'server.key'}",
                f"--client-ca-file={folder / 'client-ca.crt'}",
                f"--service-account-issuer={ISSUER}",
                f"--service-account-key-file={folder / 'service-accounts.pub'}",
                f"--service-account-signing-key-file={self.service_account_key}",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--authorization-mode=RBAC",
                # It waits for a ServiceAccount `default`, which only the controller-manager makes.
                "--disable-admission-plugins=ServiceAccount",
                "--v=1",
                *self._flags,
            ],
            folder / "kube-apiserver.log",
            self._env,
        )
        with self.new_client() as client:
            self._server.wait_ready(lambda: _answers("/readyz", client))

    def _write_keys(self) -> None:
        folder = self._folder
        certificate, key = self._server_authority.server(["localhost", "127.0.0.1"])
        accounts = ec.generate_private_key(ec.SECP256R1())
        _write(self.ca_file, self._server_authority.pem)
        _write(folder / "client-ca.crt", self._client_authority.pem)
        _write(folder / "server.crt", certificate)
        _write(folder / "server.key", key)
        _write(self.service_account_key, private_pem(accounts))
        _write(folder / "service-accounts.pub", public_pem(accounts))
        admin, admin_key = self._client_authority.client("admin", ["system:masters"], 24 * 3600)
        _write(folder / "admin.crt", admin)
        _write(folder / "admin.key", admin_key)
        section = {
            "client-certificate-data": _base64(admin),
            "client-key-data": _base64(admin_key),
        }
        _write(self.admin_kubeconfig, yaml.safe_dump(self._kubeconfig("admin", section)).encode())

    def new_client(self) -> httpx.Client:
        """Return a client that asks as administrator."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.load_cert_chain(self._folder / "admin.crt", self._folder / "admin.key")
        return httpx.Client(
            base_url=self.url, verify=context, timeout=REQUEST_SECONDS, trust_env=False
        )

    def _kubeconfig(self, name: str, user: Mapping[str, Any]) -> dict[str, Any]:
        authority = _base64(self.ca_file.read_bytes())
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [
                {
                    "name": "tests",
                    "cluster": {"server": self.url, "certificate-authority-data": authority},
                }
            ],
            "users": [{"name": name, "user": dict(user)}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": name}}],
        }


class _NamespaceFinaliser:
    """Ends namespaces that are being deleted, which is the controller-manager's work."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="namespaces", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._stopped.wait(5 * POLL_SECONDS):
            # The API server may be paused or restarted by a test; the next round is soon.
            with contextlib.suppress(httpx.HTTPError, ValueError):
                for item in self._client.get(_TERMINATING).json().get("items", []):
                    self._finalise(item["metadata"]["name"])

    def _finalise(self, name: str) -> None:
        for path in _NAMESPACED:
            self._client.delete(f"/{path.format(quote(name))}")
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}}
        self._client.put(f"/api/v1/namespaces/{quote(name)}/finalize", json=body)


def _answers(url: str, client: httpx.Client | None = None) -> bool:
    try:
        answer = httpx.get(url, trust_env=False) if client is None else client.get(url)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
