"""`sealoshub repo …`: the visibility of a repository, and its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sealoshub.cli import named, options, private_names, repo_rules, session
from sealoshub.cli.group import Group
from sealoshub.cli.output import Format, Output
from sealoshub.errors import DeniedError, NotFoundError
from sealoshub.imagehub import names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster
    from sealoshub.registry.delete import Deleted

KIND: Final = "Repository"
CONTROLLER: Final = 5.0  # seconds in which a controller that runs has seen a change
LOOK: Final = 0.1  # seconds between two looks at what it has seen

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make repositories public or private, rule their tags, or delete them.",
)

app.add_typer(repo_rules.app)  # without a name: its commands are ours

NameArgument = Annotated[
    str, typer.Argument(metavar="ORG/REPO", help="The repository; with or without the hub's host.")
]


@dataclass(frozen=True, slots=True)
class _Registry:
    """Where the content of a repository lies, and how to speak to it."""

    host: str | None
    authfile: Path | None
    tls: session.Tls


@app.command()
def public(
    name: NameArgument,
    *,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Let everybody pull a repository, without a login.

    Example: sealoshub repo public team/app
    """
    out = Output("repo public", format_, quiet=quiet, verbose=verbose)
    _set_private(name, kubeconfig, context, out, private=False)


@app.command()
def private(
    name: NameArgument,
    *,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Let only members pull a repository.

    Tokens that were handed out before are good for at most 5 minutes more.

    Example: sealoshub repo private team/app
    """
    out = Output("repo private", format_, quiet=quiet, verbose=verbose)
    _set_private(name, kubeconfig, context, out, private=True)


@app.command()
def delete(
    name: NameArgument,
    *,
    content: Annotated[
        bool,
        typer.Option(
            "--content",
            help="Delete what is in the registry too; write the repository with its host.",
        ),
    ] = False,
    authfile: options.AuthfileOption = None,
    plain_http: options.PlainHttpOption = False,
    ca_file: options.CaFileOption = None,
    insecure: options.InsecureOption = False,
    trust_realm: options.TrustRealmOption = False,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Delete a repository and its images from the catalogue, and with --content from the registry.

    Without --content the manifests stay in the registry: members of the organization can go on
    pulling them, and the hub's next sweep lists what has a tag again. With it every tag and
    manifest is deleted there first, with your login at the hub; the space is free after the
    registry's next garbage collection.

    Example: sealoshub repo delete hub.example.com/team/app --content
    """
    out = Output("repo delete", format_, quiet=quiet, verbose=verbose)
    place = named.repository(name)
    path = place.named.path
    # Before anything is deleted: which registry it is must not be a guess.
    host = session.chosen_host(place.host) if content else place.host
    registry = _Registry(host, authfile, session.Tls(plain_http, ca_file, insecure, trust_realm))
    deleted: Deleted | None = None
    with session.user_cluster(kubeconfig, context, out) as cluster:
        missing: NotFoundError | None = None
        found: Object | None = None
        try:
            found = named.get(cluster, KIND, path)
        except NotFoundError as exc:
            missing = exc  # its images or its content may be there all the same
        # Those without content are deleted by the controller, too.
        listed = images_of(cluster, path)
        if content:
            deleted = _delete_content(registry, path, cluster, out)
        _delete_resources(cluster, path, found, listed)
        if missing is not None and not listed and not (deleted and deleted.tags):
            raise missing
    images = len(listed)
    if deleted is None:
        organization = place.named.organization
        out.note(
            f"the content stays in the registry: members of {organization} can still pull it, and"
            " the hub lists it again when it next looks;"
            f" `sealoshub repo delete HOST/{path} --content` deletes it too"
        )
    else:
        out.note("the registry frees the space at its next garbage collection")
    parts = f"{images} {'image' if images == 1 else 'images'}"
    if deleted is not None:
        parts += f", and {deleted.tags} tags and {deleted.manifests} manifests at {host}"
    out.result(
        f"repository {path} deleted, with {parts}",
        {
            "name": path,
            "existed": found is not None,
            "images": images,
            "content_deleted": deleted is not None,
            "host": host if deleted is not None else None,
            "tags": deleted.tags if deleted is not None else None,
            "manifests": deleted.manifests if deleted is not None else None,
        },
    )


def _set_private(
    name: str, kubeconfig: str | None, context: str | None, out: Output, *, private: bool
) -> None:
    place = named.repository(name)
    path = place.named.path
    word = "private" if private else "public"
    with session.user_cluster(kubeconfig, context, out) as cluster:
        found = named.get(cluster, KIND, path)
        # The default of the original: false.
        changed = bool((found.get("spec") or {}).get("isPrivate", False)) is not private
        if changed:
            try:
                cluster.patch(KIND, found["metadata"]["name"], {"spec": {"isPrivate": private}})
            except DeniedError as exc:
                named.denied_in(exc, cluster, place.named.organization)
    if changed and private:
        out.note("tokens that were handed out before are good for at most 5 minutes more")
    outcome = f"is {word} now" if changed else f"is {word} already"
    out.result(
        f"repository {path} {outcome}",
        {"name": path, "private": private, "outcome": "changed" if changed else "unchanged"},
    )


def images_of(cluster: Cluster, path: str) -> list[Object]:
    """Return the images of *path*; the label only narrows the search, the name decides."""
    wanted = names.split_repository(path)
    selector = f"{names.ORGANIZATION_LABEL}={wanted.organization}"
    try:
        found = cluster.list("Image", label_selector=selector)
    except DeniedError as exc:
        try:
            found = private_names.inside(cluster, "Image", wanted, exc)
        except NotFoundError:
            return []  # without a repository nothing tells of images
    return [
        image
        for image in found
        if str((image.get("spec") or {}).get("name") or "").startswith(f"{path}:")
    ]


def _delete_resources(
    cluster: Cluster, path: str, repository: Object | None, images: Sequence[Object]
) -> None:
    """Delete the images, then the repository.

    In this order, because the controller makes the repository of every image.
    """
    organization = path.partition("/")[0]
    try:
        for image in images:
            _delete(cluster, image)
        if repository is not None:
            if images:
                _wait_for_controller(cluster, repository)
            _delete(cluster, repository)
    except DeniedError as exc:
        named.denied_in(exc, cluster, organization)


def _wait_for_controller(cluster: Cluster, repository: Object) -> None:
    """Wait until the controller has seen that the images are gone; not long, it may not run.

    It watches images and repositories separately, and makes the repository of an image that it
    believes to be there.
    """
    deadline = time.monotonic() + CONTROLLER
    while time.monotonic() < deadline:
        try:
            current = cluster.look_up(KIND, str(repository["metadata"]["name"]))
        except NotFoundError:
            return
        if not (current.get("status") or {}).get("tagCount"):
            return
        time.sleep(LOOK)


def _delete(cluster: Cluster, obj: Object) -> None:
    meta = obj["metadata"]
    try:
        cluster.delete(str(obj["kind"]), str(meta["name"]), uid=meta.get("uid"))
    except NotFoundError:
        return  # somebody else was faster


def _delete_content(registry: _Registry, path: str, cluster: Cluster, out: Output) -> Deleted:
    from sealoshub.registry.delete import delete_repository  # noqa: PLC0415  # not for --help

    host = str(registry.host)
    places = options.credential_places(registry.authfile)
    stored = session.stored_for(host, path, places, out)
    with session.registry_client(host, stored, registry.tls, out) as client:
        try:
            return delete_repository(client, path)
        except DeniedError as exc:
            named.denied_in(exc, cluster, path.partition("/")[0])
