"""`sealoshub push --dry-run`: what would be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealoshub.cli.output import size
from sealoshub.registry.upload import Repository, blob_exists

if TYPE_CHECKING:
    from sealoshub.cli.output import Output
    from sealoshub.reference import Digest, Reference
    from sealoshub.registry.client import Client
    from sealoshub.registry.source import ImageSource


def show(client: Client, image: ImageSource, target: Reference, out: Output) -> None:
    """Ask the registry for every blob of *image*, send none, and print which are missing.

    Raises:
        DeniedError: The user may not push there; so the real push would fail too.
        UnavailableError: The registry does not answer.
    """
    client.ping()
    repository = Repository(client, target.repository)

    def exists(digest: Digest) -> bool:
        return client.retry.run(lambda: blob_exists(repository, digest))

    there = {blob.digest: exists(blob.digest) for blob in image.blobs}
    missing = [blob for blob in image.blobs if not there[blob.digest]]
    todo = sum(blob.size for blob in missing)
    lines = [
        f"{blob.digest}  {'exists' if there[blob.digest] else 'to send'}  {size(blob.size)}"
        for blob in image.blobs
    ]
    lines.append(
        f"{len(missing)} of {len(image.blobs)} blobs would be sent to {target}, {size(todo)}"
    )
    out.result(
        "\n".join(lines),
        {
            "dry_run": True,
            "reference": str(target),
            "digest": image.root.descriptor.digest.text,
            "blobs": [
                {"digest": blob.digest.text, "size": blob.size, "exists": there[blob.digest]}
                for blob in image.blobs
            ],
            "bytes": todo,
        },
    )
