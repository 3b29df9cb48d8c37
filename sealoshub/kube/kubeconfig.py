"""A kubeconfig's current context, flattened to one credential. Only ever read on the user's side.

What kubectl would use is what is used here: the files of `$KUBECONFIG` merged, the first one wins;
paths relative to the file they stand in; data before files; plugins run as kubectl runs them. The
rules are those of client-go's `tools/clientcmd`.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealoshub.errors import AuthenticationError, InvalidInputError, NotFoundError
from sealoshub.kube import execplugin, expiry
from sealoshub.kube.configfiles import Entry, Merged, read
from sealoshub.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CLOCK_SKEW: Final = timedelta(seconds=60)  # the leeway of the API server's own check of `exp`
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EXEC_EXTENSION: Final = "client.authentication.k8s.io/exec"  # its config goes to the plugin

_LOG_IN_AGAIN: Final = (
    "Get a new one where this one came from (for example `kubectl create token`, or your"
    " provider's login), then repeat this command."
)


@dataclass(frozen=True, slots=True)
class ClusterCredential:
    """One cluster and the one credential for it; all that a client needs, and nothing else.

    Args:
        server: URL of the API server.
        ca_pem: Certificates to trust; None: the system's.
        insecure_skip_tls_verify: Do not verify the API server's certificate.
        tls_server_name: Name to verify the certificate against; None: the host of *server*.
        proxy_url: Proxy for the API server; None: as the environment says.
        token: Bearer token, or None.
        certificate_pem: Client certificate, or None. Wins over *token*, as in the API server.
        key_pem: Its private key, or None.
        source: Where it came from, for messages: `/home/a/.kube/config, context dev`.
        context: Name of the context; `in-cluster` for a mounted ServiceAccount.
        expires: When the credential ends, if it says so.
        namespace: Namespace of the context, else `default`.
    """

    server: str
    ca_pem: bytes | None
    insecure_skip_tls_verify: bool
    tls_server_name: str | None
    proxy_url: str | None
    token: Secret | None
    certificate_pem: bytes | None
    key_pem: Secret | None
    source: str
    context: str
    expires: datetime | None
    namespace: str

    def minimal_kubeconfig(self) -> Secret:
        """Return the shortest kubeconfig that carries the credential, as one line of JSON.

        It names no server, no CA, no proxy and no other context: the hub asks its own API server,
        and the rest is nobody's business.
        """
        if self.certificate_pem is not None and self.key_pem is not None:
            user = {
                "client-certificate-data": base64.b64encode(self.certificate_pem).decode(),
                "client-key-data": base64.b64encode(self.key_pem.reveal().encode()).decode(),
            }
        else:
            user = {"token": self.token.reveal() if self.token else ""}
        name = "sealoshub"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [{"name": name, "user": user}],
        }
        return Secret(json.dumps(config, separators=(",", ":")))


def find(path: str | None, env: Mapping[str, str], home: Path) -> list[Path]:
    """List the kubeconfig files to read, in the order of their precedence.

    Args:
        path: What the user named, or None.
        env: For `$KUBECONFIG`, a list separated like `$PATH`; missing files in it are skipped.
        home: For `~/.kube/config`, if neither is given.

    Raises:
        NotFoundError: *path* was named and is no file.
    """
    if path is not None:
        named = Path(path).expanduser()
        if not named.exists():
            raise NotFoundError(
                f"there is no kubeconfig {path}",
                hint="Name an existing file, or leave it away for $KUBECONFIG or ~/.kube/config.",
            )
        return [named]
    listed = [Path(part) for part in env.get("KUBECONFIG", "").split(os.pathsep) if part]
    return list(dict.fromkeys(listed)) or [home / ".kube" / "config"]


def credential(  # noqa: PLR0913  # the keywords are what makes it testable without a process
    paths: Sequence[Path],
    context: str | None = None,
    *,
    interactive: bool,
    env: Mapping[str, str] | None = None,
    service_account: Path = SERVICE_ACCOUNT,
    now: datetime | None = None,
    on_note: Callable[[str], None] = lambda _: None,
) -> ClusterCredential:
    """Flatten the current context of *paths* to one credential.

    Without any kubeconfig, the ServiceAccount mounted into a pod is used, as kubectl does.

    Args:
        paths: Kubeconfig files, the first wins; missing ones are skipped.
        context: A context to use instead of the current one.
        interactive: Whether a credential plugin may talk to a person.
        env: The environment, for plugins and the in-cluster address. None: the process's.
        service_account: Directory of the mounted ServiceAccount.
        now: The time to judge expiry by. None: the clock.
        on_note: Called with a sentence for each thing worth knowing.

    Raises:
        NotFoundError: There is no such context, or a file it names is missing.
        InvalidInputError: A file is unreadable or malformed.
        AuthenticationError: There is no usable credential, or it has expired.
    """
    environment = os.environ if env is None else env
    config = Merged.read([path for path in paths if path.exists()], on_note)
    if not (config.contexts or config.clusters or config.users):
        found = _in_cluster(environment, service_account)
        if found is None or context is not None:
            looked = ", ".join(str(path) for path in paths) or "nowhere"
            raise AuthenticationError(
                f"there is no kubeconfig (looked at {looked})",
                hint="Name one with --kubeconfig FILE, or log in with --token-file.",
            )
    else:
        found = _from_context(config, context, interactive=interactive, env=environment)
        if config.impersonates(found.context):
            on_note(
                f"{found.source} impersonates somebody (as: ...); the hub sees who you are yourself"
            )
    current = now or datetime.now(UTC)
    if found.expires is not None and found.expires + CLOCK_SKEW < current:
        what = "client certificate" if found.certificate_pem else "token"
        raise AuthenticationError(
            f"the {what} of {found.source} expired at {found.expires:%Y-%m-%d %H:%M} UTC",
            hint=_LOG_IN_AGAIN,
        )
    return found


def _from_context(
    config: Merged, wanted: str | None, *, interactive: bool, env: Mapping[str, str]
) -> ClusterCredential:
    files = ", ".join(str(file) for file in config.files)
    name = wanted or config.current
    known = ", ".join(config.contexts) or "none"
    if not name:
        raise NotFoundError(
            f"{files} has no current context",
            hint=f"Choose one with --context; there are: {known}.",
        )
    context = config.contexts.get(name)
    if context is None:
        raise NotFoundError(
            f"there is no context {name!r} in {files}",
            hint=f"Choose another with --context; there are: {known}.",
        )
    source = f"{context.file}, context {name}"
    cluster = config.clusters.get(context.text("cluster"))
    if cluster is None or not cluster.text("server"):
        raise InvalidInputError(
            f"{source} belongs to the cluster {context.text('cluster')!r}, which has no server"
        )
    user = config.users.get(context.text("user"))
    if user is None:
        raise AuthenticationError(
            f"{source} belongs to the user {context.text('user')!r}, who is not in {files}",
            hint="Choose another context with --context, or log in with --token-file.",
        )
    insecure = cluster.body.get("insecure-skip-tls-verify") is True
    base = ClusterCredential(
        server=cluster.text("server"),
        # client-go: skipping the verification and a CA exclude each other.
        ca_pem=None if insecure else cluster.content("certificate-authority"),
        insecure_skip_tls_verify=insecure,
        tls_server_name=cluster.text("tls-server-name") or None,
        proxy_url=cluster.text("proxy-url") or None,
        token=None,
        certificate_pem=None,
        key_pem=None,
        source=source,
        context=name,
        expires=None,
        namespace=context.text("namespace") or "default",
    )
    return _with_user(base, user, cluster, interactive=interactive, env=env)


def _with_user(
    base: ClusterCredential,
    user: Entry,
    cluster: Entry,
    *,
    interactive: bool,
    env: Mapping[str, str],
) -> ClusterCredential:
    """Add the user's credential to *base*, or say why there is none."""
    certificate, key = user.content("client-certificate"), user.content("client-key")
    if (certificate is None) != (key is None):
        missing = "client-key" if key is None else "client-certificate"
        raise AuthenticationError(f"the user of {base.source} has no {missing}")
    token = _static_token(user)
    if certificate is not None and key is not None:
        return replace(
            base,
            token=Secret(token) if token else None,
            certificate_pem=certificate,
            key_pem=Secret(key.decode("ascii", "replace")),
            expires=expiry.of_certificate(certificate),
        )
    if token:
        return replace(base, token=Secret(token), expires=expiry.of_token(token))
    stanza = user.body.get("exec")
    if isinstance(stanza, dict):
        plugin = _plugin(base, stanza, user, cluster)
        answer = execplugin.run(plugin, interactive=interactive, env=env)
        return replace(
            base,
            token=answer.token,
            certificate_pem=answer.certificate_pem,
            key_pem=answer.key_pem,
            expires=answer.expires
            or (expiry.of_certificate(answer.certificate_pem) if answer.certificate_pem else None)
            or (expiry.of_token(answer.token.reveal()) if answer.token else None),
        )
    if "auth-provider" in user.body:
        reason = "uses an auth-provider, which kubectl removed in 1.26"
    elif user.text("username"):
        reason = "has only a user name and a password, which Kubernetes no longer accepts"
    else:
        reason = "has no credential"
    raise AuthenticationError(
        f"the user of {base.source} {reason}",
        hint="Use a context whose user has a token, a client certificate or an exec plugin,"
        " or log in with --token-file.",
    )


def _static_token(user: Entry) -> str:
    """Return `token` or the content of `tokenFile`; empty if there is neither."""
    token = user.text("token").strip()
    token_file = user.path("tokenFile")
    if token_file is None:
        return token
    # client-go: the file wins as soon as it can be read, the token is the fall-back.
    try:
        return read(token_file, f"tokenFile of {user.file}").decode().strip() or token
    except NotFoundError:
        if not token:
            raise
        return token
    except UnicodeDecodeError:
        raise InvalidInputError(f"{token_file} does not hold a token") from None


def _plugin(
    base: ClusterCredential, stanza: dict[str, object], user: Entry, cluster: Entry
) -> execplugin.ExecPlugin:
    extensions = cluster.body.get("extensions")
    config = next(
        (
            item.get("extension")
            for item in (extensions if isinstance(extensions, list) else [])
            if isinstance(item, dict) and item.get("name") == EXEC_EXTENSION
        ),
        None,
    )
    # As client-go's ConfigToExecCluster has it; `config` is there even when it is null.
    info: dict[str, object] = {"server": base.server, "config": config}
    if base.tls_server_name:
        info["tls-server-name"] = base.tls_server_name
    if base.insecure_skip_tls_verify:
        info["insecure-skip-tls-verify"] = True
    if base.ca_pem:
        info["certificate-authority-data"] = base64.b64encode(base.ca_pem).decode()
    if base.proxy_url:
        info["proxy-url"] = base.proxy_url
    return execplugin.plugin_from(
        stanza, cluster=info, source=base.source, directory=user.file.parent
    )


def _in_cluster(env: Mapping[str, str], directory: Path) -> ClusterCredential | None:
    """Return the ServiceAccount that is mounted into this pod; None outside of a pod."""
    host = env.get("KUBERNETES_SERVICE_HOST")
    token_file = directory / "token"
    if not host or not token_file.exists():
        return None
    token = read(token_file, "the mounted ServiceAccount").decode().strip()
    ca_file, namespace = directory / "ca.crt", directory / "namespace"
    return ClusterCredential(
        server=f"https://{f'[{host}]' if ':' in host else host}"
        f":{env.get('KUBERNETES_SERVICE_PORT') or '443'}",
        ca_pem=read(ca_file, "the mounted ServiceAccount") if ca_file.exists() else None,
        insecure_skip_tls_verify=False,
        tls_server_name=None,
        proxy_url=None,
        token=Secret(token),
        certificate_pem=None,
        key_pem=None,
        source=f"the ServiceAccount mounted at {directory}",
        context="in-cluster",
        expires=expiry.of_token(token),
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
    )
