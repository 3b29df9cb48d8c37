"""The manifests of a hub in a cluster, held to kustomize, a real API server and a real registry."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
import textwrap
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from sealoshub.hub import manifests
from tests.images import oci_layout
from tests.integration.servers.process import Server, free_port, wait_until
from tests.real_servers import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.integration.hub import Hub
    from tests.integration.people import Person

DEPLOY = Path(manifests.__file__).parents[1] / "deploy"
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PLAIN: dict[str, Any] = {"trust_env": False, "timeout": 60.0}
ON_KUBE = pytest.mark.parametrize("hub", ["kube-registry-3"], indirect=True, scope="session")
# What the Prometheus operator's definition says of the fields that a ServiceMonitor of ours could
# need: their names and types, which are required, and how a duration is written.
_DURATION = {
    "type": "string",
    "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?"
    "(([0-9]+)ms)?)$",
}
_WORD: dict[str, Any] = {"type": "string"}
_WORDS: dict[str, Any] = {"type": "array", "items": _WORD}
MONITORS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "servicemonitors.monitoring.coreos.com",
    },
    "spec": {
        "group": "monitoring.coreos.com",
        "names": {"kind": "ServiceMonitor", "plural": "servicemonitors"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["endpoints", "selector"],
                                "properties": {
                                    "jobLabel": _WORD,
                                    "targetLabels": _WORDS,
                                    "podTargetLabels": _WORDS,
                                    "selector": {
                                        "type": "object",
                                        "properties": {
                                            "matchLabels": {
                                                "type": "object",
                                                "additionalProperties": _WORD,
                                            },
                                        },
                                    },
                                    "namespaceSelector": {
                                        "type": "object",
                                        "properties": {
                                            "any": {"type": "boolean"},
                                            "matchNames": _WORDS,
                                        },
                                    },
                                    "endpoints": {
                                        "type": "array",
                                        "items": {
                                            "type": "object",
                                            "properties": {
                                                "port": _WORD,
                                                "targetPort": {
                                                    "x-kubernetes-int-or-string": True,
                                                },
                                                "path": _WORD,
                                                "scheme": {
                                                    "type": "string",
                                                    "enum": ["http", "https"],
                                                },
                                                "interval": _DURATION,
                                                "scrapeTimeout": _DURATION,
                                                "honorLabels": {"type": "boolean"},
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


def objects(text: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the objects of a YAML stream by kind, namespace and name."""
    return {
        (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj
        for obj in yaml.load_all(text, yaml.CSafeLoader)
    }


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_kustomize_renders_the_same(overlay: str, kubectl: Path, somebody: Person) -> None:
    """`kubectl kustomize` of the folder gives what `hub manifests --overlay` prints."""
    done = subprocess.run(
        [kubectl, "kustomize", DEPLOY / "overlays" / overlay],
        env=somebody.env(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert objects(done.stdout) == objects(manifests.render(overlay))


def test_kustomize_builds_on_them(kubectl: Path, somebody: Person, tmp_path: Path) -> None:
    """A kustomization beside a copy, with components and an image, as the documentation has it."""
    package = DEPLOY.parent
    for folder in ("deploy", "imagehub/manifests"):
        shutil.copytree(package / folder, tmp_path / "sealoshub" / folder)
    text = (HOW_TO / "deploy-a-hub.md").read_text()
    (block,) = re.findall(r"^```\n(# kustomization.yaml .*?)^```$", text, re.MULTILINE | re.DOTALL)
    own = yaml.safe_load(block)
    own["components"].append("sealoshub/deploy/components/private-names")
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    done = somebody.run(kubectl, "kustomize", tmp_path, expect=0)
    (image,) = own["images"]
    wanted = manifests.render(
        "pvc", image=f"{image['newName']}:{image['newTag']}", monitor=True, private_names=True
    )
    assert objects(done.stdout) == objects(wanted)


@pytest.fixture
def _monitors(hub: Hub) -> Iterator[None]:
    """Let the API server know ServiceMonitors."""
    words = yaml.safe_dump(MONITORS)
    hub.admin.run("kubectl", "apply", "--server-side", "-f", "-", stdin=words, expect=0)
    wait = ("kubectl", "wait", "--for=condition=Established", "--timeout=60s")
    name = f"crd/{MONITORS['metadata']['name']}"
    try:
        hub.admin.run(*wait, name, expect=0)
        wait_until(
            lambda: hub.admin.run("kubectl", "get", "servicemonitors", "-A").returncode == 0,
            "ServiceMonitors to be served",
        )
        yield
    finally:
        hub.admin.run("kubectl", "delete", name, expect=0)


@ON_KUBE
@pytest.mark.usefixtures("_monitors")
def test_an_api_server_takes_every_object(hub: Hub) -> None:
    """A real API server would store all of it, and has not a word against any field.

    That goes for what the documentation says is to be applied besides, too.
    """
    options = ("--host=hub.test", "--monitor")
    first, *others = (
        hub.admin.run("sealoshub", "hub", "manifests", "--overlay", overlay, *options, expect=0)
        for overlay in manifests.OVERLAYS
    )
    found = objects(first.stdout)
    wanted = list(found.values())
    for other in others:
        wanted += [obj for key, obj in objects(other.stdout).items() if found.get(key) != obj]
    wanted += objects(hub.admin.run("sealoshub", "hub", "secrets", expect=0).stdout).values()
    wanted.append(collection_job())
    assert "ServiceMonitor" in {obj["kind"] for obj in wanted}
    done = hub.admin.run(
        "kubectl", "apply", "--server-side", "--force-conflicts", "--dry-run=server",
        "--validate=strict", "-f", "-",
        stdin=yaml.dump_all(wanted, Dumper=yaml.CSafeDumper), expect=0,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == len(wanted)
    assert not done.stderr


def collection_job() -> dict[str, Any]:
    """Return the Job that collects garbage, as the documentation shows it."""
    text = (HOW_TO / "free-space.md").read_text()
    (block,) = re.findall(r"^ *```yaml\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    job: dict[str, Any] = yaml.safe_load(textwrap.dedent(block))
    return job


def test_the_collection_in_a_cluster_fits_the_registry_beside_it() -> None:
    """The documented Job has the registry's image, account, configuration, volume and node."""
    rendered = objects(manifests.render("pvc"))
    where = "imagehub-system"
    deployment = rendered["Deployment", where, "imagehub-registry"]["spec"]["template"]
    job = collection_job()["spec"]["template"]["spec"]
    (beside,) = deployment["spec"]["containers"]
    (container,) = job["containers"]
    same = ("serviceAccountName", "automountServiceAccountToken", "securityContext")
    assert {key: job[key] for key in same} == {key: deployment["spec"][key] for key in same}
    assert container["image"] == beside["image"]
    assert container["securityContext"] == beside["securityContext"]
    assert [m for m in container["volumeMounts"] if m not in beside["volumeMounts"]] == []
    assert [v for v in job["volumes"] if v not in deployment["spec"]["volumes"]] == []
    (term,) = job["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    labels = term["labelSelector"]["matchLabels"]
    assert labels.items() <= deployment["metadata"]["labels"].items()
    assert container["args"][1] == beside["args"][1]


@pytest.mark.parametrize("binary", ["registry", "docker-registry"])
def test_the_documented_variable_makes_a_registry_read_only(
    binary: str, memory_folder: Path, server_env: Mapping[str, str], tmp_path: Path
) -> None:
    """With the ConfigMap's storage it refuses an upload."""
    text = (HOW_TO / "free-space.md").read_text()
    found = re.search(r"(REGISTRY_STORAGE_MAINTENANCE_READONLY)='(.*?)'", text)
    assert found is not None
    rendered = objects(manifests.render("pvc"))
    data = rendered["ConfigMap", "imagehub-system", "imagehub-registry"]["data"]
    content = yaml.safe_load(data["config.yml"])
    port = free_port()
    content["http"] = {"addr": f"localhost:{port}"}
    content["storage"]["filesystem"]["rootdirectory"] = str(memory_folder / f"only-{binary}")
    del content["auth"]
    file = tmp_path / "config.yml"
    file.write_text(yaml.safe_dump(content))
    env = {**server_env, "OTEL_TRACES_EXPORTER": "none", found[1]: found[2]}
    program = need(binary)
    with Server([program, "serve", file], tmp_path / "registry.log", env) as server:
        server.wait_ready(lambda: _answers(f"http://localhost:{port}/v2/"))
        url = f"http://localhost:{port}/v2/org/app/blobs/uploads/"
        assert httpx.post(url, **PLAIN).status_code == httpx.codes.METHOD_NOT_ALLOWED


@ON_KUBE
def test_the_token_server_runs_as_deployed_and_is_measured(
    hub: Hub, server_env: Mapping[str, str], tmp_path: Path
) -> None:
    """ConfigMap, Secret, arguments and probes fit together; the ServiceMonitor finds metrics."""
    rendered = objects(manifests.render("pvc", monitor=True))
    where = "imagehub-system"
    data = rendered["ConfigMap", where, "imagehub-auth-server"]["data"]
    content = yaml.safe_load(data["auth-server.yaml"])
    ports = {"http": free_port(), "metrics": free_port()}
    content |= {
        "listen": f"localhost:{ports['http']}",
        "metrics_listen": f"localhost:{ports['metrics']}",
        "keys_dir": str(tmp_path / "keys"),
        "api": yaml.safe_load((hub.data / "run" / "auth-server.yaml").read_text())["api"],
        "events_token_file": str(tmp_path / "token"),
    }
    signing, words = (obj["data"] for obj in yaml.safe_load_all(manifests.secrets()))
    (tmp_path / "keys").mkdir()
    for name, value in signing.items():
        (tmp_path / "keys" / name).write_bytes(base64.b64decode(value))
    (tmp_path / "token").write_bytes(base64.b64decode(words["events-token"]))
    file = tmp_path / "auth-server.yaml"
    file.write_text(yaml.safe_dump(content))
    template = rendered["Deployment", where, "imagehub-auth-server"]["spec"]["template"]["spec"]
    (container,) = template["containers"]
    arguments = [str(file) if word.startswith("/etc/") else word for word in container["args"]]
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    (endpoint,) = rendered["ServiceMonitor", where, "imagehub-auth-server"]["spec"]["endpoints"]
    command = [sys.executable, "-m", "sealoshub", *arguments]
    with Server(command, tmp_path / "auth-server.log", server_env) as server:
        for path, port in [(p["path"], p["port"]) for p in probes]:
            url = f"http://localhost:{ports[port]}{path}"
            server.wait_ready(partial(_answers, url))
        metrics = f"http://localhost:{ports[endpoint['port']]}{endpoint['path']}"
        answer = httpx.get(metrics, **PLAIN)
        assert answer.status_code == httpx.codes.OK
        assert "# TYPE sealoshub_" in answer.text
        outside = f"http://localhost:{ports['http']}{endpoint['path']}"
        assert httpx.get(outside, **PLAIN).status_code == httpx.codes.NOT_FOUND


class Receiver(ThreadingHTTPServer):
    """Takes notifications and remembers who sent them."""

    def __init__(self) -> None:
        self.bearers: list[str] = []
        super().__init__(("localhost", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:  # the name that the standard library calls
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bearers.append(self.headers["Authorization"])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # inherited name
        """Say nothing."""


def test_the_registry_takes_its_configuration_and_tells_what_was_pushed(
    memory_folder: Path, server_env: Mapping[str, str], somebody: Person, tmp_path: Path
) -> None:
    """The ConfigMap and the Secret's endpoints work in a registry 3 as they are.

    So they do for its collection, which finds nothing to delete in an image.
    """
    rendered = objects(manifests.render("pvc"))
    data = rendered["ConfigMap", "imagehub-system", "imagehub-registry"]["data"]
    content = yaml.safe_load(data["config.yml"])
    port = free_port()
    content["http"]["addr"] = f"localhost:{port}"
    del content["http"]["host"]  # of the ingress
    content["storage"]["filesystem"]["rootdirectory"] = str(memory_folder / "deployed")
    del content["auth"]  # of the files that a pod would mount
    file = tmp_path / "config.yml"
    file.write_text(yaml.safe_dump(content))
    secret = list(yaml.safe_load_all(manifests.secrets()))[1]["data"]
    endpoints = base64.b64decode(secret["endpoints"]).decode()
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.05,))
        thread.start()
        where = f"http://localhost:{receiver.server_address[1]}/v1/events"
        told = endpoints.replace(yaml.safe_load(endpoints)[0]["url"], where)
        env = {
            **server_env,
            "OTEL_TRACES_EXPORTER": "none",
            "REGISTRY_NOTIFICATIONS_ENDPOINTS": told,
            "REGISTRY_HTTP_SECRET": base64.b64decode(secret["http-secret"]).decode(),
        }
        log = tmp_path / "registry.log"
        try:
            with Server([need("registry"), "serve", file], log, env) as server:
                server.wait_ready(lambda: _answers(f"http://localhost:{port}/v2/"))
                layout = oci_layout(tmp_path / "image")
                somebody.run("crane", "push", layout.path, f"localhost:{port}/org/app:v1", expect=0)
                wait_until(lambda: len(receiver.bearers) > 0, "a notification")
                name, _ = collection_job()["spec"]["template"]["spec"]["containers"][0]["args"]
                collect = [need("registry"), name, "--dry-run", file]
                said = subprocess.run(collect, env=env, capture_output=True, text=True, check=True)
                assert "0 blobs and 0 manifests eligible for deletion" in said.stdout
        finally:
            receiver.shutdown()
            thread.join()
    expected = base64.b64decode(secret["events-token"]).decode()
    assert set(receiver.bearers) == {f"Bearer {expected}"}


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
