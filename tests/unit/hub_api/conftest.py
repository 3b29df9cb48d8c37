"""An embedded API with TLS in a thread of this process, users with tokens, and a small kind."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sealoshub.hub.api import pki
from sealoshub.hub.api.rbac import MASTERS
from sealoshub.hub.api.server import ApiConfig, make_server
from tests.integration.servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealoshub.hub.api.engine import Engine

SECONDS = 60.0  # for what takes milliseconds; the machine may be busy

Body = dict[str, Any]
THINGS = "/apis/x.io/v1/namespaces/default/things"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
SCHEMA: Body = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "default": 3, "minimum": 1, "maximum": 5},
                "s": {"type": "string", "pattern": "^a+$", "maxLength": 4},
                "color": {"type": "string", "enum": ["red", "blue"]},
                "tags": {
                    "type": "array",
                    "x-kubernetes-list-type": "set",
                    "items": {"type": "string"},
                },
                "members": {
                    "type": "array",
                    "maxItems": 3,
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "role": {"type": "string"}},
                        "x-kubernetes-validations": [
                            {"rule": "self.name != 'root'", "message": "not root"}
                        ],
                    },
                },
            },
            "x-kubernetes-validations": [
                {"rule": "self.n >= oldSelf.n", "messageExpression": "'was ' + string(oldSelf.n)"},
                {
                    "rule": "!has(self.color) || self.color != 'blue'",
                    "message": "blue is forbidden",
                    "fieldPath": ".color",
                    "reason": "FieldValueForbidden",
                },
            ],
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


@dataclass(frozen=True, slots=True)
class Client:
    """One user's client."""

    http: httpx.Client
    token: str | None

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        kind: str = "application/json",
        **headers: str,
    ) -> httpx.Response:
        """Send a request; header names have underscores here."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            sent["authorization"] = f"Bearer {self.token}"
        if body is not None:
            sent["content-type"] = kind
        if isinstance(body, (str, bytes)):
            return self.http.request(method, path, content=body, headers=sent)
        return self.http.request(method, path, json=body, headers=sent)


@dataclass(frozen=True, slots=True)
class Api:
    """The API with its users: `admin` may everything, `alice` and `bob` nothing yet."""

    engine: Engine
    admin: Client
    alice: Client
    bob: Client
    nobody: Client
    folder: Path
    url: str

    def grant(self, user: str, rules: list[Body], namespace: str = "default") -> None:
        """Give *user* a Role of its own in *namespace*."""
        path = f"{RBAC}/namespaces/{namespace}"
        role = {"metadata": {"name": f"{user}-test"}, "rules": rules}
        binding = {
            "metadata": {"name": f"{user}-test"},
            "roleRef": {"kind": "Role", "name": f"{user}-test"},
            "subjects": [{"kind": "User", "name": user}],
        }
        assert self.admin("POST", f"{path}/roles", role).status_code == 201
        assert self.admin("POST", f"{path}/rolebindings", binding).status_code == 201


@contextlib.contextmanager
def running(folder: Path) -> Iterator[tuple[str, Engine]]:
    """Serve *folder* on a free port; yields the URL and the API's state."""
    port = free_port()
    server, engine = make_server(ApiConfig(folder, port))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + SECONDS
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.005)
        assert server.started
        yield f"https://localhost:{port}", engine
    finally:
        server.should_exit = True
        thread.join(SECONDS)
        engine.store.close()


def trust(folder: Path) -> ssl.SSLContext:
    """Return a context that trusts the hub's CA and nothing else."""
    return ssl.create_default_context(cafile=folder / "pki" / "ca.crt")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API; the tests of a module share it and use names of their own."""
    folder = tmp_path_factory.mktemp("hub")
    pki.ensure_pki(folder / "pki")
    tokens = {
        user: pki.issue_token(folder / "pki", user, groups).reveal()
        for user, groups in (("admin", [MASTERS]), ("alice", ["dev"]), ("bob", []))
    }
    with (
        running(folder) as (url, engine),
        httpx.Client(base_url=url, verify=trust(folder), trust_env=False, timeout=SECONDS) as http,
    ):
        users = {user: Client(http, token) for user, token in tokens.items()}
        yield Api(engine, **users, nobody=Client(http, None), folder=folder, url=url)


@pytest.fixture(scope="module")
def things(api: Api) -> Api:
    """The API with the kind Thing."""
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.x.io"},
        "spec": {
            "group": "x.io",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": "N", "type": "integer", "jsonPath": ".spec.n"}
                    ],
                    "schema": {"openAPIV3Schema": SCHEMA},
                }
            ],
        },
    }
    assert api.admin("POST", CRDS, crd).status_code == 201
    return api


def thing(name: str, **spec: object) -> Body:
    """Return a Thing."""
    return {
        "apiVersion": "x.io/v1",
        "kind": "Thing",
        "metadata": {"name": name},
        "spec": spec,
    }
