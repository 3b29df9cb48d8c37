"""`sealoshub push`: bring an image into the hub, look whether it arrived, describe it."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sealoshub.cli import declared, digests, options, output, quantity, refusal, session, source
from sealoshub.cli.output import Format, Output, StreamFormat
from sealoshub.cli.speaking import Speaking
from sealoshub.errors import (
    DeniedError,
    InvalidInputError,
    ResourceNotAppliedError,
    SealosHubError,
    UsageError,
)
from sealoshub.reference import Reference, is_tag
from sealoshub.value import Value, replace

if TYPE_CHECKING:
    from sealoshub.cli.progress import Watcher
    from sealoshub.registry.client import Client
    from sealoshub.registry.push_events import PushResult
    from sealoshub.registry.source import ImageSource


class CrOption(StrEnum):
    """Whether the Image resource is applied."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"
    ONLY = "only"


class LayerCompression(StrEnum):
    """How layers are compressed that are not."""

    GZIP = "gzip"
    ZSTD = "zstd"
    NONE = "none"


class Pace(Value):
    """How fast and in which pieces.

    Args:
        jobs: Blobs under way at once; None: the default.
        limit_rate: Bytes per second; None: as fast as it goes.
        chunk_size: Bytes in one request; None: as many as the registry takes.
    """

    jobs: int | None
    limit_rate: int | None
    chunk_size: int | None


def push(
    first: Annotated[
        str | None,
        declared.Argument(
            metavar="SOURCE",
            help="An OCI layout or docker archive: a directory or file, also compressed, or oci:DIR"
            "[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME|:@INDEX], dir:DIR;"
            " docker-daemon:NAME, containers-storage:NAME; docker://REF in a registry. Without:"
            " what podman, buildah or docker keep as REF.",
        ),
    ] = None,
    second: Annotated[
        str | None, declared.Argument(metavar="REF", help="Where to: host/org/repo[:tag].")
    ] = None,
    *,
    tag: Annotated[
        list[str] | None, declared.Option("--tag", metavar="T", help="A further tag; repeatable.")
    ] = None,
    cr_option: Annotated[
        CrOption,
        declared.Option(
            "--cr-option",
            help="Apply the Image resource: auto if the cluster has the kind, yes, no, or only it.",
        ),
    ] = CrOption.AUTO,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    platform: options.PlatformOption = None,
    all_platforms: Annotated[
        bool,
        declared.Option("--all-platforms", help="The images for all platforms. The default."),
    ] = False,
    compression: Annotated[
        LayerCompression | None,
        declared.Option(
            "--compression",
            help="Of layers that are not compressed. Default: gzip, but OCI layouts stay as they"
            " are.",
        ),
    ] = None,
    jobs: options.JobsOption = None,
    limit_rate: options.LimitRateOption = None,
    chunk_size: Annotated[
        str | None,
        declared.Option(
            "--chunk-size",
            metavar="N",
            help="Bytes in one request, for example 50M. Default: a whole blob, or what a proxy"
            " was seen to take.",
        ),
    ] = None,
    retry_budget: options.RetryBudgetOption = None,
    digestfile: options.DigestfileOption = None,
    dry_run: Annotated[
        bool, declared.Option("--dry-run", help="Say what would be sent, and send nothing.")
    ] = False,
    authfile: options.AuthfileOption = None,
    plain_http: options.PlainHttpOption = False,
    ca_file: options.CaFileOption = None,
    insecure: options.InsecureOption = False,
    trust_realm: options.TrustRealmOption = False,
    format_: Annotated[
        StreamFormat, declared.Option("--output", "-o", help="How progress and result are printed.")
    ] = StreamFormat.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Push an image and describe it: its Image resource is applied with your kubeconfig.

    Prints host/org/repo@digest, and nothing else, on standard output. What a broken push had sent
    need not be sent again when the command is repeated.

    Example: sealoshub push ./image.tar hub.example.com/team/app:v1

    Example: sealoshub push hub.example.com/team/app:v1

    Example: sealoshub push docker://hub.example.com/team/app:v1 hub.example.com/prod/app:v1
    """
    as_json = format_ is not StreamFormat.TEXT
    out = Output("push", Format.JSON if as_json else Format.TEXT, quiet=quiet, verbose=verbose)
    name, reference = source.split_words(first, second)
    _check(platform, digestfile, all_platforms=all_platforms)
    pace = Pace(jobs, _size(limit_rate), _size(chunk_size))
    budget = None if retry_budget is None else quantity.parse_duration(retry_budget)
    target, tags = _target(reference, tag or [], out)
    tls = session.Tls(plain_http, ca_file, insecure, trust_realm)
    speaking = Speaking(authfile, tls, budget, out)
    wanted = source.Wanted(name, platform, None if compression is None else str(compression))
    watcher = _watcher(format_, out)
    with source.open_wanted(wanted, target, speaking.open_remote) as image:
        mounts = source.repository_beside(name, target)
        if dry_run:
            from sealoshub.cli import plan  # noqa: PLC0415  # for few pushes

            with speaking.client(target) as client:
                text, planned = plan.make(client, image, target, mounts)
            _show(out, watcher, planned, text)
            return
        uploaded = None
        if cr_option is not CrOption.ONLY:
            with speaking.client(target) as client:
                result = _send(client, image, target, tags, mounts, pace, watcher, out)
            uploaded = result.uploaded
        data = _data(image, target, tags, uploaded)
        digests.write(digestfile, image.root.descriptor.digest)
        if format_ is StreamFormat.TEXT:
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


def _check(platform: str | None, digestfile: Path | None, *, all_platforms: bool) -> None:
    """Refuse what would fail only after everything was sent."""
    if platform is not None and all_platforms:
        raise UsageError("--platform and --all-platforms contradict each other")
    digests.check(digestfile)


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


def _data(
    image: ImageSource, target: Reference, tags: list[str], uploaded: int | None
) -> dict[str, object]:
    root = image.root.descriptor
    data: dict[str, object] = {
        "reference": f"{target.host}/{target.repository}@{root.digest}",
        "digest": root.digest.text,
        "media_type": root.media_type,
        "size": image.size,
        "tags": tags,
    }
    return data if uploaded is None else {**data, "uploaded": uploaded}


def _size(text: str | None) -> int | None:
    return None if text is None else quantity.parse_size(text)


def _watcher(format_: StreamFormat, out: Output) -> Watcher:
    from sealoshub.cli import progress  # noqa: PLC0415  # not for --help

    return progress.watcher(ndjson=format_ is StreamFormat.NDJSON, quiet=out.quiet, say=out.note)


def _send(  # noqa: PLR0917  # what the one call of the registry room takes
    client: Client,
    image: ImageSource,
    target: Reference,
    tags: list[str],
    mounts: tuple[str, ...],
    pace: Pace,
    watcher: Watcher,
    out: Output,
) -> PushResult:
    from sealoshub.registry import journal, pool  # noqa: PLC0415  # only where something is sent
    from sealoshub.registry import push as registry  # noqa: PLC0415  # as above

    try:
        return registry.push(
            client,
            image,
            target,
            tags,
            jobs=pace.jobs or pool.JOBS,
            events=watcher,
            mount_from=mounts,
            chunk_size=pace.chunk_size,
            limit_rate=pace.limit_rate,
            journal=journal.Journal(journal.folder(os.environ, Path.home()), out.detail),
            moving=refusal.guard(client, target),
        )
    except DeniedError as exc:
        raise refusal.explained(exc, client, target) from exc.__cause__
    finally:
        watcher.close()


def _show(out: Output, watcher: Watcher, data: dict[str, object], text: str | None = None) -> None:
    from sealoshub.cli.progress import JsonLines  # noqa: PLC0415  # not for --help

    if isinstance(watcher, JsonLines):
        watcher.result(data)
    else:
        out.result(text, data)
