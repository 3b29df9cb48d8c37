"""Options that several commands share, written once so that they read alike everywhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from sealoshub.cli import declared
from sealoshub.cli.output import Format
from sealoshub.credentials import Compat, Places, locate

OutputOption = Annotated[
    Format, declared.Option("--output", "-o", help="How the result is printed.", show_default=True)
]
QuietOption = Annotated[
    bool, declared.Option("--quiet", "-q", help="No notes and no progress, only the result.")
]
VerboseOption = Annotated[bool, declared.Option("--verbose", "-v", help="More about what happens.")]

AuthfileOption = Annotated[
    Path | None,
    declared.Option("--authfile", metavar="FILE", help="The one credential file to use."),
]
PlainHttpOption = Annotated[
    bool,
    declared.Option(
        "--plain-http", help="Speak HTTP; needed only if the host is not this machine."
    ),
]
CaFileOption = Annotated[
    Path | None,
    declared.Option("--ca-file", metavar="FILE", help="Trust this authority too (PEM)."),
]
InsecureOption = Annotated[
    bool,
    declared.Option("--insecure-skip-tls-verify", help="Do not verify the registry's certificate."),
]
TrustRealmOption = Annotated[
    bool,
    declared.Option("--trust-realm", help="Log in at whatever token server the registry names."),
]
ContextOption = Annotated[
    str | None,
    declared.Option("--context", metavar="NAME", help="Context to use instead of the current one."),
]
KubeconfigOption = Annotated[
    str | None,
    declared.Option(
        "--kubeconfig",
        "-k",
        metavar="FILE",
        help="Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod's own.",
    ),
]
PlatformOption = Annotated[
    str | None,
    declared.Option("--platform", metavar="P", help="Only the image for os/arch[/variant]."),
]
JobsOption = Annotated[
    int | None,
    declared.Option("--jobs", metavar="N", min=1, max=64, help="Blobs under way at once."),
]
LimitRateOption = Annotated[
    str | None,
    declared.Option("--limit-rate", metavar="R", help="Bytes per second, for example 5M."),
]
RetryBudgetOption = Annotated[
    str | None,
    declared.Option(
        "--retry-budget", metavar="D", help="How long a step is tried again. Default: 10m."
    ),
]
DigestfileOption = Annotated[
    Path | None, declared.Option("--digestfile", metavar="FILE", help="Write the digest here.")
]


def credential_places(
    authfile: Path | None = None, compat: Compat = Compat.ALL, *, persist: bool = False
) -> Places:
    """Apply the rules for credential files to this process's environment.

    Raises:
        UsageError: The options contradict the environment.
    """
    return locate(
        os.environ,
        Path.home(),
        uid=os.getuid(),
        authfile=authfile,
        compat=compat,
        persist=persist,
    )
