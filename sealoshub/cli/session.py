"""Who talks to what: from the options and the environment to a registry client or a cluster.

What is heavy (registry client, official Kubernetes client) is imported here, when it is needed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealoshub import credentials
from sealoshub.cli.output import is_terminal, moment, remaining
from sealoshub.credentials import ledger
from sealoshub.errors import AuthenticationError, InvalidInputError, UsageError
from sealoshub.value import Value

if TYPE_CHECKING:
    from datetime import datetime

    from sealoshub.cli.output import Output
    from sealoshub.credentials import Places, StoredCredential
    from sealoshub.kube.cluster import Cluster
    from sealoshub.kube.kubeconfig import ClusterCredential
    from sealoshub.registry.client import Client

WARNED_BEFORE: Final = 3 * 86400  # seconds before the end of a login


class Tls(Value):
    """How to speak to a registry, and whom to believe.

    Args:
        plain_http: HTTP, also to a host that is not this machine.
        ca_file: PEM file of a further authority.
        insecure_skip_tls_verify: Accept any certificate.
        trust_realm: Accept any token server that the registry names.
    """

    plain_http: bool = False
    ca_file: Path | None = None
    insecure_skip_tls_verify: bool = False
    trust_realm: bool = False


def registry_client(
    host: str,
    stored: StoredCredential | None,
    tls: Tls,
    out: Output,
    *,
    retry_seconds: float | None = None,
) -> Client:
    """Return a client of *host* that asks as *stored*; nothing is sent yet.

    Args:
        host: `name[:port]`.
        stored: Who asks; None: nobody.
        tls: How to speak to it.
        out: Is told about retries.
        retry_seconds: How long a step may be tried again. None: the default of the client.
    """
    from sealoshub.registry.auth import Credential  # noqa: PLC0415  # not for --help
    from sealoshub.registry.client import Client  # noqa: PLC0415  # as above
    from sealoshub.registry.retry import Retry  # noqa: PLC0415  # as above

    credential = (
        Credential(
            stored.account,
            stored.secret,
            is_refresh_token=stored.is_refresh_token,
            source=stored.location,
        )
        if stored
        else None
    )
    return Client(
        host,
        credential,
        plain_http=True if tls.plain_http else None,
        ca_file=str(tls.ca_file) if tls.ca_file else None,
        insecure_skip_tls_verify=tls.insecure_skip_tls_verify,
        trust_realm=tls.trust_realm,
        on_note=out.note,
        retry=Retry() if retry_seconds is None else Retry(budget=retry_seconds),
    )


def is_interactive() -> bool:
    """Tell whether somebody can be asked: both the keyboard and the screen are there."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def cluster_credential(
    kubeconfig: str | None, context: str | None, out: Output
) -> ClusterCredential:
    """Read the credential of the user's cluster; see :mod:`sealoshub.kube.kubeconfig`.

    Raises:
        NotFoundError: There is no such file or context.
        AuthenticationError: There is no usable credential.
    """
    from sealoshub.kube import kubeconfig as door  # noqa: PLC0415  # not for every command

    paths = door.find(kubeconfig or None, os.environ, Path.home())
    return door.credential(paths, context, interactive=is_interactive(), on_note=out.note)


def has_kubeconfig() -> bool:
    """Tell whether a kubeconfig, or a pod's ServiceAccount, is there without being named."""
    from sealoshub.kube import kubeconfig as door  # noqa: PLC0415  # not for every command

    paths = door.find(None, os.environ, Path.home())
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and door.SERVICE_ACCOUNT.exists()
    return in_pod or any(path.exists() for path in paths)


def open_cluster(credential: ClusterCredential) -> Cluster:
    """Return the cluster of *credential*, a context manager; nothing is sent yet."""
    from sealoshub.kube.cluster import Cluster  # noqa: PLC0415  # kubernetes: 250 ms

    return Cluster.open(credential)


def user_cluster(kubeconfig: str | None, context: str | None, out: Output) -> Cluster:
    """Return the user's cluster, a context manager; nothing is sent yet.

    Raises:
        NotFoundError: There is no such file or context.
        AuthenticationError: There is no usable credential.
    """
    return open_cluster(cluster_credential(kubeconfig, context, out))


def ledger_file() -> Path:
    """Return the file that lists the logins made by this program."""
    return ledger.path(os.environ, Path.home())


def chosen_host(host: str | None) -> str:
    """Return *host*, or the only host there is a login for.

    Raises:
        UsageError: None was named, and there is not exactly one.
        InvalidInputError: *host* is none.
    """
    from sealoshub.reference import parse_host  # noqa: PLC0415  # beside its use

    if host is not None:
        return parse_host(host)
    known = [login.host for login in ledger.read(ledger_file())]
    if len(known) == 1:
        return known[0]
    if not known:
        raise UsageError("which hub? There is no login yet", hint="Name its host.")
    raise UsageError(f"which hub? There are logins for {', '.join(known)}", hint="Name one.")


def stored_for(
    host: str, repository: str | None, places: Places, out: Output
) -> StoredCredential | None:
    """Find the stored credential for *host*; missing helpers become notes."""
    return credentials.find(host, repository, places=places, on_note=out.note)


def required_for(
    host: str, repository: str | None, places: Places, out: Output, *, warn: bool = True
) -> StoredCredential:
    """Find the stored credential for *host*, without which there is nothing to ask.

    Args:
        host: `name[:port]`.
        repository: `org/repo`, for which there may be a credential of its own.
        places: Where credentials lie.
        out: Is told what is strange about them.
        warn: Tell too that the login soon runs out.

    Raises:
        AuthenticationError: There is none.
    """
    stored = stored_for(host, repository, places, out)
    if stored is None:
        raise AuthenticationError(
            f"not logged in to {host}", hint=f"Log in with `sealoshub login {host}`."
        )
    if warn:
        warn_of_end(host, known_end(host, stored), out)
    return stored


def known_end(host: str, stored: StoredCredential) -> datetime | None:
    """Return when *stored* ends, as far as this machine knows without asking anybody.

    A refresh token does not say it itself. The list of logins has what the hub said when it was
    asked last; it is about *stored* if that lies where this program put it.
    """
    from sealoshub.kube import expiry  # noqa: PLC0415  # with datetime, for those who have a login

    own = None if stored.is_refresh_token else expiry.of_token(stored.secret.reveal())
    if own is not None:
        return own
    try:
        logins = ledger.read(ledger_file())
    except InvalidInputError:  # a list that nobody asked for stops no command
        return None
    ends = (
        login.expires
        for login in logins
        if login.host == host and stored.location in login.locations
    )
    return next(ends, None)


def warn_of_end(host: str, end: datetime | None, out: Output, *, asked: bool = False) -> None:
    """Note that the login to *host* runs out within three days.

    Args:
        host: Where it is good.
        end: When it ends; None if nobody knows.
        out: Is told.
        asked: The hub said so now, and not only when this machine asked it last.
    """
    if end is None:
        return
    from datetime import UTC, datetime  # noqa: PLC0415  # 2 ms, for those who have a login that ends

    if (end - datetime.now(UTC)).total_seconds() > WARNED_BEFORE:
        return
    left = remaining(end)
    state = "is over" if left == "over" else f"ends in {left} ({moment(end)})"
    doubt = "" if asked else " as far as is known here; `sealoshub whoami` asks the hub"
    out.note(f"the login to {host} {state}{doubt}; `sealoshub login {host}` renews it")
