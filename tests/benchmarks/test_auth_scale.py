"""What a decision costs when the cluster holds very many organisations and repositories.

On a real API server of its own. They are written into etcd as they lie there, some thousand a
second: the API server itself takes some hundred, and 100,000 of each would take ten minutes.

It is long, so it runs only if it is asked for: `make bench-auth BENCH_ONLY=scale`.
"""

from __future__ import annotations

import base64
import json
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from sealoshub.imagehub.install import install
from sealoshub.kube.cluster import Cluster
from tests.attacks.target import Target
from tests.benchmarks import wrk
from tests.benchmarks.test_auth import MICRO, OK, Case, Place, basic, measure, signature_seconds
from tests.integration.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.integration.servers.kube import KubeApiServer

    Publish = Callable[[str, Sequence[dict[str, Any]]], None]

COUNTS: Final = (10, 1_000, 100_000)
WITH_RIGHTS: Final = 1_000  # so many organisations have a Namespace and a RoleBinding, and the last
AT_ONCE: Final = 100  # puts of one transaction; etcd takes 128
CONNECTIONS: Final = 8
COLD: Final = 60
PATIENCE: Final = 600.0
GROUP: Final = "imagehub.sealos.io"
RBAC: Final = "rbac.authorization.k8s.io"


@pytest.mark.timeout(3000)
@pytest.mark.skipif(os.environ.get("BENCH_ONLY") != "scale", reason="BENCH_ONLY=scale runs it")
def test_scale(
    start_kube: Callable[[], KubeApiServer],
    memory_folder: Path,
    server_env: Mapping[str, str],
    publish: Publish,
) -> None:
    """A decision and a login cost the same, whatever is there; names cost memory."""
    wrk.program()
    signature = signature_seconds()
    rows = []
    with start_kube() as kube:
        api = _prepared(kube, memory_folder)
        there = 0
        for count in COUNTS:
            _write(kube.etcd_url, range(there, count))
            there = count
            wait_until(lambda: _is_listed(kube), "the API server to have seen all", PATIENCE)
            target = Target(memory_folder / f"at-{count}", api, server_env)
            rows.append(_row(kube, target, count, signature))
    publish("auth-scale", rows)


def _prepared(kube: KubeApiServer, folder: Path) -> dict[str, str]:
    """Install the resources and the roles; return how a token server reaches the API."""
    with Cluster.open_kubeconfig(kube.admin_kubeconfig) as cluster:
        install(cluster)
    name = "imagehub-auth-server"
    token = kube.service_account("imagehub-system", name, seconds=24 * 3600)
    file = folder / "scale-token"
    file.write_text(token)
    return {"server": kube.url, "ca_file": str(kube.ca_file), "token_file": str(file)}


def _row(kube: KubeApiServer, target: Target, count: int, signature: float) -> dict[str, Any]:
    """Measure a token server that starts now.

    Args:
        kube: Its API server.
        target: The token server.
        count: How many organisations there are.
        signature: CPU seconds of a bare signature.
    """
    last = f"bench-{count - 1}"
    # Its rights are those of a member of the last organisation.
    kubeconfig = kube.issue_kubeconfig(f"owner-{count - 1}").read_bytes()
    owner = basic("", base64.b64encode(kubeconfig).decode())
    began = time.monotonic()
    with target, httpx.Client(timeout=30, trust_env=False) as client:
        url = f"http://127.0.0.1:{target.port}/token"

        def granted(scope: str, headers: Mapping[str, str]) -> bool:
            query = {"service": "hub", "scope": scope}
            answer = client.get(url, params=query, headers=dict(headers))
            return answer.status_code == OK and scope in answer.json()["scope"]

        public, private = f"repository:{last}/app:pull", f"repository:{last}/own:pull,push"
        wait_until(lambda: granted(public, {}), "the last repository to be known", PATIENCE)
        known = time.monotonic() - began
        wait_until(lambda: granted(private, owner), "the last binding to be known", PATIENCE)
        place = Place(url, target.pid, kube.pid, target.folder)
        warm = [
            measure(Case(name, scope, headers), place, CONNECTIONS)
            for name, scope, headers in (("public", public, {}), ("owner", private, dict(owner)))
        ]
        before = wrk.cpu_seconds(kube.pid)
        with ThreadPoolExecutor(4) as pool:
            scopes = [f"repository:{last}/r{number}:push" for number in range(COLD)]
            waits = sorted(pool.map(lambda scope: _seconds(granted, scope, owner), scopes))
        cold = (wrk.cpu_seconds(kube.pid) - before) / COLD
        return {
            "organisations and repositories": f"{count:,}",
            "ready after s": round(known, 1),
            "memory, MB": round(wrk.resident(target.pid) / 1e6),
            "public pull, CPU µs": round(warm[0].cpu * MICRO),
            "certificate, CPU µs": round(warm[1].cpu * MICRO),
            "in signatures": round(warm[1].cpu / signature, 1),
            "new decision, p50 ms": round(waits[len(waits) // 2] * 1000, 1),
            "API server CPU µs": round(cold * MICRO),
        }


def _seconds(
    granted: Callable[[str, Mapping[str, str]], bool], scope: str, headers: Mapping[str, str]
) -> float:
    began = time.perf_counter()
    assert granted(scope, headers)
    return time.perf_counter() - began


@dataclass(frozen=True)
class _Stored:
    """An object, and where etcd has it."""

    path: str
    body: dict[str, Any]


def _is_listed(kube: KubeApiServer) -> bool:
    """Tell whether the API server lists, page by page, which it refuses while it is behind etcd."""
    query = {"limit": "10"}
    for _ in range(2):
        path = f"/apis/{GROUP}/v1/repositories"
        answer = kube.admin.get(path, params=query, timeout=60)
        if answer.status_code != OK:
            return False
        query["continue"] = answer.json()["metadata"].get("continue", "")
        if not query["continue"]:
            break
    return True


def _objects(number: int, last: int) -> Iterator[_Stored]:
    """Return what belongs to one organisation."""
    name, owner = f"bench-{number}", f"owner-{number}"
    if number < WITH_RIGHTS or number == last:
        yield from _rights(name, owner)
    member = {"kind": "User", "name": owner, "role": "owner"}
    spec: dict[str, Any] = {"name": name, "creator": owner, "members": [member]}
    yield _Stored(
        f"{GROUP}/organizations/{name}", _object(f"{GROUP}/v1", "Organization", name, spec=spec)
    )
    spec = {"name": f"{name}/app", "isPrivate": False, "creator": owner}
    yield _Stored(
        f"{GROUP}/repositories/{name}.app",
        _object(f"{GROUP}/v1", "Repository", f"{name}.app", spec=spec),
    )


def _rights(name: str, owner: str) -> Iterator[_Stored]:
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "imagehub:owner"}
    subject = {"apiGroup": RBAC, "kind": "User", "name": owner}
    yield _Stored(
        f"namespaces/hub-{name}",
        _object("v1", "Namespace", f"hub-{name}", spec={"finalizers": ["kubernetes"]}),
    )
    yield _Stored(
        f"rolebindings/hub-{name}/imagehub:owner",
        _object(f"{RBAC}/v1", "RoleBinding", "imagehub:owner", roleRef=role, subjects=[subject])
        | {"metadata": _metadata("imagehub:owner") | {"namespace": f"hub-{name}"}},
    )


def _object(version: str, kind: str, name: str, **rest: object) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": _metadata(name), **rest}


def _metadata(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "uid": str(uuid.uuid4()),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 1,
    }


def _write(etcd: str, numbers: range) -> None:
    """Put what belongs to these organisations into etcd (v3 JSON gateway)."""
    puts = (
        {"requestPut": {"key": _encoded(f"/registry/{one.path}"), "value": _encoded(one.body)}}
        for number in numbers
        for one in _objects(number, numbers[-1])
    )
    with httpx.Client(base_url=etcd, trust_env=False, timeout=60) as client:
        batch: list[dict[str, Any]] = []
        for put in puts:
            batch.append(put)
            if len(batch) == AT_ONCE:
                client.post("/v3/kv/txn", json={"success": batch}).raise_for_status()
                batch = []
        if batch:
            client.post("/v3/kv/txn", json={"success": batch}).raise_for_status()


def _encoded(content: str | dict[str, Any]) -> str:
    text = content if isinstance(content, str) else json.dumps(content) + "\n"
    return base64.b64encode(text.encode()).decode()
