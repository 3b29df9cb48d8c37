"""`sealoshub hub revoke`: end the logins of somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sealoshub.cli import options, session
from sealoshub.cli.output import Format, Output
from sealoshub.errors import UsageError

if TYPE_CHECKING:
    from sealoshub.authserver.loginrecord import LoginRecord

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def revoke(
    *,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="All of this user; the full name.")
    ] = None,
    organization: Annotated[
        str | None,
        typer.Option(metavar="ORG", help="All of its robots, and tokens good for it alone."),
    ] = None,
    login: Annotated[str | None, typer.Option(metavar="ID", help="One, by its id.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show which logins are meant.")
    ] = False,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    output: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """End logins and personal tokens of others, as an administrator of the hub.

    Several options together mean the logins that all of them mean. They are good for at most ten
    seconds more, access tokens that are out for five minutes; rights are not changed, so whoever
    can log in again may do so.

    Example: sealoshub hub revoke --user alice
    """
    from sealoshub.hub import revocation  # noqa: PLC0415  # heavy

    out = Output("hub revoke", output, quiet, verbose)
    if user is None and organization is None and login is None:
        raise UsageError("say whose logins: --user, --organization or --login")
    choice = revocation.Choice(user, organization, login)
    with session.user_cluster(kubeconfig, context, out) as cluster:
        found = revocation.find(cluster, choice)
        ended = found if dry_run else revocation.end(cluster, found)
    words = "meant" if dry_run else "ended"
    out.note(f"{len(ended)} {'login' if len(ended) == 1 else 'logins'} {words}")
    lines = [f"{one.id}  {one.type:<8}  {one.identity.name}  {one.name}".rstrip() for one in ended]
    out.result("\n".join(lines) or None, {"dry_run": dry_run, "logins": list(map(_shown, ended))})


def _shown(record: LoginRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "type": record.type,
        "user": record.identity.name,
        "name": record.name,
        "scopes": None if record.scopes is None else [str(scope) for scope in record.scopes],
    }
