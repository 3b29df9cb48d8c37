"""`sealoshub org …`: make an organisation and share it, without writing YAML."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sealoshub.cli import changing, named, options, org_quota, session, waiting
from sealoshub.cli import members as rules
from sealoshub.cli.group import Group
from sealoshub.cli.output import Format, Output
from sealoshub.errors import DeniedError, InvalidInputError, UsageError
from sealoshub.imagehub import names
from sealoshub.imagehub.rights import Role
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealoshub.imagehub.subjects import Subject
    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster

KIND: Final = "Organization"

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make organizations and share them.",
)

app.add_typer(org_quota.app)  # without a name: its commands are ours

NameArgument = Annotated[
    str, typer.Argument(metavar="ORG", help="The organization; with or without the hub's host.")
]
UserOption = Annotated[str | None, typer.Option("--user", metavar="NAME", help="A user.")]
GroupOption = Annotated[str | None, typer.Option("--group", metavar="NAME", help="A group.")]
AccountOption = Annotated[
    str | None,
    typer.Option("--service-account", metavar="NAMESPACE/NAME", help="A ServiceAccount."),
]
WaitOption = Annotated[
    str | None, typer.Option("--wait", metavar="TIME", help="Wait so long (30s, 5m) until done.")
]


@app.command()
def create(
    name: NameArgument,
    *,
    public: Annotated[
        bool, typer.Option("--public", help="Repositories that a push makes are public.")
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="They are private. The default.")
    ] = False,
    display_name: Annotated[
        str | None, typer.Option("--display-name", metavar="TEXT", help="Name for people.")
    ] = None,
    wait: WaitOption = None,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Make an organization; you become its owner.

    Example: sealoshub org create team --wait 30s
    """
    out = Output("org create", format_, quiet=quiet, verbose=verbose)
    if public and private:
        raise UsageError("--public and --private exclude each other")
    wanted = named.organization(name)
    patience = None if wait is None else waiting.seconds_of(wait)
    with session.user_cluster(kubeconfig, context, out) as cluster:
        spec: dict[str, Any] = {
            "name": wanted,
            "creator": cluster.whoami().name,
            "defaultVisibility": "public" if public else "private",
        }
        if display_name is not None:
            spec["displayName"] = display_name
        meta = {"name": wanted, "labels": {names.ORGANIZATION_LABEL: wanted}}
        manifest = {
            "apiVersion": names.API_VERSION,
            "kind": KIND,
            "metadata": meta,
            "spec": spec,
        }
        try:
            made = cluster.create(manifest)
        except ConflictError as exc:
            if exc.reason == "AlreadyExists":
                _exists(cluster, wanted, exc)
            raise
        if patience is not None:
            waiting.until_ready(cluster, [made], patience, out)
    found = made.get("spec") or {}
    out.result(
        f"organization {wanted} created",
        {
            "name": wanted,
            "creator": found.get("creator"),
            "default_visibility": found.get("defaultVisibility"),
            "ready": patience is not None,
        },
    )


@app.command()
def share(
    name: NameArgument,
    *,
    user: UserOption = None,
    group: GroupOption = None,
    service_account: AccountOption = None,
    role: Annotated[
        Role,
        typer.Option(
            "--role",
            help="viewer pulls, developer also pushes, maintainer also deletes, owner also shares.",
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Even if no owner is left by that.")
    ] = False,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Give a user, a group or a ServiceAccount a role in an organization.

    Who is a member already gets the new role instead of the old one.

    Example: sealoshub org share team --group developers --role developer
    """
    out = Output("org share", format_, quiet=quiet, verbose=verbose)
    subject = rules.subject_of(user, group, service_account)
    wanted = named.organization(name)
    before: Role | None = None

    def change(spec: Mapping[str, Any]) -> dict[str, Any]:
        nonlocal before
        changes, before = rules.with_member(spec, subject, role)
        _keep_an_owner(wanted, spec, changes, force=force)
        return changes

    with session.user_cluster(kubeconfig, context, out) as cluster:
        changed, spec = changing.change_spec(cluster, wanted, change)
    stronger = [
        holder
        for holder in rules.holders(spec)
        if holder.subject == subject and holder.source is not rules.Source.MEMBER
    ]
    if stronger:
        source = stronger[0].source
        out.note(f"{subject} is an owner of {wanted} anyway, as its {source}")
    outcome = ("changed" if before else "added") if changed else "unchanged"
    was = f" (was {before})" if changed and before else ""
    tail = f": {role}{was}" if changed else f" is {role} already"
    out.result(
        f"{subject} in {wanted}{tail}" if changed else f"{subject}{tail} in {wanted}",
        {"organization": wanted, **_plain(subject), "role": role, "outcome": outcome},
    )


@app.command()
def unshare(
    name: NameArgument,
    *,
    user: UserOption = None,
    group: GroupOption = None,
    service_account: AccountOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if no owner is left by that.")
    ] = False,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Take the role of a user, a group or a ServiceAccount in an organization away.

    Tokens that were handed out before are good for at most 5 minutes more.

    Example: sealoshub org unshare team --user bob
    """
    out = Output("org unshare", format_, quiet=quiet, verbose=verbose)
    subject = rules.subject_of(user, group, service_account)
    wanted = named.organization(name)
    lost = ""

    def change(spec: Mapping[str, Any]) -> dict[str, Any]:
        nonlocal lost
        try:
            changes, lost = rules.without_member(spec, subject)
        except InvalidInputError as exc:
            exc.message = f"{wanted}: {exc.message}"
            exc.hint = exc.hint or f"`sealoshub org members {wanted}` shows who is."
            raise
        _keep_an_owner(wanted, spec, changes, force=force)
        return changes

    with session.user_cluster(kubeconfig, context, out) as cluster:
        changing.change_spec(cluster, wanted, change)
    out.result(
        f"{subject} is not {lost} in {wanted} any more",
        {"organization": wanted, **_plain(subject), "role": lost, "outcome": "removed"},
    )


@app.command()
def members(
    name: NameArgument,
    *,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Show who has which role in an organization, and where that is written.

    creator and manager are the owners that the organization has by these fields; member is
    everybody it was shared with.

    Example: sealoshub org members team
    """
    out = Output("org members", format_, quiet=quiet, verbose=verbose)
    wanted = named.organization(name)
    with session.user_cluster(kubeconfig, context, out) as cluster:
        spec = named.get(cluster, KIND, wanted).get("spec") or {}
    found = rules.holders(spec)
    refused = rules.refused(spec)
    for text in refused:
        out.note(f"without effect: {text}")
    if not found:
        out.note(f"nobody has a role in {wanted}")
    out.table(
        ["ROLE", "KIND", "NAME", "FROM"],
        [
            [holder.role, holder.subject.kind, _name(holder.subject), holder.source]
            for holder in found
        ],
        {
            "organization": wanted,
            "members": [
                {**_plain(holder.subject), "role": holder.role, "from": holder.source}
                for holder in found
            ],
            "refused": list(refused),
        },
    )


@app.command()
def delete(
    name: NameArgument,
    *,
    with_repositories: Annotated[
        bool,
        typer.Option("--with-repositories", help="Delete its repositories and images as well."),
    ] = False,
    wait: WaitOption = None,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Delete an organization, and with it every right in it.

    Refused while it has repositories, unless they are to be deleted too. The hub's controller
    deletes what they have in the registry first, so that whoever makes an organization of this
    name later cannot read it; a controller that runs without a registry leaves it there.

    Example: sealoshub org delete team --with-repositories --wait 1m
    """
    out = Output("org delete", format_, quiet=quiet, verbose=verbose)
    wanted = named.organization(name)
    patience = None if wait is None else waiting.seconds_of(wait)
    with session.user_cluster(kubeconfig, context, out) as cluster:
        found = named.get(cluster, KIND, wanted)
        selector = f"{names.ORGANIZATION_LABEL}={wanted}"
        # The label is a convenience; the controller counts by name.
        repositories = int((found.get("status") or {}).get("repoCount") or 0)
        images = 0
        with contextlib.suppress(DeniedError):  # names are private: what the status says must do
            listed = cluster.list("Repository", label_selector=selector)
            repositories = max(repositories, len(listed))
            images = len(cluster.list("Image", label_selector=selector))
        inside = f"{repositories} repositories and {images} images"
        if (repositories or images) and not with_repositories:
            # Asked before: an organisation whose deletion waits for its repositories never returns.
            raise InvalidInputError(
                f"organization {wanted} still has {inside}; nothing was deleted",
                hint="Delete them first, or use --with-repositories.",
                code="HAS_REPOSITORIES",
            )
        try:
            if with_repositories:
                mark = {"metadata": {"annotations": {names.FORCE_DELETE: "true"}}}
                cluster.patch(KIND, wanted, mark)
            cluster.delete(KIND, wanted, uid=found["metadata"].get("uid"))
        except DeniedError as exc:
            named.denied(exc, found)
        if patience is not None:
            waiting.until_gone(cluster, found, patience)
    if repositories or images:
        out.note(
            f"the hub's controller deletes the content of {wanted} in the registry too, unless it"
            " runs without one; the space is free after the next garbage collection"
        )
    state = "deleted" if patience is not None else "is being deleted"
    tail = f", with {inside}" if with_repositories else ""
    out.result(
        f"organization {wanted} {state}{tail}",
        {
            "name": wanted,
            "repositories": repositories,
            "images": images,
            "gone": patience is not None,
            "content_deleted": None,
        },
    )


def _keep_an_owner(
    name: str, spec: Mapping[str, Any], changes: Mapping[str, Any], *, force: bool
) -> None:
    if not force and rules.loses_last_owner(spec, {**spec, **changes}):
        raise InvalidInputError(
            f"{name} would have no owner any more",
            hint=f"Make somebody else its owner first (`sealoshub org share {name} --role owner`),"
            " or use --force; then only an administrator of the hub can share it.",
            code="LAST_OWNER",
        )


def _exists(cluster: Cluster, name: str, exc: ConflictError) -> None:
    """Make *exc* say whose organisation it is."""
    exc.message = f"there is an organization {name} already"
    exc.hint = "Choose another name."
    try:
        found: Object = named.get(cluster, KIND, name)
    except DeniedError:
        return  # whose it is is private
    owners = ", ".join(named.owners(found)[: named.OWNERS_SHOWN])
    if owners:
        exc.hint = f"Choose another name, or ask an owner of {name} to share it: {owners}."


def _name(subject: Subject) -> str:
    return f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name


def _plain(subject: Subject) -> dict[str, object]:
    return {
        "kind": subject.kind,
        "namespace": subject.namespace or None,
        "name": subject.name,
    }
