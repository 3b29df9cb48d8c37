"""How token server and controller reach the API server: ServiceAccounts and short tokens."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import yaml

from sealoshub.errors import InvalidInputError
from sealoshub.hub.paths import write_private
from sealoshub.imagehub.names import CONTROLLER, HUB_NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

    from sealoshub.hub.paths import HubPaths
    from sealoshub.kube.cluster import Cluster
    from sealoshub.kube.kubeconfig import ClusterCredential

AUTH_SERVER: Final = "imagehub-auth-server"
TOKEN_SECONDS: Final = 3600  # the parts read their token file again when it changes
RENEW_AFTER: Final = 0.5  # of the life, so that one failed renewal is no outage


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """Where the API server is and with which files the parts go there.

    Args:
        server: URL of the API server.
        ca_file: PEM file of its CA; None for the system's.
        auth_token_file: Token of the token server's ServiceAccount.
        controller_kubeconfig: Kubeconfig of the controller; it names a token file as well.
        renew_at: Monotonic time in seconds at which the tokens should be made anew.
    """

    server: str
    ca_file: Path | None
    auth_token_file: Path
    controller_kubeconfig: Path
    renew_at: float

    @property
    def controller_token_file(self) -> Path:
        """Token of the controller's ServiceAccount, for the API server and the registry."""
        return self.controller_kubeconfig.with_name("controller.token")


def prepare(cluster: Cluster, credential: ClusterCredential, paths: HubPaths) -> ApiAccess:
    """Write the files of an :class:`ApiAccess` and fill them with fresh tokens.

    Args:
        cluster: The API server, as somebody who may create tokens of our ServiceAccounts.
        credential: The same server's address and CA.
        paths: Folder of the hub.

    Raises:
        InvalidInputError: The kubeconfig asks not to verify the server.
        SealosHubError: The API server refuses or does not answer.
    """
    if credential.insecure_skip_tls_verify:
        raise InvalidInputError(
            f"{credential.source} turns the verification of the API server off",
            hint="A hub decides by that server's word: put its CA into the kubeconfig instead.",
        )
    ca_file: Path | None = None
    if credential.ca_pem is not None:
        ca_file = paths.run / "api-ca.crt"
        write_private(ca_file, credential.ca_pem)
    kubeconfig = paths.run / "controller.kubeconfig"
    access = ApiAccess(credential.server, ca_file, paths.run / "auth-server.token", kubeconfig, 0)
    renewed = renew(cluster, access)
    write_private(kubeconfig, _kubeconfig(access))
    return renewed


def renew(cluster: Cluster, access: ApiAccess) -> ApiAccess:
    """Replace the tokens and return *access* with the time of the next renewal.

    Raises:
        SealosHubError: The API server refuses or does not answer; the old tokens stay.
    """
    files = {
        AUTH_SERVER: access.auth_token_file,
        CONTROLLER: access.controller_token_file,
    }
    for account, file in files.items():
        token, _ = cluster.create_token(HUB_NAMESPACE, account, [], TOKEN_SECONDS)
        write_private(file, token.reveal())
    return postponed(access, time.monotonic() + TOKEN_SECONDS * RENEW_AFTER)


def postponed(access: ApiAccess, until: float) -> ApiAccess:
    """Return *access* with its next renewal at the monotonic time *until*."""
    return dataclasses.replace(access, renew_at=until)


def _kubeconfig(access: ApiAccess) -> str:
    cluster: dict[str, str] = {"server": access.server}
    if access.ca_file is not None:
        cluster["certificate-authority"] = str(access.ca_file)
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "hub",
            "clusters": [{"name": "hub", "cluster": cluster}],
            "users": [
                {"name": CONTROLLER, "user": {"tokenFile": str(access.controller_token_file)}}
            ],
            "contexts": [{"name": "hub", "context": {"cluster": "hub", "user": CONTROLLER}}],
        }
    )
