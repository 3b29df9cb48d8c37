"""The parts of a hub: their configuration files, command lines and health probes."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import yaml

from sealoshub.authserver import keys
from sealoshub.hub import notifications
from sealoshub.hub.child import Part
from sealoshub.hub.paths import write_private
from sealoshub.hub.settings import ISSUER, SERVICE
from sealoshub.imagehub.names import HUB_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.hub.access import ApiAccess
    from sealoshub.hub.paths import HubPaths
    from sealoshub.hub.settings import Settings

PROBE_SECONDS: Final = 2.0
DRAIN_SECONDS: Final = 8  # of the registry; less than the patience before it is killed
_PROGRAM: Final = (sys.executable, "-m", "sealoshub", "hub")


def api(settings: Settings, paths: HubPaths, env: Mapping[str, str]) -> Part:
    """Return the embedded API."""
    return Part(
        name="api",
        command=(
            *_PROGRAM,
            "api",
            "--data",
            str(paths.data),
            "--port",
            str(settings.api_port),
        ),
        env=env,
        ready=lambda: probe(f"{settings.api_url}/readyz", 200, ca=paths.pki / "ca.crt"),
        url=settings.api_url,
    )


def token_server(
    settings: Settings, paths: HubPaths, env: Mapping[str, str], access: ApiAccess
) -> Part:
    """Return the token server, after writing its configuration."""
    configuration: dict[str, Any] = {
        "listen": _address(settings.listen, settings.auth_port),
        "issuer": ISSUER,
        "service": SERVICE,
        "keys_dir": str(paths.keys),
        "api": {
            "server": access.server,
            "ca_file": str(access.ca_file) if access.ca_file else None,
            "token_file": str(access.auth_token_file),
        },
        "plugins": [{"name": "kubernetes", "config": {}}],
        "hub_namespace": HUB_NAMESPACE,
        "audit": str(paths.log("audit")),
        "events_token_file": str(paths.events_token),
    }
    if settings.tls:
        certificate, key = certificate_of(settings, paths)
        configuration["tls"] = {"certificate": str(certificate), "key": str(key)}
    file = paths.run / "auth-server.yaml"
    write_private(file, yaml.safe_dump(configuration, sort_keys=False))
    base = f"{settings.scheme}://{settings.hostname}:{settings.auth_port}"
    return Part(
        name="auth-server",
        command=(*_PROGRAM, "auth-server", "--config", str(file)),
        env=env,
        ready=lambda: probe(f"{local(base, settings)}/readyz", 200, ca=authority(settings, paths)),
        url=base,
    )


def controller(
    settings: Settings,
    paths: HubPaths,
    env: Mapping[str, str],
    access: ApiAccess,
    health: int,
) -> Part:
    """Return the controller; *health* is the port of its probes."""
    # The system knows who signed the operator's own certificate.
    own = settings.tls and settings.certificate is None
    return Part(
        name="controller",
        command=(
            *_PROGRAM,
            "controller",
            "--kubeconfig",
            str(access.controller_kubeconfig),
            "--health-port",
            str(health),
            "--no-leader-election",
            "--registry",
            settings.host,
            "--registry-token",
            str(access.controller_token_file),
            *(("--registry-ca", str(paths.pki / "ca.crt")) if own else ()),
        ),
        env=env,
        ready=lambda: probe(f"http://localhost:{health}/readyz", 200),
    )


def registry(
    settings: Settings, paths: HubPaths, env: Mapping[str, str], *, read_only: bool = False
) -> Part:
    """Return the stock registry, after writing its configuration and the keys it trusts.

    With *read_only* it answers pulls, and 405 to everything else.
    """
    keys.write_registry_files(paths.keys, paths.bundle, paths.jwks)
    http_section: dict[str, Any] = {
        "addr": _address(settings.listen, settings.registry_port),
        "secret": settings.http_secret,
        "headers": {"X-Content-Type-Options": ["nosniff"]},
        # Requests under way are answered when it is told to end.
        "draintimeout": f"{DRAIN_SECONDS}s",
    }
    if settings.tls:
        certificate, key = certificate_of(settings, paths)
        http_section["tls"] = {"certificate": str(certificate), "key": str(key)}
    storage: dict[str, Any] = {
        "filesystem": {"rootdirectory": str(paths.storage)},
        "delete": {"enabled": True},
    }
    if read_only:
        storage["maintenance"] = {"readonly": {"enabled": True}}
    configuration = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": storage,
        "http": http_section,
        # 2.8 reads rootcertbundle and ignores jwks; 3.x finds our kid in jwks.
        "auth": {
            "token": {
                "realm": settings.realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(paths.bundle),
                "jwks": str(paths.jwks),
            }
        },
        "notifications": {"endpoints": [_notifications(settings, paths)]},
    }
    file = paths.run / "registry.yml"
    write_private(file, yaml.safe_dump(configuration, sort_keys=False))
    base = f"{settings.scheme}://{settings.host}"
    return Part(
        name="registry",
        command=(settings.registry_binary, "serve", str(file)),
        env=_registry_environment(settings, paths, env),
        ready=lambda: probe(f"{local(base, settings)}/v2/", 401, ca=authority(settings, paths)),
        url=base,
    )


def _notifications(settings: Settings, paths: HubPaths) -> dict[str, Any]:
    """Return the endpoint that the registry tells what was pushed and deleted."""
    if not paths.events_token.exists():
        write_private(paths.events_token, secrets.token_urlsafe(32))
    base = f"{settings.scheme}://{settings.hostname}:{settings.auth_port}"
    # The operator's own certificate is for the public name only.
    return notifications.endpoint(
        base if settings.certificate else local(base, settings),
        paths.events_token.read_text().strip(),
    )


def _registry_environment(
    settings: Settings, paths: HubPaths, env: Mapping[str, str]
) -> dict[str, str]:
    found = {**env, "OTEL_TRACES_EXPORTER": "none"}  # 3.x would look for a collector
    if settings.tls and settings.certificate is None:
        found["SSL_CERT_FILE"] = str(paths.pki / "ca.crt")  # for its notifications
    return found


def certificate_of(settings: Settings, paths: HubPaths) -> tuple[Path, Path]:
    """Return the paths of the server certificate and its key."""
    if settings.certificate and settings.certificate_key:
        return Path(settings.certificate), Path(settings.certificate_key)
    return paths.pki / "server.crt", paths.pki / "server.key"


def environment() -> dict[str, str]:
    """Return the environment for the parts: ours, without what only a user's commands read."""
    unwanted = ("KUBECONFIG", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "DOCKER_AUTH_CONFIG")
    kept = {key: value for key, value in os.environ.items() if key not in unwanted}
    # A part must not mistake a hub's variables (REGISTRY_HTTP_ADDR, …) for its own configuration.
    return {key: value for key, value in kept.items() if not key.startswith("REGISTRY_")}


def probe(url: str, expected: int, *, ca: Path | None = None) -> str | None:
    """Ask *url* once and return None if it answers *expected*, else what came instead.

    Args:
        url: An http or https URL.
        expected: HTTP status.
        ca: CA file for https. None: any certificate will do, because this asks whether the part
            lives, sends nothing, and the operator's own certificate may be for another name.
    """
    try:
        status, body = fetch(url, ca=ca)
    except (OSError, http.client.HTTPException) as exc:
        return f"{url}: {exc}"
    if status == expected:
        return None
    return f"{url} answers {status}: {_reason(body)}"


def fetch(
    url: str, *, ca: Path | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Ask *url* once; return status and the begin of the body.

    Args:
        url: An http or https URL.
        ca: CA file for https; None as for :func:`probe`.
        headers: More headers.

    Raises:
        OSError: Nobody answers in time.
        http.client.HTTPException: What answers speaks no HTTP.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        if ca is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=PROBE_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=PROBE_SECONDS)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    try:
        connection.request(
            "GET", target, headers={"User-Agent": "sealoshub-probe", **(headers or {})}
        )
        answer = connection.getresponse()
        return answer.status, answer.read(64 * 1024)
    finally:
        connection.close()


def _reason(body: bytes) -> str:
    text = body.decode(errors="replace")
    try:
        content = json.loads(text)
    except ValueError:
        content = text
    return " ".join(str(content).split())[:300]


def _address(listen: str, port: int) -> str:
    return f"[{listen}]:{port}" if ":" in listen else f"{listen}:{port}"


def local(url: str, settings: Settings) -> str:
    """Return *url* as this machine reaches it: the public name may not resolve here."""
    if settings.hostname == "localhost":
        return url
    target = settings.listen if settings.listen not in {"0.0.0.0", "::"} else "localhost"  # noqa: S104  # compared, not bound
    return url.replace(settings.hostname, f"[{target}]" if ":" in target else target, 1)


def authority(settings: Settings, paths: HubPaths) -> Path | None:
    """Return the CA to probe with: our own certificate is for this machine's names too."""
    return None if settings.certificate else paths.pki / "ca.crt"
