"""`sealoshub hub …`: run a hub on this machine, or the parts of one elsewhere."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sealoshub.cli import hub_cluster, hub_gc, hub_keys, hub_plugin, hub_revoke
from sealoshub.cli.group import Group
from sealoshub.cli.hub_data import DataOption, absolute, hub_paths
from sealoshub.cli.options import OutputOption, QuietOption, VerboseOption
from sealoshub.cli.output import Format, Output
from sealoshub.errors import SealosHubError

if TYPE_CHECKING:
    from sealoshub.hub.paths import HubPaths
    from sealoshub.hub.state import HubState

NOT_RUNNING: Final = 1
DAY: Final = 24 * 3600  # seconds

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Run a hub on this machine, or the server side of one in a cluster.",
)
user_app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Users of this hub.",
)
app.add_typer(hub_cluster.app)  # without a name: its commands are ours
app.add_typer(hub_gc.app)
app.add_typer(hub_revoke.app)
app.add_typer(user_app, name="user")
app.add_typer(hub_keys.app, name="keys")
app.add_typer(hub_plugin.app, name="plugin")


@app.command()
def up(
    *,
    data: DataOption = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay attached until Ctrl-C, as services want it.")
    ] = False,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Use this cluster instead of the embedded API."),
    ] = None,
    context: Annotated[
        str | None, typer.Option(metavar="NAME", help="Context of that kubeconfig.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="First user of the embedded API.")
    ] = None,
    registry_binary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The registry program to run.")
    ] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to bind. Default: localhost.")
    ] = None,
    hostname: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the hub when not on localhost.")
    ] = None,
    registry_port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Default: 5000; 0 takes a free one."),
    ] = None,
    auth_port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Of the token server. Default: 5001."),
    ] = None,
    api_port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Of the embedded API. Default: 5002."),
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TLS certificate (PEM) of the hub.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key (PEM).")] = None,
    private_names: Annotated[
        bool | None,
        typer.Option(
            "--private-names/--public-names",
            help="Whether only administrators list what there is. Default: as it was; public.",
        ),
    ] = None,
    output: OutputOption = Format.TEXT,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Start a hub: the stock registry, the token server, the controller and an API.

    Returns when every part is healthy; the hub goes on in the background until `hub down`.
    Settings are remembered: the next `hub up` needs no options.

    Example: sealoshub hub up --user alice

    Example: sealoshub hub up --kubeconfig ~/.kube/config
    """
    from sealoshub.hub import control  # noqa: PLC0415  # heavy

    out = Output("hub up", output, quiet, verbose)
    paths = hub_paths(data, out)
    options = control.UpOptions(
        registry_binary=absolute(registry_binary),
        listen=listen,
        hostname=hostname,
        registry_port=registry_port,
        auth_port=auth_port,
        api_port=api_port,
        kubeconfig=absolute(kubeconfig),
        context=context,
        certificate=absolute(cert),
        certificate_key=absolute(key),
        user=user,
        private_names=private_names,
    )
    if foreground:
        control.run_foreground(paths, options, out.note, lambda state: _show_up(out, state, paths))
        return
    _show_up(out, control.up(paths, options, out.note), paths)


@app.command()
def down(
    *,
    data: DataOption = None,
    output: OutputOption = Format.TEXT,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Stop the hub. Images, resources and users stay for the next `hub up`.

    Example: sealoshub hub down
    """
    from sealoshub.hub import control  # noqa: PLC0415  # heavy

    out = Output("hub down", output, quiet, verbose)
    paths = hub_paths(data, out)
    stopped = control.down(paths)
    out.note("the hub is stopped" if stopped else f"no hub was running in {paths.data}")
    out.result(None, {"stopped": stopped, "data": str(paths.data)})


@app.command()
def status(
    *,
    data: DataOption = None,
    output: OutputOption = Format.TEXT,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show what runs. Ends with 0 if the hub is healthy, else with 1.

    Example: sealoshub hub status
    """
    from sealoshub.hub import control  # noqa: PLC0415  # heavy

    out = Output("hub status", output, quiet, verbose)
    paths = hub_paths(data, out)
    state = control.status(paths)
    if state is None:
        raise SealosHubError(
            f"there is no hub in {paths.data}", hint="Start one with: sealoshub hub up"
        )
    out.result(_status_text(state), dataclasses.asdict(state))
    if state.phase != "ready":
        raise typer.Exit(NOT_RUNNING)


@user_app.command("add")
def user_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Kubernetes user name.")],
    *,
    group: Annotated[
        list[str] | None, typer.Option(metavar="GROUP", help="A group; may be repeated.")
    ] = None,
    token: Annotated[
        bool,
        typer.Option("--token", help="A ServiceAccount with a token, not a client certificate."),
    ] = False,
    days: Annotated[
        int, typer.Option(metavar="N", min=1, max=3650, help="Life of the credential.")
    ] = 365,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Kubeconfig to write.")
    ] = None,
    data: DataOption = None,
    output: OutputOption = Format.TEXT,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a user and print the path of a kubeconfig for him.

    With the embedded API a client certificate, which may carry groups; with --token, and on an
    existing cluster, a ServiceAccount in the namespace user-system.

    Example: sealoshub hub user add bob --group developers
    """
    from sealoshub.hub import users  # noqa: PLC0415  # heavy

    out = Output("hub user add", output, quiet, verbose)
    file = users.add_user(
        hub_paths(data, out),
        name,
        groups=group or [],
        seconds=days * DAY,
        token=token,
        out=absolute(out_file),
    )
    out.result(str(file), {"name": name, "groups": group or [], "kubeconfig": str(file)})


@app.command("auth-server")
def auth_server(
    config: Annotated[Path, typer.Option(metavar="FILE", help="Configuration (YAML).")],
    *,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=64, help="Processes. Default: what FILE says, or 1."),
    ] = None,
) -> None:
    """Run the token server until SIGTERM.

    Example: sealoshub hub auth-server --config /etc/sealoshub/auth-server.yaml
    """
    from sealoshub.authserver import server  # noqa: PLC0415  # heavy

    server.run(config, workers)


@app.command()
def controller(
    *,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Default: the ServiceAccount of the pod."),
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=0, max=65535, help="Serve /healthz, /readyz and /metrics here."
        ),
    ] = None,
    health_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address of --health-port.")
    ] = "localhost",
    leader_election: Annotated[
        bool, typer.Option(help="Let one of several replicas work at a time.")
    ] = True,
    registry: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="The registry whose content the Images follow."),
    ] = None,
    registry_token: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Default: the token of the pod's ServiceAccount."),
    ] = None,
    registry_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM file of the registry's authority.")
    ] = None,
    registry_plain_http: Annotated[
        bool, typer.Option("--registry-plain-http", help="Speak HTTP to the registry.")
    ] = False,
    sweep_rate: Annotated[
        float,
        typer.Option(
            metavar="N",
            min=0,
            envvar="SEALOSHUB_SWEEP_RATE",
            help="Requests a second to a registry that is swept. 0: no limit.",
        ),
    ] = 50.0,
) -> None:
    """Run the controller until SIGTERM.

    In a cluster it is its pod's ServiceAccount, elsewhere a kubeconfig says who it is. With a
    registry, Images and Repositories follow what any client pushes there or deletes.

    Example: sealoshub hub controller --kubeconfig controller.kubeconfig
    """
    import logging  # noqa: PLC0415  # not for --help

    from sealoshub.hub import content as hub_content  # noqa: PLC0415  # heavy
    from sealoshub.imagehub import controller as imagehub_controller  # noqa: PLC0415  # heavy
    from sealoshub.kube.cluster import Cluster  # noqa: PLC0415  # heavy

    # Which libraries it stands on say is for debugging.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("sealoshub").setLevel(logging.INFO)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    opened = Cluster.open_kubeconfig(kubeconfig) if kubeconfig else Cluster.open_in_cluster()
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(opened)
        held = None
        if registry is not None:
            held = hub_content.RegistryContent(
                registry,
                registry_token or Path(hub_content.POD_TOKEN),
                ca_file=registry_ca,
                plain_http=True if registry_plain_http else None,
            )
            stack.callback(held.close)
        imagehub_controller.run(
            cluster,
            stop=stop,
            registry=held,
            identity=f"{os.uname().nodename}-{os.getpid()}",
            leader_election=leader_election,
            health_port=health_port,
            health_host=health_host,
            sweep_rate=sweep_rate,
        )


@app.command(hidden=True)
def api(
    *,
    data: Annotated[Path, typer.Option(metavar="DIR")],
    port: Annotated[int, typer.Option(min=1, max=65535)],
) -> None:
    """Run the embedded API until SIGTERM (a part of `hub up`)."""
    from sealoshub.hub.api.server import ApiConfig, serve  # noqa: PLC0415  # heavy

    serve(ApiConfig(data=data, port=port))


@app.command(hidden=True)
def supervise(
    *,
    data: Annotated[Path, typer.Option(metavar="DIR")],
    user: Annotated[str | None, typer.Option(metavar="NAME")] = None,
) -> None:
    """Run the hub that `hub up` prepared (its background half)."""
    from sealoshub.hub import control  # noqa: PLC0415  # heavy
    from sealoshub.hub.paths import HubPaths  # noqa: PLC0415  # heavy

    control.supervise(HubPaths(data), user, Output("hub supervise").note)


def _show_up(out: Output, state: HubState, paths: HubPaths) -> None:
    where = "" if paths.data == hub_paths(None).data else f" --data {paths.data}"
    kubeconfig = state.user_kubeconfig or state.admin_kubeconfig
    lines = [f"The hub is ready at {state.host}", f"  API         {state.api}"]
    if state.user is not None:
        lines += [
            f"  user        {state.user}, owner of the organization {state.user}",
            f"  kubeconfig  {kubeconfig}",
            "",
            "Try",
            f"  export KUBECONFIG={kubeconfig}",
            f"  sealoshub login {state.host} --kubeconfig",
            f"  sealoshub push ./oci-layout {state.host}/{state.user}/hello:v1",
            "  kubectl get organizations,repositories,images",
        ]
    else:
        lines += [
            "",
            "Try",
            f"  sealoshub login {state.host} --kubeconfig",
            "  sealoshub apply -f organization.yaml",
            f"  sealoshub push ./oci-layout {state.host}/ORGANISATION/hello:v1",
        ]
    lines += ["", f"Stop it with: sealoshub hub down{where}"]
    out.result("\n".join(lines), dataclasses.asdict(state))


def _status_text(state: HubState) -> str:
    lines = [f"{state.phase}  {state.host}"]
    if state.note:
        lines.append(f"  {state.note}")
    for part in state.parts:
        restarts = f"  restarts {part.restarts}" if part.restarts else ""
        pid = f"pid {part.pid}" if part.pid else "no process"
        lines.append(f"  {part.name:<12} {part.state:<10} {pid:<12} {part.url}{restarts}".rstrip())
    return "\n".join(lines)
