"""The manifests of a hub in a cluster fit together, and fit the programs that they start."""

from __future__ import annotations

import base64
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
import yaml

from sealoshub.authserver import config, keys
from sealoshub.cli.hub import app
from sealoshub.errors import InvalidInputError
from sealoshub.hub import manifests
from sealoshub.imagehub import install
from sealoshub.imagehub.controller import pace
from sealoshub.imagehub.names import HUB_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

Obj = dict[str, Any]


def rendered(overlay: str, **options: Any) -> list[Obj]:  # noqa: ANN401  # those of render
    """Return the objects of an overlay."""
    return list(yaml.safe_load_all(manifests.render(overlay, **options)))


@pytest.fixture(scope="module", params=manifests.OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[Obj]:
    """Each overlay, with everything in it."""
    return rendered(request.param, monitor=True)


def of(objects: list[Obj], kind: str) -> dict[str, Obj]:
    """Return the objects of one kind by name."""
    return {obj["metadata"]["name"]: obj for obj in objects if obj["kind"] == kind}


def containers(objects: list[Obj]) -> Iterator[tuple[Obj, Obj]]:
    """Yield every container with the specification of its pod."""
    for deployment in of(objects, "Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        for container in pod["containers"]:
            yield pod, container


def test_every_object_is_there_once(objects: list[Obj]) -> None:
    """The overlay has what `hub manifests` prints, and nothing twice."""
    keys_of = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(keys_of) == len(set(keys_of))
    assert install.manifests() == objects[: len(install.manifests())]


def test_private_names_leave_one_binding_away() -> None:
    """Everything else is the same, and the role is there to be bound to somebody."""
    for overlay in manifests.OVERLAYS:
        open_hub, closed = rendered(overlay), rendered(overlay, private_names=True)
        (left,) = [obj for obj in open_hub if obj not in closed]
        assert install.is_reader_binding(left)
        assert [obj for obj in open_hub if obj != left] == closed
    assert install.manifests(private_names=True) == closed[: len(install.manifests()) - 1]


def test_options_are_those_of_the_programs(objects: list[Obj]) -> None:
    """What a pod runs is a command of ours with options that it has."""
    command = typer.main.get_command(app)
    started = []
    for _, container in containers(objects):
        if "command" in container:
            assert container["command"] == ["sealoshub"]
            assert container["args"][0] == "hub"
            name, *arguments = container["args"][1:]
            found = command.get_command(None, name)  # type: ignore[attr-defined]  # a group
            context = found.make_context(name, list(arguments))
            started.append((name, context.params))
    assert [name for name, _ in started] == ["auth-server", "controller"]
    options = started[1][1]
    assert options["leader_election"] is True
    assert options["health_host"] == "0.0.0.0"
    assert options["sweep_rate"] == pace.RATE


def test_the_token_server_takes_its_configuration(objects: list[Obj], tmp_path: Path) -> None:
    """The ConfigMap is a configuration without a fault, and agrees with ports and mounts."""
    text = of(objects, "ConfigMap")["imagehub-auth-server"]["data"]["auth-server.yaml"]
    file = tmp_path / "auth-server.yaml"
    file.write_text(text)
    loaded = config.load(file)
    pod = of(objects, "Deployment")["imagehub-auth-server"]["spec"]["template"]["spec"]
    ports = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
    assert loaded.listen.port == ports["http"]
    assert loaded.metrics_listen is not None
    assert loaded.metrics_listen.port == ports["metrics"]
    mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    assert str(loaded.keys_dir) in mounts
    assert loaded.events_token_file is not None
    assert str(loaded.events_token_file.parent) in mounts
    assert loaded.drain_seconds < pod["terminationGracePeriodSeconds"]


def test_pods_are_confined(objects: list[Obj]) -> None:
    """No pod runs as root, writes to its image, gains a privilege, or lives without a probe."""
    found = list(containers(objects))
    assert len(found) == 3
    for pod, container in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"readinessProbe", "livenessProbe"} <= set(container)
        assert "memory" in container["resources"]["limits"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_everything_that_is_named_is_there(objects: list[Obj]) -> None:
    """Selectors find pods; services, ingress and monitor name ports; accounts and maps exist."""
    pods = {
        name: deployment["spec"]["template"]
        for name, deployment in of(objects, "Deployment").items()
    }
    services = of(objects, "Service")
    for name, service in services.items():
        labels = pods[name]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        ports = {port["name"] for port in pods[name]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for name, budget in of(objects, "PodDisruptionBudget").items():
        wanted = budget["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= pods[name]["metadata"]["labels"].items()
        assert of(objects, "Deployment")[name]["spec"]["replicas"] > budget["spec"]["minAvailable"]
    for pod in pods.values():
        account = pod["spec"]["serviceAccountName"]
        assert account in of(objects, "ServiceAccount")
        for volume in pod["spec"]["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in of(objects, "ConfigMap")
    for rule in of(objects, "Ingress")["imagehub"]["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            ports = {port["name"] for port in services[backend["name"]]["spec"]["ports"]}
            assert backend["port"]["name"] in ports


def test_everything_that_has_metrics_is_measured(objects: list[Obj]) -> None:
    """A monitor leads by a service to a port that a policy lets in; there is one for each."""
    deployments = of(objects, "Deployment")
    services = of(objects, "Service")
    policies = of(objects, "NetworkPolicy")
    monitors = of(objects, "ServiceMonitor")
    assert set(monitors) == {"imagehub-auth-server", "imagehub-controller"}
    for name, monitor in monitors.items():
        assert set(monitor["spec"]) == {"selector", "endpoints"}
        wanted = monitor["spec"]["selector"]["matchLabels"]
        (service,) = (
            found
            for found in services.values()
            if wanted.items() <= found["metadata"]["labels"].items()
        )
        (endpoint,) = monitor["spec"]["endpoints"]
        ports = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
        target = ports[endpoint["port"]]
        assert endpoint["path"] == "/metrics"
        pod = deployments[name]["spec"]["template"]
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        (container,) = pod["spec"]["containers"]
        assert target in {port["name"] for port in container["ports"]}
        policy = policies[name]["spec"]
        chosen = policy["podSelector"]["matchLabels"]
        assert chosen.items() <= pod["metadata"]["labels"].items()
        (rule,) = policy["ingress"]
        assert {"protocol": "TCP", "port": target} in rule["ports"]


def test_the_controller_is_probed_and_measured_where_it_listens(objects: list[Obj]) -> None:
    """The port of its arguments is the one that probes, service and policy name."""
    pod = of(objects, "Deployment")["imagehub-controller"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (port,) = container["ports"]
    assert f"--health-port={port['containerPort']}" in container["args"]
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert {probe["port"] for probe in probes} == {port["name"]}
    service = of(objects, "Service")["imagehub-controller"]["spec"]
    assert [found["targetPort"] for found in service["ports"]] == [port["name"]]


def test_the_registry_trusts_and_tells_whom_it_should(objects: list[Obj]) -> None:
    """Issuer and service are the token server's, and so is the address of the notifications."""
    registry = yaml.safe_load(of(objects, "ConfigMap")["imagehub-registry"]["data"]["config.yml"])
    text = of(objects, "ConfigMap")["imagehub-auth-server"]["data"]["auth-server.yaml"]
    server = yaml.safe_load(text)
    token = registry["auth"]["token"]
    assert (token["issuer"], token["service"]) == (server["issuer"], server["service"])
    assert registry["storage"]["delete"] == {"enabled": True}
    (_, words) = yaml.safe_load_all(manifests.secrets())
    (endpoint,) = yaml.safe_load(base64.b64decode(words["data"]["endpoints"]))
    service = of(objects, "Service")["imagehub-auth-server"]["spec"]
    port = next(port["port"] for port in service["ports"] if port["name"] == "http")
    where = f"http://imagehub-auth-server.{HUB_NAMESPACE}.svc:{port}/v1/events"
    assert endpoint["url"] == where


def test_secrets_are_those_that_the_pods_mount(objects: list[Obj]) -> None:
    """Every key of a Secret that a pod asks for is printed by `hub secrets`."""
    printed = {obj["metadata"]["name"]: set(obj["data"]) for obj in _secrets()}
    for pod, container in containers(objects):
        for volume in pod["volumes"]:
            if secret := volume.get("secret"):
                items = {item["key"] for item in secret.get("items") or ()}
                assert items <= printed[secret["secretName"]]
        for variable in container["env"]:
            if source := (variable.get("valueFrom") or {}).get("secretKeyRef"):
                assert source["key"] in printed[source["name"]]


def test_secrets_are_new_each_time_and_fit_together(tmp_path: Path) -> None:
    """The registry trusts the key that signs and the next one; kept keys are kept."""
    signing, words = _secrets()
    for name, content in signing["data"].items():
        (tmp_path / name).write_bytes(base64.b64decode(content))
    trusted = yaml.safe_load(base64.b64decode(words["data"]["jwks.json"]))
    known = {key["kid"] for key in trusted["keys"]}
    assert {key.kid for key in keys.load(tmp_path).keys} <= known
    assert len(known) == 1 + manifests.STANDBYS
    assert _secrets()[0]["data"] != signing["data"]
    kept = list(yaml.safe_load_all(manifests.secrets(tmp_path)))
    assert kept[0]["data"] == signing["data"]
    token = base64.b64decode(words["data"]["events-token"]).decode()
    assert f"Bearer {token}" in base64.b64decode(words["data"]["endpoints"]).decode()


def _secrets() -> list[Obj]:
    return list(yaml.safe_load_all(manifests.secrets()))


def test_host_and_image_are_filled_in() -> None:
    """No example is left when both are given."""
    large = manifests.render("s3", host="hub.acme.test", image="acme/sealoshub:1")
    assert manifests.HOST not in large
    objects = list(yaml.safe_load_all(large))
    images = [container["image"] for _, container in containers(objects)]
    assert sorted(images) == ["acme/sealoshub:1", "acme/sealoshub:1", "registry:3"]


@pytest.mark.parametrize("host", ["https://hub.example.org", "a b", "", "hub:443"])
def test_what_is_no_host_is_refused(host: str) -> None:
    """A URL or a port would make a realm that no client finds."""
    with pytest.raises(InvalidInputError, match="not a host name"):
        manifests.render("pvc", host=host)


def test_an_unknown_overlay_is_refused() -> None:
    """The message names those that there are."""
    with pytest.raises(InvalidInputError) as caught:
        manifests.render("nfs")
    assert caught.value.hint == "There are pvc and s3."


@pytest.mark.parametrize(
    ("path", "op", "expected"),
    [
        ("/a/b", "add", {"a": {"b": 1, "l": [1, 2]}}),
        ("/a/l/0", "add", {"a": {"l": [1, 1, 2]}}),
        ("/a/l/1", "replace", {"a": {"l": [1, 1]}}),
        ("/a/x~1y", "add", {"a": {"l": [1, 2], "x/y": 1}}),
    ],
)
def test_patches(path: str, op: str, expected: Obj) -> None:
    """The part of RFC 6902 that our kustomizations use."""
    patch = [{"op": op, "path": path, "value": 1}]
    assert manifests._patched({"a": {"l": [1, 2]}}, patch) == expected


def test_a_patch_of_nothing_is_refused() -> None:
    """So that a manifest that changes does not quietly lose a patch."""
    with pytest.raises(InvalidInputError):
        manifests._patched({}, [{"op": "replace", "path": "/a", "value": 1}])
    with pytest.raises(InvalidInputError):
        manifests._patched({}, [{"op": "move", "path": "/a", "from": "/b"}])


def test_kustomizations_name_what_is_there() -> None:
    """Every file of `deploy/` is used by some overlay or component."""
    root = Path(manifests.__file__).parents[1] / "deploy"
    named = {file.parent / "kustomization.yaml" for file in root.rglob("kustomization.yaml")}
    for file in list(named):
        content = yaml.safe_load(file.read_text())
        words = [*content.get("resources", ()), *(p["path"] for p in content.get("patches", ()))]
        named |= {(file.parent / word).resolve() for word in words}
    assert {file.resolve() for file in root.rglob("*.yaml")} <= {file.resolve() for file in named}
    assert manifests.build(PurePosixPath("deploy/base"))
