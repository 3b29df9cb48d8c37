"""`sealoshub hub plugin …`: what an existing docker_auth runs to know the users of Kubernetes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sealoshub.cli import output
from sealoshub.cli.group import Group
from sealoshub.errors import InvalidInputError, SealosHubError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealoshub.authserver.dockerauth import Setup, Verdict

# Where Kubernetes puts the ServiceAccount of a pod.
_POD: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Kubernetes identities and rights for an existing docker_auth.",
)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        envvar="SEALOSHUB_PLUGIN_CONFIG",
        help="Configuration of a token server: api, plugins, service.",
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="SEALOSHUB_API_SERVER",
        help="The Kubernetes API server. Default: that of the pod.",
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", envvar="SEALOSHUB_API_CA_FILE", help="Its CA (PEM)."),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        envvar="SEALOSHUB_API_TOKEN_FILE",
        help="Token of a ServiceAccount with the role imagehub:auth-server.",
    ),
]
ServiceOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", envvar="SEALOSHUB_SERVICE", help="Audience of tokens made for the registry."
    ),
]


@app.command("ext-auth")
def ext_auth(
    *,
    config: ConfigOption = None,
    api_server: ServerOption = None,
    ca_file: CaOption = None,
    token_file: TokenOption = None,
    service: ServiceOption = "hub",
    any_account: Annotated[
        bool,
        typer.Option(
            "--any-account",
            help="Do not ask for the full user name. Only together with ext-authz.",
        ),
    ] = False,
) -> None:
    """Tell docker_auth whether a Kubernetes credential is good: its `ext_auth` command.

    Standard input is user name, space, password. Ends with 0 (good, labels on standard output),
    1 (wrong), 2 (not a Kubernetes credential), or another code if it could not be found out.

    Example: printf 'alice TOKEN' | sealoshub hub plugin ext-auth --config auth-server.yaml
    """

    def answer(content: bytes) -> Verdict:
        from sealoshub.authserver import dockerauth  # noqa: PLC0415  # heavy

        setup = _setup(config, api_server, ca_file, token_file, service)
        return dockerauth.ext_auth(setup, content, any_account=any_account)

    _reply(answer)


@app.command("ext-authz")
def ext_authz(
    *,
    config: ConfigOption = None,
    api_server: ServerOption = None,
    ca_file: CaOption = None,
    token_file: TokenOption = None,
    service: ServiceOption = "hub",
) -> None:
    """Tell docker_auth whether somebody may do what he asks for: its `ext_authz` command.

    Standard input is docker_auth's request as JSON. Ends with 0 (all of it), 1 (not all of it), or
    another code if it could not be found out.

    Example: sealoshub hub plugin ext-authz --config auth-server.yaml < request.json
    """

    def answer(content: bytes) -> Verdict:
        from sealoshub.authserver import dockerauth  # noqa: PLC0415  # heavy

        return dockerauth.ext_authz(
            _setup(config, api_server, ca_file, token_file, service), content
        )

    _reply(answer)


def _reply(answer: Callable[[bytes], Verdict]) -> None:
    """Run *answer* on standard input and end as docker_auth wants it: a failure is no denial."""
    from sealoshub.authserver.dockerauth import ERROR, MAX_INPUT  # noqa: PLC0415  # heavy

    try:
        verdict = answer(sys.stdin.buffer.read(MAX_INPUT + 1))
    except SealosHubError as exc:
        output.show_error(exc.message, exc.hint)
        raise typer.Exit(ERROR) from exc
    except Exception as exc:
        # Its text may quote the password, and Python's own exit code 1 would be a denial.
        output.show_error(f"internal error: {type(exc).__name__}", None)
        raise typer.Exit(ERROR) from exc
    if verdict.output:
        typer.echo(verdict.output)
    if verdict.note:
        typer.echo(verdict.note, err=True)
    raise typer.Exit(verdict.code)


def _setup(
    config: Path | None,
    server: str | None,
    ca_file: Path | None,
    token_file: Path | None,
    service: str,
) -> Setup:
    """Return how to decide: the file, or the flags and variables, or what a pod knows.

    Raises:
        InvalidInputError: There is nothing to go by, or the file is wrong.
    """
    from sealoshub.authserver import config as configuration  # noqa: PLC0415  # heavy
    from sealoshub.authserver.dockerauth import Setup  # noqa: PLC0415  # heavy

    if config is not None:
        if server or ca_file or token_file:
            raise InvalidInputError("--config stands alone: the API server is in the file")
        read = configuration.load(config, serving=False)
        if read.api is None:
            return Setup(read.plugins, read.services, hub_namespace=read.hub_namespace)
        api = (read.api.server, read.api.ca_file, read.api.token_file)
        return Setup(read.plugins, read.services, *api, read.hub_namespace)
    if server is None:
        host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}") for part in ("HOST", "PORT"))
        if not host or not port:
            raise InvalidInputError(
                "it is not known which API server to ask",
                hint="Outside of a pod name it: --api-server URL --ca-file FILE --token-file FILE.",
            )
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        ca_file, token_file = ca_file or _POD / "ca.crt", token_file or _POD / "token"
    return Setup(services=(service,), server=server, ca_file=ca_file, token_file=token_file)
