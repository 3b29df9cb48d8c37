"""`sealoshub push`: bring an image into the hub, look whether it arrived, describe it."""

from __future__ import annotations

import os
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sealoshub.cli import options, output, session
from sealoshub.cli.output import Format, Output
from sealoshub.errors import InvalidInputError, ResourceNotAppliedError, SealosHubError
from sealoshub.reference import Reference, is_tag

if TYPE_CHECKING:
    from sealoshub.cli.progress import Watcher
    from sealoshub.registry.client import Client
    from sealoshub.registry.push import PushResult
    from sealoshub.registry.source import ImageSource

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class PushFormat(StrEnum):
    """How the result of a push is printed."""

    TEXT = "text"
    JSON = "json"
    NDJSON = "ndjson"


class CrOption(StrEnum):
    """Whether the Image resource is applied."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"
    ONLY = "only"


@app.command()
def push(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="An OCI layout: a directory or a tar, or oci:DIR[:NAME], oci-archive:FILE[:NAME].",
        ),
    ],
    reference: Annotated[str, typer.Argument(metavar="REF", help="Where to: host/org/repo[:tag].")],
    *,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="T", help="A further tag; repeatable.")
    ] = None,
    cr_option: Annotated[
        CrOption,
        typer.Option(
            "--cr-option",
            help="Apply the Image resource: auto if the cluster has the kind, yes, no, or only it.",
        ),
    ] = CrOption.AUTO,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", min=1, max=64, help="Blobs under way at once."),
    ] = None,
    digestfile: Annotated[
        Path | None, typer.Option("--digestfile", metavar="FILE", help="Write the digest here.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")
    ] = False,
    authfile: options.AuthfileOption = None,
    plain_http: options.PlainHttpOption = False,
    ca_file: options.CaFileOption = None,
    insecure: options.InsecureOption = False,
    trust_realm: options.TrustRealmOption = False,
    format_: Annotated[
        PushFormat, typer.Option("--output", "-o", help="How progress and result are printed.")
    ] = PushFormat.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Push an image and describe it: its Image resource is applied with your kubeconfig.

    Prints host/org/repo@digest, and nothing else, on standard output.
    """
    from sealoshub.registry.source import open_image  # noqa: PLC0415  # httpx: 100 ms

    as_json = format_ is not PushFormat.TEXT
    out = Output("push", Format.JSON if as_json else Format.TEXT, quiet=quiet, verbose=verbose)
    target, tags = _target(reference, tag or [], out)
    tls = session.Tls(plain_http, ca_file, insecure, trust_realm)
    watcher = _watcher(format_, out)
    with open_image(source) as image:
        if dry_run:
            from sealoshub.cli import plan  # noqa: PLC0415  # for few pushes

            with _client(target, authfile, tls, out) as client:
                plan.show(client, image, target, out)
            return
        digest = image.root.descriptor.digest
        data: dict[str, object] = {
            "reference": f"{target.host}/{target.repository}@{digest}",
            "digest": digest.text,
            "media_type": image.root.descriptor.media_type,
            "size": image.size,
            "tags": tags,
        }
        if cr_option is not CrOption.ONLY:
            with _client(target, authfile, tls, out) as client:
                result = _send(client, image, target, tags, jobs, watcher, out)
            data["uploaded"] = result.uploaded
        if digestfile is not None:
            _write(digestfile, digest.text)
        if format_ is PushFormat.TEXT:
            output.print_line(str(data["reference"]))
        if cr_option is not CrOption.NO:
            from sealoshub.cli import describe  # noqa: PLC0415  # kubernetes, for most pushes

            names = [f"{target.repository}:{tag}" for tag in tags]
            whose = describe.Whose(kubeconfig, context, must=cr_option is not CrOption.AUTO)
            try:
                applied = describe.apply(image, names, whose, out)
            except SealosHubError as exc:
                if cr_option is CrOption.ONLY:
                    raise
                raise PushedNotAppliedError(exc, data) from exc
            data["applied"] = [{"name": each.name, "outcome": each.outcome} for each in applied]
            for each in applied:
                watcher.applied(each.name, each.outcome)
    _show(out, watcher, data)


class PushedNotAppliedError(ResourceNotAppliedError):
    """The image arrived and its resource did not.

    Args:
        cause: Why.
        data: What was pushed, for the JSON answer.
    """

    def __init__(self, cause: SealosHubError, data: dict[str, object]) -> None:
        super().__init__(
            f"{data['reference']} was pushed, but its Image resource was not applied:"
            f" {cause.message}",
            hint=cause.hint or "Repeat with --cr-option only.",
        )
        self.data = data


def _target(text: str, more: list[str], out: Output) -> tuple[Reference, list[str]]:
    """Read where to push, and list all tags; without any it is `latest`, as everywhere."""
    target = Reference.parse(text)
    bad = [tag for tag in more if not is_tag(tag)]
    if bad:
        raise InvalidInputError(
            f"{bad[0]!r} is not a tag",
            hint="Letters, digits and . _ -, at most 128, not beginning with . or -.",
        )
    if target.tag is None and target.digest is None and not more:
        out.note("no tag was given: it is latest")
        target = replace(target, tag="latest")
    return target, list(dict.fromkeys([*([target.tag] if target.tag else []), *more]))


def _client(target: Reference, authfile: Path | None, tls: session.Tls, out: Output) -> Client:
    places = options.credential_places(authfile)
    stored = session.stored_for(target.host, target.repository, places, out)
    if stored is not None:
        out.detail(f"as {stored.account or 'the user of a token'} ({stored.location})")
        session.warn_of_end(target.host, session.known_end(target.host, stored), out)
    return session.registry_client(target.host, stored, tls, out)


def _watcher(format_: PushFormat, out: Output) -> Watcher:
    from sealoshub.cli import progress  # noqa: PLC0415  # httpx, through the events

    return progress.watcher(ndjson=format_ is PushFormat.NDJSON, quiet=out.quiet, say=out.note)


def _send(  # noqa: PLR0917  # what the one call of the registry room takes
    client: Client,
    image: ImageSource,
    target: Reference,
    tags: list[str],
    jobs: int | None,
    watcher: Watcher,
    out: Output,
) -> PushResult:
    from sealoshub.registry import journal  # noqa: PLC0415  # only where something is sent
    from sealoshub.registry import push as registry  # noqa: PLC0415  # as above

    try:
        return registry.push(
            client,
            image,
            target,
            tags,
            jobs=jobs or registry.JOBS,
            events=watcher,
            journal=journal.Journal(journal.folder(os.environ, Path.home()), out.detail),
        )
    finally:
        watcher.close()


def _show(out: Output, watcher: Watcher, data: dict[str, object]) -> None:
    from sealoshub.cli.progress import JsonLines  # noqa: PLC0415  # httpx

    if isinstance(watcher, JsonLines):
        watcher.result(data)
    else:
        out.result(None, data)


def _write(path: Path, digest: str) -> None:
    try:
        path.write_text(digest)
    except OSError as exc:
        raise InvalidInputError(f"{path} cannot be written: {exc.strerror}") from exc
