"""Users of a hub: without a cluster somebody must make them."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from sealoshub.errors import DeniedError, SealosHubError, UsageError
from sealoshub.hub import settings as hub_settings
from sealoshub.hub.api import pki
from sealoshub.hub.paths import write_private
from sealoshub.imagehub.names import API_VERSION, USER_NAMESPACE
from sealoshub.kube import ConflictError, kubeconfig
from sealoshub.kube.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealoshub.hub.paths import HubPaths
    from sealoshub.hub.settings import Settings
    from sealoshub.kube.kubeconfig import ClusterCredential

ADMIN: Final = "admin"
OWN_API: Final = "https://localhost:"
MASTERS: Final = "system:masters"
YEAR: Final = 365 * 24 * 3600  # seconds
ORGANIZATION_SECONDS: Final = 20.0  # the controller takes well under one


def admin_credential(paths: HubPaths, settings: Settings) -> ClusterCredential:
    """Return the credential with which the hub itself is set up.

    For the embedded API a client certificate made now, for a cluster what its kubeconfig says.

    Raises:
        SealosHubError: The kubeconfig cannot be read or has no usable credential.
    """
    if settings.kubeconfig is not None:
        files = kubeconfig.find(settings.kubeconfig, os.environ, Path.home())
        return kubeconfig.credential(files, settings.context, interactive=False)
    file = paths.kubeconfig(ADMIN)
    _follow_port(file.parent, settings.api_url)
    if not file.exists():
        _certificate_kubeconfig(paths.pki, settings, (ADMIN, [MASTERS]), YEAR * 10, file)
    return kubeconfig.credential([file], None, interactive=False)


def _follow_port(folder: Path, url: str) -> None:
    """Let the hub's own kubeconfigs name the API where it listens now (`hub up --api-port`).

    One that somebody has changed so that it does not look like ours any more is left alone.
    """
    for file in sorted(folder.glob("*.kubeconfig")):
        try:
            content = yaml.safe_load(file.read_text())
            (entry,) = content["clusters"]
            is_moved = entry["cluster"]["server"].startswith(OWN_API) and (
                entry["cluster"]["server"] != url
            )
        except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError):
            continue
        if is_moved:
            entry["cluster"]["server"] = url
            write_private(file, yaml.safe_dump(content, sort_keys=False))


def first_user_name(login: str) -> str:
    """Turn the operating system's user name into one that can also name an organisation."""
    name = re.sub(r"[^a-z0-9]+", "-", login.lower()).strip("-")[:40].strip("-")
    return name if name and name != ADMIN else "me"


def make_first_user(paths: HubPaths, settings: Settings, name: str) -> Path:
    """Make the user *name* and an organisation of that name, if they are not there yet.

    Returns:
        The path of the user's kubeconfig.
    """
    file = paths.kubeconfig(name)
    if not file.exists():
        _certificate_kubeconfig(paths.pki, settings, (name, []), YEAR, file)
    organization = {
        "apiVersion": API_VERSION,
        "kind": "Organization",
        "metadata": {"name": name},
        "spec": {"name": name, "creator": name},
    }
    with Cluster.open(kubeconfig.credential([file], None, interactive=False)) as cluster:
        try:
            cluster.create(organization)
        except ConflictError as exc:
            if exc.reason != "AlreadyExists":
                raise
        deadline = time.monotonic() + ORGANIZATION_SECONDS
        while not _is_ready(cluster, name):
            if time.monotonic() > deadline:
                raise SealosHubError(f"the controller does not make the organisation {name} ready")
            time.sleep(0.05)
    return file


def add_user(  # noqa: PLR0913  # one option of the command each
    paths: HubPaths,
    name: str,
    *,
    groups: Sequence[str],
    seconds: int,
    token: bool,
    out: Path | None,
) -> Path:
    """Make a user and a kubeconfig for him.

    Args:
        paths: Folder of the hub.
        name: Kubernetes user name; with *token* the name of a ServiceAccount in `user-system`.
        groups: Kubernetes groups, written into the certificate.
        seconds: Life of the credential.
        token: Make a ServiceAccount with a token rather than a client certificate.
        out: File to write; None for the hub's own `kubeconfigs/NAME.kubeconfig`.

    Returns:
        The path of the kubeconfig, readable by its owner only.

    Raises:
        UsageError: No hub was made here, or groups are asked for a ServiceAccount, or a certificate
            for a cluster whose CA is not ours.
    """
    settings = hub_settings.load(paths)
    if settings is None:
        raise UsageError(
            f"there is no hub in {paths.data}", hint="Start one with: sealoshub hub up"
        )
    file = out or paths.kubeconfig(name)
    if name in {ADMIN, ""} or name.startswith("system:") or any(g == MASTERS for g in groups):
        raise UsageError(f"the name or group is reserved: {name} {' '.join(groups)}".rstrip())
    if token or not settings.embedded:
        if groups:
            raise UsageError(
                "groups cannot be given to a user with a token",
                hint="A ServiceAccount's groups are fixed. Leave --token away (embedded API), or"
                " let your cluster's own identity provider make the user.",
            )
        _token_kubeconfig(paths, settings, name, seconds, file)
    else:
        _certificate_kubeconfig(paths.pki, settings, (name, groups), seconds, file)
    return file


def _certificate_kubeconfig(
    folder: Path, settings: Settings, subject: tuple[str, Sequence[str]], seconds: int, file: Path
) -> None:
    """Write a kubeconfig with a fresh certificate for *subject*, a name and its groups."""
    name, groups = subject
    certificate, key = pki.issue_client_certificate(folder, name, list(groups), seconds)
    pki.write_kubeconfig(
        file,
        settings.api_url,
        (folder / "ca.crt").read_bytes(),
        name,
        certificate_pem=certificate,
        key_pem=key,
    )


def _token_kubeconfig(
    paths: HubPaths, settings: Settings, name: str, seconds: int, file: Path
) -> None:
    admin = admin_credential(paths, settings)
    with Cluster.open(admin) as cluster:
        for manifest in (
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": USER_NAMESPACE}},
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": USER_NAMESPACE},
            },
        ):
            try:
                cluster.create(manifest)
            except ConflictError as exc:
                if exc.reason != "AlreadyExists":
                    raise
        secret, _ = cluster.create_token(USER_NAMESPACE, name, [], seconds)
    entry: dict[str, object] = {"server": admin.server}
    if admin.ca_pem is not None:
        entry["certificate-authority-data"] = pki.base64_text(admin.ca_pem)
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": "hub", "cluster": entry}],
        "users": [{"name": name, "user": {"token": secret.reveal()}}],
        "contexts": [{"name": name, "context": {"cluster": "hub", "user": name}}],
    }
    write_private(file, yaml.safe_dump(content))


def _is_ready(cluster: Cluster, name: str) -> bool:
    try:
        status = cluster.look_up("Organization", name).get("status")
    except DeniedError:
        return False  # where names are private its owner sees it when he has his rights
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
