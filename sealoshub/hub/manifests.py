"""A whole hub for a cluster, rendered from the kustomizations in `sealoshub/deploy/`.

`kubectl apply -k` does the same; this needs nothing but Python, and fills in host and image. Only
what our own kustomizations use is understood: resources, components, and JSON patches (RFC 6902)
or the deletion of one target; a test compares the outcome with that of kustomize.
"""

from __future__ import annotations

import base64
import tempfile
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import yaml

from sealoshub.errors import InvalidInputError
from sealoshub.hub import notifications
from sealoshub.imagehub.names import HUB_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.resources.abc import Traversable

    from sealoshub.kube import Object

OVERLAYS: Final = ("pvc", "s3")
HOST: Final = "hub.example.com"  # in the files
IMAGE: Final = "sealoshub"  # as above
STANDBYS: Final = 1  # keys that the registry knows before one of them signs

_DEPLOY: Final = PurePosixPath("deploy")
_MONITOR: Final = _DEPLOY / "components" / "servicemonitor"
_PRIVATE_NAMES: Final = _DEPLOY / "components" / "private-names"
_DELETE: Final = {"$patch": "delete"}  # of a strategic merge patch


def render(
    overlay: str,
    *,
    host: str | None = None,
    image: str | None = None,
    monitor: bool = False,
    private_names: bool = False,
) -> str:
    """Return everything that a hub needs in a cluster but its secrets, as one YAML stream.

    Args:
        overlay: One of :data:`OVERLAYS`: where the registry's content lies.
        host: Name of the hub, for clients.
        image: Container image of sealoshub.
        monitor: With the ServiceMonitors for the Prometheus operator.
        private_names: Without the right of every user to read the resources.

    Raises:
        InvalidInputError: There is no such overlay, or *host* is no host name.
    """
    if overlay not in OVERLAYS:
        raise InvalidInputError(
            f"there is no overlay {overlay!r}", hint=f"There are {' and '.join(OVERLAYS)}."
        )
    if host is not None and (not host or any(letter in host for letter in "/: \n\"'")):
        raise InvalidInputError(
            f"{host!r} is not a host name", hint="For example hub.example.com, without https://."
        )
    objects = build(_DEPLOY / "overlays" / overlay)
    if monitor:
        objects = _component(objects, _MONITOR)
    if private_names:
        objects = _component(objects, _PRIVATE_NAMES)
    filled = [_filled(obj, host or HOST, image or IMAGE) for obj in objects]
    return yaml.safe_dump_all(filled, sort_keys=False, explicit_start=True, width=100)


def build(folder: PurePosixPath) -> list[Object]:
    """Return the objects of the kustomization in *folder*, a path inside of the package.

    Raises:
        InvalidInputError: A kustomization says something that this does not understand.
    """
    return _component([], folder)


def secrets(host_keys: Path | None = None) -> str:
    """Return the Secrets of a new hub: signing keys, what the registry trusts, passwords.

    They are new each time: apply them once and keep them.

    Args:
        host_keys: Folder with keys of an earlier hub to keep; None makes new ones.

    Raises:
        InvalidInputError: There are no keys in *host_keys*.
    """
    from sealoshub.authserver import keys, rotation  # noqa: PLC0415  # cryptography, 0.2 s

    with tempfile.TemporaryDirectory() as scratch:
        folder = host_keys or Path(scratch) / "keys"
        if host_keys is None:
            keys.ensure(folder)
            rotation.fill(folder, STANDBYS)
        bundle, jwks = Path(scratch) / "token.crt", Path(scratch) / "jwks.json"
        keys.write_registry_files(folder, bundle, jwks)
        signing = {file.name: file.read_bytes() for file in sorted(folder.glob("*.pem"))}
        trust = {"token.crt": bundle.read_bytes(), "jwks.json": jwks.read_bytes()}
    found = [_secret("imagehub-auth-keys", signing), _secret("imagehub-registry", trust | _words())]
    return yaml.safe_dump_all(found, sort_keys=False, explicit_start=True, width=100)


def _words() -> dict[str, bytes]:
    from secrets import token_hex  # noqa: PLC0415  # its name is that of a function here

    events = token_hex(32)
    endpoint = notifications.endpoint(
        f"http://imagehub-auth-server.{HUB_NAMESPACE}.svc:5001", events
    )
    return {
        "http-secret": token_hex(32).encode(),
        "events-token": events.encode(),
        "endpoints": yaml.safe_dump([endpoint], default_flow_style=True, width=10_000).encode(),
    }


def _secret(name: str, data: dict[str, bytes]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": HUB_NAMESPACE,
            "labels": {"app.kubernetes.io/part-of": "sealoshub"},
        },
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def _component(objects: Iterable[Object], folder: PurePosixPath) -> list[Object]:
    """Return *objects* with those of *folder*, changed as it says."""
    content = _load(folder / "kustomization.yaml")[0]
    unknown = set(content) - {"apiVersion", "kind", "resources", "components", "patches"}
    if unknown:
        raise InvalidInputError(f"{folder}: cannot render {', '.join(sorted(unknown))}")
    found = list(objects)
    for name in content.get("resources") or ():
        path = _join(folder, name)
        found += _load(path) if path.suffix == ".yaml" else build(path)
    for name in content.get("components") or ():
        found = _component(found, _join(folder, name))
    for entry in content.get("patches") or ():
        patch = _load(_join(folder, entry["path"]))[0]
        if isinstance(patch, dict):
            if patch.items() & _DELETE.items() != _DELETE.items():
                raise InvalidInputError(f"{folder}: cannot render the patch {entry['path']}")
            found = [obj for obj in found if not _is(obj, entry["target"])]
            continue
        found = [_patched(obj, patch) if _is(obj, entry["target"]) else obj for obj in found]
    return found


def _join(folder: PurePosixPath, name: str) -> PurePosixPath:
    parts = list(folder.parts)
    for word in PurePosixPath(name).parts:
        if word == "..":
            parts.pop()
        else:
            parts.append(word)
    return PurePosixPath(*parts)


def _load(path: PurePosixPath) -> list[Any]:
    where: Traversable = files("sealoshub").joinpath(*path.parts)
    found = yaml.safe_load_all(where.read_text(encoding="utf-8"))
    return [document for document in found if document is not None]


def _is(obj: Object, target: dict[str, str]) -> bool:
    group, _, version = str(obj["apiVersion"]).rpartition("/")
    names = {"group": group, "version": version, "kind": obj["kind"]}
    names["name"] = obj["metadata"]["name"]
    return all(names[key] == value for key, value in target.items())


def _patched(obj: Object, patch: Sequence[dict[str, Any]]) -> Object:
    for step in patch:
        words = [word.replace("~1", "/").replace("~0", "~") for word in step["path"].split("/")[1:]]
        obj = _changed(obj, words, step)
    return obj


def _changed(value: Any, words: Sequence[str], step: dict[str, Any]) -> Any:  # noqa: ANN401  # JSON
    """Return *value* with one `add` or `replace` of RFC 6902 done at *words*."""
    word, rest = words[0], words[1:]
    if step["op"] not in {"add", "replace"}:
        raise InvalidInputError(f"cannot render the patch {step['op']} {step['path']}")
    if isinstance(value, list):
        at = int(word)
        inner = _changed(value[at], rest, step) if rest else step["value"]
        return [*value[:at], inner, *value[at + (rest != [] or step["op"] == "replace") :]]
    if step["op"] == "replace" and word not in value:
        raise InvalidInputError(f"there is nothing at {step['path']} to replace")
    return {**value, word: _changed(value[word], rest, step) if rest else step["value"]}


def _filled(value: Any, host: str, image: str, key: str = "") -> Any:  # noqa: ANN401  # JSON
    if isinstance(value, dict):
        return {name: _filled(item, host, image, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, host, image) for item in value]
    if isinstance(value, str):
        return image if key == "image" and value == IMAGE else value.replace(HOST, host)
    return value
