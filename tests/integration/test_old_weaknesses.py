"""A login outlives the short-lived ServiceAccount token it was made with, and can still be ended.

The same for a client certificate is in `test_way_through.py`.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Final

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sealoshub.hub.api import pki
from tests.images import oci_layout
from tests.integration.clients import CLIENTS
from tests.integration.servers.process import wait_until
from tests.integration.test_tokens import listed
from tests.integration.test_way_through import ACCEPTED, eventually, organization, token_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.hub import Hub
    from tests.integration.people import Person

LIFE: Final = 20  # seconds that the API server takes the token
LEEWAY: Final = 60  # seconds after `exp` that Kubernetes takes a token (go-jose's default)
CACHED: Final = 10  # seconds that kube-apiserver remembers that a token was good
SLACK: Final = 60  # seconds for a machine that is busy
TRAVELS: Final = 64  # bytes that the stored secret has at most
STOCK: Final = tuple(client for client in CLIENTS if client.name in {"crane", "skopeo"})


def short_token(hub: Hub, robot: Person) -> str:
    """Sign the robot's token anew, to end in LIFE seconds; TokenRequest gives at least 600.

    The key is the API server's own, so that it is the API server that takes and refuses it.
    """
    given = token_of(robot)
    if hub.kube is None:
        signer, leeway = pki.service_account_key(hub.data / "pki"), 0
    else:
        pem = hub.kube.service_account_key.read_bytes()
        signer, leeway = load_pem_private_key(pem, password=None), LEEWAY  # type: ignore[assignment]  # it is EC
    header = jwt.get_unverified_header(given)
    claims = jwt.decode(given, options={"verify_signature": False})
    end = int(time.time()) + LIFE - leeway
    claims |= {"exp": end, "iat": end - 600, "nbf": end - 600, "jti": str(uuid.uuid4())}
    return jwt.encode(claims, signer, algorithm=header["alg"], headers={"kid": header["kid"]})


def whoami(robot: Person, token: str) -> str | None:
    """Ask the API server itself who *token* belongs to; None if it refuses it."""
    kubeconfig = robot.kubeconfig.read_text().replace(token_of(robot), token)
    file = robot.home / "short.kubeconfig"
    file.write_text(kubeconfig)
    done = robot.run("kubectl", "--kubeconfig", file, "auth", "whoami", "--output=json")
    if done.returncode != ACCEPTED:
        text = done.stderr.lower()
        assert "unauthorized" in text or "must be logged in" in text, done.stderr
        return None
    name: str = json.loads(done.stdout)["status"]["userInfo"]["username"]
    return name


@pytest.mark.parametrize("end", ["token revoke", "delete the Login"])
def test_a_login_from_a_short_token_goes_on_until_it_is_ended(
    hub: Hub, unique: str, tmp_path: Path, end: str
) -> None:
    """Stock clients push and pull after the token expired; ending the login stops them."""
    robot = hub.robot(f"robot-{unique}")
    organization(robot, unique)
    token = short_token(hub, robot)
    assert whoami(robot, token) == robot.name
    robot.run("sealoshub", "login", hub.host, "--token-stdin", stdin=token, expect=ACCEPTED)
    file = robot.home / ".docker" / "config.json"
    secret = json.loads(file.read_text())["auths"][hub.host]["identitytoken"]
    assert secret.startswith("shr_")
    assert len(secret.encode()) <= TRAVELS
    robot.kubeconfig.write_text(robot.kubeconfig.read_text().replace(token_of(robot), token))

    wait_until(lambda: whoami(robot, token) is None, "the token to expire", LIFE + CACHED + SLACK)
    before = file.read_bytes()
    image = oci_layout(tmp_path / "image")
    for client in STOCK:
        reference = f"{hub.host}/{unique}/{client.name}:v1"
        pushed = client.run_push(robot, image, reference)
        assert pushed.returncode == ACCEPTED, pushed.stderr
        pulled = client.run_pull(robot, reference, tmp_path / client.name)
        assert pulled.returncode == ACCEPTED, pulled.stderr
    assert file.read_bytes() == before, "nobody logged in again"

    (login,) = listed(robot, hub)
    if end == "token revoke":
        robot.run("sealoshub", "token", "revoke", login["id"], hub.host, expect=ACCEPTED)
    else:
        hub.admin.run(
            "kubectl", "delete", "logins.imagehub.sealos.io", login["id"],
            "--namespace=imagehub-system", expect=ACCEPTED,
        )  # fmt: skip
    eventually(lambda: min(1, robot.run("crane", "digest", reference).returncode), 1)
    for client in STOCK:
        reference = f"{hub.host}/{unique}/{client.name}:v1"
        assert client.run_push(robot, image, reference).returncode != ACCEPTED
        assert client.run_pull(robot, reference, tmp_path / "no").returncode != ACCEPTED
