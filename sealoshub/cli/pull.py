"""`sealoshub pull`: bring an image from the hub to the disk, verified."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from sealoshub.cli import declared, digests, options, output, session
from sealoshub.cli.output import Format, Output, StreamFormat
from sealoshub.cli.speaking import Speaking
from sealoshub.errors import UsageError
from sealoshub.reference import Reference
from sealoshub.value import replace

if TYPE_CHECKING:
    from sealoshub.registry.pull_events import PullResult


class TargetFormat(StrEnum):
    """What is written; :class:`sealoshub.registry.target.Kind`, known without importing it."""

    OCI = "oci"
    OCI_ARCHIVE = "oci-archive"
    DOCKER_ARCHIVE = "docker-archive"


def pull(
    reference: Annotated[
        str, declared.Argument(metavar="REF", help="What: host/org/repo[:tag][@digest].")
    ],
    target: Annotated[
        str,
        declared.Argument(
            metavar="DIR|FILE",
            help="Where to: a directory for an OCI layout, a name in .tar for an OCI archive, or"
            " oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME].",
        ),
    ],
    *,
    format_: Annotated[
        TargetFormat | None, declared.Option("--format", help="What to write, instead of guessing.")
    ] = None,
    platform: options.PlatformOption = None,
    all_platforms: Annotated[
        bool,
        declared.Option(
            "--all-platforms",
            help="The images for all platforms; the default of OCI layouts and archives.",
        ),
    ] = False,
    jobs: options.JobsOption = None,
    limit_rate: options.LimitRateOption = None,
    retry_budget: options.RetryBudgetOption = None,
    digestfile: options.DigestfileOption = None,
    authfile: options.AuthfileOption = None,
    plain_http: options.PlainHttpOption = False,
    ca_file: options.CaFileOption = None,
    insecure: options.InsecureOption = False,
    trust_realm: options.TrustRealmOption = False,
    output_: Annotated[
        StreamFormat, declared.Option("--output", "-o", help="How progress and result are printed.")
    ] = StreamFormat.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Pull an image into an OCI layout, an OCI archive or a docker archive.

    Prints host/org/repo@digest, and nothing else, on standard output. What was interrupted goes on
    where it was when the command is repeated; what is there already is verified and not fetched.

    Example: sealoshub pull hub.sealos.io/team/app:v1 docker-archive:app.tar
    """
    from sealoshub.cli import progress, quantity  # noqa: PLC0415  # registry: not for --help
    from sealoshub.registry import platforms, pool  # noqa: PLC0415  # as above
    from sealoshub.registry import pull as registry  # noqa: PLC0415  # as above
    from sealoshub.registry.target import Kind, parse  # noqa: PLC0415  # as above

    as_json = output_ is not StreamFormat.TEXT
    out = Output("pull", Format.JSON if as_json else Format.TEXT, quiet=quiet, verbose=verbose)
    source = Reference.parse(reference)
    where = parse(target, Kind(format_) if format_ is not None else None)
    if platform is not None and all_platforms:
        raise UsageError("--platform and --all-platforms contradict each other")
    if all_platforms and where.kind is Kind.DOCKER_ARCHIVE:
        raise UsageError(
            "a docker archive holds the image for one platform",
            hint="Name it with --platform, or write an OCI archive.",
        )
    digests.check(digestfile)
    wanted = platforms.parse(platform) if platform is not None else None
    rate = quantity.parse_size(limit_rate) if limit_rate is not None else None
    budget = quantity.parse_duration(retry_budget) if retry_budget is not None else None
    if source.tag is None and source.digest is None:
        out.note("no tag was given: it is latest")
        source = replace(source, tag="latest")
    tls = session.Tls(plain_http, ca_file, insecure, trust_realm)
    watcher = progress.watcher(ndjson=output_ is StreamFormat.NDJSON, quiet=out.quiet, say=out.note)
    with Speaking(authfile, tls, budget, out).client(source) as client:
        try:
            result = registry.pull(
                client,
                source,
                where,
                platform=wanted,
                jobs=jobs or pool.JOBS,
                events=watcher,
                limit_rate=rate,
            )
        finally:
            watcher.close()
    digests.write(digestfile, result.digest)
    if result.foreign:
        out.note(f"{len(result.foreign)} layers are distributed elsewhere and were left there")
    if output_ is StreamFormat.TEXT:
        output.print_line(result.reference)
    data = _data(result)
    if isinstance(watcher, progress.JsonLines):
        watcher.result(data)
    else:
        out.result(None, data)


def _data(result: PullResult) -> dict[str, object]:
    return {
        "reference": result.reference,
        "digest": result.digest.text,
        "media_type": result.media_type,
        "size": result.size,
        "downloaded": result.downloaded,
        "format": result.kind.value,
        "path": str(result.path),
        "foreign": [layer.digest.text for layer in result.foreign],
    }
