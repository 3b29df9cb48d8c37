"""Row 30: notifications that no registry sent, or that it sent long ago."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from sealoshub.errors import NotFoundError
from sealoshub.imagehub.names import HUB_NAMESPACE
from tests.attacks.cast import organization
from tests.attacks.target import EVENTS_TOKEN
from tests.images import oci_layout
from tests.integration.servers.process import wait_until
from tests.unit.authserver.running import basic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.attacks.cast import Cast
    from tests.attacks.target import Client
    from tests.integration.hub import Hub

SECONDS: Final = 60.0
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"


def event(action: str, repository: str, tag: str, digest: str) -> dict[str, Any]:
    """Return a notification as registry 3 writes it."""
    target = {"mediaType": _MANIFEST, "digest": digest, "repository": repository, "tag": tag}
    return {"id": os.urandom(8).hex(), "action": action, "target": target, "actor": {"name": "x"}}


def post(client: Client, *events: dict[str, Any], bearer: str | None = EVENTS_TOKEN) -> int:
    """Send an envelope and return the status of the answer."""
    headers = {"content-type": "application/vnd.docker.distribution.events.v2+json"}
    if bearer is not None:
        headers["authorization"] = f"Bearer {bearer}"
    body = json.dumps({"events": list(events)}).encode()
    return client.request("POST", "/v1/events", body=body, headers=headers).status


def is_there(cast: Cast, kind: str, name: str, namespace: str | None = None) -> bool:
    """Tell whether there is an object."""
    try:
        cast.admin.get(kind, name, namespace)
    except NotFoundError:
        return False
    return True


def test_row_30_notifications_of_strangers(stranger: Client, cast: Cast) -> None:
    """Without the registry's own bearer it is 401, and nobody takes note."""
    name = f"{cast.organization}/noted"
    forged = event("push", name, "v1", f"sha256:{'a' * 64}")
    for bearer in (None, "", "wrong", EVENTS_TOKEN + "x", cast.alice.secret, "\u00e4"):
        assert post(stranger, forged, bearer=bearer) == 401, bearer
    body = json.dumps({"events": [forged]}).encode()
    login = basic(("registry", EVENTS_TOKEN))
    assert stranger.request("POST", "/v1/events", body=body, headers=login).status == 401
    assert not is_there(cast, "Lease", f"content.{name.replace('/', '.')}", HUB_NAMESPACE)
    for nonsense in (b"", b"[]", b"{", b'{"events": [1]}', b"[" * 5000):
        headers = {"authorization": f"Bearer {EVENTS_TOKEN}"}
        answer = stranger.request("POST", "/v1/events", body=nonsense, headers=headers)
        assert answer.status == 400, nonsense


def test_row_30_notifications_that_are_not_true(
    stranger: Client, hub: Hub, cast: Cast, tmp_path: Path
) -> None:
    """Replayed, reordered or invented: what the registry holds decides, and nothing is lost."""
    name = f"noted-{os.urandom(3).hex()}"
    pusher = hub.robot(name)
    cast.admin.create(organization(name, creator=pusher.name))
    cast.wait_ready(name)
    image, reference = oci_layout(tmp_path / "image"), f"{name}/app"
    pusher.run("sealoshub", "login", hub.host, "--kubeconfig", expect=0)
    pusher.run("sealoshub", "push", image.path, f"{hub.host}/{reference}:v1", "--cr-option", "no",
               expect=0)  # fmt: skip
    wait_until(lambda: is_there(cast, "Image", f"{name}.app.v1"), "the real notification", SECONDS)

    other = f"sha256:{'b' * 64}"
    foreign, note = f"{cast.organization}/never", f"content.{name}.app"
    told = [
        event("delete", reference, "v1", image.digest),
        event("push", reference, "v1", other),
        event("push", reference, "v2", image.digest),
        event("push", foreign, "v1", image.digest),
        event("push", "nobody-at-all/app", "v1", image.digest),
        event("push", "../../secrets", "v1", image.digest),
        event("push", "a/b?c#d", "v1", image.digest),
    ]
    for events in (told, told[::-1], told[:3] * 5):
        assert post(stranger, *events) == 202
    for place in (note, f"content.{foreign.replace('/', '.')}"):
        wait_until(lambda at=place: not is_there(cast, "Lease", at, HUB_NAMESPACE), place, SECONDS)  # type: ignore[misc]  # a default binds the loop's value
    assert cast.admin.get("Image", f"{name}.app.v1")["spec"]["digest"] == image.digest
    assert not is_there(cast, "Image", f"{name}.app.v2")
    for invented in (foreign, "nobody-at-all/app"):
        for kind, suffix in (("Image", ".v1"), ("Repository", "")):
            assert not is_there(cast, kind, invented.replace("/", ".") + suffix)
    with pytest.raises(NotFoundError):
        cast.admin.get("Organization", "nobody-at-all")
