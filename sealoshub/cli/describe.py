"""The Image resources of a push: what the image says about itself, applied as the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealoshub.cli import creator, session
from sealoshub.errors import (
    AuthenticationError,
    DeniedError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from sealoshub.imagehub import names as rules
from sealoshub.imagehub.image import detail_from, image_from
from sealoshub.registry.metadata import read_metadata
from sealoshub.value import Value

if TYPE_CHECKING:
    from sealoshub.cli.output import Output
    from sealoshub.errors import SealosHubError
    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster
    from sealoshub.registry.source import ImageSource

KIND: Final = "Image"

# Another manager than that of `sealoshub apply`: a server-side apply drops what its manager once
# set and does not set again, so a push would delete what a person applied, and the reverse.
FIELD_MANAGER: Final = "sealoshub-push"
_OURS: Final = frozenset({FIELD_MANAGER, rules.CONTROLLER})
_WORDS: Final = frozenset(
    {"keywords", "description", "icon", "authorIcon", "docs", "url", "actions"}
)


class Whose(Value):
    """Which cluster, as whom, and whether it must be possible.

    Args:
        kubeconfig: Path, or None for the default place.
        context: Context in it, or None for the current one.
        must: Without a cluster that has the kind, fail instead of leaving a note.
    """

    kubeconfig: str | None
    context: str | None
    must: bool


class Applied(Value):
    """What became of one Image resource."""

    name: str
    outcome: str


def apply(image: ImageSource, names: list[str], whose: Whose, out: Output) -> list[Applied]:
    """Apply one Image resource for each of *names* (`org/repo:tag`).

    Where it need not be possible, and there is no cluster that knows the kind, nothing is applied
    and a note says why. A cluster that knows the kind and refuses is an error either way.

    Raises:
        SealosHubError: It had to be possible and was not, or the cluster refused.
    """
    cluster = _cluster(names, whose, out)
    if cluster is None:
        return []
    with cluster:
        fill = creator.filler(cluster)
        done = []
        for manifest in _manifests(image, names, out):
            current = _current(cluster, manifest)
            kept = without_foreign_words(manifest, current)
            # Forced: what is pushed is a fact, whoever wrote the old digest down.
            result = cluster.apply(fill(kept), field_manager=FIELD_MANAGER, force=True)
            # The controller may have seen the content in the registry before we came here.
            outcome = "created" if _is_new(current) else result.outcome
            done.append(Applied(str(result.obj["metadata"]["name"]), outcome))
        return done


def without_foreign_words(manifest: Object, current: Object | None) -> Object:
    """Leave out of *manifest* what a person has said about the image in his own words.

    Facts (digest, platforms, size and so on) are always the push's; descriptive fields of
    `spec.detail` belong to whoever wrote them by hand (`metadata.managedFields`).
    """
    if current is None:
        return manifest
    taken: set[str] = set()
    for entry in current["metadata"].get("managedFields") or ():
        if entry.get("manager") not in _OURS:
            spec = (entry.get("fieldsV1") or {}).get("f:spec") or {}
            taken |= {name.removeprefix("f:") for name in spec.get("f:detail") or ()}
    detail = manifest["spec"].get("detail") or {}
    kept = {name: value for name, value in detail.items() if name not in taken & _WORDS}
    return {**manifest, "spec": {**manifest["spec"], "detail": kept}}


def _is_new(current: Object | None) -> bool:
    """Tell whether nobody but the controller had said anything about the image."""
    if current is None:
        return True
    entries = current["metadata"].get("managedFields") or ()
    spoken = [e.get("manager") for e in entries if "f:spec" in (e.get("fieldsV1") or {})]
    return bool(spoken) and set(spoken) == {rules.CONTROLLER}


def _current(cluster: Cluster, manifest: Object) -> Object | None:
    try:
        return cluster.look_up(KIND, manifest["metadata"]["name"])
    except (DeniedError, NotFoundError):  # what is denied the write will say
        return None


def _cluster(names: list[str], whose: Whose, out: Output) -> Cluster | None:
    """Return the user's cluster if it knows the kind; else say why not."""
    error: SealosHubError
    try:
        _check(names)
        cluster = session.user_cluster(whose.kubeconfig, whose.context, out)
    except (AuthenticationError, InvalidInputError) as exc:
        _leave(exc, whose, out)
        return None
    try:
        if cluster.supports(KIND):
            return cluster
        error = NotFoundError(
            f"{cluster.server} does not know the kind {KIND} of imagehub.sealos.io",
            hint="Choose the hub's cluster with --kubeconfig or --context.",
        )
    except (AuthenticationError, UnavailableError) as exc:
        error = exc
    cluster.close()
    _leave(error, whose, out)
    return None


def _check(names: list[str]) -> None:
    if not names:
        raise InvalidInputError("an image without a tag has no Image resource")
    for name in names:
        rules.split_image(name)


def _leave(error: SealosHubError, whose: Whose, out: Output) -> None:
    """Raise *error* if there must be a resource, else say why there is none."""
    # Somebody who named a kubeconfig wants to hear that it did not work.
    if whose.must or whose.kubeconfig is not None or whose.context is not None:
        raise error
    out.note(f"no Image resource was applied: {error.message}")


def _manifests(image: ImageSource, names: list[str], out: Output) -> list[Object]:
    metadata = read_metadata(image)
    for text in metadata.notes:
        out.note(f"the image's own description is incomplete: {text}")
    detail = detail_from(metadata.config_yaml, metadata.readme)
    digest = image.root.descriptor.digest.text
    return [
        image_from(
            name,
            digest,
            metadata.platforms,
            detail,
            size=metadata.size,
            image_id=metadata.image_id.text if metadata.image_id else None,
            created=metadata.created,
        )
        for name in names
    ]
