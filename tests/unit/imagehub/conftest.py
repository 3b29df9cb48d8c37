"""The hub's resources on the embedded API: installed once for a module, with people to try them."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sealoshub.errors import NotFoundError, UnavailableError
from sealoshub.hub.api import pki
from sealoshub.hub.api.rbac import MASTERS
from sealoshub.hub.api.server import ApiConfig, make_server
from sealoshub.imagehub import controller, install
from sealoshub.imagehub.names import API_VERSION, GROUP, object_name
from sealoshub.kube.cluster import Cluster
from sealoshub.kube.kubeconfig import ClusterCredential
from tests.integration.servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sealoshub.kube import Object
    from sealoshub.secret import Secret

DEADLINE = 60.0  # seconds; what is waited for takes milliseconds, but the machine may be busy


def until(condition: Callable[[], Any], what: str) -> Any:  # noqa: ANN401  # whatever it returns
    """Poll *condition* until it is true, and return what it returned."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.005)
    pytest.fail(f"not in {DEADLINE} s: {what}")


def resource(kind: str, name: str, **spec: object) -> Object:
    """Return the resource of *kind* whose `spec.name` is *name*."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": object_name(name)},
        "spec": {"name": name, **spec},
    }


@dataclass(frozen=True, slots=True)
class Api:
    """An embedded API, and a way in for everybody."""

    url: str
    folder: Path
    stack: contextlib.ExitStack

    def cluster(self, user: str, *groups: str) -> Cluster:
        """Return the API as *user* sees it."""
        return self.with_token(pki.issue_token(self.folder / "pki", user, list(groups)), user)

    def with_token(self, token: Secret, source: str) -> Cluster:
        """Return the API as the holder of *token* sees it."""
        credential = ClusterCredential(
            server=self.url,
            ca_pem=(self.folder / "pki" / "ca.crt").read_bytes(),
            insecure_skip_tls_verify=False,
            tls_server_name=None,
            proxy_url=None,
            token=token,
            certificate_pem=None,
            key_pem=None,
            source=source,
            context="test",
            expires=None,
            namespace="default",
        )
        return self.stack.enter_context(Cluster.open(credential))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An embedded API with nothing of the hub in it."""
    folder = tmp_path_factory.mktemp("api")
    pki.ensure_pki(folder / "pki")
    port = free_port()
    server, engine = make_server(ApiConfig(folder, port))
    thread = threading.Thread(target=server.run)
    thread.start()
    with contextlib.ExitStack() as stack:
        try:
            until(lambda: server.started, "the embedded API serves")
            yield Api(f"https://localhost:{port}", folder, stack)
        finally:
            stack.close()
            server.should_exit = True
            thread.join(DEADLINE)
            engine.store.close()


@dataclass(frozen=True, slots=True)
class People:
    """A hub with its administrator, its controller's account and three users."""

    api: Api
    admin: Cluster
    controller: Cluster
    alice: Cluster
    bob: Cluster
    carol: Cluster


@pytest.fixture(scope="module")
def people(api: Api) -> People:
    """The hub installed; no controller runs."""
    admin = api.cluster("admin", MASTERS)
    install.install(admin)
    token, _ = admin.create_token("imagehub-system", "imagehub-controller", [], 3600)
    return People(
        api=api,
        admin=admin,
        controller=api.with_token(token, "controller"),
        alice=api.cluster("alice", "dev"),
        bob=api.cluster("bob", "dev"),
        carol=api.cluster("carol", "ops"),
    )


def allowed(cluster: Cluster, name: str, namespace: str, repository: str, verb: str) -> bool:
    """Ask the question that the token server asks."""
    review = cluster.review(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": name,
                "groups": ["system:authenticated"],
                "resourceAttributes": {
                    "namespace": namespace,
                    "group": GROUP,
                    "resource": "repositories",
                    "name": repository,
                    "verb": verb,
                },
            },
        }
    )
    return review["status"]["allowed"] is True


def bind(admin: Cluster, organization: str, role: str, user: str) -> None:
    """Do what the controller would: make *user* a member of *organization*."""
    namespace = f"hub-{organization}"
    admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    admin.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"{role}-{user}", "namespace": namespace},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": f"imagehub:{role}",
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
    )
    # A real API server sees a new binding some milliseconds later. Every role has `pull`, and the
    # name of the binding says which other verb to wait for.
    verb = {"owner": "manage", "developer": "push"}[role]
    until(lambda: allowed(admin, user, namespace, "app", verb), f"{user} is {role}")


@contextlib.contextmanager
def running(cluster: Cluster, **options: Any) -> Iterator[list[Exception]]:  # noqa: ANN401  # of run
    """Run the controller; yields what it ended with, if it ended by itself."""
    stop = threading.Event()
    ended: list[Exception] = []

    def target() -> None:
        try:
            # How fast a sweep may ask is no matter of most tests.
            controller.run(cluster, stop=stop, **{"sweep_rate": 0, **options})
        except UnavailableError as exc:
            ended.append(exc)

    thread = threading.Thread(target=target)
    thread.start()
    try:
        yield ended
    finally:
        stop.set()
        thread.join(DEADLINE)
        assert not thread.is_alive()


def condition(obj: Object, kind: str = "Ready") -> dict[str, Any]:
    """Return a condition of *obj*; empty if it has none."""
    found = (obj.get("status") or {}).get("conditions") or []
    return next((item for item in found if item["type"] == kind), {})


def ready(cluster: Cluster, kind: str, name: str) -> Object:
    """Wait until the object is ready, and return it."""

    def look() -> Object | None:
        with contextlib.suppress(NotFoundError):
            obj = cluster.get(kind, name)
            if condition(obj).get("status") == "True":
                return obj
        return None

    found: Object = until(look, f"{kind} {name} is ready")
    return found


def gone(cluster: Cluster, kind: str, name: str, namespace: str | None = None) -> bool:
    """Tell whether the object is not there (a namespace: not there or on its way out)."""
    try:
        obj = cluster.get(kind, name, namespace)
    except NotFoundError:
        return True
    return kind == "Namespace" and "deletionTimestamp" in obj["metadata"]
