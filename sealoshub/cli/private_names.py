"""Reading in a hub that keeps its names private.

RBAC cannot let somebody list some objects of a cluster-scoped kind and not the others, so in such a
hub nobody lists. Whoever may write an organisation or a repository sees it all the same
(`Cluster.look_up`), and its status names what lies in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealoshub.errors import DeniedError, NotFoundError
from sealoshub.imagehub import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealoshub.imagehub.names import Named
    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster

HINT: Final = (
    "This hub may keep its names private. `sealoshub whoami` shows your organizations, and what you"
    " may write you can read by its name, such as `sealoshub get images ORG/REPO`."
)


def inside(cluster: Cluster, kind: str, within: Named, denied: DeniedError) -> list[Object]:
    """Return the repositories or images in an organisation or repository that one may write.

    Args:
        cluster: As somebody who may not list.
        kind: `Repository` or `Image`.
        within: The organisation, or the repository whose images are meant.
        denied: What the API server said to the list; raised where nothing else helps.

    Raises:
        DeniedError: One may not write it either, or its status does not name everything.
        NotFoundError: It is not there.
    """
    denied.hint = denied.hint or HINT
    return list(_inside(cluster, kind, within, denied))


def _inside(cluster: Cluster, kind: str, within: Named, denied: DeniedError) -> Iterator[Object]:
    if within.repository:
        yield from _images(cluster, _seen(cluster, "Repository", within.path, denied), denied)
        return
    organization = _seen(cluster, "Organization", within.organization, denied)
    status = organization.get("status") or {}
    paths = _all(status.get("repos"), status.get("repoCount"), denied)
    for path in paths:
        try:
            repository = cluster.look_up("Repository", names.object_name(str(path)))
        except NotFoundError:
            continue  # it has gone since
        if kind == "Repository":
            yield repository
        else:
            yield from _images(cluster, repository, denied)


def _images(cluster: Cluster, repository: Object, denied: DeniedError) -> Iterator[Object]:
    status = repository.get("status") or {}
    path = str((repository.get("spec") or {}).get("name") or "")
    for tag in _all(status.get("tags"), status.get("tagCount"), denied):
        try:
            yield cluster.look_up("Image", names.object_name(f"{path}:{tag.get('name')}"))
        except NotFoundError:
            continue  # a tag whose image nobody has described yet, or under a name of the original


def _seen(cluster: Cluster, kind: str, name: str, denied: DeniedError) -> Object:
    try:
        return cluster.look_up(kind, names.object_name(name))
    except DeniedError:
        raise denied from None


def _all(listed: Any, count: Any, denied: DeniedError) -> list[Any]:  # noqa: ANN401  # of a status
    """Return *listed* if it is everything; a status names at most so many."""
    found = listed if isinstance(listed, list) else []
    if isinstance(count, int) and count > len(found):
        raise denied
    return found
