"""`sealoshub hub manifests`, `secrets` and `migrate`: a hub in a cluster, as YAML for kubectl."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sealoshub.cli.hub_data import absolute
from sealoshub.cli.options import ContextOption, KubeconfigOption
from sealoshub.cli.output import Output
from sealoshub.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def manifests(
    *,
    overlay: Annotated[
        str | None,
        typer.Option(
            metavar="pvc|s3", help="A whole hub, with the registry's content on a volume or in S3."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="NAME", help="Host name of the hub. With --overlay.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="Image of sealoshub. With --overlay.")
    ] = None,
    monitor: Annotated[
        bool, typer.Option("--monitor", help="With a Prometheus ServiceMonitor. With --overlay.")
    ] = False,
    private_names: Annotated[
        bool,
        typer.Option("--private-names", help="Let nobody but administrators list what there is."),
    ] = False,
) -> None:
    """Print the resources, roles and admission policies of a hub, for kubectl.

    With --overlay also registry, token server, controller and ingress; `hub secrets` prints what
    they need besides. The same as `kubectl kustomize` of the folder sealoshub/deploy.

    Example: sealoshub hub manifests | kubectl apply --server-side -f -
    """
    if overlay is None:
        if host is not None or image is not None or monitor:
            raise UsageError("--host, --image and --monitor need --overlay")
        from sealoshub.imagehub import install  # noqa: PLC0415  # heavy

        typer.echo(install.render(private_names=private_names), nl=False)
        return
    from sealoshub.hub import manifests as deployed  # noqa: PLC0415  # heavy

    text = deployed.render(
        overlay, host=host, image=image, monitor=monitor, private_names=private_names
    )
    typer.echo(text, nl=False)


@app.command()
def secrets(
    *,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Signing keys of an earlier hub; default: new ones."),
    ] = None,
) -> None:
    """Print new Secrets for a hub in a cluster: signing keys, what the registry trusts, passwords.

    Whoever has them can sign tokens: pipe them to kubectl, and apply them only once.

    Example: sealoshub hub secrets | kubectl apply -f -
    """
    from sealoshub.hub import manifests as deployed  # noqa: PLC0415  # heavy

    typer.echo(deployed.secrets(absolute(keys)), nl=False)


@app.command()
def migrate(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look and print; there is nothing else it can do.")
    ] = False,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Find what in a cluster of the original ImageHub (v4.3.0) needs repair, and print the repair.

    Names that two resources share, organizations with dots in their names, managers that do not
    exist, rights for the whole cluster, and finalizers that nobody removes any more. What no
    manifest can say is a comment with the command.

    Example: sealoshub hub migrate --dry-run --kubeconfig admin.kubeconfig
    """
    from sealoshub.cli import session  # noqa: PLC0415  # heavy
    from sealoshub.imagehub import migrate as original  # noqa: PLC0415  # heavy

    if not dry_run:
        raise UsageError(
            "hub migrate changes nothing by itself",
            hint="Run it with --dry-run, read what it prints, and pipe that to kubectl apply -f -.",
        )
    out = Output("hub migrate")
    with session.user_cluster(kubeconfig, context, out) as cluster:
        found = original.causes(original.read(cluster))
    for cause in found:
        out.note(f"{cause.what}: {cause.problem}")
    out.note(f"{len(found)} things to repair" if found else "there is nothing to repair")
    typer.echo(original.render(found), nl=False)
