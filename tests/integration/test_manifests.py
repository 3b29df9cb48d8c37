"""The manifests of a hub in a cluster, held to kustomize, a real API server and a real registry."""

from __future__ import annotations

import base64
import subprocess
import threading
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
    from collections.abc import Mapping

    from tests.integration.hub import Hub
    from tests.integration.people import Person

DEPLOY = Path(manifests.__file__).parents[1] / "deploy"


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


@pytest.mark.parametrize("hub", ["kube-registry-3"], indirect=True, scope="session")
def test_an_api_server_takes_every_object(hub: Hub) -> None:
    """A real API server would store all of it, and has not a word against any field."""
    first, *others = (
        hub.admin.run(
            "sealoshub", "hub", "manifests", "--overlay", overlay, "--host=hub.test", expect=0
        )
        for overlay in manifests.OVERLAYS
    )
    found = objects(first.stdout)
    wanted = list(found.values())
    for other in others:
        wanted += [obj for key, obj in objects(other.stdout).items() if found.get(key) != obj]
    wanted += objects(hub.admin.run("sealoshub", "hub", "secrets", expect=0).stdout).values()
    done = hub.admin.run(
        "kubectl", "apply", "--server-side", "--force-conflicts", "--dry-run=server",
        "--validate=strict", "-f", "-",
        stdin=yaml.dump_all(wanted, Dumper=yaml.CSafeDumper), expect=0,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == len(wanted)
    assert not done.stderr


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
    """The ConfigMap and the Secret's endpoints work in a registry 3 as they are."""
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
